/** What one viewer, one address and the process may hold of WebSockets and subscriptions, and that each event is paid for. */

import { once } from 'node:events';
import type { Sql } from 'postgres';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { AppOptions } from '../../src/app.js';
import { toUuid, type UserId } from '../../src/db/ids.js';
import { postgresClient } from '../../src/engine/postgres/database.js';
import type { SubscriptionLimits } from '../../src/platform/subscription-limits.js';
import { eventually } from '../support/app.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { type LiveApp, liveApp } from '../support/live.js';
import { connect } from '../support/subscriber.js';

let database: TestDatabase;
let sql: Sql;
let f: Fixture;
const apps: LiveApp[] = [];
const sockets: WebSocket[] = [];

beforeAll(async () => {
  database = await createDatabase();
  sql = postgresClient(database.url, { max: 2 });
  const first = await liveApp({ databaseUrl: database.url });
  f = await fixture(first);
  await first.close();
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.terminate();
  await Promise.all(apps.splice(0).map((app) => app.close()));
});
afterAll(async () => {
  await sql?.end();
  await database?.drop();
});

/** A server that believes what this machine says of a client's address. */
async function limited(
  subscriptionLimits: Partial<SubscriptionLimits>,
  more: Pick<AppOptions, 'rateLimit' | 'timeLimits'> = {},
): Promise<LiveApp> {
  const app = await liveApp({
    databaseUrl: database.url,
    app: { subscriptionLimits, trustProxy: ['127.0.0.1'], ...more },
  });
  apps.push(app);
  return app;
}

interface Message {
  readonly type: string;
  readonly id?: string;
  readonly payload?: unknown;
}

/** A socket without a client of GraphQL. `status`: 101, or what it was refused with. */
function dialled(app: LiveApp, address = '192.0.2.1') {
  const headers = { 'x-forwarded-for': address };
  const socket = new WebSocket(app.url.replace(/^http/, 'ws'), 'graphql-transport-ws', { headers });
  sockets.push(socket);
  socket.on('error', () => {}); // told by its status
  const messages: Message[] = [];
  socket.on('message', (data) => messages.push(JSON.parse(String(data))));
  const closed = new Promise<number>((resolve) => socket.on('close', resolve));
  const status = new Promise<number | undefined>((resolve) => {
    socket.on('open', () => resolve(101));
    socket.on('unexpected-response', (_, response) => resolve(response.statusCode));
  });
  const send = (message: Message) => socket.send(JSON.stringify(message));
  return {
    socket,
    messages,
    closed,
    status,
    send,
    async signIn(as: UserId) {
      expect(await status).toBe(101);
      send({ type: 'connection_init', payload: { token: await app.tokenOf(as) } });
      await Promise.race([closed, eventually(() => expect(messages[0]?.type).toBe('connection_ack'))]);
    },
  };
}

async function signedIn(app: LiveApp, as: UserId, address?: string) {
  const client = dialled(app, address);
  await client.signIn(as);
  return client;
}

const SUBSCRIPTION = 'subscription { taskChanged { taskId version } }';
const rename = (i: number) =>
  sql`update tasks set title = title || '.', version = version + 1 where id = ${toUuid((f.opsTasks[i] as Fixture['opsTasks'][number]).id)}`;

/** The codes of what was refused. */
function codesOf(messages: readonly Message[]): unknown[] {
  return messages.flatMap(({ type, payload }) =>
    type === 'error' ? (payload as { extensions: { code: string } }[]).map(({ extensions }) => extensions.code) : [],
  );
}

test('messages of one address, pings too, may take so much time: more closes its connections and keeps out new ones, and no other address', async () => {
  const app = await limited({ maxConnectionsPerAddress: 5 }, { timeLimits: true }); // 50 ms
  const bob = await signedIn(app, f.bob.id, '192.0.2.2');
  const [flooding, other] = await Promise.all([1, 2].map(() => signedIn(app, f.ada.id)));
  for (let n = 0; n < 600; n++) {
    if (n % 20 === 0) flooding?.socket.ping();
    else flooding?.send({ type: 'ping' });
  }
  expect(await flooding?.closed).toBe(4292);
  expect(await dialled(app).status).toBe(429);
  other?.send({ type: 'ping' });
  expect(await other?.closed).toBe(4292);
  bob.send({ type: 'ping' });
  await eventually(() => expect(bob.messages.at(-1)?.type).toBe('pong'));
});

