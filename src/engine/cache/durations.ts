/**
 * How long something took, in the buckets of a histogram. Plain counts, since it runs for every trip to Redis; the
 * metrics show them when they are read.
 */
import { SECOND } from './time.js';

/** Upper bounds of the buckets unless others are given, s. */
export const DURATION_BOUNDS: readonly number[] = [
  ...[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05],
  ...[0.1, 0.25, 0.5, 1, 2.5, 10],
];

export class Durations {
  /** Upper bounds of the buckets, s. */
  readonly bounds: readonly number[];
  /** By bucket, and last those above all bounds. */
  readonly #counts: number[];
  #sumS = 0;

  constructor(bounds = DURATION_BOUNDS) {
    this.bounds = bounds;
    this.#counts = new Array(bounds.length + 1).fill(0);
  }

  observe(ms: number): void {
    const seconds = ms / SECOND;
    let bucket = 0;
    while (bucket < this.bounds.length && seconds > (this.bounds[bucket] as number)) bucket++;
    (this.#counts[bucket] as number)++;
    this.#sumS += seconds;
  }

  get sumS(): number {
    return this.#sumS;
  }

  /** By bound, and last of all: how many took no longer. */
  get cumulative(): readonly number[] {
    let total = 0;
    return this.#counts.map((count) => {
      total += count;
      return total;
    });
  }
}
