/**
 * `createCache`: the engine put together for an application. Redis, Postgres, GraphQL and prom-client are loaded only
 * where they are used, so that an application which caches in memory needs none of them.
 */
import type { GraphQLSchema } from 'graphql';
import type { Registry } from 'prom-client';
import {
  Cache,
  CacheError,
  type CacheOptions,
  LEASE_MS,
  type Log,
  MemoryStore,
  StandaloneLease,
  type Store,
  type Tag,
} from '../cache/index.js';
import { SECOND } from '../cache/time.js';
import type { PolicyLine } from '../graphql/index.js';
import type { RowSource, SourceDatabase } from '../postgres/by-id.js';
import type { DrizzleDatabase, TransactionOf } from '../postgres/own-drizzle.js';
import type { Transactor } from '../postgres/transactor.js';
import { type CacheEmitter, cacheEmitter } from './events.js';
import { checkOptions, type DatabaseOptions, type StandaloneOptions } from './options.js';

type GraphQLSide = typeof import('../graphql/index.js');
type PostgresSide = typeof import('../postgres/applications.js');

const DEFAULT_GROUP = 'cache';

/** What every cache has, with a database or without. */
export interface StandaloneCache extends Pick<Cache, 'memoize' | 'read' | 'readMany'> {
  /** The engine itself: sessions, fences, answers. */
  readonly engine: Cache;
  /**
   * `cache.events.on('outcome', ({ name, kind }) => …)`: how each cached call ended, and whatever an operator should
   * know.
   */
  readonly events: CacheEmitter;
  /**
   * Voids what is cached under these tags, on every process: for what no transaction of this database writes.
   * @throws CacheError STORE_UNAVAILABLE: nothing may have been invalidated
   */
  invalidate(tags: readonly Tag[]): Promise<void>;
  /**
   * Registers counters, gauges and histograms (`cache_…`) in a registry of prom-client. Counts from then on. @throws where
   * prom-client is not installed
   */
  metrics(registry: Registry): Promise<void>;
  /**
   * Binds the cached fields of a schema, of `@Cached` and `cachedResolver`, to this cache, checks their policies, and
   * returns the schema. Each execution gets loaders of its own; what is read under a mutation is neither taken from the
   * cache nor put into it.
   * @throws CacheError POLICY; TypeError where graphql or dataloader is not installed
   */
  bind<S extends GraphQLSchema>(schema: S): S;
  /**
   * What `@Cached` declares in a bound schema, by name: print it into a file, and a review sees every change of what is
   * cached.
   */
  policies(schema: GraphQLSchema): readonly PolicyLine[];
  /** A plugin for Apollo Server: traces. */
  apollo(): ReturnType<GraphQLSide['apolloPlugin']>;
  /** A plugin for GraphQL Yoga and other servers that take plugins of Envelop: traces. */
  yoga(): ReturnType<GraphQLSide['yogaPlugin']>;
  /**
   * Ends the relay and all connections of the cache; those of the application stay open. Resolves when releases under
   * way have ended.
   */
  close(): Promise<void>;
}

export interface DatabaseCache<Db extends DrizzleDatabase> extends StandaloneCache {
  /**
   * The rows of a table by its row set `byId`: for `@Cached(cache.byId(bookRows))`, and `cache.load`. The same as
   * `byId` of the postgres door.
   */
  readonly byId: PostgresSide['byId'];
  /** One value of a source, through the cache. In resolvers `@Cached(source)` does it, for a whole request at once. */
  load<A, V>(source: RowSource<A, V>, arg: A): Promise<V>;
  /**
   * Writes in one transaction: fences what it touched, commits, releases. When it has resolved, no process serves what
   * the write made old. `fn` may only use the transaction that it is given. It runs again, in a new one, after a
   * deadlock or a serialization failure.
   * @throws what `fn` throws, after ROLLBACK; CommitOutcomeUnknown; TooManyWrites before anything is written;
   * CacheError FENCE_REFUSED under the fence policy `reject`
   */
  write<T>(fn: (tx: TransactionOf<Db>) => Promise<T>): Promise<T>;
}

