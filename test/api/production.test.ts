/** What a server in production tells: nothing of its schema that a query does not name, and nothing of its inside. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { signToken } from '../../src/server/auth/tokens.js';
import { dataOf, type TestApp, TOKENS, testApp } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { type Line, readableLog } from '../support/log.js';

let app: TestApp;
let f: Fixture;
let lines: Line[];
beforeAll(async () => {
  const { log, lines: written } = readableLog();
  lines = written;
  app = await testApp({ app: { production: true, log } });
  f = await fixture(app);
});
afterAll(() => app?.close());

const ask = (document: string, variables: Record<string, unknown> = {}) =>
  app.ask(document, { as: f.ada.id, variables });

test('introspection is off, and on where it is configured', async () => {
  for (const document of ['{ __schema { types { name } } }', '{ __type(name: "Task") { name } }']) {
    const { status, errors } = await ask(document);
    expect([status, errors]).toMatchObject([400, [{ extensions: { code: 'GRAPHQL_VALIDATION_FAILED' } }]]);
  }
  const open = await testApp({ databaseUrl: app.databaseUrl, app: { production: true, introspection: true } });
  try {
    expect(dataOf(await open.ask('{ __type(name: "Task") { name } }'))).toEqual({ __type: { name: 'Task' } });
  } finally {
    await open.close();
  }
});

test.each([
  ['a field', '{ viewer { nam } }', {}],
  ['an argument', '{ task(identifer: "OPS-1") { title } }', {}],
  ['a type', '{ node(id: "x") { ... on Tas { title } } }', {}],
  ['a value', '{ tasks(filter: { status: { eq: TOD } }) { nodes { id } } }', {}],
  ['a field of the input', '{ tasks(filter: { statu: { eq: TODO } }) { nodes { id } } }', {}],
  ['a field of a sub-type', '{ node(id: "x") { title } }', {}],
  [
    'a value in variables',
    'query($s: TaskStatus) { tasks(filter: { status: { eq: $s } }) { nodes { id } } }',
    { s: 'TOD' },
  ],
  ['a field in variables', 'query($f: TaskFilter) { tasks(filter: $f) { nodes { id } } }', { f: { statu: {} } }],
])('nothing is suggested in place of %s that does not exist', async (_, document, variables) => {
  const { status, errors } = await ask(document, variables);
  expect(status).toBe(400);
  expect(errors?.length).toBeGreaterThan(0);
  expect(JSON.stringify(errors)).not.toMatch(/did you mean/i);
});

describe('what goes wrong on our side is masked, and logged under the id that was told', () => {
  const ID = /^[0-9a-f-]{36}$/;
  const masked = (errors: readonly { message: string; extensions: Record<string, unknown> }[] | undefined) => {
    for (const { message, extensions } of errors ?? []) {
      expect(message).toBe('Something went wrong on our side.');
      expect(extensions).toEqual({ code: 'INTERNAL_SERVER_ERROR', requestId: expect.stringMatching(ID) });
    }
    return errors?.map(({ extensions }) => extensions['requestId']) ?? [];
  };

  test('in a resolver', async () => {
    const { log, lines } = readableLog();
    const broken = await testApp({ databaseUrl: app.databaseUrl, app: { production: true, log } });
    try {
      await broken.db.close();
      const { errors } = await broken.ask('{ a: projects { nodes { key } } }', { as: f.ada.id });
      const [id] = masked(errors);
      expect(lines.filter(({ requestId }) => requestId === id)).toMatchObject([
        { msg: 'a request failed', err: { message: expect.any(String) }, path: ['a', 'nodes'] },
      ]);
    } finally {
      await broken.close();
    }
  });

  test('before there is an operation', async () => {
    const { log, lines } = readableLog();
    const secret = 'the key set of id.internal:8443 is away';
    const verifyToken = () => Promise.reject(new Error(secret));
    const broken = await testApp({ databaseUrl: app.databaseUrl, app: { production: true, log, verifyToken } });
    try {
      const { status, errors } = await broken.ask('{ viewer { name } }', { as: f.ada.id });
      expect(status).toBe(500);
      const [id] = masked(errors);
      expect(lines.filter(({ requestId }) => requestId === id)).toMatchObject([{ err: { message: secret } }]);
    } finally {
      await broken.close();
    }
  });
});

describe('what is wrong with a request is told', () => {
  const send = async (payload: string, headers: Record<string, string> = {}) => {
    const response = await app.server.inject({
      method: 'POST',
      url: '/graphql',
      headers: { 'content-type': 'application/json', ...headers },
      payload,
    });
    return [response.statusCode, response.json().errors];
  };

  test.each([
    ['a body that is no JSON', '{"query": ', {}, 400],
    ['a body of another type', '<query/>', { 'content-type': 'application/xml' }, 415],
    ['no body', '', {}, 400],
    ['a body without an operation', '{"variables": {}}', {}, 400],
    ['a number for a document', '{"query": 1}', {}, 400],
    ['a forbidden member', '{"query": "{ __typename }", "__proto__": {"a": 1}}', {}, 400],
    ['a host that is none', '{"query": "{ __typename }"}', { host: 'a b' }, 400],
    ['a version of persisted queries that is none', '{"extensions": {"persistedQuery": {"version": 2}}}', {}, 400],
    [
      'a hash of something else',
      '{"query": "{ __typename }", "extensions": {"persistedQuery": {"version": 1, "sha256Hash": "x"}}}',
      {},
      400,
    ],
  ] as const)('%s', async (_, payload, headers, status) => {
    const before = lines.length;
    expect(await send(payload, headers)).toEqual([
      status,
      [expect.objectContaining({ extensions: { code: 'BAD_REQUEST' } })],
    ]);
    expect(lines.slice(before)).toEqual([]);
  });

  test.each([
    ['no such operation', '{"query": "query A { __typename }", "operationName": "B"}'],
    ['an operation without a name, asked for by one', '{"query": "{ viewer { id } }", "operationName": "B"}'],
    ['which of several', '{"query": "query A { __typename } query B { __typename }"}'],
    ['a document of fragments', '{"query": "fragment F on User { id }"}'],
  ])('%s: nothing runs, and why is told', async (_, payload) => {
    const authorization = `Bearer ${await signToken(TOKENS, f.ada.id, '1h')}`;
    const [status, errors] = await send(payload, { authorization, accept: 'application/graphql-response+json' });
    expect(status).toBe(400);
    expect(errors[0].extensions.code).toMatch(/^(OPERATION_RESOLUTION_FAILURE|GRAPHQL_VALIDATION_FAILED)$/);
  });

  test('a filter with several faults is refused for one of them; the others, found meanwhile, end nothing', async () => {
    const unhandled: unknown[] = [];
    const note = (reason: unknown) => unhandled.push(reason);
    process.on('unhandledRejection', note);
    try {
      const bad = { id: { eq: 'x' } };
      for (const nested of [{ or: [bad] }, { and: [bad] }, { not: bad }, { project: bad }, { labels: { some: bad } }]) {
        const filter = { ...nested, search: '', number: { gt: null } };
        const { errors } = await ask('query($f: TaskFilter) { tasks(filter: $f) { nodes { id } } }', { f: filter });
        expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT' } }]);
      }
      await new Promise((resolve) => setImmediate(resolve)); // when Node tells of them
    } finally {
      process.off('unhandledRejection', note);
    }
    expect(unhandled).toEqual([]);
  });

  test('variables with more faults than are counted', async () => {
    const variables = { ids: Array(100).fill({}) };
    const { status, errors } = await ask('query($ids: [ID!]!) { nodes(ids: $ids) { id } }', variables);
    expect(status).toBe(400);
    expect(errors?.map(({ extensions }) => extensions['code'])).toEqual(Array(errors?.length).fill('BAD_USER_INPUT'));
    expect(errors?.length).toBeGreaterThan(10);
  });

  test('a header of ours that is none', async () => {
    expect(await send('{"query": "{ __typename }"}', { 'x-consistency': 'perfect' })).toMatchObject([
      400,
      [{ extensions: { code: 'BAD_USER_INPUT', argument: 'x-consistency' } }],
    ]);
  });
});
