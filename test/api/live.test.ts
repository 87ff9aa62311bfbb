/** Live queries, over WebSockets and server-sent events: what a client is sent, when, and how it ends. */
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { eq } from 'drizzle-orm';
import { decodeJwt } from 'jose';
import type { Sql } from 'postgres';
import { applyPatch } from 'rfc6902';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { newId, toUuid, type UserId } from '../../src/db/ids.js';
import { users } from '../../src/domain/users/user.table.js';
import { Availability } from '../../src/engine/postgres/availability.js';
import { postgresClient } from '../../src/engine/postgres/database.js';
import { signToken } from '../../src/server/auth/tokens.js';
import { Documents } from '../../src/server/operations/documents.js';
import { dataOf, eventually, TOKENS } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { type LiveApp, liveApp, measured } from '../support/live.js';
import {
  EventSourceClient,
  LiveSocket,
  type Operation,
  open,
  post,
  type Received,
  TRANSPORTS,
} from '../support/live-client.js';

const NEAR = { nearCacheBytes: 16 * 1024 * 1024 };

let app: LiveApp;
/** Another process, which writes. */
let other: LiveApp;
let sql: Sql;
let f: Fixture;
const opened: { leave(): void }[] = [];

beforeAll(async () => {
  app = await liveApp(NEAR);
  other = await liveApp({ ...NEAR, databaseUrl: app.databaseUrl, group: app.group });
  sql = postgresClient(app.databaseUrl, { max: 2 });
  f = await fixture(app);
});
afterEach(async () => {
  for (const one of opened.splice(0)) one.leave();
  await eventually(async () => {
    expect(await measured(app, 'tasks_live_clients_open')).toBe(0);
    expect(await measured(app, 'tasks_live_queries_open')).toBe(0);
    expect(await measured(app, 'tasks_event_streams_open')).toBe(0);
  });
});
afterAll(async () => {
  await sql?.end();
  await other?.close();
  await app?.close();
});

/** A board; `directive` in place of `@live`. */
function board(directive = '@live', key = 'OPS'): Operation {
  return {
    query: `query Board($key: String!) ${directive} {
      project(key: $key) { name tasks(first: 50) { nodes { id title status labels(first: 9) { nodes { name } } assignee { name } } } }
    }`,
    variables: { key },
  };
}

const task = (i: number) => (f.opsTasks[i] as Fixture['opsTasks'][number]).id;

async function subscribed(
  operation: Operation,
  as: UserId = f.ada.id,
  transport: (typeof TRANSPORTS)[number] = 'WebSocket',
) {
  const subscription = await open(transport, app, { as, operation });
  opened.push(subscription);
  return subscription;
}

async function mutate(name: string, input: object, by = other): Promise<Record<string, unknown>> {
  const type = `${name[0]?.toUpperCase()}${name.slice(1)}Input`;
  const document = `mutation($input: ${type}!) { ${name}(input: $input) { errors { message } } }`;
  const answer = dataOf(await by.ask(document, { as: f.ada.id, variables: { input } }))[name];
  expect(answer.errors).toEqual([]);
  return answer;
}

const rename = (i: number, title: string, by = other) => mutate('updateTask', { id: task(i), title }, by);

/** Waits until the last answer is that of a POST. @returns its text */
async function current({ answers }: Received, operation = board(), as: UserId = f.ada.id): Promise<string> {
  const { text } = await post(app, as, operation);
  await eventually(() => expect(answers.at(-1)).toBe(text));
  return text;
}

/** Waits until an answer has this text in it. */
function shown({ answers }: Received, text: string): Promise<void> {
  return eventually(() => expect(answers.at(-1)).toContain(text));
}

