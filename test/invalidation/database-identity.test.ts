/** The identity of a database: what changes it, what must not change it, and how a process uses it. */

import type { Sql } from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { migrateDatabase } from '../../src/db/migrate.js';
import { LEASE_MS } from '../../src/engine/cache/index.js';
import { postgresClient } from '../../src/engine/postgres/database.js';
import { KnownDatabase, readIdentity } from '../../src/engine/postgres/database-identity.js';
import { trimOutbox } from '../../src/engine/postgres/outbox.js';
import { FakeClock } from '../cache/world.js';
import { createDatabase, type TestDatabase } from '../support/database.js';

let database: TestDatabase;
let sql: Sql;

beforeAll(async () => {
  database = await createDatabase();
  sql = postgresClient(database.url, { max: 4 });
});
afterAll(async () => {
  await sql?.end({ timeout: 5 });
  await database?.drop();
});

test('a database keeps one identity under concurrent reads, maintenance, trimming and migrations', async () => {
  const [first, ...others] = await Promise.all(Array.from({ length: 4 }, () => readIdentity(sql)));
  expect(others).toEqual([first, first, first]);
  expect(first?.id).toMatch(/^[\w-]{12}$/);
  await sql`insert into users (id, handle, name) values (gen_random_uuid(), 'ada', 'Ada')`;
  for (const statement of [
    'vacuum full cache_identity',
    'vacuum (freeze) cache_identity',
    'vacuum full pg_catalog.pg_trigger',
    'vacuum (freeze) pg_catalog.pg_trigger',
    'reindex table cache_identity',
    'analyze',
  ]) {
    await sql.unsafe(statement);
    expect(await readIdentity(sql), statement).toEqual(first);
  }
  await trimOutbox(sql, { retentionMs: 0 });
  await migrateDatabase(database.url);
  expect(await readIdentity(sql)).toEqual(first);
});

test('a role that may only read and write tables finds and gives identities', async () => {
  const role = `app_${database.url.slice(-12)}`;
  await sql.unsafe(`create role ${role} login password 'app'`);
  try {
    await sql.unsafe(`grant select, insert, update, delete on all tables in schema public to ${role}`);
    const url = new URL(database.url);
    Object.assign(url, { username: role, password: 'app' });
    const app = postgresClient(url.href, { max: 1 });
    const before = await readIdentity(sql);
    expect(await readIdentity(app)).toEqual(before);
    await sql`update cache_identity set origin = 'elsewhere'`;
    const renamed = await readIdentity(app);
    expect(renamed).toEqual({ id: expect.not.stringMatching(before.id), previous: before.id });
    expect(await readIdentity(sql)).toEqual(renamed);
    await app.end();
  } finally {
    await sql.unsafe(`drop owned by ${role}`);
    await sql.unsafe(`drop role ${role}`);
  }
});

describe('a database', () => {
  const row = `insert into cache_identity select * from jsonb_populate_record(null::cache_identity, 'ROW')`;
  test.each([
    ['its row was restored from a dump', ['delete from cache_identity', row]],
    ['its row was truncated and restored', ['truncate cache_identity', row]],
    ['its row is gone', ['delete from cache_identity']],
    [
      'the table was restored from a dump',
      [
        'create table saved (like cache_identity including all)',
        'drop table cache_identity',
        'alter table saved rename to cache_identity',
        row,
      ],
    ],
    [
      'a cached table was loaded with its triggers disabled',
      [
        'alter table tasks disable trigger all',
        'alter table tasks enable trigger all',
        'alter table tasks enable always trigger cache_insert',
        'alter table tasks enable always trigger cache_update',
        'alter table tasks enable always trigger cache_delete',
        'alter table tasks enable always trigger cache_truncate',
      ],
    ],
    [
      'a trigger of a cached table was dropped and made again',
      [
        "create trigger other after truncate on tasks for each statement execute function cache_name_rows('[]', '500')",
        'drop trigger other on tasks',
        'drop trigger cache_truncate on labels',
        "create trigger cache_truncate after truncate on labels for each statement execute function cache_name_rows('[]', '500')",
      ],
    ],
  ] as const)('has another identity after %s', async (_, statements) => {
    const before = await readIdentity(sql);
    const [{ text } = { text: '' }] = await sql<
      { text: string }[]
    >`select to_jsonb(i)::text as text from cache_identity i`;
    for (const statement of statements) await sql.unsafe(statement.replace('ROW', () => text));
    const after = await readIdentity(sql);
    expect(after.id).not.toBe(before.id);
    expect(await readIdentity(sql)).toEqual(after);
  });
});

describe('what a process knows of its database', () => {
  const [a, b, c] = ['a', 'b', 'c'].map((id) => ({ id, previous: undefined })) as [
    { id: string; previous: undefined },
    { id: string; previous: undefined },
    { id: string; previous: undefined },
  ];

  test('is believed for LEASE_MS from when the question was sent, not from when the answer came', () => {
    const clock = new FakeClock();
    const known = new KnownDatabase(clock);
    expect(known.current).toBeUndefined();
    const askedAtMs = clock.monotonicMs();
    clock.advance(LEASE_MS - 1);
    known.record(a, askedAtMs);
    expect(known.current).toBe('a');
    clock.advance(1);
    expect(known.current).toBeUndefined();
    expect(known.latest).toEqual(a);
  });

  test('says when it is another, and when one that was left is back', () => {
    const known = new KnownDatabase(new FakeClock());
    const changes = [a, a, b, c, b, b, a].map((identity) => known.record(identity, 0));
    expect(changes).toEqual(['first', 'same', 'other', 'other', 'returned', 'same', 'returned']);
  });
});
