/**
 * A change of a task in one statement (migration 0005) against the long way: the same row, tags and events, or nothing written where the long way
 * refuses or has nothing to change. Each way runs in a transaction that is rolled back.
 */
import { sql } from 'drizzle-orm';
import fc from 'fast-check';
import type { TransactionSql } from 'postgres';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newId, type TaskId, toUuid, type UserId } from '../../src/db/ids.js';
import { lockTaskForUpdate } from '../../src/domain/tasks/task.locks.js';
import { type TaskRow, taskPriority, taskStatus } from '../../src/domain/tasks/task.table.js';
import { type PlainChanges, updateAtOnce } from '../../src/domain/tasks/task.update.js';
import { applyChanges, requireVersion } from '../../src/domain/tasks/task.writes.js';
import { postgresClient } from '../../src/engine/postgres/database.js';
import type { Transaction } from '../../src/engine/postgres/index.js';
import { Refusal } from '../../src/graphql/user-error.js';
import { type Answer, dataOf, eventually, type TestApp, testApp } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';

let app: TestApp;
let f: Fixture;
beforeAll(async () => {
  app = await testApp();
  f = await fixture(app);
});
afterAll(() => app?.close());

interface Asked {
  readonly viewerId: UserId;
  readonly id: TaskId;
  readonly changes: PlainChanges;
  readonly expectedVersion: number | null;
}

class RolledBack extends Error {
  constructor(readonly found: unknown) {
    super();
  }
}

/** What the transaction of `write` has written before it is undone; undefined where it wrote nothing. */
async function writtenBy(write: (tx: Transaction) => Promise<TaskRow | undefined>): Promise<unknown> {
  const undone = app.transactor.transact(async (tx) => {
    const row = await write(tx);
    const tags = await tx.execute(sql`
      select distinct tag from cache_outbox, unnest(tags) as tag where xid = pg_current_xact_id_if_assigned() order by tag`);
    const events = await tx.execute(sql`
      select type, version, changed_fields from task_events where xid = pg_current_xact_id_if_assigned()`);
    throw new RolledBack(tags.length === 0 ? undefined : { row: row && withoutTimes(row), tags, events });
  });
  const error: unknown = await undone.catch((thrown: unknown) => thrown);
  if (error instanceof RolledBack) return error.found;
  throw error;
}

/** The two transactions began at different times. */
function withoutTimes({ updatedAt, completedAt, ...row }: TaskRow): object {
  return { ...row, completed: completedAt === null ? 'no' : completedAt === updatedAt ? 'now' : 'before' };
}

async function longWay(tx: Transaction, { viewerId, id, changes, expectedVersion }: Asked) {
  try {
    const task = await lockTaskForUpdate(tx, viewerId, id);
    requireVersion(task, expectedVersion);
    return await applyChanges(tx, task, changes);
  } catch (error) {
    if (error instanceof Refusal) return undefined;
    throw error;
  }
}

async function expectSame(asked: Asked): Promise<boolean> {
  const { viewerId, id, changes, expectedVersion } = asked;
  const atOnce = await writtenBy((tx) => updateAtOnce(tx, viewerId, id, changes, expectedVersion));
  expect(atOnce).toEqual(await writtenBy((tx) => longWay(tx, asked)));
  return atOnce !== undefined;
}

test('any change by any user is written as on the long way, or not at all', async () => {
  const [open, done] = f.opsTasks as unknown as [{ id: TaskId }, { id: TaskId }];
  await app.ask(`mutation { completeTask(input: { id: "${done.id}" }) { task { id } } }`, { as: f.ada.id });
  const optional = <T>(values: fc.Arbitrary<T>) => fc.option(values, { nil: undefined });
  const changes: fc.Arbitrary<PlainChanges> = fc.record({
    title: optional(fc.constantFrom('Task 1', 'Task 2', 'Neu: "é" \\ \'\u{1f600}\'')),
    description: optional(fc.constantFrom(null, 'Text\nmit {"a": null} \\u0041')),
    status: optional(fc.constantFrom(...taskStatus.enumValues)),
    priority: optional(fc.constantFrom(...taskPriority.enumValues)),
    assigneeId: optional(fc.constantFrom(null, f.ada.id, f.bob.id, f.vic.id, f.eve.id, newId('user'))),
    dueDate: optional(fc.constantFrom(null, '2026-02-28', '0001-01-01')),
  });
  const asked: fc.Arbitrary<Asked> = fc.record({
    viewerId: fc.constantFrom(f.ada.id, f.bob.id, f.ada.id, f.vic.id, f.eve.id),
    id: fc.constantFrom(open.id, done.id, f.webTask.id, newId('task')),
    changes,
    expectedVersion: fc.constantFrom(null, null, 1, 2),
  });
  let written = 0;
  await fc.assert(
    fc.asyncProperty(asked, async (one) => {
      if (await expectSame(one)) written++;
    }),
    { numRuns: 300 },
  );
  expect(written).toBeGreaterThan(30);
  expect(written).toBeLessThan(270);
});

test('in an archived project nothing is written', async () => {
  await app.ask(`mutation { archiveProject(input: { id: "${f.web.id}" }) { project { id } } }`, { as: f.ada.id });
  const asked = { viewerId: f.ada.id, id: f.webTask.id, changes: { title: 'New' }, expectedVersion: null };
  expect(await expectSame(asked)).toBe(false);
});

