/**
 * Limits how much of this process's time one caller uses for work whose cost is known only afterwards: a token bucket
 * of milliseconds. Not shared between processes, because it protects the time of this one.
 */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../../engine/cache/index.js';
import { SECOND } from '../../std/time.js';

/** Callers with a bucket. An evicted caller starts with a full bucket. */
const MAX_CALLERS = 20_000;

export interface TimeBudgetOptions {
  /** Capacity of the bucket in ms. */
  readonly burstMs: number;
  /** Refill rate in ms per second. */
  readonly msPerSecond: number;
  readonly clock: Clock;
}

interface Bucket {
  leftMs: number;
  /** On the monotonic clock. */
  atMs: number;
}

export class TimeBudget {
  readonly #options: TimeBudgetOptions;
  readonly #buckets = new LRUCache<string, Bucket>({ max: MAX_CALLERS });

  constructor(options: TimeBudgetOptions) {
    this.#options = options;
  }

  /** How long the caller must wait before it can use more time, in ms. 0: no wait. */
  waitMs(caller: string): number {
    const bucket = this.#buckets.get(caller);
    if (bucket === undefined) return 0;
    this.#fill(bucket);
    return bucket.leftMs > 0 ? 0 : (1 - bucket.leftMs) * (SECOND / this.#options.msPerSecond);
  }

  /** Deducts time used, which may be more than was left. */
  spend(caller: string, ms: number): void {
    const { burstMs, clock } = this.#options;
    const bucket = this.#buckets.get(caller) ?? { leftMs: burstMs, atMs: clock.monotonicMs() };
    this.#fill(bucket);
    bucket.leftMs -= ms;
    this.#buckets.set(caller, bucket);
  }

  #fill(bucket: Bucket): void {
    const { burstMs, msPerSecond, clock } = this.#options;
    const nowMs = clock.monotonicMs();
    bucket.leftMs = Math.min(burstMs, bucket.leftMs + ((nowMs - bucket.atMs) * msPerSecond) / SECOND);
    bucket.atMs = nowMs;
  }
}
