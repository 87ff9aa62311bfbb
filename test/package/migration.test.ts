/** The generated migration: what it makes is what the migrated Tasks database has, so the two cannot drift apart. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { integer, pgSchema, pgTable, text } from 'drizzle-orm/pg-core';
import type { Sql } from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { allRowSets } from '../../src/domain/registry.js';
import { postgresClient } from '../../src/engine/postgres/database.js';
import { migrationSql } from '../../src/engine/postgres/migration.js';
import { rowSets } from '../../src/engine/postgres/row-sets.js';
import { installedTriggers, requireTriggers, TriggersMissing } from '../../src/engine/postgres/triggers.js';
import { createDatabase, createEmptyDatabase, type TestDatabase } from '../support/database.js';

let tasks: { database: TestDatabase; sql: Sql };
let own: { database: TestDatabase; sql: Sql };

beforeAll(async () => {
  const open = (database: TestDatabase) => ({ database, sql: postgresClient(database.url, { max: 1 }) });
  tasks = open(await createDatabase());
  own = open(await createEmptyDatabase());
  await own.sql.unsafe(migrationSql([]));
});
afterAll(async () => {
  for (const { database, sql } of [tasks, own]) {
    await sql.end();
    await database.drop();
  }
});

const functions = (sql: Sql) => sql`
  select p.proname as name, pg_get_functiondef(p.oid) as definition from pg_proc p
  where p.proname like 'cache\_%' order by 1`;
const columns = (sql: Sql) => sql`
  select table_name, column_name, data_type, udt_name, is_nullable, column_default, identity_generation
  from information_schema.columns where table_name like 'cache\_%' order by table_name, ordinal_position`;
const constraints = (sql: Sql) => sql`
  select conrelid::regclass::text as "table", conname as name, pg_get_constraintdef(oid) as definition
  from pg_constraint where conrelid::regclass::text like 'cache\_%' and contype <> 'n' order by 1, 2`;
const indexes = (sql: Sql) => sql`
  select indexname as name, indexdef as definition from pg_indexes where tablename like 'cache\_%' order by 1`;

test.each([
  ['functions', functions],
  ['columns', columns],
  ['constraints', constraints],
  ['indexes', indexes],
])('its %s are those of the migrated Tasks database', async (_, found) => {
  const generated = [...(await found(own.sql))];
  expect(generated.length).toBeGreaterThan(0);
  expect(generated).toEqual([...(await found(tasks.sql))]);
});

test('a migration of Tasks is exactly what npm run db:cache prints', async () => {
  const { scripts } = JSON.parse(await readFile('package.json', 'utf8')) as { scripts: Record<string, string> };
  const [command = '', ...args] = (scripts['db:cache'] ?? '').split(' ');
  const check = (path: string) => promisify(execFile)(command, [...args, '--check', path]);
  await check('src/db/migrations');
  await expect(check('src/db/migrations/0000_tables.sql')).rejects.toThrow(/no migration .* holds the row sets/);
});

test('run over a migrated Tasks database it changes no trigger', async () => {
  const before = await installedTriggers(tasks.sql);
  await tasks.sql.unsafe(migrationSql(allRowSets));
  const sorted = (list: object[]) => list.map((one) => JSON.stringify(one)).sort();
  expect(sorted(await installedTriggers(tasks.sql))).toEqual(sorted(before));
});

describe('tables with names of any kind', () => {
  const order = pgTable('order', { id: integer().primaryKey(), buyerName: text('buyer Näme'), quote: text("it's") });
  const Book = pgSchema('Shop').table('Book', { id: integer('Id').primaryKey(), authorId: integer('authorId') });
  const orderRows = rowSets(order, { byId: [order.id], byBuyer: [order.buyerName], byQuote: [order.quote] });
  const bookRows = rowSets(Book, { byId: [Book.id], byAuthor: [Book.authorId] });

  test('get their triggers, which are found, and name what is written', async () => {
    const { sql } = own;
    await sql.unsafe(`create table "order" (id int primary key, "buyer Näme" text, "it's" text);
      create schema "Shop"; create table "Shop"."Book" ("Id" int primary key, "authorId" int)`);
    await expect(requireTriggers(sql, [orderRows, bookRows])).rejects.toThrow(TriggersMissing);
    await sql.unsafe(migrationSql([orderRows, bookRows]));
    await requireTriggers(sql, [orderRows, bookRows]);
    await sql`insert into "order" values (7, 'Zoë', 'a')`;
    await sql`insert into "Shop"."Book" values (1, 7)`;
    const rows = await sql<{ tags: string[] }[]>`select tags from cache_outbox order by seq`;
    expect(rows.map(({ tags }) => tags.sort())).toEqual([
      [orderRows.byId(7)[0], orderRows.byBuyer('Zoë')[0], orderRows.byQuote('a')[0]].sort(),
      [bookRows.byId(1)[0], bookRows.byAuthor(7)[0]].sort(),
    ]);
  });

  test('a table of another schema has no triggers because one of its name has', async () => {
    const twin = pgTable('Book', { id: integer('Id').primaryKey(), authorId: integer('authorId') });
    await expect(requireTriggers(own.sql, [rowSets(twin, { byId: [twin.id] })])).rejects.toThrow(TriggersMissing);
  });

  test('two declarations of one table are refused', () => {
    expect(() => migrationSql([orderRows, orderRows])).toThrow(/public\.order are declared twice/);
  });
});
