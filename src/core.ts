/**
 * Everything needed to read and write with the cache, for the API and for commands: the database, the cache and the
 * invalidation bridge between them. Built in order of dependencies, closed in reverse.
 */

import type { Sql } from 'postgres';
import { actorSettings } from './db/actor.js';
import { trimHistory } from './domain/history/history.trim.js';
import { allRowSets, eventTables } from './domain/registry.js';
import { countPending } from './domain/webhooks/webhook-queue.js';
import {
  CACHE_EVENTS,
  CacheError,
  type CacheEvents,
  type CacheOptions,
  combineListeners,
  DEFAULT_MAX_LOADS,
  type Head,
  LEASE_MS,
  loadSignal,
  MemoryStore,
  Statistics,
  type Store,
  systemClock,
} from './engine/cache/index.js';
import { Tracer } from './engine/graphql/index.js';
import {
  Coverage,
  cacheDatabase,
  estimatedOutboxSize,
  leave,
  type MainDatabase,
  openDatabase,
  type PoolSizes,
  postgresClient,
  postgresOutbox,
  type Relay,
  requireTriggers,
} from './engine/postgres/index.js';
import {
  databaseIn,
  failureReason,
  type OutageListener,
  type RedisPlace,
  RedisStore,
  withTimeout,
} from './engine/redis/index.js';
import { ERROR_CODES } from './graphql/errors.js';
import { Activity, RELAY_EVENTS } from './platform/activity/index.js';
import { ConfigError } from './platform/config-error.js';
import { version } from './platform/config-words.js';
import type { Log } from './platform/log.js';
import { createMetrics } from './platform/metrics.js';
import { slowStatements } from './platform/slow-log.js';
import { shared } from './std/shared.js';
import { SECOND } from './std/time.js';

/** Background statements (relay, fence resolution) must fail fast. */
const RELAY_STATEMENT_TIMEOUT_MS = 5000;

interface OpenStoreOptions extends Pick<CacheOptions, 'fencePolicy'> {
  readonly group?: string;
  /** How long one call to Redis may take, in ms. Default 250, for servers, which have Postgres to ask instead. */
  readonly waitMs?: number;
}

/**
 * Opens the shared store and connects it if possible; without Redis, a store in this process.
 * @param fencePolicy named in the log of outages
 * @throws ConfigError if Redis refuses the database of REDIS_URL, or is too old
 */
export async function openStore(
  place: RedisPlace | undefined,
  log: Log,
  { group, fencePolicy = 'available', ...waits }: OpenStoreOptions = {},
): Promise<Store> {
  if (place === undefined) return new MemoryStore();
  const store = new RedisStore({
    ...place,
    ...(group && { group }),
    ...waits,
    onLimit: (text) => log.warn(`this Redis: ${text}`),
    onOutage: outageLog(log, fencePolicy),
  });
  try {
    await store.ready();
  } catch (error) {
    await store.close();
    if (!(error instanceof CacheError)) throw error;
    if (error.code === 'SERVER_TOO_OLD') throw new ConfigError(`Redis cannot be used: ${error.message}`);
    const database = databaseIn('url' in place ? place.url : undefined);
    throw new ConfigError(
      `REDIS_URL: expected a database that this Redis has, but it refuses ${database}: ${error.message}`,
    );
  }
  return store;
}

/** Logs one line when an outage begins to affect writes, and one when it ends. */
function outageLog(log: Log, fencePolicy: CacheOptions['fencePolicy']): OutageListener {
  const then =
    fencePolicy === 'reject'
      ? 'writes are refused (FENCE_POLICY=reject)'
      : `writes commit without a fence and are answered ${LEASE_MS / SECOND} s later`;
  return {
    began: (reason) => log.warn(`${reason}: ${then}`),
    ended: () => log.warn('Redis accepts writes again: writes are fenced'),
  };
}

export interface CoreOptions extends Pick<CacheOptions, 'fencePolicy' | 'maxLoads' | 'monitorShare'> {
  /** Size of the near cache in bytes. Defaults to 0, which disables it. */
  readonly nearCacheBytes?: number;
  readonly databaseUrl: string;
  readonly store: Store;
  readonly log: Log;
  /**
   * Whether to check every cached load against its tags, and what cached methods use of their root. For development and
   * tests.
   */
  readonly checkCoverage: boolean;
  /** Listeners in addition to the core's own. */
  readonly events?: CacheEvents;
  readonly onStatement?: (text: string) => void;
  /** Statements that take as long are logged, in ms; 0: none. Default: none. */
  readonly slowStatementMs?: number;
  /** Time limit of one read statement. Default: see engine/postgres/database.ts. */
  readonly readTimeoutMs?: number;
  /** Connections for requests. Default: see engine/postgres/database.ts. */
  readonly pools?: PoolSizes;
  /** How long history is kept. Default 0: until the task or project is purged. */
  readonly historyDays?: number;
}

const STATISTICS_EVERY_MS = 10 * SECOND;
/** Time limit of `select 1` in the readiness check. */
const READINESS_MS = 2 * SECOND;

export type Core = ReturnType<typeof createCore>;

