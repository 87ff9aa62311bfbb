/**
 * A request whose document is known is answered byte for byte and header for header as Apollo's way answers it, and is charged and run
 * once: two servers, one of which sends everything through Apollo, each on a copy of one database. `FUZZ_SEED` for the same again.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, type MockInstance, test, vi } from 'vitest';
import type { AppOptions } from '../../src/app.js';
import type { UserId } from '../../src/db/ids.js';
import { signToken } from '../../src/server/auth/tokens.js';
import { KnownOperations } from '../../src/server/operations/known-operations.js';
import { TOKENS, testApp } from '../support/app.js';
import { corpus } from '../support/corpus.js';
import { createDatabase, createEmptyDatabase, type TestDatabase } from '../support/database.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { Fuzz } from '../support/fuzz.js';
import { type LiveApp, liveApp } from '../support/live.js';

const SEED = Number(process.env.FUZZ_SEED || Date.now() % 1_000_000);
const RANDOM_REQUESTS = Number(process.env.FUZZ_CASES || 300);
const JSON_TYPE = { 'content-type': 'application/json' };
const ORIGIN = 'https://studio.apollographql.com';
/** Of the moment, in every response. */
const OF_THE_MOMENT = ['date', 'server-timing', 'x-request-id', 'ratelimit-reset', 'retry-after'];

interface Sent {
  readonly body: string;
  readonly headers?: Record<string, string>;
}

interface Response {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
}

let template: TestDatabase;
let f: Fixture;
let answered: MockInstance<KnownOperations['answer']>;
const agent = new Agent({ keepAlive: true });

beforeAll(async () => {
  template = await createDatabase();
  const app = await testApp({ databaseUrl: template.url });
  f = await fixture(app);
  await app.close();
  answered = vi.spyOn(KnownOperations.prototype, 'answer');
});
afterAll(async () => {
  agent.destroy();
  answered?.mockRestore();
  await template?.drop();
});

/** Both servers: `apollo` sends everything through Apollo. */
interface Pair {
  readonly known: LiveApp;
  readonly apollo: LiveApp;
  close(): Promise<void>;
}

async function pairOf(own: Partial<AppOptions> = {}): Promise<Pair> {
  const options = { publicUrl: 'https://tasks.example', ...own };
  const copies = [await copyOfTemplate(), await copyOfTemplate()] as const;
  const [known, apollo] = [
    await liveApp({ databaseUrl: copies[0].url, app: options }),
    await liveApp({ databaseUrl: copies[1].url, app: { ...options, knownOperations: false } }),
  ];
  const close = async () => {
    await known.close();
    await apollo.close();
    for (const copy of copies) await copy.drop();
  };
  return { known, apollo, close };
}

const copyOfTemplate = () => createEmptyDatabase({ clause: `template ${template.name}` });

async function send({ url }: LiveApp, { body, headers }: Sent): Promise<Response> {
  const sending = httpRequest(url, { method: 'POST', agent, headers: { ...JSON_TYPE, ...headers } });
  sending.end(body);
  const [response] = (await once(sending, 'response')) as [IncomingMessage];
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += chunk;
  const of = Object.entries(response.headers).filter(([name]) => !OF_THE_MOMENT.includes(name));
  return { status: response.statusCode ?? 0, headers: Object.fromEntries(of), text };
}

const tokenOf = async (user: UserId) => ({ authorization: `Bearer ${await signToken(TOKENS, user, '6h')}` });

/** Sent to both, twice: the first time a document is new. */
async function expectSame({ known, apollo }: Pair, sent: Sent, form = (text: string) => text): Promise<Response> {
  let last: Response | undefined;
  for (let time = 0; time < 2; time++) {
    const [expected, got] = (await Promise.all([send(apollo, sent), send(known, sent)])).map((response) => ({
      ...response,
      headers: { ...response.headers, 'content-length': undefined },
      text: form(response.text),
    }));
    expect(got, sent.body.slice(0, 2000)).toEqual(expected);
    last = got;
  }
  return last as Response;
}

/** How many of the requests since it was called last were answered without Apollo. */
async function countAnswered(): Promise<number> {
  const results = await Promise.all(answered.mock.results.map(({ value }) => value as Promise<boolean>));
  answered.mockClear();
  return results.filter(Boolean).length;
}

