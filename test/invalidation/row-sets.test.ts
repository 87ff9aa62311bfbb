/** What a statement touches, tag by tag. The expected tags are made by the TypeScript side, so the two sides cannot drift. */
import { randomBytes } from 'node:crypto';
import { eq, sql } from 'drizzle-orm';
import { bigint, boolean, date, integer, pgTable, text, uuid } from 'drizzle-orm/pg-core';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { newId, toUuid } from '../../src/db/ids.js';
import { commentRows, comments } from '../../src/domain/comments/comment.table.js';
import { historyRows } from '../../src/domain/history/history.table.js';
import { labelRows, labels } from '../../src/domain/labels/label.table.js';
import { memberRows, projectMembers, projectRows, projects } from '../../src/domain/projects/project.table.js';
import { formerNumberRows } from '../../src/domain/tasks/former-number.table.js';
import { taskLabelRows, taskLabels, taskRows, tasks } from '../../src/domain/tasks/task.table.js';
import { taskDocumentRows } from '../../src/domain/tasks/task-document.table.js';
import { userRows, users } from '../../src/domain/users/user.table.js';
import type { Tag } from '../../src/engine/cache/index.js';
import { type MainDatabase, openDatabase } from '../../src/engine/postgres/database.js';
import type { Transaction } from '../../src/engine/postgres/executor.js';
import { rowSets } from '../../src/engine/postgres/row-sets.js';
import { triggersSql } from '../../src/engine/postgres/triggers.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { type Fixture, writeFixture } from '../support/fixture.js';

let database: TestDatabase;
let db: MainDatabase;
let f: Fixture;

beforeAll(async () => {
  database = await createDatabase();
  db = openDatabase({ url: database.url });
});
afterAll(async () => {
  await db?.close();
  await database?.drop();
});
beforeEach(async () => {
  await db.write.execute(sql`truncate ${users}, ${projects} cascade`);
  f = await db.write.transaction((tx) => writeFixture(tx));
});

/** Row-set functions answer the row-set's tag and its table's; triggers name the first alone. */
const first = (...tagPairs: (readonly [Tag, Tag])[]) => [...new Set(tagPairs.map(([tag]) => tag as string))].sort();

const named = sql`
  select distinct tag from cache_outbox, unnest(tags) as tag
  where xid = pg_current_xact_id_if_assigned()`;

/** The tags in the outbox of one transaction, without those of the history that triggers write. */
async function touched(run: (tx: Transaction) => Promise<unknown>): Promise<string[]> {
  return (await allTouched(run)).filter((tag) => !ofHistory(tag));
}

const ofHistory = (tag: string) => tag.startsWith(historyRows.table);

async function allTouched(run: (tx: Transaction) => Promise<unknown>): Promise<string[]> {
  return await db.write.transaction(async (tx) => {
    await run(tx);
    return (await tx.execute<{ tag: string }>(named)).map(({ tag }) => tag).sort();
  });
}

interface TaskLike {
  readonly id: `task_${string}`;
  readonly projectId: `project_${string}`;
  readonly number: number;
  readonly assigneeId: `user_${string}`;
  readonly creatorId: `user_${string}`;
}
/** What any change but that of a text touches. */
const lists = (task: Pick<TaskLike, 'projectId' | 'assigneeId' | 'creatorId'>) => [
  taskRows.byProject(task.projectId),
  taskRows.byAssignee(task.assigneeId),
  taskRows.byCreator(task.creatorId),
];
/** What lists of its project that look at few columns depend on. */
const aspects = ({ projectId }: Pick<TaskLike, 'projectId'>) => [
  taskRows.membershipByProject(projectId),
  taskRows.statusByProject(projectId),
  taskRows.priorityByProject(projectId),
  taskRows.assigneeByProject(projectId),
  taskRows.dueDateByProject(projectId),
  taskRows.parentByProject(projectId),
  taskRows.statsByProject(projectId),
];
/** What any change of it touches. */
const row = (task: Pick<TaskLike, 'id' | 'projectId'>) => [
  taskRows.byId(task.id),
  taskRows.anyByProject(task.projectId),
];
/** What a change of its texts touches besides. */
const words = ({ projectId }: Pick<TaskLike, 'projectId'>) => taskDocumentRows.byProject(projectId);
/** Its place in the manual order, which a new task has by its number. */
const placeOf = ({ projectId }: Pick<TaskLike, 'projectId'>) => taskRows.orderByProject(projectId);
const allOf = (task: TaskLike) => [
  ...row(task),
  taskRows.byNumber(task.projectId, task.number),
  ...lists(task),
  ...aspects(task),
];

