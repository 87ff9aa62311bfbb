/**
 * pg beside postgres.js, both through Drizzle on one Postgres: `npm run drivers` in this folder prints Markdown. CPU of this process per
 * statement, in pairs of turns of a quarter second, so that whatever else the machine does meets both; and the time of 20 statements over one
 * connection whose every reply is late, which shows whether a driver sends a statement before the one ahead of it is answered.
 *
 *   DRIVER_PAIRS   pairs of turns for each row; default 30
 *   TEST_DATABASE_URL   of a server; default: a private one
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { eq, sql } from 'drizzle-orm';
import { drizzle as overPg } from 'drizzle-orm/node-postgres';
import { integer, pgTable, text, timestamp } from 'drizzle-orm/pg-core';
import { drizzle as overPostgresJs } from 'drizzle-orm/postgres-js';
import { Pool } from 'pg';
import { openDatabase, postgresClient } from '../src/engine/postgres/index.js';
import { startServers } from '../test/support/services.js';
import { median } from './tally.js';

const PAIRS = Number(process.env['DRIVER_PAIRS'] || 30);
const TURN_MS = 250;
/** Statements in flight: the connections that the API writes with. */
const AT_ONCE = 5;
const ROWS = 1000;
const LATE_MS = 10;

const rows = pgTable('bench_drivers', {
  id: integer().primaryKey(),
  list: integer().notNull(),
  title: text().notNull(),
  status: text().notNull(),
  description: text(),
  version: integer().notNull(),
  createdAt: timestamp('created_at', { withTimezone: true, mode: 'string' }).notNull(),
});

type Run = (n: number) => PromiseLike<unknown>;
interface Work {
  readonly what: string;
  readonly postgres: Run;
  readonly pg: Run;
}

const servers = await startServers();
const url = servers.databaseUrl;
const setup = postgresClient(url, { max: 1 });
await setup.unsafe(`drop table if exists bench_drivers;
  create table bench_drivers (id int primary key, list int not null, title text not null, status text not null, description text,
    version int not null, created_at timestamptz not null);
  insert into bench_drivers select g, g / 50, 'Task ' || g || ': make it work, then make it right', 'TODO', null, 1, now()
    from generate_series(0, ${ROWS - 1}) g;
  create index on bench_drivers (list); analyze bench_drivers`);

const client = postgresClient(url, { max: AT_ONCE });
const plain = overPostgresJs(client);
const api = openDatabase({ url });
const pool = new Pool({ connectionString: url, max: AT_ONCE });
const pg = overPg({ client: pool });

const byId = { id: sql.placeholder('id') };
const one = api.prepared('bench_one', (db, name) => db.select().from(rows).where(eq(rows.id, byId.id)).prepare(name));
const list = api.prepared('bench_list', (db, name) =>
  db.select().from(rows).where(eq(rows.list, byId.id)).prepare(name),
);
const pgOne = pg.select().from(rows).where(eq(rows.id, byId.id)).prepare('bench_one');
const pgList = pg.select().from(rows).where(eq(rows.list, byId.id)).prepare('bench_list');
const bump = { version: sql`version + 1` };

const WORKS: readonly Work[] = [
  {
    what: 'one row, as Drizzle sends it',
    postgres: (n) => plain.select().from(rows).where(eq(rows.id, n)),
    pg: (n) => pg.select().from(rows).where(eq(rows.id, n)),
  },
  { what: 'one row, prepared', postgres: (id) => one.execute({ id }), pg: (id) => pgOne.execute({ id }) },
  {
    what: '50 rows, prepared',
    postgres: (n) => list.execute({ id: n % 20 }),
    pg: (n) => pgList.execute({ id: n % 20 }),
  },
  {
    what: 'a transaction with one UPDATE',
    postgres: (n) => api.write.transaction((tx) => tx.update(rows).set(bump).where(eq(rows.id, n))),
    pg: (n) => pg.transaction((tx) => tx.update(rows).set(bump).where(eq(rows.id, n))),
  },
];

