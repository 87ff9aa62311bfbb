/** What the mutations of one task do beyond creating and updating: reopening, labels, edges, versions, and who may. */
import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newId, type UserId } from '../../src/db/ids.js';
import { expectRefusal, type TwoProcesses, twoProcesses } from '../support/mutations.js';

const TASK = 'task { id title description status version completedAt assignee { handle } labels { nodes { name } } }';
const EDGE = 'taskEdge { cursor node { id } }';
const FIELDS: Record<string, string> = {
  createTask: `${TASK} ${EDGE}`,
  updateTask: `${TASK} ${EDGE}`,
  completeTask: TASK,
  reopenTask: TASK,
  assignTask: TASK,
  moveTask: TASK,
  addLabels: TASK,
  removeLabels: TASK,
  deleteTask: 'deletedTaskId',
};

let w: TwoProcesses;
beforeAll(async () => {
  w = await twoProcesses(FIELDS);
});
afterAll(() => w?.close());

const taskOf = (i: number) => w.f.opsTasks[i]?.id as string;
const created = async (input: Record<string, unknown> = {}) =>
  (await w.mutate('createTask', { projectId: w.f.ops.id, title: 'A task', ...input })).task;

describe('reopenTask', () => {
  const OPEN = `{ project(key: "OPS") { tasks(filter: { status: { eq: TODO } }) { totalCount } stats { byStatus { status count } } } }`;

  test.each(['DONE', 'CANCELED'])('makes a task that is %s TODO, everywhere at once', async (status) => {
    const task = await created({ status });
    const before = await w.read(OPEN);
    expect((await w.mutate('reopenTask', { id: task.id })).task).toMatchObject({ status: 'TODO', completedAt: null });
    const after = await w.read(OPEN);
    expect(after.project.tasks.totalCount).toBe(before.project.tasks.totalCount + 1);
  });

  test('leaves an open task as it is', async () => {
    const task = await created({ status: 'IN_REVIEW' });
    w.here.reset();
    expect((await w.mutate('reopenTask', { id: task.id })).task).toMatchObject({ status: 'IN_REVIEW', version: 1 });
    expect(w.here.counts.fences).toBe(0);
  });
});

describe('addLabels and removeLabels', () => {
  const BORNE = 'query($id: ID!) { task(id: $id) { version labels { totalCount nodes { name } } } }';
  const BEARING =
    'query($id: ID!) { tasks(filter: { labels: { some: { id: { eq: $id } } } }, first: 100) { nodes { id } } }';
  const bearing = async (id: string) =>
    (await w.read(BEARING, { id })).tasks.nodes.map((node: { id: string }) => node.id);

  test('change the labels, the version, and every list by label at once', async () => {
    const { bug, docs } = w.f;
    const { id } = await created({ labelIds: [bug.id] });
    expect((await w.read(BORNE, { id })).task.labels.totalCount).toBe(1);
    expect(await bearing(docs.id)).not.toContain(id);
    const added = await w.mutate('addLabels', { taskId: id, labelIds: [docs.id, bug.id] });
    expect(added.errors).toEqual([]);
    expect(added.task).toMatchObject({ version: 2, labels: { nodes: [{ name: 'bug' }, { name: 'docs' }] } });
    expect((await w.read(BORNE, { id })).task).toEqual({
      version: 2,
      labels: { totalCount: 2, nodes: [{ name: 'bug' }, { name: 'docs' }] },
    });
    expect(await bearing(docs.id)).toContain(id);
    const removed = await w.mutate('removeLabels', { taskId: id, labelIds: [bug.id, newId('label')] });
    expect(removed.task).toMatchObject({ version: 3, labels: { nodes: [{ name: 'docs' }] } });
    expect(await bearing(bug.id)).not.toContain(id);
  });

  test('that change nothing are no new version and invalidate nothing', async () => {
    const { bug, docs } = w.f;
    const { id } = await created({ labelIds: [bug.id] });
    w.here.reset();
    expect((await w.mutate('addLabels', { taskId: id, labelIds: [bug.id] })).task.version).toBe(1);
    expect((await w.mutate('removeLabels', { taskId: id, labelIds: [docs.id] })).task.version).toBe(1);
    expect(w.here.counts.fences).toBe(0);
  });

  test('refuse labels of another project, none, and more than a task bears', async () => {
    const { id } = await created();
    const refusals = [
      [[newId('label')], 'NotFoundError'],
      [[], 'ValidationError'],
    ] as const;
    for (const [labelIds, typename] of refusals) {
      expectRefusal(await w.mutate('addLabels', { taskId: id, labelIds }), typename, 'labelIds');
    }
    const many = Array.from({ length: 51 }, () => newId('label'));
    expectRefusal(await w.mutate('removeLabels', { taskId: id, labelIds: many }), 'ValidationError', 'labelIds');
    const { ops } = w.f;
    await w.here.transactor.transact((tx) =>
      tx.execute(sql`insert into labels (id, project_id, name, color)
        select gen_random_uuid(), (select id from projects where key = 'OPS'), 'many-' || n, '#000000' from generate_series(1, 51) n`),
    );
    const answer = await w.read('query($id: ID!) { project(id: $id) { labels(first: 100) { nodes { id name } } } }', {
      id: ops.id,
    });
    const ids = answer.project.labels.nodes
      .filter(({ name }: { name: string }) => name.startsWith('many-'))
      .map((label: { id: string }) => label.id);
    expect((await w.mutate('addLabels', { taskId: id, labelIds: ids.slice(0, 50) })).errors).toEqual([]);
    expectRefusal(await w.mutate('addLabels', { taskId: id, labelIds: ids.slice(50) }), 'ValidationError', 'labelIds');
  });
});