/** Aspects that lists have besides that of membership, which sees new tasks: what a deleted task touches more than a new one. */
const onceThere = ({ projectId }: Pick<TaskLike, 'projectId'>) => [
  taskRows.otherAssigneesByProject(projectId),
  taskRows.startDateByProject(projectId),
  taskRows.estimateByProject(projectId),
];

function newTasks(count: number) {
  return Array.from({ length: count }, (_, i) => ({
    id: newId('task'),
    projectId: f.web.id,
    number: 1000 + i,
    title: `Many ${i}`,
    assigneeId: f.ada.id,
    creatorId: f.ada.id,
  }));
}

describe('a task', () => {
  const one = () => f.opsTasks[0] as Fixture['opsTasks'][number];
  const set = (tx: Transaction, values: Partial<typeof tasks.$inferInsert>) =>
    tx.update(tasks).set(values).where(eq(tasks.id, one().id));

  test('inserted: its id, its number, and every list it enters', async () => {
    const [parent] = f.opsTasks;
    const task = { ...one(), id: newId('task'), number: 99, parentId: one().id };
    const tags = await touched((tx) => tx.insert(tasks).values(task));
    const { id } = parent as TaskLike;
    expect(tags).toEqual(first(...allOf(task), taskRows.byParent(id), taskRows.membershipByParent(id)));
  });

  test('inserted without assignee and parent: no list of nobody', async () => {
    const task = { ...one(), id: newId('task'), number: 99, assigneeId: null };
    const tags = await touched((tx) => tx.insert(tasks).values(task));
    expect(tags).toEqual(
      first(
        ...[...row(task), taskRows.byNumber(f.ops.id, 99), taskRows.byProject(f.ops.id), taskRows.byCreator(f.ada.id)],
        ...aspects(task),
      ),
    );
  });

  test.each([
    ['status', { status: 'TODO' as const }, taskRows.statusByProject],
    ['priority', { priority: 'HIGH' as const }, taskRows.priorityByProject],
    ['due date', { dueDate: '2030-02-03' }, taskRows.dueDateByProject],
  ])(
    'with another %s: its id, the lists it is in, its aspect of the project, the statistics, not what finds it by number',
    async (_, values, aspect) => {
      const expected = first(...row(one()), ...lists(one()), aspect(f.ops.id), taskRows.statsByProject(f.ops.id));
      expect(await touched((tx) => set(tx, values))).toEqual(expected);
    },
  );

  test('under another parent: both parents, and the aspect of its project', async () => {
    const two = f.opsTasks[1] as TaskLike;
    const three = f.opsTasks[2] as TaskLike;
    await db.write.update(tasks).set({ parentId: two.id }).where(eq(tasks.id, one().id));
    const parents = [two, three].flatMap(({ id }) => [taskRows.byParent(id), taskRows.membershipByParent(id)]);
    expect(await touched((tx) => set(tx, { parentId: three.id }))).toEqual(
      first(...row(one()), ...lists(one()), ...parents, taskRows.parentByProject(f.ops.id)),
    );
    await db.write.update(tasks).set({ parentId: null }).where(eq(tasks.id, one().id));
  });

  test.each([
    ['title', { title: 'Another, with "quotes" and ünïcödé 🎈' }],
    ['description', { description: 'x' }],
  ])('with another %s, which no list shows: its id, the lists that look at everything, searches', async (_, values) => {
    expect(await touched((tx) => set(tx, values))).toEqual(first(...row(one()), words(one())));
  });

  test('with another version and time of change: its id, and the lists that look at everything', async () => {
    const values = { version: 7, updatedAt: '2031-01-01T00:00:00.000Z' };
    expect(await touched((tx) => set(tx, values))).toEqual(first(...row(one())));
  });

  test('changed: no tag of its history, which depends on its row', async () => {
    expect(await allTouched((tx) => set(tx, { title: 'Recorded' }))).toEqual(first(...row(one()), words(one())));
  });

  test('with a label less: its history and that of its project, which do not depend on labels', async () => {
    const tags = await allTouched((tx) => tx.delete(taskLabels).where(eq(taskLabels.taskId, one().id)));
    expect(tags.filter(ofHistory)).toEqual(
      first(historyRows.aloneByTask(one().id), historyRows.aloneByProject(one().projectId)),
    );
  });

  test('written as it was: nothing', async () => {
    expect(await touched((tx) => set(tx, { title: one().title, assigneeId: one().assigneeId }))).toEqual([]);
    expect(await touched((tx) => tx.update(tasks).set({ title: sql`${tasks.title}` }))).toEqual([]);
    expect(
      await touched((tx) =>
        set(tx, { title: 'nobody' }).then(() => tx.update(tasks).set({ title: 'x' }).where(sql`false`)),
      ),
    ).toEqual(first(...row(one()), words(one())));
  });

  test('moved between assignees: both lists, and the one of its project', async () => {
    expect(one().assigneeId).toBe(f.ada.id);
    expect(await touched((tx) => set(tx, { assigneeId: f.bob.id }))).toEqual(
      first(
        ...row(one()),
        taskRows.byProject(f.ops.id),
        taskRows.assigneeByProject(f.ops.id),
        taskRows.byAssignee(f.ada.id),
        taskRows.byAssignee(f.bob.id),
        taskRows.byCreator(f.ada.id),
      ),
    );
  });

  test('taken from its assignee: the list it left', async () => {
    expect(await touched((tx) => set(tx, { assigneeId: null }))).toEqual(
      first(...row(one()), ...lists(one()), taskRows.assigneeByProject(f.ops.id)),
    );
  });

  test('two tasks that swap their assignees in one statement: both lists, although each holds as many as before', async () => {
    const two = f.opsTasks[1] as TaskLike;
    const swap = sql`update ${tasks} set assignee_id =
      case when assignee_id = ${toUuid(f.ada.id)}::uuid then ${toUuid(f.bob.id)}::uuid else ${toUuid(f.ada.id)}::uuid end
      where id in (${toUuid(one().id)}::uuid, ${toUuid(two.id)}::uuid)`;
    expect(await touched((tx) => tx.execute(swap))).toEqual(
      first(...row(one()), ...row(two), ...lists(one()), ...lists(two)),
    );
  });

  test('renumbered: both numbers', async () => {
    const numbers = [one().number, 77].map((number) => taskRows.byNumber(f.ops.id, number));
    expect(await touched((tx) => set(tx, { number: 77 }))).toEqual(
      first(
        ...[...row(one()), words(one()), ...lists(one()), ...numbers, taskRows.membershipByProject(f.ops.id)],
        ...[formerNumberRows.byNumber(f.ops.id, one().number), formerNumberRows.byTask(one().id)],
      ),
    );
  });

  test('deleted: all its own, what it bore, what was said on it', async () => {
    const said = await db.read.select().from(comments).where(eq(comments.taskId, one().id));
    expect(said).toHaveLength(1);
    const tags = await touched((tx) => tx.delete(tasks).where(eq(tasks.id, one().id)));
    expect(tags).toEqual(
      first(
        ...allOf(one()),
        ...onceThere(one()),
        words(one()),
        placeOf(one()),
        taskLabelRows.byProject(f.ops.id),
        taskLabelRows.byTask(one().id),
        taskLabelRows.byLabel(f.bug.id),
        taskLabelRows.byLabel(f.docs.id),
        ...said.map(({ id }) => commentRows.byId(id)),
        commentRows.byTask(one().id),
      ),
    );
  });
});

