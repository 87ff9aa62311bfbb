/** Statements whose connection dies under them: a read is sent again once, and nothing else is. */
import { sql } from 'drizzle-orm';
import type { Sql } from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isConnectionLost, isUnavailable } from '../../src/engine/postgres/connection-errors.js';
import { type MainDatabase, openDatabase, postgresClient } from '../../src/engine/postgres/database.js';
import { eventually } from '../support/app.js';
import { createDatabase, type TestDatabase } from '../support/database.js';

let database: TestDatabase;
let db: MainDatabase;
let admin: Sql;

beforeAll(async () => {
  database = await createDatabase();
  db = openDatabase({ url: database.url });
  admin = postgresClient(database.url, { max: 1 });
});
afterAll(async () => {
  await db?.close();
  await admin?.end();
  await database?.drop();
});

/** Waits for a statement with this mark, and ends its connection. @returns its backend */
async function killed(mark: string, butNot?: number): Promise<number> {
  let pid = 0;
  await eventually(async () => {
    const [found] = await admin<{ pid: number }[]>`
      select pid from pg_stat_activity where query like ${`%${mark}%`} and state = 'active' and pid not in (pg_backend_pid(), ${butNot ?? 0})`;
    expect(found).toBeDefined();
    pid = found?.pid as number;
  });
  await admin`select pg_terminate_backend(${pid})`;
  return pid;
}

/** Does not end by itself within a test. */
const held = (mark: string) => sql.raw(`select 1 as one, pg_sleep(60) /* ${mark} */`);

test('a read whose connection is ended is answered by another connection', async () => {
  await admin`create table lost_once (n int)`; // once it has a row, the same statement ends at once
  const statement = sql.raw(
    'select 1 as one from pg_sleep(case when exists (select from lost_once) then 0 else 60 end) /* once */',
  );
  const reading = db.read.execute<{ one: number }>(statement).then((rows) => rows[0]?.one);
  await eventually(async () => {
    const running =
      await admin`select from pg_stat_activity where query like '%/* once */%' and state = 'active' and pid <> pg_backend_pid()`;
    expect(running).toHaveLength(1);
  });
  await admin`insert into lost_once values (1)`;
  await killed('/* once */');
  expect(await reading).toBe(1);
});

test('a read whose connection is ended twice fails with what ended it', async () => {
  const reading = db.read.execute(held('twice'));
  const failed = expect(reading).rejects.toSatisfy(isConnectionLost);
  await killed('/* twice */', await killed('/* twice */'));
  await failed;
});

test('a read whose caller has gone is not sent again', async () => {
  const gone = new AbortController();
  const reading = db.until(gone.signal).read.execute(held('gone'));
  const failed = expect(reading).rejects.toMatchObject({ cause: { message: 'the caller has gone' } });
  await killed('/* gone */');
  gone.abort(new Error('the caller has gone'));
  await failed;
  expect(
    await admin`select from pg_stat_activity where query like '%/* gone */%' and state = 'active' and pid <> pg_backend_pid()`,
  ).toEqual([]);
});

describe('a transaction whose connection is ended is not begun again', () => {
  test('when it is a snapshot', async () => {
    let runs = 0;
    const reading = db.snapshot(async (at) => {
      runs++;
      await at.read.execute(held('snapshot'));
    });
    const failed = expect(reading).rejects.toSatisfy(isConnectionLost);
    await killed('/* snapshot */');
    await failed;
    expect(runs).toBe(1);
  });

  test('when it writes', async () => {
    let runs = 0;
    const writing = db.write.transaction(async (tx) => {
      runs++;
      await tx.execute(held('write'));
    });
    const failed = expect(writing).rejects.toSatisfy(isConnectionLost);
    await killed('/* write */');
    await failed;
    expect(runs).toBe(1);
  });
});

test('an error of the statement itself is none of its connection', async () => {
  const failed = await db.read.execute(sql`select 1 / 0`).then(
    () => undefined,
    (error: unknown) => error,
  );
  expect([isConnectionLost(failed), isUnavailable(failed)]).toEqual([false, false]);
  expect(isUnavailable(new Error('CONNECTION_CLOSED'))).toBe(false);
});

test.each(['ECONNREFUSED', 'CONNECT_TIMEOUT', '57P03', '57P01', 'CONNECTION_CLOSED'])(
  'an error with the code %s, however deep, says that Postgres is away',
  (code) => {
    const error = new Error('outer', { cause: Object.assign(new Error('inner'), { code }) });
    expect(isUnavailable({ originalError: error })).toBe(true);
  },
);
