/** What a start says about a database whose migrations are not those of this build. */
import { readMigrationFiles } from 'drizzle-orm/migrator';
import type { Sql } from 'postgres';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkDatabase } from '../../src/database-check.js';
import { migrateDatabase } from '../../src/db/migrate.js';
import { postgresClient } from '../../src/engine/postgres/database.js';
import { ConfigError } from '../../src/platform/config.js';
import { createEmptyDatabase, type TestDatabase } from '../support/database.js';
import { readableLog } from '../support/log.js';

const FILES = readMigrationFiles({ migrationsFolder: 'src/db/migrations' });
const IDENTITY = 9;

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

const refused = (what: string) => new ConfigError(`DATABASE_URL: this database lacks ${what}: run npm run migrate`);

test('a database that was never migrated is refused, and accepted for a caller that migrates it', async () => {
  await expect(checked()).rejects.toThrow(refused(`the migration 0000_tables and ${FILES.length - 1} more`));
  expect(await checked(database.url, { migrates: true })).toEqual([]);
  await migrateDatabase(database.url);
  expect(await checked()).toEqual([]);
});

test('a database that an older build has migrated is refused until it is migrated', async () => {
  await migrateWith(allBut((index) => index >= IDENTITY));
  await expect(checked()).rejects.toThrow(
    refused(`the migration 0009_database_identity and ${FILES.length - 10} more`),
  );
  await migrateDatabase(database.url);
  expect(await checked()).toEqual([]);
});

test('a database that lacks one migration between others is refused, and gets that one', async () => {
  await migrateWith(allBut((index) => index === IDENTITY));
  await expect(checked()).rejects.toThrow(refused('the migration 0009_database_identity'));
  await migrateDatabase(database.url);
  expect(await checked()).toEqual([]);
  expect(await sql`select id from cache_identity`).toHaveLength(1);
});

test('a database that a newer build has migrated is accepted, and the log says so', async () => {
  await migrateDatabase(database.url);
  await sql`insert into drizzle.__drizzle_migrations (hash, created_at) values ('later', 9999999999999)`;
  expect(await checked()).toEqual([
    'DATABASE_URL: this database is ahead of this build by a migration: a newer build has run npm run migrate, and should replace this one',
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
        /may not read drizzle.__drizzle_migrations.*npm run migrate.*grant usage on schema drizzle/,
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
