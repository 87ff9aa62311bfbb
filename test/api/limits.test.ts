/** What one request may ask for: just below each limit it is answered, just above it is refused and told which one. */
import { getIntrospectionQuery, type OperationDefinitionNode, parse } from 'graphql';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MAX_FILTERS } from '../../src/domain/tasks/task.filter-inputs.js';
import {
  COSTS,
  MAX_ALIASES,
  MAX_BODY_BYTES,
  MAX_BODY_VALUES,
  MAX_COST,
  MAX_DEPTH,
  MAX_DIRECTIVES,
  MAX_PAGE,
  MAX_SELECTIONS,
  MAX_TOKENS,
  MAX_VARIABLE_DEPTH,
  MAX_VARIABLE_VALUES,
} from '../../src/graphql/limits.js';
import { signToken } from '../../src/server/auth/tokens.js';
import { costsOf } from '../../src/server/operations/cost.js';
import { dataOf, headersFor, type TestApp, TOKENS, testApp } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { heapBytes } from '../support/heap.js';

let app: TestApp;
let f: Fixture;
beforeAll(async () => {
  app = await testApp();
  f = await fixture(app);
});
afterAll(() => app?.close());

const ask = (document: string, variables: Record<string, unknown> = {}) =>
  app.ask(document, { as: f.ada.id, variables });
const refused = async (document: string, variables?: Record<string, unknown>) => {
  const { status, data, errors } = await ask(document, variables);
  expect(data).toBeUndefined();
  expect(errors).toHaveLength(1);
  return { status, ...errors?.[0]?.extensions };
};

/** A task's ancestors: one field deeper each, and cheap. */
const deep = (depth: number) =>
  `{ task(identifier: "OPS-1") ${'{ parent '.repeat(depth - 2)}{ id ${'}'.repeat(depth - 1)} }`;
const inFragments = (depth: number) =>
  `{ task(identifier: "OPS-1") { ...F0 } } ${Array.from({ length: depth - 2 }, (_, i) =>
    i === depth - 3 ? `fragment F${i} on Task { id }` : `fragment F${i} on Task { parent { ...F${i + 1} } }`,
  ).join(' ')}`;
const times = (n: number, text: (i: number) => string) => Array.from({ length: n }, (_, i) => text(i)).join(' ');

describe('of a document', () => {
  test.each([
    ['depth', MAX_DEPTH, deep],
    ['depth', MAX_DEPTH, (n: number) => inFragments(n + 1)],
    ['aliases', MAX_ALIASES, (n: number) => `{ viewer { ${times(n, (i) => `a${i}: name`)} } }`],
    [
      'directives',
      MAX_DIRECTIVES,
      (n: number) => `{ viewer { handle ${times(n, () => '... @include(if: true) { name }')} } }`,
    ],
  ])('%s: %i are answered, one more is refused', async (argument, limit, document) => {
    dataOf(await ask(document(limit)));
    expect(await refused(document(limit + 1))).toEqual({
      status: 400,
      code: 'GRAPHQL_VALIDATION_FAILED',
      argument,
      limit,
    });
  });

  test('tokens: as many as allowed are answered, one more is refused', async () => {
    const document = (tokens: number) =>
      `query($in: [TaskStatus!] = [${times(tokens - 36, () => 'TODO')}]) { tasks(filter: { status: { in: $in } }) { nodes { id } } }`;
    const variables = { in: ['TODO'] };
    dataOf(await ask(document(MAX_TOKENS), variables));
    const { status, errors } = await ask(document(MAX_TOKENS + 1), variables);
    expect(status).toBe(400);
    expect(errors).toMatchObject([
      { message: expect.stringContaining(String(MAX_TOKENS)), extensions: { code: 'GRAPHQL_PARSE_FAILED' } },
    ]);
  });

  test('selections: fragments that use each other twice are counted as often as they are used', async () => {
    const doubling = (levels: number) =>
      `{ viewer { ...F0 } } ${times(levels, (i) => `fragment F${i} on User { ...F${i + 1} ...F${i + 1} }`)} fragment F${levels} on User { name }`;
    dataOf(await ask(doubling(Math.floor(Math.log2(MAX_SELECTIONS)) - 2)));
    expect(await refused(doubling(Math.ceil(Math.log2(MAX_SELECTIONS))))).toMatchObject({
      status: 400,
      code: 'QUERY_TOO_EXPENSIVE',
      limit: MAX_COST,
    });
  });
});

