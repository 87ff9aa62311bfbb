/** Whole answers kept by a process: served without an execution, and never a moment longer than they are true. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { UserId } from '../../src/db/ids.js';
import { signToken, tokenVerifier } from '../../src/server/auth/tokens.js';
import { MINUTE } from '../../src/std/time.js';
import { type AskOptions, dataOf, TOKENS } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { type LiveApp, liveApp } from '../support/live.js';
import { redisUrl } from '../support/servers.js';

const NEAR = { nearCacheBytes: 16 * 1024 * 1024 };
const LIST = `query List($first: Int!) { tasks(first: $first) { totalCount nodes { id title version status assignee { handle }
  labels { nodes { name } } } } }`;
const ONE = `query One($id: ID!) { task(id: $id) { title version description } }`;
const RENAME = `mutation($i: UpdateTaskInput!) { updateTask(input: $i) { task { version } errors { message } } }`;

let app: LiveApp;
/** Another process on the same database and Redis. */
let other: LiveApp;
let f: Fixture;

beforeAll(async () => {
  app = await liveApp(NEAR);
  other = await liveApp({ ...NEAR, databaseUrl: app.databaseUrl, group: app.group });
  f = await fixture(app, 5);
});
afterAll(async () => {
  await other?.close();
  await app?.close();
});
beforeEach(() => {
  app.reset();
  other.reset();
});

const SANDBOX = 'https://studio.apollographql.com';
async function post(of: LiveApp, body: object, headers: Record<string, string> = {}) {
  const type = { 'content-type': 'application/json' };
  const authorization = `Bearer ${await of.tokenOf(f.ada.id)}`;
  return fetch(of.url, { method: 'POST', headers: { ...type, authorization, ...headers }, body: JSON.stringify(body) });
}

const names = (of: LiveApp) => of.outcomes.map(({ name, kind }) => `${name} ${kind}`);
/**
 * Asked until it is known: the first look into the log only tells where it is, and the release of a write that was answered may still be on
 * its way. On a busy machine Redis may count as lost for a moment.
 */
async function known(document: string, options: AskOptions, of = app) {
  const untilMs = performance.now() + 10_000;
  for (let attempt = 1; ; attempt++) {
    of.reset();
    const answer = await of.ask(document, options);
    if (names(of)[0] !== 'Answer near-hit' && performance.now() < untilMs) {
      if (attempt > 20) await new Promise((resolve) => setTimeout(resolve, 50));
      continue;
    }
    expect(names(of)).toEqual(['Answer near-hit']);
    of.reset();
    return answer;
  }
}
const rename = async (title: string, task = 0, of = other) => {
  const variables = { i: { id: f.opsTasks[task]?.id, title } };
  expect(dataOf(await of.ask(RENAME, { as: f.ada.id, variables })).updateTask.errors).toEqual([]);
};

