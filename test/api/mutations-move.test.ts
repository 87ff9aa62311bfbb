/** moveTask: what goes along, what stays behind, and that both projects show it at once. */
import { eq, sql } from 'drizzle-orm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newId } from '../../src/db/ids.js';
import { lockExclusive } from '../../src/domain/projects/project-lock.js';
import { taskLabels, tasks } from '../../src/domain/tasks/task.table.js';
import { dataOf, eventually } from '../support/app.js';
import { expectRefusal, type TwoProcesses, twoProcesses } from '../support/mutations.js';

const MOVED =
  'task { id identifier version project { key } parent { id } assignee { handle } labels { nodes { id name } } commentCount }';
const FIELDS: Record<string, string> = {
  createTask: 'task { id identifier }',
  createLabel: 'label { id }',
  createComment: 'comment { id }',
  addMember: 'memberEdge { role }',
  updateMember: 'memberEdge { role }',
  archiveProject: 'project { id }',
  moveTask: MOVED,
  updateTasks: 'results { errors { message } }',
  deleteTask: 'deletedTaskId',
};

let w: TwoProcesses;
beforeAll(async () => {
  w = await twoProcesses(FIELDS);
});
afterAll(() => w?.close());

const created = async (input: Record<string, unknown> = {}) =>
  (await w.mutate('createTask', { projectId: w.f.ops.id, title: 'To move', ...input })).task;

test('a moved task has a new number, its comments, and what both projects have', async () => {
  const { ops, web, bug, docs, ada } = w.f;
  const sameName = (await w.mutate('createLabel', { projectId: web.id, name: 'bug' })).label.id;
  const parent = await created();
  const task = await created({ parentId: parent.id, assigneeId: ada.id, labelIds: [bug.id, docs.id] });
  const part = await created({ parentId: task.id });
  await w.mutate('createComment', { taskId: task.id, body: 'Goes along' });
  const everywhere = `query($old: String!, $new: String!, $part: ID!, $parent: ID!, $bug: ID!, $same: ID!) {
    old: task(identifier: $old) { id } new: task(identifier: $new) { id }
    ops: project(key: "OPS") { stats { total } tasks { totalCount } }
    web: project(key: "WEB") { stats { total } tasks(first: 1) { totalCount nodes { id } } }
    part: task(id: $part) { version parent { id } } parent: task(id: $parent) { subtasks { totalCount } }
    bug: tasks(filter: { labels: { some: { id: { eq: $bug } } } }) { totalCount }
    same: tasks(filter: { labels: { some: { id: { eq: $same } } } }) { totalCount } }`;
  const variables = {
    old: task.identifier,
    new: 'WEB-2',
    part: part.id,
    parent: parent.id,
    bug: bug.id,
    same: sameName,
  };
  const before = await w.read(everywhere, variables);
  expect(before).toMatchObject({ old: { id: task.id }, new: null, part: { parent: { id: task.id } } });

  const moved = await w.mutate('moveTask', { id: task.id, projectId: web.id });
  expect(moved.errors).toEqual([]);
  expect(moved.task).toEqual({
    id: task.id,
    identifier: 'WEB-2',
    version: 2,
    project: { key: 'WEB' },
    parent: null,
    assignee: { handle: 'ada' },
    labels: { nodes: [{ id: sameName, name: 'bug' }] },
    commentCount: 1,
  });
  expect(await w.read(everywhere, variables)).toEqual({
    old: { id: task.id },
    new: { id: task.id },
    ops: { stats: { total: before.ops.stats.total - 1 }, tasks: { totalCount: before.ops.tasks.totalCount - 1 } },
    web: {
      stats: { total: before.web.stats.total + 1 },
      tasks: { totalCount: before.web.tasks.totalCount + 1, nodes: [{ id: task.id }] },
    },
    part: { version: 2, parent: null },
    parent: { subtasks: { totalCount: 0 } },
    bug: { totalCount: before.bug.totalCount - 1 },
    same: { totalCount: 1 },
  });
  // Numbers are never given again.
  expect((await created()).identifier).not.toBe(task.identifier);
  expect((await w.mutate('moveTask', { id: task.id, projectId: ops.id })).task.identifier).not.toBe(task.identifier);
});

test('an assignee who is no member of the other project loses the task, and sees it no more', async () => {
  const task = await created({ assigneeId: w.f.bob.id });
  const seen = 'query($id: ID!) { task(id: $id) { id } viewer { assignedTasks(first: 100) { nodes { id } } } }';
  const assigned = { assignedTasks: { nodes: expect.arrayContaining([{ id: task.id }]) } };
  expect(await w.read(seen, { id: task.id }, w.f.bob.id)).toMatchObject({ task: { id: task.id }, viewer: assigned });
  expect((await w.mutate('moveTask', { id: task.id, projectId: w.f.web.id })).task.assignee).toBeNull();
  const after = await w.read(seen, { id: task.id }, w.f.bob.id);
  expect(after.task).toBeNull();
  expect(after.viewer.assignedTasks.nodes).not.toContainEqual({ id: task.id });
});

test('a move to where the task is changes nothing', async () => {
  const task = await created({ labelIds: [w.f.bug.id], assigneeId: w.f.bob.id });
  const moved = await w.mutate('moveTask', { id: task.id, projectId: w.f.ops.id });
  expect(moved.task).toMatchObject({ identifier: task.identifier, version: 1, labels: { nodes: [{ name: 'bug' }] } });
});