/** CPU per statement in µs, over one turn. */
async function turn(run: Run): Promise<number> {
  const before = process.cpuUsage();
  const endMs = performance.now() + TURN_MS;
  let done = 0;
  const worker = async () => {
    while (performance.now() < endMs) await run((done++ * 7) % ROWS);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  const { user, system } = process.cpuUsage(before);
  return (user + system) / done;
}

function quartiles(values: readonly number[]): string {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) => (sorted[Math.floor(share * (sorted.length - 1))] as number).toFixed(2);
  return `${at(0.5)} (${at(0.25)}–${at(0.75)})`;
}

console.log('| | postgres.js, µs | pg, µs | pg / postgres.js: median (quartiles) of pairs |\n|---|--:|--:|--:|');
for (const { what, postgres, pg } of WORKS) {
  await turn(postgres).then(() => turn(pg)); // connections, statements, compiled code
  const pairs: [number, number][] = [];
  for (let i = 0; i < PAIRS; i++) {
    const first = await turn(i % 2 ? pg : postgres);
    const second = await turn(i % 2 ? postgres : pg);
    pairs.push(i % 2 ? [second, first] : [first, second]);
  }
  const figures = [0, 1].map((side) => median(pairs.map((pair) => pair[side] as number)).toFixed(0));
  console.log(`| ${what} | ${figures.join(' | ')} | ${quartiles(pairs.map(([ours, theirs]) => theirs / ours))} |`);
}

/** In front of Postgres: what it replies is `LATE_MS` late. */
const { hostname, port } = new URL(url);
const late = createServer((socket) => {
  const upstream = connect(Number(port || 5432), hostname);
  socket.pipe(upstream);
  upstream.on('data', (bytes) => setTimeout(() => socket.write(bytes), LATE_MS));
  for (const end of [socket, upstream])
    end.on('error', () => {}).on('close', () => [socket, upstream].map((one) => one.destroy()));
}).listen(0, '127.0.0.1');
await once(late, 'listening');
const far = new URL(url);
far.host = `127.0.0.1:${(late.address() as AddressInfo).port}`;
const farPool = new Pool({ connectionString: far.href, max: 1 });
const farPg = overPg({ client: farPool });
const farClient = postgresClient(far.href, { max: 1 });
far.searchParams.set('connection_limit', '4'); // of these the API reads with one
const farApi = openDatabase({ url: far.href });
const farOne = farApi.prepared('bench_one', (db, name) =>
  db.select().from(rows).where(eq(rows.id, byId.id)).prepare(name),
);
const farPgOne = farPg.select().from(rows).where(eq(rows.id, byId.id)).prepare('bench_one');
const FAR: readonly Work[] = [
  {
    what: 'as Drizzle sends them',
    postgres: (n) => overPostgresJs(farClient).execute(sql`select ${n}::int`),
    pg: (n) => farPg.execute(sql`select ${n}::int`),
  },
  { what: 'prepared', postgres: (id) => farOne.execute({ id }), pg: (id) => farPgOne.execute({ id }) },
];

/** Of 20 statements at once, ms. */
async function elapsed(run: Run): Promise<string> {
  await run(0).then(() => run(1)); // opens, and prepares what is repeated
  const startedMs = performance.now();
  await Promise.all(Array.from({ length: 20 }, (_, n) => run(n)));
  return (performance.now() - startedMs).toFixed(0);
}

for (const { what, postgres, pg } of FAR) {
  const times = [await elapsed(postgres), await elapsed(pg)];
  console.log(`| 20 at once, one connection, replies ${LATE_MS} ms late, ${what}: ms | ${times.join(' | ')} | |`);
}

await Promise.all([client, setup, farClient].map((sql) => sql.end({ timeout: 1 })));
await Promise.all([pool.end(), farPool.end(), api.close(), farApi.close()]);
late.close();
await servers.stop();
