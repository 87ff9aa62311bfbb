/** The size of a response, and responses that are not read: bounded, refused with codes of their own, and harmless to other viewers. */
import { request } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { UserId } from '../../src/db/ids.js';
import { comments } from '../../src/domain/comments/comment.table.js';
import { bytesOf, ResponseSize, ResponseTooLarge } from '../../src/server/operations/response-size.js';
import { dataOf, eventually, headersFor, type TestApp, testApp } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { type LiveApp, liveApp } from '../support/live.js';
import { connect as subscriber } from '../support/subscriber.js';

const KIB = 1024;
const LIMIT = 64 * KIB;
/** JSON writes each of these characters in six bytes. */
const CONTROL = '\u0007';

let app: TestApp;
let f: Fixture;
let id: string;
beforeAll(async () => {
  app = await testApp({ app: { maxResponseBytes: LIMIT } });
  f = await fixture(app);
  const [task] = f.opsTasks as [Fixture['opsTasks'][number]];
  id = task.id;
  const rows = Array.from({ length: 5 }, () => ({ taskId: task.id, authorId: f.ada.id, body: CONTROL.repeat(4000) }));
  await app.transactor.transact((tx) => tx.insert(comments).values(rows));
});
afterAll(() => app?.close());

const ask = (document: string, variables: Record<string, unknown> = {}, headers = {}, to = app) =>
  to.ask(document, { as: f.ada.id, variables, headers });
const COMMENTS = 'query($id: ID, $n: Int) { task(id: $id) { comments(first: $n) { nodes { body } } } }';
const tooLarge = { code: 'RESPONSE_TOO_LARGE', limit: LIMIT };

describe('a response that is larger than the limit is refused', () => {
  test('and one that is not is answered', async () => {
    expect(dataOf(await ask(COMMENTS, { id, n: 3 })).task.comments.nodes).toHaveLength(3);
    const { status, data, errors } = await ask(COMMENTS, { id, n: 6 });
    expect([status, data, errors]).toMatchObject([400, undefined, [{ extensions: tooLarge }]]);
    expect(errors?.[0]?.message).toContain('fewer objects');
  });

  test.each([
    ['in a trace, which graphql-js makes', { 'x-cache-trace': '1' }],
    ['in a snapshot', { 'x-consistency': 'snapshot' }],
  ])('%s', async (_, headers) => {
    const { status, errors } = await ask(COMMENTS, { id, n: 6 }, headers);
    expect([status, errors]).toMatchObject([400, [{ extensions: tooLarge }]]);
  });

  test('beside a field that has failed', async () => {
    const document = `query($id: ID) { node(id: "x") { id } task(id: $id) { comments { nodes { body } } } }`;
    expect((await ask(document, { id })).errors).toMatchObject([{ extensions: tooLarge }]);
  });

  test('also where one object is in it again and again', async () => {
    const document =
      'query($ids: [ID!]!) { nodes(ids: $ids) { id ... on Task { comments(first: 2) { nodes { body } } } } }';
    expect(dataOf(await ask(document, { ids: [id] })).nodes).toHaveLength(1);
    expect((await ask(document, { ids: Array(30).fill(id) })).errors).toMatchObject([{ extensions: tooLarge }]);
  });

  test('a mutation has been carried out all the same, and the error says so', async () => {
    const document = `mutation($input: CreateTaskInput!) { createTask(input: $input) { task { ${Array.from({ length: 29 }, (_, i) => `a${i}: description`).join(' ')} } } }`;
    const input = { projectId: f.ops.id, title: 'Carried out', description: 'x'.repeat(4000) };
    const { status, errors } = await ask(document, { input });
    expect([status, errors]).toMatchObject([
      200,
      [{ message: expect.stringContaining('was executed'), extensions: tooLarge }],
    ]);
    const filter = { title: { eq: 'Carried out' } };
    const found = await ask('query($f: TaskFilter) { tasks(filter: $f) { totalCount } }', { f: filter });
    expect(dataOf(found).tasks.totalCount).toBe(1);
  });

  test('to the byte', async () => {
    const document = '{ projects { nodes { id key name } } }';
    const response = await app.server.inject({
      method: 'POST',
      url: '/graphql',
      headers: await headersFor({ as: f.ada.id }),
      payload: { query: document },
    });
    const bytes = response.rawPayload.length;
    for (const [maxResponseBytes, status] of [
      [bytes, 200],
      [bytes - 1, 400],
    ] as const) {
      const bounded = await testApp({ databaseUrl: app.databaseUrl, app: { maxResponseBytes } });
      try {
        expect((await ask(document, {}, {}, bounded)).status).toBe(status);
      } finally {
        await bounded.close();
      }
    }
  });

  test('an event of a subscription comes as an error, and the next one comes', async () => {
    const live = await liveApp({ databaseUrl: app.databaseUrl, group: app.group, app: { maxResponseBytes: LIMIT } });
    const client = subscriber(live, f.ada.id);
    try {
      const events = client.send(
        'subscription($id: ID) { taskChanged(taskId: $id) { task { title comments { nodes { body } } } } }',
        { id },
      );
      const small = await client.subscribe({ taskId: id });
      const update = 'mutation($input: UpdateTaskInput!) { updateTask(input: $input) { task { id } errors { code } } }';
      // The second subscription may begin later than the first, so writes go on until both have events.
      await eventually(async () => {
        await ask(update, { input: { id, title: `Changed at ${Date.now()}` } });
        expect(small.changes.length).toBeGreaterThan(0);
        expect(events.errors.length).toBeGreaterThan(1);
      });
      expect([events.errors[0], events.ended]).toMatchObject([{ extensions: tooLarge }, false]);
    } finally {
      await client.close();
      await live.close();
    }
  });
});

