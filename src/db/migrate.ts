/** Brings a database's schema up to this build's, once, however many processes start at the same time, and compares the two. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readMigrationFiles } from 'drizzle-orm/migrator';
import { type Sql, type TransactionSql, transactionSettings, withDatabase } from '../engine/postgres/index.js';

/** Names the lock among the application's advisory locks. */
const MIGRATION_LOCK = 7203_4410;
const MIGRATIONS = fileURLToPath(new URL('./migrations', import.meta.url));

/** How the migrations of a database and those of this build differ. */
export interface MigrationDifference {
  /** Names of this build's migrations that the database lacks, in order. */
  readonly missing: readonly string[];
  /** How many migrations of the database this build does not know: a newer build has applied them. */
  readonly unknown: number;
}

export interface MigrateOptions {
  /** Receives a line for the operator while another process holds the lock. Default: stderr. */
  readonly onWait?: (line: string) => void;
}

/**
 * Does everything in one transaction, under a lock that ends with it. A session's lock would stay with the connection of a pooler, and every
 * later start would wait for it without end.
 * @throws DatabaseUnusable, ConnectionUrlError
 */
export async function migrateDatabase(url: string, { onWait = console.error }: MigrateOptions = {}): Promise<void> {
  await withDatabase(url, { max: 1, statementTimeoutMs: 0 }, (sql) =>
    sql.begin(async (tx) => {
      await tx.unsafe(`${transactionSettings(0)}; set local lock_timeout = 0`); // a pooler's connection may have others
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

/** @returns undefined where the role of `sql` may not read which migrations the database has */
export async function migrationDifference(sql: Sql): Promise<MigrationDifference | undefined> {
  const [table] = await sql<{ readable: boolean }[]>`
    select has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select') as readable
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'drizzle' and c.relname = '__drizzle_migrations'`;
  if (table?.readable === false) return undefined;
  const applied = table === undefined ? new Set<number>() : await appliedIn(sql);
  const known = migrations();
  return {
    missing: known.filter(({ createdAt }) => !applied.has(createdAt)).map(({ name }) => name),
    unknown: [...applied].filter((createdAt) => known.every((one) => one.createdAt !== createdAt)).length,
  };
}

/** Reads Drizzle's table of applied migrations under the lock. Drizzle's own migrator reads it before its transaction begins. */
async function applyMissing(tx: TransactionSql): Promise<void> {
  await tx`create schema if not exists drizzle`;
  await tx`
    create table if not exists drizzle.__drizzle_migrations (id serial primary key, hash text not null, created_at bigint)`;
  const applied = await appliedIn(tx);
  for (const { createdAt, hash, statements } of migrations()) {
    if (applied.has(createdAt)) continue;
    for (const statement of statements) await tx.unsafe(statement);
    await tx`insert into drizzle.__drizzle_migrations (hash, created_at) values (${hash}, ${createdAt})`;
  }
}

/** The times by which Drizzle's table names the applied migrations. */
async function appliedIn(sql: Sql | TransactionSql): Promise<Set<number>> {
  const rows = await sql<{ createdAt: string }[]>`select created_at as "createdAt" from drizzle.__drizzle_migrations`;
  return new Set(rows.map(({ createdAt }) => Number(createdAt)));
}

interface Migration {
  /** As its file. */
  readonly name: string;
  readonly createdAt: number;
  readonly hash: string;
  readonly statements: readonly string[];
}

/** Those of this build, in order. */
function migrations(): Migration[] {
  const { entries } = JSON.parse(readFileSync(join(MIGRATIONS, 'meta', '_journal.json'), 'utf8')) as {
    entries: { tag: string }[];
  };
  return readMigrationFiles({ migrationsFolder: MIGRATIONS }).map(({ folderMillis, hash, sql }, i) => ({
    name: (entries[i] as { tag: string }).tag, // Drizzle reads the files in the order of the journal
    createdAt: folderMillis,
    hash,
    statements: sql,
  }));
}