/**
 * @throws TypeError that names the wrong option; TriggersMissing when the database lacks the generated migration;
 * CacheError DATABASE_REFUSED when Redis refuses the database of its URL, SERVER_TOO_OLD when it is older than 7.0; the
 * driver's error when Postgres does not answer. A Redis that is away keeps no application from starting.
 */
export function createCache<Db extends DrizzleDatabase>(options: DatabaseOptions<Db>): Promise<DatabaseCache<Db>>;
/**
 * @throws TypeError that names the wrong option; CacheError DATABASE_REFUSED when Redis refuses the database of its
 * URL, SERVER_TOO_OLD when it is older than 7.0. A Redis that is away keeps no application from starting.
 */
export function createCache(options?: StandaloneOptions): Promise<StandaloneCache>;
export async function createCache(
  options: StandaloneOptions | DatabaseOptions<DrizzleDatabase> = {},
): Promise<StandaloneCache | DatabaseCache<DrizzleDatabase>> {
  checkOptions(options);
  const log = options.log ?? CONSOLE;
  const store = await openStore(options, log);
  try {
    return 'db' in options && options.db !== undefined
      ? await ofDatabase(options, store, log)
      : await standalone(options, store, log);
  } catch (error) {
    await store.close();
    throw error;
  }
}

const CONSOLE: Log = {
  debug: () => {},
  info: () => {},
  warn: ({ err }: { err?: unknown }, message) =>
    console.warn(`cache: ${message}${err instanceof Error ? `: ${err.message}` : ''}`),
};

async function standalone(options: StandaloneOptions, store: Store, log: Log): Promise<StandaloneCache> {
  const graphql = await graphqlSide();
  const { emitter, events } = listened(log, graphql);
  const cache = new Cache({ ...engineOptions(options), store, events });
  const lease = new StandaloneLease({ store, log });
  await lease.start();
  const nothing: SourceDatabase = { read: NO_DATABASE, until: () => nothing };
  return assembled({ options, cache, emitter, graphql, db: nothing, stop: () => lease.stop() });
}

const NO_DATABASE: SourceDatabase['read'] = {
  select() {
    throw new CacheError('POLICY', 'rows cannot be loaded: this cache was created without db');
  },
};

async function ofDatabase<Db extends DrizzleDatabase>(
  options: DatabaseOptions<Db>,
  store: Store,
  log: Log,
): Promise<DatabaseCache<Db>> {
  const [graphql, postgres] = await Promise.all([graphqlSide(), import('../postgres/applications.js')]);
  const { db, tables, check = notInProduction() } = options;
  const own = await ownDrizzle(postgres, db);
  const { emitter, events } = listened(log, graphql);
  emitter.on('moved', () => log.warn({}, MOVED));
  const coverage = check ? new postgres.Coverage(tables) : undefined;
  const unwatch = postgres.watchStatements(db, (text) => {
    graphql?.Tracer.statement();
    coverage?.check(text);
  });
  const connection = reconnecting(own.connect, postgres.leave);
  emitter.on('moved', connection.reconnect);
  const { cache, transactor, relay } = postgres.cacheDatabase({
    ...databaseOptions(options, own.poolSize),
    store,
    sql: connection.current,
    connectOutbox: () => postgres.postgresOutbox(own.connect()),
    log,
    events,
    ...(coverage && { wrapLoad: coverage.around }),
  });
  const stop = async () => {
    unwatch();
    await relay.stop();
    await connection.current().end({ timeout: 1 });
  };
  try {
    await postgres.requireTriggers(connection.current(), tables);
    await relay.start();
  } catch (error) {
    await stop();
    throw error;
  }
  return databaseCache({ options, cache, emitter, graphql, stop, transactor, byId: postgres.byId });
}

