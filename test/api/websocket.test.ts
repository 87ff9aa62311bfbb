/** The connection that carries subscriptions: who gets in, until when, how much it holds, and how it ends. */
import type { Sql } from 'postgres';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type ClientOptions, WebSocket } from 'ws';
import { newId, toUuid, type UserId } from '../../src/db/ids.js';
import { MemoryStore } from '../../src/engine/cache/index.js';
import { postgresClient } from '../../src/engine/postgres/database.js';
import { HOUR } from '../../src/std/time.js';
import { type OwnRedis, ownRedis } from '../invalidation/own-redis.js';
import { dataOf, eventually } from '../support/app.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { type LiveApp, liveApp } from '../support/live.js';
import { intercepted } from '../support/stores.js';
import { type Connection, connect, type Subscription } from '../support/subscriber.js';

const LIMITS = { maxConnections: 4, maxSubscriptions: 3, maxQueued: 20, initWaitMs: 200, pingEveryMs: 200 };

let database: TestDatabase;
let app: LiveApp;
let sql: Sql;
let f: Fixture;
/** For clients that are paused until the test goes on, however long that takes it. */
const UNHURRIED = { pingEveryMs: HOUR, goodbyeMs: HOUR, stallMs: HOUR, maxWaitMs: HOUR };
const connections: Connection[] = [];
const sockets: WebSocket[] = [];

beforeAll(async () => {
  database = await createDatabase();
  app = await liveApp({ databaseUrl: database.url, app: { subscriptionLimits: LIMITS } });
  sql = postgresClient(database.url, { max: 2 });
  f = await fixture(app);
});
afterEach(async () => {
  await Promise.all(connections.splice(0).map((connection) => connection.close()));
  for (const socket of sockets.splice(0)) socket.terminate();
  await eventually(() => expect(app.taskEvents.subscribers).toBe(0));
});
afterAll(async () => {
  await sql?.end();
  await app?.close();
  await database?.drop();
});

function connected(params?: Record<string, unknown>, to = app, as: UserId = f.ada.id): Connection {
  const connection = connect(to, as, params);
  connections.push(connection);
  return connection;
}

/** A socket without a client of GraphQL: it says only what the test says. */
function bare(to = app, path = '/graphql', protocols = ['graphql-transport-ws'], options: ClientOptions = {}) {
  const socket = new WebSocket(to.origin.replace(/^http/, 'ws') + path, protocols, options);
  sockets.push(socket);
  const messages: { type: string; id?: string; payload?: unknown }[] = [];
  socket.on('message', (data) => messages.push(JSON.parse(String(data))));
  socket.on('error', () => {}); // refused, or told by its code
  const closed = new Promise<number>((resolve) => socket.on('close', resolve));
  const status = new Promise<number | undefined>((resolve) => {
    socket.on('unexpected-response', (_, response) => resolve(response.statusCode));
  });
  return {
    socket,
    messages,
    closed,
    status,
    opened: new Promise<void>((resolve) => socket.on('open', () => resolve())),
    send: (message: object) => socket.send(JSON.stringify(message)),
  };
}

async function signedIn(to = app, options: ClientOptions = {}) {
  const client = bare(to, undefined, undefined, options);
  await client.opened;
  client.send({ type: 'connection_init', payload: { token: await to.tokenOf(f.ada.id) } });
  await eventually(() => expect(client.messages).toMatchObject([{ type: 'connection_ack' }]));
  return client;
}

const rename = (i: number, title: string) =>
  sql`update tasks set title = ${title}, version = version + 1 where id = ${toUuid((f.opsTasks[i] as { id: `task_${string}` }).id)}`;

