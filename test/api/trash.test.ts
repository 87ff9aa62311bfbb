/** The trash of tasks: what restoreTask brings back, who may see and use it, and what the upkeep purges. */
import { eq, sql } from 'drizzle-orm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newId, toUuid } from '../../src/db/ids.js';
import { comments } from '../../src/domain/comments/comment.table.js';
import { githubFile } from '../../src/domain/import/github-issues.js';
import { runImport } from '../../src/domain/import/import.service.js';
import { tasks } from '../../src/domain/tasks/task.table.js';
import { trashedComments, trashedTasks } from '../../src/domain/trash/trashed-task.table.js';
import { dataOf } from '../support/app.js';
import { expectRefusal, type TwoProcesses, twoProcesses } from '../support/mutations.js';

const TRASH_DAYS = 7;
const FIELDS: Record<string, string> = {
  createTask: 'task { id identifier }',
  createLabel: 'label { id }',
  deleteLabel: 'deletedLabelId',
  createComment: 'comment { id }',
  archiveProject: 'project { id }',
  moveTask: 'task { identifier }',
  updateTask: 'task { id }',
  addMember: 'memberEdge { role }',
  removeMember: 'removedUserId',
  deleteTask: 'deletedTaskId',
  restoreTask: 'task { id version } taskEdge { node { id } }',
  purgeTask: 'purgedTaskId',
};
/** All that a task has. Times of change and versions are compared by themselves. */
const WHOLE = `id identifier title description status priority dueDate createdAt completedAt
  project { key } creator { handle } assignee { handle } parent { identifier } labels { nodes { name } }
  subtasks { nodes { id } } comments { nodes { id body createdAt updatedAt author { handle } } } commentCount`;
const TASK = `query($id: ID!) { task(id: $id) { version ${WHOLE} } }`;
const TRASH = `query($key: String!, $first: Int, $after: String, $last: Int) {
  project(key: $key) { trash(first: $first, after: $after, last: $last) {
    totalCount nodes { id identifier title deletedAt deletedBy { handle } expiresAt } pageInfo { hasNextPage endCursor } } } }`;

let w: TwoProcesses;
beforeAll(async () => {
  w = await twoProcesses(FIELDS, { app: { trashDays: TRASH_DAYS } });
});
afterAll(() => w?.close());

const created = async (input: Record<string, unknown> = {}) =>
  (await w.mutate('createTask', { projectId: w.f.ops.id, title: 'To delete', ...input })).task;
const remove = async (...ids: string[]) => {
  for (const id of ids) expect(await w.mutate('deleteTask', { id })).toEqual({ deletedTaskId: id, errors: [] });
};
const restore = async (...ids: string[]) => {
  for (const id of ids) expect((await w.mutate('restoreTask', { id })).errors).toEqual([]);
};
const taskOf = async (id: string) => (await w.read(TASK, { id })).task;
const trashOf = async (variables: object = {}, as = w.f.ada.id) =>
  (await w.read(TRASH, { key: 'OPS', ...variables }, as)).project?.trash;
const isInTrash = async (id: string) =>
  (await trashOf({ first: 100 })).nodes.some((node: { id: string }) => node.id === id);

test('a restored task is what it was, with its comments, its parent and its subtasks', async () => {
  const { bug, docs, bob } = w.f;
  const parent = await created();
  const fields = { description: 'Long', status: 'DONE', priority: 'HIGH', dueDate: '2026-05-01', assigneeId: bob.id };
  const task = await created({ ...fields, parentId: parent.id, labelIds: [bug.id, docs.id] });
  const subtask = await created({ parentId: task.id });
  for (const body of ['One', 'Two']) await w.mutate('createComment', { taskId: task.id, body }, { as: bob.id });
  const everywhere = `query($id: ID!, $identifier: String!, $parent: ID!, $bug: ID!) {
    task(id: $id) { id } byIdentifier: task(identifier: $identifier) { id } node(id: $id) { id }
    parent: task(id: $parent) { subtasks { totalCount } }
    tasks(filter: { labels: { some: { id: { eq: $bug } } } }) { totalCount } project(key: "OPS") { stats { total } } }`;
  const variables = { id: task.id, identifier: task.identifier, parent: parent.id, bug: bug.id };
  const [before, seen] = [await taskOf(task.id), await w.read(everywhere, variables)];
  expect(before).toMatchObject({ version: 1, commentCount: 2, subtasks: { nodes: [{ id: subtask.id }] } });
  expect(await isInTrash(task.id)).toBe(false);

  await remove(task.id);
  expect(await w.read(everywhere, variables)).toEqual({
    task: null,
    byIdentifier: null,
    node: null,
    parent: { subtasks: { totalCount: 0 } },
    tasks: { totalCount: seen.tasks.totalCount - 1 },
    project: { stats: { total: seen.project.stats.total - 1 } },
  });
  expect(await taskOf(subtask.id)).toMatchObject({ version: 2, parent: null });
  const [entry] = (await trashOf()).nodes;
  const { identifier } = task;
  expect(entry).toMatchObject({ id: task.id, identifier, title: 'To delete', deletedBy: { handle: 'ada' } });

  const restored = await w.mutate('restoreTask', { id: task.id }, { as: bob.id });
  expect(restored).toMatchObject({ task: { id: task.id, version: 2 }, errors: [] });
  expect(await taskOf(task.id)).toEqual({ ...before, version: 2 });
  expect(await w.read(everywhere, variables)).toEqual(seen);
  expect(await isInTrash(task.id)).toBe(false);
});

