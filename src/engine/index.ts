/**
 * The package's main door: `createCache`, the parts of the engine that need neither Redis nor Postgres, and the types
 * of all of it.
 */
export {
  Cache,
  CacheError,
  type CacheErrorCode,
  type CacheEvents,
  type CacheOptions,
  LEASE_MS,
  type LiveAnswer,
  type LiveClient,
  type LiveMembership,
  type LiveOptions,
  type LiveQueries,
  type LiveRun,
  type LiveRunEnded,
  type LiveSource,
  type LiveState,
  type Log,
  type Memoized,
  type MemoizePolicy,
  MemoryStore,
  type Outcome,
  type OutcomeKind,
  type OutcomeReason,
  type Policy,
  type ReadOptions,
  type ReadSet,
  RunLater,
  rowSetTag,
  type Scope,
  type Source,
  StandaloneLease,
  Statistics,
  type StatisticsLine,
  type Store,
  statisticsOf,
  type Tag,
  TooManyLiveQueries,
  tableTag,
} from './cache/index.js';
export {
  createCache,
  type DatabaseCache,
  type StandaloneCache,
} from './instance/create-cache.js';
export type { CacheEmitter, CacheEventMap } from './instance/events.js';
export type { DatabaseOptions, StandaloneOptions } from './instance/options.js';
