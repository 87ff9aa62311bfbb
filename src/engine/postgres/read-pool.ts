/**
 * The read pool as Drizzle sees it: the driver's client with what the driver lacks. A statement without waiting callers
 * is cancelled in Postgres. A statement that another one's cancellation hit is sent again; one whose connection died is
 * sent again once. If the server is silent long after its own limit, the pool is left and opened again.
 */

import type { PendingQuery, Row, Sql, TransactionSql } from 'postgres';
import { SECOND } from '../cache/time.js';
import { isConnectionLost } from './connection-errors.js';
import { leave } from './leave.js';
import type { PoolWatch } from './pool-watch.js';
import { repeatedStatements } from './prepared-statements.js';

/**
 * The interval between cancel requests for one statement: it may just be waiting for its turn, or be between two
 * messages.
 */
const CANCEL_EVERY_MS = 100;
/** The cancellation of one statement hits the next one on rare occasions; twice in a row means something else. */
const MAX_ATTEMPTS = 3;
const QUERY_CANCELED = '57014';
/**
 * The pause before a statement is sent again: whatever ended its connection may have ended others, which the pool
 * learns one by one.
 */
const RESEND_AFTER_MS = 50;

export interface ReadPoolOptions {
  readonly connect: () => Sql;
  /** The signal of the statement that is about to be sent, where `until` gives none. */
  readonly signal: () => AbortSignal | undefined;
  /** Silence after which a statement's connection counts as dead, ms. More than the server lets a statement run. */
  readonly answerMs: number;
  /** How long the server lets a statement run, ms. A cancellation before that was requested by a client. */
  readonly statementTimeoutMs: number;
  /** The server does not enforce `statementTimeoutMs` on these connections, so the pool cancels late statements. */
  readonly cancelsLate: boolean;
  readonly watch: PoolWatch;
}

/**
 * The driver's query with members that its types hide: whether Postgres works on it now, and a canceller that may be
 * called repeatedly.
 */
type Query = PendingQuery<Row[]> & { readonly active: boolean; readonly canceller: (query: Query) => Promise<void> };
type Unsafe = Sql['unsafe'];

export class ReadPool {
  readonly #options: ReadPoolOptions;
  readonly #comesAgain = repeatedStatements();
  #sql: Sql;
  /** The signal of the statements that are being made. */
  #until: AbortSignal | undefined;

  constructor(options: ReadPoolOptions) {
    this.#options = options;
    this.#sql = options.connect();
  }

  /** Statements that `make` makes before it returns are cancelled when `signal` aborts. */
  until<T>(signal: AbortSignal, make: () => T): T {
    this.#until = signal;
    try {
      return make();
    } finally {
      this.#until = undefined;
    }
  }