test('columns that tasks gained while a task was in the trash have their defaults when it is restored', async () => {
  const task = await created({ priority: 'HIGH' });
  await remove(task.id);
  const isTask = eq(trashedTasks.id, task.id);
  await w.here.transactor.transact((tx) =>
    tx
      .update(trashedTasks)
      .set({ task: sql`${trashedTasks.task} - 'priority'` })
      .where(isTask),
  );
  await restore(task.id);
  expect(await taskOf(task.id)).toMatchObject({ title: 'To delete', priority: 'NONE' });
});

test('a task with many comments and subtasks goes into the trash and back without dropping what is cached of others', async () => {
  const task = await created();
  const { transactor } = w.here;
  await transactor.transact(async (tx) => {
    const projectId = w.f.ops.id;
    const authorId = w.f.ada.id;
    const taskId = task.id;
    await tx.insert(comments).values(Array.from({ length: 501 }, () => ({ taskId, authorId, body: 'x' })));
    const subtask = { projectId, creatorId: authorId, parentId: taskId, title: 'Part' };
    await tx.insert(tasks).values(Array.from({ length: 501 }, (_, i) => ({ ...subtask, number: 5000 + i })));
  });
  const touched = async (name: string) => {
    const answer = await w.here.ask(`mutation { ${name}(input: { id: "${task.id}" }) { errors { message } } }`, {
      as: w.f.ada.id,
      headers: { 'x-cache-trace': '1' },
    });
    expect(dataOf(answer)[name].errors).toEqual([]);
    return (answer.cache?.invalidated ?? []).filter((tag) => !tag.includes(':'));
  };
  expect(await touched('deleteTask')).toEqual([]);
  expect(await touched('restoreTask')).toEqual([]);
  expect(await taskOf(task.id)).toMatchObject({ commentCount: 501 });
  await transactor.transact((tx) => tx.delete(tasks).where(eq(tasks.parentId, task.id)));
});

test('subscribers learn that a task was deleted and created again', async () => {
  const since = (cursor?: string) =>
    w.read(
      `query($id: ID!, $cursor: String) { taskChangesSince(projectId: $id, cursor: $cursor) {
        cursor changes { type taskId task { id } } } }`,
      { id: w.f.ops.id, cursor },
    );
  const task = await created({ labelIds: [w.f.bug.id] });
  const { cursor } = (await since()).taskChangesSince;
  await remove(task.id);
  const deleted = (await since(cursor)).taskChangesSince;
  expect(deleted.changes).toEqual([{ type: 'DELETED', taskId: task.id, task: null }]);
  await restore(task.id);
  const { changes } = (await since(deleted.cursor)).taskChangesSince;
  expect(changes).toEqual([{ type: 'CREATED', taskId: task.id, task: { id: task.id } }]);
});

test('a restored task lacks a deleted label, an assignee who has left and a parent that has moved', async () => {
  const { ops, web, bob, docs } = w.f;
  const label = (await w.mutate('createLabel', { projectId: ops.id, name: 'soon gone' })).label.id;
  const parent = await created();
  const task = await created({ parentId: parent.id, labelIds: [label, docs.id], assigneeId: bob.id });
  await remove(task.id);
  await w.mutate('deleteLabel', { id: label });
  await w.mutate('removeMember', { projectId: ops.id, userId: bob.id });
  await w.mutate('moveTask', { id: parent.id, projectId: web.id });
  await restore(task.id);
  const lacking = { assignee: null, parent: null, labels: { nodes: [{ name: 'docs' }] } };
  expect(await taskOf(task.id)).toMatchObject(lacking);
  await w.mutate('addMember', { projectId: ops.id, userId: bob.id, role: 'MEMBER' });
});