describe('a task with other assignees', () => {
  const one = () => f.opsTasks[0] as Fixture['opsTasks'][number];
  const give = (values: Partial<typeof tasks.$inferInsert>) =>
    touched((tx) => tx.update(tasks).set(values).where(eq(tasks.id, one().id)));
  const listsOf = (...users: readonly { id: `user_${string}` }[]) => [
    ...users.map(({ id }) => taskRows.byAssignee(id)),
    taskRows.byProject(f.ops.id),
    taskRows.byCreator(f.ada.id),
  ];
  const others = () => taskRows.otherAssigneesByProject(f.ops.id);

  test('given others: the lists of all of them, those of the one it had, and the aspect of its project', async () => {
    expect(await give({ otherAssigneeIds: [f.bob.id, f.vic.id] })).toEqual(
      first(...row(one()), ...listsOf(f.ada, f.bob, f.vic), others()),
    );
  });

  test('with another of them, or another order: the lists of old and new', async () => {
    await give({ otherAssigneeIds: [f.bob.id, f.vic.id] });
    expect(await give({ otherAssigneeIds: [f.vic.id, f.eve.id] })).toEqual(
      first(...row(one()), ...listsOf(f.ada, f.bob, f.vic, f.eve), others()),
    );
    expect(await give({ otherAssigneeIds: [f.eve.id, f.vic.id] })).toEqual(
      first(...row(one()), ...listsOf(f.ada, f.vic, f.eve), others()),
    );
  });

  test('with another status: the list of each; with another title: none', async () => {
    await give({ otherAssigneeIds: [f.bob.id] });
    expect(await give({ status: 'TODO' })).toEqual(
      first(
        ...[...row(one()), ...listsOf(f.ada, f.bob)],
        ...[taskRows.statusByProject(f.ops.id), taskRows.statsByProject(f.ops.id)],
      ),
    );
    expect(await give({ title: 'Another' })).toEqual(first(...row(one()), words(one())));
  });

  test('several by one statement: the lists of those that changed', async () => {
    const two = f.opsTasks[1] as TaskLike;
    await db.write
      .update(tasks)
      .set({ otherAssigneeIds: [f.vic.id] })
      .where(eq(tasks.id, one().id));
    const swap = sql`update ${tasks} set other_assignee_ids =
      case when id = ${toUuid(one().id)}::uuid then '{}' else ${`{${toUuid(f.eve.id)}}`}::uuid[] end
      where id in (${toUuid(one().id)}::uuid, ${toUuid(two.id)}::uuid)`;
    expect(await touched((tx) => tx.execute(swap))).toEqual(
      first(...row(one()), ...row(two), ...listsOf(f.ada, f.bob, f.vic, f.eve), others()),
    );
  });

  test('inserted and deleted: the list of each', async () => {
    const task = { ...one(), id: newId('task'), number: 99, otherAssigneeIds: [f.bob.id, f.vic.id] };
    const ofOthers = [taskRows.byAssignee(f.bob.id), taskRows.byAssignee(f.vic.id)];
    expect(await touched((tx) => tx.insert(tasks).values(task))).toEqual(first(...allOf(task), ...ofOthers));
    expect(await touched((tx) => tx.delete(tasks).where(eq(tasks.id, task.id)))).toEqual(
      first(...allOf(task), ...onceThere(task), ...ofOthers, words(task), placeOf(task)),
    );
  });

  test('whose users are deleted: the next one moves up, and the lists are touched', async () => {
    await give({ assigneeId: f.eve.id, otherAssigneeIds: [f.vic.id, f.bob.id] });
    const gone = sql`delete from ${users} where id in (${toUuid(f.eve.id)}::uuid, ${toUuid(f.vic.id)}::uuid)`;
    const tags = await touched((tx) => tx.execute(gone));
    expect(tags).toEqual(expect.arrayContaining(first(...row(one()), ...listsOf(f.eve, f.vic, f.bob), others())));
    const [task] = await db.read.select().from(tasks).where(eq(tasks.id, one().id));
    expect(task).toMatchObject({ assigneeId: f.bob.id, otherAssigneeIds: [] });
  });

  test('keeps each user once and refuses one who does not exist', async () => {
    await give({ otherAssigneeIds: [f.bob.id, f.ada.id, f.bob.id, f.vic.id] });
    const [task] = await db.read.select().from(tasks).where(eq(tasks.id, one().id));
    expect(task).toMatchObject({ assigneeId: f.ada.id, otherAssigneeIds: [f.bob.id, f.vic.id] });
    await expect(give({ otherAssigneeIds: [newId('user')] })).rejects.toMatchObject({ cause: { code: '23503' } });
  });
});

