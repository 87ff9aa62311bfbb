/** Where statements run. */
import type { PostgresJsDatabase } from 'drizzle-orm/postgres-js';

/** What reads use: the pool, or one snapshot of the database. */
export interface Database {
  /** A statement of the read pool, built once under its name; Postgres plans it once per connection. */
  prepared<S extends Prepared>(name: string, build: (read: Executor, name: string) => S): Pick<S, 'execute'>;
  readonly read: Executor;
  /** The same database for a caller that waits until `signal` aborts: its statements are cancelled then. */
  until(signal: AbortSignal): Database;
}

export interface Prepared {
  execute(values?: Record<string, unknown>): Promise<unknown>;
}

/** Runs a query: `db.read`, or the transaction of a write. */
export type Executor = PostgresJsDatabase | Transaction;
export type Transaction = Parameters<Parameters<PostgresJsDatabase['transaction']>[0]>[0];
