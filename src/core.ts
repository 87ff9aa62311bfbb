/**
 * Everything needed to read and write with the cache, for the API and for commands: the database, the cache and the
 * invalidation bridge between them. Built in order of dependencies, closed in reverse.
 */

import { allRowSets, eventTables } from './domain/registry.js';
import {
  Cache,
  CacheError,
  type CacheEvents,
  type CacheOptions,
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
  FenceWatch,
  KnownDatabase,
  leave,
  openDatabase,
  postgresClient,
  postgresOutbox,
  Relay,
  requireTriggers,
  Transactor,
} from './engine/postgres/index.js';
import { databaseIn, type OutageListener, type RedisPlace, RedisStore, withTimeout } from './engine/redis/index.js';
import { ConfigError } from './platform/config.js';
import type { Log } from './platform/log.js';
import { createMetrics } from './platform/metrics.js';
import { shared } from './std/shared.js';
import { SECOND } from './std/time.js';

/** Background statements (relay, fence resolution) must fail fast. */
const RELAY_STATEMENT_TIMEOUT_MS = 5000;

/**
 * Opens the shared store and connects it if possible; without Redis, a store in this process.
 * @param fencePolicy named in the log of outages
 * @throws ConfigError if Redis refuses the database of REDIS_URL
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
  /** Time limit of one read statement. Default: see engine/postgres/database.ts. */
  readonly readTimeoutMs?: number;
}

const STATISTICS_EVERY_MS = 10 * SECOND;
/** Time limit of `select 1` in the readiness check. */
const READINESS_MS = 2 * SECOND;

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
  const told: CacheEvents[] = [
    metrics.events,
    events ?? {},
    {
      outcome: (outcome) => {
        Tracer.outcome(outcome);
        statistics.note(outcome);
      },
      fenceSeen: (tag, fence) => fences.seen(tag, fence),
      storeFailed: (what, error) => log.debug({ err: error }, `the cache's store failed: ${what}`),
      unfenced: (xid) => log.debug({ xid }, 'a write commits without a fence: it is visible everywhere within 2 s'),
      checked: (result, call) => {
        if (result === 'violation') log.error(call, 'the cache served a stale value');
      },
    },
  ];
  const fences = new FenceWatch({ store, sql: () => sql, log, events: metrics.events });
  const cache: Cache = new Cache({
    ...options,
    events: combineListeners(told),
    near: options.nearCacheBytes ? { maxBytes: options.nearCacheBytes } : undefined,
    ...(coverage && { wrapLoad: coverage.around }),
  });
  const transactor = new Transactor({ db, cache, fences });
  const database = new KnownDatabase();
  store.bind(
    () => database.current,
    () => relay.owned,
  );
  /** The URL leads to another database than before; open connections may still lead to the old one. */
  const reconnect = () => {
    db.reconnect();
    const left = sql;
    sql = connect();
    leave(left);
  };
  const relay = new Relay({
    store,
    connect: () => postgresOutbox(connect(), eventTables),
    log,
    events: { ...metrics.events, moved: reconnect },
    database,
  });
  // Outlives the check that began it, so that statements do not queue up on a Postgres that does not respond.
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
    /** Must be called before the cache is served or filled. @throws TriggersMissing */
    requireTriggers: () => requireTriggers(sql, allRowSets),
    /**
     * Whether Postgres responds in time, and the state of the store. One check runs at a time; concurrent callers share
     * it.
     */
    readiness: shared(async () => {
      const postgres = await withTimeout(ping(), READINESS_MS).catch(() => false);
      const state = stateOf(await store.head().catch(() => undefined), relay);
      return { postgres, redis: store.kind === 'redis' ? state : `${state} (in this process)` };
    }),
    async close() {
      clearInterval(flushing);
      await relay.stop();
      await cache.flush(); // a lost release costs other processes a fence to resolve
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
    return (
      'up, not serving: its keys belong to another database, or to an earlier state of this one; each installation ' +
      'on this Redis needs its own REDIS_GROUP'
    );
  }
  return head.leaseLeftMs > 0 ? 'up' : 'up, not serving until the relay has caught up';
}

/** Merges the listeners into one that only calls those that implement an event. */
function combineListeners(listeners: readonly CacheEvents[]): CacheEvents {
  const tell = <A extends unknown[]>(pick: (to: CacheEvents) => ((...args: A) => void) | undefined) => {
    const those = listeners.flatMap((to) => pick(to)?.bind(to) ?? []);
    return (...args: A) => {
      for (const to of those) to(...args);
    };
  };
  return {
    outcome: tell((to) => to.outcome),
    fenceSeen: tell((to) => to.fenceSeen),
    storeFailed: tell((to) => to.storeFailed),
    unfenced: tell((to) => to.unfenced),
    validated: tell((to) => to.validated),
    checked: tell((to) => to.checked),
  };
}