describe('many rows by one statement', () => {
  test('up to 500 are named one by one', async () => {
    const many = newTasks(500);
    const inserted = await touched((tx) => tx.insert(tasks).values(many));
    expect(inserted).toEqual(first(...many.flatMap(allOf)));
    const updated = await touched((tx) =>
      tx
        .update(tasks)
        .set({ title: sql`${tasks.title} || ' more'` })
        .where(sql`${tasks.number} >= 1000`),
    );
    expect(updated).toEqual(first(...many.flatMap(row), ...many.map(words)));
    const deleted = await touched((tx) => tx.delete(tasks).where(sql`${tasks.number} >= 1000`));
    expect(deleted).toEqual(
      first(...many.flatMap((task) => [...allOf(task), ...onceThere(task), words(task), placeOf(task)])),
    );
  });

  test('more than 500 touch the whole table', async () => {
    const many = newTasks(501);
    const whole = ['task_documents', 'tasks'];
    expect(await touched((tx) => tx.insert(tasks).values(many))).toEqual(whole);
    const all = sql`${tasks.number} >= 1000`;
    expect(await touched((tx) => tx.update(tasks).set({ title: 'x' }).where(all))).toEqual(whole);
    expect(await touched((tx) => tx.delete(tasks).where(all))).toEqual(whole);
  });
});

