/** What the generator saw of one cell. */

export interface Latency {
  readonly p50: number;
  readonly p99: number;
}

export class Tally {
  /** ms; of all that was answered. */
  readonly #ms: number[] = [];
  reads = 0;
  errors = 0;
  /** Reads that showed less than what had been acknowledged when they were sent. */
  stale = 0;
  /** The first of what was wrong. */
  first: string | undefined;

  answered(ms: number): void {
    this.#ms.push(ms);
  }

  failed(error: unknown): void {
    this.errors++;
    this.first ??= error instanceof Error ? error.message : String(error);
  }

  get answers(): number {
    return this.#ms.length;
  }

  get latency(): Latency {
    const sorted = Float64Array.from(this.#ms).sort();
    const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
    return { p50: at(0.5), p99: at(0.99) };
  }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length === 0) return Number.NaN;
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}
