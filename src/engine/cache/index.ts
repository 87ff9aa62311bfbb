/** The engine's door. The cache knows nothing of GraphQL, SQL or tasks. */
export { ANSWER_KEY } from './answer-cache.js';
export { Cache, type CacheOptions, DEFAULT_MAX_LOADS } from './cache.js';
export { MAX_TAGS } from './call.js';
export { DURATION_BOUNDS, Durations } from './durations.js';
export { fenceIds, isFence } from './entry.js';
export { CacheError, type CacheErrorCode } from './errors.js';
export type {
  CacheEvents,
  CheckResult,
  Outcome,
  OutcomeKind,
  OutcomeReason,
  RoundTrip,
  StoreStep,
  WriteStep,
} from './events.js';
export { FairQueue, QueueFull } from './fair-queue.js';
export { canonical, digest, type Key } from './key.js';
export { type GroupHead, isDue, nextTickMs, readHeads, TICK_INTERVAL_MS, withLogGroup } from './lease-ticks.js';
export { CACHE_EVENTS, combineListeners } from './listeners.js';
export { LiveQueries } from './live/live-queries.js';
export {
  type LiveAnswer,
  type LiveClient,
  type LiveMembership,
  type LiveOptions,
  type LiveRun,
  type LiveRunEnded,
  type LiveSource,
  type LiveState,
  RunLater,
  TooManyLiveQueries,
} from './live/live-query.js';
export { loadSignal } from './load-queue.js';
export type { DescribedLoad } from './load-runner.js';
export type { Log } from './log.js';
export { type MaybePromise, mapMaybe, zipMaybe } from './maybe-promise.js';
export type { Memoized, MemoizePolicy } from './memoize.js';
export { MemoryStore } from './memory-store.js';
export { type HeldCopy, type HeldSum, type HeldUnder, MemoryView } from './memory-view.js';
export type { NearCacheOptions } from './near-cache.js';
export type { Part, Parts } from './part-cache.js';
export { type Bring, checkPolicy, type Policy, type Scope, type Source } from './policy.js';
export { databaseOf, purgeFor } from './purge.js';
export type { OpenPart, ReadFrom, ReadSet } from './read-set.js';
export type { Peeked, ReadOptions } from './reading.js';
export { RecentMap } from './recent-map.js';
export { abortable, SharedAbort } from './shared-abort.js';
export { StandaloneLease } from './standalone-lease.js';
export { count, dayOf, Statistics, type StatisticsLine, statisticsOf } from './statistics.js';
export {
  type Applied,
  type AppliedElsewhere,
  type ApplyReply,
  type EntryStore,
  type ExactFence,
  type Head,
  type HeldTag,
  LEASE_MS,
  LOG_GROUP,
  MAX_RELEASED_KNOWN,
  type Messages,
  type Position,
  type ReleasedBy,
  recordOf,
  type Samples,
  type SharedValues,
  type Store,
  type StoreConnections,
  type StoreEvent,
  type Tick,
  type WriteProtocol,
} from './store.js';
export { rowSetName, rowSetTag, type Tag, tableOf, tableTag } from './tag.js';
export { type Clock, systemClock } from './time.js';
export { randomToken } from './token.js';
export type { WrittenFills, WrittenValue } from './written-values.js';
