/** Writes that conflict: Postgres rolls one of them back, and it is tried again. */
import { eq, sql } from 'drizzle-orm';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { taskRows, tasks } from '../../src/domain/tasks/task.table.js';
import { isConflict, MAX_ATTEMPTS } from '../../src/engine/postgres/conflicts.js';
import type { Transaction } from '../../src/engine/postgres/executor.js';
import { Gate } from '../support/barrier.js';
import { released, served, type World, world } from './world.js';

type TaskId = `task_${string}`;
let w: World;
let a: TaskId;
let b: TaskId;
beforeEach(async () => {
  w = await world();
  [a, b] = w.f.opsTasks.map(({ id }) => id) as [TaskId, TaskId];
});
afterEach(() => w?.close());

const retitle = (tx: Transaction, id: TaskId, title: string) =>
  tx
    .update(tasks)
    .set({ title: sql`${tasks.title} || ${title}` })
    .where(eq(tasks.id, id));
const titleOf = async (id: TaskId) => (await served(w.app, id, w.f.ada.id)).title;

test('of two writes in a deadlock the one that is rolled back is tried again, and both happen once', async () => {
  await served(w.app, a, w.f.ada.id);
  const both = new Gate();
  let tries = 0;
  let holding = 0;
  const crossing = (first: TaskId, then: TaskId, title: string) =>
    w.app.transactor.transact(async (tx) => {
      tries++;
      await retitle(tx, first, title);
      // Both hold their first row before either asks for the other's.
      if (++holding === 2) both.open();
      await both.pass();
      await retitle(tx, then, title);
      return title;
    });
  const results = await Promise.all([crossing(a, b, '+'), crossing(b, a, '-')]);
  expect(results.map(({ value }) => value)).toEqual(['+', '-']);
  for (const { tags } of results)
    expect(tags).toEqual(expect.arrayContaining([taskRows.byId(a)[0], taskRows.byId(b)[0]]));
  expect(tries).toBeGreaterThan(2);
  await released(w);
  for (const id of [a, b]) expect([...(await titleOf(id))].slice(-2).sort()).toEqual(['+', '-']);
});

test('a write that fails to serialize at its COMMIT is tried again, and the fence of the first try is gone', async () => {
  // Refuses the COMMIT as Postgres does under serializable isolation, after the write has set its fence.
  await w.sql.unsafe(`
    create sequence refusals;
    create function refuse_once() returns trigger language plpgsql as $$ begin
      if nextval('refusals') = 1 then raise exception using errcode = '40001', message = 'could not serialize access'; end if;
      return null; end $$;
    create constraint trigger refuse_once after update on tasks deferrable initially deferred
      for each row execute function refuse_once()`);
  await served(w.app, a, w.f.ada.id);
  w.app.reset();
  await w.app.transactor.transact((tx) => retitle(tx, a, '!'));
  expect(w.app.counts).toMatchObject({ fences: 2, releases: 1 });
  await released(w);
  expect(await titleOf(a)).toBe('Task 1!');
});

test('a write that conflicts each time fails after a bounded number of tries', async () => {
  let tries = 0;
  const failing = w.app.transactor.transact(async (tx) => {
    tries++;
    await tx.execute(sql`do $$ begin raise exception using errcode = '40P01', message = 'deadlock detected'; end $$`);
  });
  expect(isConflict(await failing.catch((error: unknown) => error))).toBe(true);
  expect(tries).toBe(MAX_ATTEMPTS);
});

test('a write that fails for another reason is not tried again', async () => {
  let tries = 0;
  const failing = w.app.transactor.transact(async (tx) => {
    tries++;
    await tx.execute(sql`select 1 / 0`);
  });
  await expect(failing).rejects.toThrow();
  expect(tries).toBe(1);
});
