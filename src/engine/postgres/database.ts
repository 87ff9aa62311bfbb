/**
 * Postgres: one pool for reads and one for writes, since a write that waits for Redis holds its connection and reads
 * must not wait for it. Drizzle runs over both. A hook sees every statement when it is issued, in the caller's async
 * context.
 */
import { drizzle } from 'drizzle-orm/postgres-js';
import postgres, { type Sql } from 'postgres';
import { SECOND } from '../cache/time.js';
import { type Connection, parseConnectionUrl } from './connection-url.js';
import { driverFault } from './driver-check.js';
import type { Database, Executor, Prepared, Transaction } from './executor.js';
import { type PoolState, PoolWatch, type SlowStatements, type StatementTrace } from './pool-watch.js';
import { statementCache } from './prepared-statements.js';
import { ReadPool } from './read-pool.js';
import { STATEMENT_TIMEOUT_MS, startupSettings, transactionSettings } from './session-settings.js';
import { WritePool } from './write-pool.js';
import { MAX_WRITES } from './write-queue.js';

const MAX_READS = 10;
/** The relay and what resolves fences have a connection each (core.ts). */
const BESIDE_POOLS = 2;
/**
 * A server refuses a lower `connection_limit`. Commands work with one connection, since they close each before they
 * open the next.
 */
export const SERVER_CONNECTIONS = {
  min: BESIDE_POOLS + 2,
  why: 'a server keeps two for invalidation, and needs one to read and one to write',
};
/**
 * How long Postgres works on one statement of a read. Less than a request waits, so that its client learns which field
 * took too long.
 */
const READ_TIMEOUT_MS = 10 * SECOND;
/** A connection that is silent for longer counts as dead: by then the server has ended the statement, or is gone. */
const ANSWER_MS = 35 * SECOND;
/**
 * The longest pause before a failed connection is opened again: a query that was given to it waits for that. The
 * driver's default goes up to 20 s.
 */
const MAX_BACKOFF_S = 0.5;

export interface DatabaseOptions {
  readonly url: string;
  /** Sees the text of every statement, except BEGIN and COMMIT. */
  readonly onStatement?: (text: string) => void;
  /** Hears of statements of both pools that take long. Absent: they are not timed. */
  readonly slow?: SlowStatements | undefined;
  /** Hears of the end of statements of both pools. Default: none. */
  readonly trace?: StatementTrace | undefined;
  /** The signal of the read that issues a statement without `until`: when it aborts, the statement is cancelled. */
  readonly signal?: () => AbortSignal | undefined;
  /** For tests. */
  readonly answerMs?: number;
  /** How long Postgres works on one statement of a read, ms. Default 10 s. */
  readonly readTimeoutMs?: number | undefined;
}

/** The database with its write pool and the methods that only its owner needs. */
export type MainDatabase = ReturnType<typeof openDatabase>;
export function openDatabase(options: DatabaseOptions) {
  const connection = parseConnectionUrl(options.url);
  const max = poolSizes(connection);
  const logger = loggedBy(options.onStatement);
  const watches = { read: new PoolWatch(max.reads, options), write: new PoolWatch(max.writes, options) };
  const readers = openReadPool(connection, { max: max.reads, watch: watches.read }, options);
  const readUntil = (signal?: AbortSignal) => drizzle(readers.client(signal), logger);
  const read = readUntil();
  const first = connection.pooled ? transactionSettings(STATEMENT_TIMEOUT_MS) : undefined;
  const writers = new WritePool(() => connect(connection, { max: max.writes }), {
    logger: logger.logger,
    watch: watches.write,
    first,
  });
  const prepared = statementCache(read);
  return {
    prepared,
    read: read as Executor,
    until: (signal: AbortSignal) => readsUntil(signal, { readers, readUntil, prepared }),
    write: drizzle(writers.client, logger),
    /** Transactions that write at once: the size of the write pool. */
    maxWrites: max.writes,
    /** Connections of both pools. */
    get pools(): { readonly read: PoolState; readonly write: PoolState } {
      return { read: watches.read.state, write: watches.write.state };
    },
    /**
     * `fn` sees the database of one moment, in one read-only transaction. Its statements are cancelled when `signal`
     * aborts.
     */
    snapshot<T>(fn: (at: Database) => Promise<T>, signal?: AbortSignal): Promise<T> {
      return readUntil(signal).transaction((tx) => fn(readsWithin(tx)), {
        isolationLevel: 'repeatable read',
        accessMode: 'read only',
      });
    },
    /** Leaves all connections, because the address leads to another database now. Running statements may end. */
    reconnect() {
      readers.reconnect();
      writers.reconnect();
    },
    async close() {
      await Promise.all([readers.end({ timeout: 5 }), writers.end({ timeout: 5 })]);
    },
  };
}