describe('of variables', () => {
  const TOO_MANY = { status: 400, code: 'BAD_USER_INPUT', argument: 'variables' };
  /** As text: what is too deep is so for JSON.stringify, too. */
  const sendNested = async (query: string, [open, close]: readonly [string, string], depth: number) => {
    const variables = `{"v":${open.repeat(depth - 1)}1${close.repeat(depth - 1)}}`;
    const authorization = `Bearer ${await signToken(TOKENS, f.ada.id, '1h')}`;
    const response = await app.server.inject({
      method: 'POST',
      url: '/graphql',
      headers: { authorization, 'content-type': 'application/json', accept: 'application/graphql-response+json' },
      payload: `{"query":${JSON.stringify(query)},"variables":${variables}}`,
    });
    const { data, errors } = response.json();
    return errors === undefined ? data : { status: response.statusCode, ...errors[0].extensions };
  };

  test('as many values as allowed are read, one more is refused', async () => {
    const document = 'query($ids: [ID!]!) { nodes(ids: $ids) { id } }';
    const { errors } = await ask(document, { ids: Array(MAX_VARIABLE_VALUES - 1).fill('') });
    expect(errors).toMatchObject([{ extensions: { argument: 'ids' } }]);
    expect(await refused(document, { ids: Array(MAX_VARIABLE_VALUES).fill('') })).toEqual(TOO_MANY);
  });

  test('as deep as allowed they are read, deeper they are refused, however deep', async () => {
    const viewer = { viewer: { id: f.ada.id } };
    expect(await sendNested('{ viewer { id } }', ['[', ']'], MAX_VARIABLE_DEPTH)).toEqual(viewer);
    const asked = [
      ['query($v: TaskFilter) { tasks(filter: $v) { nodes { id } } }', ['{"not":', '}']],
      ['query($v: [ID!]!) { nodes(ids: $v) { id } }', ['[', ']']],
      ['mutation($v: UpdateTaskInput!) { updateTask(input: $v) { errors { code } } }', ['{"id":', '}']],
      ['{ viewer { id } }', ['{"v":', '}']],
    ] as const;
    for (const [document, brackets] of asked) {
      for (const depth of [MAX_VARIABLE_DEPTH + 1, 10_000]) {
        expect(await sendNested(document, brackets, depth)).toEqual(TOO_MANY);
      }
    }
  });

  test('a filter has as many filters in it as allowed, and not one more, empty or not', async () => {
    const document = 'query($f: TaskFilter) { tasks(filter: $f) { nodes { id } } }';
    const halves = (filters: number) => ({
      f: { and: Array(filters / 2 - 1).fill({}), or: [{ and: Array(filters / 2).fill({}) }] },
    });
    dataOf(await ask(document, halves(MAX_FILTERS)));
    const { errors } = await ask(document, halves(MAX_FILTERS + 2));
    expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', argument: 'filter.or.0.and' } }]);
  });

  test('what is kept of them is bounded, over all documents', () => {
    const costOf = costsOf(app.schema);
    const documents = Array.from({ length: 10 }, (_, i) =>
      parse(`query Q${i}($ids: [ID!]!) { nodes(ids: $ids) { id } }`),
    );
    const before = heapBytes();
    for (const document of documents) {
      const operation = document.definitions[0] as OperationDefinitionNode;
      for (let n = 0; n < 40; n++) {
        costOf({ document, operation, variables: { ids: Array(MAX_VARIABLE_VALUES - 1 - n).fill('') } });
      }
    }
    expect(heapBytes() - before).toBeLessThan(3 * 1024 * 1024);
    expect(documents).toHaveLength(10);
  });
});

test('page: as many as allowed are answered, one more is refused', async () => {
  const document = 'query($n: Int) { tasks(first: $n) { nodes { id } } }';
  dataOf(await ask(document, { n: MAX_PAGE }));
  const { errors } = await ask(document, { n: MAX_PAGE + 1 });
  expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', argument: 'first' } }]);
});

test('body: as long as allowed it is read, one byte more is refused', async () => {
  const padded = (bytes: number) => {
    const body = JSON.stringify({ query: '{ __typename }', variables: { pad: '' } });
    return body.replace('"pad":""', `"pad":"${'x'.repeat(bytes - body.length)}"`);
  };
  const authorization = `Bearer ${await signToken(TOKENS, f.ada.id, '1h')}`;
  const send = (payload: string) =>
    app.server.inject({
      method: 'POST',
      url: '/graphql',
      headers: { authorization, 'content-type': 'application/json' },
      payload,
    });
  expect((await send(padded(MAX_BODY_BYTES))).statusCode).toBe(200);
  const over = await send(padded(MAX_BODY_BYTES + 1));
  expect([over.statusCode, over.json()]).toMatchObject([413, { errors: [{ extensions: { code: 'BAD_REQUEST' } }] }]);
});

