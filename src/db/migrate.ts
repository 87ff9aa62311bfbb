/**
 * Migrates a database to the schema of this build, exactly once, however many processes start at the same time. Also
 * compares the migrations of a database with those of this build.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readMigrationFiles } from 'drizzle-orm/migrator';
import { systemClock } from '../engine/cache/index.js';
import {
  DatabaseUnusable,
  type Sql,
  type TransactionSql,
  transactionSettings,
  withDatabase,
} from '../engine/postgres/index.js';
import { SECOND } from '../std/time.js';

/** Identifies the lock among the application's advisory locks. */
const MIGRATION_LOCK = 7203_4410;
const MIGRATIONS = fileURLToPath(new URL('./migrations', import.meta.url));

/** The difference between the migrations of a database and those of this build. */
export interface MigrationDifference {
  /** Names of this build's migrations that the database lacks, in order. */
  readonly missing: readonly string[];
  /** Number of the database's migrations that this build does not know; a newer build has applied them. */
  readonly unknown: number;
}

/**
 * The database has applied migrations, but not the first of this build: they are another set, for example the one that
 * this set replaces. Nothing is migrated.
 */
export class OtherMigrations extends DatabaseUnusable {}

/** How an operator migrates a database: the command of the image, and that of a checkout. */
export const MIGRATE_COMMAND = 'tasks migrate (npm run migrate in a checkout)';

/** The message of `OtherMigrations` for the operator of `database`. */
export function otherMigrationsMessage(database: string, remedy: string): string {
  return (
    `${database} was migrated with another set of migrations, and version 0.x has squashed its earlier ones: ` +
    `to start over, ${remedy}`
  );
}

export interface MigrateOptions {
  /** Receives a line for the operator while others hold locks. Defaults to stderr. */
  readonly onWait?: (line: string) => void;
  /**
   * How long a migration waits for the lock of a table, ms. Default 3 s. Other statements on the table queue behind a
   * migration that waits.
   */
  readonly lockTimeoutMs?: number;
  /** Time between two attempts, ms. Default 5 s. */
  readonly pauseMs?: number;
}

const LOCK_TIMEOUT_MS = 3 * SECOND;
const PAUSE_MS = 5 * SECOND;
/**
 * A migration that begins with this comment commits by itself. Several processes may run it at the same time, and an
 * interrupted one runs again: each of its statements must allow that.
 */
const OUTSIDE = '-- Outside of a transaction';
/** With the times above some 80 s. */
const MAX_ATTEMPTS = 10;
/** A lock was not to be had in time, or would have closed a circle of transactions that wait for each other. */
const IN_USE: ReadonlySet<unknown> = new Set(['55P03', '40P01']);

/**
 * Runs in one transaction, under a lock that ends with it. A session lock could stay with a connection of a pooler, and
 * every later start would wait for it forever. If others hold a table, the transaction is rolled back and tried again.
 * A migration outside of a transaction ends the transaction before it; what follows has another one.
 * @throws OtherMigrations, DatabaseUnusable, ConnectionUrlError
 */
export async function migrateDatabase(
  url: string,
  { onWait = console.error, lockTimeoutMs = LOCK_TIMEOUT_MS, pauseMs = PAUSE_MS }: MigrateOptions = {},
): Promise<void> {
  await withDatabase(url, { max: 1, statementTimeoutMs: 0 }, async (sql) => {
    for (let attempt = 1; ; attempt++) {
      try {
        await migrateBy(sql, onWait, lockTimeoutMs);
        return;
      } catch (error) {
        if (!IN_USE.has((error as { code?: unknown }).code)) throw error;
        const failed = `A table is in use: its lock was not to be had in ${lockTimeoutMs / SECOND} s. ${await oldest(sql)}`;
        if (attempt === MAX_ATTEMPTS) throw new DatabaseUnusable(`${failed} Nothing was migrated`, { cause: error });
        onWait(`${failed} Trying again in ${pauseMs / SECOND} s (${attempt + 1} of ${MAX_ATTEMPTS}).`);
        await systemClock.sleep(pauseMs);
      }
    }
  });
}

async function migrateBy(sql: Sql, onWait: (line: string) => void, lockTimeoutMs: number): Promise<void> {
  const begin = (apply: (tx: TransactionSql) => Promise<Migration | undefined>) =>
    sql.begin(async (tx) => {
      // A pooler's connection may have other settings.
      await tx.unsafe(`${transactionSettings(0)}; set local lock_timeout = 0`);
      await lock(tx, onWait);
      await tx.unsafe(`set local lock_timeout = ${lockTimeoutMs}`);
      return apply(tx);
    });
  for (let next = await begin(applyMissing); next !== undefined; next = await begin(applyMissing)) {
    const done = next;
    for (const statement of done.statements) await sql.unsafe(statement);
    await begin(async (tx) => {
      if (!(await appliedIn(tx)).has(done.createdAt)) await record(tx, done);
      return undefined;
    });
  }
}

