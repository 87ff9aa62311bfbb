/** What the cache knows of a row, a tag and its policies, for operators. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fromUuid, type TaskId, toUuid, type UserId } from '../../src/db/ids.js';
import type { Tag } from '../../src/engine/cache/index.js';
import { postgresClient } from '../../src/engine/postgres/database.js';
import type { VerifiedToken } from '../../src/graphql/identity.js';
import { dataOf, eventually } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { type LiveApp, liveApp } from '../support/live.js';

/** Signatures are another test's: here a token is a user's id and scopes. */
const verifyToken = async (token: string): Promise<VerifiedToken> => {
  const [subject = '', ...scopes] = token.split(' ');
  return { subject, scopes, expiresAtMs: Date.now() + 600_000, profile: {} };
};
const as = (user: UserId, ...scopes: string[]) => ({
  headers: { authorization: `Bearer ${[user, ...scopes].join(' ')}` },
});

let app: LiveApp;
let f: Fixture;

beforeAll(async () => {
  app = await liveApp({ nearCacheBytes: 16 * 1024 * 1024, app: { verifyToken, production: true } });
  f = await fixture(app);
});
afterAll(() => app?.close());

const LOOKUP = `query ($text: String!) { cacheTag(text: $text) {
  text kind table found id
  tags { tag state text fencedBy ttlMs lastInvalidation { transaction at } entries { policy key ageMs ttlLeftMs bytes }
    entriesOmitted policies { name entries bytes } }
} }`;

const lookUp = (text: string) => app.ask(LOOKUP, { ...as(f.eve.id, 'cache:admin'), variables: { text } });
const found = async (text: string) => dataOf(await lookUp(text)).cacheTag;
const first = () => f.opsTasks[0]?.id as TaskId;

describe('cacheTag', () => {
  test('an identifier, an id and a UUID name the same row, and all tags that a change of it touches', async () => {
    const [id, uuid, project] = [first(), toUuid(first()), toUuid(f.ops.id)];
    for (const text of ['OPS-1', ' ops-1 ', id, uuid.toUpperCase()]) {
      const row = await found(text);
      expect(row).toMatchObject({ kind: 'ROW', table: 'tasks', found: true, id, text });
      const tags = row.tags.map(({ tag }: { tag: string }) => tag);
      expect(tags[0]).toBe(`tasks:id=${uuid}`);
      expect(tags.at(-1)).toBe('tasks');
      expect(tags).toContain(`tasks:project_id,number=${project},1`);
      expect(tags).toContain(`tasks:project_id/any=${project}`);
      expect(tags.filter((tag: string) => tag.includes('null'))).toEqual([]);
    }
  });

  test('a tag shows its token, what memory holds under it, and which transaction touched it last', async () => {
    const tag = `tasks:id=${toUuid(first())}`;
    const read = () => app.ask('query Read { task(identifier: "OPS-1") { title } }', as(f.ada.id));
    await eventually(async () => {
      dataOf(await read());
      await app.settled();
      const { tags } = await found(tag);
      expect(tags).toMatchObject([{ tag, state: 'TOKEN', fencedBy: [], entriesOmitted: 0 }]);
      expect(tags[0].policies.map(({ name }: { name: string }) => name)).toEqual(
        expect.arrayContaining(['Task', 'Answer']),
      );
    });
    const [before] = (await found(tag)).tags;
    expect(before.ttlMs).toBeGreaterThan(0);
    const task = before.entries.find(({ policy }: { policy: string }) => policy === 'Task');
    expect(task.key).toContain(first());
    expect(task.bytes).toBeGreaterThan(0);
    const answer = before.entries.find(({ policy }: { policy: string }) => policy === 'Answer');
    expect(answer.key).toBe(`answer ${f.ada.id}`); // not what the viewer asked
    const { tags } = await app.transactor.transact((tx) =>
      tx.execute(`update tasks set title = 'Touched' where id = '${toUuid(first())}'`),
    );
    expect(tags).toContain(tag);
    await app.settled();
    const [after] = (await found(tag)).tags;
    expect(after.state).toBe('NONE');
    expect(Number(after.lastInvalidation.transaction)).toBeGreaterThan(0);
    expect(after.lastInvalidation.transaction).not.toBe(before.lastInvalidation?.transaction);
  });

  test('a fence is shown with the transaction that holds it', async () => {
    const tag = `labels:id=${fromSome()}` as Tag;
    await app.cache.store.fence(999_999_999n, [tag], { fresh: false });
    try {
      expect((await found(tag)).tags).toMatchObject([
        { state: 'FENCED', text: '!,999999999,', fencedBy: ['999999999'], ttlMs: null, lastInvalidation: null },
      ]);
    } finally {
      await app.cache.store.release(999_999_999n, [tag]);
    }
  });

  test('entries under a tag are listed up to 50, and the others counted', async () => {
    const policy = { name: 'Many', shape: 'x', ttlMs: 60_000, scope: 'public' as const };
    const source = { ...policy, tags: () => ['tasks'] as Tag[], load: async (args: readonly number[]) => args };
    await eventually(async () => {
      await app.cache.readMany(
        source,
        Array.from({ length: 80 }, (_, i) => i),
      );
      const [tag] = (await found('tasks')).tags;
      expect(tag.entries).toHaveLength(50);
      const many = tag.policies.find(({ name }: { name: string }) => name === 'Many');
      expect(many.entries).toBe(80);
      expect(tag.entriesOmitted).toBe(
        tag.policies.reduce((sum: number, { entries }: { entries: number }) => sum + entries, 0) - 50,
      );
    });
  });

  test('a task with several assignees names the list of each', async () => {
    const [id, users] = [f.opsTasks[5]?.id as TaskId, [f.ada.id, f.bob.id, f.vic.id]];
    const assign = 'mutation($i: AssignTaskInput!) { assignTask(input: $i) { errors { message } } }';
    dataOf(await app.ask(assign, { ...as(f.ada.id), variables: { i: { id, assigneeIds: users } } }));
    const tags = (await found(id)).tags.map(({ tag }: { tag: string }) => tag);
    expect(tags.filter((tag: string) => tag.startsWith('tasks:assignee_id'))).toEqual(
      users.map((user) => `tasks:assignee_id=${toUuid(user)}`),
    );
  });

  test('a row that does not exist is said so, with the tags that its appearance would touch', async () => {
    const id = fromUuid('task', fromSome());
    expect(await found(id)).toMatchObject({
      found: false,
      id,
      tags: [{ tag: `tasks:id=${fromSome()}` }, { tag: 'tasks' }],
    });
    const byNumber = `tasks:project_id,number=${toUuid(f.ops.id)},9999`;
    expect(await found('OPS-9999')).toMatchObject({
      found: false,
      id: null,
      tags: [{ tag: byNumber }, { tag: 'tasks' }],
    });
  });

  test.each([
    ['', 'expected a task such as OPS-42, an id, a UUID, or a table or rows of one'],
    ['NONE-1', 'expected the key of a project, such as OPS in OPS-42, not NONE'],
    ['tasks:title=x', 'expected a task such as OPS-42, an id, a UUID, or rows of tasks by id, '],
    [fromSome(), 'expected the UUID of a row of users, projects, '],
    [`tasks:id=${'x'.repeat(600)}`, 'at most 512 characters'],
  ])('%j is refused, and says what was expected', async (text, message) => {
    const { errors } = await lookUp(text);
    expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', argument: 'text' } }]);
    expect(errors?.[0]?.message).toContain(message);
  });
});