/** What a write makes differs between two databases: ids, instants, durations, cursors, the ids of requests that failed. */
function withoutNews(text: string): string {
  const known = new Set(JSON.stringify(f).match(/\w+_[0-9a-z]{26}/g));
  return text
    .replaceAll(/\b[a-z]+_[0-9a-z]{26}\b/g, (id) => (known.has(id) ? id : 'new id'))
    .replaceAll(/"\d{4}-\d\d-\d\dT[\d:.]+Z"/g, (at) =>
      Math.abs(Date.parse(JSON.parse(at)) - Date.now()) < 3_600_000 ? '"now"' : at,
    )
    .replaceAll(/(?<=:)\d+(\.\d+(e-\d+)?|e-\d+)/g, '"duration"') // medianCycleTimeHours, under any alias
    .replaceAll(/"Wz[\w-]{20,}"/g, '"cursor"') // a JSON array in base64url, under any alias
    .replaceAll(/"requestId":"[^"]+"/g, '"requestId":"id"');
}

describe('the same response as by Apollo', () => {
  let pair: Pair;
  beforeAll(async () => {
    pair = await pairOf();
  });
  afterAll(() => pair?.close());
  beforeEach(() => void answered.mockClear());

  test('to the queries of other tests, of several viewers', async () => {
    for (const user of [f.ada, f.eve]) {
      const headers = await tokenOf(user.id);
      for (const operation of corpus(f)) await expectSame(pair, { body: JSON.stringify(operation), headers });
    }
    expect(await countAnswered()).toBeGreaterThan(200);
  });

  test('for each origin and media type', async () => {
    const body = JSON.stringify({ query: '{ viewer { handle } }' });
    const token = await tokenOf(f.ada.id);
    const accepts = ['*/*', 'application/json', 'application/graphql-response+json', 'text/html', 'a b'];
    for (const accept of accepts) {
      for (const origin of [ORIGIN, 'https://elsewhere.example']) {
        await expectSame(pair, { body, headers: { ...token, accept, origin } });
      }
      await expectSame(pair, {
        body,
        headers: { ...token, accept, 'content-type': 'application/json; charset=utf-8' },
      });
    }
    expect(await countAnswered()).toBe(9);
  });

  test('to requests that are refused or fail', async () => {
    const token = await tokenOf(f.ada.id);
    const one = '{ viewer { handle } }';
    const two =
      'query A { viewer { handle } } query B($id: ID!) { task(id: $id) { title } } subscription S { taskChanged { kind } }';
    const bodies: object[] = [
      { query: one },
      { query: two },
      { query: two, operationName: 'A' },
      { query: two, operationName: 'B', variables: { id: f.opsTasks[0]?.id } },
      { query: two, operationName: 'B' },
      { query: two, operationName: 'S' },
      { query: two, operationName: 'X' },
      { query: one, operationName: '' },
      { query: one, operationName: null, variables: null, extensions: null },
      { query: one, operationName: 1 },
      { query: one, variables: [] },
      { query: one, variables: 'x' },
      { query: one, extensions: [] },
      { query: one, extensions: {} },
      { query: one, documentId: 'x' },
      { query: 'query($ids: [ID!]!) { nodes(ids: $ids) { id } }', variables: { ids: Array(101).fill(f.ops.id) } },
      {
        query: 'query($n: Int!) { tasks(first: $n) { nodes { comments(first: $n) { nodes { id } } } } }',
        variables: { n: 100 },
      },
      { query: 'query($id: ID!) { task(id: $id) { id } }', variables: { id: 'nothing' } },
      { query: '{ project(key: "NONE") { id } task(id: "x") { id } }' },
    ];
    for (const headers of [
      token,
      {},
      { authorization: 'Bearer x' },
      await tokenOf('user_7zzzzzzzzzzzzzzzzzzzzzzzzz' as UserId),
    ]) {
      for (const body of bodies) await expectSame(pair, { body: JSON.stringify(body), headers }, withoutNews);
    }
    const spoilt = [
      `{"query":"${one}","__proto__":{"x":1}}`,
      `{"query":"${one}"`,
      `[]`,
      `\ufeff{"query":"${one}"}`,
      '"x"',
    ];
    for (const body of spoilt) await expectSame(pair, { body, headers: token });
    expect(await countAnswered()).toBeGreaterThan(5);
  });

  test('to documents that clients name', async () => {
    const query = '{ viewer { id name } }';
    const sha256Hash = createHash('sha256').update(query).digest('hex');
    const name = (version: unknown, hash: unknown = sha256Hash) => ({ persistedQuery: { version, sha256Hash: hash } });
    const headers = await tokenOf(f.ada.id);
    const bodies = [
      { extensions: name(1) },
      { query, extensions: name(1) },
      { extensions: name(1) },
      { extensions: name(2) },
      { extensions: name(1, 'toString') },
      { query: '', extensions: name(1) },
    ];
    for (const body of bodies) await expectSame(pair, { body: JSON.stringify(body), headers });
    expect(await countAnswered()).toBe(2);
  });

  test(`to ${RANDOM_REQUESTS} requests at random, writes among them, seed ${SEED}`, async () => {
    const ids = [f.ada, f.bob, f.eve, f.ops, f.web, f.bug, ...f.opsTasks.slice(0, 3)].map(({ id }) => id as string);
    const documents = corpus(f).map(({ query }) => query);
    const fuzz = new Fuzz(SEED, { schema: pair.known.schema, documents, known: [...ids, 'OPS-1', 'OPS', 'ada'] });
    const token = await tokenOf(f.ada.id);
    for (let sent = 0; sent < RANDOM_REQUESTS; ) {
      const { method, payload: body = '', headers } = fuzz.next();
      // Traces tell the time. What is longer is not looked at.
      if (method === 'GET' || body.length > 16_384 || headers['x-cache-trace'] !== undefined) continue;
      sent++;
      await expectSame(pair, { body, headers: { ...token, ...headers } }, withoutNews);
    }
    expect(await countAnswered()).toBeGreaterThan(RANDOM_REQUESTS / 20);
  });
});

