/** Filters, orders and pages. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Answer, dataOf, type TestApp, testApp } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';

let app: TestApp;
let f: Fixture;

beforeAll(async () => {
  app = await testApp();
  f = await fixture(app, 12);
});
afterAll(() => app?.close());

const TASKS = `query($first: Int, $after: String, $last: Int, $before: String, $filter: TaskFilter, $orderBy: [TaskOrder!]) {
  tasks(first: $first, after: $after, last: $last, before: $before, filter: $filter, orderBy: $orderBy) {
    totalCount edges { cursor node { id } } nodes { identifier } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}`;

const ask = (variables: Record<string, unknown>) => app.ask(TASKS, { as: f.ada.id, variables });
const identifiers = async (variables: Record<string, unknown>): Promise<string[]> =>
  dataOf(await ask(variables)).tasks.nodes.map(({ identifier }: { identifier: string }) => identifier);

async function allPages(variables: Record<string, unknown>, first: number): Promise<string[]> {
  const seen: string[] = [];
  for (let after: string | null = null; ; ) {
    const { nodes, pageInfo }: Answer['data'] = dataOf(await ask({ ...variables, first, after })).tasks;
    seen.push(...nodes.map(({ identifier }: { identifier: string }) => identifier));
    if (!pageInfo.hasNextPage) return seen;
    after = pageInfo.endCursor;
  }
}

describe('filters', () => {
  test.each([
    ['project', () => ({ project: { id: { eq: f.web.id } } }), ['WEB-1']],
    [
      'assignee',
      () => ({ assignee: { id: { eq: f.bob.id } }, project: { id: { in: [f.ops.id] } } }),
      [12, 10, 8, 6, 4, 2].map((n) => `OPS-${n}`),
    ],
    ['status', () => ({ status: { in: ['DONE', 'CANCELED'] } }), ['OPS-3']],
    ['priority', () => ({ priority: { eq: 'URGENT' } }), ['OPS-5', 'OPS-4']],
    ['label', () => ({ labels: { some: { id: { eq: f.docs.id } } }, priority: { eq: 'URGENT' } }), ['OPS-5']],
    ['an empty set', () => ({ status: { in: [] } }), []],
    ['eq and in that exclude each other', () => ({ status: { eq: 'DONE', in: ['TODO'] } }), []],
  ])('by %s', async (_, filter, expected) => {
    const update = 'mutation($i: UpdateTaskInput!) { updateTask(input: $i) { errors { message } } }';
    for (const i of [
      { id: f.opsTasks[2]?.id, status: 'DONE' },
      { id: f.opsTasks[3]?.id, priority: 'URGENT', labelIds: [f.bug.id] },
      { id: f.opsTasks[4]?.id, priority: 'URGENT' },
    ]) {
      expect(dataOf(await app.ask(update, { as: f.ada.id, variables: { i } })).updateTask.errors).toEqual([]);
    }
    expect(await identifiers({ filter: filter() })).toEqual(expected);
    const { totalCount } = dataOf(await ask({ filter: filter() })).tasks;
    expect(totalCount).toBe(expected.length);
  });
});

/** `not` within `not`, so deep. */
const nested = (depth: number): object => (depth === 1 ? {} : { not: nested(depth - 1) });

const by = (field?: string) => (field === undefined ? {} : { orderBy: [{ field }] });

/** A cursor of the right list with a sort value that it cannot have. */
async function forged(sort: string, field?: string): Promise<string> {
  const { endCursor } = dataOf(await ask({ first: 1, ...by(field) })).tasks.pageInfo;
  const parts = JSON.parse(Buffer.from(endCursor, 'base64url').toString());
  parts[2] = sort;
  return Buffer.from(JSON.stringify(parts)).toString('base64url');
}

