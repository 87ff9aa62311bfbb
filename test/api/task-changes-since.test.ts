/** `taskChangesSince`: a chain of cursors brings each committed change once, to those who may see it. */
import fc from 'fast-check';
import type { ReservedSql, Sql } from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newId, toUuid, type UserId } from '../../src/db/ids.js';
import { firstUnseen, type Snapshot } from '../../src/domain/tasks/task-change.cursor.js';
import { MAX_ROWS_SINCE } from '../../src/domain/tasks/task-changes-since.js';
import { postgresClient } from '../../src/engine/postgres/database.js';
import { trimEvents } from '../../src/engine/postgres/outbox.js';
import { type Answer, dataOf, type TestApp, testApp } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';

let app: TestApp;
let sql: Sql;
let f: Fixture;

const WRITERS = 4;
const PROPERTY_RUNS = 25;

beforeAll(async () => {
  app = await testApp();
  sql = postgresClient(app.databaseUrl, { max: WRITERS + 2 });
  f = await fixture(app, 8);
});
afterAll(async () => {
  await sql?.end();
  await app?.close();
});

interface Change {
  readonly type: string;
  readonly taskId: string;
  readonly version: number;
  readonly changedFields: readonly string[];
  readonly task: { readonly title: string; readonly version: number } | null;
}

interface Page {
  readonly changes: readonly Change[];
  readonly refetchProjectIds: readonly string[];
  readonly cursor: string;
  readonly hasMore: boolean;
}

interface Args {
  readonly cursor?: string | undefined;
  readonly first?: number;
  readonly projectId?: string;
}

const DOCUMENT = `query($cursor: String, $first: Int! = 100, $projectId: ID) {
  taskChangesSince(cursor: $cursor, first: $first, projectId: $projectId) {
    changes { type taskId version changedFields task { title version } } refetchProjectIds cursor hasMore
  }
}`;

const ask = (variables: Args, as: UserId = f.ada.id, headers: Record<string, string> = {}): Promise<Answer> =>
  app.ask(DOCUMENT, { as, variables: { ...variables }, headers });
const page = async (variables: Args, as?: UserId): Promise<Page> => dataOf(await ask(variables, as)).taskChangesSince;
const begin = async (args: Args = {}, as?: UserId) => (await page(args, as)).cursor;

/** All that waits, in pages of `first`. */
async function rest(cursor: string, args: Args = {}, as?: UserId): Promise<{ changes: Change[]; cursor: string }> {
  const changes: Change[] = [];
  for (let next: string = cursor; ; ) {
    const found = await page({ ...args, cursor: next }, as);
    changes.push(...found.changes);
    next = found.cursor;
    expect(found.changes.length).toBeLessThanOrEqual(args.first ?? 100);
    if (!found.hasMore) return { changes, cursor: next };
  }
}

const task = (i: number) => (f.opsTasks[i] as Fixture['opsTasks'][number]).id;
const uuid = (i: number) => toUuid(task(i));
const rename = (i: number, title: string, at: Pick<Sql, 'unsafe'> = sql) =>
  at.unsafe('update tasks set title = $1, version = version + 1 where id = $2', [title, uuid(i)]);

