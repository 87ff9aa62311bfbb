/** What live queries may hold and cost, what a client that reads slowly gets, and how they end with the process. */
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import type { Sql } from 'postgres';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { AppOptions } from '../../src/app.js';
import type { UserId } from '../../src/db/ids.js';
import { tableTag } from '../../src/engine/cache/index.js';
import { postgresClient } from '../../src/engine/postgres/database.js';
import { HOUR, MINUTE } from '../../src/std/time.js';
import { dataOf, eventually } from '../support/app.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { type LiveApp, liveApp, measured, renamed } from '../support/live.js';
import { EventSourceClient, LiveSocket, open, post, TRANSPORTS } from '../support/live-client.js';

const NAME = { query: 'query @live { project(key: "OPS") { name } }' };
/** Clients are paused for as long as a test takes. */
const UNHURRIED = { pingEveryMs: HOUR, goodbyeMs: HOUR, stallMs: HOUR, maxWaitMs: HOUR };

let database: TestDatabase;
/** Without rate limits: it makes the writes. */
let writer: LiveApp;
let sql: Sql;
let f: Fixture;
const apps: LiveApp[] = [];
const opened: { leave(): void }[] = [];

beforeAll(async () => {
  database = await createDatabase();
  writer = await liveApp({ databaseUrl: database.url });
  sql = postgresClient(database.url, { max: 2 });
  f = await fixture(writer, 12);
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

async function started(options: Partial<AppOptions> = {}): Promise<LiveApp> {
  const { databaseUrl } = writer;
  const app = await liveApp({ databaseUrl, group: writer.group, nearCacheBytes: 32 * 1024 * 1024, app: options });
  apps.push(app);
  return app;
}

async function socketOf(app: LiveApp, as: UserId = f.ada.id): Promise<LiveSocket> {
  const socket = await LiveSocket.open(app, as);
  opened.push({ leave: () => socket.close() });
  return socket;
}

async function eventsOf(app: LiveApp, operation: Parameters<typeof post>[2] = NAME, as: UserId = f.ada.id) {
  const events = await EventSourceClient.open(app, as, operation);
  opened.push(events);
  return events;
}

const renameProject = (name: string) => renamed(writer, f.ops.id, { name, as: f.ada.id });

describe('a client that reads slowly gets the newest answer, and not all of them', () => {
  const WRITES = 16;
  const board = {
    query: 'query @live { project(key: "OPS") { name tasks(first: 50) { nodes { title description } } } }',
  };

  test.each(TRANSPORTS)('by %s', async (transport) => {
    await sql`update tasks set description = repeat('long ', 13000)`; // answers of 800 kB
    const app = await started({ subscriptionLimits: UNHURRIED });
    const socket = await socketOf(app);
    const quick = socket.subscribe(board);
    const { client, slow } = await pausable(transport, app);
    await eventually(() => expect(slow.answers).toHaveLength(1));
    client.pause();
    for (let i = 1; i <= WRITES; i++) {
      await renameProject(`Name ${i} ${transport}`);
      await eventually(() => expect(quick.answers.at(-1)).toContain(`Name ${i} ${transport}`));
    }
    client.resume();
    await eventually(() => expect(slow.answers.at(-1)).toBe(quick.answers.at(-1)));
    expect(slow.answers.length).toBeLessThan(WRITES);
    const names = slow.answers.map((answer) => quick.answers.indexOf(answer));
    expect(names).toEqual(names.toSorted((a, b) => a - b)); // never back
  });

  async function pausable(transport: (typeof TRANSPORTS)[number], app: LiveApp) {
    if (transport === 'server-sent events') {
      const events = await eventsOf(app, board);
      return { client: events, slow: events };
    }
    const client = await socketOf(app);
    return { client, slow: client.subscribe(board) };
  }
});

describe('more are refused', () => {
  const refused = (message: RegExp) => [
    { message: expect.stringMatching(message), extensions: { code: 'TOO_MANY_SUBSCRIPTIONS' } },
  ];

  test('than one connection may have, subscriptions included', async () => {
    const app = await started({ subscriptionLimits: { maxSubscriptions: 2 } });
    const socket = await socketOf(app);
    socket.subscribe({ query: 'subscription { taskChanged { type } }' });
    const live = socket.subscribe(NAME);
    const another = socket.subscribe(NAME);
    await eventually(() =>
      expect(another.errors).toMatchObject(refused(/connection can have at most 2 .*live queries/)),
    );
    live.complete();
    await eventually(async () => expect(await measured(app, 'tasks_live_clients_open')).toBe(0));
    const next = socket.subscribe(NAME);
    await eventually(() => expect(next.answers).toHaveLength(1));
  });

  test('than one viewer may have on all connections', async () => {
    const app = await started({ subscriptionLimits: { maxSubscriptionsPerViewer: 2 } });
    const [first, second] = [await eventsOf(app), (await socketOf(app)).subscribe(NAME)];
    await eventually(() => expect([first.answers.length, second.answers.length]).toEqual([1, 1]));
    const more = await eventsOf(app);
    await eventually(() => expect(more.errors).toMatchObject(refused(/viewer can have at most 2/)));
    expect(more.status).toBe(429);
    const other = await eventsOf(app, NAME, f.bob.id);
    await eventually(() => expect(other.answers).toHaveLength(1));
  });

  test('than fit into the memory for the documents of one viewer, which equal queries share', async () => {
    const app = await started({ subscriptionLimits: { maxHeldBytesPerViewer: 1024 * 1024 } });
    const socket = await socketOf(app);
    const comments = '#\n'.repeat(7000); // in memory some 600 kB
    const long = (name: string) => ({ query: `query ${name} @live { project(key: "OPS") { name } } ${comments}` });
    const answered = [long('A'), long('A'), long('A')].map((operation) => socket.subscribe(operation));
    await eventually(() => expect(answered.map(({ answers }) => answers.length)).toEqual([1, 1, 1]));
    for (const operation of [long('B'), { query: `subscription { taskChanged { type } } ${comments}` }]) {
      const more = socket.subscribe(operation);
      await eventually(() =>
        expect(more.errors).toMatchObject(refused(/documents and variables of a viewer's .* 1 MiB/)),
      );
    }
    const other = (await socketOf(app, f.bob.id)).subscribe(long('B'));
    await eventually(() => expect(other.answers).toHaveLength(1));
    for (const one of answered) one.complete();
    await eventually(async () => expect(await measured(app, 'tasks_live_clients_open')).toBe(1));
    const next = socket.subscribe(long('B'));
    await eventually(() => expect(next.answers).toHaveLength(1));
  });

  test('than the process may have: different ones', async () => {
    const app = await started({ subscriptionLimits: { maxLiveQueries: 1 } });
    const [first, same] = [await eventsOf(app), await eventsOf(app)];
    await eventually(() => expect([first.answers.length, same.answers.length]).toEqual([1, 1]));
    const other = await eventsOf(app, NAME, f.bob.id);
    await eventually(() => expect(other.errors).toMatchObject(refused(/process has its maximum of live queries/)));
    expect(other.status).toBe(503);
    const bySocket = (await socketOf(app, f.bob.id)).subscribe(NAME);
    await eventually(() => expect(bySocket.errors).toMatchObject(refused(/process has its maximum/)));
  });

  test('connections than a viewer or the process may have, of both kinds together', async () => {
    const app = await started({ subscriptionLimits: { maxConnectionsPerViewer: 2, maxConnections: 3 } });
    await socketOf(app);
    const events = await eventsOf(app);
    await eventually(() => expect(events.answers).toHaveLength(1));
    const third = await eventsOf(app);
    await eventually(() => expect(third.errors).toMatchObject(refused(/connections of this viewer/)));
    expect([third.status, third.response.headers['retry-after']]).toEqual([429, '5']);
    await socketOf(app, f.bob.id);
    const fourth = await eventsOf(app, NAME, f.vic.id);
    await eventually(() => expect(fourth.errors).toMatchObject(refused(/connections of this process/)));
    expect(fourth.status).toBe(503);
    events.leave();
    await eventually(async () => expect(await measured(app, 'tasks_event_streams_open')).toBe(0));
    const next = await eventsOf(app, NAME, f.vic.id);
    await eventually(() => expect(next.answers).toHaveLength(1));
  });
});

test('a viewer without points for answers gets the last change when there are points again, and is served meanwhile', async () => {
  const app = await started({ rateLimit: { points: 5, seconds: 10 } });
  const live = (await socketOf(app)).subscribe(NAME);
  await eventually(() => expect(live.answers).toHaveLength(1));
  const postponed = () => measured(app, 'tasks_live_runs_total{result="postponed"}');
  let changes = 0;
  while ((await postponed()) === 0) {
    const sent = live.answers.length;
    await renameProject(`Change ${++changes}`);
    await eventually(async () => expect(live.answers.length > sent || (await postponed()) > 0).toBe(true));
  }
  dataOf(await app.ask('{ __typename }', { as: f.ada.id }));
  await eventually(() => expect(live.answers.at(-1)).toContain(`Change ${changes}`), MINUTE);
  expect(live.errors).toEqual([]);
});

test('what changes costs a viewer none of its points for requests', async () => {
  const app = await started({ rateLimit: { points: 1000, seconds: 3600 } });
  const left = async () => dataOf(await app.ask('{ rateLimit { remaining } }', { as: f.ada.id })).rateLimit.remaining;
  const own = (await left()) - (await left());
  const live = (await socketOf(app)).subscribe(NAME);
  await eventually(() => expect(live.answers).toHaveLength(1));
  const before = await left();
  await renameProject('Costs other points');
  await eventually(() => expect(live.answers).toHaveLength(2));
  expect(before - (await left())).toBe(own);
});

test('an event stream has comments while nothing happens', async () => {
  const app = await started({ subscriptionLimits: { pingEveryMs: 20 } });
  const events = await eventsOf(app);
  await eventually(() => expect(events.heartbeats).toBeGreaterThan(3));
});

test('the end of the process ends connections without `complete`', async () => {
  const app = await started();
  const [socket, events] = [await socketOf(app), await eventsOf(app)];
  const live = socket.subscribe(NAME);
  await eventually(() => expect([live.answers.length, events.answers.length]).toEqual([1, 1]));
  apps.splice(apps.indexOf(app), 1);
  await app.close();
  expect(await socket.closed).toMatchObject({ code: 1001 });
  await eventually(() => expect(events.ended).toBe(true));
  expect([live.completed, events.completed]).toEqual([false, false]);
});

test('a request for events that comes while the process ends is refused with the reason', async () => {
  const app = await started();
  const events = await eventsOf(app);
  const body = JSON.stringify(NAME);
  const headers = {
    accept: 'text/event-stream',
    'content-type': 'application/json',
    'content-length': body.length,
    authorization: `Bearer ${await app.tokenOf(f.ada.id)}`,
    expect: '100-continue',
  };
  const request = httpRequest(app.url, { method: 'POST', agent: false, headers });
  const response = once(request, 'response');
  request.flushHeaders();
  await once(request, 'continue'); // the server waits for the body
  apps.splice(apps.indexOf(app), 1);
  const closed = app.close();
  await eventually(() => expect(events.ended).toBe(true));
  request.end(body);
  const [refusal] = (await response) as [IncomingMessage];
  expect([refusal.statusCode, refusal.headers['retry-after']]).toEqual([503, '5']);
  expect(await text(refusal)).toMatch(/shutting down: connect again/);
  await closed;
});

test('where introspection is off, a live query has none, and its document is not known to others', async () => {
  const app = await started({ introspection: false });
  const operation = { query: 'query @live { __schema { queryType { name } } }' };
  const live = (await socketOf(app)).subscribe(operation);
  await eventually(() => expect(live.errors[0]?.extensions).toEqual({ code: 'GRAPHQL_VALIDATION_FAILED' }));
  expect((await post(app, f.ada.id, operation)).text).toContain('GRAPHQL_VALIDATION_FAILED');
});

test('where only listed documents run, a listed one runs live', async () => {
  const persistedDocuments = { mode: 'enforce', manifest: new Map([['one', NAME.query]]) } as const;
  const app = await started({ persistedDocuments });
  const socket = await socketOf(app);
  const [listed, other] = [socket.subscribe(NAME), socket.subscribe({ query: 'query @live { viewer { id } }' })];
  await eventually(() => expect(listed.answers).toHaveLength(1));
  await eventually(() => expect(other.errors).toMatchObject([{ extensions: { code: 'PERSISTED_DOCUMENT_REQUIRED' } }]));
  const byId = await eventsOf(app, { documentId: 'sha256:one' } as never);
  await eventually(() => expect(byId.answers).toEqual(listed.answers));
});

test('a fault of the server is shown to a client that has no answer, and not to one that has', async () => {
  const app = await started();
  const [live, { text }] = [
    await open('WebSocket', app, { as: f.ada.id, operation: NAME }),
    await post(app, f.ada.id, NAME),
  ];
  opened.push(live);
  await eventually(() => expect(live.answers).toEqual([text]));
  await sql`alter table projects rename column name to name_away`;
  try {
    await app.cache.store.invalidate([tableTag('projects')]);
    await eventually(async () =>
      expect(await measured(app, 'tasks_live_runs_total{result="failed"}')).toBeGreaterThan(0),
    );
    const late = await eventsOf(app);
    await eventually(() => expect(late.answers.at(-1)).toContain('INTERNAL_SERVER_ERROR'));
    expect(live.answers).toEqual([text]);
    await sql`alter table projects rename column name_away to name`;
    await eventually(() => expect(late.answers.at(-1)).toBe(text));
    await renameProject('After the fault');
    await eventually(() => expect(live.answers.at(-1)).toContain('After the fault'));
    expect(live.answers).toHaveLength(2);
  } finally {
    await sql`alter table projects rename column name_away to name`.catch(() => {});
  }
});