describe('a whole project', () => {
  test('deleted: everything under it, by cascade', async () => {
    const said = await db.read.select().from(comments);
    const tags = await touched((tx) => tx.delete(projects).where(eq(projects.id, f.ops.id)));
    expect(tags).toEqual(
      first(
        projectRows.byId(f.ops.id),
        projectRows.byKey('OPS'),
        memberRows.byProject(f.ops.id),
        ...[f.ada, f.bob, f.vic].map(({ id }) => memberRows.byUser(id)),
        labelRows.byProject(f.ops.id),
        labelRows.anyByProject(f.ops.id),
        taskLabelRows.byProject(f.ops.id),
        ...[f.bug, f.docs].flatMap(({ id }) => [labelRows.byId(id), taskLabelRows.byLabel(id)]),
        ...f.opsTasks.flatMap((task) => [
          ...allOf(task),
          ...onceThere(task),
          words(task),
          placeOf(task),
          taskLabelRows.byTask(task.id),
          commentRows.byTask(task.id),
        ]),
        ...said.map(({ id }) => commentRows.byId(id)),
      ),
    );
  });

  test('TRUNCATE … CASCADE touches every table it empties', async () => {
    const tags = await touched((tx) => tx.execute(sql`truncate ${projects} cascade`));
    expect(tags).toEqual([
      ...['comments', 'former_numbers', 'invitations', 'labels', 'project_members', 'projects', 'task_documents'],
      ...['task_labels', 'task_relations', 'tasks', 'trashed_members', 'trashed_projects', 'trashed_tasks', 'webhooks'],
    ]);
  });

  test('a user who is deleted: the lists his tasks leave', async () => {
    await db.write.insert(projectMembers).values({ projectId: f.web.id, userId: f.eve.id, role: 'MEMBER' });
    await db.write.update(tasks).set({ assigneeId: f.eve.id }).where(eq(tasks.id, f.webTask.id));
    const tags = await touched((tx) => tx.delete(users).where(eq(users.id, f.eve.id)));
    expect(tags).toEqual(
      first(
        userRows.byId(f.eve.id),
        userRows.byHandle(f.eve.handle),
        userRows.namesByState('ACTIVE'),
        memberRows.byUser(f.eve.id),
        memberRows.byProject(f.web.id),
        ...row(f.webTask),
        ...lists({ ...f.webTask, assigneeId: f.eve.id }),
        taskRows.assigneeByProject(f.web.id),
      ),
    );
  });
});

