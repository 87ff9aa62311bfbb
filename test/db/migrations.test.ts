/** What a start says about a database whose migrations are not those of this build. */
import { readMigrationFiles } from 'drizzle-orm/migrator';
import type { Sql } from 'postgres';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { checkDatabase, namingDatabaseUrl } from '../../src/database-check.js';
import { migrateDatabase, migrationStates } from '../../src/db/migrate.js';
import { postgresClient } from '../../src/engine/postgres/database.js';
import { ConfigError } from '../../src/platform/config-error.js';
import { createEmptyDatabase, type TestDatabase } from '../support/database.js';
import { readableLog } from '../support/log.js';

const FILES = readMigrationFiles({ migrationsFolder: 'src/db/migrations' });
/** The index of 0002_task_events. */
const EVENTS = 2;
/** The index of 0008_results_of_many, on which no later one builds. */
const RESULTS_OF_MANY = 8;

let database: TestDatabase;
let sql: Sql;
beforeEach(async () => {
  database = await createEmptyDatabase();
  sql = postgresClient(database.url, { max: 1 });
});
afterEach(async () => {
  await sql?.end({ timeout: 5 });
  await database?.drop();
});

/** Migrates as another build would have: with these of the migrations. */
async function migrateWith(indices: readonly number[]): Promise<void> {
  await sql`create schema drizzle`;
  await sql`create table drizzle.__drizzle_migrations (id serial primary key, hash text not null, created_at bigint)`;
  for (const index of indices) {
    const file = FILES[index] as (typeof FILES)[number];
    for (const statement of file.sql) await sql.unsafe(statement);
    await sql`insert into drizzle.__drizzle_migrations (hash, created_at) values (${file.hash}, ${file.folderMillis})`;
  }
}

const allBut = (left: (index: number) => boolean) => FILES.map((_, index) => index).filter((index) => !left(index));

/** What the check of a start logs. @throws what it throws */
async function checked(url = database.url, use = {}): Promise<string[]> {
  const { log, lines } = readableLog();
  await checkDatabase(url, log, use);
  return lines.map(({ msg }) => msg);
}

const refused = (what: string) =>
  new ConfigError(`DATABASE_URL: this database lacks ${what}: run tasks migrate (npm run migrate in a checkout)`);

test('a database that was never migrated is refused, and accepted for a caller that migrates it', async () => {
  await expect(checked()).rejects.toThrow(refused(`the migration 0000_tables and ${FILES.length - 1} more`));
  expect(await checked(database.url, { migrates: true })).toEqual([]);
  await migrateDatabase(database.url);
  expect(await checked()).toEqual([]);
});

test('a database that an older build has migrated is refused until it is migrated', async () => {
  await migrateWith(allBut((index) => index >= EVENTS));
  await expect(checked()).rejects.toThrow(refused(`the migration 0002_task_events and ${FILES.length - 3} more`));
  await migrateDatabase(database.url);
  expect(await checked()).toEqual([]);
});

test('a database that lacks one migration between others is refused, and gets that one', async () => {
  await migrateWith(allBut((index) => index === RESULTS_OF_MANY));
  await expect(checked()).rejects.toThrow(refused('the migration 0008_results_of_many'));
  await migrateDatabase(database.url);
  expect(await checked()).toEqual([]);
  expect(await sql`select results from idempotency_keys`).toHaveLength(0);
});

describe('a database with the migrations of another set', () => {
  /** The first two and the last of the set that this one replaces. */
  const REPLACED = [1795381364979, 1795381365762, 1795940000000];
  const refusal = new ConfigError(
    'DATABASE_URL: this database was migrated with another set of migrations, and version 0.x has squashed its earlier ones: ' +
      'to start over, create an empty database, name it in DATABASE_URL and run tasks migrate (npm run migrate in a checkout)',
  );
  const content = async () => ({
    relations: await sql`
      select n.nspname, c.relname, c.relkind, c.relfilenode from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname in ('public', 'drizzle') order by 1, 2`,
    functions:
      await sql`select proname, xmin::text from pg_proc where pronamespace = 'public'::regnamespace order by 1`,
    migrations: await sql`select xmin::text, m.* from drizzle.__drizzle_migrations m order by id`,
    users: await sql`select xmin::text, u.* from users u`,
  });

  beforeEach(async () => {
    await migrateWith([0]);
    await sql`delete from drizzle.__drizzle_migrations`;
    for (const createdAt of REPLACED) {
      await sql`insert into drizzle.__drizzle_migrations (hash, created_at) values (${`of ${createdAt}`}, ${createdAt})`;
    }
    await sql`insert into users (id, handle, name) values (gen_random_uuid(), 'ada', 'Ada')`;
  });

  test.each([
    ['by a start that migrates', () => checked(database.url, { migrates: true })],
    ['by a start that does not migrate', () => checked()],
    ['by the migration', () => namingDatabaseUrl(() => migrateDatabase(database.url))],
  ])('is refused %s, in one sentence, and left as it is', async (_, run) => {
    const before = await content();
    await expect(run()).rejects.toThrow(refusal);
    expect(await content()).toEqual(before);
  });
});

