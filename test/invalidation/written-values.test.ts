/** A write stores the row that it changed, so that the next reader loads nothing: when it may, and that it never stores anything old. */
import { and, eq, sql } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TaskId } from '../../src/db/ids.js';
import { LABELLED_TASK, taskById } from '../../src/domain/tasks/task.loaders.js';
import { taskLabels, tasks } from '../../src/domain/tasks/task.table.js';
import { runThenReadTags, type Transaction } from '../../src/engine/postgres/index.js';
import { dataOf, type TestApp, testApp } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';

const READ = 'query($id: ID!) { task(id: $id) { title version labels { nodes { name } } } }';
const UPDATE =
  'mutation($input: UpdateTaskInput!) { updateTask(input: $input) { task { version } errors { message } } }';

/** The process that writes. It knows what it has read. */
let app: TestApp;
/** Another one, without memory of its own. */
let other: TestApp;
let f: Fixture;
let next = 0;

beforeAll(async () => {
  app = await testApp({ nearCacheBytes: 16 * 1024 * 1024 });
  other = await testApp({ databaseUrl: app.databaseUrl, group: app.group, nearCacheBytes: 0 });
  f = await fixture(app, 40);
});
afterAll(() => Promise.all([other?.close(), app?.close()]));

/** A task that the writing process has read, twice: a first read may have begun before memory did. */
async function known(): Promise<TaskId> {
  const { id } = f.opsTasks[next++] as Fixture['opsTasks'][number];
  for (let i = 0; i < 2; i++) {
    await app.ask(READ, { as: f.ada.id, variables: { id } });
    await app.settled();
  }
  return id;
}

/** What the other process reads, and whether the row came from the cache. */
async function readElsewhere(id: TaskId) {
  other.reset();
  const { task } = dataOf(await other.ask(READ, { as: f.ada.id, variables: { id } }));
  const [outcome] = other.outcomes.filter(({ name }) => name === 'Task');
  await other.settled();
  return { ...task, outcome: outcome?.kind };
}

const update = async (input: { id: TaskId } & Record<string, unknown>) => {
  const { updateTask } = dataOf(await app.ask(UPDATE, { as: f.ada.id, variables: { input } }));
  expect(updateTask.errors).toEqual([]);
  await app.settled();
};

const retitled = (tx: Transaction, id: TaskId, title: string) =>
  runThenReadTags(
    tx,
    tx.update(tasks).set({ title }).where(eq(tasks.id, id)).returning(LABELLED_TASK) as PromiseLike<unknown[]>,
    ([value]) => [{ source: taskById, arg: id, value }],
  );

describe('a task that this process has read', () => {
  test.each([
    ['title', { title: 'Written "anew" 🎈' }],
    ['status', { status: 'DONE' }],
    ['description', { description: 'Line\nby line' }],
    ['assignee', { assigneeId: null }],
    ['due date', { dueDate: '2031-02-03' }],
    ['priority', { priority: 'URGENT' }],
  ])('is stored with its new %s, as a load would bring it', async (_, change) => {
    const id = await known();
    await update({ id, ...change });
    const stored = await readElsewhere(id);
    expect(stored).toMatchObject({
      version: 2,
      outcome: 'hit',
      labels: { nodes: [{ name: 'bug' }, { name: 'docs' }] },
    });
    const [fromCache] = await other.cache.readMany({ ...taskById, load: async () => [null] }, [id]);
    const [loaded] = await taskById.load([id], app.db);
    expect(fromCache).toEqual(loaded);
  });

  test('is stored by each of several writes, and the process itself has it in memory', async () => {
    const id = await known();
    for (const version of [2, 3, 4]) {
      await update({ id, title: `Title ${version}` });
      expect(await readElsewhere(id)).toMatchObject({ title: `Title ${version}`, version, outcome: 'hit' });
      app.reset();
      const { task } = dataOf(await app.ask(READ, { as: f.ada.id, variables: { id } }));
      expect(task).toMatchObject({ title: `Title ${version}`, version });
      expect(app.outcomes.find(({ name }) => name === 'Task')?.kind).toBe('near-hit');
    }
  });
});

describe('nothing is stored', () => {
  test('of a task that this process has not read', async () => {
    const { id } = f.opsTasks[next++] as Fixture['opsTasks'][number];
    await update({ id, title: 'Unread' });
    expect(await readElsewhere(id)).toMatchObject({ title: 'Unread', outcome: 'miss' });
  });

  test('by a write of two statements that change it', async () => {
    const id = await known();
    await update({ id, title: 'Without labels', labelIds: [] });
    expect(await readElsewhere(id)).toMatchObject({ title: 'Without labels', labels: { nodes: [] }, outcome: 'miss' });
  });

  test('where another statement follows', async () => {
    const id = await known();
    await app.transactor.transact(async (tx) => {
      await retitled(tx, id, 'First');
      await tx.update(tasks).set({ title: 'Second' }).where(eq(tasks.id, id));
    });
    await app.settled();
    expect(await readElsewhere(id)).toMatchObject({ title: 'Second', outcome: 'miss' });
  });

  test('where the statement returns the row as it was, and the one behind it changes it', async () => {
    const id = await known();
    await app.transactor.transact(async (tx) => {
      await retitled(tx, id, `Task ${next}`);
      await tx.update(tasks).set({ title: 'Behind it' }).where(eq(tasks.id, id));
    });
    await app.settled();
    expect(await readElsewhere(id)).toMatchObject({ title: 'Behind it', outcome: 'miss' });
  });

  test('where the statement has a trigger that changes the row once more', async () => {
    const id = await known();
    await app.db.write.execute(sql`
      create function rewrite_title() returns trigger language plpgsql as $$ begin
        if pg_trigger_depth() = 1 then update tasks set title = 'By a trigger' where id = new.id; end if; return null; end $$`);
    await app.db.write.execute(sql`
      create trigger rewrite_title after update on tasks for each row execute function rewrite_title()`);
    try {
      await app.transactor.transact((tx) => retitled(tx, id, 'By the statement'));
    } finally {
      await app.db.write.execute(sql`drop function rewrite_title cascade`);
    }
    await app.settled();
    expect(await readElsewhere(id)).toMatchObject({ title: 'By a trigger', outcome: 'miss' });
  });

  test('of a write that is rolled back', async () => {
    const id = await known();
    const failing = app.transactor.transact(async (tx) => {
      await retitled(tx, id, 'Never');
      throw new Error('rolled back by the test');
    });
    await expect(failing).rejects.toThrow('rolled back by the test');
    await app.settled();
    expect(await readElsewhere(id)).toMatchObject({ version: 1 });
  });

  test.each([
    ['', async () => {}],
    [
      ', also where this process has read what that left',
      async (id: TaskId) => {
        await app.ask(READ, { as: f.ada.id, variables: { id } });
        await app.settled();
      },
    ],
  ])('where a write of its labels ends between the statement and its FENCE%s', async (_, meanwhile) => {
    const id = await known();
    await app.transactor.transact(async (tx) => {
      await retitled(tx, id, 'With fewer labels');
      // It takes no lock on the row of the task.
      await other.transactor.transact((its) =>
        its.delete(taskLabels).where(and(eq(taskLabels.taskId, id), eq(taskLabels.labelId, f.bug.id))),
      );
      await other.settled();
      await meanwhile(id);
    });
    await app.settled();
    const labels = { nodes: [{ name: 'docs' }] };
    expect(await readElsewhere(id)).toMatchObject({ title: 'With fewer labels', labels, outcome: 'miss' });
  });
});
