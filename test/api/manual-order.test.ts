/** moveTaskInList and lists in the manual order. */
import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { newId, toUuid } from '../../src/db/ids.js';
import { defaultSortOrder, MAX_KEY_CHARS } from '../../src/domain/tasks/sort-key.js';
import { lockTrees } from '../../src/domain/tasks/tree-lock.js';
import { eventually } from '../support/app.js';
import { expectRefusal, type TwoProcesses, twoProcesses } from '../support/mutations.js';

const TASK = 'task { id number sortOrder version }';
let w: TwoProcesses;
beforeAll(async () => {
  w = await twoProcesses({
    createProject: 'project { id }',
    createTask: TASK,
    deleteTask: 'deletedTaskId',
    moveTask: TASK,
    moveTaskInList: TASK,
    restoreTask: TASK,
  });
});
afterAll(() => w?.close());

interface Listed {
  readonly id: string;
  readonly number: number;
  readonly sortOrder: string;
  readonly version: number;
}

let projects = 0;
let projectId: string;
let tasks: Listed[];
/** Five tasks, numbers 1 to 5, in a project of their own. */
beforeEach(async () => {
  projects++;
  projectId = (await w.mutate('createProject', { key: `ORDER${projects}`, name: 'Ordered' })).project.id;
  tasks = [];
  for (let i = 1; i <= 5; i++) tasks.push(await created());
});

const created = async (): Promise<Listed> => (await w.mutate('createTask', { projectId, title: 'A task' })).task;
const id = (number: number) => tasks[number - 1]?.id as string;
const move = (number: number, to: { before?: number; after?: number }) =>
  w.mutate('moveTaskInList', {
    id: id(number),
    ...(to.before && { before: id(to.before) }),
    ...(to.after && { after: id(to.after) }),
  });

const LIST = `query($id: ID!, $first: Int, $after: String, $last: Int, $before: String, $filter: TaskFilter, $direction: OrderDirection = ASC) {
  project(id: $id) { tasks(first: $first, after: $after, last: $last, before: $before, filter: $filter, orderBy: [{ field: MANUAL, direction: $direction }]) {
    nodes { id number sortOrder version } pageInfo { startCursor endCursor hasNextPage hasPreviousPage } } } }`;
const page = async (variables: Record<string, unknown> = {}) =>
  (await w.read(LIST, { id: projectId, first: 100, ...variables })).project.tasks;
const numbers = async (variables: Record<string, unknown> = {}): Promise<number[]> =>
  (await page(variables)).nodes.map(({ number }: Listed) => number);

test('tasks that were never moved are in the order of their numbers', async () => {
  expect(await numbers()).toEqual([1, 2, 3, 4, 5]);
  expect(await numbers({ direction: 'DESC' })).toEqual([5, 4, 3, 2, 1]);
  expect(tasks.map(({ sortOrder }) => sortOrder)).toEqual(['a1', 'a2', 'a3', 'a4', 'a5']);
});

test('a task is moved to the front, the end, and between two others, and new tasks come last', async () => {
  expect(await numbers()).toEqual([1, 2, 3, 4, 5]);
  const moved = await move(4, { before: 1 });
  expect(moved).toEqual({ task: { id: id(4), number: 4, sortOrder: 'Zz', version: 2 }, errors: [] });
  expect(await numbers()).toEqual([4, 1, 2, 3, 5]);
  await move(1, { after: 5 });
  expect(await numbers()).toEqual([4, 2, 3, 5, 1]);
  await move(5, { after: 4 });
  expect(await numbers()).toEqual([4, 5, 2, 3, 1]);
  await move(2, { before: 1 });
  expect(await numbers()).toEqual([4, 5, 3, 2, 1]);
  tasks.push(await created());
  expect(await numbers()).toEqual([4, 5, 3, 2, 1, 6]);
  await move(4, { after: 6 });
  tasks.push(await created());
  expect(await numbers()).toEqual([5, 3, 2, 1, 6, 4, 7]);
  const listed = (await page()).nodes.map(({ sortOrder }: Listed) => sortOrder);
  expect(listed).toEqual([...listed].sort());
});

