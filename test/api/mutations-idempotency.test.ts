/** `idempotencyKey`: what is sent twice is created once, on whatever process, at whatever moment, with or without Redis. */
import { eq, sql } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newId } from '../../src/db/ids.js';
import { hintKey } from '../../src/domain/idempotency/idempotency.js';
import { idempotencyKeys } from '../../src/domain/idempotency/idempotency.table.js';
import { CacheError, type Store } from '../../src/engine/cache/index.js';
import { eventually } from '../support/app.js';
import { expectRefusal, type TwoProcesses, twoProcesses } from '../support/mutations.js';
import { intercepted } from '../support/stores.js';

const FIELDS: Record<string, string> = {
  createTask: 'task { id title identifier }',
  createComment: 'comment { id body }',
  createLabel: 'label { id name }',
  createProject: 'project { id key }',
  updateTask: 'task { id }',
  deleteTask: 'deletedTaskId',
  deleteLabel: 'deletedLabelId',
  deleteComment: 'deletedCommentId',
  addMember: 'project { id }',
  removeMember: 'removedUserId',
  moveTask: 'task { id }',
};

let w: TwoProcesses;
/** The store of `here`, and whether it answers. */
let store: Store;
let away = false;
beforeAll(async () => {
  w = await twoProcesses(FIELDS, {
    wrap: (redis) => {
      store = redis;
      return intercepted(redis, (step) => {
        if (away && (step === 'read' || step === 'fill')) throw new CacheError('STORE_UNAVAILABLE', 'away');
      });
    },
  });
});
afterAll(() => w?.close());

let keys = 0;
const newKey = () => `key ${++keys}`;
const taskInput = (more: object = {}) => ({ projectId: w.f.ops.id, title: 'Once', idempotencyKey: newKey(), ...more });
const countOf = async (title: string) => {
  const { project } = await w.read('{ project(key: "OPS") { tasks(first: 100) { nodes { title } } } }');
  return project.tasks.nodes.filter((task: { title: string }) => task.title === title).length;
};
/** Each create, with an input of its own and what it answers. */
const creates = (): [string, string, Record<string, unknown>][] => [
  ['createTask', 'task', { projectId: w.f.ops.id, title: `T ${newKey()}` }],
  ['createComment', 'comment', { taskId: w.f.opsTasks[0]?.id, body: 'Once' }],
  ['createLabel', 'label', { projectId: w.f.ops.id, name: newKey() }],
  ['createProject', 'project', { key: `K${++keys}`, name: 'Once' }],
];

test('the same key answers what was created first, here and on another process', async () => {
  for (const [name, object, input] of creates()) {
    const keyed = { ...input, idempotencyKey: newKey() };
    const first = await w.mutate(name, keyed);
    expect(first.errors).toEqual([]);
    for (const on of [w.here, w.there]) {
      const again = await w.mutate(name, keyed, { on });
      expect(again.errors).toEqual([]);
      expect(again[object]).toEqual(first[object]);
    }
  }
});

test('sent by two processes at once, many times over, it is created once', async () => {
  for (const [name, object, input] of creates()) {
    const keyed = { ...input, idempotencyKey: newKey() };
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, i) => w.mutate(name, keyed, { on: i % 2 === 0 ? w.here : w.there })),
    );
    expect(answers.flatMap(({ errors }) => errors)).toEqual([]);
    expect(new Set(answers.map((answer) => answer[object].id)).size).toBe(1);
  }
  const title = newKey();
  await Promise.all(
    [w.here, w.there].map((on) => w.mutate('createTask', taskInput({ title, idempotencyKey: title }), { on })),
  );
  expect(await countOf(title)).toBe(1);
});

test('without a key each is another; a key is of one viewer and one mutation', async () => {
  const title = newKey();
  for (let i = 0; i < 2; i++) await w.mutate('createTask', taskInput({ title, idempotencyKey: null }));
  expect(await countOf(title)).toBe(2);
  const keyed = taskInput({ title: newKey() });
  await w.mutate('createTask', keyed);
  expect((await w.mutate('createTask', keyed, { as: w.f.bob.id })).errors).toEqual([]);
  expect(await countOf(keyed.title)).toBe(2);
  const label = { projectId: w.f.ops.id, name: newKey(), idempotencyKey: keyed.idempotencyKey };
  expect((await w.mutate('createLabel', label)).errors).toEqual([]);
});

test('another input with the same key is refused; one that means the same is not', async () => {
  const input = taskInput({ title: 'Input' });
  const first = await w.mutate('createTask', input);
  for (const on of [w.here, w.there]) {
    for (const other of [{ title: 'Other' }, { priority: 'LOW' }, { labelIds: [w.f.bug.id] }]) {
      expectRefusal(await w.mutate('createTask', { ...input, ...other }, { on }), 'ConflictError', 'idempotencyKey');
    }
    const same = await w.mutate('createTask', { ...input, title: ' Input ', description: null }, { on });
    expect(same.task).toEqual(first.task);
  }
});

test('it answers the object as it is now, not as it was', async () => {
  const input = taskInput();
  const { task } = await w.mutate('createTask', input);
  await w.mutate('updateTask', { id: task.id, title: 'Since then' }, { on: w.there });
  expect((await w.mutate('createTask', input)).task).toEqual({ ...task, title: 'Since then' });
});