describe('connections', () => {
  test('of one address are bounded, those of another address are not affected', async () => {
    const app = await limited({ maxConnectionsPerAddress: 3 });
    const held = await Promise.all([1, 2, 3].map(() => signedIn(app, f.ada.id)));
    expect(await dialled(app).status).toBe(429);
    await signedIn(app, f.bob.id, '192.0.2.2');
    held[0]?.socket.close();
    await eventually(async () => expect(await dialled(app).status).toBe(101));
  });

  test('of one IPv6 network of 64 bits are counted together', async () => {
    const app = await limited({ maxConnectionsPerAddress: 2 });
    expect(await dialled(app, '2001:db8:0:1::1').status).toBe(101);
    expect(await dialled(app, '2001:db8:0:1:ffff::2').status).toBe(101);
    expect(await dialled(app, '2001:db8::1:0:0:0:3').status).toBe(429);
    expect(await dialled(app, '2001:db8:0:2::1').status).toBe(101);
  });

  test('of one viewer are bounded, from whatever addresses: 4291, and another viewer gets in', async () => {
    const app = await limited({ maxConnectionsPerViewer: 2 });
    const held = [await signedIn(app, f.ada.id, '192.0.2.1'), await signedIn(app, f.ada.id, '192.0.2.2')];
    const refused = await signedIn(app, f.ada.id, '192.0.2.3');
    expect(await refused.closed).toBe(4291);
    await signedIn(app, f.bob.id, '192.0.2.3');
    held[0]?.socket.close();
    await eventually(async () => {
      const client = await signedIn(app, f.ada.id, '192.0.2.4');
      expect(client.messages).toMatchObject([{ type: 'connection_ack' }]);
    });
  });

  test('that have not said who they are are bounded by address, and no others of that address are', async () => {
    const app = await limited({ maxUnauthenticatedPerAddress: 2 });
    const silent = [dialled(app), dialled(app)];
    for (const { status } of silent) expect(await status).toBe(101);
    expect(await dialled(app).status).toBe(429);
    await silent[0]?.signIn(f.ada.id);
    await signedIn(app, f.ada.id);
    expect(await dialled(app, '192.0.2.2').status).toBe(101);
  });

  test('that have not said who they are make room: the oldest of the address with most of them', async () => {
    const app = await limited({ maxUnauthenticated: 4 });
    const few = dialled(app, '192.0.2.1');
    await few.status;
    const many = [1, 2, 3].map(() => dialled(app, '192.0.2.2'));
    for (const { status } of many) expect(await status).toBe(101);
    const client = await signedIn(app, f.ada.id, '192.0.2.3');
    expect(await many[0]?.closed).toBe(4408);
    expect(client.messages).toMatchObject([{ type: 'connection_ack' }]);
    expect([few, many[1], many[2]].map((one) => one?.socket.readyState)).toEqual([1, 1, 1]);
  });

  test('that are refused do not stay open', async () => {
    const app = await limited({ maxConnectionsPerAddress: 1 });
    await dialled(app).status;
    const before = await connectionsOf(app);
    const refused = Array.from({ length: 20 }, () => dialled(app));
    for (const { status } of refused) expect(await status).toBe(429);
    await eventually(async () => expect(await connectionsOf(app)).toBeLessThanOrEqual(before));
  });
});

function connectionsOf({ server }: LiveApp): Promise<number> {
  return new Promise((resolve, reject) => {
    server.server.getConnections((error, count) => (error ? reject(error) : resolve(count)));
  });
}

describe('subscriptions', () => {
  test('sent in one burst are refused as many as are too many', async () => {
    const app = await limited({});
    const client = await signedIn(app, f.ada.id);
    for (let n = 0; n < 60; n++) client.send({ type: 'subscribe', id: String(n), payload: { query: SUBSCRIPTION } });
    await eventually(() => expect(app.taskEvents.subscribers).toBe(50));
    await eventually(() => expect(codesOf(client.messages)).toEqual(Array(10).fill('TOO_MANY_SUBSCRIPTIONS')));
    // Those that end give their place back.
    client.send({ type: 'complete', id: '0' });
    await eventually(() => expect(app.taskEvents.subscribers).toBe(49));
    client.send({ type: 'subscribe', id: 'again', payload: { query: SUBSCRIPTION } });
    await eventually(() => expect(app.taskEvents.subscribers).toBe(50));
    expect(codesOf(client.messages)).toHaveLength(10);
  });

  test('of one viewer are bounded over all connections, those of another viewer are not affected', async () => {
    const app = await limited({ maxSubscriptionsPerViewer: 3 });
    const clients = await Promise.all([1, 2].map(() => signedIn(app, f.ada.id)));
    for (const [n, client] of clients.entries()) {
      for (const id of ['a', 'b']) client.send({ type: 'subscribe', id: id + n, payload: { query: SUBSCRIPTION } });
    }
    await eventually(() => expect(app.taskEvents.subscribers).toBe(3));
    await eventually(() =>
      expect(clients.flatMap(({ messages }) => codesOf(messages))).toEqual(['TOO_MANY_SUBSCRIPTIONS']),
    );
    const other = await signedIn(app, f.bob.id);
    other.send({ type: 'subscribe', id: '1', payload: { query: SUBSCRIPTION } });
    await eventually(() => expect(app.taskEvents.subscribers).toBe(4));
    // A connection that goes gives back what it had.
    clients[0]?.socket.terminate();
    await eventually(() => expect(app.taskEvents.subscribers).toBeLessThan(4));
    clients[1]?.send({ type: 'subscribe', id: 'again', payload: { query: SUBSCRIPTION } });
    await eventually(() => expect(codesOf(clients[1]?.messages ?? []).length).toBeLessThanOrEqual(1));
    await eventually(() => expect(app.taskEvents.subscribers).toBeGreaterThanOrEqual(3));
  });

  test('that are refused take no place', async () => {
    const app = await limited({ maxSubscriptions: 2 });
    const client = await signedIn(app, f.ada.id);
    const bad = [
      '{',
      'subscription { nothing }',
      'query { viewer { id } }',
      'subscription { taskChanged(taskId: "x") { type } }',
    ];
    for (const [n, query] of [...bad, ...bad, ...bad].entries()) {
      client.send({ type: 'subscribe', id: `bad${n}`, payload: { query } });
      await eventually(() => expect(client.messages.some(({ id }) => id === `bad${n}`)).toBe(true));
    }
    expect(codesOf(client.messages)).not.toContain('TOO_MANY_SUBSCRIPTIONS');
    for (const id of ['1', '2']) client.send({ type: 'subscribe', id, payload: { query: SUBSCRIPTION } });
    await eventually(() => expect(app.taskEvents.subscribers).toBe(2));
  });
});