export function createCore(options: CoreOptions) {
  const { store, log } = options;
  const coverage = options.checkCoverage ? new Coverage(allRowSets) : undefined;
  const db = openCoreDatabase(options, coverage, () => activity.statement());
  const background = new BackgroundConnection(options.databaseUrl);
  const pools = () => withQueue(db.pools, cached.transactor.state.waiting);
  const outbox = () => estimatedOutboxSize(background.sql);
  const pendingDeliveries = () => countPending(background.sql);
  const metrics = createMetrics({
    ...{ cache: () => cached.cache, pools, outbox, pendingDeliveries, errorCodes: ERROR_CODES },
  });
  const statistics = new Statistics({ store, clock: systemClock });
  const activity: Activity = new Activity({
    version,
    cache: () => cached.cache,
    pools,
    maxLoads: options.maxLoads ?? DEFAULT_MAX_LOADS,
    sql: () => background.sql,
  });
  const trims = options.historyDays ? [trimHistory(options.historyDays)] : [];
  const own = coreListeners({ statistics, activity, log });
  const cached: ReturnType<typeof cacheDatabase> = cacheDatabase({
    ...options,
    db,
    sql: () => background.sql,
    connectOutbox: () => postgresOutbox(background.open(), eventTables, trims),
    settingsOf: actorSettings,
    events: {
      ...combineListeners([metrics.events, activity.events], RELAY_EVENTS),
      ...combineListeners<CacheEvents>([metrics.events, activity.events, options.events ?? {}, own], CACHE_EVENTS),
      moved: () => reconnect(db, background),
    },
    near: options.nearCacheBytes ? { maxBytes: options.nearCacheBytes } : undefined,
    ...(coverage && { wrapLoad: coverage.around }),
  });
  const flushing = setInterval(() => void statistics.flush(), STATISTICS_EVERY_MS).unref();
  return {
    db,
    ...cached,
    metrics: activity.around(metrics),
    activity,
    log,
    /** The connection for short statements that no request waits for. */
    backgroundSql: () => background.sql,
    /** Must be called before the cache is served or filled. @throws TriggersMissing */
    requireTriggers: () => requireTriggers(background.sql, allRowSets),
    readiness: readinessCheck(background, store, cached.relay),
    async close() {
      clearInterval(flushing);
      activity.close();
      await cached.relay.stop();
      await cached.cache.flush(); // a lost release costs other processes a fence to resolve
      await statistics.flush();
      await store.close();
      await Promise.all([db.close(), background.sql.end({ timeout: 5 })]);
    },
  };
}

/** Writes wait in a queue in front of their pool. */
function withQueue({ read, write }: MainDatabase['pools'], waiting: number): MainDatabase['pools'] {
  return { read, write: { ...write, waiting: write.waiting + waiting } };
}

function openCoreDatabase(
  { databaseUrl, readTimeoutMs, onStatement, slowStatementMs = 0, log, pools }: CoreOptions,
  coverage: Coverage | undefined,
  counted: () => void,
): MainDatabase {
  return openDatabase({
    url: databaseUrl,
    pools,
    readTimeoutMs,
    signal: loadSignal,
    slow: slowStatementMs > 0 && log.isLevelEnabled('warn') ? slowStatements(slowStatementMs, log) : undefined,
    trace: { wanted: () => Tracer.tracing, ended: (text, startedMs) => Tracer.statementEnded(text, startedMs) },
    onStatement: (text) => {
      Tracer.statement();
      counted();
      onStatement?.(text);
      coverage?.check(text);
    },
  });
}

/** The address leads to another database; open connections may still lead to the previous one. */
function reconnect(db: MainDatabase, background: BackgroundConnection): void {
  db.reconnect();
  background.reconnect();
}

/** The connection for statements outside requests, apart from the outbox's own. */
class BackgroundConnection {
  readonly #url: string;
  sql: Sql;

  constructor(url: string) {
    this.#url = url;
    this.sql = this.open();
  }

  /** Another connection with the same settings, for the caller to end. */
  open(): Sql {
    return postgresClient(this.#url, { max: 1, statementTimeoutMs: RELAY_STATEMENT_TIMEOUT_MS });
  }

  reconnect(): void {
    const left = this.sql;
    this.sql = this.open();
    leave(left);
  }
}

function coreListeners({
  statistics,
  activity,
  log,
}: {
  readonly statistics: Statistics;
  readonly activity: Activity;
  readonly log: Log;
}): CacheEvents {
  return {
    roundTrip: (trip) => Tracer.roundTrip(trip),
    writeStep: (step) => Tracer.writeStep(step),
    outcome: (outcome) => {
      Tracer.outcome(outcome);
      statistics.note(outcome);
      activity.outcome(outcome);
    },
    storeFailed: (what, error) => log.debug({ err: error }, `the cache's store failed: ${what}`),
    unfenced: (xid) => log.debug({ xid }, 'a write commits without a fence: it is visible everywhere within 2 s'),
    checked: (result, call) => {
      if (result === 'violation') log.error(call, 'the cache has served an old value');
    },
  };
}

/**
 * Whether Postgres responds in time, and the state of the store. One check runs at a time; concurrent callers share it.
 */
function readinessCheck(background: BackgroundConnection, store: Store, relay: Relay) {
  // Shared beyond the check that began it: on a Postgres that answers nothing, statements must not queue up.
  const ping = shared(() =>
    background.sql`select 1`.then(
      () => true,
      () => false,
    ),
  );
  return shared(async () => {
    const postgres = await withTimeout(ping(), READINESS_MS).catch(() => false);
    const state = await store.head().then((head) => stateOf(head, relay), downOf);
    return { postgres, redis: store.kind === 'redis' ? state : `${state} (in this process)` };
  });
}

/** What /readyz says: it is open to everyone who can reach the server, so the rest of a reason is in the log only. */
function downOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return `down: ${failureReason(text).shown ?? 'there is no connection; the log says why'}`;
}

function stateOf(head: Head, relay: Relay): string {
  if (head.refusal !== undefined) return `refuses writes: ${head.refusal}`;
  if (relay.refused) {
    return (
      'up, not serving: its keys belong to another database, or to an earlier state of this one; each installation ' +
      'on this Redis needs its own REDIS_GROUP'
    );
  }
  return head.leaseLeftMs > 0 ? 'up' : 'up, not serving until the relay has caught up';
}
