/** Where statements run. */
import type { PostgresJsDatabase } from 'drizzle-orm/postgres-js';

/** What reads use: the pool, or one snapshot of the database. */
export interface Database {
  /** A statement of the read pool, built once under its name; Postgres plans it once per connection. */
  prepared<S extends Prepared>(name: string, build: (read: Executor, name: string) => S): Pick<S, 'execute'>;
  readonly read: Executor;
  /** The same for a caller who waits until `signal` aborts: then its statements are cancelled. */
  until(signal: AbortSignal): Database;
}

export interface Prepared {
  execute(values?: Record<string, unknown>): Promise<unknown>;
}

/** Where a query runs: `db.read`, or the transaction of a write. */
export type Executor = PostgresJsDatabase | Transaction;
export type Transaction = Parameters<Parameters<PostgresJsDatabase['transaction']>[0]>[0];