test('a move to where the task is changes nothing', async () => {
  expect((await move(2, { after: 1 })).task).toEqual(tasks[1]);
  expect((await move(2, { before: 3 })).task).toEqual(tasks[1]);
});

test('pages in both directions, and filters, follow the manual order', async () => {
  await move(5, { before: 2 });
  await move(1, { after: 3 });
  expect(await numbers()).toEqual([5, 2, 3, 1, 4]);
  const first = await page({ first: 2 });
  expect(first.nodes.map(({ number }: Listed) => number)).toEqual([5, 2]);
  expect(await numbers({ first: 2, after: first.pageInfo.endCursor })).toEqual([3, 1]);
  expect(await numbers({ first: null, last: 2 })).toEqual([1, 4]);
  const end = await page({ first: null, last: 2 });
  expect(await numbers({ first: null, last: 2, before: end.pageInfo.startCursor })).toEqual([2, 3]);
  expect(await numbers({ filter: { number: { gte: 3 } } })).toEqual([5, 3, 4]);
  expect(await numbers({ filter: { number: { gte: 3 } }, direction: 'DESC', first: 2 })).toEqual([4, 3]);
  const everywhere = `{ tasks(first: 100, filter: { project: { key: { in: ["ORDER${projects}", "WEB"] } } }, orderBy: [{ field: MANUAL, direction: ASC }]) { nodes { number sortOrder } } }`;
  const keys = (await w.read(everywhere)).tasks.nodes.map(({ sortOrder }: Listed) => sortOrder);
  expect(keys).toHaveLength(6);
  expect(keys).toEqual([...keys].sort());
});

test('faults of a move are named together, and none changes anything', async () => {
  const at = (input: object) => w.mutate('moveTaskInList', { id: id(1), ...input });
  expectRefusal(await at({}), 'ValidationError', 'before');
  expectRefusal(await at({ before: id(2), after: id(3) }), 'ValidationError', 'before');
  expectRefusal(await at({ before: id(1) }), 'ValidationError', 'before');
  expectRefusal(await at({ after: id(1) }), 'ValidationError', 'after');
  expectRefusal(await at({ after: 'x' }), 'ValidationError', 'after');
  const elsewhere = w.f.opsTasks[0]?.id;
  expect((await at({ after: elsewhere })).errors).toEqual((await at({ after: newId('task') })).errors);
  expect((await at({ before: elsewhere, expectedVersion: 7 })).errors).toMatchObject([
    { __typename: 'NotFoundError', path: ['input', 'before'] },
    { __typename: 'ConflictError', path: ['input', 'expectedVersion'], task: { id: id(1), version: 1 } },
  ]);
  expectRefusal(await at({ before: id(3), expectedVersion: 7 }), 'ConflictError', 'expectedVersion');
  expect((await page()).nodes).toEqual(tasks);
});

test('concurrent moves to one place get different keys', async () => {
  const moves = [3, 4, 5, 1].map((number, i) =>
    w.mutate('moveTaskInList', { id: id(number), after: id(2) }, { on: i % 2 === 0 ? w.here : w.there }),
  );
  for (const { errors } of await Promise.all(moves)) expect(errors).toEqual([]);
  const listed: Listed[] = (await page()).nodes;
  expect(listed[0]?.number).toBe(2);
  expect(new Set(listed.map(({ sortOrder }) => sortOrder)).size).toBe(5);
});

test('a move waits for another one of the project, and sees its key', async () => {
  const { db, transactor } = w.here;
  let moving: Promise<{ errors: unknown[] }> | undefined;
  await transactor.transact(async (tx) => {
    await lockTrees(tx, [projectId as `project_${string}`]);
    moving = w.mutate('moveTaskInList', { id: id(5), before: id(2) }, { on: w.there });
    await eventually(async () => {
      const waiting = await db.read.execute(sql`select from pg_locks where locktype = 'advisory' and not granted
        and database = (select oid from pg_database where datname = current_database())`);
      expect(waiting).toHaveLength(1);
    });
    await tx.execute(sql`update tasks set sort_order = 'a1V' where id = ${toUuid(id(4) as 'task_')}`);
  });
  expect((await moving)?.errors).toEqual([]);
  expect(await numbers()).toEqual([1, 4, 5, 2, 3]);
});