describe('an answer that is known', () => {
  test('costs one read of the log, no SQL and no execution, and is the same to the byte', async () => {
    const ask = async () => {
      const response = await post(app, { query: LIST, variables: { first: 3 } }, { origin: SANDBOX });
      return { body: await response.text(), headers: Object.fromEntries(response.headers) };
    };
    const first = await ask();
    await ask();
    app.reset();
    const last = await ask();
    expect(names(app)).toEqual(['Answer near-hit']);
    expect(app.counts).toMatchObject({ reads: 1, fills: 0, statements: [] });
    expect(last.body).toBe(first.body);
    const told = ({ headers }: typeof first) => ({ ...headers, date: '', 'server-timing': '', 'x-request-id': '' });
    expect(told(last)).toEqual(told(first));
    expect(last.headers).toMatchObject({
      'access-control-allow-origin': SANDBOX,
      'cache-control': 'no-store',
      'content-type': 'application/json; charset=utf-8',
      'x-content-type-options': 'nosniff',
    });
    expect(last.headers['server-timing']).toMatch(/^total;dur=/);
    expect(last.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
    expect(last.headers['x-request-id']).not.toBe(first.headers['x-request-id']);
  });

  test('is one for each viewer, document, set of variables, operation name and media type', async () => {
    const options = { as: f.ada.id, variables: { first: 2 } };
    await known(LIST, options);
    const two = `${LIST} query Other { viewer { handle } }`;
    for (const [document, changed] of [
      [LIST, { ...options, as: f.bob.id }],
      [LIST, { ...options, variables: { first: 3 } }],
      [`${LIST} `, options],
      [LIST, { ...options, headers: { accept: 'application/json' } }],
      [LIST, { ...options, headers: { origin: SANDBOX } }],
      [LIST, { ...options, trace: true }],
      [LIST, { ...options, headers: { 'x-consistency': 'snapshot' } }],
    ] as const) {
      app.reset();
      await app.ask(document, changed);
      expect(names(app)).not.toContain('Answer near-hit');
    }
    const named = async (operationName: string) =>
      (await post(app, { query: two, operationName, variables: { first: 2 } })).json();
    for (let i = 0; i < 3; i++) {
      expect((await named('List')).data).toHaveProperty('tasks');
      expect((await named('Other')).data).toHaveProperty('viewer');
    }
  });

  test('is found by the digest of a registered document, and registering one is still done', async () => {
    const query = '{ viewer { handle name } }';
    const persistedQuery = { version: 1, sha256Hash: createHash('sha256').update(query).digest('hex') };
    const ask = async (payload: object) => (await post(app, payload)).json();
    await known(query, { as: f.ada.id });
    const named = { extensions: { persistedQuery } };
    expect((await ask(named)).errors[0].extensions.code).toBe('PERSISTED_QUERY_NOT_FOUND');
    expect((await ask({ query, ...named })).data.viewer.handle).toBe('ada');
    await ask(named);
    app.reset();
    expect((await ask(named)).data.viewer.handle).toBe('ada');
    expect(names(app)).toEqual(['Answer near-hit']);
    const wrong = { query: '{ viewer { name } }', ...named };
    expect((await ask(wrong)).errors[0].message).toMatch(/sha/i);
  });
});

describe('an answer is gone', () => {
  test('the moment another process has written what is in it, and stays when something else was written', async () => {
    const about = (task: number) => ({ as: f.ada.id, variables: { id: f.opsTasks[task]?.id as string } });
    const [mine, theirs] = [about(0), about(1)];
    for (let round = 0; round < 5; round++) {
      await known(ONE, mine);
      await known(ONE, theirs);
      await rename(`Renamed ${round}`);
      expect(dataOf(await app.ask(ONE, mine)).task.title).toBe(`Renamed ${round}`);
      app.reset();
      await app.ask(ONE, theirs);
      expect(names(app)).toEqual(['Answer near-hit']);
    }
  });

  test('when a list gains or loses a member that was not in it', async () => {
    const options = { as: f.ada.id, variables: { first: 2 } };
    const before = dataOf(await known(LIST, options)).tasks;
    const create = `mutation($p: ID!) { createTask(input: { projectId: $p, title: "Another" }) { task { id } } }`;
    const { createTask } = dataOf(await other.ask(create, { as: f.ada.id, variables: { p: f.ops.id } }));
    const after = dataOf(await app.ask(LIST, options)).tasks;
    expect([after.totalCount, after.nodes[0].id]).toEqual([before.totalCount + 1, createTask.task.id]);
    await known(LIST, options);
    const remove = `mutation($id: ID!) { deleteTask(input: { id: $id }) { deletedTaskId } }`;
    await other.ask(remove, { as: f.ada.id, variables: { id: createTask.task.id } });
    expect(dataOf(await app.ask(LIST, options)).tasks).toEqual(before);
  });

  test('when what it says is missing appears', async () => {
    const query = `{ task(identifier: "OPS-99") { title } }`;
    expect(dataOf(await known(query, { as: f.ada.id }))).toEqual({ task: null });
    await app.db.write.execute(
      `insert into tasks (id, project_id, number, title, creator_id, status, priority)
       select gen_random_uuid(), project_id, 99, 'Here', creator_id, 'TODO', 'NONE' from tasks where number = 1 and project_id in (select id from projects where key = 'OPS')`,
    );
    await vi.waitFor(async () => expect(dataOf(await app.ask(query, { as: f.ada.id })).task?.title).toBe('Here'), {
      timeout: 5000,
    });
    await app.db.write.execute(`delete from tasks where number = 99`);
  });

  test('with the membership of its viewer, on every process', async () => {
    const options = { as: f.bob.id, variables: { first: 5 } };
    const remove = `mutation($i: RemoveMemberInput!) { removeMember(input: $i) { errors { message } } }`;
    const add = `mutation($i: AddMemberInput!) { addMember(input: $i) { errors { message } } }`;
    const member = { projectId: f.ops.id, userId: f.bob.id };
    for (let round = 0; round < 3; round++) {
      expect(dataOf(await known(LIST, options)).tasks.totalCount).toBeGreaterThan(0);
      await known(LIST, options, other);
      expect(dataOf(await other.ask(remove, { as: f.ada.id, variables: { i: member } })).removeMember.errors).toEqual(
        [],
      );
      for (const process of [app, other]) {
        const seen = dataOf(await process.ask(LIST, options)).tasks.nodes.map(({ id }: { id: string }) => id);
        expect(seen.filter((id: string) => f.opsTasks.some((task) => task.id === id))).toEqual([]);
      }
      const back = { ...member, role: 'MEMBER' };
      expect(dataOf(await other.ask(add, { as: f.ada.id, variables: { i: back } })).addMember.errors).toEqual([]);
    }
  });

  test('by plain SQL within two seconds', async () => {
    const options = { as: f.ada.id, variables: { id: f.opsTasks[2]?.id as string } };
    await known(ONE, options);
    await app.db.write.execute(`update tasks set title = 'By hand' where number = 3`);
    const seen = async () => expect(dataOf(await app.ask(ONE, options)).task.title).toBe('By hand');
    await vi.waitFor(seen, { timeout: 2000, interval: 20 });
  });

  test('with everything that Redis holds', async () => {
    const options = { as: f.ada.id, variables: { first: 4 } };
    await known(LIST, options);
    const redis = new Redis(redisUrl());
    const keys = await redis.keys(`*{${app.group}}*`);
    await redis.del(keys);
    redis.disconnect();
    app.reset();
    await app.ask(LIST, options);
    expect(names(app)).not.toContain('Answer near-hit');
    await vi.waitFor(() => known(LIST, options), { timeout: 10_000 });
  });

  test('with the minute, when it speaks of now', async () => {
    const query = `{ tasks(filter: { updatedAt: { gt: "-P1D" } }) { totalCount } }`;
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - (Date.now() % MINUTE) + 50_000 });
    try {
      await known(query, { as: f.ada.id });
      vi.setSystemTime(Date.now() + 9_999);
      app.reset();
      await app.ask(query, { as: f.ada.id });
      expect(names(app)).toEqual(['Answer near-hit']);
      vi.setSystemTime(Date.now() + 1);
      app.reset();
      await app.ask(query, { as: f.ada.id });
      expect(names(app)).not.toContain('Answer near-hit');
    } finally {
      vi.useRealTimers();
    }
  });
});