describe('each event', () => {
  const points = 30;

  test('takes points from its viewer, on all connections together; without points the subscription ends with RATE_LIMITED', async () => {
    const app = await limited({}, { rateLimit: { points, seconds: 3600 } });
    const connections = [connect(app, f.ada.id), connect(app, f.ada.id)];
    const [one, two] = await Promise.all(
      connections.map((connection) => connection.subscribe({ projectId: f.ops.id })),
    );
    if (one === undefined || two === undefined) throw new Error('two connections have two subscriptions');
    const other = connect(app, f.bob.id);
    const others = await other.subscribe({ projectId: f.ops.id });
    let events = 0;
    // Each round costs bob half of what it costs ada, so he is told of all.
    while (!(one.ended && two.ended) && events < 12) {
      await rename(0);
      events++;
      await eventually(() => expect(others.changes).toHaveLength(events));
      await eventually(() => expect([one, two].every((s) => s.ended || s.changes.length === events)).toBe(true));
    }
    expect([one.ended, two.ended]).toEqual([true, true]);
    const errors = [...one.errors, ...two.errors];
    expect(errors).toMatchObject([
      { extensions: { code: 'RATE_LIMITED', limit: points } },
      { extensions: { code: 'RATE_LIMITED' } },
    ]);
    for (const { message, extensions } of errors) {
      expect(message).toMatch(/^An event costs 2 of 30 points.*subscribe again after .*refetch/);
      expect(Date.parse(String(extensions?.['resetAt']))).toBeGreaterThan(Date.now());
      expect(extensions).not.toHaveProperty('http');
    }
    // Two subscriptions and their events: all of it was within the limit.
    expect(2 * (2 + one.changes.length + two.changes.length)).toBeLessThanOrEqual(points);
    expect(connections[0]?.socket().readyState).toBe(WebSocket.OPEN);
    await Promise.all([...connections, other].map((connection) => connection.close()));
  });

  test('that its viewer may not see costs nothing', async () => {
    const app = await limited({}, { rateLimit: { points, seconds: 3600 } });
    const connection = connect(app, f.bob.id);
    const told = await connection.subscribe();
    for (let n = 0; n < points; n++) {
      await sql`update tasks set title = title || '.', version = version + 1 where id = ${toUuid(f.webTask.id)}`;
    }
    await rename(0);
    await eventually(() => expect(told.changes).toHaveLength(1));
    expect(told.ended).toBe(false);
    await connection.close();
  });
});

test('while an address opens sockets without end, a viewer elsewhere connects and is told of changes', async () => {
  const app = await limited({});
  let attempts = 0;
  const attack = new AbortController();
  const over = once(attack.signal, 'abort'); // shared by all lanes: one listener
  const lanes = Array.from({ length: 20 }, async () => {
    while (!attack.signal.aborted) {
      const client = dialled(app, '192.0.2.66');
      attempts++;
      await Promise.race([client.status, over]);
    }
  });
  await eventually(() => expect(attempts).toBeGreaterThan(100));
  const client = await signedIn(app, f.ada.id, '192.0.2.7');
  client.send({ type: 'subscribe', id: '1', payload: { query: SUBSCRIPTION } });
  await eventually(() => expect(app.taskEvents.subscribers).toBe(1));
  await rename(1);
  await eventually(() => expect(client.messages.some(({ type }) => type === 'next')).toBe(true));
  attack.abort();
  await Promise.all(lanes);
});