  /** What Drizzle takes for the driver's client, over whichever pool is in use. */
  client(until?: AbortSignal): Sql {
    const unsafe = (...args: Parameters<Unsafe>) => {
      const signal = until ?? this.#until ?? this.#options.signal();
      const { watch } = this.#options;
      return new Statement({ send: () => this.#sent(this.#sql, args), text: args[0], signal, watch, pooled: true });
    };
    const begin = async <T>(run: (tx: TransactionSql) => Promise<T>) => {
      const sql = this.#sql;
      this.#options.watch.begin();
      try {
        return await sql.begin((tx) => run(this.#within(tx, sql, until)));
      } finally {
        this.#options.watch.end();
      }
    };
    return { options: this.#sql.options, unsafe, begin } as unknown as Sql;
  }

  /** Sends statements on new connections from now on: the old ones may lead to another database. */
  reconnect(): void {
    this.#leave(this.#sql);
  }

  async end(options: { timeout: number }): Promise<void> {
    await this.#sql.end(options);
  }

  /** A transaction is not sent again: its reads belong together. */
  #within(tx: TransactionSql, sql: Sql, until: AbortSignal | undefined): TransactionSql {
    const { watch } = this.#options;
    const unsafe = (...args: Parameters<Unsafe>) => {
      const signal = until ?? this.#options.signal();
      return new Statement({ send: () => this.#sent(sql, args, tx), text: args[0], signal, watch, pooled: false });
    };
    return { options: sql.options, unsafe } as unknown as TransactionSql;
  }

  #sent(pool: Sql, args: Parameters<Unsafe>, on: Pick<Sql, 'unsafe'> = pool): Sent {
    const [text, parameters, options] = args;
    const prepare = options?.prepare === true || this.#comesAgain(text);
    const query = on.unsafe(text, parameters, { ...options, prepare }) as unknown as Query;
    const { answerMs, statementTimeoutMs, cancelsLate } = this.#options;
    return { query, answerMs, statementTimeoutMs, cancelsLate, leave: () => this.#leave(pool) };
  }

  /** Sends statements on new connections from now on. Once per pool. */
  #leave(pool: Sql): void {
    if (pool !== this.#sql) return;
    this.#sql = this.#options.connect();
    leave(pool);
  }
}

interface Sent extends Pick<ReadPoolOptions, 'answerMs' | 'statementTimeoutMs' | 'cancelsLate'> {
  readonly query: Query;
  readonly leave: () => void;
}

/** Like the driver's query: sent when it is awaited, as rows of values if `values` was called before. */
class Statement implements PromiseLike<unknown> {
  #asValues = false;

  constructor(
    private readonly how: {
      readonly send: () => Sent;
      readonly text: string;
      readonly signal: AbortSignal | undefined;
      readonly watch: PoolWatch;
      /**
       * Whether it takes a connection for itself. It may then be sent again when it was cancelled by mistake, or once
       * when its connection died.
       */
      readonly pooled: boolean;
    },
  ) {}

  values(): this {
    this.#asValues = true;
    return this;
  }

  // biome-ignore lint/suspicious/noThenProperty: it replaces the driver's query, which is awaited
  then<A = unknown, B = never>(
    onAnswer?: ((rows: unknown) => A | PromiseLike<A>) | null,
    onError?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return (this.how.pooled ? this.#runPooled() : this.#run()).then(onAnswer, onError);
  }

  async #runPooled(): Promise<unknown> {
    this.how.watch.begin();
    try {
      return await this.#run();
    } finally {
      this.how.watch.end();
    }
  }

  async #run(): Promise<unknown> {
    const { send, text, signal, watch, pooled: again } = this.how;
    let resent = false;
    for (let attempt = 1; ; attempt++) {
      signal?.throwIfAborted();
      const startedMs = performance.now();
      const sent = send();
      try {
        return await answered(sent, this.#asValues, signal);
      } catch (error) {
        signal?.throwIfAborted();
        if (again && !resent && isConnectionLost(error)) {
          resent = true;
          await new Promise((resolve) => setTimeout(resolve, RESEND_AFTER_MS));
          continue;
        }
        const code = (error as { code?: unknown }).code;
        const byMistake = code === QUERY_CANCELED && performance.now() - startedMs < sent.statementTimeoutMs;
        if (code === QUERY_CANCELED && !byMistake) throw new QueryTimeout(sent.statementTimeoutMs, error);
        if (!again || !byMistake || attempt === MAX_ATTEMPTS) throw error;
      } finally {
        watch.ended(text, startedMs);
      }
    }
  }
}

/** The message is for clients, so it does not contain the statement. */
export class QueryTimeout extends Error {
  override readonly name = 'QueryTimeout';
  readonly code = 'QUERY_TIMEOUT';

  constructor(ms: number, cause: unknown) {
    const ask = 'ask for less, by a narrower filter, a smaller page, or without the count';
    super(`The database did not finish this within ${ms} ms: ${ask}.`, { cause });
  }
}

export class NoAnswer extends Error {
  override readonly name = 'NoAnswer';
  readonly code = 'POSTGRES_NO_ANSWER';
}

/** @throws NoAnswer; what the statement fails with */
async function answered(
  { query, answerMs, statementTimeoutMs, cancelsLate, leave }: Sent,
  asValues: boolean,
  signal: AbortSignal | undefined,
) {
  const run = asValues ? query.values() : query;
  let cancelling: NodeJS.Timeout | undefined;
  const cancel = () => {
    // Not the driver's `cancel`: for a statement that waits for its turn on a connection it loses the answers of
    // others.
    if (query.active) query.canceller(query).catch(() => {});
    cancelling = setTimeout(cancel, CANCEL_EVERY_MS);
  };
  signal?.addEventListener('abort', cancel, { once: true });
  const late = cancelsLate ? setTimeout(cancel, statementTimeoutMs) : undefined;
  let deadline: NodeJS.Timeout | undefined;
  try {
    return await new Promise((resolve, reject) => {
      deadline = setTimeout(() => {
        if (query.active) leave();
        reject(new NoAnswer(`Postgres has not answered in ${answerMs / SECOND} s`));
      }, answerMs);
      run.then(resolve, reject);
    });
  } finally {
    signal?.removeEventListener('abort', cancel);
    clearTimeout(late);
    clearTimeout(cancelling);
    clearTimeout(deadline);
  }
}