test('taskEdge is the edge of the default list: its cursor is the same, and goes on from there', async () => {
  const { task, taskEdge } = await w.mutate('createTask', { projectId: w.f.ops.id, title: 'On top' });
  const list = 'query($after: String) { tasks(first: 1, after: $after) { edges { cursor node { id } } } }';
  expect((await w.read(list)).tasks.edges).toEqual([taskEdge]);
  const next = await w.mutate('createTask', { projectId: w.f.ops.id, title: 'Above it' });
  expect((await w.read(list, { after: next.taskEdge.cursor })).tasks.edges).toEqual([taskEdge]);
  const ofProject =
    'query($id: ID!, $after: String) { project(id: $id) { tasks(first: 1, after: $after) { nodes { id } } } }';
  const below = await w.read(ofProject, { id: w.f.ops.id, after: next.taskEdge.cursor });
  expect(below.project.tasks.nodes).toEqual([{ id: task.id }]);
  expect((await w.mutate('updateTask', { id: newId('task') })).taskEdge).toBeNull();
});

test.each([
  ['completeTask', {}],
  ['reopenTask', {}],
  ['assignTask', { assigneeId: null }],
  ['deleteTask', {}],
  ['moveTask', () => ({ projectId: w.f.web.id })],
])('%s with an expectedVersion that has passed is a ConflictError with the task as it is', async (name, input) => {
  const { id } = await created({ status: 'DONE' });
  await w.mutate('updateTask', { id, title: 'Changed' });
  const more = typeof input === 'function' ? input() : input;
  const refused = await w.mutate(name, { id, expectedVersion: 1, ...more });
  expect(refused.errors).toMatchObject([
    { __typename: 'ConflictError', path: ['input', 'expectedVersion'], task: { id, version: 2 } },
  ]);
  expect((await w.mutate(name, { id, expectedVersion: 2, ...more })).errors).toEqual([]);
});

test('assignTask leaves the assignee where none is given', async () => {
  const { id } = await created({ assigneeId: w.f.bob.id });
  expect((await w.mutate('assignTask', { id })).task).toMatchObject({ version: 1, assignee: { handle: 'bob' } });
  expectRefusal(await w.mutate('assignTask', { id, assigneeId: w.f.eve.id }), 'NotFoundError', 'assigneeId');
});

test('createTask takes null for left out', async () => {
  const nothing = { description: null, status: null, priority: null, dueDate: null, labelIds: null };
  const task = await created({ ...nothing, assigneeId: null, parentId: null, idempotencyKey: null });
  expect(task).toMatchObject({ description: null, status: 'BACKLOG', assignee: null, labels: { nodes: [] } });
});

test.each(['title', 'status', 'priority'])('updateTask refuses to clear the %s', async (field) => {
  expectRefusal(await w.mutate('updateTask', { id: taskOf(0), [field]: null }), 'ValidationError', field);
});

test('updateTask clears what can be cleared', async () => {
  const { id } = await created({ description: 'Words', assigneeId: w.f.bob.id, labelIds: [w.f.bug.id] });
  const cleared = await w.mutate('updateTask', { id, description: null, assigneeId: null, labelIds: null });
  expect(cleared.task).toMatchObject({ description: null, assignee: null, labels: { nodes: [] } });
});

describe('who may', () => {
  const inputs = (): [string, string, Record<string, unknown>][] => [
    ['updateTask', 'id', { id: taskOf(0), title: 'No' }],
    ['completeTask', 'id', { id: taskOf(0) }],
    ['reopenTask', 'id', { id: taskOf(0) }],
    ['assignTask', 'id', { id: taskOf(0), assigneeId: null }],
    ['moveTask', 'id', { id: taskOf(0), projectId: w.f.web.id }],
    ['deleteTask', 'id', { id: taskOf(0) }],
    ['addLabels', 'taskId', { taskId: taskOf(0), labelIds: [w.f.bug.id] }],
    ['removeLabels', 'taskId', { taskId: taskOf(0), labelIds: [w.f.bug.id] }],
    ['createTask', 'projectId', { projectId: w.f.ops.id, title: 'No' }],
  ];
  const ALL = '{ project(key: "OPS") { tasks(first: 100) { nodes { id version } } } }';

  test('a stranger finds nothing, a VIEWER is refused, and nothing is written', async () => {
    const before = await w.read(ALL);
    for (const [name, field, input] of inputs()) {
      const refused = async (as: UserId) => (await w.mutate(name, input, { as })).errors[0];
      expect(await refused(w.f.eve.id)).toMatchObject({ __typename: 'NotFoundError', path: ['input', field] });
      expect(await refused(w.f.vic.id)).toMatchObject({ __typename: 'PermissionError', path: ['input', field] });
    }
    expect(await w.read(ALL)).toEqual(before);
  });

  test('a task that does not exist is not found, what is no id is invalid', async () => {
    for (const [name, field, input] of inputs()) {
      if (name === 'createTask') continue;
      expectRefusal(await w.mutate(name, { ...input, [field]: newId('task') }), 'NotFoundError', field);
      expectRefusal(await w.mutate(name, { ...input, [field]: 'OPS-1' }), 'ValidationError', field);
    }
  });

  test('a MEMBER may', async () => {
    const { id } = await created();
    expect((await w.mutate('completeTask', { id }, { as: w.f.bob.id })).errors).toEqual([]);
    expect((await w.mutate('deleteTask', { id }, { as: w.f.bob.id })).errors).toEqual([]);
  });
});