describe('a chain of cursors', () => {
  test('begins with now, without a change', async () => {
    await rename(0, 'Before');
    const first = await page({});
    expect(first).toEqual({ changes: [], refetchProjectIds: [], cursor: expect.any(String), hasMore: false });
    expect(await page({ cursor: first.cursor })).toMatchObject({ changes: [], hasMore: false });
  });

  test('shows what was created, updated, deleted, and moved, with the task as it is', async () => {
    const cursor = await begin();
    const ops = await begin({ projectId: f.ops.id });
    const id = newId('task');
    await sql`insert into tasks ${sql({ id: toUuid(id), project_id: toUuid(f.ops.id), number: 900, title: 'New', creator_id: toUuid(f.ada.id) })}`;
    await sql.begin(async (tx) => {
      await tx`update tasks set title = 'Changed', version = version + 1 where id = ${toUuid(id)}`;
      await tx`insert into task_labels (project_id, task_id, label_id) values (${toUuid(f.ops.id)}, ${toUuid(id)}, ${toUuid(f.bug.id)})`;
      await tx`delete from task_labels where task_id = ${toUuid(id)}`;
    });
    await sql`update tasks set project_id = ${toUuid(f.web.id)}, number = 900, version = version + 1 where id = ${toUuid(id)}`;
    const shown = { title: 'Changed', version: 3 };
    expect((await rest(cursor)).changes).toEqual([
      { type: 'CREATED', taskId: id, version: 1, changedFields: [], task: shown },
      { type: 'UPDATED', taskId: id, version: 2, changedFields: ['labels', 'title'], task: shown },
      { type: 'UPDATED', taskId: id, version: 3, changedFields: ['identifier', 'project'], task: shown },
    ]);
    expect((await rest(ops, { projectId: f.ops.id })).changes.map(({ type }) => type)).toEqual([
      'CREATED',
      'UPDATED',
      'DELETED',
    ]);
    const later = await begin();
    await sql`delete from tasks where id = ${toUuid(id)}`;
    expect((await rest(later)).changes).toMatchObject([{ type: 'DELETED', taskId: id, task: null }]);
  });

  test('shows nothing of what is rolled back, nor of what came and went in one transaction', async () => {
    const cursor = await begin();
    const thrown = sql.begin(async (tx) => {
      await rename(0, 'Thrown away', tx);
      throw new Error('no');
    });
    await expect(thrown).rejects.toThrow('no');
    await sql.begin(async (tx) => {
      const id = toUuid(newId('task'));
      await tx`insert into tasks ${tx({ id, project_id: toUuid(f.ops.id), number: 901, title: 'Short', creator_id: toUuid(f.ada.id) })}`;
      await tx`delete from tasks where id = ${id}`;
    });
    expect((await rest(cursor)).changes).toEqual([]);
  });

  test('shows a transaction that commits after younger ones, in the call after its commit', async () => {
    let cursor = await begin();
    const late = await sql.reserve();
    try {
      await late`begin`;
      await rename(1, 'Late', late);
      await rename(2, 'Younger');
      const younger = await rest(cursor);
      expect(younger.changes).toMatchObject([{ taskId: task(2) }]);
      cursor = younger.cursor;
      expect((await rest(cursor)).changes).toEqual([]);
      await late`commit`;
    } finally {
      late.release();
    }
    expect((await rest(cursor)).changes).toMatchObject([{ taskId: task(1), task: { title: 'Late' } }]);
  });

  test('shows a page at a time the changes up to one moment, however many come meanwhile', async () => {
    const cursor = await begin();
    for (let n = 0; n < 5; n++) await rename(3, `Step ${n}`);
    const first = await page({ cursor, first: 2 });
    await rename(3, 'Meanwhile');
    const second = await page({ cursor: first.cursor, first: 2 });
    const third = await page({ cursor: second.cursor, first: 2 });
    const fourth = await page({ cursor: third.cursor, first: 2 });
    const pages = [first, second, third, fourth];
    expect(pages.map(({ changes }) => changes.length)).toEqual([2, 2, 1, 1]);
    expect(pages.map(({ hasMore }) => hasMore)).toEqual([true, true, false, false]);
    const versions = pages.flatMap(({ changes }) => changes.map(({ version }) => version));
    expect(versions).toEqual([...versions].sort((a, b) => a - b));
    expect(new Set(versions).size).toBe(6);
    // The same cursor brings the same page again.
    expect((await page({ cursor: first.cursor, first: 2 })).changes).toMatchObject(
      second.changes.map(({ taskId, version }) => ({ taskId, version })),
    );
  });

  test('shows no task that is older than its change, though the cache has it', async () => {
    const document = 'query($id: ID!) { task(id: $id) { title version } }';
    const cursor = await begin();
    for (let n = 0; n < 10; n++) {
      await app.ask(document, { as: f.ada.id, variables: { id: task(4) } });
      await rename(4, `Past the cache ${n}`);
      const { changes } = await page({ cursor });
      for (const change of changes) expect(change.task?.version).toBeGreaterThanOrEqual(change.version);
      expect(changes).toHaveLength(n + 1);
    }
  });
});

type Step =
  | { readonly kind: 'write'; readonly writer: number; readonly task: number; readonly label: boolean }
  | { readonly kind: 'commit' | 'rollback'; readonly writer: number }
  | { readonly kind: 'read'; readonly first: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('write' as const),
      writer: fc.nat(WRITERS - 1),
      task: fc.nat(7),
      label: fc.boolean(),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('commit' as const), writer: fc.nat(WRITERS - 1) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('rollback' as const), writer: fc.nat(WRITERS - 1) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('read' as const), first: fc.integer({ min: 1, max: 3 }) }) },
);