describe('other ways to write', () => {
  test('ON CONFLICT DO UPDATE names what it inserted and what it changed', async () => {
    const fresh = { id: newId('label'), projectId: f.ops.id, name: 'new', color: '#000000' };
    const again = { id: newId('label'), projectId: f.ops.id, name: f.bug.name, color: '#ffffff' };
    const upsert = (...values: (typeof labels.$inferInsert)[]) =>
      touched((tx) =>
        tx
          .insert(labels)
          .values(values)
          .onConflictDoUpdate({ target: [labels.projectId, labels.name], set: { color: sql`excluded.color` } }),
      );
    expect(await upsert(again)).toEqual(first(labelRows.byId(f.bug.id), labelRows.anyByProject(f.ops.id)));
    expect(await upsert(again)).toEqual([]);
    expect(await upsert({ ...again, color: '#eeeeee' }, fresh)).toEqual(
      first(
        labelRows.byId(f.bug.id),
        labelRows.byId(fresh.id),
        labelRows.byProject(f.ops.id),
        labelRows.anyByProject(f.ops.id),
      ),
    );
  });

  test('MERGE names what it inserted, changed and deleted', async () => {
    const fresh = newId('label');
    const tags = await touched((tx) =>
      tx.execute(sql`
        merge into labels l using (values
          (${toUuid(f.bug.id)}::uuid, 'bug'), (${toUuid(f.docs.id)}::uuid, 'docs'), (${toUuid(fresh)}::uuid, 'new')
        ) as v(id, name) on l.id = v.id
        when matched and v.name = 'bug' then update set color = '#999999'
        when matched then delete
        when not matched then insert (id, project_id, name, color) values (v.id, ${toUuid(f.ops.id)}::uuid, v.name, '#000000')`),
    );
    expect(tags).toEqual(
      first(
        ...[f.bug.id, f.docs.id, fresh].map((id) => labelRows.byId(id)),
        labelRows.byProject(f.ops.id),
        labelRows.anyByProject(f.ops.id),
        taskLabelRows.byProject(f.ops.id),
        taskLabelRows.byLabel(f.docs.id),
        ...f.opsTasks.flatMap(({ id }) => [taskLabelRows.byTask(id), taskRows.byId(id)]),
      ),
    );
  });

  test('session_replication_role = replica, which bulk loaders set, silences no trigger', async () => {
    const tags = await touched(async (tx) => {
      await tx.execute(sql`set local session_replication_role = replica`);
      await tx.update(users).set({ name: 'Loaded' }).where(eq(users.id, f.bob.id));
    });
    expect(tags).toEqual(first(userRows.byId(f.bob.id), userRows.namesByState('ACTIVE')));
  });

  test('a role that may write a table, but not the outbox, is heard all the same', async () => {
    const role = `writer_${randomBytes(4).toString('hex')}`;
    await db.write.execute(sql.raw(`create role ${role}`));
    try {
      const tags = await touched(async (tx) => {
        await tx.execute(sql.raw(`grant select, update on users to ${role}; set local role ${role}`));
        await tx.update(users).set({ name: 'Written' }).where(eq(users.id, f.bob.id));
        await tx.execute(sql.raw('reset role'));
      });
      expect(tags).toEqual(first(userRows.byId(f.bob.id), userRows.namesByState('ACTIVE')));
    } finally {
      await db.write.execute(sql.raw(`drop owned by ${role}; drop role ${role}`));
    }
  });

  test('a transaction that is rolled back leaves nothing', async () => {
    const count = async () =>
      (await db.read.execute<{ n: number }>(sql`select count(*)::int as n from cache_outbox`))[0]?.n;
    const before = await count();
    const rolledBack = touched(async (tx) => {
      await tx.update(users).set({ name: 'x' });
      throw new Error('rolled back');
    });
    await expect(rolledBack).rejects.toThrow('rolled back');
    expect(await count()).toBe(before);
  });

  test('a savepoint that is rolled back takes its tags along; all others are of the one transaction', async () => {
    const xids = new Set<string>();
    const tags = await touched(async (tx) => {
      await tx.update(users).set({ name: 'x' }).where(eq(users.id, f.ada.id));
      await tx
        .transaction(async (inner) => {
          await inner.update(users).set({ name: 'x' }).where(eq(users.id, f.bob.id));
          throw new Error('to the savepoint');
        })
        .catch(() => {});
      await tx.transaction(async (inner) => {
        await inner.update(users).set({ name: 'x' }).where(eq(users.id, f.vic.id));
      });
      const rows = await tx.execute<{ xid: string }>(
        sql`select xid::text from cache_outbox where xid >= pg_current_xact_id()`,
      );
      for (const { xid } of rows) xids.add(xid);
    });
    expect(tags).toEqual(first(userRows.byId(f.ada.id), userRows.byId(f.vic.id), userRows.namesByState('ACTIVE')));
    expect(xids.size).toBe(1);
  });
});

