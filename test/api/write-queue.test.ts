/** Writes wait in front of their connections: in a line for each viewer, and only as long as somebody waits for their answer. */
import { request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Sql } from 'postgres';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { toUuid, type UserId } from '../../src/db/ids.js';
import { postgresClient } from '../../src/engine/postgres/database.js';
import { signToken } from '../../src/server/auth/tokens.js';
import { dataOf, eventually, type TestApp, TOKENS, testApp } from '../support/app.js';
import { Gate } from '../support/barrier.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { readableLog } from '../support/log.js';

let app: TestApp;
let f: Fixture;
let sql: Sql;
const { log, lines } = readableLog();
/** Of the connections for writes, those of one viewer. */
const SHARE = 2;
/** Of one viewer, in line. */
const MAX_WAITING = 200;

beforeAll(async () => {
  app = await testApp({ app: { log } });
  f = await fixture(app);
  await app.server.listen({ host: '127.0.0.1', port: 0 });
  sql = postgresClient(app.databaseUrl, { max: 2 });
});
afterAll(async () => {
  await sql?.end();
  await app?.close();
});

/** Every write of the project OPS waits until the test lets go. */
let held: { gate: Gate; done: Promise<unknown> } | undefined;
async function holdOps(): Promise<void> {
  const gate = new Gate();
  const done = sql.begin(async (tx) => {
    await tx`select pg_advisory_xact_lock(hashtextextended(${toUuid(f.ops.id)}::text, 1))`;
    await gate.pass();
  });
  held = { gate, done };
  await gate.arrived;
}
async function letGo(): Promise<void> {
  held?.gate.open();
  await held?.done;
  held = undefined;
}
afterEach(letGo);

const waitingForLock = async () =>
  (await sql`select from pg_stat_activity where datname = current_database() and wait_event = 'advisory'`).length;

const create = (title: string, projectId: string) =>
  `mutation { createTask(input: { projectId: "${projectId}", title: "${title}" }) { task { id } errors { message } } }`;
const titled = async (title: string) => (await sql`select from tasks where title = ${title}`).length;

interface Client {
  readonly answer: Promise<{ status: number; errors?: { message: string; extensions: object }[] } | undefined>;
  leave(): void;
}

/** A client of its own connection. Its answer is undefined when it has left before. */
async function send(query: string, as: UserId, to: TestApp = app): Promise<Client> {
  const authorization = `Bearer ${await signToken(TOKENS, as, '1h')}`;
  const request = httpRequest({
    method: 'POST',
    path: '/graphql',
    port: (to.server.server.address() as AddressInfo).port,
    agent: false,
    headers: { 'content-type': 'application/json', authorization },
  });
  const answer = new Promise<Awaited<Client['answer']>>((resolve) => {
    request.on('error', () => resolve(undefined));
    request.on('response', async (response) => {
      let text = '';
      for await (const chunk of response) text += chunk;
      resolve({ status: response.statusCode ?? 0, ...JSON.parse(text) });
    });
  });
  request.end(JSON.stringify({ query }));
  return { answer, leave: () => request.destroy() };
}

const sendMany = (n: number, query: string, as: UserId) =>
  Promise.all(Array.from({ length: n }, () => send(query, as)));

test('of 20 writes behind a lock whose clients have gone, those that had not begun never begin', async () => {
  await holdOps();
  const clients = await sendMany(20, create('Gone', f.ops.id), f.ada.id);
  await eventually(() => expect(app.transactor.state).toMatchObject({ running: SHARE, waiting: 20 - SHARE }));
  await eventually(async () => expect(await waitingForLock()).toBe(SHARE));
  for (const client of clients) client.leave();
  await eventually(() => expect(app.transactor.state).toMatchObject({ running: SHARE, waiting: 0 }));
  await letGo();
  await eventually(() => expect(app.transactor.state).toMatchObject({ running: 0, waiting: 0 }));
  expect(await titled('Gone')).toBe(SHARE);
  expect(lines).toEqual([]); // nothing went wrong
});

test('a write that has begun and is answered REQUEST_TIMEOUT says that it may take effect, one that waited that it did not', async () => {
  const quick = await testApp({ databaseUrl: app.databaseUrl, group: app.group, app: { log, answerTimeoutMs: 1500 } });
  try {
    await quick.server.listen({ host: '127.0.0.1', port: 0 });
    await holdOps();
    const clients = await Promise.all(Array.from({ length: 6 }, () => send(create('Late', f.ops.id), f.ada.id, quick)));
    const answers = await Promise.all(clients.map(({ answer }) => answer));
    expect(answers.map((answer) => answer?.status)).toEqual(Array(6).fill(503));
    const outcomes = answers.map((answer) => answer?.errors?.[0]?.extensions as { code: string; outcome: string });
    expect(new Set(outcomes.map(({ code }) => code))).toEqual(new Set(['REQUEST_TIMEOUT']));
    expect(outcomes.filter(({ outcome }) => outcome === 'UNKNOWN')).toHaveLength(SHARE);
    expect(outcomes.filter(({ outcome }) => outcome === 'NOT_STARTED')).toHaveLength(6 - SHARE);
    await letGo();
    await eventually(() => expect(quick.transactor.state).toMatchObject({ running: 0, waiting: 0 }));
    expect(await titled('Late')).toBe(SHARE);
  } finally {
    await letGo();
    await quick.close();
  }
});

test('a write that gets its connection when its client has gone already does not begin', async () => {
  const gone = new AbortController();
  let began = false;
  const writing = app.transactor.transact(
    async () => {
      began = true;
    },
    { viewerId: f.ada.id, signal: gone.signal },
  );
  gone.abort(new Error('gone')); // BEGIN is on its way
  await expect(writing).rejects.toThrow('gone');
  expect(began).toBe(false);
});

test('another viewer’s write waits for none of the many that one viewer has begun', async () => {
  await holdOps();
  const clients = await sendMany(20, create('Many', f.ops.id), f.ada.id);
  await eventually(async () => expect(await waitingForLock()).toBe(SHARE));
  const other = await app.ask(
    `mutation { createProject(input: { key: "BOB", name: "Bob's" }) { project { key } errors { message } } }`,
    { as: f.bob.id },
  );
  expect(dataOf(other).createProject).toEqual({ project: { key: 'BOB' }, errors: [] });
  expect(await waitingForLock()).toBe(SHARE);
  await letGo();
  for (const { answer } of clients) expect(await answer).toMatchObject({ status: 200 });
  expect(await titled('Many')).toBe(20);
});

test('a viewer’s line is bounded: what is too much for it is refused, and did not happen', async () => {
  await holdOps();
  const clients = await sendMany(210, create('Too many', f.ops.id), f.ada.id);
  const answers = Promise.all(clients.map(({ answer }) => answer));
  await eventually(() => expect(app.transactor.state).toMatchObject({ running: SHARE, waiting: MAX_WAITING }));
  await letGo();
  const refused = (await answers).flatMap((answer) => answer?.errors ?? []);
  expect(refused).toHaveLength(210 - SHARE - MAX_WAITING);
  for (const error of refused) {
    expect(error).toMatchObject({
      message: expect.stringContaining('Nothing was written'),
      extensions: { code: 'TOO_MANY_WRITES', outcome: 'NOT_STARTED', retryAfterMs: 1000 },
    });
  }
  expect(await titled('Too many')).toBe(SHARE + MAX_WAITING);
});
