/** The page of a list brings its tasks along: one statement, and what it brings is what the load of a task gives. */
import { eq } from 'drizzle-orm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LabelId, TaskId, UserId } from '../../src/db/ids.js';
import { labelById } from '../../src/domain/labels/label.loaders.js';
import { TaskOrderField } from '../../src/domain/tasks/task.filter-inputs.js';
import { bringTasksOf, type LabelledTask, taskById, taskPages } from '../../src/domain/tasks/task.loaders.js';
import { tasks } from '../../src/domain/tasks/task.table.js';
import { userById } from '../../src/domain/users/user.loaders.js';
import type { Bring } from '../../src/engine/cache/index.js';
import { dataOf, type TestApp, testApp } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';

let app: TestApp;
let f: Fixture;
beforeAll(async () => {
  app = await testApp({ nearCacheBytes: 16 * 1024 * 1024 });
  f = await fixture(app);
});
afterAll(() => app?.close());

const LIST =
  'query($id: ID!) { project(id: $id) { tasks(first: 5) { nodes { id title assignee { name } labels { nodes { name } } } } } }';
const show = () => app.ask(LIST, { as: f.ada.id, variables: { id: f.ops.id }, trace: true });
const outcomes = (answer: Awaited<ReturnType<typeof show>>) =>
  answer.cache?.calls.filter(({ name }) => name === 'Task').map(({ outcome }) => outcome);

test('a list that is not cached takes one statement for its page, its tasks, their labels and assignees', async () => {
  await show();
  await app.settled();
  const write = `mutation($id: ID!) { createTask(input: { projectId: $id, title: "Another" }) { errors { message } } }`;
  dataOf(await app.ask(write, { as: f.ada.id, variables: { id: f.ops.id } }));
  await app.settled();
  const answer = await show();
  expect(dataOf(answer)['project'].tasks.nodes[0].title).toBe('Another');
  expect(answer.cache?.totals.sqlStatements).toBe(1);
  expect(outcomes(answer)).toEqual(Array(5).fill('near-hit'));
});

test('of a snapshot the tasks are loaded by themselves', async () => {
  const before = await app.ask(LIST, {
    as: f.ada.id,
    variables: { id: f.web.id },
    trace: true,
    headers: { 'x-consistency': 'snapshot' },
  });
  expect(outcomes(before)).not.toContain('near-hit');
});

test('a task that is brought along has the members that its load gives, in their order', async () => {
  const ended = { status: 'DONE' as const, completedAt: '2026-02-03T04:05:06.070Z', dueDate: '2026-02-04' };
  await app.db.write
    .update(tasks)
    .set({ ...ended, description: 'Words' })
    .where(eq(tasks.id, f.opsTasks[0]?.id as TaskId));
  const brought = new Map<TaskId, unknown>();
  const list = { projectIds: [f.ops.id, f.web.id], where: { all: [] } };
  const order = [{ field: TaskOrderField.CREATED_AT, descending: true }];
  const query = { list, order, limit: 100, backward: false, after: null, before: null };
  bringTasksOf(query);
  const labels = new Map<LabelId, unknown>();
  const assignees = new Map<UserId, unknown>();
  const bring: Bring = (source, id, row) => {
    if ((source as unknown) === labelById) labels.set(id as LabelId, row);
    else if ((source as unknown) === userById) assignees.set(id as UserId, row);
    else brought.set(id as unknown as TaskId, row);
  };
  const [page] = await taskPages.load([query], app.db, bring);
  const ids = page?.items.map(({ id }) => id) ?? [];
  const loaded = (await taskById.load(ids, app.db)) as LabelledTask[];
  expect(ids.length).toBeGreaterThan(5);
  expect(loaded.some(({ labelIds }) => labelIds.length > 1)).toBe(true);
  expect(loaded.some(({ dueDate, completedAt }) => dueDate !== null && completedAt !== null)).toBe(true);
  expect(JSON.stringify(ids.map((id) => brought.get(id)))).toBe(JSON.stringify(loaded));
  const labelIds = [...new Set(loaded.flatMap((task) => task.labelIds))];
  expect([...labels.keys()].sort()).toEqual([...labelIds].sort());
  expect(JSON.stringify(labelIds.map((id) => labels.get(id)))).toBe(
    JSON.stringify(await labelById.load(labelIds, app.db)),
  );
  const userIds = [...new Set(loaded.flatMap(({ assigneeId }) => assigneeId ?? []))];
  expect(userIds.length).toBeGreaterThan(1);
  expect([...assignees.keys()].sort()).toEqual([...userIds].sort());
  expect(JSON.stringify(userIds.map((id) => assignees.get(id)))).toBe(
    JSON.stringify(await userById.load(userIds, app.db)),
  );
});

test('tasks that are not shown are not read, nor those with a long text: that has its price', async () => {
  const statements = async (fields: string) => {
    const query = `query($id: ID!) { project(id: $id) { tasks(first: 3, orderBy: [{ field: PRIORITY }]) { ${fields} } } }`;
    return app.ask(query, { as: f.ada.id, variables: { id: f.ops.id }, trace: true });
  };
  const wrote = (set: Partial<typeof tasks.$inferInsert>) =>
    app.transactor.transact((tx) => tx.update(tasks).set(set).where(eq(tasks.projectId, f.ops.id)));
  await wrote({ priority: 'LOW' });
  await statements('pageInfo { hasNextPage }');
  expect(outcomes(await statements('nodes { id }'))).toEqual(Array(3).fill('miss'));
  await wrote({ priority: 'HIGH' });
  expect(outcomes(await statements('pageInfo { hasNextPage } nodes { id }'))).toEqual(Array(3).fill('near-hit'));
  await wrote({ priority: 'NONE', description: 'x'.repeat(2001) });
  expect(outcomes(await statements('nodes { id }'))).toEqual(Array(3).fill('miss'));
});

test('of more pages than bring 200 tasks the others bring none', async () => {
  const list = { projectIds: [f.ops.id], where: { all: [] } };
  const queries = [TaskOrderField.CREATED_AT, TaskOrderField.UPDATED_AT, TaskOrderField.PRIORITY].map((field) => {
    const order = [{ field, descending: true }];
    return { list, order, limit: 100, backward: false, after: null, before: null };
  });
  for (const query of queries) bringTasksOf(query);
  const brought: unknown[] = [];
  const pages = await taskPages.load(queries, app.db, (_, id) => void brought.push(id));
  const size = pages[0]?.items.length ?? 0;
  expect(pages.map(({ items }) => items.length)).toEqual([size, size, size]);
  expect(brought.length).toBeLessThanOrEqual(2 * size);
});
