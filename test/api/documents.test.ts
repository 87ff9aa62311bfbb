/** What happens before a document runs: who may have it read, how much it may cost to read, and what is counted. */
import type { IncomingMessage } from 'node:http';
import { request as httpRequest } from 'node:http';
import { type DocumentNode, parse } from 'graphql';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { UserId } from '../../src/db/ids.js';
import { comparisonsOf } from '../../src/graphql/comparisons.js';
import {
  MAX_ANONYMOUS_BODY_BYTES,
  MAX_BODY_VALUES,
  MAX_COMPARISONS,
  MAX_SELECTIONS,
} from '../../src/graphql/limits.js';
import { Documents } from '../../src/server/operations/documents.js';
import { TimeBudget } from '../../src/server/operations/time-budget.js';
import { Turns } from '../../src/server/operations/turns.js';
import { dataOf, headersFor, type TestApp, testApp } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { liveApp } from '../support/live.js';

let app: TestApp;
let f: Fixture;
beforeAll(async () => {
  app = await testApp();
  f = await fixture(app);
});
afterAll(() => app?.close());

const times = (n: number, text: (i: number) => string) => Array.from({ length: n }, (_, i) => text(i)).join(' ');
/** Takes some milliseconds to read, and is refused with one error: of its aliases. Another one for each `n`. */
const longInvalid = (n: number) => `{ viewer { ${times(400, (i) => `n${n}x${i}: name`)} } }`;
const send = async (payload: string | object, headers: Record<string, string> = {}, to: TestApp = app) => {
  const all = { accept: 'application/graphql-response+json', 'content-type': 'application/json', ...headers };
  const response = await to.server.inject({ method: 'POST', url: '/graphql', headers: all, payload });
  const { data, errors } = response.json() as { data?: unknown; errors?: { extensions: { code: string } }[] };
  return { status: response.statusCode, code: errors?.[0]?.extensions.code, data, text: response.body, response };
};
const as = async (user: UserId) => ({ authorization: (await headersFor({ as: user }))['authorization'] as string });

describe('fields that are selected again and again in one object', () => {
  /** n(n - 1) / 2 pairs of each of the three fields. */
  const repeated = (n: number) => `{ ${times(n, () => 'projects { nodes { id } }')} }`;
  const pairs = (document: string) => comparisonsOf(parse(document), MAX_SELECTIONS);

  test('are answered up to the limit, and refused above it', async () => {
    const n = Math.floor((1 + Math.sqrt(1 + (8 * MAX_COMPARISONS) / 3)) / 2);
    expect(pairs(repeated(n))).toBeLessThanOrEqual(MAX_COMPARISONS);
    expect(pairs(repeated(n + 1))).toBeGreaterThan(MAX_COMPARISONS);
    dataOf(await app.ask(repeated(n), { as: f.ada.id }));
    const { status, errors } = await app.ask(repeated(n + 1), { as: f.ada.id });
    const extensions = { code: 'GRAPHQL_VALIDATION_FAILED', argument: 'repetitions', limit: MAX_COMPARISONS };
    expect([status, errors]).toMatchObject([400, [{ extensions }]]);
    expect(errors).toHaveLength(1);
  });

  test('are counted through aliases, inline fragments and fragments, once for each use', () => {
    expect(pairs('{ viewer { id } viewer { id name } }')).toBe(2);
    expect(pairs('{ a: viewer { id } b: viewer { id } }')).toBe(0);
    expect(pairs('{ viewer { id ... { id } ... on User { id } } }')).toBe(3);
    expect(pairs('{ viewer { id ...F ...F } } fragment F on User { id }')).toBe(1);
    expect(pairs('{ viewer { ...F ...G } } fragment F on User { id } fragment G on User { id }')).toBe(1);
  });

  test('twenty fragments on one object that share five fields are answered', async () => {
    const names = ['id', 'title', 'status', 'priority', 'assignee { id name }'];
    const document = `{ task(identifier: "OPS-1") { ${times(20, (i) => `...F${i}`)} } } ${times(20, (i) => `fragment F${i} on Task { ${names.join(' ')} }`)}`;
    dataOf(await app.ask(document, { as: f.ada.id }));
  });

  test('are not hidden by fragments that make too many selections to count', () => {
    const doubling = times(14, (i) => `fragment D${i} on User { ...D${i + 1} ... { ...D${i + 1} } }`);
    const decoy = `query A { viewer { x: name ...D0 } } ${doubling} fragment D14 on User { name }`;
    const nested = times(
      13,
      (i) => `fragment N${i} on Task { a${i}: parent { ...N${i + 1} } b${i}: parent { ...N${i + 1} } }`,
    );
    const exponential = `query B { task(id: "x") { ...N0 } } ${nested} fragment N13 on Task { id }`;
    expect(pairs(`${decoy} ${exponential} query C ${repeated(200)}`)).toBeGreaterThan(MAX_COMPARISONS);
  });

  test('a fragment that is spread within itself is reported as such', async () => {
    const { errors } = await app.ask('{ task(identifier: "OPS-1") { ...A } } fragment A on Task { parent { ...A } }', {
      as: f.ada.id,
    });
    expect(errors).toMatchObject([{ message: expect.stringContaining('within itself') }]);
  });
});