/** Transactions that overlap and end in any order. A task has one writer at a time: another would wait for it. */
class Writers {
  readonly committed = new Map<string, number[]>();
  readonly #open = new Map<number, { connection: ReservedSql; written: Map<number, number> }>();

  async write(writer: number, i: number, label: boolean): Promise<void> {
    const holder = [...this.#open].find(([, { written }]) => written.has(i))?.[0];
    if (holder !== undefined && holder !== writer) return;
    let open = this.#open.get(writer);
    if (open === undefined) {
      open = { connection: await sql.reserve(), written: new Map() };
      await open.connection`begin`;
      this.#open.set(writer, open);
    }
    const [row] = await open.connection<{ version: number }[]>`
      update tasks set title = ${`By ${writer}`} || clock_timestamp(), version = version + 1 where id = ${uuid(i)} returning version`;
    open.written.set(i, row?.version as number);
    if (label) await open.connection`delete from task_labels where task_id = ${uuid(i)}`;
  }

  async end(writer: number, how: 'commit' | 'rollback'): Promise<void> {
    const open = this.#open.get(writer);
    if (open === undefined) return;
    this.#open.delete(writer);
    await open.connection.unsafe(how);
    open.connection.release();
    if (how === 'rollback') return;
    for (const [i, version] of open.written)
      this.committed.set(task(i), [...(this.committed.get(task(i)) ?? []), version]);
  }

  async endAll(): Promise<void> {
    for (const writer of [...this.#open.keys()]) await this.end(writer, 'commit');
  }
}

test('each change that was committed is returned once, for each task in its order, whatever the order of the commits', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 40 }), async (steps) => {
      const writers = new Writers();
      let cursor = await begin();
      const seen = new Map<string, number[]>();
      const note = (changes: readonly Change[]) => {
        for (const { taskId, version } of changes) seen.set(taskId, [...(seen.get(taskId) ?? []), version]);
      };
      try {
        for (const next of steps) {
          if (next.kind === 'write') await writers.write(next.writer, next.task, next.label);
          else if (next.kind === 'read') {
            const found = await page({ cursor, first: next.first });
            note(found.changes);
            cursor = found.cursor;
          } else await writers.end(next.writer, next.kind);
        }
      } finally {
        await writers.endAll();
      }
      // To the end of the pages that were begun, then what came meanwhile.
      const begun = await rest(cursor, { first: 2 });
      note([...begun.changes, ...(await rest(begun.cursor, { first: 2 })).changes]);
      expect(seen).toEqual(writers.committed);
    }),
    { numRuns: PROPERTY_RUNS, endOnFailure: true },
  );
}, 120_000);

