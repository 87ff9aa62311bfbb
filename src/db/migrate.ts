/** Brings a database's schema up to this build's, once, however many processes start at the same time. */
import { fileURLToPath } from 'node:url';
import { drizzle } from 'drizzle-orm/postgres-js';
import { migrate } from 'drizzle-orm/postgres-js/migrator';
import { postgresClient } from './database.js';

/** Names the lock among the application's advisory locks. */
const MIGRATION_LOCK = 7203_4410;
const MIGRATIONS = fileURLToPath(new URL('./migrations', import.meta.url));

export async function migrateDatabase(url: string): Promise<void> {
  const sql = postgresClient(url, { max: 1, statementTimeoutMs: 0 });
  try {
    await sql`select pg_advisory_lock(${MIGRATION_LOCK})`;
    await migrate(drizzle(sql), { migrationsFolder: MIGRATIONS });
  } finally {
    await sql.end({ timeout: 5 });
  }
}
