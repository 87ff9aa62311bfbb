/** What patches/ mends in the driver: a connection that dies, or a statement that does, fails what it was in and nothing else. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import type { Sql } from 'postgres';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { postgresClient } from '../../src/engine/postgres/database.js';
import { eventually } from '../support/app.js';
import { Gate } from '../support/barrier.js';
import { createDatabase, type TestDatabase } from '../support/database.js';

let database: TestDatabase;
let sql: Sql;
let other: Sql;
beforeAll(async () => {
  database = await createDatabase();
});
beforeEach(() => {
  sql = postgresClient(database.url, { max: 1 });
  other = postgresClient(database.url, { max: 1 });
});
afterEach(() => Promise.all([sql.end({ timeout: 1 }), other.end({ timeout: 1 })]));
afterAll(() => database.drop());

async function pidOf(client: Pick<Sql, 'unsafe'>): Promise<number> {
  return (await client.unsafe('select pg_backend_pid() as pid'))[0]?.['pid'];
}
const kill = (pid: number) => other`select pg_terminate_backend(${pid})`;

test('a transaction whose connection is killed fails, and the next one works', async () => {
  for (let i = 0; i < 5; i++) {
    const broken = sql.begin(async (tx) => {
      await kill(await pidOf(tx));
      await tx`select 1`;
    });
    await expect(broken).rejects.toMatchObject({ code: expect.stringMatching(/CONNECTION_|57P01/) });
    await eventually(async () => expect(await sql.begin((tx) => tx`select 1 as one`)).toEqual([{ one: 1 }]));
  }
});

test('a connection killed while nobody uses it is replaced', async () => {
  for (let i = 0; i < 5; i++) {
    await kill(await pidOf(sql));
    // Statements that were sent into the dying connection fail, none of them waits for ever.
    await eventually(async () => expect(await sql`select 1 as one`).toEqual([{ one: 1 }]));
  }
});

test('a transaction that lost its connection while it waited says nothing on the next one', async () => {
  const waiting = new Gate();
  const first = sql.begin(async (tx) => {
    await kill(await pidOf(tx));
    await waiting.pass();
    return 'would commit now';
  });
  first.catch(() => {}); // it may fail before this test gets to look at it
  await waiting.arrived;
  await expect(first).rejects.toMatchObject({ code: expect.stringMatching(/CONNECTION_|57P01/) });
  // The pool's only connection is opened anew, for a transaction that the first must not end.
  await eventually(() => sql`select 1`);
  const second = sql.begin(async (tx) => {
    const [before] = await tx`select pg_current_xact_id()::text as xid`;
    waiting.open();
    await new Promise((resolve) => setImmediate(resolve));
    const [after] = await tx`select pg_current_xact_id()::text as xid`;
    return [before?.['xid'], after?.['xid']];
  });
  const [before, after] = await second;
  expect(after).toBe(before);
});

test('after many failed attempts to connect no query waits long for the next one', async () => {
  const { hostname, port } = new URL(database.url);
  let refuses = true;
  const server = createServer((client) => {
    client.on('error', () => {});
    if (refuses) return client.destroy();
    const upstream = connect(Number(port || 5432), hostname);
    upstream.on('error', () => client.destroy());
    client.pipe(upstream).pipe(client);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = new URL(database.url);
  url.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const pool = postgresClient(url.href, { max: 10 });
  try {
    // All of the pool at once: the driver counts ten failures, after which it would rest for 10 to 20 s.
    const failed = await Promise.allSettled(Array.from({ length: 10 }, () => pool`select 1`));
    expect(failed.map(({ status }) => status)).toEqual(Array(10).fill('rejected'));
    refuses = false;
    const startedMs = performance.now();
    // One for each connection, which it is given whether the connection still rests or not.
    await Promise.all(Array.from({ length: 10 }, () => pool`select 1`));
    expect(performance.now() - startedMs).toBeLessThan(5000);
  } finally {
    await pool.end({ timeout: 1 });
    server.close();
  }
}, 30_000);

test('the rows that a statement brought before it failed are none of the next one', async () => {
  const failing = sql`select 1 / (3000 - g) from generate_series(1, 5000) g`;
  await expect(failing).rejects.toMatchObject({ code: '22012' });
  expect([...(await sql`select 1 as one`)]).toEqual([{ one: 1 }]);
});
