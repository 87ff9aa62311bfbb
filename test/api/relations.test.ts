/** Relations between tasks: who sees them, what they decide, and that no cycle comes about. */
import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { fromUuid, newId, type ProjectId, type TaskId, toUuid, type UserId } from '../../src/db/ids.js';
import { MAX_BLOCKING_PAIRS } from '../../src/domain/tasks/task.blocked.js';
import { lockRelations, MAX_REACHED, reachedSql } from '../../src/domain/tasks/task-relation.graph.js';
import { MAX_RELATIONS, taskRelations } from '../../src/domain/tasks/task-relation.table.js';
import { restoreTask } from '../../src/domain/trash/restore-task.js';
import { dataOf, eventually } from '../support/app.js';
import { expectRefusal, type TwoProcesses, twoProcesses } from '../support/mutations.js';

const RELATED = 'task { id status version } relatedTask { id }';
let w: TwoProcesses;
beforeAll(async () => {
  w = await twoProcesses({
    addMember: 'memberEdge { role }',
    addTaskRelation: RELATED,
    completeTask: 'task { id }',
    createProject: 'project { id key }',
    createTask: 'task { id identifier }',
    deleteTask: 'deletedTaskId',
    moveTask: 'task { id }',
    removeMember: 'removedUserId',
    removeTaskRelation: RELATED,
    reopenTask: 'task { id }',
    restoreTask: 'task { id }',
    updateTask: 'task { id }',
  });
});
afterAll(() => w?.close());

interface Created {
  readonly id: TaskId;
  readonly identifier: string;
}

let number = 0;
let project: { id: ProjectId; key: string };
/** Four tasks in a project of their own. */
let tasks: [Created, Created, Created, Created];
const newProject = async () =>
  (await w.mutate('createProject', { key: `REL${++number}`, name: 'Related' })).project as typeof project;
const created = async (projectId: string = project.id): Promise<Created> =>
  (await w.mutate('createTask', { projectId, title: 'A task' })).task;
beforeEach(async () => {
  project = await newProject();
  tasks = [await created(), await created(), await created(), await created()];
});

type Type = 'BLOCKS' | 'BLOCKED_BY' | 'RELATES_TO' | 'DUPLICATE_OF';
const input = (task: Created, type: Type, related: Created) => ({ taskId: task.id, type, relatedTaskId: related.id });
const add = (task: Created, type: Type, related: Created, options = {}) =>
  w.mutate('addTaskRelation', input(task, type, related), options);
const remove = (task: Created, type: Type, related: Created) =>
  w.mutate('removeTaskRelation', input(task, type, related));
const added = async (task: Created, type: Type, related: Created) =>
  expect((await add(task, type, related)).errors).toEqual([]);

const RELATIONS = `query($id: ID!) { task(id: $id) { isBlocked duplicateOf { id }
  blocks { totalCount nodes { id } } blockedBy { totalCount nodes { id } }
  relatesTo { totalCount nodes { id } } duplicates { totalCount nodes { id } } } }`;
/** The ids of related tasks by field, where there are any. */
async function relationsOf({ id }: Created, as: UserId = w.f.ada.id) {
  const { isBlocked, duplicateOf, ...lists } = (await w.read(RELATIONS, { id }, as)).task;
  const ids = Object.entries(lists as Record<string, { totalCount: number; nodes: { id: string }[] }>).flatMap(
    ([field, { totalCount, nodes }]) => {
      expect(totalCount).toBe(nodes.length);
      return nodes.length > 0 ? [[field, nodes.map((node) => node.id)]] : [];
    },
  );
  return { isBlocked, ...(duplicateOf && { duplicateOf: duplicateOf.id }), ...Object.fromEntries(ids) };
}

const BLOCKED = `query($key: String!, $isBlocked: Boolean!) {
  tasks(filter: { project: { key: { eq: $key } }, isBlocked: $isBlocked }, orderBy: [{ field: CREATED_AT, direction: ASC }]) {
    totalCount nodes { id } } }`;
async function blockedIn({ key }: { key: string }, isBlocked = true, as: UserId = w.f.ada.id): Promise<string[]> {
  const { totalCount, nodes } = (await w.read(BLOCKED, { key, isBlocked }, as)).tasks;
  expect(totalCount).toBe(nodes.length);
  return nodes.map(({ id }: Created) => id);
}

