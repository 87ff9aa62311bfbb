/** How long to wait before a worker that ended is replaced, and when to give up. */
import { SECOND } from '../std/time.js';

/** A worker that has served for this long has not died at once. */
const STABLE_MS = 10 * SECOND;
const FIRST_PAUSE_MS = 100;
const MAX_PAUSE_MS = 10 * SECOND;
/** Workers that die at once, one after the other, while none serves: some 40 s. */
const MAX_EARLY_ENDS = 10;

export class WorkerRestarts {
  /** Since a worker was last stable. */
  #earlyEnds = 0;

  /**
   * @param servedMs how long the worker that has just ended was listening; 0 if it never was
   * @param serving how many others listen now
   * @returns the pause before it is replaced, in ms; undefined: give up
   */
  pauseAfter(servedMs: number, serving: number): number | undefined {
    if (servedMs >= STABLE_MS) {
      this.#earlyEnds = 0;
      return 0;
    }
    this.#earlyEnds++;
    if (this.#earlyEnds > MAX_EARLY_ENDS && serving === 0) return undefined;
    return Math.min(FIRST_PAUSE_MS * 2 ** (this.#earlyEnds - 1), MAX_PAUSE_MS);
  }
}
