/** The one way to write: what it leaves behind when it succeeds, fails, or never learns how it ended. */
import { eq, sql } from 'drizzle-orm';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { newId } from '../../src/db/ids.js';
import { taskRows, tasks } from '../../src/domain/tasks/task.table.js';
import { users } from '../../src/domain/users/user.table.js';
import { fenceIds, type Tag } from '../../src/engine/cache/index.js';
import type { Transaction } from '../../src/engine/postgres/executor.js';
import { runThenReadTags } from '../../src/engine/postgres/outbox.js';
import { CommitOutcomeUnknown } from '../../src/engine/postgres/transactor.js';
import { dataOf, eventually } from '../support/app.js';
import { createDatabase } from '../support/database.js';
import { breakableProxy } from './breakable-proxy.js';
import { lastOutcome, rename, served, taskOf, type World, world } from './world.js';

let w: World;
let id: `task_${string}`;
const read = () => taskOf(w.app, id, w.f.ada.id);

beforeEach(async () => {
  w = await world();
  id = (w.f.opsTasks[0] as (typeof w.f.opsTasks)[number]).id;
});
afterEach(() => w?.close());

const RENAME = 'mutation ($input: UpdateTaskInput!) { updateTask(input: $input) { task { version } errors { code } } }';
const renaming = (title: string, as = w.f.ada.id) => w.app.ask(RENAME, { as, variables: { input: { id, title } } });

/** Reads until the fence is gone and the cache serves again. */
async function resolved(title: string): Promise<void> {
  expect((await served(w.app, id, w.f.ada.id)).title).toBe(title);
}

describe('a write that does not happen', () => {
  test('because its rules refuse it leaves no fence, and what was cached stays', async () => {
    const before = await served(w.app, id, w.f.ada.id);
    w.app.reset();
    const answer = dataOf(await renaming('By a viewer', w.f.vic.id));
    expect(answer.updateTask).toEqual({ task: null, errors: [{ code: 'FORBIDDEN' }] });
    expect(w.app.counts).toMatchObject({ fences: 0, releases: 0 });
    expect(await w.redis.fenced()).toEqual([]);
    expect(await read()).toEqual(before);
    expect(lastOutcome(w.app, 'Task')).toEqual({ kind: 'hit' });
  });

  test('because it throws after its statements leaves no fence, and what was cached stays', async () => {
    const before = await served(w.app, id, w.f.ada.id);
    w.app.reset();
    const failing = w.app.transactor.transact(async (tx) => {
      await tx.update(tasks).set({ title: 'Thrown away' }).where(eq(tasks.id, id));
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(w.app.counts).toMatchObject({ fences: 0, releases: 0 });
    expect(await w.redis.fenced()).toEqual([]);
    expect(await read()).toEqual(before);
    expect(lastOutcome(w.app, 'Task')).toEqual({ kind: 'hit' });
  });

  test('because Postgres refuses its COMMIT is reported as that, and its fence is removed', async () => {
    const before = await served(w.app, id, w.f.ada.id);
    await w.sql.unsafe(`
      create function refuse() returns trigger language plpgsql as $$ begin raise exception 'not this one'; end $$;
      create constraint trigger refuse after update on tasks deferrable initially deferred
        for each row execute function refuse()`);
    w.app.reset();
    const failing = w.app.transactor.transact((tx) => tx.update(tasks).set({ title: 'x' }).where(eq(tasks.id, id)));
    const error = await failing.catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ message: 'not this one' });
    expect(error).not.toBeInstanceOf(CommitOutcomeUnknown);
    expect(w.app.counts).toMatchObject({ fences: 1, releases: 0 });
    expect(await read()).toEqual(before);
    await resolved(before.title);
  });
});