/** How many transactions of this database wait for a lock of a kind. */
async function waiting(locktype: string): Promise<number> {
  const rows = await w.here.db.read.execute(sql`
    select from pg_locks l join pg_stat_activity a on a.pid = l.pid
    where l.locktype = ${locktype} and not l.granted and a.datname = current_database()`);
  return rows.length;
}

test('each relation shows on both tasks, and is gone when it is removed', async () => {
  const [a, b, c] = tasks;
  expect(await relationsOf(a)).toEqual({ isBlocked: false });
  expect(await add(a, 'BLOCKS', b)).toEqual({
    task: { id: a.id, status: 'BACKLOG', version: 1 },
    relatedTask: { id: b.id },
    errors: [],
  });
  await added(a, 'BLOCKED_BY', c);
  await added(b, 'RELATES_TO', a);
  await added(a, 'RELATES_TO', b); // the same one
  expect(await relationsOf(a)).toEqual({ isBlocked: true, blocks: [b.id], blockedBy: [c.id], relatesTo: [b.id] });
  expect(await relationsOf(b)).toEqual({ isBlocked: true, blockedBy: [a.id], relatesTo: [a.id] });
  expect(await relationsOf(c)).toEqual({ isBlocked: false, blocks: [a.id] });
  await remove(b, 'BLOCKED_BY', a);
  await remove(a, 'RELATES_TO', b);
  expectRefusal(await remove(a, 'RELATES_TO', b), 'NotFoundError', 'relatedTaskId');
  expect(await relationsOf(a)).toEqual({ isBlocked: true, blockedBy: [c.id] });
  expect(await relationsOf(b)).toEqual({ isBlocked: false });
});

test('a duplicate is canceled unless it is done, and has one original', async () => {
  const [a, b, c, d] = tasks;
  await w.mutate('completeTask', { id: b.id });
  expect((await add(a, 'DUPLICATE_OF', c)).task).toEqual({ id: a.id, status: 'CANCELED', version: 2 });
  expect((await add(b, 'DUPLICATE_OF', c)).task).toEqual({ id: b.id, status: 'DONE', version: 2 });
  expect(await relationsOf(c)).toEqual({ isBlocked: false, duplicates: [a.id, b.id] });
  expect(await relationsOf(a)).toEqual({ isBlocked: false, duplicateOf: c.id });
  const cyclic = await add(c, 'DUPLICATE_OF', a);
  expectRefusal(cyclic, 'ValidationError', 'relatedTaskId');
  expect(cyclic.errors[0].message).toBe(
    `expected no cycle: ${c.identifier} is a duplicate of ${a.identifier}, which is a duplicate of ${c.identifier}`,
  );
  await added(a, 'DUPLICATE_OF', d); // in place of the other
  expect(await relationsOf(a)).toEqual({ isBlocked: false, duplicateOf: d.id });
});

describe('isBlocked', () => {
  test('follows the statuses of blocking tasks, in the field and in lists', async () => {
    const [a, b, c, d] = tasks;
    expect(await blockedIn(project)).toEqual([]);
    expect(await blockedIn(project, false)).toEqual(tasks.map(({ id }) => id));
    await added(a, 'BLOCKS', b);
    await added(c, 'BLOCKS', b);
    await added(a, 'BLOCKS', d);
    expect(await blockedIn(project)).toEqual([b.id, d.id]);
    expect(await blockedIn(project, false)).toEqual([a.id, c.id]);
    await w.mutate('completeTask', { id: a.id });
    expect(await blockedIn(project)).toEqual([b.id]);
    expect(await relationsOf(d)).toMatchObject({ isBlocked: false });
    await w.mutate('updateTask', { id: c.id, status: 'CANCELED' });
    expect(await blockedIn(project)).toEqual([]);
    await w.mutate('reopenTask', { id: a.id });
    expect(await blockedIn(project)).toEqual([b.id, d.id]);
    await remove(b, 'BLOCKED_BY', a);
    expect(await blockedIn(project)).toEqual([d.id]);
    await w.mutate('deleteTask', { id: a.id });
    expect(await blockedIn(project)).toEqual([]);
  });

  test('follows blocking tasks of other projects, also when they move', async () => {
    const [a] = tasks;
    const [one, two] = [await newProject(), await newProject()];
    const blocker = await created(one.id);
    expect(await blockedIn(project)).toEqual([]);
    await added(blocker, 'BLOCKS', a);
    expect(await blockedIn(project)).toEqual([a.id]);
    await w.mutate('moveTask', { id: blocker.id, projectId: two.id });
    expect(await blockedIn(project)).toEqual([a.id]);
    expect(await relationsOf(a)).toEqual({ isBlocked: true, blockedBy: [blocker.id] });
    await w.mutate('completeTask', { id: blocker.id });
    expect(await blockedIn(project)).toEqual([]);
    await w.mutate('reopenTask', { id: blocker.id });
    await w.mutate('moveTask', { id: a.id, projectId: one.id });
    expect(await blockedIn(project)).toEqual([]);
    expect(await blockedIn(one)).toEqual([a.id]);
  });
});

