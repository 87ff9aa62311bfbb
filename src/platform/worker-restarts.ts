/** How long to wait before a worker that ended is replaced, and when to give up. */
import { SECOND } from '../std/time.js';

/** A worker that has served for this long has not died at once. */
const STABLE_MS = 10 * SECOND;
const FIRST_PAUSE_MS = 100;
const MAX_PAUSE_MS = 10 * SECOND;
/** Rounds of workers that die at once while none serves: some 40 s, however many workers there are. */
const MAX_EARLY_ROUNDS = 10;

export class WorkerRestarts {
  /** Since a worker was last stable. A round: what ends during the pause after its first end. */
  #earlyRounds = 0;
  #roundEndsMs = Number.NEGATIVE_INFINITY;

  /**
   * @param servedMs how long the worker that has just ended was listening; 0 if it never was
   * @param serving how many others listen now
   * @param nowMs as `performance.now()`
   * @returns the pause before it is replaced, in ms; undefined: give up
   */
  pauseAfter(servedMs: number, serving: number, nowMs: number): number | undefined {
    if (servedMs >= STABLE_MS) {
      this.#earlyRounds = 0;
      this.#roundEndsMs = Number.NEGATIVE_INFINITY;
      return 0;
    }
    const isNewRound = nowMs >= this.#roundEndsMs;
    if (isNewRound) this.#earlyRounds++;
    if (this.#earlyRounds > MAX_EARLY_ROUNDS && serving === 0) return undefined;
    const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** (this.#earlyRounds - 1), MAX_PAUSE_MS);
    if (isNewRound) this.#roundEndsMs = nowMs + pauseMs;
    return pauseMs;
  }
}
