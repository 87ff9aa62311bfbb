/** `taskChanged`: what subscribers are told, by whomever it was written, and who is told nothing. */
import { and, eq } from 'drizzle-orm';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { newId, toUuid, type UserId } from '../../src/db/ids.js';
import { projectMembers } from '../../src/domain/projects/project.table.js';
import { tasks } from '../../src/domain/tasks/task.table.js';
import { eventually } from '../support/app.js';
import type { Fixture } from '../support/fixture.js';
import { type SubscribedServers, subscribedServers } from '../support/subscribed-servers.js';
import type { Connection, Subscription } from '../support/subscriber.js';

let servers: SubscribedServers;
let app: SubscribedServers['app'];
let other: SubscribedServers['other'];
let sql: SubscribedServers['sql'];
let f: SubscribedServers['f'];
let connected: SubscribedServers['connected'];

beforeAll(async () => {
  servers = await subscribedServers(8);
  ({ app, other, sql, f, connected } = servers);
});
afterEach(async () => {
  await servers.closeConnections();
  await eventually(() => expect(app.taskEvents.subscribers).toBe(0));
});
afterAll(() => servers?.close());

const task = (i: number) => (f.opsTasks[i] as Fixture['opsTasks'][number]).id;
const uuid = (i: number) => toUuid(task(i));

const mutate = (name: string, input: object, selection = 'task { id version }') =>
  servers.mutate(name, input, selection);

const rename = (i: number, title: string) => mutate('updateTask', { id: task(i), title });
const renameBySql = (i: number, title: string) =>
  sql`update tasks set title = ${title}, version = version + 1 where id = ${uuid(i)}`;

/** Waits for a change that is written last, and takes all that came before it. */
async function changesUntil(subscription: Subscription, title: string) {
  await eventually(() => expect(subscription.changes.at(-1)?.task?.title).toBe(title));
  return subscription.changes.splice(0);
}