describe('values of any kind', () => {
  const things = pgTable('things', {
    id: integer().primaryKey(),
    owner: text(),
    place: text(),
    token: uuid(),
    big: bigint({ mode: 'bigint' }),
    on: boolean(),
    day: date({ mode: 'string' }),
    words: text().array(),
    numbers: integer().array(),
  });
  const thingRows = rowSets(things, {
    byId: { columns: [things.id] },
    byOwner: { columns: [things.owner] },
    byOwnerAndPlace: { columns: [things.owner, things.place] },
    byToken: { columns: [things.token] },
    byBig: { columns: [things.big] },
    byOn: { columns: [things.on] },
    byWord: { columns: [things.words], ignores: [things.place] },
    byDay: { columns: [things.day] },
    byNumber: { columns: [things.numbers], aspect: 'own', watches: [things.numbers] },
  });

  beforeAll(async () => {
    await db.write.execute(
      sql`create table things (id int primary key, owner text, place text, token uuid, big bigint, "on" boolean, day date,
        words text[], numbers int[])`,
    );
    await db.write.execute(sql.raw(triggersSql(thingRows)));
  });

  test.each([
    ['commas', 'a,b', ',c,'],
    ['equals signs, colons, bars', 'a=b', 'tasks:id=1|2'],
    ['quotes and backslashes', `O'Brien "the" \\ great`, '\\000'],
    ['letters outside of ASCII', 'Zoë Żółć 東京', 'عربى'],
    ['emoji and combining marks', '👩🏽‍💻', 'e\u0301'],
    ['white space and control characters', ' \t\n\r', '\u0001\u007f'],
    ['nothing in them', '', ''],
    ['names of other values', 'null', 'true'],
  ])('texts with %s are the same tag on both sides', async (_, owner, place) => {
    await db.write.delete(things);
    const tags = await touched((tx) => tx.insert(things).values({ id: 1, owner, place }));
    expect(new Set(tags)).toEqual(
      new Set(first(thingRows.byId(1), thingRows.byOwner(owner), thingRows.byOwnerAndPlace(owner, place))),
    );
  });

  test.each([
    [-2_147_483_648, 9_007_199_254_740_993n, false, '0001-01-01'],
    [0, -1n, true, '2026-02-28'],
  ])('numbers, truth values, days and uuids are the same tag on both sides: %s, %s', async (id, big, on, day) => {
    const token = '01890A5D-AC96-774B-BCCE-B302099A8057'.toLowerCase();
    await db.write.delete(things);
    const tags = await touched((tx) => tx.insert(things).values({ id, big, on, day, token }));
    expect(tags).toEqual(
      first(
        thingRows.byId(id),
        thingRows.byToken(token),
        thingRows.byBig(big),
        thingRows.byOn(on),
        thingRows.byDay(day),
      ),
    );
  });

  test('a row is in a set for each element of an array, and touches those of old and new elements', async () => {
    await db.write.delete(things);
    const words = ['a,b', '"c"', '{}', 'é', 'a,b'];
    const insert = (tx: Transaction) => tx.insert(things).values({ id: 1, words, numbers: [-1, 7] });
    const byWords = words.map((word) => thingRows.byWord(word));
    const byNumbers = [-1, 7].map((number) => thingRows.byNumber(number));
    expect(await touched(insert)).toEqual(first(thingRows.byId(1), ...byWords, ...byNumbers));
    const set = (values: Partial<typeof things.$inferInsert>) => touched((tx) => tx.update(things).set(values));
    expect(await set({ place: 'p' })).toEqual(first(thingRows.byId(1)));
    expect(await set({ owner: 'o' })).toEqual(
      first(thingRows.byId(1), thingRows.byOwner('o'), ...byWords, thingRows.byOwnerAndPlace('o', 'p')),
    );
    expect(await set({ numbers: null })).toEqual(expect.arrayContaining(first(thingRows.byId(1), ...byNumbers)));
    expect(await set({ words: [] })).toEqual(expect.arrayContaining(first(thingRows.byId(1), ...byWords)));
    expect(await touched((tx) => tx.execute(sql`update things set words = array[null, 'x']`))).toEqual(
      expect.arrayContaining(first(thingRows.byWord('x'))),
    );
    expect(await touched((tx) => tx.delete(things))).toEqual(expect.arrayContaining(first(thingRows.byWord('x'))));
  });

  test('several rows with arrays by one statement touch the sets of those that differ', async () => {
    await db.write.delete(things);
    await db.write.insert(things).values([1, 2, 3].map((id) => ({ id, words: [`w${id}`] })));
    const swap = sql`update things set words = case id when 1 then array['w2'] when 2 then array['w1'] else words end`;
    expect(await touched((tx) => tx.execute(swap))).toEqual(
      first(thingRows.byId(1), thingRows.byId(2), thingRows.byWord('w1'), thingRows.byWord('w2')),
    );
    expect(await touched((tx) => tx.delete(things))).toEqual(
      first(...[1, 2, 3].flatMap((id) => [thingRows.byId(id), thingRows.byWord(`w${id}`)])),
    );
  });

  test('an array beside another column is refused', () => {
    expect(() => rowSets(things, { both: [things.words, things.owner] })).toThrow(
      'an array is expected to be its only',
    );
  });

  test('a set of two columns has no tag while one of them is null, and gets one when both are there', async () => {
    await db.write.delete(things);
    expect(await touched((tx) => tx.insert(things).values({ id: 1, owner: 'o' }))).toEqual(
      first(thingRows.byId(1), thingRows.byOwner('o')),
    );
    expect(await touched((tx) => tx.update(things).set({ place: 'p' }))).toEqual(
      first(thingRows.byId(1), thingRows.byOwner('o'), thingRows.byOwnerAndPlace('o', 'p')),
    );
  });
});