describe('sizes', () => {
  test('of texts are what JSON writes, to the byte', () => {
    const texts = [
      '',
      'plain',
      '"\\\b\t\n\f\r\u0007\u001f\u007f',
      'é߿ࠀ\uffff',
      '😀',
      '\ud800',
      '\udc00x',
      '\ud800\ud800\udc00',
      'x\ud83d',
    ];
    for (const text of texts) {
      const comma = 1;
      expect(bytesOf(text, 1000)).toBe(Buffer.byteLength(JSON.stringify(text)) + comma);
    }
  });

  test('of results are what JSON writes, or a little more', () => {
    const values = [
      { a: 'text', b: null, c: true, d: -12.5, e: [1, 2, { f: '' }], g: { h: ['x', 'y'] } },
      { long: `${CONTROL}"\\\n`.repeat(2000), emoji: '😀'.repeat(3000), plain: 'x'.repeat(9000) },
    ];
    for (const value of values) {
      const bytes = Buffer.byteLength(JSON.stringify(value));
      expect(bytesOf(value, 2 * bytes)).toBeGreaterThanOrEqual(bytes);
      expect(bytesOf(value, 1.5 * bytes)).toBeLessThan(1.5 * bytes);
      expect(bytesOf(value, bytes / 2)).toBeUndefined();
    }
  });

  test('escapes do not get past the limit by more than it again, however short the texts are', () => {
    const size = new ResponseSize(LIMIT);
    let bytes = 0;
    const fill = () => {
      for (;;) {
        size.addLeaf(CONTROL.repeat(10));
        bytes += JSON.stringify(CONTROL.repeat(10)).length;
      }
    };
    expect(fill).toThrow(ResponseTooLarge);
    expect(bytes).toBeLessThan(2 * LIMIT);
  });
});

test('equal ids of one request are one object, read once', async () => {
  const other = await testApp({ databaseUrl: app.databaseUrl });
  try {
    await other.ask('{ viewer { id } projects { nodes { id } } }', { as: f.ada.id });
    other.reset();
    const ids = Array(100).fill(f.webTask.id);
    const { nodes } = dataOf(await ask('query($ids: [ID!]!) { nodes(ids: $ids) { id } }', { ids }, {}, other));
    expect(nodes).toEqual(ids.map((one) => ({ id: one })));
    expect(other.outcomes.filter(({ name }) => name === 'Task')).toHaveLength(1);
  } finally {
    await other.close();
  }
});

