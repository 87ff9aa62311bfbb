/** A client that goes away, at whatever moment, is no fault of the server: nothing is logged as an error, nothing is left unhandled. */
import { request as httpRequest } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import type { Sql } from 'postgres';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { toUuid } from '../../src/db/ids.js';
import { postgresClient } from '../../src/engine/postgres/database.js';
import { eventually, headersFor } from '../support/app.js';
import { Gate } from '../support/barrier.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { type LiveApp, liveApp } from '../support/live.js';
import { readableLog } from '../support/log.js';
import { connect as connectSubscriber } from '../support/subscriber.js';

const ERROR_LEVEL = 50;
const { log, lines } = readableLog();
const unhandled: unknown[] = [];
const note = (reason: unknown) => unhandled.push(reason);
let live: LiveApp;
let f: Fixture;
let sql: Sql;
let headers: Record<string, string>;
beforeAll(async () => {
  const rateLimit = { points: 1_000_000, seconds: 60 };
  live = await liveApp({ app: { log, rateLimit, trustProxy: ['127.0.0.1'] } });
  f = await fixture(live);
  sql = postgresClient(live.databaseUrl, { max: 2 });
  const { authorization = '' } = await headersFor({ as: f.ada.id });
  headers = { authorization, 'content-type': 'application/json' };
  process.on('unhandledRejection', note);
});
afterAll(async () => {
  process.off('unhandledRejection', note);
  await sql?.end();
  await live?.close();
});

/** Tables that nothing can read until the test has ended. */
let held: { gate: Gate; done: Promise<unknown> };
beforeEach(async () => {
  lines.length = 0;
  const gate = new Gate();
  const done = sql.begin(async (tx) => {
    await tx`lock table tasks, comments in access exclusive mode`;
    await gate.pass();
  });
  held = { gate, done };
  await gate.arrived;
});
afterEach(async () => {
  held.gate.open();
  await held.done;
});

const waiting = async () => {
  const rows =
    await sql`select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
  return rows.length;
};
const connections = () =>
  new Promise<number>((resolve) => live.server.server.getConnections((_, count) => resolve(count)));

/** Nothing was logged, when all that the client had begun is over. */
async function nothingWentWrong(): Promise<void> {
  await eventually(async () => expect([await waiting(), await connections()]).toEqual([0, 0]));
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(lines.filter(({ level }) => Number(level) >= ERROR_LEVEL)).toEqual([]);
  expect(unhandled).toEqual([]);
}

const port = () => (live.server.server.address() as AddressInfo).port;
let unique = 0;
const list = () =>
  `{ tasks(filter: { number: { gt: -${++unique} } }) { nodes { id title comments { nodes { body } } } } }`;

test.each([
  ['a list', () => list(), {}],
  [
    'two lists at once',
    () =>
      `{ a: tasks(filter: { number: { gt: -${++unique} } }) { nodes { id } } b: tasks(filter: { number: { gt: -${++unique} } }) { totalCount } }`,
    {},
  ],
  ['a cached field', () => '{ projects { nodes { stats { total } } } }', {}],
  ['a snapshot', () => list(), { 'x-consistency': 'snapshot' }],
  ['a trace', () => list(), { 'x-cache-trace': '1' }],
  [
    'a mutation',
    () => `mutation { createTask(input: { projectId: "${f.ops.id}", title: "Gone" }) { task { id } } }`,
    {},
  ],
] as [string, () => string, Record<string, string>][])('while %s is loaded', async (_, query, more) => {
  const sent = httpRequest({
    method: 'POST',
    path: '/graphql',
    port: port(),
    agent: false,
    headers: { ...headers, ...more },
  });
  sent.on('error', () => {});
  sent.end(JSON.stringify({ query: query() }));
  await eventually(async () => expect(await waiting()).toBeGreaterThan(0));
  sent.destroy();
  // A mutation that has begun goes on; it must not wait for this test.
  await eventually(async () => expect(await connections()).toBe(0));
  held.gate.open();
  await held.done;
  await nothingWentWrong();
});

test.each([
  ['before its headers end', (head: string) => head.slice(0, 40)],
  ['before its body', (head: string) => head],
  ['in the middle of its body', (head: string) => `${head}{"query": "{ view`],
])('%s', async (_, text) => {
  const length = 'content-length: 100';
  const head = [
    'POST /graphql HTTP/1.1',
    'host: x',
    length,
    `authorization: ${headers['authorization']}`,
    'content-type: application/json',
  ];
  for (const extra of [[], ['x-cache-trace: 1']]) {
    const socket = connect(port(), '127.0.0.1');
    await new Promise((resolve) => socket.write(text(`${[...head, ...extra].join('\r\n')}\r\n\r\n`), resolve));
    await eventually(async () => expect(await connections()).toBe(1));
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    socket.resetAndDestroy();
    await nothingWentWrong();
  }
});

test('as soon as it has sent all, so that it has no address any more', async () => {
  const body = JSON.stringify({ query: '{ viewer { id } }' });
  const head = [
    ...['POST /graphql HTTP/1.1', 'host: x', 'content-type: application/json', 'x-cache-trace: 1'],
    ...[`authorization: ${headers['authorization']}`, `content-length: ${body.length}`],
  ];
  for (let n = 0; n < 100; n++) {
    const socket = connect(port(), '127.0.0.1');
    await new Promise((resolve) => socket.write(`${head.join('\r\n')}\r\n\r\n${body}`, resolve));
    socket.resetAndDestroy();
  }
  await nothingWentWrong();
});

test('while an event of its subscription is loaded', async () => {
  held.gate.open();
  await held.done;
  const connection = connectSubscriber(live, f.ada.id);
  const { subscribers } = live.taskEvents;
  connection.send('subscription { taskChanged { task { title comments { nodes { body } } } } }');
  await eventually(() => expect(live.taskEvents.subscribers).toBe(subscribers + 1));
  const gate = new Gate();
  const done = sql.begin(async (tx) => {
    await tx`lock table comments in access exclusive mode`;
    await gate.pass();
  });
  await gate.arrived;
  await sql`update tasks set title = 'Renamed', version = version + 1 where id = ${toUuid(f.webTask.id)}`;
  await eventually(async () => expect(await waiting()).toBeGreaterThan(0));
  connection.socket().terminate();
  await eventually(() => expect(live.taskEvents.subscribers).toBe(subscribers));
  gate.open();
  await done;
  await nothingWentWrong();
});

test('while it is sent its response', async () => {
  held.gate.open();
  await held.done;
  const sent = httpRequest({ method: 'POST', path: '/graphql', port: port(), agent: false, headers });
  sent.on('error', () => {});
  sent.end(JSON.stringify({ query: list() }));
  await new Promise<void>((resolve) =>
    sent.once('response', (response) => {
      response.on('error', () => {});
      response.once('data', () => {
        response.socket.destroy();
        resolve();
      });
    }),
  );
  await nothingWentWrong();
});