describe('without a token', () => {
  test.each([
    ['a query', '{ viewer { id } }'],
    ['a document that does not parse', '{ viewer { id }'],
    ['one that does not parse and names introspection', '{ __typename'],
    ['one that is not valid', '{ nothing }'],
    ['a query beside introspection', '{ __typename viewer { id } }'],
    ['introspection and a second operation', 'query A { __typename } query B { viewer { id } }'],
    ['fragments alone', 'fragment F on Query { __typename }'],
    ['a mutation', 'mutation { __typename }'],
  ])('%s is refused before it is read', async (_, query) => {
    expect(await send({ query })).toMatchObject({ status: 401, code: 'UNAUTHENTICATED' });
  });

  test('a known document is refused, too', async () => {
    const query = '{ viewer { id } } # known';
    expect(await send({ query }, await as(f.ada.id))).toMatchObject({ status: 200 });
    expect(await send({ query })).toMatchObject({ status: 401, code: 'UNAUTHENTICATED' });
  });

  test.each([
    ['the name of the root', '{ __typename }'],
    ['the schema, under an alias, after a comment', '# what there is\nquery Q { s: __schema { queryType { name } } }'],
    ['the schema, with a fragment', 'fragment T on __Type { name } { __schema { queryType { ...T } } }'],
  ])('introspection is answered: %s', async (_, query) => {
    expect(await send({ query })).toMatchObject({ status: 200, code: undefined });
  });

  test('a long body, or one without a content-length, is refused before it has arrived', async () => {
    const live = await liveApp({ databaseUrl: app.databaseUrl });
    const begin = (headers: Record<string, string | number>) =>
      new Promise<number | undefined>((resolve, reject) => {
        const sent = httpRequest(live.url, {
          method: 'POST',
          agent: false,
          headers: { 'content-type': 'application/json', ...headers },
        });
        sent.once('response', ({ statusCode }: IncomingMessage) => {
          resolve(statusCode);
          sent.destroy();
        });
        sent.once('error', reject);
        sent.flushHeaders(); // and no more
      });
    try {
      expect(await begin({ 'content-length': MAX_ANONYMOUS_BODY_BYTES + 1 })).toBe(401);
      expect(await begin({ 'transfer-encoding': 'chunked' })).toBe(401);
    } finally {
      await live.close();
    }
  });
});