test('a change of another column is not written', async () => {
  const [task] = f.opsTasks as unknown as [{ id: TaskId }];
  const changes = { title: 'New', parentId: null } as PlainChanges;
  expect(await writtenBy((tx) => updateAtOnce(tx, f.ada.id, task.id, changes, null))).toBeUndefined();
});

test('a long description is not stored again by a change of something else', async () => {
  const { id } = f.opsTasks[3] as { id: TaskId };
  const description = Array.from({ length: 1000 }, () => Math.random().toString(36)).join(''); // does not compress well
  const mutate = (input: object) =>
    app.ask('mutation ($input: UpdateTaskInput!) { updateTask(input: $input) { errors { message } } }', {
      as: f.ada.id,
      variables: { input: { id, ...input } },
    });
  const storedApart = async () => {
    const [row] = await app.db.read.execute<{ bytes: string }>(sql`
      select pg_relation_size(reltoastrelid)::text as bytes from pg_class where oid = 'tasks'::regclass`);
    return Number(row?.bytes);
  };
  const before = await storedApart();
  expect(dataOf(await mutate({ description })).updateTask.errors).toEqual([]);
  const stored = await storedApart();
  expect(stored - before).toBeGreaterThan(8000);
  for (const priority of ['LOW', 'HIGH', 'MEDIUM', 'URGENT']) {
    expect(dataOf(await mutate({ priority })).updateTask.errors).toEqual([]);
  }
  expect(await storedApart()).toBe(stored);
});

test('a change that waits while its task moves to another project never holds the locks of both', async () => {
  const client = postgresClient(app.databaseUrl, { max: 3 });
  const [{ id }] = f.opsTasks.slice(-1) as unknown as [{ id: TaskId }];
  const [ops, other] = [f.ops.id, newId('project')].map(toUuid) as [string, string];
  await client`insert into projects (id, key, name) values (${other}, 'OTHER', 'Another')`;
  await client`insert into project_members (project_id, user_id, role) values (${other}, ${toUuid(f.ada.id)}, 'OWNER')`;
  const shared = () => client<{ granted: boolean }[]>`
    select granted from pg_locks where locktype = 'advisory' and mode = 'ShareLock'
      and database = (select oid from pg_database where datname = current_database())`;
  const waitsAlone = () => eventually(async () => expect(await shared()).toEqual([{ granted: false }]));
  const holding = async (project: string, work: (tx: TransactionSql) => Promise<unknown>) =>
    client.begin(async (tx) => {
      await tx`select pg_advisory_xact_lock(hashtextextended(${project}::uuid::text, 1))`;
      await work(tx);
    });
  let changing: Promise<Answer> | undefined;
  await holding(other, async () => {
    await holding(ops, async (mover) => {
      changing = app.ask(
        'mutation ($input: UpdateTaskInput!) { updateTask(input: $input) { task { title } errors { code } } }',
        { as: f.ada.id, variables: { input: { id, title: 'After the move' } } },
      );
      await waitsAlone(); // for the first project
      await mover`delete from task_labels where task_id = ${toUuid(id)}`;
      await mover`update tasks set project_id = ${other}, number = 1 where id = ${toUuid(id)}`;
    });
    await waitsAlone(); // for the second one, without the first
  });
  expect(dataOf((await changing) as Answer).updateTask).toEqual({ task: { title: 'After the move' }, errors: [] });
  await client.end();
});

test('outside of a transaction it writes nothing', async () => {
  const client = postgresClient(app.databaseUrl, { max: 1 });
  const update = (run: typeof client) =>
    run.unsafe(
      `select u.* from tasks t, update_task($1, t.id, '{OWNER}', null, '{"priority": "LOW"}') as u where t.number = $2 and t.title = $3`,
      [toUuid(f.ada.id), 1, 'Task 1'],
    );
  expect(await update(client)).toHaveLength(0);
  const undone = client.begin('deferrable', async (tx) => {
    expect(await update(tx as unknown as typeof client)).toHaveLength(1);
    throw new RolledBack(undefined);
  });
  await expect(undone).rejects.toBeInstanceOf(RolledBack);
  await client.end();
});

test('a plain change is two statements: the change, and the question for its tags', async () => {
  const [, , third] = f.opsTasks as unknown as { id: TaskId }[];
  const change = async (input: object) => {
    app.reset();
    const answer = await app.ask(
      'mutation ($input: UpdateTaskInput!) { updateTask(input: $input) { task { title } errors { message } } }',
      { as: f.ada.id, variables: { input: { id: third?.id, ...input } } },
    );
    return { ...dataOf(answer).updateTask, statements: app.counts.statements.length };
  };
  expect(await change({ title: 'Changed' })).toEqual({ task: { title: 'Changed' }, errors: [], statements: 2 });
  expect(await change({ assigneeId: f.bob.id, title: 'Again' })).toMatchObject({ errors: [], statements: 2 });
  expect(await change({ assigneeId: f.eve.id })).toMatchObject({
    task: null,
    errors: [{ message: 'there is no such member of the project' }],
  });
});
