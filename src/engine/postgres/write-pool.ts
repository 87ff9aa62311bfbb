/**
 * The write pool as Drizzle sees it: the driver's client with what the driver lacks. Statements of transactions may be
 * built once for all of them (`preparedIn`). Statements of one transaction are sent in the order in which they were
 * made, and are counted, so that a caller knows whether a statement was the last one (`statementCount`).
 */

import type { DrizzleConfig } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/postgres-js';
import type { Sql, TransactionSql } from 'postgres';
import { type Attributes, closeSpan, openSpan } from '../cache/spans.js';
import { leave } from './leave.js';
import { BEGINS_AS, enlist, type PoolClient } from './pool-transaction.js';
import type { PoolWatch } from './pool-watch.js';
import { repeatedStatements, statementCache } from './prepared-statements.js';
import { sqlSpan } from './sql-span.js';

type Unsafe = Sql['unsafe'];
/** With the types of the driver. */
type Client = PoolClient & { readonly unsafe: Unsafe };
type Open = (run: Run) => Promise<unknown>;
/** `early`: of the mended driver, which then runs it as soon as BEGIN is sent. */
type Run = ((tx: TransactionSql) => unknown) & { early?: boolean };
/** `early`: of the mended driver, which then sends it behind BEGIN unless one waits that is not early. */
type StatementOptions = Parameters<Unsafe>[2] & { readonly early?: boolean; readonly simple?: boolean };
type Pool = PoolClient['pool'];
type Logger = NonNullable<DrizzleConfig['logger']>;

export class WritePool implements Pool {
  /** What Drizzle takes for the driver's client, with the methods that it calls. */
  readonly client: Sql;
  /** Statements for any transaction: each runs in the client given to `at`. */
  readonly statement: ReturnType<typeof statementCache>;
  readonly #connect: () => Sql;
  #sql: Sql;
  readonly #comesAgain = repeatedStatements();
  readonly #first: string | undefined;
  readonly #watch: PoolWatch;
  readonly #attributes: Attributes;
  /** The client in which the statement being sent runs. */
  #at: Client | undefined;
  /** Whether it may be sent behind BEGIN. */
  #early = false;

  /**
   * @param options first: a statement that begins each transaction, in the same round trip as the next one; attributes:
   * of the spans of statements
   */
  constructor(
    connect: () => Sql,
    {
      logger,
      watch,
      first,
      attributes = {},
    }: {
      readonly logger: Logger;
      readonly watch: PoolWatch;
      readonly first?: string | undefined;
      readonly attributes?: Attributes;
    },
  ) {
    this.#connect = connect;
    this.#watch = watch;
    this.#sql = connect();
    this.#first = first;
    this.#attributes = attributes;
    const { options } = this.#sql;
    const current = {
      options,
      unsafe: (...args: Parameters<Unsafe>) => this.#sql.unsafe(...args),
      begin: (as: string, run: (tx: TransactionSql) => unknown) => this.#transaction(as, run),
    } as unknown as Sql;
    this.client = this.#over(current, undefined, false);
    const unsafe: Unsafe = (...args) => (this.#at as Client).unsafe(...args);
    this.statement = statementCache(drizzle({ options, unsafe } as unknown as Sql, { logger }));
  }

  /** Begins transactions on new connections from now on: the old ones may lead to another database. */
  reconnect(): void {
    const left = this.#sql;
    this.#sql = this.#connect();
    leave(left);
  }

  async end(options: { timeout: number }): Promise<void> {
    await this.#sql.end(options);
  }

  async #transaction(as: string, run: (tx: TransactionSql) => unknown): Promise<unknown> {
    this.#watch.begin();
    try {
      return await this.#sql.begin(as, run);
    } finally {
      this.#watch.end();
    }
  }

  at<T>(client: PoolClient, send: () => T, { early = false }: { readonly early?: boolean } = {}): T {
    this.#at = client as Client;
    this.#early = early;
    try {
      return send();
    } finally {
      this.#at = undefined;
      this.#early = false;
    }
  }

  /** Without parameters the driver would send even a prepared statement as text, to be parsed and planned each time. */
  #howSent(text: string): { readonly prepare: boolean; readonly simple?: false } {
    const prepare = this.#comesAgain(text);
    return { prepare, ...(prepare && !text.includes(';') && { simple: false }) };
  }

  #begin(tx: TransactionSql): void {
    if (this.#first === undefined) return;
    tx.unsafe(this.#first)
      .execute()
      .catch(() => {}); // the transaction fails with it, and its next statement reports that
  }

  #time(text: string, sent: PromiseLike<unknown>): void {
    const startedMs = performance.now();
    const ended = () => this.#watch.ended(text, startedMs);
    sent.then(ended, ended);
  }

  /** Wraps a client, and the transactions and savepoints that it opens. */
  #over<C extends Sql | TransactionSql>(sql: C, transaction: Client['transaction'], part: boolean): C {
    const unsafe = (...[text, parameters, options]: Parameters<Unsafe>) => {
      const early = this.#early && this.#first === undefined;
      const query = sql.unsafe(text, parameters, { ...options, ...this.#howSent(text), early } as StatementOptions);
      if (transaction === undefined) return query;
      transaction.sent++;
      const span = openSpan(() => sqlSpan(text, this.#attributes));
      const sent = query.execute(); // now, not when awaited
      if (this.#watch.timesStatements) this.#time(text, sent);
      if (span !== undefined) {
        sent.then(
          () => closeSpan(span),
          (error) => closeSpan(span, error),
        );
      }
      return sent;
    };
    const set = (text: string) =>
      sql.unsafe(text, [], { early: this.#first === undefined } as StatementOptions).execute();
    const opening = (open: Open) => (run: (tx: TransactionSql) => unknown) => {
      const opened: Run = (tx) => {
        if (transaction === undefined) this.#begin(tx);
        return run(this.#over(tx, transaction ?? { sent: 0 }, transaction !== undefined));
      };
      opened.early = this.#first === undefined;
      return open(opened);
    };
    const opens =
      'begin' in sql
        ? { begin: opening((run) => sql.begin(BEGINS_AS, run)) }
        : { savepoint: opening(sql.savepoint as Open) };
    return enlist({ options: this.#sql.options, pool: this, unsafe, set, transaction, part, ...opens }) as unknown as C;
  }
}