test('values of variables: as many as allowed are read, one more is refused before any is', async () => {
  const document = 'query($ids: [ID!]!) { nodes(ids: $ids) { id } }';
  const ids = (n: number) => ({ ids: Array.from({ length: n }, () => f.ops.id) });
  const { errors } = await ask(document, ids(MAX_VARIABLE_VALUES - 1)); // the list is one, too
  expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', argument: 'ids' } }]);
  const over = { status: 400, code: 'BAD_USER_INPUT', argument: 'variables' };
  expect(await refused(document, ids(MAX_VARIABLE_VALUES))).toEqual(over);
  const filters = { or: Array.from({ length: MAX_VARIABLE_VALUES }, () => ({})) };
  const list = 'query($filter: TaskFilter) { tasks(filter: $filter) { totalCount } }';
  expect(await refused(list, { filter: filters })).toEqual(over);
});

test('values of a body: as many as allowed are read, one more is refused before the body is parsed', async () => {
  const headers = await headersFor({ as: f.ada.id });
  const send = async (values: number, end: string) => {
    // The strings would count ten times as much; the first value has nothing before it.
    const members = Array.from({ length: values - 2 }, () => '"[{,}]\\"[{,}]"').join();
    const payload = `{"query":"{ viewer { handle } }","ignored":[${members}]${end}`;
    const response = await app.server.inject({
      method: 'POST',
      url: '/graphql',
      headers: { ...headers, 'content-type': 'application/json' },
      payload,
    });
    return { status: response.statusCode, text: response.body };
  };
  expect(await send(MAX_BODY_VALUES, '}')).toMatchObject({ status: 200 });
  const over = { status: 400, text: expect.stringContaining(`expected a body of at most ${MAX_BODY_VALUES} values`) };
  expect(await send(MAX_BODY_VALUES + 1, '}')).toMatchObject(over);
  expect(await send(MAX_BODY_VALUES + 1, ' no JSON')).toMatchObject(over);
});

test('batches are refused', async () => {
  const payload = [{ query: '{ __typename }' }, { query: '{ __typename }' }];
  const response = await app.server.inject({ method: 'POST', url: '/graphql', payload });
  expect([response.statusCode, response.json()]).toMatchObject([
    400,
    { errors: [{ extensions: { code: 'BAD_REQUEST' } }] },
  ]);
});

