/** What is seen of a pool from outside: its connections in use, and statements that took long. */

/** A statement that took long. */
export interface SlowStatement {
  /** Its text, with `$1` for the first value. */
  readonly text: string;
  /** From when it was sent, or waited for a connection, to its end. */
  readonly ms: number;
}

export interface SlowStatements {
  /** Statements that take as long are reported. */
  readonly fromMs: number;
  readonly report: (statement: SlowStatement) => void;
}

/** Hears of each statement that has ended, in the async context that sent it. */
export interface StatementTrace {
  /** Whether statements that are sent now, in this async context, are traced. */
  readonly wanted: () => boolean;
  /** `startedMs`: by `performance.now()`. */
  readonly ended: (text: string, startedMs: number) => void;
}

export interface PoolState {
  /** The most connections that the pool opens. */
  readonly size: number;
  readonly inUse: number;
  /** Statements or transactions that have no connection yet. */
  readonly waiting: number;
}

/** Neither costs a statement more than a look at the clock. */
export class PoolWatch {
  readonly #size: number;
  readonly #slow: SlowStatements | undefined;
  readonly #trace: StatementTrace | undefined;
  #active = 0;

  constructor(
    size: number,
    { slow, trace }: { slow?: SlowStatements | undefined; trace?: StatementTrace | undefined },
  ) {
    this.#size = size;
    this.#slow = slow;
    this.#trace = trace;
  }

  /** A statement on its own, or a transaction, wants a connection. */
  begin(): void {
    this.#active++;
  }

  /** Exactly once after each `begin`. */
  end(): void {
    this.#active--;
  }

  get state(): PoolState {
    const inUse = Math.min(this.#active, this.#size);
    return { size: this.#size, inUse, waiting: this.#active - inUse };
  }

  /** Whether `ended` does anything. */
  get timesStatements(): boolean {
    return this.#slow !== undefined || this.#trace?.wanted() === true;
  }

  /** A statement that began at `startedMs` of `performance.now()` has ended, well or not. */
  ended(text: string, startedMs: number): void {
    this.#trace?.ended(text, startedMs);
    if (this.#slow === undefined) return;
    const ms = performance.now() - startedMs;
    if (ms >= this.#slow.fromMs) this.#slow.report({ text, ms });
  }
}