describe('an operation of a known document', () => {
  const CREATE = 'mutation($i: CreateTaskInput!) { createTask(input: $i) { task { identifier } errors { code } } }';
  const PAGES =
    'query($n: Int!) { tasks(first: $n) { nodes { comments(first: $n) { nodes { author { assignedTasks(first: $n) { nodes { id } } } } } } } }';
  const creating = (title: string) => ({ query: CREATE, variables: { i: { projectId: f.ops.id, title } } });

  test('is charged as by Apollo, once, also when it is refused or fails', async () => {
    const pair = await pairOf({ rateLimit: { points: 300, seconds: 3600 } });
    answered.mockClear();
    try {
      const headers = await tokenOf(f.ada.id);
      const bodies = [
        { query: '{ tasks(first: 5) { nodes { id } } }' },
        { query: '{ task(id: "x") { id } }' },
        { query: PAGES, variables: { n: 100 } },
        creating('One'),
        creating(''),
      ];
      let last: Response | undefined;
      for (let round = 0; round < 20 && last?.status !== 429; round++) {
        for (const body of bodies) {
          const form = (text: string) => withoutNews(text).replace(/"resetAt":"[^"]+"/, '');
          last = await expectSame(pair, { body: JSON.stringify(body), headers }, form);
        }
      }
      expect(last?.status).toBe(429);
      expect(last?.headers['ratelimit-remaining']).toBeDefined();
      expect(await countAnswered()).toBeGreaterThan(5);
    } finally {
      await pair.close();
    }
  });

  test('is run once, also when its answer has errors: the numbers of tasks have no gaps', async () => {
    const pair = await pairOf();
    answered.mockClear();
    try {
      const headers = await tokenOf(f.ada.id);
      const failing = `mutation($i: CreateTaskInput!, $u: UpdateTaskInput!) {
        one: createTask(input: $i) { task { identifier } } two: updateTask(input: $u) { task { subtasks(first: 500) { totalCount } } } }`;
      const { variables } = creating('One');
      const bodies = [
        { query: '{ viewer { handle } }' }, // whose headers are recorded
        creating('One'),
        { query: failing, variables: { ...variables, u: { id: f.opsTasks[0]?.id, title: 'Renamed' } } },
        creating(''),
        creating('Two'),
      ];
      const responses: Response[] = [];
      for (const body of bodies) {
        responses.push(await expectSame(pair, { body: JSON.stringify(body), headers }, withoutNews));
      }
      const numbers = responses.map(({ text }) => Number(/OPS-(\d+)/.exec(text)?.[1]));
      expect(responses[2]?.text).toMatch(/^\{"errors":\[\{/);
      expect(numbers).toEqual([Number.NaN, 8, 10, Number.NaN, 12]);
      expect(await countAnswered()).toBeGreaterThan(3);
    } finally {
      await pair.close();
    }
  });
});
