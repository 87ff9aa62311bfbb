/**
 * What reading and writing with the cache takes, for the API and for commands alike: database, cache, the bridge between them.
 * Built in dependency order, closed in reverse.
 */

import { allRowSets, eventTables } from './domain/registry.js';
import {
  CACHE_EVENTS,
  CacheError,
  type CacheEvents,
  type CacheOptions,
  combineListeners,
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
  leave,
  openDatabase,
  postgresClient,
  postgresOutbox,
  type Relay,
  requireTriggers,
} from './engine/postgres/index.js';
import { databaseIn, type OutageListener, type RedisPlace, RedisStore, withTimeout } from './engine/redis/index.js';
import { ConfigError } from './platform/config.js';
import type { Log } from './platform/log.js';
import { createMetrics } from './platform/metrics.js';
import { shared } from './std/shared.js';
import { SECOND } from './std/time.js';

/** Background statements (relay, resolving fences) must fail fast. */
const RELAY_STATEMENT_TIMEOUT_MS = 5000;

/**
 * The shared store, connected if it can be; without a Redis one in this process. `fencePolicy`: for the log of outages.
 * @throws ConfigError when Redis refuses the database of REDIS_URL
 */
export async function openStore(
  place: RedisPlace | undefined,
  log: Log,
  { group, fencePolicy = 'available' }: { group?: string } & Pick<CacheOptions, 'fencePolicy'> = {},
): Promise<Store> {
  if (place === undefined) return new MemoryStore();
  const store = new RedisStore({
    ...place,
    ...(group && { group }),
    onLimit: (text) => log.warn(`this Redis: ${text}`),
    onOutage: outageLog(log, fencePolicy),
  });
  try {
    await store.ready();
  } catch (error) {
    await store.close();
    if (!(error instanceof CacheError)) throw error;
    const database = databaseIn('url' in place ? place.url : undefined);
    throw new ConfigError(
      `REDIS_URL: expected a database that this Redis has, but it refuses ${database}: ${error.message}`,
    );
  }
  return store;
}

/** One line when an outage begins to change what writes do, and one when it ends. */
function outageLog(log: Log, fencePolicy: CacheOptions['fencePolicy']): OutageListener {
  const then =
    fencePolicy === 'reject'
      ? 'writes are refused (FENCE_POLICY=reject)'
      : `writes commit without a fence and are answered ${LEASE_MS / SECOND} s later`;
  return {
    began: (reason) => log.warn(`${reason}: ${then}`),
    ended: () => log.warn('Redis takes writes again: they are fenced'),
  };
}

export interface CoreOptions extends Pick<CacheOptions, 'fencePolicy' | 'maxLoads' | 'monitorShare'> {
  /** Of parsed entries kept in this process. Default 0: none. */
  readonly nearCacheBytes?: number;
  readonly databaseUrl: string;
  readonly store: Store;
  readonly log: Log;
  /** Check every cached load against its tags, and what cached methods use of their root: in development and tests. */
  readonly checkCoverage: boolean;
  /** Besides what the core does itself with events and statements. */
  readonly events?: CacheEvents;
  readonly onStatement?: (text: string) => void;
  /** How long Postgres works on one statement of a read. Default: see db/database.ts. */
  readonly readTimeoutMs?: number;
}

const STATISTICS_EVERY_MS = 10 * SECOND;
/** A Postgres that takes longer for `select 1` is down. */
const READINESS_MS = 2 * SECOND;

type CachedDatabase = ReturnType<typeof cacheDatabase>;

export type Core = ReturnType<typeof createCore>;

export function createCore(options: CoreOptions) {
  const { databaseUrl, store, log, events } = options;
  const coverage = options.checkCoverage ? new Coverage(allRowSets) : undefined;
  const db = openDatabase({
    url: databaseUrl,
    readTimeoutMs: options.readTimeoutMs,
    signal: loadSignal,
    onStatement: (text) => {
      Tracer.statement();
      options.onStatement?.(text);
      coverage?.check(text);
    },
  });
  const connect = () => postgresClient(databaseUrl, { max: 1, statementTimeoutMs: RELAY_STATEMENT_TIMEOUT_MS });
  let sql = connect();
  const metrics = createMetrics(() => cache);
  const statistics = new Statistics({ store, clock: systemClock });
  const own: CacheEvents = {
    outcome: (outcome) => {
      Tracer.outcome(outcome);
      statistics.note(outcome);
    },
    storeFailed: (what, error) => log.debug({ err: error }, `the cache's store failed: ${what}`),
    unfenced: (xid) => log.debug({ xid }, 'a write commits without a fence: it is visible everywhere within 2 s'),
    checked: (result, call) => {
      if (result === 'violation') log.error(call, 'the cache has served an old value');
    },
  };
  const { cache, fences, transactor, relay }: CachedDatabase = cacheDatabase({
    ...options,
    db,
    sql: () => sql,
    connectOutbox: () => postgresOutbox(connect(), eventTables),
    events: {
      ...metrics.events,
      ...combineListeners([metrics.events, events ?? {}, own], CACHE_EVENTS),
      moved: () => reconnect(),
    },
    near: options.nearCacheBytes ? { maxBytes: options.nearCacheBytes } : undefined,
    ...(coverage && { wrapLoad: coverage.around }),
  });
  /** Another database is behind the address than before: connections may still lead to that one. */
  const reconnect = () => {
    db.reconnect();
    const left = sql;
    sql = connect();
    leave(left);
  };
  // Shared beyond the check that began it: on a Postgres that answers nothing, statements must not queue up.
  const ping = shared(() =>
    sql`select 1`.then(
      () => true,
      () => false,
    ),
  );
  const flushing = setInterval(() => void statistics.flush(), STATISTICS_EVERY_MS).unref();
  return {
    db,
    cache,
    fences,
    transactor,
    relay,
    metrics,
    log,
    /** What serves or fills a cache calls it first. @throws TriggersMissing */
    requireTriggers: () => requireTriggers(sql, allRowSets),
    /** Whether Postgres answers in time, and how the store is. One check at a time, whose result all share that ask meanwhile. */
    readiness: shared(async () => {
      const postgres = await withTimeout(ping(), READINESS_MS).catch(() => false);
      const state = stateOf(await store.head().catch(() => undefined), relay);
      return { postgres, redis: store.kind === 'redis' ? state : `${state} (in this process)` };
    }),
    async close() {
      clearInterval(flushing);
      await relay.stop();
      await cache.flush(); // a release that is lost costs others a fence to resolve
      await statistics.flush();
      await store.close();
      await Promise.all([db.close(), sql.end({ timeout: 5 })]);
    },
  };
}

function stateOf(head: Head | undefined, relay: Relay): string {
  if (head === undefined) return 'down';
  if (head.refusal !== undefined) return `refuses writes: ${head.refusal}`;
  if (relay.refused) {
    return 'up, not serving: its keys belong to another database, or to an earlier state of this one; each installation on this Redis needs a REDIS_GROUP of its own';
  }
  return head.leaseLeftMs > 0 ? 'up' : 'up, not serving until the relay has caught up';
}