test('lookups run one at a time, 60 of a viewer wait, and /readyz waits for none', async () => {
  const sql = postgresClient(app.databaseUrl, { max: 2 });
  const many = `{ ${Array.from({ length: 30 }, (_, i) => `t${i}: cacheTag(text: "OPS-1") { table }`).join(' ')} }`;
  const blocked = async () => {
    const [row] = await sql<{ count: number }[]>`
      select count(*)::int from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
    return row?.count;
  };
  try {
    const asked = await sql.begin(async (tx) => {
      await tx`lock table tasks in access exclusive mode`;
      const answers = Array.from({ length: 4 }, () => app.ask(many, as(f.eve.id, 'cache:admin')));
      await eventually(async () => expect(await blocked()).toBe(1));
      expect((await app.server.inject('/readyz')).json()).toMatchObject({ postgres: 'up' });
      expect(await blocked()).toBe(1);
      return { answers }; // not awaited while the lock is held
    });
    const answers = await Promise.all(asked.answers);
    const refusals = answers.flatMap(({ errors }) => errors ?? []).map(({ extensions }) => extensions);
    const refusal = expect.objectContaining({ code: 'RATE_LIMITED', retryAfterMs: 1000 });
    expect(refusals).toEqual([refusal, refusal]); // 30 and 30 of four times 30 are within the bound
  } finally {
    await sql.end();
  }
  expect(await found('OPS-1')).toMatchObject({ found: true });
});

test('cachePolicies lists every cached field with its policy, and what this process holds of it', async () => {
  dataOf(await app.ask('{ task(identifier: "OPS-2") { assignee { name } } }', as(f.ada.id)));
  const policies = dataOf(
    await app.ask(
      `{ cachePolicies { name coordinates ttlMs staleMs scope shape today { hits } memoryEntries memoryBytes
        lastMisses { policy } } }`,
      as(f.eve.id, 'cache:admin'),
    ),
  ).cachePolicies;
  expect(policies.length).toBeGreaterThan(20);
  const of = (name: string) => policies.find((policy: { name: string }) => policy.name === name);
  expect(of('User')).toMatchObject({
    coordinates: expect.arrayContaining(['Task.assignee']),
    scope: 'public',
    staleMs: 0,
    lastMisses: [], // no one has watched
  });
  expect(of('Memberships').scope).toBe('viewer');
  expect(of('Task').memoryEntries).toBeGreaterThan(0);
  expect(of('Task').memoryBytes).toBeGreaterThan(0);
});

function fromSome(): string {
  return '018f3c4e-0000-7000-8000-00000000abcd';
}