describe('responses that are not read', () => {
  const MIB = KIB * KIB;
  const STALL_MS = 1500;
  let live: LiveApp;
  beforeAll(async () => {
    live = await liveApp({ databaseUrl: app.databaseUrl, app: { maxUnreadBytes: 16 * MIB, unreadStallMs: STALL_MS } });
    const rows = Array.from({ length: 16 }, () => ({
      taskId: f.webTask.id,
      authorId: f.ada.id,
      body: 'x'.repeat(64 * KIB),
    }));
    for (const row of rows) await app.transactor.transact((tx) => tx.insert(comments).values(row));
    for (const { id: taskId } of f.opsTasks.slice(0, 2)) {
      for (const row of rows) await app.transactor.transact((tx) => tx.insert(comments).values({ ...row, taskId }));
    }
  });
  afterAll(() => live?.close());

  /** 1 MiB each. */
  const bodyFor = (taskId: string, n = 0) =>
    JSON.stringify({
      query: `query($id: ID) { task(id: $id) { comments(first: 16) { nodes { body } } } } # ${n}`,
      variables: { id: taskId },
    });

  /** A connection that asks and reads nothing. */
  async function notReading(as: UserId, taskId: string): Promise<Socket & { ask(): void }> {
    const socket = connect((live.server.server.address() as AddressInfo).port, '127.0.0.1');
    socket.pause();
    socket.on('error', () => {}); // it is disconnected
    const authorization = (await headersFor({ as }))['authorization'];
    let n = 0;
    const ask = () => {
      const body = bodyFor(taskId, ++n);
      const head = `POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nauthorization: ${authorization}`;
      socket.write(`${head}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
    };
    return Object.assign(socket, { ask });
  }

  async function askAndRead(as: UserId, body: string) {
    const headers = { ...(await headersFor({ as })), 'content-type': 'application/json' };
    const response = await fetch(live.url, { method: 'POST', headers, body });
    const { errors } = (await response.json()) as { errors?: { extensions: { code: string } }[] };
    return {
      status: response.status,
      retryAfter: response.headers.get('retry-after'),
      code: errors?.[0]?.extensions.code,
    };
  }

  test('their viewer gets no more of them until it is disconnected; another viewer is answered', async () => {
    const [task] = f.opsTasks as [Fixture['opsTasks'][number]];
    const socket = await notReading(f.bob.id, task.id);
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    const large = bodyFor(task.id, 1000);
    // What the network takes counts no more, so there must be more than it takes.
    await eventually(async () => {
      for (let n = 0; n < 4; n++) socket.ask();
      const { status, code, retryAfter } = await askAndRead(f.bob.id, large);
      expect([status, code, retryAfter]).toEqual([503, 'TOO_MANY_UNREAD_RESPONSES', '2']);
      await new Promise((resolve) => setTimeout(resolve, 100));
      expect((await askAndRead(f.bob.id, large)).status).toBe(503);
    });
    expect((await askAndRead(f.ada.id, large)).status).toBe(200);
    // A paused socket notices its end when it reads again.
    await new Promise((resolve) => setTimeout(resolve, STALL_MS));
    await eventually(async () => expect((await askAndRead(f.bob.id, large)).status).toBe(200));
    socket.resume();
    await closed;
  });

  test('are let go with their connection, also those behind the one that is being sent', async () => {
    const [task] = f.opsTasks as [Fixture['opsTasks'][number]];
    const large = bodyFor(task.id, 3000);
    expect((await askAndRead(f.bob.id, large)).status).toBe(200);
    const socket = await notReading(f.bob.id, task.id);
    await eventually(async () => {
      for (let n = 0; n < 4; n++) socket.ask();
      expect((await askAndRead(f.bob.id, large)).status).toBe(503);
      await new Promise((resolve) => setTimeout(resolve, 100));
      expect((await askAndRead(f.bob.id, large)).status).toBe(503);
    });
    socket.destroy();
    await eventually(async () => expect((await askAndRead(f.bob.id, large)).status).toBe(200));
  });

  test('a client that reads slowly, and reads, is not disconnected', async () => {
    const body = bodyFor(f.webTask.id, 2000);
    const headers = { ...(await headersFor({ as: f.ada.id })), 'content-type': 'application/json' };
    const bytes = await new Promise<number>((resolve, reject) => {
      let read = 0;
      const sent = request(live.url, { method: 'POST', headers, agent: false }, (response) => {
        response.on('data', (chunk: Buffer) => {
          read += chunk.length;
          response.pause();
          setTimeout(() => response.resume(), 20);
        });
        response.once('end', () => resolve(read));
        response.once('error', reject);
      });
      sent.once('error', reject);
      sent.end(body);
    });
    expect(bytes).toBeGreaterThan(MIB);
  });
});