/** @throws TypeError that names the option */
async function ownDrizzle(postgres: PostgresSide, db: DrizzleDatabase) {
  return postgres.ownDrizzle(db).catch((error: Error) => {
    throw new TypeError(`createCache: db: ${error.message}`);
  });
}

/** A connection that is replaced when the address leads to another database. `leave` ends the previous one. */
function reconnecting<C>(connect: () => C, leave: (connection: C) => void) {
  let current = connect();
  return {
    current: () => current,
    reconnect: () => {
      const left = current;
      current = connect();
      leave(left);
    },
  };
}

function databaseOptions<Db extends DrizzleDatabase>(options: DatabaseOptions<Db>, poolSize: number) {
  const { db, fencePolicy, monitorShare, relay = true } = options;
  return {
    ...engineOptions(options),
    ...(fencePolicy && { fencePolicy }),
    ...(monitorShare !== undefined && { monitorShare }),
    // A write holds its connection while it waits for Redis: some must be left for reads.
    db: { write: db as never, maxWrites: Math.max(1, Math.floor(poolSize / 2)) },
    renews: relay,
  };
}

interface DatabaseParts<Db extends DrizzleDatabase> extends Omit<Parts, 'db'> {
  readonly options: DatabaseOptions<Db>;
  readonly transactor: Transactor;
  readonly byId: DatabaseCache<Db>['byId'];
}

function databaseCache<Db extends DrizzleDatabase>(parts: DatabaseParts<Db>): DatabaseCache<Db> {
  const { options, cache, graphql, transactor, byId } = parts;
  const database: SourceDatabase = {
    read: options.db as unknown as SourceDatabase['read'],
    until: () => database,
  };
  return {
    ...assembled({ ...parts, db: database }),
    byId: ((...given: Parameters<typeof byId>) => {
      const source = byId(...given);
      cache.declare([source.name]);
      return source;
    }) as typeof byId,
    async load(source, arg) {
      const [value] = await cache.readMany(
        { ...source, load: (args) => source.load(args, database), reentrant: false },
        [arg],
      );
      return value as never;
    },
    async write(fn) {
      const { value, tags } = await transactor.transact(fn as never);
      graphql?.Tracer.wrote(tags);
      return value as never;
    },
  };
}

const MOVED =
  'another database, or another state of its history, is behind the address: connections of the application that still lead to the one before ' +
  'must be closed, or what they read is cached as of this one';

function listened(log: Log, graphql: GraphQLSide | undefined) {
  const made = cacheEmitter(log);
  const { emitter } = made;
  if (graphql !== undefined) {
    emitter.on('outcome', graphql.Tracer.outcome);
    emitter.on('writeStep', graphql.Tracer.writeStep);
  }
  emitter.on('storeFailed', (what, error) => log.debug({ err: error }, `the store failed: ${what}`));
  emitter.on('unfenced', (xid) =>
    log.debug({ xid }, 'a write commits without a fence: it is visible everywhere within 2 s'),
  );
  emitter.on('checked', (result, call) => {
    if (result === 'violation') log.warn(call, 'the cache has served an old value');
  });
  return made;
}

interface Parts {
  readonly options: StandaloneOptions;
  readonly cache: Cache;
  readonly emitter: CacheEmitter;
  readonly graphql: GraphQLSide | undefined;
  readonly db: SourceDatabase;
  /** Stops what renews the lease. */
  readonly stop: () => Promise<unknown>;
}

function assembled({ options, cache, emitter, graphql, db, stop }: Parts): StandaloneCache {
  return {
    engine: cache,
    events: emitter,
    memoize: cache.memoize.bind(cache),
    read: cache.read.bind(cache),
    readMany: cache.readMany.bind(cache),
    invalidate: (tags) => cache.store.invalidate(tags),
    async metrics(registry) {
      const { cacheMetrics } = await import('../metrics/index.js');
      for (const [name, listener] of Object.entries(cacheMetrics(registry, () => cache))) {
        emitter.on(name as 'outcome', listener as never);
      }
    },
    ...graphqlMethods(options, graphql, { cache, db }),
    async close() {
      await stop();
      await cache.flush(); // a release that is lost costs others a fence to resolve
      await cache.store.close();
    },
  };
}

