/**
 * The Postgres side: row sets and their triggers, transactions with fences, the outbox and the relay that applies it.
 */

export type { Sql, TransactionSql } from 'postgres';
export { type Availability, availabilityOf } from './availability.js';
export { shapeOf } from './by-id.js';
export { type CachedDatabaseOptions, cacheDatabase } from './cached-database.js';
export { retryingConflicts } from './conflicts.js';
export { isUnavailable } from './connection-errors.js';
export { ConnectionUrlError, parseConnectionUrl } from './connection-url.js';
export { brings, Coverage } from './coverage.js';
export {
  BESIDE_POOLS,
  DEFAULT_POOLS,
  installedDriverFault,
  type MainDatabase,
  openDatabase,
  type PoolSizes,
  poolsWithin,
  postgresClient,
  SERVER_CONNECTIONS,
} from './database.js';
export { KnownDatabase } from './database-identity.js';
export type { Database, Executor, Transaction } from './executor.js';
export { type FenceEvents, FenceWatch } from './fences.js';
export { leave } from './leave.js';
export { postgresOutbox, runThenReadTags, type Trim } from './outbox.js';
export {
  ageOfTransactions,
  estimatedOutboxSize,
  type LastInvalidation,
  lastInvalidations,
  type OutboxSize,
  outboxSize,
} from './outbox-inspection.js';
export { preparedIn } from './pool-transaction.js';
export { type PoolState, PoolWatch, type SlowStatements } from './pool-watch.js';
export { QueryTimeout } from './read-pool.js';
export { Relay } from './relay.js';
export type { RelayEvents, Ticked } from './relay-events.js';
export { DatabaseUnusable, withDatabase } from './requirements.js';
export { type RowSetSpec, rowSets, type TableRowSets } from './row-sets.js';
export { transactionSettings } from './session-settings.js';
export { type TransactionSettings, Transactor, type WriteResult } from './transactor.js';
export { MAX_ROWS_NAMED, requireTriggers } from './triggers.js';
export type { WriteProgress } from './write-progress.js';
export { TooManyWrites } from './write-queue.js';
export type { Writer } from './writer.js';
export { xid8 } from './xid8.js';