describe('never kept', () => {
  async function isNeverKnown(document: string, options: AskOptions, of = app) {
    for (let i = 0; i < 4; i++) await of.ask(document, options);
    expect(names(of)).not.toContain('Answer near-hit');
  }

  test.each([
    ['with an error', '{ tasks(first: 101) { totalCount } viewer { handle } }'],
    [
      'of a mutation',
      'mutation { completeTask(input: { id: "task_01h455vb4pex5vsknk084sn02q" }) { errors { message } } }',
    ],
  ])('is an answer %s', async (_, document) => {
    await isNeverKnown(document, { as: f.ada.id });
  });

  test('is what nobody asks for who is known', async () => {
    await isNeverKnown('{ __schema { queryType { name } } }', {});
    const { status } = await app.ask('{ viewer { handle } }');
    expect(status).toBe(401);
  });

  test('is what tells of the request, the server or its operators', async () => {
    const token = await signTokenWith('cache:admin', f.ada.id);
    const headers = { authorization: `Bearer ${token}` };
    await isNeverKnown('{ cacheStatistics { name } }', { headers });
    const limited = await liveApp({
      ...NEAR,
      databaseUrl: app.databaseUrl,
      app: { rateLimit: { points: 1000, seconds: 60 } },
    });
    try {
      await isNeverKnown('{ viewer { handle } rateLimit { remaining } }', { as: f.ada.id }, limited);
    } finally {
      await limited.close();
    }
  });
});

