/** What the mutations do, what they refuse, and that every list shows it with the next request. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newId } from '../../src/db/ids.js';
import { dataOf, type TestApp, testApp } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';

let app: TestApp;
let f: Fixture;

beforeAll(async () => {
  app = await testApp();
  f = await fixture(app);
});
afterAll(() => app?.close());

const FIELDS: Record<string, string> = {
  createTask:
    'task { id identifier title description status priority dueDate version completedAt assignee { handle } creator { handle } parent { identifier } labels { nodes { name } } }',
  updateTask:
    'task { title description status priority dueDate version completedAt assignee { handle } parent { identifier } labels { nodes { name } } }',
  completeTask: 'task { status completedAt version }',
  assignTask: 'task { assignee { handle } version }',
  deleteTask: 'deletedTaskId',
  createComment: 'comment { body author { handle } task { identifier } }',
  createProject: 'project { id key name members { nodes { handle } } }',
  createLabel: 'label { id name color }',
};

async function mutate(name: keyof typeof FIELDS & string, input: Record<string, unknown>, as = f.ada.id) {
  const type = `${name[0]?.toUpperCase()}${name.slice(1)}Input`;
  const conflict = name.endsWith('Task') ? '... on ConflictError { task { version } }' : '';
  const document = `mutation($input: ${type}!) { ${name}(input: $input) { ${FIELDS[name]} errors { __typename code message path ${conflict} } } }`;
  return dataOf(await app.ask(document, { as, variables: { input } }))[name];
}

const read = async (query: string, variables = {}) => dataOf(await app.ask(query, { as: f.ada.id, variables }));

describe('createTask', () => {
  test('takes every field, numbers the task, and shows in every list at once', async () => {
    const lists = `query { project(key: "OPS") { stats { total } tasks(first: 1) { totalCount nodes { title } } }
      viewer { assignedTasks { totalCount } } }`;
    const before = await read(lists);
    const { task, errors } = await mutate('createTask', {
      projectId: f.ops.id,
      title: '  Write it down ',
      description: 'All of it.',
      status: 'TODO',
      priority: 'HIGH',
      dueDate: '2026-12-24',
      assigneeId: f.ada.id,
      parentId: f.opsTasks[0]?.id,
      labelIds: [f.bug.id, f.bug.id],
    });
    expect(errors).toEqual([]);
    expect(task).toMatchObject({
      identifier: 'OPS-7',
      title: 'Write it down',
      description: 'All of it.',
      status: 'TODO',
      priority: 'HIGH',
      dueDate: '2026-12-24',
      version: 1,
      completedAt: null,
      assignee: { handle: 'ada' },
      creator: { handle: 'ada' },
      parent: { identifier: 'OPS-1' },
      labels: { nodes: [{ name: 'bug' }] },
    });
    const after = await read(lists);
    expect(after.project.stats.total).toBe(before.project.stats.total + 1);
    expect(after.project.tasks).toEqual({
      totalCount: before.project.tasks.totalCount + 1,
      nodes: [{ title: 'Write it down' }],
    });
    expect(after.viewer.assignedTasks.totalCount).toBe(before.viewer.assignedTasks.totalCount + 1);
  });

  test.each([
    ['title', 'BLANK', { title: ' ' }],
    ['title', 'TOO_LONG', { title: 'x'.repeat(501) }],
    ['title', 'INVALID', { title: 'nothing\0' }],
    ['title', 'INVALID', { title: 'two\nlines' }],
    ['description', 'INVALID', { description: '\0' }],
    ['dueDate', 'INVALID', { dueDate: '0000-01-01' }],
    ['assigneeId', 'NOT_FOUND', () => ({ assigneeId: f.eve.id })],
    ['assigneeId', 'INVALID', { assigneeId: 'ada' }],
    ['parentId', 'NOT_FOUND', () => ({ parentId: f.webTask.id })],
    ['labelIds', 'NOT_FOUND', () => ({ labelIds: [newId('label')] })],
    ['labelIds', 'LIMIT', () => ({ labelIds: Array(51).fill(f.bug.id) })],
    ['projectId', 'INVALID', { projectId: 'OPS' }],
  ])('refuses a bad %s with %s and writes nothing', async (field, code, input) => {
    const given = typeof input === 'function' ? input() : input;
    const before = await read('{ project(key: "OPS") { tasks { totalCount } } }');
    const { task, errors } = await mutate('createTask', { projectId: f.ops.id, title: 'T', ...given });
    expect(task).toBeNull();
    expect(errors).toMatchObject([
      {
        __typename: code === 'NOT_FOUND' ? 'NotFoundError' : 'ValidationError',
        code,
        path: expect.arrayContaining(['input', field]),
      },
    ]);
    expect(await read('{ project(key: "OPS") { tasks { totalCount } } }')).toEqual(before);
  });

  test('numbers tasks without gaps or doubles, also at once', async () => {
    const made = await Promise.all(
      Array.from({ length: 8 }, (_, i) => mutate('createTask', { projectId: f.web.id, title: `T${i}` })),
    );
    const numbers = made.map(({ task }) => Number(task.identifier.split('-')[1])).sort((a, b) => a - b);
    expect(numbers).toEqual([2, 3, 4, 5, 6, 7, 8, 9]);
  });
});

describe('updateTask', () => {
  test('changes what is given, clears what is null, leaves the rest', async () => {
    const id = f.opsTasks[1]?.id;
    await mutate('updateTask', { id, description: 'Words', dueDate: '2026-01-02', priority: 'LOW' });
    const { task } = await mutate('updateTask', {
      id,
      description: null,
      title: 'Renamed',
      labelIds: [f.docs.id],
      assigneeId: null,
    });
    expect(task).toMatchObject({
      title: 'Renamed',
      description: null,
      dueDate: '2026-01-02',
      priority: 'LOW',
      assignee: null,
    });
    expect(task.labels.nodes).toEqual([{ name: 'docs' }]);
    expect(
      await read('{ task(identifier: "OPS-2") { title description assignee { handle } labels { nodes { name } } } }'),
    ).toEqual({
      task: { title: 'Renamed', description: null, assignee: null, labels: { nodes: [{ name: 'docs' }] } },
    });
  });

  test('sets completedAt with DONE and clears it with any other status', async () => {
    const id = f.opsTasks[2]?.id;
    expect((await mutate('completeTask', { id })).task).toMatchObject({
      status: 'DONE',
      completedAt: expect.any(String),
    });
    expect((await mutate('updateTask', { id, status: 'TODO' })).task).toMatchObject({
      status: 'TODO',
      completedAt: null,
    });
  });

  test('that changes nothing is no new version and invalidates nothing', async () => {
    const id = f.opsTasks[3]?.id;
    const { task } = await mutate('updateTask', { id, title: 'Same' });
    app.reset();
    const labelIds = [f.docs.id, f.bug.id]; // as it bears them
    expect((await mutate('updateTask', { id, title: 'Same', labelIds })).task.version).toBe(task.version);
    expect(app.counts.fences).toBe(0);
  });

  test('with an expectedVersion that has passed is a ConflictError with the task as it is', async () => {
    const id = f.opsTasks[3]?.id;
    const { version } = (await mutate('updateTask', { id, title: 'One' })).task;
    await mutate('updateTask', { id, title: 'Two', expectedVersion: version });
    const { task, errors } = await mutate('updateTask', { id, title: 'Three', expectedVersion: version });
    expect(task).toBeNull();
    expect(errors).toMatchObject([
      {
        __typename: 'ConflictError',
        code: 'CONFLICT',
        path: ['input', 'expectedVersion'],
        task: { version: version + 1 },
      },
    ]);
  });

  test.each([
    ['title', { title: null }],
    ['title', { title: 'two\r\nlines' }],
    ['status', { status: null }],
    ['priority', { priority: null }],
    ['parentId', () => ({ parentId: f.opsTasks[4]?.id })],
  ])('refuses a bad %s', async (field, input) => {
    const { errors } = await mutate('updateTask', {
      id: f.opsTasks[4]?.id,
      ...(typeof input === 'function' ? input() : input),
    });
    expect(errors).toMatchObject([{ __typename: 'ValidationError', path: ['input', field] }]);
  });

  test('never closes a circle of parents, also when two changes cross', async () => {
    const make = async (title: string, parentId?: string) =>
      (await mutate('createTask', { projectId: f.ops.id, title, ...(parentId && { parentId }) })).task.id;
    for (let i = 0; i < 5; i++) {
      const [p, r] = [await make('P'), await make('R')];
      const [q, s] = [await make('Q', p), await make('S', r)];
      const crossing = await Promise.all([
        mutate('updateTask', { id: p, parentId: s }),
        mutate('updateTask', { id: r, parentId: q }),
      ]);
      expect(crossing.filter(({ errors }) => errors.length === 0)).toHaveLength(1);
    }
  });

  test('refuses a parent that is part of the task', async () => {
    const [above, below] = [f.opsTasks[4]?.id, f.opsTasks[5]?.id];
    expect((await mutate('updateTask', { id: below, parentId: above })).errors).toEqual([]);
    expect((await mutate('updateTask', { id: above, parentId: below })).errors).toMatchObject([
      { path: ['input', 'parentId'] },
    ]);
  });
});

test('assignTask gives the task to a member or to nobody', async () => {
  const id = f.opsTasks[0]?.id;
  expect((await mutate('assignTask', { id, assigneeId: f.bob.id })).task.assignee).toEqual({ handle: 'bob' });
  expect((await mutate('assignTask', { id, assigneeId: null })).task.assignee).toBeNull();
});

test('deleteTask takes the comments along and leaves the parts without a parent', async () => {
  const parent = (await mutate('createTask', { projectId: f.ops.id, title: 'Whole' })).task;
  const part = (await mutate('createTask', { projectId: f.ops.id, title: 'Part', parentId: parent.id })).task;
  await mutate('createComment', { taskId: parent.id, body: 'Gone soon' });
  const query = 'query($w: ID!, $p: ID!) { whole: task(id: $w) { commentCount } part: task(id: $p) { parent { id } } }';
  expect(await read(query, { w: parent.id, p: part.id })).toEqual({
    whole: { commentCount: 1 },
    part: { parent: { id: parent.id } },
  });
  expect(await mutate('deleteTask', { id: parent.id })).toEqual({ deletedTaskId: parent.id, errors: [] });
  expect(await read(query, { w: parent.id, p: part.id })).toEqual({ whole: null, part: { parent: null } });
  expect((await mutate('deleteTask', { id: parent.id })).errors).toMatchObject([
    { __typename: 'NotFoundError', path: ['input', 'id'] },
  ]);
});

test('createComment shows in the list and the count at once', async () => {
  const query = '{ task(identifier: "OPS-1") { commentCount comments { totalCount nodes { body } } } }';
  await read(query);
  const { comment } = await mutate('createComment', { taskId: f.opsTasks[0]?.id, body: 'Seen.' }, f.bob.id);
  expect(comment).toEqual({ body: 'Seen.', author: { handle: 'bob' }, task: { identifier: 'OPS-1' } });
  expect((await read(query)).task).toEqual({
    commentCount: 2,
    comments: { totalCount: 2, nodes: [{ body: 'Noted.' }, { body: 'Seen.' }] },
  });
  expect((await mutate('createComment', { taskId: f.opsTasks[0]?.id, body: '' })).errors).toMatchObject([
    { path: ['input', 'body'] },
  ]);
});

test('createProject makes its creator the owner; a key is taken once', async () => {
  const query = '{ projects { nodes { key } } }';
  await read(query);
  const { project } = await mutate('createProject', { key: 'NEW', name: 'New' });
  expect(project).toMatchObject({ key: 'NEW', members: { nodes: [{ handle: 'ada' }] } });
  expect((await read(query)).projects.nodes).toContainEqual({ key: 'NEW' });
  expect((await mutate('createProject', { key: 'NEW', name: 'Again' })).errors).toMatchObject([
    { code: 'TAKEN', path: ['input', 'key'] },
  ]);
  expect((await mutate('createProject', { key: 'n', name: 'Bad' })).errors).toMatchObject([{ path: ['input', 'key'] }]);
});

test('createLabel shows in the project at once; a name is taken once', async () => {
  const query = '{ project(key: "OPS") { labels { nodes { name } } } }';
  await read(query);
  expect((await mutate('createLabel', { projectId: f.ops.id, name: 'chore', color: '#ABCDEF' })).label).toMatchObject({
    name: 'chore',
    color: '#abcdef',
  });
  expect((await read(query)).project.labels.nodes).toEqual([{ name: 'bug' }, { name: 'chore' }, { name: 'docs' }]);
  expect((await mutate('createLabel', { projectId: f.ops.id, name: 'chore' })).errors).toMatchObject([
    { path: ['input', 'name'] },
  ]);
  expect((await mutate('createLabel', { projectId: f.ops.id, name: 'x', color: 'red' })).errors).toMatchObject([
    { path: ['input', 'color'] },
  ]);
});