describe('a filter by isBlocked', () => {
  test('appears twice at most', async () => {
    const filter = { or: [{ isBlocked: true }, { isBlocked: false }, { not: { isBlocked: true } }] };
    const document = 'query($filter: TaskFilter) { tasks(filter: $filter) { totalCount } }';
    const { errors } = await w.here.ask(document, { as: w.f.ada.id, variables: { filter } });
    expect(errors).toMatchObject([{ message: expect.stringContaining('filter.or.2.not.isBlocked') }]);
  });

  test('must name projects where the pairs of them are too many', async () => {
    const width = Math.ceil(Math.sqrt(MAX_BLOCKING_PAIRS)) + 1;
    const { eve } = w.f;
    await w.here.transactor.transact((tx) =>
      tx.execute(sql`
        with places as (
          insert into projects (id, key, name) select gen_random_uuid(), 'MANY' || n, 'One of many'
          from generate_series(1, ${sql.raw(String(width))}) as n returning id),
        members as (insert into project_members (project_id, user_id, role)
          select id, ${toUuid(eve.id)}::uuid, 'OWNER' from places),
        placed as (insert into tasks (id, project_id, number, title, creator_id)
          select gen_random_uuid(), id, 1, 'A task', ${toUuid(eve.id)}::uuid from places returning id, project_id)
        insert into task_relations (task_id, type, related_task_id, project_id, related_project_id)
        select a.id, 'BLOCKS', b.id, a.project_id, b.project_id from placed a join placed b on a.id <> b.id`),
    );
    const list = (filter: object) =>
      w.here.ask('query($filter: TaskFilter) { tasks(filter: $filter) { totalCount } }', {
        as: eve.id,
        variables: { filter: { isBlocked: true, ...filter } },
      });
    expect((await list({})).errors).toMatchObject([{ message: expect.stringContaining('filter by project') }]);
    expect(dataOf(await list({ project: { key: { in: ['MANY1', 'MANY2'] } } })).tasks.totalCount).toBe(2);
  });
});