/** In words: the transaction that has most likely kept a migration from its locks. */
async function oldest(sql: Sql): Promise<string> {
  const [found] = await sql<{ pid: number; name: string; since: string }[]>`
    select pid, application_name as name, xact_start::text as since from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and xact_start is not null
    order by xact_start limit 1`;
  if (found === undefined) return 'No transaction is open now.';
  return `The oldest open transaction is of process ${found.pid} of Postgres (${found.name || 'no name'}, since ${found.since}).`;
}

/** One migration, of this build or unknown to it. */
export interface MigrationState {
  /** Absent: of a newer build. */
  readonly name: string | undefined;
  readonly applied: boolean;
}

/** The migrations of this build, in order, and then those that only the database has. @throws as migrateDatabase */
export function migrationStates(url: string): Promise<MigrationState[]> {
  return withDatabase(url, { max: 1 }, async (sql) => {
    const difference = await migrationDifference(sql);
    if (difference === undefined) throw new DatabaseUnusable('this role may not read drizzle.__drizzle_migrations');
    const states = migrations().map(({ name }) => ({ name, applied: !difference.missing.includes(name) }));
    return [...states, ...Array.from({ length: difference.unknown }, () => ({ name: undefined, applied: true }))];
  });
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
 * @returns undefined if the role of `sql` cannot read which migrations the database has
 * @throws OtherMigrations
 */
export async function migrationDifference(sql: Sql): Promise<MigrationDifference | undefined> {
  const [table] = await sql<{ readable: boolean }[]>`
    select has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select') as readable
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'drizzle' and c.relname = '__drizzle_migrations'`;
  if (table?.readable === false) return undefined;
  const applied = table === undefined ? new Set<number>() : await appliedIn(sql);
  const known = migrations();
  requireSameSet(applied, known);
  return {
    missing: known.filter(({ createdAt }) => !applied.has(createdAt)).map(({ name }) => name),
    unknown: [...applied].filter((createdAt) => known.every((one) => one.createdAt !== createdAt)).length,
  };
}

/**
 * Reads Drizzle's table of applied migrations under the lock; Drizzle's own migrator reads it before its transaction
 * begins.
 * @returns the next migration, if it is one outside of a transaction
 */
async function applyMissing(tx: TransactionSql): Promise<Migration | undefined> {
  await tx`create schema if not exists drizzle`;
  await tx`
    create table if not exists drizzle.__drizzle_migrations (id serial primary key, hash text not null, created_at bigint)`;
  const applied = await appliedIn(tx);
  const known = migrations();
  requireSameSet(applied, known);
  if (known.some(({ createdAt }) => !applied.has(createdAt))) await lockCachedTables(tx);
  for (const migration of known) {
    if (applied.has(migration.createdAt)) continue;
    if (migration.statements[0]?.startsWith(OUTSIDE)) return migration;
    for (const statement of migration.statements) await tx.unsafe(statement);
    await record(tx, migration);
  }
  return undefined;
}

/**
 * The tables whose triggers a migration replaces. Taken one after the other as it goes, their locks would close a circle
 * with writes, which hold a weaker lock of a table when they come to the next.
 */
async function lockCachedTables(tx: TransactionSql): Promise<void> {
  const tables = await tx<{ name: string }[]>`
    select distinct c.oid::regclass::text as name
    from pg_trigger t join pg_class c on c.oid = t.tgrelid
    where t.tgname = 'cache_insert' and c.relnamespace = 'public'::regnamespace order by 1`;
  if (tables.length > 0)
    await tx.unsafe(`lock table ${tables.map(({ name }) => name).join()} in access exclusive mode`);
}

async function record(tx: TransactionSql, { hash, createdAt }: Migration): Promise<void> {
  await tx`insert into drizzle.__drizzle_migrations (hash, created_at) values (${hash}, ${createdAt})`;
}

/** @throws OtherMigrations */
function requireSameSet(applied: ReadonlySet<number>, [first]: readonly Migration[]): void {
  if (applied.size === 0 || first === undefined || applied.has(first.createdAt)) return;
  const remedy = `create an empty database, name it in DATABASE_URL and run ${MIGRATE_COMMAND}`;
  throw new OtherMigrations(otherMigrationsMessage('this database', remedy));
}

/** Drizzle's table identifies applied migrations by these times. */
async function appliedIn(sql: Sql | TransactionSql): Promise<Set<number>> {
  const rows = await sql<{ createdAt: string }[]>`select created_at as "createdAt" from drizzle.__drizzle_migrations`;
  return new Set(rows.map(({ createdAt }) => Number(createdAt)));
}

interface Migration {
  /** The name of its file. */
  readonly name: string;
  readonly createdAt: number;
  readonly hash: string;
  readonly statements: readonly string[];
}

/** The migrations of this build, in order. */
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