function openReadPool(
  connection: Connection,
  { max, watch }: { readonly max: number; readonly watch: PoolWatch },
  {
    signal = () => undefined,
    answerMs = ANSWER_MS,
    readTimeoutMs: statementTimeoutMs = READ_TIMEOUT_MS,
  }: DatabaseOptions,
): ReadPool {
  return new ReadPool({
    connect: () => connect(connection, { max, statementTimeoutMs }),
    signal,
    answerMs,
    statementTimeoutMs,
    cancelsLate: connection.pooled,
    watch,
  });
}

/** Reads whose statements are cancelled when `signal` aborts. */
function readsUntil(
  signal: AbortSignal,
  pool: {
    readonly readers: ReadPool;
    readonly readUntil: (signal: AbortSignal) => Executor;
    readonly prepared: ReturnType<typeof statementCache>;
  },
): Database {
  let read: Executor | undefined;
  return {
    prepared<S extends Prepared>(name: string, build: (read: Executor, name: string) => S) {
      const statement = pool.prepared(name, build);
      return { execute: (values) => pool.readers.until(signal, () => statement.execute(values)) } as Pick<S, 'execute'>;
    },
    get read() {
      read ??= pool.readUntil(signal);
      return read;
    },
    until: (other) => readsUntil(other, pool),
  };
}

/** Reads in a transaction, which has its own signal. */
function readsWithin(tx: Transaction): Database {
  const at: Database = { read: tx, prepared: (name, build) => build(tx, name), until: () => at };
  return at;
}

function loggedBy(onStatement: DatabaseOptions['onStatement']) {
  return { logger: onStatement === undefined ? (false as const) : { logQuery: (text: string) => onStatement(text) } };
}

/** `connection_limit` bounds the process. Writes get a third of what invalidation leaves. Each gets at least one. */
function poolSizes({ maxConnections }: Connection): { reads: number; writes: number } {
  if (maxConnections === undefined) return { reads: MAX_READS, writes: MAX_WRITES };
  const left = Math.max(maxConnections - BESIDE_POOLS, 2);
  const writes = Math.max(1, Math.floor(left / 3));
  return { reads: left - writes, writes };
}

/** See `driverFault`: of the driver that this file uses. */
export function installedDriverFault(): Promise<string | undefined> {
  return driverFault(postgres);
}

export interface ClientOptions {
  readonly max: number;
  /** 0: none. Default: 30 s. Not sent through a pooler: see `transactionSettings`. */
  readonly statementTimeoutMs?: number;
}

/**
 * A bare client for statements outside requests: the relay, migrations.
 * @throws ConnectionUrlError
 */
export function postgresClient(url: string, options: ClientOptions): Sql {
  return connect(parseConnectionUrl(url), options);
}

/** The only place that opens connections, so that all have the settings that the code relies on. */
function connect(to: Connection, { max, statementTimeoutMs = STATEMENT_TIMEOUT_MS }: ClientOptions): Sql {
  const options = {
    host: [to.host], // as an array, the driver leaves the colons of an IPv6 address alone
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
  return postgres(options as object); // the driver's types have no list of hosts, no sslnegotiation and few settings
}