test('a restored task has only those of its subtasks that have no other parent, and never forms a cycle', async () => {
  const [parent, other] = [await created(), await created()];
  const task = await created({ parentId: parent.id });
  const [kept, moved, above] = [0, 1, 2].map(() => created({ parentId: task.id }));
  const ids = (await Promise.all([kept, moved, above])).map(({ id }) => id);
  await remove(task.id);
  await w.mutate('updateTask', { id: ids[1], parentId: other.id });
  await w.mutate('updateTask', { id: parent.id, parentId: ids[2] });
  await restore(task.id);
  const { subtasks, parent: its } = await taskOf(task.id);
  expect([subtasks.nodes, its]).toEqual([[{ id: ids[0] }], { identifier: parent.identifier }]);
  expect((await taskOf(ids[2])).parent).toBeNull();
});

test.each([
  ['parent first', [0, 1], [0, 1]],
  ['parent first, restored last', [0, 1], [1, 0]],
  ['subtask first', [1, 0], [0, 1]],
  ['subtask first, restored first', [1, 0], [1, 0]],
] as const)(
  'a task and its subtask find each other after both were deleted: %s',
  async (_, deletions, restorations) => {
    const parent = await created();
    const both = [parent, await created({ parentId: parent.id })];
    await remove(...deletions.map((i) => both[i].id));
    await restore(...restorations.map((i) => both[i].id));
    expect((await taskOf(both[1].id)).parent).toEqual({ identifier: parent.identifier });
  },
);

test('the trash lists the latest deletion first, in pages, and says when each is purged', async () => {
  const ids: string[] = [];
  for (let i = 0; i < 3; i++) ids.unshift((await created({ title: `Listed ${i}` })).id);
  await remove(...ids.toReversed());
  const first = await trashOf({ first: 2 });
  expect(first.nodes.map(({ id }: { id: string }) => id)).toEqual(ids.slice(0, 2));
  const next = await trashOf({ first: 1, after: first.pageInfo.endCursor });
  expect(next.nodes).toMatchObject([{ id: ids[2], title: 'Listed 0' }]);
  const everything = await trashOf({ first: 100 });
  expect(everything.nodes).toHaveLength(everything.totalCount);
  expect((await trashOf({ last: 2 })).nodes).toEqual(everything.nodes.slice(-2));
  const { deletedAt, expiresAt } = dataOf(
    await w.here.ask(TRASH, { as: w.f.ada.id, variables: { key: 'OPS', first: 1 } }),
  ).project.trash.nodes[0];
  expect(Date.parse(expiresAt) - Date.parse(deletedAt)).toBe(TRASH_DAYS * 24 * 3_600_000);
});

test('the trash is for members who may write; only an OWNER purges', async () => {
  const { ops, ada, bob, vic, eve } = w.f;
  const task = await created();
  await remove(task.id);
  expect(await trashOf({}, vic.id)).toBeNull();
  expect(await trashOf({}, eve.id)).toBeUndefined();
  expect((await trashOf({}, bob.id)).nodes[0].id).toBe(task.id);
  for (const name of ['restoreTask', 'purgeTask']) {
    expectRefusal(await w.mutate(name, { id: task.id }, { as: eve.id }), 'NotFoundError', 'id');
    expectRefusal(await w.mutate(name, { id: task.id }, { as: vic.id }), 'PermissionError', 'id');
    expectRefusal(await w.mutate(name, { id: newId('task') }), 'NotFoundError', 'id');
    expectRefusal(await w.mutate(name, { id: w.f.opsTasks[0]?.id }), 'NotFoundError', 'id');
    expectRefusal(await w.mutate(name, { id: 'OPS-1' }), 'ValidationError', 'id');
  }
  expectRefusal(await w.mutate('purgeTask', { id: task.id }, { as: bob.id }), 'PermissionError', 'id');
  await w.mutate('archiveProject', { id: ops.id }, { as: ada.id });
  for (const name of ['restoreTask', 'purgeTask']) {
    expectRefusal(await w.mutate(name, { id: task.id }), 'PermissionError', 'id');
  }
  expect((await trashOf()).nodes[0].id).toBe(task.id);
  await w.mutate('archiveProject', { id: ops.id, archived: false });
  expect(await w.mutate('purgeTask', { id: task.id })).toEqual({ purgedTaskId: task.id, errors: [] });
  expect(await isInTrash(task.id)).toBe(false);
  expectRefusal(await w.mutate('restoreTask', { id: task.id }), 'NotFoundError', 'id');
});