test('a transaction that writes nothing cached fences nothing', async () => {
  w.app.reset();
  const { tags } = await w.app.transactor.transact((tx) => tx.execute(sql`update task_numbers set last = last + 1`));
  expect(tags).toEqual([]);
  expect((await w.app.transactor.transact((tx) => tx.select().from(users))).tags).toEqual([]);
  expect(w.app.counts).toMatchObject({ fences: 0, releases: 0 });
});

test('a write costs one fence and one release, whatever it touches', async () => {
  w.app.reset();
  await rename(w.app, { id, title: 'Counted' }, w.f.ada.id);
  expect(w.app.counts).toMatchObject({ fences: 1, releases: 1 });
});

describe('what is asked right behind a statement', () => {
  const other = () => (w.f.opsTasks[1] as (typeof w.f.opsTasks)[number]).id;
  const renamed = (tx: Transaction, task: typeof id) =>
    tx.update(tasks).set({ title: 'Changed' }).where(eq(tasks.id, task)).returning();
  const named = (tags: readonly Tag[]) => [id, other()].map((task) => tags.includes(taskRows.byId(task)[0]));

  test('is what the write has touched, and no further statement is needed', async () => {
    w.app.reset();
    const { tags } = await w.app.transactor.transact(async (tx) => {
      await renamed(tx, other());
      await runThenReadTags(tx, renamed(tx, id));
    });
    expect(named(tags)).toEqual([true, true]);
    expect(w.app.counts.statements).toHaveLength(3);
  });

  test.each([
    ['a statement', (tx: Transaction) => renamed(tx, other())],
    ['a statement of a savepoint', (tx: Transaction) => tx.transaction((part) => renamed(part, other()))],
    ['a second last one', (tx: Transaction) => runThenReadTags(tx, renamed(tx, other()))],
    [
      'a second last one of a savepoint',
      (tx: Transaction) => tx.transaction((part) => runThenReadTags(part, renamed(part, other()))),
    ],
  ])('is void when %s follows', async (_, next) => {
    const { tags } = await w.app.transactor.transact(async (tx) => {
      await runThenReadTags(tx, renamed(tx, id));
      await next(tx);
    });
    expect(named(tags)).toEqual([true, true]);
  });

  test('holds also for what was begun before and is not awaited', async () => {
    const { tags } = await w.app.transactor.transact(async (tx) => {
      const first = renamed(tx, other()).execute();
      await runThenReadTags(tx, renamed(tx, id));
      await first;
    });
    expect(named(tags)).toEqual([true, true]);
  });

  test('fails with the statement, whose error is the one that is told, and leaves no fence', async () => {
    const failing = w.app.transactor.transact((tx) =>
      runThenReadTags(tx, tx.update(tasks).set({ number: 1 }).where(eq(tasks.projectId, w.f.ops.id))),
    );
    await expect(failing).rejects.toMatchObject({ cause: { message: expect.stringContaining('duplicate key') } });
    expect(await w.redis.fenced()).toEqual([]);
  });
});

test('a transaction with more than 2000 tags touches the tables instead', async () => {
  const before = await served(w.app, id, w.f.ada.id);
  const rows = Array.from({ length: 1200 }, (_, i) => ({
    id: newId('task'),
    projectId: w.f.web.id,
    number: 1000 + i,
    title: `Many ${i}`,
    creatorId: w.f.ada.id,
  }));
  const write = (count: number) =>
    w.app.transactor.transact(async (tx) => {
      const part = rows.splice(0, count);
      for (let from = 0; from < part.length; from += 400) await tx.insert(tasks).values(part.slice(from, from + 400));
      await tx.update(tasks).set({ title: 'Among many' }).where(eq(tasks.id, id));
    });
  // An id and a number each, their project in nine row sets, their creator; the renamed one's id, and its project in two.
  expect((await write(99)).tags).toHaveLength(2 * 99 + 9 + 1 + 3);
  expect((await write(1000)).tags).toEqual(['tasks']);
  expect(await read()).toEqual({ ...before, title: 'Among many' });
  expect((await served(w.app, id, w.f.ada.id)).title).toBe('Among many');
});

