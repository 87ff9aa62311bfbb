/**
 * Postgres: one pool for reads, one for writes (a write waiting for Redis holds its connection; reads must not wait behind it),
 * Drizzle over both, and a hook that sees every statement as it is issued, in the caller's async context.
 */
import { drizzle, type PostgresJsDatabase } from 'drizzle-orm/postgres-js';
import postgres from 'postgres';
import { SECOND } from '../time.js';
import { builtOnce } from './preparing.js';
import { ReadPool as Readers } from './read-pool.js';
import { WritePool as Writers } from './write-pool.js';

const MAX_READS = 10;
/** Transactions that write at once in this process. */
export const MAX_WRITES = 5;
/** A statement that takes longer is a fault of ours or an overload; either way its connection is wanted back. */
const STATEMENT_TIMEOUT_MS = 30 * SECOND;
/** Of a read. Below the time an answer is waited for, so that its client learns which field took too long. */
const READ_TIMEOUT_MS = 10 * SECOND;
/** After which a connection that says nothing counts as dead: the server has ended the statement by then, or is not there. */
const ANSWER_MS = 35 * SECOND;
const CONNECT_TIMEOUT_S = 5;
/** How long a connection that failed rests before it is opened again: a query that was given to it waits for that. The driver's own goes up to 20 s. */
const MAX_BACKOFF_S = 0.5;

export interface DatabaseOptions {
  readonly url: string;
  /** Sees the text of every statement, BEGIN and COMMIT excepted. */
  readonly onStatement?: (text: string) => void;
  /** For how long the read that issues a statement is waited for, where it does not say so (`until`): when it aborts, the statement is cancelled. */
  readonly signal?: () => AbortSignal | undefined;
  /** For tests. */
  readonly answerMs?: number;
  /** How long Postgres works on one statement of a read. Default 10 s. */
  readonly readTimeoutMs?: number | undefined;
}

/** What reads use: the pool, or one snapshot of the database. */
export interface Database {
  /** A statement of the read pool, built once under its name; Postgres plans it once per connection. */
  prepared<S extends Prepared>(name: string, build: (read: Executor, name: string) => S): Pick<S, 'execute'>;
  readonly read: Executor;
  /** The same for a caller who waits until `signal` aborts: then its statements are cancelled. */
  until(signal: AbortSignal): Database;
}

export interface Prepared {
  execute(values?: Record<string, unknown>): Promise<unknown>;
}

/** With the pool for writes, and what only its owner needs. */
export type MainDatabase = ReturnType<typeof openDatabase>;
/** Where a query runs: `db.read`, or the transaction of a write. */
export type Executor = ReadPool | Transaction;
export type ReadPool = PostgresJsDatabase;
export type Transaction = Parameters<Parameters<ReadPool['transaction']>[0]>[0];

export function openDatabase(options: DatabaseOptions) {
  const { url, onStatement, signal = () => undefined, answerMs = ANSWER_MS } = options;
  const { readTimeoutMs: statementTimeoutMs = READ_TIMEOUT_MS } = options;
  const connect = () => postgresClient(url, { max: MAX_READS, statementTimeoutMs });
  const readers = new Readers({ connect, signal, answerMs, statementTimeoutMs });
  const logger = loggedBy(onStatement);
  const readUntil = (signal?: AbortSignal) => drizzle(readers.client(signal), logger);
  const reads = { sql: readers, drizzle: readUntil() };
  const writer = postgresClient(url, { max: MAX_WRITES });
  const writes = { sql: writer, drizzle: drizzle(new Writers(writer, logger.logger).client, logger) };
  const prepared = builtOnce(reads.drizzle);
  const until = (signal: AbortSignal): Database => {
    let read: Executor | undefined;
    return {
      prepared<S extends Prepared>(name: string, build: (read: Executor, name: string) => S) {
        const statement = prepared(name, build);
        return { execute: (values) => readers.until(signal, () => statement.execute(values)) } as Pick<S, 'execute'>;
      },
      get read() {
        read ??= readUntil(signal);
        return read;
      },
      until,
    };
  };
  return {
    prepared,
    read: reads.drizzle as Executor,
    until,
    write: writes.drizzle,
    /** `fn` sees the database of one moment, in one transaction that writes nothing. All its statements are waited for until `signal` aborts. */
    snapshot<T>(fn: (at: Database) => Promise<T>, signal?: AbortSignal): Promise<T> {
      const within = (tx: Transaction): Database => {
        const at: Database = { read: tx, prepared: (name, build) => build(tx, name), until: () => at };
        return at;
      };
      return readUntil(signal).transaction((tx) => fn(within(tx)), {
        isolationLevel: 'repeatable read',
        accessMode: 'read only',
      });
    },
    async close() {
      await Promise.all([reads.sql.end({ timeout: 5 }), writes.sql.end({ timeout: 5 })]);
    },
  };
}

function loggedBy(onStatement: DatabaseOptions['onStatement']) {
  return { logger: onStatement === undefined ? (false as const) : { logQuery: (text: string) => onStatement(text) } };
}

/** A bare client, for what stands outside of any request: the relay, migrations. */
export function postgresClient(url: string, options: { max: number; statementTimeoutMs?: number }) {
  return postgres(url, {
    max: options.max,
    connect_timeout: CONNECT_TIMEOUT_S,
    backoff: (failures: number) => Math.min(3 ** failures / 100, MAX_BACKOFF_S) * (0.5 + Math.random() / 2),
    onnotice: () => {},
    connection: {
      application_name: 'tasks-api',
      statement_timeout: options.statementTimeoutMs ?? STATEMENT_TIMEOUT_MS,
      TimeZone: 'UTC', // instants come back as text: always the same text
    },
  });
}