describe('cost', () => {
  /** 20 for the count; 1 and a page of tasks, each 1 and a page of labels. */
  const LISTS =
    'query($a: Int, $b: Int) { tasks(first: $a) { totalCount nodes { labels(first: $b) { nodes { name } } } } }';
  const costOf = (a: number, b: number) => 1 + COSTS.totalCount + a * (1 + 1 + b);

  test('a message of cacheActivity costs 5, whatever is selected of it', () => {
    for (const parts of ['at', 'at processes { id } work { answered { kept } } health { violations }']) {
      expect(costOfText(`subscription { cacheActivity { ${parts} } }`)).toBe(5);
    }
  });

  test.each(['{ cacheTag(text: "tasks") { table } }', '{ cachePolicies { name } }', '{ cacheStatistics { name } }'])(
    'a lookup of an operator costs as much as a search: %s',
    (text) => {
      expect(costOfText(text)).toBeGreaterThanOrEqual(COSTS.search);
    },
  );

  function costOfText(text: string): number {
    const document = parse(text);
    return costsOf(app.schema)({
      document,
      operation: document.definitions[0] as OperationDefinitionNode,
      variables: {},
    });
  }

  test('as much as allowed is answered, one more is refused and told both', async () => {
    const [a, b] = [100, 97];
    expect(costOf(a, b)).toBeLessThanOrEqual(MAX_COST);
    dataOf(await ask(LISTS, { a, b }));
    expect(await refused(LISTS, { a, b: b + 1 })).toEqual({
      status: 400,
      code: 'QUERY_TOO_EXPENSIVE',
      cost: costOf(a, b + 1),
      limit: MAX_COST,
    });
    // Again, now that both are known; and for what a variable's absence stands for.
    expect(await refused(LISTS, { a, b: b + 1 })).toMatchObject({ cost: costOf(a, b + 1) });
    dataOf(await ask(LISTS, { a, b }));
  });

  test.each([
    ['a literal', '{ tasks(first: 100) { nodes { labels(first: 99) { nodes { name } } } } }', {}],
    ['a default', 'query($n: Int = 100) { tasks(first: $n) { nodes { labels(first: $n) { nodes { name } } } } }', {}],
    ['edges', '{ tasks(first: 100) { edges { node { labels(first: 99) { edges { node { name } } } } } } }', {}],
    [
      'fragments',
      '{ tasks(first: 100) { ...C } } fragment C on TaskConnection { nodes { ... on Task { ...L } } } fragment L on Task { labels(first: 99) { nodes { name } } }',
      {},
    ],
    ['aliases', `{ ${times(4, (i) => `a${i}: tasks(first: 100) { nodes { labels { nodes { name } } } }`)} }`, {}],
    [
      'an included field',
      'query($yes: Boolean!) { tasks(first: 100) { nodes { labels(first: 99) @include(if: $yes) { nodes { name } } } } }',
      { yes: true },
    ],
    [
      'numbers of projects',
      '{ projects(first: 100) { nodes { stats { total } a: tasks(first: 100) { nodes { id } } } } }',
      {},
    ],
    [
      'many counts',
      '{ projects(first: 100) { nodes { a: tasks { totalCount } b: tasks { totalCount } c: tasks { totalCount } d: tasks { totalCount } e: tasks { totalCount } } } }',
      {},
    ],
  ])('of %s is counted', async (_, document, variables) => {
    expect(await refused(document, variables)).toMatchObject({ code: 'QUERY_TOO_EXPENSIVE' });
  });

  test('a variable left out and a null are not the same', async () => {
    const document = 'query($n: Int = 100) { tasks(first: 100) { nodes { labels(first: $n) { nodes { name } } } } }';
    dataOf(await ask(document, { n: null })); // the page's own default
    expect(await refused(document)).toMatchObject({ code: 'QUERY_TOO_EXPENSIVE' });
  });

  test('variables that are not acceptable hide no cost of acceptable ones', async () => {
    const document =
      'query($s: TaskStatus) { tasks(first: 100, filter: { status: { eq: $s } }) { nodes { labels(first: 99) { nodes { name } } } } }';
    const { errors } = await ask(document, { s: 'NONSENSE' });
    expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT' } }]);
    expect(await refused(document, { s: 'TODO' })).toMatchObject({ code: 'QUERY_TOO_EXPENSIVE' });
  });

  test('a null for an argument that must have a value is told', async () => {
    const document = 'query($id: ID = "x") { node(id: $id) { id } }';
    expect(await refused(document, { id: null })).toMatchObject({ status: 400, code: 'BAD_USER_INPUT' });
  });
});

describe('what people and tools send is answered', () => {
  test.each([
    [
      'the example of the explorer',
      `{ projects { nodes { key name stats { total overdue completedLast7Days } tasks(first: 5, filter: { status: { in: [TODO, IN_PROGRESS] } }) {
        nodes { identifier title priority assignee { name } labels { nodes { name } } commentCount } } } } }`,
    ],
    [
      'the first page of a frontend',
      `query { viewer { ...U assignedTasks(first: 50) { totalCount pageInfo { hasNextPage endCursor } edges { cursor node { ...T } } } }
        projects(first: 100) { nodes { id key name } } project(key: "OPS") { stats { total byStatus { status count } } members { nodes { ...U } } labels(first: 50) { nodes { id name color } } } }
        fragment U on User { id handle name }
        fragment T on Task { id identifier title status priority dueDate updatedAt assignee { ...U } project { id key } labels(first: 10) { nodes { id name color } } comments(first: 3) { nodes { id body author { ...U } } } }`,
    ],
    [
      'a board of six columns',
      `{ ${['BACKLOG', 'TODO', 'IN_PROGRESS', 'IN_REVIEW', 'DONE', 'CANCELED'].map((s) => `${s}: tasks(first: 50, filter: { status: { eq: ${s} } }) { totalCount nodes { id title assignee { name } labels(first: 5) { nodes { name } } } }`).join(' ')} }`,
    ],
  ])('%s', async (_, document) => {
    dataOf(await ask(document));
  });

  test('the introspection of tools, outside of production', async () => {
    const document = getIntrospectionQuery({ inputValueDeprecation: true, oneOf: true, specifiedByUrl: true });
    expect(dataOf(await app.ask(document)).__schema.types.length).toBeGreaterThan(30);
  });
});