describe('is shown only', () => {
  test('what the viewer is a member of', async () => {
    const [bob, eve] = [await begin({}, f.bob.id), await begin({}, f.eve.id)];
    await sql`update tasks set title = 'Not for bob', version = version + 1 where id = ${toUuid(f.webTask.id)}`;
    await rename(5, 'For bob');
    expect((await rest(bob, {}, f.bob.id)).changes).toMatchObject([{ taskId: task(5) }]);
    expect((await rest(eve, {}, f.eve.id)).changes).toEqual([]);
  });

  test('a task that goes where the viewer sees nothing, as deleted', async () => {
    const bob = await begin({}, f.bob.id);
    await sql`update tasks set project_id = ${toUuid(f.web.id)}, number = 950, version = version + 1 where id = ${uuid(6)}`;
    expect((await rest(bob, {}, f.bob.id)).changes).toMatchObject([{ type: 'DELETED', changedFields: [], task: null }]);
    await sql`update tasks set project_id = ${toUuid(f.ops.id)}, number = 950, version = version + 1 where id = ${uuid(6)}`;
  });

  test('nothing more to a removed member, also of what happened before', async () => {
    const [all, ops] = [await begin({}, f.vic.id), await begin({ projectId: f.ops.id }, f.vic.id)];
    await rename(5, 'While a member');
    await app.transactor.transact((tx) =>
      tx.execute(`delete from project_members where user_id = '${toUuid(f.vic.id)}'`),
    );
    expect((await rest(all, {}, f.vic.id)).changes).toEqual([]);
    const refused = await ask({ cursor: ops, projectId: f.ops.id }, f.vic.id);
    expect(refused.errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', argument: 'projectId' } }]);
  });
});

describe('more than is listed one by one', () => {
  const many = (from: number, count: number) => sql`
    insert into tasks (id, project_id, number, title, creator_id)
    select gen_random_uuid(), ${toUuid(f.ops.id)}, n, 'Many ' || n, ${toUuid(f.ada.id)}
    from generate_series(${from}::int, ${from + count - 1}::int) as n`;

  test('by one statement names the project, once, and the chain goes on', async () => {
    const [cursor, web] = [await begin(), await begin({ projectId: f.web.id })];
    await rename(0, 'Beside it');
    await many(2000, 501);
    const found = await page({ cursor });
    expect(found).toMatchObject({ changes: [{ taskId: task(0) }], refetchProjectIds: [f.ops.id], hasMore: false });
    expect(await page({ cursor: web, projectId: f.web.id })).toMatchObject({ changes: [], refetchProjectIds: [] });
    expect(await page({ cursor: found.cursor })).toMatchObject({ changes: [], refetchProjectIds: [] });
  });

  test('by many statements, in more events than are read, names all projects that were asked for', async () => {
    const cursor = await begin({ projectId: f.ops.id });
    await sql`
      insert into task_events (type, task_id, project_id, version)
      select 'UPDATED', gen_random_uuid(), ${toUuid(f.ops.id)}, 2 from generate_series(1, ${MAX_ROWS_SINCE + 1}::int)`;
    const found = await page({ cursor, projectId: f.ops.id });
    expect(found).toMatchObject({ changes: [], refetchProjectIds: [f.ops.id], hasMore: false });
    await rename(0, 'After that');
    expect((await page({ cursor: found.cursor, projectId: f.ops.id })).changes).toMatchObject([{ taskId: task(0) }]);
  });

  test('by TRUNCATE names all projects', async () => {
    const cursor = await begin();
    await sql.begin(async (tx) => {
      await tx`create temporary table kept on commit drop as select * from task_labels`;
      await tx`truncate task_labels`;
      await tx`insert into task_labels select * from kept`;
    });
    expect(new Set((await page({ cursor })).refetchProjectIds)).toEqual(new Set([f.ops.id, f.web.id]));
  });
});

describe('a cursor', () => {
  const encoded = (...parts: unknown[]) => Buffer.from(JSON.stringify(parts)).toString('base64url');
  const decoded = (cursor: string) =>
    JSON.parse(Buffer.from(cursor, 'base64url').toString()) as [number, string, string];

  test.each([
    ['no base64', () => '%%%'],
    ['no JSON', () => Buffer.from('{').toString('base64url')],
    ['of another version', (own: string) => encoded(99, ...decoded(own).slice(1))],
    ['whose snapshot is none', (own: string) => encoded(1, decoded(own)[1], "5:5:'); drop table tasks")],
    ['whose snapshot Postgres refuses', (own: string) => encoded(1, decoded(own)[1], '9:5:')],
    ['whose transactions are out of order', (own: string) => encoded(1, decoded(own)[1], '5:9:7,6')],
    ['whose transactions are beyond its end', (own: string) => encoded(1, decoded(own)[1], '5:9:9')],
    ['whose ids are too large', (own: string) => encoded(1, decoded(own)[1], '5:9999999999999999999:')],
    ['with half a place', (own: string) => encoded(...decoded(own), '5:5:')],
    ['with a place that is no number', (own: string) => encoded(...decoded(own), '5:5:', 1e300)],
    ['with more than it may have', (own: string) => encoded(...decoded(own), '5:5:', 1, 2)],
    ['of another list', async () => await begin({ projectId: f.web.id })],
    ['that is too long', () => 'A'.repeat(100_000)],
  ])('%s is refused as BAD_USER_INPUT', async (_, make) => {
    const cursor = await make(await begin());
    expect((await ask({ cursor })).errors).toMatchObject([
      { extensions: { code: 'BAD_USER_INPUT', argument: 'cursor' } },
    ]);
  });

  test.each([0, -1, 501])('is not continued by %i changes', async (first) => {
    expect((await ask({ first })).errors).toMatchObject([
      { extensions: { code: 'BAD_USER_INPUT', argument: 'first' } },
    ]);
  });

  test('that is older than the events that are kept expires, and a younger one does not', async () => {
    const [old, inTheMiddle] = [await begin(), await begin()];
    for (let n = 0; n < 3; n++) await rename(0, `Old ${n}`);
    const half = (await page({ cursor: inTheMiddle, first: 1 })).cursor;
    const young = await begin();
    while (await trimEvents(sql, 'task_events', { retentionMs: 0, maxRows: 50 })) {
      // on to the next
    }
    for (const cursor of [old, half]) {
      expect((await ask({ cursor })).errors).toMatchObject([
        { message: expect.stringContaining('Refetch'), extensions: { code: 'CURSOR_EXPIRED', argument: 'cursor' } },
      ]);
    }
    await rename(0, 'Young');
    expect((await page({ cursor: young })).changes).toHaveLength(1);
  });

  test('works on after a dump is restored into a cluster whose transaction ids are lower', async () => {
    const before = await begin();
    await rename(0, 'Of the dump');
    const ahead = (column: 'xid' | 'below') => sql`(${sql(column)}::text::numeric + 1000000000)::text::xid8`;
    await sql`update task_events set xid = ${ahead('xid')}`;
    await sql`update task_events_trim set below = ${ahead('below')}`;
    while (await trimEvents(sql, 'task_events', { maxRows: 2 })) {
      // on to the next
    }
    expect((await ask({ cursor: before })).errors).toMatchObject([{ extensions: { code: 'CURSOR_EXPIRED' } }]);
    const after = await begin();
    expect((await page({ cursor: after })).changes).toEqual([]);
    await rename(0, 'Since then');
    expect((await page({ cursor: after })).changes).toHaveLength(1);
  });

  test('lasts while a transaction is open for long, and expires when that one has ended', async () => {
    const open = await sql.reserve();
    try {
      await open`begin`;
      await rename(7, 'Open for long', open);
      await rename(0, 'Meanwhile');
      const cursor = await begin();
      while (await trimEvents(sql, 'task_events', { retentionMs: 0 })) {
        // all that is visible
      }
      await rename(0, 'Told all the same');
      const found = await page({ cursor });
      expect(found.changes).toMatchObject([{ taskId: task(0) }]);
      await open`commit`;
      // What it wrote may have been trimmed as it ended.
      expect((await ask({ cursor: found.cursor })).errors).toMatchObject([{ extensions: { code: 'CURSOR_EXPIRED' } }]);
    } finally {
      open.release();
    }
  });

  test('of a history that was thrown away expires', async () => {
    const [version, mark, since] = decoded(await begin());
    const ahead = since.replace(/^(\d+):(\d+):.*/, (_, xmin, xmax) => `${Number(xmin) + 1000}:${Number(xmax) + 1000}:`);
    const { errors } = await ask({ cursor: encoded(version, mark, ahead) });
    expect(errors).toMatchObject([{ extensions: { code: 'CURSOR_EXPIRED' } }]);
  });
});

test.each([
  ['5:9:', 9n],
  ['1:9:7,8', 7n],
  ['9:9:', 9n],
])('of the snapshot %s, rows are looked at from transaction %s on, whatever its xmin is', (snapshot, first) => {
  expect(firstUnseen(snapshot as Snapshot)).toBe(first);
});

test('its answers are kept nowhere: the same request shows the next change', async () => {
  const cursor = await begin();
  for (let n = 0; n < 3; n++) {
    await rename(0, `Asked again ${n}`);
    expect((await page({ cursor })).changes).toHaveLength(n + 1);
  }
});

test('a snapshot answers changes and tasks of one moment', async () => {
  const cursor = await begin();
  await rename(0, 'In a snapshot');
  const answer = await ask({ cursor }, f.ada.id, { 'x-consistency': 'snapshot' });
  expect(answer.consistency).toMatchObject({ mode: 'snapshot', source: 'database' });
  const [change] = dataOf(answer).taskChangesSince.changes;
  expect(change.task).toEqual({ title: 'In a snapshot', version: change.version });
});

test('it costs about as much as the changes that it may return', async () => {
  const cost = async (first: number) => {
    const answer = await app.ask(
      `{ taskChangesSince(first: ${first}) { changes { task { subtasks(first: 100) { nodes { id } } } } } }`,
      { as: f.ada.id },
    );
    return answer.errors?.[0]?.extensions;
  };
  expect(await cost(10)).toBeUndefined();
  expect(await cost(500)).toMatchObject({ code: 'QUERY_TOO_EXPENSIVE' });
});