describe('a related task in a hidden project', () => {
  test('is left out, and does not count as blocking', async () => {
    const [a, b] = tasks;
    const hidden = await newProject();
    const [blocker, original] = [await created(hidden.id), await created(hidden.id)];
    const { bob } = w.f;
    await w.mutate('addMember', { projectId: project.id, userId: bob.id, role: 'MEMBER' });
    await added(blocker, 'BLOCKS', a);
    await added(a, 'RELATES_TO', blocker);
    await added(b, 'DUPLICATE_OF', original);
    expect(await relationsOf(a)).toEqual({ isBlocked: true, blockedBy: [blocker.id], relatesTo: [blocker.id] });
    expect(await relationsOf(a, bob.id)).toEqual({ isBlocked: false });
    expect(await relationsOf(b, bob.id)).toEqual({ isBlocked: false });
    expect(await blockedIn(project)).toEqual([a.id]);
    expect(await blockedIn(project, true, bob.id)).toEqual([]);
    await w.mutate('addMember', { projectId: hidden.id, userId: bob.id, role: 'VIEWER' });
    expect(await relationsOf(a, bob.id)).toMatchObject({ isBlocked: true });
    expect(await blockedIn(project, true, bob.id)).toEqual([a.id]);
    expectRefusal(await add(a, 'BLOCKS', original, { as: bob.id }), 'PermissionError', 'relatedTaskId');
    await w.mutate('removeMember', { projectId: hidden.id, userId: bob.id });
    expect(await relationsOf(a, bob.id)).toEqual({ isBlocked: false });
    expect(await blockedIn(project, true, bob.id)).toEqual([]);
    const strange = await add(a, 'BLOCKS', original, { as: bob.id });
    expect(strange.errors).toEqual((await add(a, 'BLOCKS', { ...a, id: newId('task') }, { as: bob.id })).errors);

    const history = 'query($id: ID!) { task(id: $id) { history { nodes { changes { kind } } } } }';
    const kinds = async (as: UserId) =>
      (await w.read(history, { id: a.id }, as)).task.history.nodes.flatMap(
        ({ changes }: { changes: { kind: string }[] }) => changes.map(({ kind }) => kind),
      );
    expect(await kinds(w.f.ada.id)).toEqual(['RELATION_ADDED', 'RELATION_ADDED', 'CREATED']);
    expect(await kinds(bob.id)).toEqual(['CREATED']);
  });

  test('can be removed and replaced by who can write the other end', async () => {
    const [a, b, c] = tasks;
    const hidden = await newProject();
    const [blocker, original] = [await created(hidden.id), await created(hidden.id)];
    const { bob } = w.f;
    await w.mutate('addMember', { projectId: project.id, userId: bob.id, role: 'MEMBER' });
    await added(blocker, 'BLOCKS', a);
    await added(b, 'DUPLICATE_OF', original);
    const removed = (related: Created) =>
      w.mutate('removeTaskRelation', input(a, 'BLOCKED_BY', related), { as: bob.id });
    expect(await removed(blocker)).toMatchObject({ task: { id: a.id }, relatedTask: null, errors: [] });
    const unrelated = await removed(original);
    expectRefusal(unrelated, 'NotFoundError', 'relatedTaskId');
    expect((await removed({ ...a, id: newId('task') })).errors).toEqual(unrelated.errors);
    expect((await add(b, 'DUPLICATE_OF', c, { as: bob.id })).errors).toEqual([]);
    expect(await relationsOf(original)).toEqual({ isBlocked: false });
    expect(await relationsOf(b)).toEqual({ isBlocked: false, duplicateOf: c.id });
  });

  test('is not named by the refusal of a cycle', async () => {
    const [a, b] = tasks;
    const hidden = await newProject();
    const between = await created(hidden.id);
    const { bob } = w.f;
    await w.mutate('addMember', { projectId: project.id, userId: bob.id, role: 'MEMBER' });
    await added(a, 'BLOCKS', between);
    await added(between, 'BLOCKS', b);
    const refused = await add(b, 'BLOCKS', a, { as: bob.id });
    expectRefusal(refused, 'ValidationError', 'relatedTaskId');
    expect(refused.errors[0].message).toBe(
      `expected no cycle: ${b.identifier} blocks ${a.identifier}, which blocks a task that you cannot see, which blocks ${b.identifier}`,
    );
  });
});

