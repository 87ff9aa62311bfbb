/** Migrates a database to the schema of this build, exactly once, however many processes start at the same time. */
import { fileURLToPath } from 'node:url';
import { readMigrationFiles } from 'drizzle-orm/migrator';
import { type TransactionSql, transactionSettings, withDatabase } from '../engine/postgres/index.js';

/** Identifies the lock among the application's advisory locks. */
const MIGRATION_LOCK = 7203_4410;
const MIGRATIONS = fileURLToPath(new URL('./migrations', import.meta.url));

export interface MigrateOptions {
  /** Receives a line for the operator while another process holds the lock. Defaults to stderr. */
  readonly onWait?: (line: string) => void;
}

/**
 * Runs in one transaction, under a lock that ends with it. A session lock could stay with a connection of a pooler, and
 * every later start would wait for it forever.
 * @throws DatabaseUnusable, ConnectionUrlError
 */
export async function migrateDatabase(url: string, { onWait = console.error }: MigrateOptions = {}): Promise<void> {
  await withDatabase(url, { max: 1, statementTimeoutMs: 0 }, (sql) =>
    sql.begin(async (tx) => {
      // A pooler's connection may have other settings.
      await tx.unsafe(`${transactionSettings(0)}; set local lock_timeout = 0`);
      await lock(tx, onWait);
      await applyMissing(tx);
    }),
  );
}

async function lock(tx: TransactionSql, onWait: (line: string) => void): Promise<void> {
  const [tried] = await tx<{ locked: boolean }[]>`select pg_try_advisory_xact_lock(${MIGRATION_LOCK}) as locked`;
  if (tried?.locked) return;
  const [holder] = await tx<{ pid: number; name: string; since: string }[]>`
    select a.pid, a.application_name as name, a.xact_start::text as since
    from pg_locks l join pg_stat_activity a on a.pid = l.pid
    where l.locktype = 'advisory' and l.granted and l.classid = 0 and l.objid = ${MIGRATION_LOCK} and l.objsubid = 1
      and l.database = (select oid from pg_database where datname = current_database())`;
  const who = holder && ` (process ${holder.pid} of Postgres, ${holder.name || 'no name'}, since ${holder.since})`;
  onWait(`Another process is migrating this database${who ?? ''}: waiting until it has finished.`);
  await tx`select pg_advisory_xact_lock(${MIGRATION_LOCK})`;
}

/**
 * Reads Drizzle's table of applied migrations under the lock; Drizzle's own migrator reads it before its transaction
 * begins.
 */
async function applyMissing(tx: TransactionSql): Promise<void> {
  await tx`create schema if not exists drizzle`;
  await tx`
    create table if not exists drizzle.__drizzle_migrations (id serial primary key, hash text not null, created_at bigint)`;
  const [last] = await tx<{ createdAt: string | null }[]>`
    select max(created_at) as "createdAt" from drizzle.__drizzle_migrations`;
  for (const migration of readMigrationFiles({ migrationsFolder: MIGRATIONS })) {
    if (Number(last?.createdAt ?? 0) >= migration.folderMillis) continue;
    for (const statement of migration.sql) await tx.unsafe(statement);
    await tx`
      insert into drizzle.__drizzle_migrations (hash, created_at) values (${migration.hash}, ${migration.folderMillis})`;
  }
}