describe('pages', () => {
  const newestFirst = [
    'OPS-12',
    'OPS-11',
    'OPS-10',
    'OPS-9',
    'OPS-8',
    'OPS-7',
    'OPS-6',
    'OPS-5',
    'OPS-4',
    'OPS-3',
    'OPS-2',
  ];

  test('come newest first, and following the cursors shows everything once', async () => {
    const all = await allPages({}, 5);
    expect(all.slice(0, 11)).toEqual(newestFirst);
    expect(new Set(all).size).toBe(13);
    expect(await allPages({}, 1)).toEqual(all);
  });

  test('come in every order, ties by id, in both directions', async () => {
    for (const field of ['CREATED_AT', 'PRIORITY']) {
      const ascending = await allPages({ orderBy: [{ field, direction: 'ASC' }] }, 4);
      expect(ascending).toHaveLength(13);
      expect(await allPages({ orderBy: [{ field, direction: 'DESC' }] }, 3)).toEqual(ascending.reverse());
    }
  });

  test('know where they stand', async () => {
    const { edges, pageInfo } = dataOf(await ask({ first: 2 })).tasks;
    expect(pageInfo).toEqual({
      hasNextPage: true,
      hasPreviousPage: false,
      startCursor: edges[0].cursor,
      endCursor: edges[1].cursor,
    });
    const last = dataOf(await ask({ first: 100, after: edges[1].cursor })).tasks;
    expect(last.pageInfo).toMatchObject({ hasNextPage: false, hasPreviousPage: true });
    expect(last.edges).toHaveLength(11);
  });

  test.each([
    ['first', { first: 0 }],
    ['first', { first: 101 }],
    ['after', { after: 'nonsense' }],
    ['last', { first: 1, last: 1 }],
    ['last', { last: 101 }],
    ['before', { before: 'nonsense' }],
    ['after', { after: Buffer.from('[1,"x","y"]').toString('base64url') }],
    ['after', { after: Buffer.from('{}').toString('base64url') }],
    ['after', async () => ({ after: await forged('2020 (x)') })],
    ['after', async () => ({ after: await forged('2026-02-30T00:00:00.000Z') })],
    ['after', async () => ({ after: await forged('2026-01-01T24:00:00.000Z') })],
    ['after', async () => ({ after: await forged('+275760-09-13T00:00:00.000Z') })],
    ['after', async () => ({ after: await forged('2026-02-30', 'DUE_DATE'), ...by('DUE_DATE') })],
    ['after', async () => ({ after: await forged('2025-02-29', 'DUE_DATE'), ...by('DUE_DATE') })],
    ['after', async () => ({ after: await forged('0000-01-01', 'DUE_DATE'), ...by('DUE_DATE') })],
    ['before', async () => ({ before: await forged('2026-04-31T10:00:00.000Z', 'UPDATED_AT'), ...by('UPDATED_AT') })],
    [
      'before',
      async () => ({ before: await forged('2026-06-31T10:00:00.000Z', 'COMPLETED_AT'), ...by('COMPLETED_AT') }),
    ],
    ['after', async () => ({ after: await forged('a\0', 'TITLE'), ...by('TITLE') })],
    ['after', async () => ({ after: await forged('a\ud800', 'TITLE'), ...by('TITLE') })],
    ['filter', { filter: { dueDate: { eq: '2026-02-30' } } }],
    ['filter', { filter: { createdAt: { gt: '2026-02-30T00:00:00Z' } } }],
    ['orderBy', { orderBy: [{ field: 'PRIORITY' }, { field: 'PRIORITY' }] }],
    ['orderBy', { orderBy: ['PRIORITY', 'CREATED_AT', 'TITLE', 'STATUS'].map((field) => ({ field })) }],
    ['filter.not.not.not.not.not', { filter: nested(6) }],
    ['filter.and', { filter: { and: Array(101).fill({}) } }],
    ['filter.status', { filter: { status: null } }],
    ['filter.or.1.priority.gte', { filter: { or: [{}, { priority: { gte: null } }] } }],
    ['filter.search', { filter: { search: '  ' } }],
    ['filter.search', { filter: { search: 'x'.repeat(201) } }],
    ['filter.title.contains', { filter: { title: { contains: 'a\0' } } }],
    ['filter.createdAt.gt', { filter: { createdAt: { gt: '-P3000Y' } } }],
    ['filter.labels.some.id', { filter: { labels: { some: { id: { neq: 'label_01h455vb4pex5vsknk084sn02q' } } } } }],
    ['filter.assignee.id.eq', { filter: { assignee: { id: { eq: 'nobody' } } } }],
    ['filter.project.id.in', { filter: { project: { id: { in: Array(51).fill('project_x') } } } }],
  ])('refuse a bad %s and name it', async (argument, variables) => {
    const { errors } = await ask(typeof variables === 'function' ? await variables() : variables);
    expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', argument } }]);
  });

  test('go on when the viewer joins another project meanwhile', async () => {
    const { endCursor } = dataOf(await ask({ first: 2 })).tasks.pageInfo;
    const create = 'mutation { createProject(input: { key: "LATER", name: "Later" }) { errors { message } } }';
    await app.ask(create, { as: f.ada.id });
    expect(dataOf(await ask({ first: 100, after: endCursor })).tasks.nodes).toHaveLength(11);
  });

  test('refuse the cursor of a list with another filter or order', async () => {
    const { endCursor } = dataOf(await ask({ first: 2 })).tasks.pageInfo;
    for (const other of [{ filter: { status: { eq: 'DONE' } } }, { orderBy: [{ field: 'PRIORITY' }] }]) {
      const { errors } = await ask({ ...other, after: endCursor });
      expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', argument: 'after' } }]);
    }
  });

  test('of labels, comments, members, projects and subtasks follow their cursors too', async () => {
    const paged = async (
      query: string,
      pick: (data: ReturnType<typeof dataOf>) => { edges: { cursor: string }[]; pageInfo: { hasNextPage: boolean } },
    ) => {
      const first = pick(
        dataOf(await app.ask(query, { as: f.ada.id, variables: { id: f.opsTasks[0]?.id, after: null } })),
      );
      const after = first.edges.at(-1)?.cursor;
      const rest = pick(dataOf(await app.ask(query, { as: f.ada.id, variables: { id: f.opsTasks[0]?.id, after } })));
      return [first.edges.length, first.pageInfo.hasNextPage, rest.edges.length > 0];
    };
    const list = (path: string) => `query($id: ID!, $after: String) { task(id: $id) { ${path} } }`;
    const page = '(first: 1, after: $after) { edges { cursor node { id } } pageInfo { hasNextPage } }';
    expect(await paged(list(`labels${page}`), (data) => data.task.labels)).toEqual([1, true, true]);
    expect(await paged(list(`project { labels${page} }`), (data) => data.task.project.labels)).toEqual([1, true, true]);
    expect(await paged(list(`project { members${page} }`), (data) => data.task.project.members)).toEqual([
      1,
      true,
      true,
    ]);
    const comment =
      'mutation($id: ID!) { createComment(input: { taskId: $id, body: "Second" }) { errors { message } } }';
    await app.ask(comment, { as: f.ada.id, variables: { id: f.opsTasks[0]?.id } });
    expect(await paged(list(`comments${page}`), (data) => data.task.comments)).toEqual([1, true, true]);
    for (const title of ['Part one', 'Part two']) {
      const create = 'mutation($i: CreateTaskInput!) { createTask(input: $i) { errors { message } } }';
      await app.ask(create, {
        as: f.ada.id,
        variables: { i: { projectId: f.ops.id, title, parentId: f.opsTasks[0]?.id } },
      });
    }
    expect(await paged(list(`subtasks${page}`), (data) => data.task.subtasks)).toEqual([1, true, true]);
    const projects = `query($after: String) { projects${page} }`;
    expect(await paged(projects, (data) => data.projects)).toEqual([1, true, true]);
  });
});