describe('what cannot be read is counted', () => {
  const limited = (points: number) =>
    testApp({
      databaseUrl: app.databaseUrl,
      app: { rateLimit: { points, seconds: 60, group: `documents-${points}-${process.pid}` } },
    });
  /** The time is bounded without points, too. */
  const timed = () =>
    testApp({
      databaseUrl: app.databaseUrl,
      app: { timeLimits: true },
    });

  test.each([
    ['malformed JSON', '{"query": ', { 'content-type': 'application/json' }, 400],
    ['another media type', '<query/>', { 'content-type': 'application/xml' }, 415],
  ])('%s, by address; over the limit it is refused before it is parsed', async (_, payload, headers, status) => {
    const to = await limited(1); // 20 for the address
    try {
      const statuses: number[] = [];
      for (let n = 0; n < 22; n++) statuses.push((await send(payload, headers, to)).status);
      expect(statuses).toEqual([...Array(20).fill(status), 429, 429]);
      const { response, code } = await send(payload, headers, to);
      expect([code, Number(response.headers['retry-after']) > 0]).toEqual(['RATE_LIMITED', true]);
      expect(response.headers['content-type']).toContain('application/graphql-response+json');
    } finally {
      await to.close();
    }
  });

  test('the time that new documents take, by viewer: what was read before, valid or not, and other viewers, are answered', async () => {
    const to = await timed();
    const headers = await as(f.ada.id);
    const ask = (query: string, more: Record<string, string> = {}) => send({ query }, { ...headers, ...more }, to);
    try {
      const [known, invalid] = ['{ viewer { id } }', '{ viewer { nothing } }'];
      expect(await ask(known)).toMatchObject({ status: 200 });
      const first = await ask(invalid);
      expect(first).toMatchObject({ status: 400, code: 'GRAPHQL_VALIDATION_FAILED' });
      let last: Awaited<ReturnType<typeof send>> | undefined;
      for (let n = 0; n < 5000 && last?.status !== 429; n++) last = await ask(longInvalid(n));
      expect(last).toMatchObject({ status: 429, code: 'RATE_LIMITED' });
      expect(Number(last?.response.headers['retry-after'])).toBeGreaterThan(0);
      expect(await ask(known)).toMatchObject({ status: 200 });
      expect(await ask(invalid)).toMatchObject({ status: 400, text: first.text });
      expect(await ask('{ viewer { name } }', await as(f.bob.id))).toMatchObject({ status: 200 });
    } finally {
      await to.close();
    }
  });

  test('the time that bodies take to parse counts, by sender: large ones are refused before that when it is used up, small ones are answered', async () => {
    const to = await timed();
    const headers = await as(f.ada.id);
    // As many as a body may have, in names of their own: milliseconds.
    const dense = Array.from({ length: MAX_BODY_VALUES / 2 - 10 }, (_, i) => `{"${i.toString(36)}":0}`).join(',');
    const payload = (n: number) => `{"query":"{ viewer { id } }","ignored":[${n},${dense}]}`;
    try {
      let last: Awaited<ReturnType<typeof send>> | undefined;
      for (let n = 0; n < 5000 && last?.status !== 429; n++) last = await send(payload(n), headers, to);
      expect(last).toMatchObject({ status: 429, code: 'RATE_LIMITED' });
      expect(await send({ query: '{ viewer { id } }' }, headers, to)).toMatchObject({ status: 200 });
      expect(await send(payload(0), await as(f.bob.id), to)).toMatchObject({ status: 200 });
    } finally {
      await to.close();
    }
  });

  test('the time that computing a cost takes counts, also of a document that was read before', async () => {
    const to = await timed();
    const headers = await as(f.ada.id);
    const doubling = times(14, (i) => `fragment D${i} on User { __typename ...D${i + 1} ...D${i + 1} }`);
    const query = `query($n: Int) { viewer { ...D0 } tasks(first: $n) { pageInfo { hasNextPage } } } ${doubling} fragment D14 on User { id }`;
    const ask = (n: number) => send({ query, variables: { n } }, headers, to);
    try {
      expect(await ask(0)).toMatchObject({ status: 400, code: 'QUERY_TOO_EXPENSIVE' });
      let last: Awaited<ReturnType<typeof send>> | undefined;
      for (let n = 1; n < 5000 && last?.status !== 429; n++) last = await ask(n);
      expect(last).toMatchObject({ status: 429, code: 'RATE_LIMITED' });
      expect(await send({ query: '{ viewer { name } }' }, await as(f.bob.id), to)).toMatchObject({ status: 200 });
    } finally {
      await to.close();
    }
  });
});

test('a budget of time fills steadily, up to its burst, for each caller by itself', () => {
  let nowMs = 0;
  const clock = { nowMs: () => nowMs, monotonicMs: () => nowMs, sleep: async () => {} };
  const budget = new TimeBudget({ burstMs: 100, msPerSecond: 10, clock });
  budget.spend('a', 99);
  expect(budget.waitMs('a')).toBe(0);
  budget.spend('a', 21);
  expect([budget.waitMs('a'), budget.waitMs('b')]).toEqual([2100, 0]);
  nowMs += 2100;
  expect(budget.waitMs('a')).toBe(0);
  nowMs += 1_000_000;
  budget.spend('a', 100);
  expect(budget.waitMs('a')).toBe(100);
});

