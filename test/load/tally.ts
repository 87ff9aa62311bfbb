/** What clients saw of one part of a run, and which versions they had to see. */

export class Tally {
  readonly #ms: number[] = [];
  #errors = 0;
  #stale = 0;
  /** The first of what was wrong. */
  first: string | undefined;

  ok(ms: number): void {
    this.#ms.push(ms);
  }

  error(error: unknown): void {
    this.#errors++;
    this.first ??= String(error);
  }

  stale(what: string): void {
    this.#stale++;
    this.first ??= what;
  }

  get counts(): { readonly answers: number; readonly errors: number; readonly stale: number } {
    return { answers: this.#ms.length, errors: this.#errors, stale: this.#stale };
  }

  /** Latencies, ms. */
  get latency(): { readonly p50: number; readonly p99: number; readonly max: number } {
    const sorted = this.#ms.toSorted((a, b) => a - b);
    const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
    return { p50: at(0.5), p99: at(0.99), max: at(1) };
  }
}

/** Acknowledged versions, by row. Bounded by the writes of a run. */
export class Acknowledged {
  readonly #byRow = new Map<string, { readonly version: number; readonly atMs: number }[]>();

  add(row: string, version: number): void {
    const known = this.#byRow.get(row) ?? [];
    known.push({ version, atMs: performance.now() });
    this.#byRow.set(row, known);
  }

  /** The version that a read which began then must see at least. Of one row's writers only one writes at a time. */
  before(row: string, startedMs: number): number {
    return this.#byRow.get(row)?.findLast(({ atMs }) => atMs < startedMs)?.version ?? 1;
  }
}
