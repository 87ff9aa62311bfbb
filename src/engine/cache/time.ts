/** Units, the engine's clock, and a wait. The only place that reads the time. */

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

export interface Clock {
  /** Wall clock, ms since 1970: for ages that are shown, and in place of Redis's clock in the memory store. */
  nowMs(): number;
  /** Monotonic, ms: for durations and deadlines. */
  monotonicMs(): number;
  /** Resolves after `ms` of this clock. */
  sleep(ms: number): Promise<void>;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
};
