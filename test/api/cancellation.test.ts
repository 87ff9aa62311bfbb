/** A request that nobody waits for reads on no further; what others wait for, too, is read to its end. Over real connections. */
import { request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Sql } from 'postgres';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { openDatabase, postgresClient } from '../../src/engine/postgres/database.js';
import { signToken } from '../../src/server/auth/tokens.js';
import { breakableProxy } from '../invalidation/breakable-proxy.js';
import { eventually, type TestApp, TOKENS, testApp } from '../support/app.js';
import { Gate } from '../support/barrier.js';
import { createDatabase } from '../support/database.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { readableLog } from '../support/log.js';
import { intercepted } from '../support/stores.js';

let app: TestApp;
let f: Fixture;
let token: string;
let sql: Sql;
const { log, lines } = readableLog();

/** Reads of Redis that have been answered. */
let reads = 0;
const told = async <T>(read: Promise<T>) => {
  const view = await read;
  reads++;
  return view;
};

beforeAll(async () => {
  app = await testApp({
    app: { log },
    wrap: (store) => ({ ...intercepted(store, () => {}), read: (...args) => told(store.read(...args)) }),
  });
  f = await fixture(app);
  token = await signToken(TOKENS, f.ada.id, '1h');
  await app.server.listen({ host: '127.0.0.1', port: 0 });
  sql = postgresClient(app.databaseUrl, { max: 2 });
});
afterAll(async () => {
  await sql?.end();
  await app?.close();
});

