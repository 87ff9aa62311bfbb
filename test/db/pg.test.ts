/** Drizzle over a Pool of pg, as `createCache` leaves it: a connection that dies fails what it was in and nothing else. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { sql } from 'drizzle-orm';
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres';
import { Pool } from 'pg';
import type { Sql } from 'postgres';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { postgresClient } from '../../src/engine/postgres/database.js';
import { ownDrizzle } from '../../src/engine/postgres/own-drizzle.js';
import { eventually } from '../support/app.js';
import { Gate } from '../support/barrier.js';
import { createEmptyDatabase, type TestDatabase } from '../support/database.js';

let database: TestDatabase;
let other: Sql;
let pool: Pool;
let db: NodePgDatabase & { $client: Pool };
let server: Server;
/** The connection that sends this next is cut instead. */
let cutAt: string | undefined;

beforeAll(async () => {
  database = await createEmptyDatabase();
  other = postgresClient(database.url, { max: 1 });
  const { hostname, port } = new URL(database.url);
  server = createServer((client) => {
    const upstream = connect(Number(port || 5432), hostname);
    client.on('error', () => {}).on('close', () => upstream.destroy());
    upstream.on('error', () => {}).on('close', () => client.destroy());
    upstream.pipe(client);
    client.on('data', (bytes) => {
      if (cutAt === undefined || !bytes.includes(cutAt)) return void upstream.write(bytes);
      cutAt = undefined;
      client.destroy();
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
});
beforeEach(async () => {
  const url = new URL(database.url);
  url.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  pool = new Pool({ connectionString: url.href, max: 1 });
  db = drizzle({ client: pool });
  await ownDrizzle(db);
  await ownDrizzle(db); // two caches may share a pool
});
afterEach(() => pool.end());
afterAll(async () => {
  await other.end();
  server.close();
  await database.drop();
});

const one = async (at: Pick<NodePgDatabase, 'execute'>) => (await at.execute(sql`select 1 as one`)).rows;
async function kill(at: Pick<NodePgDatabase, 'execute'>): Promise<void> {
  const pid = (await at.execute<{ pid: number }>(sql`select pg_backend_pid() as pid`)).rows[0]?.pid;
  await other`select pg_terminate_backend(${pid as number})`;
}

test('a transaction whose connection is killed fails, ends no process, and the next one works', async () => {
  for (let i = 0; i < 5; i++) {
    const broken = db.transaction(async (tx) => {
      await kill(tx);
      await eventually(() => expect(one(tx)).rejects.toThrow());
      await one(tx);
    });
    await expect(broken).rejects.toThrow();
    expect(await db.transaction(one)).toEqual([{ one: 1 }]);
  }
});

test('a connection killed while no one uses it is replaced', async () => {
  for (let i = 0; i < 5; i++) {
    await kill(db);
    await eventually(async () => expect(await one(db)).toEqual([{ one: 1 }]));
  }
});

test('a transaction whose BEGIN fails gives its connection back', async () => {
  for (let i = 0; i < 3; i++) {
    await one(db);
    cutAt = 'begin';
    await expect(db.transaction(one)).rejects.toThrow();
    expect(await db.transaction(one)).toEqual([{ one: 1 }]);
  }
});

test('a transaction that lost its connection while it waited says nothing on the next one', async () => {
  const waiting = new Gate();
  const first = db.transaction(async (tx) => {
    await kill(tx);
    await waiting.pass();
  });
  first.catch(() => {}); // it fails before this test looks at it
  await waiting.arrived;
  await eventually(() => one(db));
  const xid = async (tx: Pick<NodePgDatabase, 'execute'>) =>
    (await tx.execute(sql`select pg_current_xact_id()::text as xid`)).rows;
  await db.transaction(async (tx) => {
    const before = await xid(tx);
    waiting.open();
    await expect(first).rejects.toThrow();
    expect(await xid(tx)).toEqual(before);
  });
});

test('the rows that a statement brought before it failed are none of the next one', async () => {
  await expect(db.execute(sql`select 1 / (3000 - g) from generate_series(1, 5000) g`)).rejects.toThrow();
  expect(await one(db)).toEqual([{ one: 1 }]);
});