test('a move needs the right to write in both projects', async () => {
  const { ops, web, ada, bob, vic, eve } = w.f;
  const task = await created();
  const move = (as: typeof bob.id) => w.mutate('moveTask', { id: task.id, projectId: web.id }, { as });
  const strangerToBoth = { __typename: 'NotFoundError', path: ['input', 'projectId'] };
  expect((await move(eve.id)).errors).toMatchObject([
    { __typename: 'NotFoundError', path: ['input', 'id'] },
    strangerToBoth,
  ]);
  expect((await move(vic.id)).errors).toMatchObject([
    { __typename: 'PermissionError', path: ['input', 'id'] },
    strangerToBoth,
  ]);
  expectRefusal(await move(bob.id), 'NotFoundError', 'projectId'); // a stranger in WEB
  await w.mutate('addMember', { projectId: web.id, userId: bob.id, role: 'VIEWER' });
  expectRefusal(await move(bob.id), 'PermissionError', 'projectId');
  await w.mutate('updateMember', { projectId: web.id, userId: bob.id, role: 'MEMBER' });
  expect((await move(bob.id)).errors).toEqual([]);
  expectRefusal(await w.mutate('moveTask', { id: task.id, projectId: newId('project') }), 'NotFoundError', 'projectId');
  expectRefusal(await w.mutate('moveTask', { id: task.id, projectId: 'OPS' }), 'ValidationError', 'projectId');
  await w.mutate('archiveProject', { id: ops.id }, { as: ada.id });
  expectRefusal(await w.mutate('moveTask', { id: task.id, projectId: ops.id }), 'PermissionError', 'projectId');
  await w.mutate('archiveProject', { id: ops.id, archived: false });
});

test('two tasks imported from one source cannot be in one project', async () => {
  const [one, other] = [await created(), await created({ projectId: w.f.web.id })];
  await w.here.transactor.transact(async (tx) => {
    for (const { id } of [one, other]) {
      await tx.update(tasks).set({ sourceUrl: 'https://example.org/1' }).where(eq(tasks.id, id));
    }
  });
  const refused = await w.mutate('moveTask', { id: one.id, projectId: w.f.web.id });
  expectRefusal(refused, 'ConflictError', 'projectId');
  const read = 'query($id: ID!) { task(id: $id) { identifier version } }';
  expect((await w.read(read, { id: one.id })).task).toEqual({ identifier: one.identifier, version: 1 });
});

test('moves that cross, with changes of the same tasks, end; a task is in one project with a number of its own', async () => {
  const { ops, web } = w.f;
  const ids: string[] = [];
  for (let i = 0; i < 4; i++) ids.push((await created({ projectId: i % 2 === 0 ? ops.id : web.id })).id);
  const calls = ids.flatMap((id, i) => [
    w.mutate('moveTask', { id, projectId: i % 2 === 0 ? web.id : ops.id }),
    w.mutate('moveTask', { id, projectId: i % 2 === 0 ? ops.id : web.id }, { on: w.there }),
    w.mutate('updateTasks', { ids, title: `By ${i}` }, { on: w.there }),
  ]);
  // A deadlock would be an error of Postgres at the top level, on which `mutate` fails. That a task has just moved is an answer.
  await Promise.all(calls);
  const all = '{ tasks(first: 100) { nodes { id identifier } } }';
  const nodes: { id: string; identifier: string }[] = dataOf(await w.there.ask(all, { as: w.f.ada.id })).tasks.nodes;
  expect(nodes.filter(({ id }) => ids.includes(id))).toHaveLength(ids.length);
  expect(new Set(nodes.map(({ identifier }) => identifier)).size).toBe(nodes.length);
});

test('a write that waited while its task was moved away is told so, and writes nothing', async () => {
  const { ops, web } = w.f;
  const task = await created();
  const waiting = async () => {
    const [row] = await w.here.db.read.execute<{ count: number }>(sql`
      select count(*)::int as count from pg_locks
      where locktype = 'advisory' and not granted and database = (select oid from pg_database where datname = current_database())`);
    return row?.count;
  };
  const { value } = await w.here.transactor.transact(async (tx) => {
    await lockExclusive(tx, ops.id);
    const writes = [
      w.mutate('updateTasks', { ids: [task.id], title: 'No' }, { on: w.there }),
      w.mutate('deleteTask', { id: task.id }, { on: w.there }),
      w.mutate('createComment', { taskId: task.id, body: 'No' }, { on: w.here }), // of one viewer a process runs two writes at once
    ];
    await eventually(async () => expect(await waiting()).toBe(3));
    await tx.delete(taskLabels).where(eq(taskLabels.taskId, task.id));
    await tx.update(tasks).set({ projectId: web.id, number: 1000 }).where(eq(tasks.id, task.id));
    return { writes };
  });
  const [many, deleted, comment] = await Promise.all(value.writes);
  expect(many.results).toMatchObject([{ errors: [{ message: expect.stringContaining('moved') }] }]);
  expectRefusal(deleted, 'ConflictError', 'id');
  expectRefusal(comment, 'ConflictError', 'taskId');
  const read = 'query($id: ID!) { task(id: $id) { identifier title commentCount } }';
  expect((await w.read(read, { id: task.id })).task).toEqual({
    identifier: 'WEB-1000',
    title: 'To move',
    commentCount: 0,
  });
});
