/** Clients that stay connected and read slowly or not at all: which of them are ended, and what they may hold. */
import { connect, type Socket } from 'node:net';
import type { Sql } from 'postgres';
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import type { UserId } from '../../src/db/ids.js';
import { Availability } from '../../src/engine/postgres/availability.js';
import { postgresClient } from '../../src/engine/postgres/database.js';
import type { SubscriptionLimits } from '../../src/platform/subscription-limits.js';
import { EventResponse } from '../../src/server/live/event-response.js';
import { HOUR } from '../../src/std/time.js';
import { eventually, headersFor } from '../support/app.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { type LiveApp, liveApp, measured, renamed } from '../support/live.js';
import { EventSourceClient, LiveSocket, type Operation, TRANSPORTS } from '../support/live-client.js';

const MIB = 1024 * 1024;
const UNHURRIED = { pingEveryMs: HOUR, goodbyeMs: HOUR, stallMs: HOUR, maxWaitMs: HOUR };
const NAME: Operation = { query: 'query @live { project(key: "OPS") { name } }' };
/** An answer of 16 MiB: more than the buffers of the network hold. */
const LARGE: Operation = {
  query: `query @live { project(key: "OPS") { name ${Array.from(
    { length: 20 },
    (_, n) => `t${n}: tasks(first: 12) { nodes { description } }`,
  ).join(' ')} } }`,
};

let database: TestDatabase;
/** It makes the writes. */
let writer: LiveApp;
let sql: Sql;
let f: Fixture;
const apps: LiveApp[] = [];
const opened: { leave(): void }[] = [];

beforeAll(async () => {
  database = await createDatabase();
  writer = await liveApp({ databaseUrl: database.url });
  sql = postgresClient(database.url, { max: 1 });
  f = await fixture(writer, 12);
  await sql`update tasks set description = repeat('long ', 13000)`;
});
afterEach(async () => {
  for (const one of opened.splice(0)) one.leave();
  await Promise.all(apps.splice(0).map((app) => app.close()));
});
afterAll(async () => {
  await sql?.end();
  await writer?.close();
  await database?.drop();
});

async function started(subscriptionLimits: Partial<SubscriptionLimits>, options: object = {}): Promise<LiveApp> {
  const app = await liveApp({
    databaseUrl: database.url,
    group: writer.group,
    app: { subscriptionLimits, maxResponseBytes: 32 * MIB, ...options },
  });
  apps.push(app);
  return app;
}

const renameProject = (name: string) => renamed(writer, f.ops.id, { name, as: f.ada.id });

/** A client that stops reading as soon as the answer begins to arrive. */
async function stuck(transport: (typeof TRANSPORTS)[number], app: LiveApp, as: UserId = f.ada.id) {
  const client = transport === 'WebSocket' ? await stuckSocket(app, as) : await stuckEvents(app, as);
  opened.push({ leave: () => client.network.destroy() });
  await eventually(() => expect(client.network.isPaused()).toBe(true));
  return client;
}

interface Stuck {
  readonly network: Socket;
  /** Answers it has received. */
  readonly answers: string[];
  pause(): void;
  resume(): void;
  /** Sends something that the server need not answer. */
  say(): void;
}

async function stuckSocket(app: LiveApp, as: UserId): Promise<Stuck> {
  const token = await app.tokenOf(as); // first: a socket may open while a promise is awaited
  const network = connect(port(app), '127.0.0.1');
  const socket = new WebSocket(app.url.replace(/^http/, 'ws'), 'graphql-transport-ws', {
    createConnection: () => network,
  });
  const send = (message: object) => socket.send(JSON.stringify(message));
  const answers: string[] = [];
  socket.on('open', () => send({ type: 'connection_init', payload: { token } }));
  socket.on('error', () => {}); // ended by the server
  socket.on('message', (data) => {
    const { type, payload } = JSON.parse(String(data));
    if (type === 'next') answers.push(JSON.stringify(payload));
    if (type !== 'connection_ack') return;
    network.once('data', () => socket.pause());
    send({ type: 'subscribe', id: '1', payload: LARGE });
  });
  return {
    network,
    answers,
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    say: () => socket.pong(),
  };
}