/** The methods for schemas. Those that need graphql throw without it. */
function graphqlMethods(
  { check = notInProduction(), trace = notInProduction(), viewer }: StandaloneOptions,
  graphql: GraphQLSide | undefined,
  sources: { readonly cache: Cache; readonly db: SourceDatabase },
): Pick<StandaloneCache, 'bind' | 'policies' | 'apollo' | 'yoga'> {
  const needed = (): GraphQLSide => {
    if (graphql !== undefined) return graphql;
    throw new TypeError('to bind schemas, install graphql and dataloader beside this package');
  };
  const executions = graphql && new graphql.Executions<SourceDatabase>({ ...sources, viewer, guardRoots: check });
  const plugins = {
    executions: { trace: executions?.trace.bind(executions) ?? (() => {}) },
    mayTrace: typeof trace === 'function' ? trace : () => trace,
  };
  const policies = new WeakMap<GraphQLSchema, readonly PolicyLine[]>();
  return {
    bind(schema) {
      const { bindPolicies } = needed();
      executions?.bind(schema);
      const lines = bindPolicies(schema, [], { guardRoots: check });
      policies.set(schema, lines);
      sources.cache.declare(lines.map(({ name }) => name));
      return schema;
    },
    policies: (schema) => policies.get(schema) ?? [],
    apollo: () => needed().apolloPlugin(plugins),
    yoga: () => needed().yogaPlugin(plugins),
  };
}

function engineOptions({ maxLoads, nearCacheBytes = 0 }: StandaloneOptions): Partial<CacheOptions> {
  return {
    ...(maxLoads !== undefined && { maxLoads }),
    ...(nearCacheBytes > 0 && { near: { maxBytes: nearCacheBytes } }),
  };
}

/** What an outage does to writes. */
function duringOutage({ db, fencePolicy }: Partial<DatabaseOptions<DrizzleDatabase>>): string {
  if (db === undefined) return 'nothing is cached';
  return fencePolicy === 'reject'
    ? 'nothing is cached, and writes are refused (fencePolicy: reject)'
    : `nothing is cached, and writes commit without a fence and resolve ${LEASE_MS / SECOND} s later`;
}

async function openStore(options: StandaloneOptions | DatabaseOptions<DrizzleDatabase>, log: Log): Promise<Store> {
  const { redis, group = DEFAULT_GROUP, redisTimeoutMs } = options;
  if (redis === undefined) return new MemoryStore();
  const { RedisStore, placeOf } = await import('../redis/index.js');
  const store = new RedisStore({
    ...(typeof redis === 'string' ? { url: redis } : named('redis', () => placeOf(redis))),
    group,
    ...(redisTimeoutMs !== undefined && { waitMs: redisTimeoutMs }),
    onLimit: (text) => log.warn({}, `this Redis: ${text}`),
    onOutage: {
      began: (reason) => log.warn({}, `${reason}: ${duringOutage(options)}`),
      ended: () => log.warn({}, 'Redis takes writes again'),
    },
  });
  try {
    await store.ready();
    return store;
  } catch (error) {
    await store.close();
    throw error;
  }
}

/** @throws TypeError that names the option */
function named<T>(option: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw new TypeError(`createCache: ${option}: ${(error as Error).message}`, { cause: error });
  }
}

/** Undefined where graphql or dataloader is not installed: then no schema can be bound, and all else works. */
async function graphqlSide(): Promise<GraphQLSide | undefined> {
  try {
    return await import('../graphql/index.js');
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ERR_MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}

function notInProduction(): boolean {
  return process.env['NODE_ENV'] !== 'production';
}