test('neighbors make room where keys grow too long or are equal', async () => {
  await w.here.transactor.transact(async (tx) => {
    const long = `a1${'z'.repeat(MAX_KEY_CHARS - 2)}`;
    await tx.execute(sql`update tasks set sort_order = ${long} where id = ${toUuid(id(3) as 'task_')}`);
  });
  expect(await numbers()).toEqual([1, 3, 2, 4, 5]);
  expect((await move(5, { after: 3 })).errors).toEqual([]);
  expect(await numbers()).toEqual([1, 3, 5, 2, 4]);
  const listed: Listed[] = (await page()).nodes;
  expect(listed.every(({ sortOrder }) => sortOrder.length < 10)).toBe(true);
  expect(listed.map(({ version }) => version)).toEqual([2, 2, 2, 2, 2]);

  const [one, other] = [id(1), id(3)].map((text) => toUuid(text as 'task_'));
  await w.here.transactor.transact((tx) =>
    tx.execute(sql`update tasks set sort_order = 'a7' where id in (${one}, ${other})`),
  );
  const tied = await numbers();
  expect(tied.slice(-2).sort()).toEqual([1, 3]);
  const last = tied.at(-1) as number;
  expect((await move(5, { before: last })).errors).toEqual([]);
  expect((await numbers()).slice(-3)).toEqual([tied.at(-2), 5, last]);
});

test('a task that moves to another project takes the place of its new number there', async () => {
  await move(5, { before: 1 });
  const { task } = await w.mutate('moveTask', { id: id(5), projectId: w.f.web.id });
  expect(task.sortOrder).toBe(defaultSortOrder(task.number));
  expect(await numbers()).toEqual([1, 2, 3, 4]);
});

test('a task keeps its place in the trash, and none takes the key of its number', async () => {
  await w.mutate('deleteTask', { id: id(3) });
  await move(5, { after: 2 });
  await w.mutate('restoreTask', { id: id(3) });
  expect(await numbers()).toEqual([1, 2, 5, 3, 4]);
  await w.mutate('deleteTask', { id: id(5) });
  await w.mutate('restoreTask', { id: id(5) });
  expect(await numbers()).toEqual([1, 2, 5, 3, 4]);
});

test('subscribers learn that the sort order changed, and history does not list it', async () => {
  const cursor = (await w.read('query($id: ID!) { taskChangesSince(projectId: $id) { cursor } }', { id: projectId }))
    .taskChangesSince.cursor;
  await move(2, { after: 4 });
  const changes = `query($id: ID!, $cursor: String!) { taskChangesSince(projectId: $id, cursor: $cursor) {
    changes { type taskId changedFields } } }`;
  await eventually(async () =>
    expect((await w.read(changes, { id: projectId, cursor })).taskChangesSince.changes).toEqual([
      { type: 'UPDATED', taskId: id(2), changedFields: ['sortOrder'] },
    ]),
  );
  const history = 'query($id: ID!) { task(id: $id) { history { nodes { changes { kind } } } } }';
  expect((await w.read(history, { id: id(2) })).task.history.nodes).toEqual([{ changes: [{ kind: 'CREATED' }] }]);
});

test('the database computes the same keys of numbers', async () => {
  const edges = [
    0,
    61,
    62,
    3905,
    3906,
    242_233,
    242_234,
    15_018_569,
    15_018_570,
    931_151_401,
    931_151_402,
    2 ** 31 - 1,
  ];
  const steps = Array.from({ length: 3000 }, (_, i) => i * 97 + i * i);
  const all = [...edges, ...steps];
  const rows = await w.here.db.read.execute<{ key: string }>(
    sql`select default_sort_order(n) as key from unnest(${`{${all.join()}}`}::int[]) with ordinality as t(n, i) order by i`,
  );
  expect(rows.map(({ key }) => key)).toEqual(all.map(defaultSortOrder));
});