describe('gets in', () => {
  test.each([
    ['a header', (token: string) => ({ authorization: `Bearer ${token}` })],
    ['a header as Sandbox writes it', (token: string) => ({ Authorization: `bearer ${token}` })],
    ['a bare token', (token: string) => ({ token })],
  ])('with %s', async (_, params) => {
    const subscription = await connected(params(await app.tokenOf(f.ada.id))).subscribe();
    await rename(0, 'Let in');
    await eventually(() => expect(subscription.changes).toHaveLength(1));
  });

  test.each([
    ['without a token', 4401, {}],
    ['with one that is no text', 4401, { token: 7 }],
    ['with one of another scheme', 4401, { authorization: 'Basic eA==' }],
    ['with one that does not count', 4403, { token: 'nonsense' }],
  ])('not %s: %i', async (_, code, params) => {
    expect(await connected(params).closed).toMatchObject({
      code,
      reason: expect.stringMatching(/^(Unauthorized|Forbidden)/),
    });
  });

  test('not when tokens cannot be checked now: 1013, and may try again', async () => {
    const verifyToken = () => Promise.reject(new Error('the key server is away'));
    const blind = await liveApp({ databaseUrl: database.url, app: { verifyToken } });
    try {
      expect(await connected({ token: 'any' }, blind).closed).toMatchObject({ code: 1013 });
    } finally {
      await blind.close();
    }
  });

  test('not when it says nothing: 4408; nor when it subscribes first: 4401', async () => {
    expect(await bare().closed).toBe(4408);
    const hasty = bare();
    await hasty.opened;
    hasty.send({ id: '1', type: 'subscribe', payload: { query: 'subscription { taskChanged { type } }' } });
    expect(await hasty.closed).toBe(4401);
  });

  test('not at another address, nor without the protocol', async () => {
    expect(await bare(app, '/elsewhere').status).toBe(404);
    expect(await bare(app, '/graphql', []).closed).toBe(4406);
  });

  test('not when the process holds as many as it may: 503, until one has gone', async () => {
    const held = await Promise.all(Array.from({ length: LIMITS.maxConnections }, () => signedIn()));
    expect(await bare().status).toBe(503);
    held[0]?.socket.close();
    await held[0]?.closed;
    await eventually(async () => {
      const client = bare();
      await Promise.race([client.opened, client.status.then((status) => expect(status).toBe(101))]);
      client.socket.terminate();
    });
  });

  test('until its token ends: 4403', async () => {
    let expiresAtMs = Infinity;
    const verifyToken = async () => ({ subject: f.ada.id, scopes: [], profile: {}, expiresAtMs });
    const short = await liveApp({ databaseUrl: database.url, app: { verifyToken } });
    try {
      const lasting = connected({ token: 'lasting' }, short);
      await lasting.subscribe();
      expiresAtMs = Date.now() + 500;
      const connection = connected({ token: 'short' }, short);
      const subscription = await connection.subscribe();
      expect(await connection.closed).toEqual({ code: 4403, reason: 'Forbidden: the token has expired' });
      expect(Date.now()).toBeGreaterThanOrEqual(expiresAtMs);
      expect(subscription.changes).toEqual([]);
      await eventually(() => expect(short.taskEvents.subscribers).toBe(1));
      expect(lasting.socket().readyState).toBe(WebSocket.OPEN); // a timer of more than 24 days ends at once
    } finally {
      await short.close();
    }
  });
});