test('a label renamed touches its list; another colour does not', async () => {
  const set = (values: Partial<typeof labels.$inferInsert>) =>
    touched((tx) => tx.update(labels).set(values).where(eq(labels.id, f.bug.id)));
  const always = [labelRows.byId(f.bug.id), labelRows.anyByProject(f.ops.id)];
  expect(await set({ name: 'defect' })).toEqual(first(...always, labelRows.byProject(f.ops.id)));
  expect(await set({ color: '#abcdef' })).toEqual(first(...always));
});

test('a label put on a task touches the task with its labels, the label’s tasks, and the project’s labelled tasks', async () => {
  const fresh = { id: newId('label'), projectId: f.ops.id, name: 'fresh', color: '#000000' };
  await db.write.insert(labels).values(fresh);
  const [task] = f.opsTasks;
  const tags = await touched((tx) =>
    tx.insert(taskLabels).values({ projectId: f.ops.id, taskId: (task as TaskLike).id, labelId: fresh.id }),
  );
  expect(tags).toEqual(
    first(
      taskLabelRows.byTask((task as TaskLike).id),
      taskLabelRows.ofTask((task as TaskLike).id),
      taskLabelRows.byLabel(fresh.id),
      taskLabelRows.byProject(f.ops.id),
    ),
  );
  expect(taskLabelRows.ofTask((task as TaskLike).id)).toEqual([taskRows.byId((task as TaskLike).id)[0], 'task_labels']);
  // Every row of the outbox is of one table: the writer of very many tags names its tables by the first of each row.
  const mixed = await db.write.execute(sql`
    select 1 from cache_outbox where (select count(distinct split_part(tag, ':', 1)) from unnest(tags) as tag) > 1`);
  expect(mixed).toHaveLength(0);
});

test('a member who joins touches his memberships and the project’s members', async () => {
  const tags = await touched((tx) =>
    tx.insert(projectMembers).values({ projectId: f.web.id, userId: f.eve.id, role: 'VIEWER' }),
  );
  expect(tags).toEqual(first(memberRows.byUser(f.eve.id), memberRows.byProject(f.web.id)));
});