describe('a cycle', () => {
  test('is refused, however many tasks form it', async () => {
    const [a, b, c, d] = tasks;
    await added(a, 'BLOCKS', b);
    expectRefusal(await add(b, 'BLOCKS', a), 'ValidationError', 'relatedTaskId');
    expectRefusal(await add(a, 'BLOCKED_BY', b), 'ValidationError', 'relatedTaskId');
    await added(b, 'BLOCKS', c);
    await added(b, 'BLOCKS', d);
    await added(c, 'BLOCKS', d);
    expectRefusal(await add(d, 'BLOCKS', a), 'ValidationError', 'relatedTaskId');
    await added(d, 'RELATES_TO', a);
    await added(a, 'BLOCKS', d);
  });

  test('is refused when two writers close it together, in projects that have nothing in common', async () => {
    const [a, b] = tasks;
    const others = [await newProject(), await newProject(), await newProject()];
    const [c, d] = [await created(others[1]?.id), await created(others[2]?.id)];
    await added(b, 'BLOCKS', c);
    await added(d, 'BLOCKS', a);
    let adding: ReturnType<typeof add> | undefined;
    await w.here.transactor.transact(async (tx) => {
      await lockRelations(tx);
      await tx.insert(taskRelations).values({
        taskId: c.id,
        type: 'BLOCKS',
        relatedTaskId: d.id,
        projectId: others[1]?.id as ProjectId,
        relatedProjectId: others[2]?.id as ProjectId,
      });
      adding = w.mutate('addTaskRelation', input(a, 'BLOCKS', b), { on: w.there });
      await eventually(async () => expect(await waiting('advisory')).toBe(1));
    });
    expectRefusal(await adding, 'ValidationError', 'relatedTaskId');
  });

  test('of many ways is found in one pass', async () => {
    // 2^20 ways lead through these.
    const { value: ids } = await w.here.transactor.transact(async (tx) => {
      const rows = await tx.execute<{ id: string }>(sql`
        insert into tasks (id, project_id, number, title, creator_id)
        select gen_random_uuid(), ${toUuid(project.id)}, 1000 + n, 'One of many', ${toUuid(w.f.ada.id)}
        from generate_series(0, 60) as n returning id`);
      const id = (i: number) => rows[i]?.id;
      for (let i = 0; i < 60; i += 3) {
        for (const [from, to] of [
          [i, i + 1],
          [i, i + 2],
          [i + 1, i + 3],
          [i + 2, i + 3],
        ] as const) {
          await tx.execute(sql`insert into task_relations (task_id, type, related_task_id, project_id, related_project_id)
            values (${id(from)}, 'BLOCKS', ${id(to)}, ${toUuid(project.id)}, ${toUuid(project.id)})`);
        }
      }
      return [rows[0]?.id, rows[60]?.id];
    });
    const [first, last] = ids.map((uuid) => ({ id: fromUuid('task', uuid as string), identifier: '' })) as [
      Created,
      Created,
    ];
    expectRefusal(await add(last, 'BLOCKS', first), 'ValidationError', 'relatedTaskId');
  });
});