describe('carries', () => {
  test.each([
    [
      'a mutation',
      'mutation { deleteTask(input: { id: "x" }) { deletedTaskId } }',
      'BAD_REQUEST',
      /send this one by POST/,
    ],
    ['what is no document', 'subscription {', 'GRAPHQL_PARSE_FAILED', /Syntax Error/],
    ['what the schema does not have', 'subscription { nothing }', 'GRAPHQL_VALIDATION_FAILED', /nothing/],
    [
      'what is too deep',
      `subscription { taskChanged { task ${'{ parent '.repeat(16)}{ id }${' }'.repeat(16)} } }`,
      'GRAPHQL_VALIDATION_FAILED',
      /depth/,
    ],
    [
      'what is too expensive',
      'subscription { taskChanged { task { subtasks(first: 100) { nodes { subtasks(first: 100) { nodes { assignee { id } } } } } } } }',
      'QUERY_TOO_EXPENSIVE',
      /the limit is/,
    ],
  ])('not %s', async (_, query, code, message) => {
    const connection = connected();
    const refused = connection.send(query);
    await eventually(() => expect(refused.ended).toBe(true));
    expect(refused.errors).toMatchObject([{ message: expect.stringMatching(message), extensions: { code } }]);
    expect(refused.errors[0]?.extensions).not.toHaveProperty('http');
    await connection.subscribe(); // the connection goes on
  });

  test('not variables that are not acceptable: each is named', async () => {
    const connection = connected();
    const query = 'subscription($project: ID!) { taskChanged(projectId: $project) { type } }';
    for (const variables of [undefined, { project: {} }]) {
      const refused = connection.send(query, variables);
      await eventually(() => expect(refused.ended).toBe(true));
      expect(refused.errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', argument: 'project' } }]);
    }
    await connection.subscribe(); // the connection goes on
  });

  test('and HTTP no subscriptions', async () => {
    const answer = await app.ask('subscription { taskChanged { type } }', { as: f.ada.id });
    expect(answer).toMatchObject({ status: 400, errors: [{ extensions: { code: 'BAD_USER_INPUT' } }] });
  });

  test('a bounded number of subscriptions; those that it has go on', async () => {
    const connection = connected();
    const subscriptions: Subscription[] = [];
    for (let n = 0; n < LIMITS.maxSubscriptions; n++) subscriptions.push(await connection.subscribe());
    const refused = await connection.subscribe();
    expect(refused.errors).toMatchObject([{ extensions: { code: 'TOO_MANY_SUBSCRIPTIONS' } }]);
    subscriptions[0]?.stop();
    await eventually(() => expect(app.taskEvents.subscribers).toBe(LIMITS.maxSubscriptions - 1));
    await connection.subscribe();
    await rename(1, 'Carried');
    await eventually(() => expect(subscriptions[1]?.changes).toHaveLength(1));
    expect(subscriptions[0]?.changes).toEqual([]);
  });

  test('only documents of the manifest, where only those may run', async () => {
    const listed = 'subscription { taskChanged { taskId task { title version } } }';
    const persistedDocuments = { mode: 'enforce', manifest: new Map([['one', listed]]) } as const;
    const strict = await liveApp({ databaseUrl: database.url, app: { persistedDocuments } });
    try {
      const connection = connected(undefined, strict);
      const refused = connection.send('subscription { taskChanged { taskId } }');
      await eventually(() => expect(refused.ended).toBe(true));
      expect(refused.errors).toMatchObject([{ extensions: { code: 'PERSISTED_DOCUMENT_REQUIRED' } }]);
      connection.send(listed);
      await eventually(() => expect(strict.taskEvents.subscribers).toBe(1));
    } finally {
      await strict.close();
    }
  });

  test('as many subscriptions as the viewer has points for', async () => {
    const limited = await liveApp({
      databaseUrl: database.url,
      app: { rateLimit: { points: 7, seconds: 3600 } },
    });
    try {
      const connection = connected(undefined, limited);
      const told: Subscription[] = [];
      while (!told.at(-1)?.ended && told.length < 8) told.push(await connection.subscribe());
      expect(told.length).toBeGreaterThan(1);
      expect(told.at(-1)?.errors).toMatchObject([{ extensions: { code: 'RATE_LIMITED', limit: 7 } }]);
      expect(told.at(-1)?.errors[0]?.extensions).not.toHaveProperty('http');
    } finally {
      await limited.close();
    }
  });

  test('no more from one address, in connections and in what never becomes an operation, than it has points for', async () => {
    const points = 20; // of an address that many times as many as a viewer's
    const limited = await liveApp({ databaseUrl: database.url, app: { rateLimit: { points: 1, seconds: 3600 } } });
    try {
      const connection = connected(undefined, limited);
      const codes: unknown[] = [];
      while (codes.at(-1) !== 'RATE_LIMITED' && codes.length <= points) {
        const refused = connection.send('subscription { nothing }');
        await eventually(() => expect(refused.ended).toBe(true));
        codes.push(refused.errors[0]?.extensions?.['code']);
      }
      // One was the connection's.
      expect(codes).toEqual([...Array(points - 1).fill('GRAPHQL_VALIDATION_FAILED'), 'RATE_LIMITED']);
      expect(await bare(limited).status).toBe(429);
    } finally {
      await limited.close();
    }
  });

  test('errors of ours masked, with an id that is logged', async () => {
    const broken = await liveApp({ databaseUrl: database.url });
    try {
      await broken.db.close();
      const refused = connected(undefined, broken).send('subscription { taskChanged { type } }');
      await eventually(() => expect(refused.ended).toBe(true));
      expect(refused.errors).toEqual([
        expect.objectContaining({
          message: 'Something went wrong on our side.',
          extensions: { code: 'INTERNAL_SERVER_ERROR', requestId: expect.stringMatching(/^[0-9a-f-]{36}$/) },
        }),
      ]);
    } finally {
      await broken.close();
    }
  });

  test('no message beyond its bound: 1009', async () => {
    const client = await signedIn();
    client.socket.send('x'.repeat(100_000));
    expect(await client.closed).toBe(1009);
  });
});

describe('ends', () => {
  test('for a client that takes what it is sent too slowly: 4290, with nothing left behind', async () => {
    const limits = { ...UNHURRIED, maxQueued: 20 };
    const patient = await liveApp({ databaseUrl: database.url, app: { subscriptionLimits: limits } });
    try {
      const client = await signedIn(patient);
      const query = 'subscription { taskChanged { task { description } } }';
      client.send({ id: '1', type: 'subscribe', payload: { query } });
      await eventually(() => expect(patient.taskEvents.subscribers).toBe(1));
      const taskId = (f.opsTasks[1] as { id: string }).id;
      const other = await connected(undefined, patient).subscribe({ taskId });
      client.socket.pause();
      // Several MB are more than the network keeps; what waits behind them fills the queue.
      await sql`update tasks set description = repeat('text ', 12000) where id = ${toUuid(f.webTask.id)}`;
      for (let n = 0; n < 1000 && patient.taskEvents.subscribers === 2; n++) {
        await sql`update tasks set version = version + 1 where id = ${toUuid(f.webTask.id)}`;
      }
      await eventually(() => expect(patient.taskEvents.subscribers).toBe(1));
      client.socket.resume();
      expect(await client.closed).toBe(4290);
      await rename(1, 'Others go on');
      await eventually(() => expect(other.changes).toHaveLength(1));
    } finally {
      await patient.close();
    }
  });

  test('for a client that asks on and reads no answers: 4290, before the process keeps them for it', async () => {
    const limits = { ...UNHURRIED, maxBufferedBytes: 64 * 1024 };
    const patient = await liveApp({ databaseUrl: database.url, app: { subscriptionLimits: limits } });
    try {
      const client = await signedIn(patient);
      client.socket.pause();
      for (let n = 0; n < 400; n++) client.send({ type: 'ping', payload: { text: 'x'.repeat(60_000) } });
      // All 24 MB have been read and are not kept: another client is served.
      await connected(undefined, patient).subscribe();
      await eventually(() => expect(client.socket.bufferedAmount).toBe(0));
      client.socket.resume();
      expect(await client.closed).toBe(4290);
      expect(client.messages.filter(({ type }) => type === 'pong').length).toBeLessThan(400);
    } finally {
      await patient.close();
    }
  });

  test('for a client that does not even read its end, after a while: another may come', async () => {
    const limits = { ...UNHURRIED, maxBufferedBytes: 64 * 1024, maxConnections: 1, goodbyeMs: 100 };
    const patient = await liveApp({ databaseUrl: database.url, app: { subscriptionLimits: limits } });
    try {
      const client = await signedIn(patient);
      client.socket.pause();
      expect(await bare(patient).status).toBe(503);
      for (let n = 0; n < 400; n++) client.send({ type: 'ping', payload: { text: 'x'.repeat(60_000) } });
      await eventually(async () => {
        const next = bare(patient);
        expect(await Promise.race([next.opened.then(() => 101), next.status])).toBe(101);
      });
    } finally {
      await patient.close();
    }
  });

  test('for a client that does not answer pings', async () => {
    const client = await signedIn();
    client.send({ id: '1', type: 'subscribe', payload: { query: 'subscription { taskChanged { type } }' } });
    await eventually(() => expect(app.taskEvents.subscribers).toBe(1));
    client.socket.pause();
    await eventually(() => expect(app.taskEvents.subscribers).toBe(0));
  });

  test('for a client whose pongs are not those of the last ping', async () => {
    const client = await signedIn(app, { autoPong: false });
    client.socket.on('ping', () => client.socket.pong('another'));
    expect(await client.closed).toBe(1006);
  });

  test('when the process does: 1001 for those who listen, and at once though one does not', async () => {
    const ending = await liveApp({ databaseUrl: database.url });
    const connection = connected(undefined, ending);
    const subscription = await connection.subscribe();
    const deaf = await signedIn(ending);
    deaf.socket.pause();
    const startedMs = performance.now();
    const closing = ending.close();
    expect(await connection.closed).toMatchObject({ code: 1001 });
    await closing;
    expect(performance.now() - startedMs).toBeLessThan(5000);
    expect(subscription.errors).toEqual([]);
  });
});

describe('Redis', () => {
  let redis: OwnRedis;
  let near: LiveApp;
  let writer: LiveApp;

  beforeEach(async () => {
    redis = await ownRedis();
    near = await liveApp({ databaseUrl: database.url, redisUrl: redis.url, waitMs: 300, group: 'lost' });
    writer = await liveApp({ databaseUrl: database.url, redisUrl: redis.url, waitMs: 300, group: 'lost' });
  });
  afterEach(async () => {
    redis.resume();
    await writer?.close();
    await near?.close();
    await redis?.kill();
  });

  const write = async (title: string) => {
    const document = 'mutation($input: UpdateTaskInput!) { updateTask(input: $input) { errors { message } } }';
    const input = { id: (f.opsTasks[2] as { id: string }).id, title };
    dataOf(await writer.ask(document, { as: f.ada.id, variables: { input } }));
  };

  test.each(['killed', 'hanging'] as const)(
    '%s, and back: no event is lost, none comes twice',
    { timeout: 120_000 },
    async (how) => {
      const subscription = await connected(undefined, near).subscribe({ taskId: (f.opsTasks[2] as { id: string }).id });
      const [{ version = 0 } = {}] = await sql<{ version: number }[]>`
      select version from tasks where id = ${toUuid((f.opsTasks[2] as { id: `task_${string}` }).id)}`;
      await write('Before');
      if (how === 'killed') await redis.kill();
      else redis.pause();
      await write('Without Redis');
      await rename(2, 'By psql without Redis');
      await eventually(() => expect(subscription.changes).toHaveLength(3));
      if (how === 'killed') await redis.start();
      else redis.resume();
      await write('With Redis again');
      await eventually(() => expect(subscription.changes).toHaveLength(4));
      await write('And again');
      await eventually(() => expect(subscription.changes).toHaveLength(5));
      expect(subscription.changes.map((change) => change.version)).toEqual([1, 2, 3, 4, 5].map((n) => version + n));
      for (const { task, version } of subscription.changes) expect(task?.version).toBeGreaterThanOrEqual(version);
    },
  );

  test('in the process itself, where there is none', async () => {
    const alone = await liveApp({ databaseUrl: database.url, wrap: () => new MemoryStore(), lease: false });
    try {
      const subscription = await connected(undefined, alone).subscribe({ projectId: f.web.id });
      const document = 'mutation($input: UpdateTaskInput!) { updateTask(input: $input) { errors { message } } }';
      const input = { id: f.webTask.id, title: 'In memory' };
      dataOf(await alone.ask(document, { as: f.ada.id, variables: { input } }));
      await sql`update tasks set title = 'By psql' where id = ${toUuid(f.webTask.id)}`;
      await eventually(() =>
        expect(subscription.changes).toMatchObject([{ task: {} }, { task: { title: 'By psql' } }]),
      );
    } finally {
      await alone.close();
    }
  });
});

test('a store that tells nothing makes events late, not lost', async () => {
  const silent = await liveApp({
    databaseUrl: database.url,
    wrap: (store) => ({ ...intercepted(store, () => {}), subscribe: () => () => {} }),
  });
  try {
    const subscription = await connected(undefined, silent).subscribe();
    const id = newId('task');
    await sql`insert into tasks (id, project_id, number, title, creator_id)
      values (${toUuid(id)}, ${toUuid(f.ops.id)}, 500, 'Unheard', ${toUuid(f.ada.id)})`;
    await eventually(() => expect(subscription.changes).toMatchObject([{ taskId: id, task: { title: 'Unheard' } }]));
  } finally {
    await silent.close();
  }
});