/** Tables that nobody can read until the test lets go. */
let held: { gate: Gate; done: Promise<unknown> } | undefined;
async function hold(table: string): Promise<void> {
  const gate = new Gate();
  const done = sql.begin(async (tx) => {
    await tx.unsafe(`lock table ${table} in access exclusive mode`);
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

interface Client {
  readonly answer: Promise<{ status: number; body: { data?: unknown; errors?: { extensions: object }[] } } | undefined>;
  leave(): void;
}

/** A client of its own connection. Its answer is undefined when it has left before. */
function ask(query: string, headers: Record<string, string> = {}, to: TestApp = app): Client {
  const request = httpRequest({
    method: 'POST',
    path: '/graphql',
    port: (to.server.server.address() as AddressInfo).port,
    agent: false,
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}`, ...headers },
  });
  const answer = new Promise<Awaited<Client['answer']>>((resolve) => {
    request.on('error', () => resolve(undefined));
    request.on('response', async (response) => {
      let text = '';
      for await (const chunk of response) text += chunk;
      resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) });
    });
  });
  request.end(JSON.stringify({ query }));
  return { answer, leave: () => request.destroy() };
}

const connections = () =>
  new Promise<number>((resolve) => app.server.server.getConnections((_, count) => resolve(count)));

/** Statements of the API that wait for the table. */
const waiting = async (table: string) =>
  (
    await sql`select pid, query from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
      and query like ${`%${table}%`} and pid <> pg_backend_pid()`
  ).map(({ pid }) => pid as number);
const until = (table: string, n: number) => eventually(async () => expect(await waiting(table)).toHaveLength(n));

let projectKey = 0;
/** Nothing of it is cached: each test has a project of its own. */
let key: string;
beforeEach(async () => {
  key = `P${++projectKey}`;
  const { data } = await ask(
    `mutation { createProject(input: { key: "${key}", name: "x" }) { project { id } errors { message } } }`,
  ).answer.then((answer) => answer?.body as { data: { createProject: { project: { id: string } } } });
  const projectId = data.createProject.project.id;
  await ask(`mutation { createTask(input: { projectId: "${projectId}", title: "One" }) { task { id } } }`).answer;
  await ask(`{ project(key: "${key}") { id } }`).answer; // who may see what is known
  lines.length = 0;
});
const tasksOf = () => `{ project(key: "${key}") { tasks { nodes { title } } } }`;
/** Of Redis, until the page is loaded: project and memberships, the project's row, the page. */
const READS = 3;
/** Clients that wait for one load, which the first of them began. */
async function waitTogether(n: number): Promise<Client[]> {
  const clients: Client[] = [];
  for (const before = reads; clients.length < n; ) {
    clients.push(ask(tasksOf()));
    await eventually(() => expect(reads).toBe(before + clients.length * READS));
  }
  await until('tasks', 1);
  return clients;
}
const TASKS = { project: { tasks: { nodes: [{ title: 'One' }] } } };

test('a client that leaves takes its statement along, while what it waited for still stands', async () => {
  await hold('tasks');
  const client = ask(tasksOf());
  await until('tasks', 1);
  client.leave();
  await until('tasks', 0);
  expect(lines).toEqual([]); // nothing went wrong
});

test('a statement of a fresh connection, of an aggregate, of a mutation’s payload, of a snapshot: all end', async () => {
  const id = await app.ask(`{ project(key: "${key}") { id tasks { nodes { id } } } }`, { as: f.ada.id });
  await hold('tasks');
  const stats = ask(`{ project(key: "${key}") { stats { total } } }`);
  await until('tasks', 1);
  const snapshot = ask(tasksOf().replace('tasks', 'tasks(first: 7)'), { 'x-consistency': 'snapshot' });
  await until('tasks', 2);
  stats.leave();
  await until('tasks', 1);
  snapshot.leave();
  await until('tasks', 0);
  await letGo();
  await hold('comments');
  const document = `mutation { updateTask(input: { id: "${id.data.project.tasks.nodes[0].id}", title: "Two" }) { task { comments { nodes { body } } } } }`;
  const mutation = ask(document);
  await until('comments', 1);
  mutation.leave();
  await until('comments', 0);
  expect((await ask(tasksOf()).answer)?.body.data).toEqual({ project: { tasks: { nodes: [{ title: 'Two' }] } } });
});

test('a load that another request has joined goes on without the one that began it, and is kept', async () => {
  await hold('tasks');
  app.reset();
  const [first, second] = await waitTogether(2);
  const [pid] = await waiting('tasks');
  first?.leave();
  await eventually(async () => expect(await connections()).toBe(1)); // the server has seen it
  expect(await waiting('tasks')).toEqual([pid]);
  await letGo();
  expect((await second?.answer)?.body.data).toEqual(TASKS);
  expect(app.outcomes.filter(({ name, kind }) => name === 'TaskPage' && kind === 'joined')).toHaveLength(1);
  await app.settled();
  app.reset();
  expect((await ask(tasksOf()).answer)?.body.data).toEqual(TASKS);
  expect(app.counts.statements).toEqual([]);
});

test('when all who wait have left, it ends; who comes then begins anew', async () => {
  await hold('tasks');
  const clients = await waitTogether(3);
  for (const client of clients) client.leave();
  await until('tasks', 0);
  const late = ask(tasksOf());
  await until('tasks', 1);
  await letGo();
  expect((await late.answer)?.body.data).toEqual(TASKS);
});

test('a cancelled statement does no harm to the next one on its connection', async () => {
  await hold('tasks');
  const client = ask(tasksOf());
  await until('tasks', 1);
  const [pid] = await waiting('tasks');
  // As if it had been meant for the statement before: Postgres knows only the connection.
  await sql`select pg_cancel_backend(${pid as number})`;
  await eventually(async () => expect(await waiting('tasks')).toHaveLength(1));
  await letGo();
  expect((await client.answer)?.body).toEqual({ data: TASKS });
});

test('loads in line are left, and begin nothing', async () => {
  const narrow = await testApp({ databaseUrl: app.databaseUrl, group: app.group, app: { log, maxLoads: 1 } });
  try {
    await narrow.server.listen({ host: '127.0.0.1', port: 0 });
    await hold('tasks');
    const running = ask(tasksOf(), {}, narrow);
    await until('tasks', 1);
    const inLine = ask(
      `{ project(key: "${key}") { members { nodes { name } } labels { nodes { name } } stats { total } } }`,
      {},
      narrow,
    );
    await eventually(() => expect(narrow.cache.state.loads.waiting).toBeGreaterThanOrEqual(1));
    inLine.leave();
    await eventually(() => expect(narrow.cache.state.loads).toMatchObject({ running: 1, waiting: 0 }));
    await letGo();
    expect((await running.answer)?.body.data).toEqual(TASKS);
    expect(narrow.cache.state.loads).toMatchObject({ running: 0, waiting: 0 });
  } finally {
    await narrow.close();
  }
});

test('a request whose time is over is answered so, and its statement ends', async () => {
  const quick = await testApp({
    databaseUrl: app.databaseUrl,
    group: app.group,
    app: { log, answerTimeoutMs: 300 },
  });
  try {
    await hold('tasks');
    const answer = await quick.ask(tasksOf(), { as: f.ada.id });
    expect([answer.status, answer.data, answer.errors]).toMatchObject([
      503,
      undefined,
      [{ extensions: { code: 'REQUEST_TIMEOUT', outcome: 'NOT_STARTED' } }],
    ]);
    await until('tasks', 0);
    expect(lines).toEqual([]);
  } finally {
    await letGo();
    await quick.close();
  }
});

test('a mutation whose time is over after it has begun is answered that it may have taken effect, and it does', async () => {
  const quick = await testApp({ databaseUrl: app.databaseUrl, group: app.group, app: { log, answerTimeoutMs: 500 } });
  try {
    const found = await app.ask(`{ project(key: "${key}") { tasks { nodes { id } } } }`, { as: f.ada.id });
    const id = found.data.project.tasks.nodes[0].id;
    await hold('tasks');
    const document = `mutation { updateTask(input: { id: "${id}", title: "Late" }) { task { title } } }`;
    const answer = await quick.ask(document, { as: f.ada.id });
    expect([answer.status, answer.errors]).toMatchObject([
      503,
      [
        {
          message:
            'There was no answer within 500 ms. What the mutation has begun may still take effect: read the data before you send it again.',
          extensions: { code: 'REQUEST_TIMEOUT', outcome: 'UNKNOWN' },
        },
      ],
    ]);
    await letGo();
    await eventually(async () =>
      expect((await ask(tasksOf()).answer)?.body.data).toEqual({ project: { tasks: { nodes: [{ title: 'Late' }] } } }),
    );
  } finally {
    await letGo();
    await quick.close();
  }
});

test('a read that takes longer than Postgres works on one is told as that, by its field and without its statement', async () => {
  const quick = await testApp({ databaseUrl: app.databaseUrl, group: app.group, app: { log, readTimeoutMs: 300 } });
  try {
    await hold('tasks');
    const document = `{ viewer { handle } project(key: "${key}") { key tasks { nodes { title } } } }`;
    for (const headers of [{}, { 'x-consistency': 'snapshot' }]) {
      const { data, errors } = await quick.ask(document, { as: f.ada.id, headers });
      expect(data).toEqual({ viewer: { handle: 'ada' }, project: null });
      expect(errors).toMatchObject([
        { message: expect.stringContaining('300 ms'), path: expect.anything(), extensions: { code: 'QUERY_TIMEOUT' } },
      ]);
      expect(JSON.stringify(errors)).not.toContain('select');
    }
    expect(lines.map(({ level }) => level)).not.toContain(50);
    expect(lines.map(({ msg }) => msg)).toContainEqual(expect.stringContaining('a read was cancelled'));
  } finally {
    await letGo();
    await quick.close();
  }
});

test('a Postgres that says nothing is left: the statement fails, the next ones have connections of their own', async () => {
  const database = await createDatabase();
  const proxy = await breakableProxy(database.url);
  const db = openDatabase({ url: proxy.url, answerMs: 500 });
  const pid = async () => (await db.read.execute<{ pid: number }>('select pg_backend_pid() as pid'))[0]?.pid;
  try {
    const before = await pid();
    proxy.freeze();
    await expect(pid()).rejects.toMatchObject({ cause: { code: 'POSTGRES_NO_ANSWER' } });
    proxy.thaw();
    expect(await pid()).not.toBe(before);
  } finally {
    await db.close();
    await proxy.close();
    await database.drop();
  }
});