describe('a connection that breaks while COMMIT is under way', () => {
  const LOCK = 4711;

  /** From now on every COMMIT that changed a task waits for this lock. */
  async function holdCommits() {
    await w.sql.unsafe(`
      create function wait_here() returns trigger language plpgsql as $$
        begin perform pg_advisory_xact_lock(${LOCK}); return null; end $$;
      create constraint trigger wait_here after update on tasks deferrable initially deferred
        for each row execute function wait_here()`);
    const holder = await w.sql.reserve();
    await holder`select pg_advisory_lock(${LOCK})`;
    return async () => {
      await holder`select pg_advisory_unlock(${LOCK})`;
      holder.release();
    };
  }

  async function committing(): Promise<number> {
    let pid: number | undefined;
    await eventually(async () => {
      const [held] = await w.sql<{ pid: number }[]>`
        select pid from pg_stat_activity
        where datname = current_database() and wait_event = 'advisory' and query ilike 'commit%'`;
      expect(held).toBeDefined();
      pid = held?.pid;
    });
    return pid as number;
  }

  test('is reported as an unknown outcome; the fence remains until Postgres says how it ended', async () => {
    const before = await served(w.app, id, w.f.ada.id);
    const letGo = await holdCommits();
    w.app.reset();
    const answer = renaming('Never committed');
    const pid = await committing();
    expect((await w.redis.fenced()).length).toBeGreaterThan(0);
    // However long it takes: a transaction in progress keeps its fence.
    expect(await read()).toEqual(before);
    expect(lastOutcome(w.app, 'Task')).toEqual({ kind: 'bypass', reason: 'fenced' });

    await w.sql`select pg_terminate_backend(${pid})`;
    expect((await answer).errors?.[0]?.extensions).toMatchObject({ code: 'COMMIT_OUTCOME_UNKNOWN' });
    expect(w.app.counts.releases).toBe(0);
    expect(await read()).toEqual(before);
    await letGo();
    await resolved(before.title);
  });

  test('while it goes on, no process that asks Postgres removes its fence', async () => {
    const before = await served(w.app, id, w.f.ada.id);
    const letGo = await holdCommits();
    const answer = renaming('Committed late');
    await committing();
    const [tag] = taskRows.byId(id);
    const fence = (await w.redis.tag(tag)) as string;
    expect(fenceIds(fence)).toHaveLength(1);
    await w.app.fences.resolve(fenceIds(fence), [tag]);
    expect(await w.redis.tag(tag)).toBe(fence);
    expect(await read()).toEqual(before);
    await letGo();
    expect(dataOf(await answer).updateTask.errors).toEqual([]);
    expect((await read()).title).toBe('Committed late');
    await resolved('Committed late');
  });
});

test('a commit that happened although its writer never heard of it is visible at once', async () => {
  const database = await createDatabase();
  const proxy = await breakableProxy(database.url);
  const behind = await world({ databaseUrl: proxy.url });
  // Reads past the proxy, in another process.
  const reader = await behind.second({ databaseUrl: database.url });
  try {
    const task = behind.f.opsTasks[0] as (typeof behind.f.opsTasks)[number];
    await served(reader, task.id, behind.f.ada.id);
    behind.app.reset();
    proxy.loseNextCommit();
    const answer = await behind.app.ask(RENAME, {
      as: behind.f.ada.id,
      variables: { input: { id: task.id, title: 'Committed, unheard' } },
    });
    expect(answer.errors?.[0]?.extensions).toMatchObject({ code: 'COMMIT_OUTCOME_UNKNOWN' });
    expect(behind.app.counts.releases).toBe(0);
    expect((await taskOf(reader, task.id, behind.f.ada.id)).title).toBe('Committed, unheard');
    expect((await served(reader, task.id, behind.f.ada.id)).title).toBe('Committed, unheard');
  } finally {
    await behind.close();
    await proxy.close();
    await database.drop();
  }
});
