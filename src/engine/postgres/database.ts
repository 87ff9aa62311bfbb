/**
 * Postgres: one pool for reads, one for writes (a write waiting for Redis holds its connection; reads must not wait behind it),
 * Drizzle over both, and a hook that sees every statement as it is issued, in the caller's async context.
 */
import { drizzle } from 'drizzle-orm/postgres-js';
import postgres, { type Sql } from 'postgres';
import { SECOND } from '../cache/time.js';
import { type Connection, parseConnectionUrl } from './connection-url.js';
import type { Database, Executor, Prepared, Transaction } from './executor.js';
import { statementCache } from './prepared-statements.js';
import { ReadPool } from './read-pool.js';
import { STATEMENT_TIMEOUT_MS, startupSettings, transactionSettings } from './session-settings.js';
import { WritePool } from './write-pool.js';
import { MAX_WRITES } from './write-queue.js';

const MAX_READS = 10;
/** The relay and what resolves fences have a connection each (core.ts). */
const BESIDE_POOLS = 2;
/** A server refuses a `connection_limit` below it. Commands do with one: what they open is closed before the next is opened. */
export const SERVER_CONNECTIONS = {
  min: BESIDE_POOLS + 2,
  why: 'a server keeps two for invalidation, and needs one to read and one to write',
};
/** Of a read. Below the time an answer is waited for, so that its client learns which field took too long. */
const READ_TIMEOUT_MS = 10 * SECOND;
/** After which a connection that says nothing counts as dead: the server has ended the statement by then, or is not there. */
const ANSWER_MS = 35 * SECOND;
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

/** With the pool for writes, and what only its owner needs. */
export type MainDatabase = ReturnType<typeof openDatabase>;
export function openDatabase(options: DatabaseOptions) {
  const { url, onStatement, signal = () => undefined, answerMs = ANSWER_MS } = options;
  const { readTimeoutMs: statementTimeoutMs = READ_TIMEOUT_MS } = options;
  const connection = parseConnectionUrl(url);
  const max = poolSizes(connection);
  const readers = new ReadPool({
    connect: () => connect(connection, { max: max.reads, statementTimeoutMs }),
    signal,
    answerMs,
    statementTimeoutMs,
    cancelsLate: connection.pooled,
  });
  const logger = loggedBy(onStatement);
  const readUntil = (signal?: AbortSignal) => drizzle(readers.client(signal), logger);
  const reads = { sql: readers, drizzle: readUntil() };
  const first = connection.pooled ? transactionSettings(STATEMENT_TIMEOUT_MS) : undefined;
  const writers = new WritePool(() => connect(connection, { max: max.writes }), logger.logger, first);
  const writes = { sql: writers, drizzle: drizzle(writers.client, logger) };
  const prepared = statementCache(reads.drizzle);
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
    /** Transactions that write at once: the size of the pool behind `write`. */
    maxWrites: max.writes,
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
    /** Leaves all connections: another database is behind the address than before. What runs on them may end. */
    reconnect() {
      readers.reconnect();
      writers.reconnect();
    },
    async close() {
      await Promise.all([reads.sql.end({ timeout: 5 }), writes.sql.end({ timeout: 5 })]);
    },
  };
}

function loggedBy(onStatement: DatabaseOptions['onStatement']) {
  return { logger: onStatement === undefined ? (false as const) : { logQuery: (text: string) => onStatement(text) } };
}

/** `connection_limit` bounds the process. Writes get a third of what invalidation leaves. Both have one connection at least. */
function poolSizes({ maxConnections }: Connection): { reads: number; writes: number } {
  if (maxConnections === undefined) return { reads: MAX_READS, writes: MAX_WRITES };
  const left = Math.max(maxConnections - BESIDE_POOLS, 2);
  const writes = Math.max(1, Math.floor(left / 3));
  return { reads: left - writes, writes };
}

export interface ClientOptions {
  readonly max: number;
  /** 0: none. Default: 30 s. Not sent through a pooler: see `transactionSettings`. */
  readonly statementTimeoutMs?: number;
}

/**
 * A bare client, for statements outside of any request: the relay, migrations.
 * @throws ConnectionUrlError
 */
export function postgresClient(url: string, options: ClientOptions): Sql {
  return connect(parseConnectionUrl(url), options);
}

/** The only place that opens connections, so that all of them have the settings that the code relies on. */
function connect(to: Connection, { max, statementTimeoutMs = STATEMENT_TIMEOUT_MS }: ClientOptions): Sql {
  const options = {
    host: [to.host], // in an array the driver leaves the colons of an IPv6 address alone
    port: [to.port],
    ...(to.socketPath !== undefined && { path: to.socketPath }),
    ...(to.user !== undefined && { user: to.user }),
    ...(to.password !== undefined && { password: to.password }),
    ...(to.database !== undefined && { database: to.database }),
    ssl: to.tls,
    sslnegotiation: to.tlsDirect ? 'direct' : null,
    prepare: to.prepare,
    max,
    connect_timeout: to.connectTimeoutS,
    keep_alive: to.keepAliveS,
    ...(to.maxLifetimeS !== undefined && { max_lifetime: to.maxLifetimeS }),
    ...(to.idleTimeoutS !== undefined && { idle_timeout: to.idleTimeoutS }),
    backoff: (failures: number) => Math.min(3 ** failures / 100, MAX_BACKOFF_S) * (0.5 + Math.random() / 2),
    onnotice: () => {},
    connection: {
      application_name: to.applicationName,
      ...(to.options !== undefined && { options: to.options }),
      ...(!to.pooled && startupSettings(statementTimeoutMs)),
    },
  };
  return postgres(options as object); // its types know no list of hosts, no sslnegotiation, and few settings
}