describe('a known answer is refused', () => {
  afterEach(() => vi.useRealTimers());

  test('to a token that has ended, or is none', async () => {
    const options = { variables: { first: 1 } };
    const token = await signToken(TOKENS, f.ada.id, '1h');
    const as = (text: string) => ({ ...options, headers: { authorization: `Bearer ${text}` } });
    await known(LIST, as(token));
    expect((await app.ask(LIST, as(`${token.slice(0, -2)}xx`))).status).toBe(401);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 2 * 60 * MINUTE });
    expect((await app.ask(LIST, as(token))).status).toBe(401);
  });

  test('before its token is looked at, to an address that has no points left; and a token is looked at once', async () => {
    const looked: string[] = [];
    const verifyToken = async (token: string) => {
      looked.push(token);
      return tokenVerifier(TOKENS)(token);
    };
    const rateLimit = { points: 1, seconds: 60 }; // of the address 20
    const limited = await liveApp({ ...NEAR, databaseUrl: app.databaseUrl, app: { rateLimit, verifyToken } });
    try {
      const statuses = [];
      for (let i = 0; i < 30; i++) {
        const response = await limited.ask('{ viewer { handle } }', { headers: { authorization: `Bearer none.${i}` } });
        statuses.push(response.status);
      }
      expect(statuses.filter((status) => status === 401)).toHaveLength(20);
      expect(statuses.slice(20)).toEqual(Array.from({ length: 10 }, () => 429));
      expect(looked).toEqual(Array.from({ length: 20 }, (_, i) => `none.${i}`));
    } finally {
      await limited.close();
    }
  });

  test('to who has no points left, and costs one, whatever its operation costs', async () => {
    const limited = await liveApp({
      ...NEAR,
      databaseUrl: app.databaseUrl,
      app: { rateLimit: { points: 10, seconds: 60 } },
    });
    try {
      const ask = () => limited.ask('{ viewer { handle } projects(first: 1) { nodes { key } } }', { as: f.ada.id });
      const statuses = [];
      for (let i = 0; i < 10; i++) statuses.push((await ask()).status);
      // It costs 3 where it runs: three of these would be all.
      expect(statuses.filter((status) => status === 200).length).toBeGreaterThan(4);
      expect(statuses.at(-1)).toBe(429);
      expect(names(limited)).toContain('Answer near-hit');
    } finally {
      await limited.close();
    }
  });
});

test('two processes under parallel writes and reads never show less than was acknowledged', async () => {
  const id = f.opsTasks[3]?.id as string;
  const options = { as: f.ada.id, variables: { id } };
  let acknowledged = 0;
  let reads = 0;
  const known = () => [app, other].some((of) => names(of).includes('Answer near-hit'));
  const writer = async (of: LiveApp) => {
    // At least 25, and until a reader has come between two of them: on a slow machine that takes longer pauses.
    for (let i = 0; i < 25 || (i < 250 && !known()); i++) {
      await new Promise((resolve) => setTimeout(resolve, (i % 10) * Math.ceil((i + 1) / 25)));
      const variables = { i: { id, description: `${Math.random()}` } };
      const { updateTask } = dataOf(await of.ask(RENAME, { as: f.ada.id, variables }));
      acknowledged = Math.max(acknowledged, updateTask.task.version);
    }
  };
  const writing = Promise.all([writer(app), writer(other)]).then(() => 'done');
  const reader = async (of: LiveApp) => {
    for (let over = false; !over; ) {
      over = (await Promise.race([writing, Promise.resolve('more')])) === 'done';
      const before = acknowledged;
      const { task } = dataOf(await of.ask(ONE, options));
      expect(task.version).toBeGreaterThanOrEqual(before);
      reads++;
    }
  };
  await Promise.all([app, other, app, other].map(reader));
  expect(reads).toBeGreaterThan(50);
  expect(known()).toBe(true);
});

async function signTokenWith(scope: string, userId: UserId): Promise<string> {
  const { SignJWT } = await import('jose');
  return new SignJWT({ scope })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(userId)
    .setIssuer(TOKENS.issuer)
    .setAudience(TOKENS.audience)
    .setExpirationTime('1h')
    .sign(new TextEncoder().encode(TOKENS.tokens.secret));
}