async function stuckEvents(app: LiveApp, as: UserId): Promise<Stuck> {
  const network = connect(port(app), '127.0.0.1');
  network.on('error', () => {}); // ended by the server
  const answers: string[] = [];
  let text = '';
  network.setEncoding('utf8');
  network.on('data', (chunk) => {
    if (text.length < 100_000 && text.length + chunk.length >= 100_000) network.pause();
    text += chunk;
    if (text.includes('event: next') && text.endsWith('\n\n\r\n')) answers.push(text);
  });
  network.write(await requestOf(LARGE, { as, accept: 'text/event-stream' }));
  let next = 'GET / HTTP/1.1\r\nx: ';
  return {
    network,
    answers,
    pause: () => network.pause(),
    resume: () => network.resume(),
    say() {
      network.write(next);
      next = 'x'; // a header that goes on
    },
  };
}

function port(app: LiveApp): number {
  return Number(new URL(app.origin).port);
}

async function requestOf(operation: Operation, { as, accept }: { as: UserId; accept: string }): Promise<string> {
  const body = JSON.stringify(operation);
  const headers = {
    ...(await headersFor({ as })),
    host: 'x',
    accept,
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
  };
  const head = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  return `POST /graphql HTTP/1.1\r\n${head.join('\r\n')}\r\n\r\n${body}`;
}

describe.each(TRANSPORTS)('by %s', (transport) => {
  test('a client that reads nothing is ended, though it goes on sending', async () => {
    const app = await started({ ...UNHURRIED, goodbyeMs: 10, stallMs: 400 });
    const client = await stuck(transport, app);
    const talking = setInterval(client.say, 20);
    try {
      await eventually(async () => expect(await measured(app, 'tasks_live_clients_open')).toBe(0));
    } finally {
      clearInterval(talking);
    }
  });

  test('a message that takes longer than the limit ends its client', async () => {
    const app = await started({ ...UNHURRIED, goodbyeMs: 10, maxWaitMs: 1000 });
    const client = await stuck(transport, app);
    const reading = setInterval(() => {
      client.network.once('data', () => client.pause());
      client.resume();
    }, 200);
    try {
      await eventually(async () => expect(await measured(app, 'tasks_live_clients_open')).toBe(0));
      expect(client.answers).toEqual([]);
    } finally {
      clearInterval(reading);
    }
  });
});

test('a WebSocket whose ping waits behind a large answer is not ended for a missing pong', async () => {
  const app = await started({ ...UNHURRIED, pingEveryMs: 2000 });
  const witness = await LiveSocket.open(app, f.ada.id);
  opened.push({ leave: () => witness.close() });
  const client = await stuck('WebSocket', app);
  let pings = 0;
  witness.socket.on('ping', () => pings++);
  await eventually(() => expect(pings).toBeGreaterThan(2));
  client.resume();
  await eventually(() => expect(client.answers).toHaveLength(1));
  await renameProject('After a long answer');
  await eventually(() => expect(client.answers.at(-1)).toContain('After a long answer'));
});

describe('a request for events on a connection with other requests', () => {
  async function received(text: string): Promise<{ network: Socket; text: () => string }> {
    const network = connect(port(writer), '127.0.0.1');
    opened.push({ leave: () => network.destroy() });
    network.on('error', () => {});
    let all = '';
    network.setEncoding('utf8').on('data', (chunk) => {
      all += chunk;
    });
    network.write(text);
    return { network, text: () => all };
  }
  const plain = () => requestOf(NAME, { as: f.ada.id, accept: 'application/json' });
  const events = () => requestOf(NAME, { as: f.ada.id, accept: 'text/event-stream' });
  const REFUSED = /HTTP\/1\.1 400 [\s\S]*connection of its own/;

  test('is refused behind one whose response is under way', async () => {
    const { text } = await received((await plain()) + (await events()));
    await eventually(() => expect(text()).toMatch(/HTTP\/1\.1 200 [\s\S]*"name"[\s\S]*HTTP\/1\.1 400 /));
    expect(text()).toMatch(REFUSED);
  });

  test('is refused before one that has come with it, which is answered', async () => {
    const { text } = await received((await events()) + (await plain()));
    await eventually(() => expect(text()).toMatch(/HTTP\/1\.1 400 [\s\S]*HTTP\/1\.1 200 [\s\S]*"name"/));
    expect(text()).toMatch(REFUSED);
  });

  test('is served after one that was answered; a further request then ends the connection', async () => {
    const { network, text } = await received(await plain());
    const closed = new Promise<void>((resolve) => network.once('close', () => resolve()));
    await eventually(() => expect(text()).toMatch(/HTTP\/1\.1 200 [\s\S]*"name"/));
    network.write(await events());
    await eventually(() => expect(text()).toContain('event: next'));
    network.write(await plain());
    await closed;
    await eventually(async () => expect(await measured(writer, 'tasks_event_streams_open')).toBe(0));
  });

  const upgradeTo = (path: string) =>
    [
      `GET ${path} HTTP/1.1`,
      'host: x',
      'connection: upgrade',
      'upgrade: websocket',
      'sec-websocket-version: 13',
      'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
      'sec-websocket-protocol: graphql-transport-ws',
      '\r\n',
    ].join('\r\n');

  test.each(['/graphql', '/elsewhere'])('an upgrade at %s behind it ends the connection', async (path) => {
    const { network, text } = await received(await events());
    const closed = new Promise<void>((resolve) => network.once('close', () => resolve()));
    await eventually(() => expect(text()).toContain('event: next'));
    network.write(upgradeTo(path));
    await closed;
    expect(text().match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200']);
    await eventually(async () => expect(await measured(writer, 'tasks_event_streams_open')).toBe(0));
  });

  test('an upgrade that comes with a request before it ends the connection; one after the response is accepted', async () => {
    const early = await received((await plain()) + upgradeTo('/graphql'));
    await new Promise<void>((resolve) => early.network.once('close', () => resolve()));
    expect(early.text()).toBe('');
    const late = await received(await plain());
    await eventually(() => expect(late.text()).toMatch(/HTTP\/1\.1 200 [\s\S]*"name".*\}$/));
    late.network.write(upgradeTo('/graphql'));
    await eventually(() => expect(late.text()).toContain('HTTP/1.1 101'));
  });
});

