/** A database or a role may set anything for its sessions: none of it changes what the API answers. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openDatabase, postgresClient } from '../../src/engine/postgres/database.js';
import { DatabaseUnusable } from '../../src/engine/postgres/requirements.js';
import { SELECT_SETTINGS, SESSION_SETTINGS, startupSettings } from '../../src/engine/postgres/session-settings.js';
import { createDatabase, createEmptyDatabase, requireDatabase, type TestDatabase } from '../support/database.js';
import { journey } from '../support/journey.js';
import { databaseUrl } from '../support/servers.js';

/** Each setting with a value that the code could not work with. */
const TURNED: Record<string, string> = {
  DateStyle: "'German, DMY'",
  IntervalStyle: 'sql_standard',
  TimeZone: "'Asia/Kathmandu'",
  client_encoding: "'LATIN1'",
  standard_conforming_strings: 'off',
  bytea_output: 'escape',
  extra_float_digits: "'-15'",
  array_nulls: 'off',
  transform_null_equals: 'on',
  search_path: 'app, public',
  default_transaction_isolation: 'serializable',
  default_transaction_read_only: 'on',
  default_transaction_deferrable: 'on',
  synchronous_commit: 'off',
  row_security: 'on',
  gin_fuzzy_search_limit: '1',
  lock_timeout: '1',
  idle_in_transaction_session_timeout: '1',
  idle_session_timeout: '1',
  statement_timeout: '1',
};
/** Settings that a connection cannot send. */
const ONLY_CHECKED = { session_replication_role: 'replica', transaction_timeout: '5s' };

let plain: TestDatabase;
let turned: TestDatabase;
beforeAll(async () => {
  [plain, turned] = await Promise.all([createEmptyDatabase(), createEmptyDatabase({ settings: TURNED })]);
  const sql = postgresClient(turned.url, { max: 1 });
  await sql`create schema app`;
  await sql.end();
});
afterAll(async () => {
  await Promise.all([plain?.drop(), turned?.drop()]);
});

test('every setting that the code relies on is turned the other way by a test', () => {
  const named = [...SESSION_SETTINGS.map(({ name }) => name), 'statement_timeout'];
  expect(Object.keys({ ...TURNED, ...ONLY_CHECKED }).sort()).toEqual(named.sort());
});

test('the API answers a journey with the same bytes on a database that sets everything otherwise', async () => {
  const expected = await journey(plain.url);
  expect(expected).toContain('"dueDate": "2026-06-05"');
  expect(expected).toMatch(/"capitals": \{\s*"nodes": \[\s*\{\s*"title": "Changed by psql: été"/);
  expect(await journey(turned.url)).toBe(expected);
});

test('every connection has the settings that the code relies on, whatever it is for', async () => {
  const db = openDatabase({ url: turned.url });
  const sql = postgresClient(turned.url, { max: 1 });
  const [read, write] = [startupSettings(10_000), startupSettings(30_000)];
  try {
    for (const [rows, expected] of [
      [await sql.unsafe(SELECT_SETTINGS), write],
      [await db.read.execute(SELECT_SETTINGS), read],
      [await db.write.execute(SELECT_SETTINGS), write],
      [await db.write.transaction((tx) => tx.execute(SELECT_SETTINGS)), write],
      [await db.snapshot((at) => at.read.execute(SELECT_SETTINGS)), read],
    ] as const) {
      const settings = Object.fromEntries(rows.map(({ name, value }) => [name, value]));
      expect(settings).toMatchObject({ ...expected, search_path: 'public' });
    }
  } finally {
    await Promise.all([db.close(), sql.end()]);
  }
});

describe('triggers', () => {
  test('triggers name the rows of a writer with any search_path and session_replication_role', async () => {
    const database = await createDatabase();
    const sql = postgresClient(database.url, { max: 1 });
    try {
      await sql`create schema elsewhere`;
      await sql.unsafe(`set search_path = elsewhere; set session_replication_role = replica; set timezone = 'Asia/Kathmandu';
        set datestyle = 'German'; set standard_conforming_strings = off; set default_transaction_isolation = 'serializable'`);
      await sql`insert into public.users (id, handle, name) values (${'01890000-0000-7000-8000-000000000001'}, 'eve', 'Eve')`;
      const rows = await sql<{ tags: string[] }[]>`select tags from public.cache_outbox`;
      expect(rows.flatMap(({ tags }) => tags)).toContain('users:id=01890000-0000-7000-8000-000000000001');
      await sql`update public.users set name = 'E' where handle = 'eve'`;
      expect(await sql`select 1 from public.cache_outbox`).toHaveLength(2);
    } finally {
      await sql.end();
      await database.drop();
    }
  });
});

describe('the check at start', () => {
  const refusal = async (settings: Record<string, string>) => {
    const database = await createEmptyDatabase({ settings });
    try {
      const error = await requireDatabase(database.url).catch((thrown: unknown) => thrown);
      return { error, database: database.name };
    } finally {
      await database.drop();
    }
  };

  test.for(Object.entries(ONLY_CHECKED))(
    'a database where %s is %s is refused in one line that says how to mend it',
    async ([name, value], { skip }) => {
      const sql = postgresClient(databaseUrl(), { max: 1 });
      const known = await sql`select 1 from pg_settings where name = ${name}`;
      await sql.end();
      skip(known.length === 0, `this version of PostgreSQL has no ${name}`);
      const { error, database } = await refusal({ [name]: `'${value}'` });
      expect(error).toBeInstanceOf(DatabaseUnusable);
      const { message } = error as Error;
      expect(message).toMatch(
        new RegExp(`^${name} is ".+", but .*: alter role postgres in database ${database} set ${name} = `),
      );
      expect(message).not.toContain('\n');
    },
  );

  test('a database whose settings a connection can replace is accepted', async () => {
    expect((await refusal(TURNED)).error).toBeUndefined();
  });
});