describe('the front door lets through, as it came, what it does not answer', () => {
  /** Sends parts of a request's bytes one after the other, or does something between them; resolves with all that comes back until the connection ends. */
  async function raw(parts: readonly (string | Buffer | (() => Promise<unknown>))[], to = app): Promise<string> {
    const { port } = new URL(to.origin);
    const socket = connect(Number(port), '127.0.0.1');
    let answer = '';
    socket.setEncoding('utf8').on('data', (text: string) => {
      answer += text;
    });
    await once(socket, 'connect');
    for (const part of parts) {
      if (typeof part === 'function') await part();
      else socket.write(part);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await once(socket, 'close');
    return answer;
  }
  const head = async (bytes: number, extra = '') =>
    `POST /graphql HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${await app.tokenOf(f.ada.id)}\r\n` +
    `content-type: application/json\r\ncontent-length: ${bytes}\r\nconnection: close\r\n${extra}\r\n`;

  test('a body that comes in parts, with characters cut in two', async () => {
    const title = 'é€😀'.repeat(20);
    await rename(title, 4);
    const query = `{ tasks(filter: { title: { eq: "${title}" } }) { nodes { title } } }`;
    const body = Buffer.from(JSON.stringify({ query }));
    for (let round = 0; round < 3; round++) {
      const parts = Array.from({ length: Math.ceil(body.length / 7) }, (_, i) => body.subarray(i * 7, i * 7 + 7));
      const answer = await raw([await head(body.length), ...parts]);
      expect(answer).toContain(`{"data":{"tasks":{"nodes":[{"title":"${title}"}]}}}`);
    }
    expect(names(app)).toContain('Answer near-hit');
  });

  test('a body that has come to its end before it is read, as where something else listens to the connection', async () => {
    const own = await liveApp({ ...NEAR, databaseUrl: app.databaseUrl });
    own.server.server.on('connection', (socket) => socket.on('data', () => {}));
    try {
      for (let i = 0; i < 3; i++) {
        expect(dataOf(await own.ask(`{ a${i}: viewer { handle } }`, { as: f.ada.id }))).toEqual({
          [`a${i}`]: { handle: 'ada' },
        });
        expect(dataOf(await own.ask('{ viewer { handle } }', { as: f.ada.id }))).toEqual({ viewer: { handle: 'ada' } });
      }
      expect(names(own)).toContain('Answer near-hit');
    } finally {
      await own.close();
    }
  });

  test('a body that takes its time: what was written meanwhile is shown, though the log was read since its head came', async () => {
    const body = JSON.stringify({ query: ONE, variables: { id: f.opsTasks[0]?.id } });
    for (let i = 0; i < 3; i++) await raw([await head(body.length), body]);
    expect(names(app)).toContain('Answer near-hit');
    const others = () => app.ask('{ viewer { name } }', { as: f.ada.id });
    const answer = await raw([
      ...[await head(body.length), body.slice(0, 10), others],
      ...[() => rename('Meanwhile'), body.slice(10)],
    ]);
    expect(answer).toContain('"title":"Meanwhile"');
  });

  test('a body that is no JSON, though with its type it reads like a request that is known', async () => {
    const body = JSON.stringify({ query: '{ viewer { handle name } }' });
    const send = async (type: string, text: string) => {
      const headers = { authorization: `Bearer ${await app.tokenOf(f.ada.id)}`, 'content-type': type };
      return fetch(app.url, { method: 'POST', headers, body: text });
    };
    for (let i = 0; i < 3; i++) expect((await send('application/json; charset=utf-8', body)).status).toBe(200);
    expect(names(app)).toContain('Answer near-hit');
    expect((await send('application/json;', `charset=utf-8 ${body}`)).status).toBe(400);
  });

  test('a body that is no JSON, and one that is too large for it', async () => {
    expect(await raw([await head(5), '{"qu:'])).toMatch(/^HTTP\/1.1 400 /);
    const query = `{ viewer { handle } } #${'x'.repeat(20_000)}`;
    for (let i = 0; i < 3; i++) expect((await (await post(app, { query })).json()).data.viewer.handle).toBe('ada');
  });

  test('a body of the largest size that may be known, in any parts, and one byte more', async () => {
    const bodyOf = (bytes: number) => JSON.stringify({ query: '{ viewer { name handle } }' }).padEnd(bytes);
    for (let round = 0; round < 3; round++) {
      const body = bodyOf(16 * 1024);
      for (const parts of [[body], [body.slice(0, 1), body.slice(1, 9000), body.slice(9000)]]) {
        expect(await raw([await head(body.length), ...parts])).toContain(
          '{"data":{"viewer":{"name":"ADA","handle":"ada"}}}',
        );
      }
    }
    expect(names(app)).toContain('Answer near-hit');
    app.reset();
    for (let round = 0; round < 3; round++) {
      expect(await raw([await head(16 * 1024 + 1), bodyOf(16 * 1024 + 1)])).toContain('"handle":"ada"');
    }
    expect(names(app)).not.toContain('Answer near-hit');
  });

  test.each([
    ['known', '{ viewer { handle } }', ''],
    ['unknown', '{ viewer { handle name } }', ''],
    ['none of its business', '{ viewer { handle } }', 'x-cache-trace: 1\r\n'],
  ])('a body that waits for leave to be sent, %s: it gets leave once', async (_, query, extra) => {
    const body = JSON.stringify({ query });
    for (let round = 0; round < 3; round++) {
      const answer = await raw([await head(body.length, `expect: 100-continue\r\n${extra}`), body]);
      expect(answer).toMatch(/^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 200 OK\r\n[\s\S]*"handle":"ada"/);
      expect(answer.match(/100 Continue/g)).toHaveLength(1);
    }
  });

  test('a request whose body is late: the time it took counts from its head', async () => {
    const late = () => new Promise((resolve) => setTimeout(resolve, 100));
    for (const query of [ONE, `{ viewer { handle name } } # ${Math.random()}`]) {
      const body = JSON.stringify({ query, variables: { id: f.opsTasks[1]?.id } });
      for (let round = 0; round < 3; round++) {
        const answer = await raw([await head(body.length), late, body]);
        expect(Number(/server-timing: total;dur=([\d.]+)/.exec(answer)?.[1])).toBeGreaterThan(90);
      }
    }
  });

  test('a mutation, each time', async () => {
    const versions = [];
    for (let i = 0; i < 3; i++) {
      const variables = { i: { id: f.opsTasks[4]?.id, title: `Again ${i}` } };
      versions.push((await (await post(app, { query: RENAME, variables })).json()).data.updateTask.task.version);
    }
    expect(versions).toEqual([versions[0], versions[0] + 1, versions[0] + 2]);
  });

  test.each([
    ['known', ONE, ''],
    ['unknown', '{ viewer { handle name } }', ''],
    ['none of its business', ONE, 'x-cache-trace: 1\r\n'],
  ])(
    'a request that is under way as the server closes, %s: it is answered, and its connection ends',
    async (_, query, extra) => {
      const own = await liveApp({ ...NEAR, databaseUrl: app.databaseUrl });
      const body = JSON.stringify({ query, variables: { id: f.opsTasks[1]?.id } });
      const parts = [(await head(body.length, extra)).replace('connection: close\r\n', ''), body.slice(0, 9)];
      for (let i = 0; i < 3; i++) await raw([await head(body.length), body], own);
      let closed: Promise<void> | undefined;
      const close = async () => {
        await own.ask('{ viewer { name } }', { as: f.ada.id }); // later than those parts
        closed = own.close();
      };
      const answer = await raw([...parts, close, body.slice(9)], own);
      expect(answer).toMatch(/^HTTP\/1.1 200 [\s\S]*connection: close[\s\S]*"data":/i);
      await closed;
    },
  );

  test('requests that do not wait for each other, each answered in its turn', async () => {
    const queries = ['{ viewer { handle } }', '{ viewer { name } }', '{ viewer { handle } }', '{ viewer { id } }'];
    const bodies = queries.map((query) => JSON.stringify({ query }));
    for (let round = 0; round < 3; round++) {
      const heads = await Promise.all(bodies.map(({ length }) => head(length)));
      const parts = bodies.map((body, i) => (i < 3 ? heads[i]?.replace('connection: close\r\n', '') : heads[i]) + body);
      const answers = (await raw([parts.join('')])).match(/\{"data".*\}/g);
      expect(answers).toEqual(
        [{ handle: 'ada' }, { name: 'ADA' }, { handle: 'ada' }, { id: f.ada.id }].map((viewer) =>
          JSON.stringify({ data: { viewer } }),
        ),
      );
    }
    expect(names(app)).toContain('Answer near-hit');
  });

  test('many requests on one connection, known and unknown in turn', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const ask = async (query: string) => {
      const sent = request(app.url, {
        method: 'POST',
        agent,
        headers: { 'content-type': 'application/json', authorization: `Bearer ${await app.tokenOf(f.ada.id)}` },
      });
      sent.setHeader('content-length', Buffer.byteLength(JSON.stringify({ query })));
      sent.end(JSON.stringify({ query }));
      const [response] = (await once(sent, 'response')) as [IncomingMessage];
      let text = '';
      for await (const part of response.setEncoding('utf8')) text += part;
      return JSON.parse(text).data;
    };
    for (let i = 0; i < 20; i++) {
      expect(await ask('{ viewer { handle } }')).toEqual({ viewer: { handle: 'ada' } });
      expect(await ask(`{ a${i}: viewer { handle } }`)).toEqual({ [`a${i}`]: { handle: 'ada' } });
    }
    agent.destroy();
    expect(names(app).filter((name) => name === 'Answer near-hit').length).toBeGreaterThan(10);
  });
});