describe('tasks that a new relation leads on to', () => {
  /** Layers of tasks, each of which blocks all of the next layer; the given task blocks the first layer. */
  const layersBehind = (first: Created, layers: number, width: number) =>
    w.here.transactor.transact((tx) =>
      tx.execute(sql`
        with many as (
          insert into tasks (id, project_id, number, title, creator_id)
          select gen_random_uuid(), ${toUuid(project.id)}, 1000 + n, 'One of many', ${toUuid(w.f.ada.id)}
          from generate_series(0, ${sql.raw(String(layers * width - 1))}) as n
          returning id, (number - 1000) / ${sql.raw(String(width))} as layer),
        placed as (select id, layer from many union all select ${toUuid(first.id)}, -1)
        insert into task_relations (task_id, type, related_task_id, project_id, related_project_id)
        select a.id, 'BLOCKS', b.id, ${toUuid(project.id)}, ${toUuid(project.id)}
        from placed a join placed b on b.layer = a.layer + 1`),
    );

  test('are read once each', async () => {
    const [a, b] = tasks;
    await layersBehind(a, 3, 40);
    const statement = await w.here.transactor.transact(async (tx) => {
      await lockRelations(tx);
      const rows = await tx.execute<{ 'QUERY PLAN': string }>(sql`explain (analyze, costs off, timing off, summary off)
        ${reachedSql([a.id], 'BLOCKS')} select count(*) from reached`);
      return rows.map((row) => row['QUERY PLAN']).join();
    });
    expect(statement.value).toMatch(/CTE Scan on reached \(actual rows=121/);
    await added(b, 'BLOCKS', a);
  });

  test('are bounded', async () => {
    const [a, b, c] = tasks;
    await layersBehind(a, 1, MAX_REACHED);
    const refused = await add(b, 'BLOCKS', a);
    expectRefusal(refused, 'ValidationError', 'type');
    expect(refused.errors[0].code).toBe('LIMIT');
    await added(a, 'DUPLICATE_OF', c);
  });
});

/** Relates the task to `count` new ones, which it blocks, too. */
async function relatedToMany({ id }: Created, count: number): Promise<void> {
  await w.here.transactor.transact((tx) =>
    tx.execute(sql`
      with many as (
        insert into tasks (id, project_id, number, title, creator_id)
        select gen_random_uuid(), ${toUuid(project.id)}, 1000 + n, 'One of many', ${toUuid(w.f.ada.id)}
        from generate_series(1, ${count}::int) as n returning id)
      insert into task_relations (task_id, type, related_task_id, project_id, related_project_id)
      select ${toUuid(id)}, 'BLOCKS'::task_relation_type, id, ${toUuid(project.id)}::uuid, ${toUuid(project.id)}::uuid from many
      union all select least(id, ${toUuid(id)}), 'RELATES_TO', greatest(id, ${toUuid(id)}), ${toUuid(project.id)}, ${toUuid(project.id)}
      from many`),
  );
}

test('a task has up to a hundred relations of a kind', async () => {
  const [a, b] = tasks;
  await relatedToMany(a, MAX_RELATIONS);
  const refused = await add(a, 'BLOCKS', b);
  expectRefusal(refused, 'ValidationError', 'type');
  expect(refused.errors[0].code).toBe('LIMIT');
  await added(a, 'BLOCKED_BY', b);
});

test('pages of related tasks go in both directions', async () => {
  const [a, ...others] = tasks;
  for (const other of others) await added(a, 'BLOCKS', other);
  const page = async (args: string) =>
    (
      await w.read(
        `{ task(id: "${a.id}") { blocks(${args}) { totalCount nodes { id } pageInfo { endCursor startCursor hasNextPage } } } }`,
      )
    ).task.blocks;
  const first = await page('first: 2');
  expect(first.nodes.map(({ id }: Created) => id)).toEqual(others.slice(0, 2).map(({ id }) => id));
  expect([first.totalCount, first.pageInfo.hasNextPage]).toEqual([3, true]);
  const next = await page(`first: 2, after: "${first.pageInfo.endCursor}"`);
  expect(next.nodes).toEqual([{ id: others[2]?.id }]);
  const back = await page(`last: 1, before: "${next.pageInfo.startCursor}"`);
  expect(back.nodes).toEqual([{ id: others[1]?.id }]);
});

describe('the trash', () => {
  test('keeps the relations of a task, and gives back those to tasks that exist', async () => {
    const [a, b, c, d] = tasks;
    await added(a, 'BLOCKS', b);
    await added(a, 'BLOCKED_BY', c);
    await added(a, 'RELATES_TO', d);
    await w.mutate('deleteTask', { id: a.id });
    expect(await relationsOf(b)).toEqual({ isBlocked: false });
    await w.mutate('deleteTask', { id: d.id });
    await w.mutate('restoreTask', { id: a.id });
    expect(await relationsOf(a)).toEqual({ isBlocked: true, blocks: [b.id], blockedBy: [c.id] });
    await w.mutate('restoreTask', { id: d.id });
    expect(await relationsOf(a)).toMatchObject({ relatesTo: [d.id] });
    const history = 'query($id: ID!) { task(id: $id) { history { nodes { changes { kind } } } } }';
    expect((await w.read(history, { id: b.id })).task.history.nodes).toHaveLength(2);
  });

  test('gives back the relation of two tasks that are restored at once', async () => {
    const [a] = tasks;
    const other = await newProject();
    const original = await created(other.id);
    await added(a, 'DUPLICATE_OF', original);
    await w.mutate('deleteTask', { id: a.id });
    await w.mutate('deleteTask', { id: original.id });
    const rest = { labelIds: [], subtaskIds: [], relations: [], parentId: null, assigneeIds: [] };
    let restoring: ReturnType<typeof add> | undefined;
    await w.here.transactor.transact(async (tx) => {
      await restoreTask(tx, { id: original.id, projectId: other.id, ...rest });
      restoring = w.mutate('restoreTask', { id: a.id }, { on: w.there });
      await eventually(async () => expect(await waiting('transactionid')).toBe(1));
    });
    expect((await restoring).errors).toEqual([]);
    expect(await relationsOf(a)).toEqual({ isBlocked: false, duplicateOf: original.id });
  });

  test('gives back no relation that would close a cycle', async () => {
    const [a, b, c] = tasks;
    await added(a, 'BLOCKS', b);
    await added(c, 'BLOCKS', a);
    await w.mutate('deleteTask', { id: a.id });
    await added(b, 'BLOCKS', c);
    expect((await w.mutate('restoreTask', { id: a.id })).errors).toEqual([]);
    expect(await relationsOf(a)).toEqual({ isBlocked: false, blocks: [b.id] });
  });

  test('gives back no relation to a task that has a hundred of the kind, nor more than a hundred of its own', async () => {
    const [a, b, c, d] = tasks;
    await relatedToMany(a, MAX_RELATIONS - 1);
    for (const type of ['BLOCKS', 'RELATES_TO'] as const) await added(a, type, b);
    await w.mutate('deleteTask', { id: b.id });
    for (const type of ['BLOCKS', 'RELATES_TO'] as const) await added(a, type, c);
    expect((await w.mutate('restoreTask', { id: b.id })).errors).toEqual([]);
    expect(await relationsOf(b)).toEqual({ isBlocked: false });
    await w.mutate('deleteTask', { id: c.id });
    await added(a, 'BLOCKS', d);
    await w.mutate('deleteTask', { id: a.id });
    await w.mutate('restoreTask', { id: c.id }); // its relations wait for the other task in the trash
    await w.mutate('restoreTask', { id: a.id });
    const counts = await w.read(
      'query($id: ID!) { task(id: $id) { blocks { totalCount } relatesTo { totalCount } } }',
      {
        id: a.id,
      },
    );
    const all = { totalCount: MAX_RELATIONS };
    expect(counts.task).toEqual({ blocks: all, relatesTo: all });
  });
});

test('subscribers and history learn of a relation on both tasks', async () => {
  const [a, b] = tasks;
  const cursor = (await w.read('query($id: ID!) { taskChangesSince(projectId: $id) { cursor } }', { id: project.id }))
    .taskChangesSince.cursor;
  await added(a, 'BLOCKS', b);
  await remove(a, 'BLOCKS', b);
  const changes = `query($id: ID!, $cursor: String!) { taskChangesSince(projectId: $id, cursor: $cursor) {
    changes { taskId changedFields } } }`;
  const seen: unknown[] = [];
  await eventually(async () => {
    seen.splice(0, seen.length, ...(await w.read(changes, { id: project.id, cursor })).taskChangesSince.changes);
    expect(seen).toEqual(
      expect.arrayContaining([
        { taskId: a.id, changedFields: ['blocks'] },
        { taskId: b.id, changedFields: ['blockedBy'] },
      ]),
    );
  });
  const history = `query($id: ID!) { task(id: $id) { history { nodes { actor { handle } changes { kind
    ... on HistoryRelationChange { relation relatedTask { id } } } } } } }`;
  const of = async ({ id }: Created) => (await w.read(history, { id })).task.history.nodes.slice(0, 2);
  const entry = (kind: string, relation: string, related: Created) => ({
    actor: { handle: 'ada' },
    changes: [{ kind, relation, relatedTask: { id: related.id } }],
  });
  expect(await of(a)).toEqual([entry('RELATION_REMOVED', 'BLOCKS', b), entry('RELATION_ADDED', 'BLOCKS', b)]);
  expect(await of(b)).toEqual([entry('RELATION_REMOVED', 'BLOCKED_BY', a), entry('RELATION_ADDED', 'BLOCKED_BY', a)]);
});

test('relations of twenty tasks are read by as many statements as those of one', async () => {
  const [a, b, c, d] = tasks;
  await added(a, 'BLOCKS', b);
  await added(c, 'BLOCKS', d);
  const statementsOf = async (first: number) => {
    const query = `{ project(id: "${project.id}") { tasks(first: ${first}) { nodes { isBlocked blockedBy { nodes { id } } blocks { totalCount } } } } }`;
    await w.here.transactor.transact((tx) =>
      tx.execute(sql`update tasks set version = version where project_id = ${toUuid(project.id)}`),
    );
    w.there.reset();
    await w.read(query);
    return w.there.counts.statements.filter((text) => text.includes('task_relations')).length;
  };
  expect(await statementsOf(1)).toBeLessThanOrEqual(1);
  expect(await statementsOf(4)).toBeLessThanOrEqual(1);
});
