/**
 * The package's door `/postgres`: what an application declares of its tables, and what `createCache` puts together over
 * its Drizzle. Opens no connection and imports no driver: an application has one of its own, postgres.js or pg.
 */
export { type ByIdOptions, byId, type RowSource, type SourceDatabase } from './by-id.js';
export { cacheDatabase } from './cached-database.js';
export { Coverage, UncoveredRead } from './coverage.js';
export { leave } from './leave.js';
export { isRowSets, migrationSql } from './migration.js';
export { postgresOutbox } from './outbox.js';
export { type DrizzleDatabase, ownDrizzle, type TransactionOf } from './own-drizzle.js';
export { type RowSetColumns, type RowSetDeclaration, rowSets, type TableRowSets } from './row-sets.js';
export { watchStatements } from './statements.js';
export { CommitOutcomeUnknown } from './transactor.js';
export { requireTriggers, TriggersMissing } from './triggers.js';
export { TooManyWrites } from './write-queue.js';
