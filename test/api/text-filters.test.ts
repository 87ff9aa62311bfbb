/** Lists that look into texts: what they cost, what is refused before it runs, and that no other list waits for them or fails with them. */
import { type OperationDefinitionNode, parse } from 'graphql';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { toUuid } from '../../src/db/ids.js';
import { COSTS, MAX_COST } from '../../src/graphql/limits.js';
import { costsOf } from '../../src/server/operations/cost.js';
import { dataOf, type TestApp, testApp } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';

let app: TestApp;
let f: Fixture;
const ROWS = 8000;

beforeAll(async () => {
  app = await testApp();
  f = await fixture(app);
  // Of a project with more tasks than 50 texts may be compared with; a label keeps its first task apart.
  await app.db.write.execute(`
    insert into tasks (id, project_id, number, title, description, creator_id)
    select gen_random_uuid(), '${toUuid(f.ops.id)}', 10000 + n, 'Bulk ' || n, 'Lorem ipsum ' || n, '${toUuid(f.ada.id)}'
    from generate_series(1, ${ROWS}) as n`);
  await app.db.write.execute('vacuum analyze tasks');
});
afterAll(() => app?.close());

const LIST = 'query ($f: TaskFilter) { tasks(first: 1, filter: $f) { nodes { title } totalCount } }';
const ask = (filter: object, document = LIST) => app.ask(document, { as: f.ada.id, variables: { f: filter } });
const texts = (n: number) => ({
  or: Array.from({ length: n }, (_, i) => ({ description: { contains: `ipsum ${i}` } })),
});

describe('cost', () => {
  const operation = (document: string) => {
    const parsed = parse(document);
    return { document: parsed, operation: parsed.definitions[0] as OperationDefinitionNode };
  };
  const PAGE = 'query ($f: TaskFilter) { tasks(first: 1, filter: $f) { nodes { title } } }';
  const costOf = (filter: object) => costsOf(app.schema)({ ...operation(PAGE), variables: { f: filter } });
  const alone = () => costOf({});

  test.each([
    ['each long text', texts(50), 50 * COSTS.longText],
    ['the beginning of one', { description: { startsWith: 'x' } }, COSTS.longText],
    ['a short text', { title: { contains: 'x', startsWith: 'y' } }, 2 * COSTS.shortText],
    ['a text in any case', { title: { containsIgnoreCase: 'x', startsWithIgnoreCase: 'y' } }, 2 * COSTS.shortText],
    ['each search, wherever it is', { search: 'x', not: { and: [{ search: 'y' }] } }, 2 * COSTS.search],
    ['what is not looked into', { title: { eq: 'contains' }, status: { eq: 'TODO' } }, 0],
  ])('%s is counted', (_, filter, cost) => {
    expect(costOf(filter) - alone()).toBe(cost);
  });

  test('of an order that the client chose is counted, whatever it names and however it is sent', () => {
    const document = 'query ($o: [TaskOrder!]) { tasks(first: 1, orderBy: $o) { nodes { title } } }';
    const cost = costsOf(app.schema);
    const ordered = (o: unknown) => cost({ ...operation(document), variables: { o } }) - alone();
    const title = { field: 'TITLE' };
    expect([[title], title, [{ field: 'CREATED_AT' }, title]].map(ordered)).toEqual(Array(3).fill(COSTS.order));
    expect([[], null, undefined].map(ordered)).toEqual([0, 0, 0]);
    const literal = '{ tasks(first: 1, orderBy: [{ field: TITLE }]) { nodes { title } } }';
    expect(cost({ ...operation(literal), variables: {} }) - alone()).toBe(COSTS.order);
  });

  test('is that of a list for each object that has it', async () => {
    const document =
      'query ($f: TaskFilter) { projects(first: 40) { nodes { tasks(first: 1, filter: $f) { nodes { id } } } } }';
    const { errors } = await ask(texts(5), document);
    expect(errors).toMatchObject([{ extensions: { code: 'QUERY_TOO_EXPENSIVE', limit: MAX_COST } }]);
  });
});

describe('texts of many tasks', () => {
  test('are compared when they are few', async () => {
    const { tasks } = dataOf(await ask(texts(3)));
    expect(tasks.nodes).toHaveLength(1);
    expect(tasks.totalCount).toBeGreaterThan(1);
  });

  test.each([['fifty descriptions', texts(50)]])('are refused before they are, with advice: %s', async (_, filter) => {
    app.reset();
    const { errors } = await ask(filter);
    expect(errors?.[0]).toMatchObject({
      message: expect.stringContaining('Narrow it'),
      extensions: { code: 'QUERY_TOO_EXPENSIVE', argument: 'filter', rows: expect.any(Number) },
    });
    const read = app.counts.statements.filter((text) => /\btasks\b/.test(text) && !text.startsWith('explain'));
    expect(read).toEqual([]);
  });

  test('are compared, however many, where an index leaves few tasks', async () => {
    const [task] = f.opsTasks;
    const { tasks } = dataOf(await ask({ and: [{ id: { eq: task?.id } }, { not: texts(40) }] }));
    expect(tasks.nodes).toEqual([{ title: task?.title }]);
    expect(dataOf(await ask({ assignee: { handle: { eq: 'bob' } }, ...texts(40) })).tasks.totalCount).toBe(0);
  });

  test('are not estimated for a list that is known', async () => {
    await ask(texts(2));
    await app.settled();
    app.reset();
    dataOf(await ask(texts(2)));
    expect(app.counts.statements).toEqual([]);
  });
});

test('a list that is refused fails no other list of its request', async () => {
  const document = `query ($f: TaskFilter, $g: TaskFilter) {
    refused: tasks(first: 1, filter: $f) { pageInfo { hasNextPage } }
    byText: tasks(first: 1, filter: $g) { nodes { title } }
    usual: tasks(first: 1) { nodes { title } } }`;
  const { data, errors } = await app.ask(document, {
    as: f.ada.id,
    variables: { f: texts(50), g: { title: { startsWith: 'Bulk' } } },
  });
  expect(errors).toMatchObject([{ path: ['refused', 'pageInfo'], extensions: { code: 'QUERY_TOO_EXPENSIVE' } }]);
  expect(data).toBeNull(); // the field is never null, so its error is the whole answer's
});