describe.each(TRANSPORTS)('by %s', (transport) => {
  const live = (operation: Operation, as?: UserId) => subscribed(operation, as, transport);

  test('a live query is answered as by POST, byte for byte, and again after each change', async () => {
    const subscription = await live(board());
    await current(subscription);
    expect(subscription.answers).toHaveLength(1);
    await rename(0, `By this process and ${transport}`, app);
    await shown(subscription, 'By this process');
    await current(subscription);
    await rename(1, `By another process and ${transport}`);
    await shown(subscription, 'By another process');
    await current(subscription);
    await sql`update tasks set title = ${`By psql and ${transport}`} where id = ${toUuid(task(2))}`;
    await shown(subscription, 'By psql');
    await current(subscription);
    expect(new Set(subscription.answers).size).toBe(subscription.answers.length); // none twice
    expect(subscription).toMatchObject({ errors: [], completed: false });
  });

  test('a query that is not live is answered once, and has then ended', async () => {
    for (const directive of ['', '@live(if: false)', '@live(if: $live)']) {
      const query = board(directive).query.replace('$key: String!', '$key: String!, $live: Boolean! = false');
      const operation = { query: directive.includes('$') ? query : board(directive).query, variables: { key: 'OPS' } };
      const subscription = await live(operation);
      await eventually(() => expect(subscription.completed).toBe(true));
      expect(subscription.answers).toEqual([(await post(app, f.ada.id, operation)).text]);
    }
  });

  test('errors and nulls are as by POST, and an answer with errors stays live', async () => {
    const operation = {
      query: 'query @live { project(key: "OPS") { name } task { id } hidden: project(key: "NONE") { name } }',
    };
    const subscription = await live(operation);
    expect(await current(subscription, operation)).toMatch(/^\{"errors":\[.*"BAD_USER_INPUT".*"data":/);
    await mutate('updateProject', { id: f.ops.id, name: `Seen by ${transport}` });
    await shown(subscription, `Seen by ${transport}`);
    await current(subscription, operation);
  });

  test('a subscription is served, too', async () => {
    const query = 'subscription($id: ID) { taskChanged(taskId: $id) { type task { title } } }';
    const before = app.taskEvents.subscribers;
    const subscription = await live({ query, variables: { id: task(3) } });
    await eventually(() => expect(app.taskEvents.subscribers).toBe(before + 1));
    await rename(3, `Event by ${transport}`);
    await eventually(() => expect(subscription.answers).toHaveLength(1));
    expect(JSON.parse(subscription.answers[0] as string)).toEqual({
      data: { taskChanged: { type: 'UPDATED', task: { title: `Event by ${transport}` } } },
    });
    subscription.leave();
    await eventually(() => expect(app.taskEvents.subscribers).toBe(before));
  });

  test.each([
    [
      'a mutation',
      { query: 'mutation { deleteTask(input: { id: "x" }) { deletedTaskId } }' },
      'BAD_REQUEST',
      /by POST/,
    ],
    [
      'a live mutation',
      { query: 'mutation @live { deleteTask(input: { id: "x" }) { deletedTaskId } }' },
      'GRAPHQL_VALIDATION_FAILED',
      /@live/,
    ],
    ['no document', { query: 'query @live {' }, 'GRAPHQL_PARSE_FAILED', /Syntax Error/],
    [
      'an unknown operation',
      { query: 'query A @live { viewer { id } }', operationName: 'B' },
      'OPERATION_RESOLUTION_FAILURE',
      /operationName/,
    ],
    [
      'a long throttle',
      { query: 'query @live(throttleMs: 60001) { viewer { id } }' },
      'BAD_USER_INPUT',
      /^throttleMs: expected 0 to 60000 .*60001/,
    ],
    [
      'a negative throttle',
      { query: 'query($t: Int!) @live(throttleMs: $t) { viewer { id } }', variables: { t: -1 } },
      'BAD_USER_INPUT',
      /^throttleMs: expected 0 to 60000/,
    ],
    [
      'a variable that is no number',
      { query: 'query($t: Int!) @live(throttleMs: $t) { viewer { id } }', variables: { t: 'x' } },
      'BAD_USER_INPUT',
      /\$t/,
    ],
    [
      'what costs too much',
      { query: 'query @live { tasks(first: 100) { nodes { subtasks(first: 100) { nodes { assignee { id } } } } } }' },
      'QUERY_TOO_EXPENSIVE',
      /the limit is/,
    ],
  ] as const)('%s is refused', async (_, operation, code, message) => {
    const subscription = await live(operation);
    await eventually(() => expect(subscription.errors).toHaveLength(1));
    expect(subscription.errors).toMatchObject([{ message: expect.stringMatching(message), extensions: { code } }]);
    expect(subscription.errors[0]?.extensions).not.toHaveProperty('http');
    expect(subscription.answers).toEqual([]);
  });

  test('with patches each answer can be made from the one before', async () => {
    const operation = board('@live(patch: true)');
    const subscription = await live(operation);
    const answers: { data?: unknown; patch?: never[]; revision: number }[] = [];
    let data: unknown;
    const equals = async () => {
      const { text } = await post(app, f.ada.id, operation);
      await eventually(() => {
        for (const answer of subscription.answers.splice(0)) {
          const message = JSON.parse(answer);
          answers.push(message);
          expect(message.revision).toBe(answers.length);
          if (message.patch === undefined) data = message.data;
          else expect(applyPatch(data, message.patch)).toEqual(message.patch.map(() => null));
        }
        expect(JSON.stringify({ data })).toBe(text);
      });
    };
    await equals();
    expect(Object.keys(answers[0] ?? {})).toEqual(['data', 'revision']);
    for (const write of [
      () => rename(0, `A ${transport}`),
      () => mutate('createTask', { projectId: f.ops.id, title: `New ${transport}` }),
      () => mutate('updateTask', { id: task(4), labelIds: [f.docs.id] }),
      () => mutate('updateTask', { id: task(4), labelIds: [f.bug.id, f.docs.id] }),
      () => mutate('completeTask', { id: task(1) }),
      () => mutate('reopenTask', { id: task(1) }),
      () => mutate('updateTask', { id: task(2), assigneeId: null }),
      () => mutate('updateTask', { id: task(2), assigneeId: f.bob.id }),
      () => sql`update tasks set title = 'All the same'`,
      () => sql`delete from tasks where title = 'All the same' and assignee_id is null`,
    ]) {
      await write();
      await equals();
    }
    expect(answers.filter(({ patch }) => patch !== undefined).length).toBeGreaterThan(6);
    // Every title has changed: that is no shorter as a patch, but paths make it longer.
    expect(answers.length).toBeGreaterThan(8);
  });

  test('an answer has all that the viewer may see when it is made, and nothing else', async () => {
    const subscription = await live(board('@live', 'WEB'), f.bob.id);
    expect(await current(subscription, board('', 'WEB'), f.bob.id)).toBe('{"data":{"project":null}}');
    const input = { projectId: f.web.id, userId: f.bob.id };
    await mutate('addMember', { ...input, role: 'VIEWER' });
    await shown(subscription, 'Website');
    await mutate('removeMember', input);
    await eventually(() => expect(subscription.answers.at(-1)).toBe('{"data":{"project":null}}'));
    const last = subscription.answers.length;
    await mutate('updateTask', { id: f.webTask.id, title: `Unseen by ${transport}` });
    await rename(0, `Afterwards ${transport}`);
    const marker = await live(board());
    await shown(marker, `Afterwards ${transport}`);
    expect(subscription.answers).toHaveLength(last);
  });

  test('it ends with its token, without `complete`', async () => {
    const token = await signToken(TOKENS, f.ada.id, '2s');
    const subscription = await open(transport, app, { as: f.ada.id, token, operation: board() });
    opened.push(subscription);
    await eventually(() => expect(subscription.answers.length).toBeGreaterThan(0));
    await eventually(async () => expect(await measured(app, 'tasks_live_clients_open')).toBe(0));
    expect(subscription.completed).toBe(false);
  });

  test('it ends when its user is deleted', async () => {
    const gone = { id: newId('user'), handle: `gone-${transport.length}`, name: 'Gone' };
    await app.transactor.transact((tx) => tx.insert(users).values(gone));
    const subscription = await live({ query: 'query @live { viewer { name } }' }, gone.id);
    await eventually(() => expect(subscription.answers).toHaveLength(1));
    await app.transactor.transact((tx) => tx.delete(users).where(eq(users.id, gone.id)));
    await eventually(async () => expect(await measured(app, 'tasks_live_clients_open')).toBe(0));
    expect(subscription).toMatchObject({ answers: ['{"data":{"viewer":{"name":"Gone"}}}'], completed: false });
  });
});

describe('runs', () => {
  test('an answer that has not changed is not sent', async () => {
    const subscription = await subscribed(board());
    await current(subscription);
    const runs = () => runsOf('unchanged');
    const before = await runs();
    await mutate('updateTask', { id: task(0), priority: 'HIGH' });
    await eventually(async () => expect(await runs()).toBeGreaterThan(before));
    expect(subscription.answers).toHaveLength(1);
  });

  test('equal queries of a viewer share them; another viewer has its own', async () => {
    const [first, second] = [await subscribed(board()), await subscribed(board())];
    const third = await subscribed(board(), f.bob.id);
    await Promise.all([current(first), current(second), current(third, board(), f.bob.id)]);
    expect(await measured(app, 'tasks_live_queries_open')).toBe(2);
    expect(await measured(app, 'tasks_live_clients_open')).toBe(3);
    await rename(0, 'Seen by all');
    await Promise.all([first, second, third].map((one) => shown(one, 'Seen by all')));
  });

  test('are no closer together than the throttle, except for a client that joins', async () => {
    const slow = await subscribed(board('@live(throttleMs: 60000)'));
    const quick = await subscribed(board());
    await Promise.all([current(slow), current(quick)]);
    const before = slow.answers.length;
    await rename(0, 'Throttled');
    await shown(quick, 'Throttled');
    expect(slow.answers).toHaveLength(before);
    const late = await subscribed(board('@live(throttleMs: 60000)'));
    await shown(late, 'Throttled');
    await shown(slow, 'Throttled');
  });

  test('`complete` ends one of several on a connection', async () => {
    const socket = await LiveSocket.open(app, f.ada.id);
    opened.push({ leave: () => socket.close() });
    const [ended, lasting] = [socket.subscribe(board()), socket.subscribe(board())];
    await Promise.all([current(ended), current(lasting)]);
    ended.complete();
    await eventually(async () => expect(await measured(app, 'tasks_live_clients_open')).toBe(1));
    const { length } = ended.answers;
    await rename(0, 'After complete');
    await shown(lasting, 'After complete');
    expect(ended.answers).toHaveLength(length);
  });
});

test('an id that is used again while it is being accepted leaves nothing open', async () => {
  const socket = await LiveSocket.open(app, f.ada.id);
  const { read } = Documents.prototype;
  let goOn = () => {};
  const held = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  vi.spyOn(Documents.prototype, 'read').mockImplementationOnce(async function (this: Documents, ...args) {
    await held;
    return read.apply(this, args);
  });
  socket.subscribe(board(), 'again').complete();
  const second = socket.subscribe(board(), 'again');
  await eventually(() => expect(second.answers.length).toBeGreaterThan(0));
  goOn();
  await eventually(async () => expect(await measured(app, 'tasks_live_clients_open')).toBe(2));
  socket.close();
  await eventually(async () => expect(await measured(app, 'tasks_live_clients_open')).toBe(0));
});

test('a token that ends before the body has come leaves nothing open', async () => {
  const token = await signToken(TOKENS, f.ada.id, '2s');
  const body = JSON.stringify(board());
  const headers = {
    accept: 'text/event-stream',
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    authorization: `Bearer ${token}`,
  };
  const request = httpRequest(app.url, { method: 'POST', agent: false, headers });
  request.write(body.slice(0, 1));
  await new Promise((resolve) => setTimeout(resolve, (decodeJwt(token).exp as number) * 1000 + 100 - Date.now()));
  request.end(body.slice(1));
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  response.resume();
  await once(response, 'close');
  await eventually(async () => expect(await measured(app, 'tasks_live_clients_open')).toBe(0));
});

async function runsOf(result: string): Promise<number> {
  return measured(app, `tasks_live_runs_total{result="${result}"}`);
}

test('by POST `@live` changes nothing: the answer is sent once, and kept', async () => {
  const ask = async () => {
    app.reset();
    const { text } = await post(app, f.ada.id, board());
    return { text, kept: app.outcomes.some(({ name, kind }) => name === 'Answer' && kind === 'near-hit') };
  };
  const { text } = await post(app, f.ada.id, board(''));
  await eventually(async () => expect(await ask()).toEqual({ text, kept: true }));
});

test('a response of server-sent events is neither compressed nor cached', async () => {
  const events = await EventSourceClient.open(app, f.ada.id, board());
  opened.push(events);
  await current(events);
  const { headers } = events.response;
  expect(events.status).toBe(200);
  expect(headers).toMatchObject({
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store, no-transform',
    'x-request-id': expect.any(String),
    'x-content-type-options': 'nosniff',
  });
  expect(headers).not.toHaveProperty('content-encoding');
});

test('a client that prefers JSON to events gets JSON', async () => {
  const accept = 'application/graphql-response+json, application/json, text/event-stream, multipart/mixed';
  const response = await fetch(app.url, {
    method: 'POST',
    headers: { accept, 'content-type': 'application/json', authorization: `Bearer ${await app.tokenOf(f.ada.id)}` },
    body: JSON.stringify(board()),
  });
  expect(response.headers.get('content-type')).toMatch(/^application\/graphql-response\+json/);
  expect(await response.text()).toBe((await post(app, f.ada.id, board())).text);
});

test('events need a token, and a body with a query', async () => {
  const ask = async (body: object, token?: string) => {
    const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const headers = { accept: 'text/event-stream', 'content-type': 'application/json', ...authorization };
    const response = await fetch(app.url, { method: 'POST', headers, body: JSON.stringify(body) });
    const { errors } = (await response.json()) as { errors: { message: string; extensions: { code: string } }[] };
    return [response.status, errors[0]?.extensions.code, errors[0]?.message];
  };
  const token = await app.tokenOf(f.ada.id);
  expect(await ask(board())).toEqual([401, 'UNAUTHENTICATED', expect.any(String)]);
  expect(await ask(board(), 'nonsense')).toEqual([401, 'UNAUTHENTICATED', expect.any(String)]);
  expect(await ask({}, token)).toEqual([400, 'BAD_REQUEST', expect.stringContaining('query: expected')]);
  expect(await ask([], token)).toEqual([400, 'BAD_REQUEST', expect.stringContaining('a JSON object')]);
  expect(await ask({ ...board(), variables: 'x' }, token)).toEqual([
    400,
    'BAD_USER_INPUT',
    expect.stringContaining('variables: expected'),
  ]);
  expect(await ask({ query: `query @live { ${' viewer { id }'.repeat(6000)} }` }, token)).toEqual([
    400,
    'BAD_REQUEST',
    expect.stringContaining('65536'),
  ]);
});

test('a subscription by events that has waited too long for Postgres is refused with 503 and an error as by POST', async () => {
  const away = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
  vi.spyOn(Availability.prototype, 'retrying').mockRejectedValueOnce(away);
  const client = await EventSourceClient.open(app, f.ada.id, { query: 'subscription { taskChanged { type } }' });
  opened.push(client);
  const { statusCode, headers } = client.response;
  expect([statusCode, headers['content-type'], headers['retry-after']]).toEqual([
    503,
    expect.stringMatching(/^application\/(graphql-response\+)?json/),
    '5',
  ]);
  await eventually(() => expect(client.errors).toHaveLength(1));
  expect(client.errors).toMatchObject([
    {
      message: 'Something went wrong on our side.',
      extensions: { code: 'INTERNAL_SERVER_ERROR', requestId: expect.any(String) },
    },
  ]);
  await eventually(() => expect(app.taskEvents.subscribers).toBe(0));
});