test('without time a viewer has known documents answered, valid or not, and no new ones', async () => {
  const clock = { nowMs: () => 0, monotonicMs: () => 0, sleep: async () => {} };
  const documents = new Documents({ limited: true, introspection: true, turns: new Turns(), clock });
  const senderOf = (userId: UserId) => ({
    caller: `viewer:${userId}`,
    identity: { userId, scopes: [], expiresAtMs: 0 },
  });
  const [ada, bob] = [senderOf(f.ada.id), senderOf(f.bob.id)];
  const read = (text: string) => documents.read(app.schema, text, { ...ada, hideSuggestions: false });
  const response = { status: 400, headers: new Map(), body: { kind: 'complete', string: 'as before' } } as never;
  const [known, invalid] = ['{ viewer { id } }', '{ viewer { nothing } }'];
  await read(known);
  documents.refuse(invalid, 'application/json', response);
  const exhaust = async () => {
    for (let n = 0; ; n++) await read(longInvalid(n));
  };
  await expect(exhaust()).rejects.toMatchObject({ extensions: { code: 'RATE_LIMITED' } });
  expect(await documents.admit(known, undefined, ada)).toBeUndefined();
  expect(await documents.admit(invalid, 'application/json', ada)).toBe(response);
  const noTime = { extensions: { code: 'RATE_LIMITED' } };
  // In another media type it was another response.
  await expect(documents.admit(invalid, 'application/graphql-response+json', ada)).rejects.toMatchObject(noTime);
  await expect(documents.admit('{ viewer { name } }', undefined, ada)).rejects.toMatchObject(noTime);
  expect(await documents.admit('{ viewer { name } }', undefined, bob)).toBeUndefined();
});

test('where the time is not limited, it is not', async () => {
  const documents = new Documents({ limited: false, introspection: true, turns: new Turns() });
  const sender = {
    caller: 'viewer:x',
    identity: { userId: f.ada.id, scopes: [], expiresAtMs: 0 },
    hideSuggestions: false,
  };
  const endsAtMs = performance.now() + 1500; // more than a viewer's burst
  for (let n = 0; performance.now() < endsAtMs; n++) {
    const read: DocumentNode | readonly unknown[] = await documents.read(app.schema, longInvalid(n), sender);
    expect(read).toBeInstanceOf(Array);
  }
});

describe('what clients write in another way is understood', () => {
  const twoOperations = 'query A { viewer { id } }';
  test('an empty operationName is none, in a body and in an address', async () => {
    const headers = await as(f.ada.id);
    expect(await send({ query: twoOperations, operationName: '' }, headers)).toMatchObject({ status: 200 });
    for (const params of ['operationName=&query=', 'query=']) {
      const url = `/graphql?${params}${encodeURIComponent(twoOperations)}${params === 'query=' ? '&operationName=' : ''}`;
      const { statusCode, body } = await app.server.inject({ method: 'GET', url, headers });
      expect([statusCode, JSON.parse(body).data]).toEqual([200, { viewer: { id: f.ada.id } }]);
    }
    const both = 'query A { viewer { id } } query B { viewer { id } }';
    expect(await send({ query: both, operationName: '' }, headers)).toMatchObject({
      code: 'OPERATION_RESOLUTION_FAILURE',
    });
    expect(await send({ query: both, operationName: 'B' }, headers)).toMatchObject({ status: 200 });
  });

  test.each(['Bearer  ', 'bearer ', 'BEARER\t ', '  Bearer   '])('blanks around the token after %j', async (scheme) => {
    const { authorization } = await as(f.ada.id);
    const token = authorization.slice('Bearer '.length);
    const sent = await send({ query: '{ viewer { id } }' }, { authorization: `${scheme}${token}  ` });
    expect(sent).toMatchObject({ status: 200, data: { viewer: { id: f.ada.id } } });
  });

  test.each(['Bearer', 'Bearer ', 'Basic abc', ''])('%j is no token', async (authorization) => {
    const { status, code } = await send({ query: '{ viewer { id } }' }, { authorization });
    expect([status, code]).toEqual([401, 'UNAUTHENTICATED']);
  });
});