test('a key whose object is gone is not found, nor is one whose object the viewer may not see any more', async () => {
  const { ops, web, bob } = w.f;
  const input = taskInput();
  const { task } = await w.mutate('createTask', input);
  await w.mutate('deleteTask', { id: task.id });
  for (const on of [w.here, w.there]) {
    expectRefusal(await w.mutate('createTask', input, { on }), 'NotFoundError', 'idempotencyKey');
  }
  const ofBob = taskInput();
  const moved = await w.mutate('createTask', ofBob, { as: bob.id });
  await w.mutate('moveTask', { id: moved.task.id, projectId: web.id });
  expectRefusal(await w.mutate('createTask', ofBob, { as: bob.id }), 'NotFoundError', 'idempotencyKey');
  const comment = { taskId: w.f.opsTasks[0]?.id, body: 'Mine', idempotencyKey: newKey() };
  await w.mutate('createComment', comment, { as: bob.id });
  await w.mutate('removeMember', { projectId: ops.id, userId: bob.id });
  expectRefusal(await w.mutate('createComment', comment, { as: bob.id }), 'NotFoundError', 'idempotencyKey');
  await w.mutate('addMember', { projectId: ops.id, userId: bob.id, role: 'MEMBER' });
});

test('a create that is refused leaves the key unused', async () => {
  const input = taskInput({ assigneeId: w.f.eve.id });
  expectRefusal(await w.mutate('createTask', input), 'NotFoundError', 'assigneeId');
  expect((await w.mutate('createTask', { ...input, assigneeId: w.f.bob.id })).errors).toEqual([]);
});

test.each(['', ' ', 'x'.repeat(201), '\0'])('refuses the key %j', async (idempotencyKey) => {
  for (const [name, , input] of creates()) {
    expectRefusal(await w.mutate(name, { ...input, idempotencyKey }), 'ValidationError', 'idempotencyKey');
  }
});

describe('Redis is a shortcut:', () => {
  const inserts = () => w.here.counts.statements.filter((text) => text.startsWith('insert into "idempotency_keys"'));

  test('with it an answer again is no transaction for writing', async () => {
    const input = taskInput();
    const { task } = await w.mutate('createTask', input, { on: w.there });
    await w.there.settled();
    await eventually(async () => {
      w.here.reset();
      expect((await w.mutate('createTask', input)).task).toEqual(task);
      expect(inserts()).toEqual([]);
      expect(w.here.counts.fences).toBe(0);
    });
  });

  test('while it is away, Postgres alone decides', async () => {
    const input = taskInput();
    const { task } = await w.mutate('createTask', input, { on: w.there });
    away = true;
    try {
      expect((await w.mutate('createTask', input)).task).toEqual(task);
      const unheard = taskInput();
      const first = await w.mutate('createTask', unheard);
      expect((await w.mutate('createTask', unheard, { on: w.there })).task).toEqual(first.task);
    } finally {
      away = false;
    }
  });

  test('what it says wrongly changes no answer', async () => {
    const input = taskInput();
    const key = hintKey({ userId: w.f.ada.id, operation: 'createTask', key: input.idempotencyKey });
    await store.fill([{ key, text: newId('task'), ttlMs: 60_000 }]);
    const first = await w.mutate('createTask', input);
    expect(first.errors).toEqual([]);
    await store.fill([{ key, text: newId('task'), ttlMs: 60_000 }]);
    expect((await w.mutate('createTask', input)).task).toEqual(first.task);
    expectRefusal(await w.mutate('createTask', { ...input, title: 'Other' }), 'ConflictError', 'idempotencyKey');
  });

  test('a key that Postgres has forgotten creates anew, whatever Redis still knows', async () => {
    const input = taskInput();
    const { task } = await w.mutate('createTask', input);
    await w.here.transactor.transact((tx) =>
      tx.delete(idempotencyKeys).where(eq(idempotencyKeys.key, input.idempotencyKey)),
    );
    const anew = await w.mutate('createTask', input);
    expect(anew.errors).toEqual([]);
    expect(anew.task.id).not.toBe(task.id);
  });
});

test('keys older than a day go with each new one, a few at a time; younger ones stay', async () => {
  await w.here.transactor.transact((tx) =>
    tx.execute(sql`
      insert into idempotency_keys (user_id, operation, key, digest, created_id, created_at)
      select (select id from users limit 1), 'old', n, '', gen_random_uuid(), now() - interval '25 hours' from generate_series(1, 30) n
      union all
      select (select id from users limit 1), 'young', n, '', gen_random_uuid(), now() - interval '23 hours' from generate_series(1, 3) n`),
  );
  const count = async (operation: string) =>
    (await w.here.db.read.select().from(idempotencyKeys).where(eq(idempotencyKeys.operation, operation))).length;
  await w.mutate('createTask', taskInput());
  expect(await count('old')).toBe(10);
  await w.mutate('createTask', taskInput());
  expect(await count('old')).toBe(0);
  expect(await count('young')).toBe(3);
});
