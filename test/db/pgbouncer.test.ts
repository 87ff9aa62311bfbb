/** PgBouncer in transaction mode between the server and Postgres: the code relies on no state of a session and leaves none behind. */
import type { Sql } from 'postgres';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { migrateDatabase } from '../../src/db/migrate.js';
import { openDatabase, postgresClient } from '../../src/engine/postgres/database.js';
import { breakableProxy } from '../invalidation/breakable-proxy.js';
import { dataOf, eventually, type TestApp, testApp } from '../support/app.js';
import { Gate } from '../support/barrier.js';
import { createDatabase, createEmptyDatabase, requireDatabase, type TestDatabase } from '../support/database.js';
import { fixture } from '../support/fixture.js';
import { journey } from '../support/journey.js';
import { needsPgbouncer, type Pooler, pgbouncerPath, startPgbouncer } from '../support/pgbouncer.js';
import * as servers from '../support/servers.js';

/** Fewer than the connections of one process. */
const POOL_SIZE = 6;
const CLIENTS = 12;
const ROUNDS = 10;

describe.runIf(pgbouncerPath)(`through PgBouncer in transaction mode${needsPgbouncer}`, () => {
  let pooler: Pooler;
  let database: TestDatabase;
  /** The database of a test, through the pooler and past it. */
  let pooled: string;
  let direct: Sql;

  beforeAll(async () => {
    pooler = await startPgbouncer(servers.databaseUrl(), POOL_SIZE);
  });
  afterAll(() => pooler?.stop());
  beforeEach(async () => {
    database = await createEmptyDatabase();
    pooled = `${pooler.urlOf(database.url)}?pgbouncer=true`;
    direct = postgresClient(database.url, { max: 1 });
  });
  afterEach(async () => {
    await direct?.end();
    await database?.drop();
  });

  test('a start whose URL does not name the pooler is refused with the parameter to add', async () => {
    await expect(requireDatabase(pooler.urlOf(database.url))).rejects.toThrow('add pgbouncer=true to the URL');
  });

  test('the API answers a journey with the same bytes as over direct connections', async () => {
    const other = await createEmptyDatabase();
    try {
      expect(await journey(pooled)).toBe(await journey(other.url));
    } finally {
      await other.drop();
    }
  });

  test('migrations run, and a later start over a direct connection finds their lock free', async () => {
    await Promise.all([migrateDatabase(pooled), migrateDatabase(pooled)]);
    const lines: string[] = [];
    await migrateDatabase(database.url, { onWait: (line) => lines.push(line) });
    expect(lines).toEqual([]);
    expect([...(await direct`select 1 from pg_locks where locktype = 'advisory'`)]).toEqual([]);
  });

  test(`${CLIENTS} clients of two processes read and write without an error, and the cache serves`, async () => {
    await migrateDatabase(pooled);
    const apps: TestApp[] = [await testApp({ databaseUrl: pooled })];
    const [app] = apps as [TestApp];
    try {
      apps.push(await testApp({ databaseUrl: pooled, group: app.group }));
      const f = await fixture(app, CLIENTS);
      app.reset();
      const client = async (i: number) => {
        const id = (f.opsTasks[i] as (typeof f.opsTasks)[number]).id;
        for (let round = 0; round < ROUNDS; round++) {
          const on = apps[round % 2] as TestApp;
          const reader = apps[(round + i) % 2] as TestApp;
          const title = `Round ${round} of ${i}`;
          const write = `mutation ($input: UpdateTaskInput!) { updateTask(input: $input) { task { title } errors { message } } }`;
          const written = dataOf(await on.ask(write, { as: f.ada.id, variables: { input: { id, title } } }));
          expect(written.updateTask).toEqual({ task: { title }, errors: [] });
          const read = `query ($id: ID!) { task(id: $id) { title } tasks(first: 5) { totalCount nodes { title } } }`;
          for (let again = 0; again < 2; again++) {
            const { task, tasks } = dataOf(await reader.ask(read, { as: f.ada.id, variables: { id } }));
            expect(task.title).toBe(title);
            expect(tasks.totalCount).toBe(CLIENTS + 1);
          }
        }
      };
      await Promise.all(Array.from({ length: CLIENTS }, (_, i) => client(i)));
      const kinds = apps.flatMap(({ outcomes }) => outcomes.map(({ kind }) => kind));
      expect(kinds).not.toContain('error');
      expect(kinds.filter((kind) => kind === 'hit' || kind === 'near-hit').length).toBeGreaterThan(CLIENTS * ROUNDS);
      const left = async () => {
        const [counts] = await direct`
        select (select count(*)::int from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())) as locks,
          (select count(*)::int from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()) as connections`;
        return counts;
      };
      const few = expect.toSatisfy((count: number) => count <= POOL_SIZE);
      await expect.poll(left).toMatchObject({ locks: 0, connections: few }); // one that is being closed still counts
    } finally {
      for (const each of apps.reverse()) await each.close();
    }
  }, 120_000);

  test('no statement is prepared on any connection to Postgres', async () => {
    const db = openDatabase({ url: pooled });
    try {
      for (let i = 0; i < 20; i++) {
        await db.read.execute('select 1 as same');
        await db.write.transaction((tx) => tx.execute('select 1 as same'));
      }
      for (let i = 0; i < POOL_SIZE; i++) {
        expect([...(await db.read.execute("select name from pg_prepared_statements where name <> ''"))]).toEqual([]);
      }
    } finally {
      await db.close();
    }
  });

  test('a read that is aborted is cancelled in Postgres', async () => {
    const db = openDatabase({ url: pooled });
    const abort = new AbortController();
    const running = () =>
      direct`select 1 from pg_stat_activity where query like 'select pg_sleep(_0)%' and datname = current_database() and state = 'active'`;
    try {
      const slow = db.until(abort.signal).read.execute('select pg_sleep(30)');
      slow.catch(() => {});
      await eventually(async () => expect(await running()).toHaveLength(1));
      abort.abort(new Error('gone'));
      await expect(slow).rejects.toThrow();
      await eventually(async () => expect(await running()).toHaveLength(0));
    } finally {
      await db.close();
    }
  });

  test('a commit with an unknown outcome is reported as that, and the next read shows what it did', async () => {
    await migrateDatabase(database.url);
    const proxy = await breakableProxy(database.url);
    const behind = await startPgbouncer(proxy.url, POOL_SIZE);
    const app = await testApp({ databaseUrl: `${behind.urlOf(database.url)}?pgbouncer=true` });
    try {
      const f = await fixture(app);
      const { id } = f.opsTasks[0] as (typeof f.opsTasks)[number];
      const write = 'mutation ($input: UpdateTaskInput!) { updateTask(input: $input) { errors { message } } }';
      const title = 'Committed, unheard';
      proxy.loseNextCommit();
      const { errors } = await app.ask(write, { as: f.ada.id, variables: { input: { id, title } } });
      expect(errors?.[0]?.extensions).toMatchObject({ code: 'COMMIT_OUTCOME_UNKNOWN' });
      const read = 'query ($id: ID!) { task(id: $id) { title } }';
      expect(dataOf(await app.ask(read, { as: f.ada.id, variables: { id } }))).toEqual({ task: { title } });
    } finally {
      await app.close();
      await behind.stop();
      await proxy.close();
    }
  });

  test.each(['Postgres ends it', 'it breaks'])('a read whose connection dies is sent again: %s', async (how) => {
    const proxy = await breakableProxy(database.url);
    const behind = await startPgbouncer(proxy.url, POOL_SIZE);
    const db = openDatabase({ url: `${behind.urlOf(database.url)}?pgbouncer=true` });
    const running = `select pid from pg_stat_activity where query like 'select pg_sleep(1)%' and datname = current_database() and state = 'active'`;
    try {
      const reading = db.read.execute('select pg_sleep(1), 1 as one').then((rows) => rows[0]?.['one']);
      reading.catch(() => {});
      let pid: unknown;
      await eventually(async () => {
        pid = (await direct.unsafe(running))[0]?.['pid'];
        expect(pid).toBeDefined();
      });
      if (how === 'it breaks') proxy.cut();
      else await direct`select pg_terminate_backend(${pid as number})`;
      expect(await reading).toBe(1);
    } finally {
      await db.close();
      await behind.stop();
      await proxy.close();
    }
  });

  test('a write may take as long as over a direct connection, whatever the timeout of the role', async () => {
    await direct.unsafe(`alter database ${database.name} set statement_timeout = '100ms'`);
    const db = openDatabase({ url: pooled });
    try {
      const shown = () =>
        db.write.transaction((tx) =>
          tx.execute<{ timeout: string }>(`select current_setting('statement_timeout') as timeout`),
        );
      expect([...(await shown())]).toEqual([{ timeout: '30s' }]);
      expect([...(await db.write.execute(`select current_setting('statement_timeout') as timeout`))]).toEqual([
        { timeout: '100ms' },
      ]);
    } finally {
      await db.close();
    }
  });

  test.each([
    ['DateStyle', "'German'", `DateStyle is "German, DMY", but`, "set DateStyle = 'ISO, YMD'"],
    ['TimeZone', "'Asia/Kathmandu'", 'TimeZone is "Asia/Kathmandu", but', 'set TimeZone = UTC'],
    ['default_transaction_isolation', 'serializable', 'default_transaction_isolation is', "= 'read committed'"],
    ['statement_timeout', "'100ms'", 'statement_timeout is "100", but', 'set statement_timeout = 0'],
    ['search_path', 'app, public', 'search_path is "app, public", but', 'set search_path = public'],
    ['synchronous_commit', 'off', 'synchronous_commit is "off", but', 'set synchronous_commit = on'],
  ])('a start where %s is %s is refused with the statement that mends it', async (name, value, message, fix) => {
    await direct`create schema app`;
    await direct.unsafe(`alter database ${database.name} set ${name} = ${value}`);
    const error = (await requireDatabase(pooled).catch((thrown: unknown) => thrown)) as Error;
    expect(error.message).toContain(message);
    const [, statement = ''] = /: (alter role .* set .*?)(;|$)/.exec(error.message) ?? [];
    expect(statement).toContain(fix);
    await direct.unsafe(statement);
    try {
      await requireDatabase(`${database.url}?pgbouncer=true`); // past the pooler, whose connections are older
    } finally {
      await direct.unsafe(`alter role postgres in database ${database.name} reset ${name}`);
    }
  });
});

test('a migration prints which process it waits for, and goes on when that has finished', async () => {
  const database = await createDatabase();
  const other = postgresClient(database.url, { max: 1 });
  const gate = new Gate();
  const lines: string[] = [];
  try {
    const holding = other.begin(async (tx) => {
      await tx`select pg_advisory_xact_lock(${7203_4410})`;
      await gate.pass();
    });
    await gate.arrived;
    let finished = false;
    const migrating = migrateDatabase(database.url, { onWait: (line) => lines.push(line) }).then(() => {
      finished = true;
    });
    await eventually(() => expect(lines).toHaveLength(1));
    expect(lines[0]).toMatch(
      /^Another process is migrating this database \(process \d+ of Postgres, tasks-api, since .*\): waiting/,
    );
    expect(finished).toBe(false);
    gate.open();
    await Promise.all([holding, migrating]);
  } finally {
    await other.end();
    await database.drop();
  }
});