describe.each(TRANSPORTS)('answers that wait for the network, by %s', (transport) => {
  test('count as unread by their viewer, whose live queries wait for room; other viewers have theirs', async () => {
    const app = await started(UNHURRIED, { maxUnreadBytes: 64 * MIB });
    const slow = await stuck(transport, app);
    const query = { query: 'query { project(key: "OPS") { name } } # not known yet' };
    const status = async (as: UserId) => {
      const headers = { ...(await headersFor({ as })), 'content-type': 'application/json' };
      return (await fetch(app.url, { method: 'POST', headers, body: JSON.stringify(query) })).status;
    };
    await eventually(async () => expect(await status(f.ada.id)).toBe(503));
    const waiting = await EventSourceClient.open(app, f.ada.id, LARGE);
    const other = await EventSourceClient.open(app, f.bob.id, NAME);
    opened.push(waiting, other);
    await renameProject(`Room ${transport}`);
    await eventually(() => expect(other.answers.at(-1)).toContain(`Room ${transport}`));
    expect(waiting.answers).toEqual([]);
    expect(await status(f.bob.id)).toBe(200);
    slow.network.destroy();
    await eventually(() => expect(waiting.answers.at(-1)).toContain(`Room ${transport}`));
    expect(await status(f.ada.id)).toBe(200);
  });
});

test('a request for events is known by its media type in any case', async () => {
  const client = connect(port(writer), '127.0.0.1');
  opened.push({ leave: () => client.destroy() });
  let text = '';
  client.setEncoding('utf8').on('data', (chunk) => {
    text += chunk;
  });
  client.write(await requestOf(NAME, { as: f.ada.id, accept: 'Text/Event-Stream' }));
  await eventually(() => expect(text).toContain('event: next'));
});

test('a subscription by events whose queue is full before its response begins is refused with TOO_MANY_CHANGES', async () => {
  const app = await started({ maxQueued: 1 });
  const ended = vi.spyOn(EventResponse.prototype, 'end');
  const opening = vi.spyOn(Availability.prototype, 'retrying');
  opening.mockImplementationOnce((checkViewer) => checkViewer());
  opening.mockImplementationOnce(async (work) => {
    const stream = await work();
    await sql`update tasks set version = version + 1`;
    await eventually(() => expect(ended).toHaveBeenCalled());
    return stream;
  });
  onTestFinished(() => {
    ended.mockRestore();
    opening.mockRestore();
  });
  const client = await EventSourceClient.open(app, f.ada.id, { query: 'subscription { taskChanged { type } }' });
  opened.push(client);
  expect([client.status, client.response.headers['retry-after']]).toEqual([503, '5']);
  await eventually(() => expect(client.errors).toMatchObject([{ extensions: { code: 'TOO_MANY_CHANGES' } }]));
  await eventually(() => expect(app.taskEvents.subscribers).toBe(0));
});