test('a database that a newer build has migrated is accepted, and the log says so', async () => {
  await migrateDatabase(database.url);
  await sql`insert into drizzle.__drizzle_migrations (hash, created_at) values ('later', 9999999999999)`;
  expect(await checked()).toEqual([
    'DATABASE_URL: this database is ahead of this build by a migration: a newer build has run tasks migrate, and should replace this one',
  ]);
});

test('a role that may not read which migrations there are is accepted, and the log says what is not noticed', async () => {
  await migrateDatabase(database.url);
  const role = database.name;
  await sql.unsafe(`create role ${role} login password 'app'`);
  try {
    const url = new URL(database.url);
    Object.assign(url, { username: role, password: 'app' });
    expect(await checked(url.href)).toEqual([
      expect.stringMatching(
        /may not read drizzle.__drizzle_migrations.*\(tasks migrate\).*grant usage on schema drizzle/,
      ),
    ]);
    await sql.unsafe(`grant usage on schema drizzle to ${role}`);
    await sql.unsafe(`grant select on drizzle.__drizzle_migrations to ${role}`);
    expect(await checked(url.href)).toEqual([]);
  } finally {
    await sql.unsafe(`drop owned by ${role}`);
    await sql.unsafe(`drop role ${role}`);
  }
});

describe('a migration that needs a table which others use', () => {
  /** The newest migration that replaces the triggers of all tables. */
  const TRIGGERS = FILES.findLastIndex(({ sql: parts }) => parts.some((part) => part.includes('cache_name_rows')));
  const quick = { lockTimeoutMs: 100, pauseMs: 1 };

  test('does not make reads wait for it, says who is in the way, and migrates when the table is free', async () => {
    await migrateWith(allBut((index) => index === TRIGGERS));
    const reader = postgresClient(database.url, { max: 1 });
    const lines: string[] = [];
    let migrated: Promise<void> | undefined;
    await reader.begin(async (tx) => {
      await tx`select 1 from tasks`;
      await new Promise<void>((resolve) => {
        const onWait = (line: string) => {
          if (lines.push(line) === 2) resolve();
        };
        migrated = migrateDatabase(database.url, { ...quick, pauseMs: 300, onWait });
      });
      await sql`select 1 from tasks`; // between attempts nothing is locked
    });
    await migrated;
    await reader.end();
    expect(lines[0]).toMatch(
      /^A table is in use: its lock was not to be had in 0.1 s. The oldest open transaction is of process \d+ of Postgres \(tasks-api, since .*\). Trying again in 0.3 s \(2 of 10\).$/,
    );
    expect(await checked()).toEqual([]);
  });

  test('gives up after ten attempts, in one line, and has changed nothing', async () => {
    await migrateWith(allBut((index) => index === TRIGGERS));
    const reader = postgresClient(database.url, { max: 1 });
    const lines: string[] = [];
    await reader.begin(async (tx) => {
      await tx`select 1 from tasks`;
      const options = { ...quick, onWait: (line: string) => lines.push(line) };
      const failed = namingDatabaseUrl(() => migrateDatabase(database.url, options), 'MIGRATION_DATABASE_URL');
      await expect(failed).rejects.toThrow(/^MIGRATION_DATABASE_URL: A table is in use.*Nothing was migrated$/);
    });
    await reader.end();
    expect(lines).toHaveLength(9);
    expect(await checked().catch((error) => error)).toBeInstanceOf(ConfigError);
  });
});

test('which migrations are applied and which are pending can be asked, also of a database with later ones', async () => {
  expect((await migrationStates(database.url)).every(({ applied }) => !applied)).toBe(true);
  await migrateWith(allBut((index) => index === EVENTS));
  const states = await migrationStates(database.url);
  expect(states).toHaveLength(FILES.length);
  expect(states.filter(({ applied }) => !applied)).toEqual([{ name: '0002_task_events', applied: false }]);
  await sql`insert into drizzle.__drizzle_migrations (hash, created_at) values ('later', 9999999999999)`;
  expect((await migrationStates(database.url)).at(-1)).toEqual({ name: undefined, applied: true });
});