test('two requests that restore one task bring it back once', async () => {
  const task = await created();
  await remove(task.id);
  const both = await Promise.all([
    w.mutate('restoreTask', { id: task.id }),
    w.mutate('restoreTask', { id: task.id }, { on: w.there }),
  ]);
  expect(both.map(({ errors }) => errors.length).sort()).toEqual([0, 1]);
  expect(await taskOf(task.id)).toMatchObject({ version: 2, identifier: task.identifier });
});

test('an import leaves out an issue whose task is in the trash, and updates it once it is restored', async () => {
  const { ada, ops, web } = w.f;
  const issue = (title: string) =>
    JSON.stringify([
      {
        ...{ number: 900, title, body: '', state: 'OPEN', author: { login: 'ada' }, assignees: [], labels: [] },
        comments: [{ author: { login: 'ada' }, body: 'Imported', createdAt: '2026-01-02T00:00:00Z' }],
        ...{ createdAt: '2026-01-01T00:00:00Z', updatedAt: '2026-01-01T00:00:00Z', closedAt: null },
        url: 'https://github.com/acme/ops/issues/900',
      },
    ]);
  const run = (text: string) =>
    runImport({ file: githubFile(text), projectKey: 'OPS', ownerId: ada.id, transactor: w.here.transactor });
  expect(await run(issue('First'))).toMatchObject({ tasks: { created: 1 }, comments: { created: 1 }, tasksInTrash: 0 });
  const find = 'query { task(identifier: "OPS-900") { id title commentCount } }';
  const { id } = (await w.read(find)).task;
  await remove(id);
  const none = { created: 0, updated: 0, unchanged: 0 };
  expect(await run(issue('Second'))).toMatchObject({
    tasks: none,
    comments: none,
    tasksInTrash: 1,
    commentsLeftOut: 0,
  });
  await restore(id);
  expect((await w.read(find)).task).toEqual({ id, title: 'First', commentCount: 1 });
  expect(await run(issue('Second'))).toMatchObject({ tasks: { updated: 1 }, comments: { unchanged: 1 } });
  expect((await w.read(find)).task).toEqual({ id, title: 'Second', commentCount: 1 });

  await remove(id);
  const twin = await created({ projectId: web.id });
  await w.here.transactor.transact((tx) =>
    tx.update(tasks).set({ sourceUrl: 'https://github.com/acme/ops/issues/900' }).where(eq(tasks.id, twin.id)),
  );
  await w.mutate('moveTask', { id: twin.id, projectId: ops.id });
  expectRefusal(await w.mutate('restoreTask', { id }), 'ConflictError', 'id');
  expect(await isInTrash(id)).toBe(true);
});

test('the upkeep purges what was deleted before TRASH_DAYS, and nothing else', async () => {
  const [old, recent] = [await created(), await created()];
  await w.mutate('createComment', { taskId: old.id, body: 'Purged too' });
  await remove(old.id, recent.id);
  const age = (id: string, days: number) =>
    w.here.transactor.transact((tx) =>
      tx.execute(
        sql`update trashed_tasks set deleted_at = now() - make_interval(days => ${days}) where id = ${toUuid(id as never)}`,
      ),
    );
  await age(old.id, TRASH_DAYS + 1);
  await age(recent.id, TRASH_DAYS - 1);
  expect([await isInTrash(old.id), await isInTrash(recent.id)]).toEqual([true, true]);
  await w.here.trashUpkeep.purge();
  expect([await isInTrash(old.id), await isInTrash(recent.id)]).toEqual([false, true]);
  const left = await w.here.db.read.select().from(trashedComments).where(eq(trashedComments.taskId, old.id));
  expect(left).toEqual([]);
  expect(await w.here.db.read.$count(trashedTasks, eq(trashedTasks.id, old.id))).toBe(0);
  expectRefusal(await w.mutate('restoreTask', { id: old.id }), 'NotFoundError', 'id');
  await restore(recent.id);
});