describe('is told', () => {
  test('what the API does on another process: created, updated, deleted', async () => {
    const subscription = await connected().subscribe({ projectId: f.ops.id });
    const input = { projectId: f.ops.id, title: 'New', labelIds: [f.bug.id] };
    const { id } = (await mutate('createTask', input)).task;
    await mutate('updateTask', { id, title: 'Renamed', priority: 'HIGH', labelIds: [f.docs.id] });
    await mutate('completeTask', { id });
    await mutate('deleteTask', { id }, 'deletedTaskId');
    await eventually(() => expect(subscription.changes).toHaveLength(4));
    const at = expect.stringMatching(/^\d{4}-.*Z$/);
    const seen = (version: number) => ({ version: expect.toSatisfy((shown: number) => shown >= version) });
    const changes = subscription.changes.map((change) => ({
      ...change,
      task: change.task && { version: change.task.version },
    }));
    expect(changes).toEqual([
      { type: 'CREATED', taskId: id, version: 1, at, changedFields: [], task: expect.toBeOneOf([null, seen(1)]) },
      {
        type: 'UPDATED',
        taskId: id,
        version: 2,
        at,
        changedFields: ['labels', 'priority', 'title'],
        task: expect.toBeOneOf([null, seen(2)]),
      },
      {
        type: 'UPDATED',
        taskId: id,
        version: 3,
        at,
        changedFields: ['completedAt', 'status'],
        task: expect.toBeOneOf([null, seen(3)]),
      },
      { type: 'DELETED', taskId: id, version: 3, at, changedFields: [], task: null },
    ]);
  });

  test('comments on a task, as updates that leave its version', async () => {
    const subscription = await connected().subscribe({ taskId: task(7) });
    await mutate('createComment', { taskId: task(7), body: 'Heard?' }, 'comment { id }');
    await eventually(() => expect(subscription.changes).toHaveLength(1));
    expect(subscription.changes).toMatchObject([{ type: 'UPDATED', version: 1, changedFields: ['comments'] }]);
  });

  test('what plain SQL does, with the task as it then is', async () => {
    const subscription = await connected().subscribe({ taskId: task(0) });
    await app.ask('query($id: ID!) { task(id: $id) { title version } }', { as: f.ada.id, variables: { id: task(0) } });
    await renameBySql(0, 'By psql');
    await eventually(() => expect(subscription.changes).toHaveLength(1));
    expect(subscription.changes[0]).toMatchObject({
      type: 'UPDATED',
      taskId: task(0),
      version: 2,
      changedFields: ['title'],
      task: { title: 'By psql', version: 2 },
    });
    await sql`update tasks set title = title where id = ${uuid(0)}`; // as it was
    await sql`update task_labels set label_id = label_id where task_id = ${uuid(0)}`;
    await sql`delete from task_labels where task_id = ${uuid(0)}`;
    await sql`update tasks set title = 'Again' where id = ${uuid(0)}`; // without a new version
    await eventually(() => expect(subscription.changes).toHaveLength(3));
    expect(subscription.changes.slice(1)).toMatchObject([
      { changedFields: ['labels'], version: 2 },
      { changedFields: ['title'], version: 2, task: { title: 'Again' } },
    ]);
  });

  test('nothing of what is rolled back', async () => {
    const subscription = await connected().subscribe();
    const failing = other.transactor.transact(async (tx) => {
      await tx
        .update(tasks)
        .set({ title: 'Thrown away' })
        .where(eq(tasks.id, task(0)));
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    await rename(0, 'Kept');
    expect(await changesUntil(subscription, 'Kept')).toHaveLength(1);
  });

  test('one event of one transaction, and nothing of what came and went in it', async () => {
    const subscription = await connected().subscribe();
    await sql.begin(async (tx) => {
      const { id } = { id: newId('task') };
      const row = {
        id: toUuid(id),
        project_id: toUuid(f.ops.id),
        number: 900,
        title: 'Short',
        creator_id: toUuid(f.ada.id),
      };
      await tx`insert into tasks ${tx(row)}`;
      await tx`update tasks set title = 'Once', version = version + 1 where id = ${uuid(1)}`;
      await tx`delete from tasks where id = ${row.id}`;
      await tx`update tasks set due_date = '2030-01-01', version = version + 1 where id = ${uuid(1)}`;
    });
    const [change, ...more] = await changesUntil(subscription, 'Once');
    expect(more).toEqual([]);
    expect(change).toMatchObject({ taskId: task(1), version: 3, changedFields: ['dueDate', 'title'] });
  });

  test('every version in its order, none twice, each with a task that is no older', async () => {
    const subscription = await connected().subscribe({ projectId: f.ops.id });
    const writes = 24;
    await Promise.all(
      [2, 3].map(async (i) => {
        for (let n = 0; n < writes; n++) await (n % 3 === 0 ? renameBySql(i, `Step ${n}`) : rename(i, `Step ${n}`));
      }),
    );
    await eventually(() => expect(subscription.changes).toHaveLength(2 * writes));
    for (const i of [2, 3]) {
      const changes = subscription.changes.filter(({ taskId }) => taskId === task(i));
      expect(changes.map(({ version }) => version)).toEqual(Array.from({ length: writes }, (_, n) => n + 2));
      expect(changes.filter(({ task, version }) => (task?.version ?? 0) < version)).toEqual([]);
    }
  });

  test('a transaction that commits after younger ones', async () => {
    const subscription = await connected().subscribe();
    const late = await sql.reserve();
    try {
      await late`begin`;
      await late`update tasks set title = 'Late', version = version + 1 where id = ${uuid(4)}`;
      await rename(5, 'Younger');
      await changesUntil(subscription, 'Younger');
      await rename(5, 'Younger still');
      await changesUntil(subscription, 'Younger still');
      await late`commit`;
    } finally {
      late.release();
    }
    expect(await changesUntil(subscription, 'Late')).toMatchObject([{ taskId: task(4), changedFields: ['title'] }]);
  });

  test('a task that moves as one that goes here and comes there', async () => {
    const [ops, web, one, all] = await Promise.all([
      connected().subscribe({ projectId: f.ops.id }),
      connected().subscribe({ projectId: f.web.id }),
      connected().subscribe({ taskId: task(6) }),
      connected().subscribe(),
    ]);
    const member = await connected(f.bob.id).subscribe({ taskId: task(6) });
    await sql.begin(async (tx) => {
      await tx`delete from task_labels where task_id = ${uuid(6)}`;
      await tx`update tasks set project_id = ${toUuid(f.web.id)}, number = 77, version = version + 1 where id = ${uuid(6)}`;
    });
    const moved = {
      type: 'UPDATED',
      changedFields: ['identifier', 'labels', 'project', 'sortOrder'],
      task: { version: 2 },
    };
    await eventually(() => {
      expect(ops.changes).toMatchObject([{ type: 'DELETED', changedFields: [], task: null }]);
      expect(web.changes).toMatchObject([{ type: 'CREATED', changedFields: [], task: { version: 2 } }]);
      expect(one.changes).toMatchObject([moved]);
      expect(all.changes).toMatchObject([moved]);
      // Who does not see where it went is told no more than that it is gone.
      expect(member.changes).toMatchObject([{ type: 'DELETED', changedFields: [], task: null }]);
      expect(member.ended).toBe(true);
    });
    expect([ops, web, one, all].map(({ ended }) => ended)).toEqual([false, false, false, false]);
  });
});

describe('is told only', () => {
  test('what was subscribed to', async () => {
    const connection = connected();
    const [ops, web, one, all] = [
      await connection.subscribe({ projectId: f.ops.id }),
      await connection.subscribe({ projectId: f.web.id }),
      await connection.subscribe({ taskId: task(5) }),
      await connection.subscribe(),
    ];
    await rename(4, 'In OPS');
    await mutate('updateTask', { id: f.webTask.id, title: 'In WEB' });
    await rename(5, 'This one');
    const titles = ({ changes }: Subscription) => changes.map(({ task }) => task?.title);
    await eventually(() => expect(titles(all)).toEqual(['In OPS', 'In WEB', 'This one']));
    await eventually(() =>
      expect([ops, web, one].map(titles)).toEqual([['In OPS', 'This one'], ['In WEB'], ['This one']]),
    );
  });

  test('what the viewer is a member of', async () => {
    const [bob, eve] = [await connected(f.bob.id).subscribe(), await connected(f.eve.id).subscribe()];
    await mutate('updateTask', { id: f.webTask.id, title: 'Not for bob' });
    await rename(4, 'For bob');
    expect(await changesUntil(bob, 'For bob')).toHaveLength(1);
    await other.transactor.transact((tx) =>
      tx.insert(projectMembers).values({ projectId: f.ops.id, userId: f.eve.id, role: 'VIEWER' }),
    );
    await rename(4, 'For eve');
    expect(await changesUntil(eve, 'For eve')).toHaveLength(1);
    await remove(f.eve.id);
  });

  test.each([
    ['a project of others', () => ({ projectId: f.web.id })],
    ['a project that does not exist', () => ({ projectId: newId('project') })],
    ['a task of others', () => ({ taskId: f.webTask.id })],
    ['a task that does not exist', () => ({ taskId: newId('task') })],
    ['what is no id', () => ({ taskId: 'x' })],
    ['a project and a task', () => ({ projectId: f.ops.id, taskId: task(0) })],
  ])('and refused %s', async (_, variables) => {
    const subscription = await connected(f.bob.id).subscribe(variables());
    await eventually(() => expect(subscription.ended).toBe(true));
    const [argument] = Object.keys(variables());
    expect(subscription.errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', argument } }]);
    expect(subscription.errors[0]?.message).toMatch(/expected/);
  });
});

async function remove(userId: UserId): Promise<void> {
  await other.transactor.transact((tx) =>
    tx.delete(projectMembers).where(and(eq(projectMembers.projectId, f.ops.id), eq(projectMembers.userId, userId))),
  );
}

describe('a removed member', () => {
  afterEach(() =>
    app.transactor.transact((tx) =>
      tx.insert(projectMembers).values({ projectId: f.ops.id, userId: f.bob.id, role: 'MEMBER' }).onConflictDoNothing(),
    ),
  );

  test('is told nothing more, and the subscription ends without another event', async () => {
    const connection = connected(f.bob.id);
    const project = await connection.subscribe({ projectId: f.ops.id });
    const one = await connection.subscribe({ taskId: task(4) });
    const all = await connection.subscribe();
    const stays = await connected().subscribe();
    await remove(f.bob.id);
    await eventually(() => expect([project.ended, one.ended]).toEqual([true, true]));
    await rename(4, 'After that');
    await changesUntil(stays, 'After that');
    expect([project, one, all].flatMap(({ changes, errors }) => [...changes, ...errors])).toEqual([]);
    expect(all.ended).toBe(false); // of whatever else the viewer may see
  });

  test('also when removed by plain SQL', async () => {
    const project = await connected(f.bob.id).subscribe({ projectId: f.ops.id });
    await sql`delete from project_members where user_id = ${toUuid(f.bob.id)}`;
    await eventually(() => expect(project.ended).toBe(true));
  });
});

describe('more than is told one by one', () => {
  test('ends the subscriptions that it concerns, and says why', async () => {
    const connection = connected();
    const ops = await connection.subscribe({ projectId: f.ops.id });
    const all = await connection.subscribe();
    const web = await connection.subscribe({ projectId: f.web.id });
    const eve = await connected(f.eve.id).subscribe();
    const inserted = sql`
      insert into tasks (id, project_id, number, title, creator_id)
      select gen_random_uuid(), ${toUuid(f.ops.id)}, n, 'Many ' || n, ${toUuid(f.ada.id)} from generate_series(1000, 1500) as n`;
    await inserted;
    const why = [{ extensions: { code: 'TOO_MANY_CHANGES' } }];
    await eventually(() => expect([ops.ended, all.ended]).toEqual([true, true]));
    expect([ops.errors, all.errors]).toMatchObject([why, why]);
    await mutate('updateTask', { id: f.webTask.id, title: 'WEB goes on' });
    await changesUntil(web, 'WEB goes on');
    expect([web.ended, eve.ended, eve.errors]).toEqual([false, false, []]);
    // One less is told.
    const again = await connection.subscribe({ projectId: f.ops.id });
    await sql`delete from tasks where number between 1001 and 1500`;
    await eventually(() => expect(again.changes).toHaveLength(500));
    expect(new Set(again.changes.map(({ type }) => type))).toEqual(new Set(['DELETED']));
  });
});

test('looks once for all subscribers when there is news, and never without subscribers', async () => {
  const looks = () => app.counts.statements.filter((text) => text.includes('task_events')).length;
  app.reset();
  for (let n = 0; n < 5; n++) await rename(7, `Nobody listens ${n}`);
  expect(looks()).toBe(0);

  const all = await Promise.all([f.ada, f.bob, f.vic].map(({ id }) => Promise.resolve(connected(id))));
  const subscriptions: Subscription[] = [];
  for (let n = 0; n < 30; n++) {
    subscriptions.push(await (all[n % 3] as Connection).subscribe({ projectId: f.ops.id }));
  }
  app.reset();
  const startedMs = performance.now();
  const writes = 10;
  for (let n = 0; n < writes; n++) {
    await rename(7, `Heard ${n}`);
    await Promise.all(subscriptions.map((subscription) => changesUntil(subscription, `Heard ${n}`)));
  }
  const byClock = Math.ceil((performance.now() - startedMs) / 2000) + 1;
  expect(looks()).toBeGreaterThanOrEqual(writes);
  expect(looks()).toBeLessThanOrEqual(writes + byClock);
  // Beside the looks, the task itself once for all; memberships from the cache.
  expect(app.counts.statements.length - looks()).toBeLessThanOrEqual(2 * writes);
});
