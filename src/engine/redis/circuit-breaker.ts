/**
 * For reads and fills, not for writers: a part of Redis that failed several times in a row is left alone for a moment,
 * so that no reader waits for what will not come. Then one call tries it.
 */
import type { Clock } from '../cache/time.js';

const FAILURES_TO_OPEN = 3;
const OPEN_MS = 500;

export class CircuitBreaker {
  #failures = 0;
  #openUntilMs = 0;

  constructor(private readonly clock: Clock) {}

  /** False: do not even try. True lets this one through; of those after an open time only the first. */
  allows(): boolean {
    if (this.#failures < FAILURES_TO_OPEN) return true;
    const nowMs = this.clock.monotonicMs();
    if (nowMs < this.#openUntilMs) return false;
    this.#openUntilMs = nowMs + OPEN_MS;
    return true;
  }

  /** Whether calls are left out now. */
  get isOpen(): boolean {
    return this.#failures >= FAILURES_TO_OPEN;
  }

  succeeded(): void {
    this.#failures = 0;
  }

  failed(): void {
    this.#failures++;
    this.#openUntilMs = this.clock.monotonicMs() + OPEN_MS;
  }
}
