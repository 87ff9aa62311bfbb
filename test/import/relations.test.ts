/** Relations and places in the manual order, as imports of JSON Lines and CSV write them. */
import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { fromUuid, newId, type TaskId, type UserId } from '../../src/db/ids.js';
import { runImport } from '../../src/domain/import/import.service.js';
import { reachedFrom } from '../../src/domain/import/import-relations.repository.js';
import { projects } from '../../src/domain/projects/project.table.js';
import { defaultSortOrder } from '../../src/domain/tasks/sort-key.js';
import { lockRelations } from '../../src/domain/tasks/task-relation.graph.js';
import { type StoredRelationType, taskRelations } from '../../src/domain/tasks/task-relation.table.js';
import { lockTrees } from '../../src/domain/tasks/tree-lock.js';
import { eventually } from '../support/app.js';
import { type ImportDatabase, importDatabase } from '../support/import-database.js';

const statements: string[] = [];
let imports: ImportDatabase;
let db: ImportDatabase['db'];
let ownerId: UserId;

beforeAll(async () => {
  imports = await importDatabase((text) => statements.push(text));
  ({ db } = imports);
});
afterAll(() => imports?.close());
beforeEach(async () => {
  ownerId = await imports.reset();
});

async function importText(text: string, { projectKey = 'REL', dryRun = false } = {}) {
  const file = await imports.open(text);
  return runImport({ file, projectKey, ownerId, transactor: imports.transactor, dryRun });
}

async function refusal(text: string, options?: Parameters<typeof importText>[1]): Promise<string> {
  return importText(text, options).then(
    () => expect.fail('expected a refusal'),
    (error: Error) => error.message,
  );
}

/** Ids of tasks by number, the same for all files of a test. */
const idOf = (number: number): TaskId => {
  const known = ids.get(number);
  if (known !== undefined) return known;
  const id = newId('task', Date.UTC(2026, 0, 1) + number * 1000);
  ids.set(number, id);
  return id;
};
const ids = new Map<number, TaskId>();

interface Given {
  readonly blocks?: readonly number[];
  readonly relatesTo?: readonly number[];
  readonly duplicateOf?: number | null;
  readonly sortOrder?: string | null;
}

function line(number: number, { blocks = [], relatesTo = [], duplicateOf = null, ...given }: Given = {}): string {
  const at = new Date(Date.UTC(2026, 0, 1) + number * 1000).toISOString();
  const related = { blocks: blocks.map(idOf), relatesTo: relatesTo.map(idOf) };
  return JSON.stringify({
    ...{ type: 'task', id: idOf(number), identifier: `REL-${number}`, title: `Task ${number}`, status: 'TODO' },
    ...{ priority: 'NONE', assignee: null, creator: 'owner', labels: [], parent: null, dueDate: null },
    ...{ ...related, duplicateOf: duplicateOf === null ? null : idOf(duplicateOf), sortOrder: null, ...given },
    ...{ createdAt: at, updatedAt: at, completedAt: null },
  });
}
const file = (...lines: string[]) => `${lines.join('\n')}\n`;

/** `1 BLOCKS 2`, by numbers, with the key of another project's task. */
async function relations(): Promise<string[]> {
  const rows = await db.read.execute<{ text: string }>(sql`
    select a.number || ' ' || r.type || ' ' || case when r.project_id = r.related_project_id then '' else p.key || '-' end
      || b.number as text
    from task_relations r join tasks a on a.id = r.task_id join tasks b on b.id = r.related_task_id
      join projects p on p.id = b.project_id order by 1`);
  return rows.map(({ text }) => text);
}

async function taskOf(number: number, key = 'REL') {
  const [task] = await db.read.execute<{ id: string; project_id: string }>(sql`
    select t.id, t.project_id from tasks t join projects p on p.id = t.project_id
    where p.key = ${key} and t.number = ${number}`);
  if (task === undefined) throw new Error(`expected the task ${key}-${number}`);
  return task;
}

/** Adds a relation as the API does. */
async function relate(from: [number, string?], type: StoredRelationType, to: [number, string?]): Promise<void> {
  const [a, b] = [await taskOf(...from), await taskOf(...to)];
  await db.write.execute(sql`
    insert into task_relations (task_id, type, related_task_id, project_id, related_project_id)
    values (${a.id}, ${type}, ${b.id}, ${a.project_id}, ${b.project_id})`);
}

/** Every row that relations and places can change, with the transaction that wrote it. */
async function everyRow(): Promise<unknown> {
  const names = ['tasks', 'task_numbers', 'task_relations', 'task_events', 'history_entries', 'cache_outbox'];
  const tables = names.map((name) =>
    db.read.execute(sql`select xmin::text, t.* from ${sql.identifier(name)} t order by t::text`),
  );
  return (await Promise.all(tables)).map((rows) => [...rows]);
}

const RELATED = file(
  line(1, { blocks: [2, 3], relatesTo: [3] }),
  line(2, { blocks: [3], sortOrder: 'a3V' }),
  line(3, { relatesTo: [1] }),
  line(4, { duplicateOf: 1 }),
);
const STORED = ['1 BLOCKS 2', '1 BLOCKS 3', '1 RELATES_TO 3', '2 BLOCKS 3', '4 DUPLICATE_OF 1'];

test('relations of a file are written once, and the same file again changes no row', async () => {
  const result = await importText(RELATED);
  expect(result.relations).toEqual({ created: 5, deleted: 0, unchanged: 0 });
  expect(await relations()).toEqual(STORED);
  const before = await everyRow();
  const again = await importText(RELATED);
  expect(again.relations).toEqual({ created: 0, deleted: 0, unchanged: 5 });
  expect(again.tasks).toEqual({ created: 0, updated: 0, unchanged: 4 });
  expect(await everyRow()).toEqual(before);
});

test('a relation that the file no longer has goes, one that begins at a task outside the file stays', async () => {
  await importText(RELATED);
  await importText(file(line(5, { blocks: [1], relatesTo: [2], duplicateOf: 2 })));
  const changed = file(line(1, { blocks: [3] }), line(3), line(4));
  expect((await importText(changed)).relations).toEqual({ created: 0, deleted: 3, unchanged: 1 });
  expect(await relations()).toEqual(['1 BLOCKS 3', '2 BLOCKS 3', '2 RELATES_TO 5', '5 BLOCKS 1', '5 DUPLICATE_OF 2']);
});

test('RELATES_TO stays as long as one of both tasks names the other', async () => {
  await importText(RELATED);
  const once = file(line(1, { blocks: [2, 3] }), line(3, { relatesTo: [1] }));
  expect((await importText(once)).relations).toEqual({ created: 0, deleted: 0, unchanged: 3 });
  expect(await relations()).toEqual(STORED);
  // The other one is not in the file.
  expect((await importText(file(line(3)))).relations).toEqual({ created: 0, deleted: 1, unchanged: 0 });
  expect(await relations()).not.toContain('1 RELATES_TO 3');
});

test('a line without relations and place, as earlier exports have it, leaves them as they are', async () => {
  await importText(RELATED);
  const before = await everyRow();
  const earlier = RELATED.replaceAll(/"blocks".*?"sortOrder":[^,]*,/g, '');
  expect(earlier).not.toContain('duplicateOf');
  expect((await importText(earlier)).relations).toEqual({ created: 0, deleted: 0, unchanged: 0 });
  expect(await everyRow()).toEqual(before);
});

test('relations to tasks of other projects stay, but a duplicate has one original', async () => {
  await importText(RELATED);
  await importText('id,title,identifier\n1,a,OTHER-7\n', { projectKey: 'OTHER' });
  await relate([1], 'BLOCKS', [7, 'OTHER']);
  await relate([2], 'DUPLICATE_OF', [7, 'OTHER']);
  await relate([7, 'OTHER'], 'BLOCKS', [4]);
  const before = await everyRow();
  expect((await importText(RELATED)).relations).toEqual({ created: 0, deleted: 0, unchanged: 5 });
  expect(await everyRow()).toEqual(before);
  const original = file(line(2, { blocks: [3], duplicateOf: 3, sortOrder: 'a3V' }));
  expect((await importText(original)).relations).toEqual({ created: 1, deleted: 1, unchanged: 1 });
  const all = [...STORED, '1 BLOCKS OTHER-7', '2 DUPLICATE_OF 3', '7 BLOCKS REL-4'];
  expect((await relations()).sort()).toEqual(all.sort());
});

test('a task that is neither in the file nor in the project is left out of relations, and counted', async () => {
  await importText(RELATED);
  const result = await importText(
    file(line(1, { blocks: [2, 3, 98], relatesTo: [3, 99] }), line(4, { duplicateOf: 99 })),
  );
  expect(result).toMatchObject({ relationsLeftOut: 3, relations: { created: 0, deleted: 0, unchanged: 3 } });
  expect(await relations()).toEqual(STORED);
});

test.each<[string, string, string]>([
  [
    'blocks, over three tasks',
    file(line(1, { blocks: [2] }), line(2, { blocks: [3] }), line(3, { blocks: [1] })),
    'line 3 (REL-3): blocks: expected a task that does not block this one, directly or through others, got line 1 (REL-1)',
  ],
  [
    'duplicates',
    file(line(1, { duplicateOf: 2 }), line(2, { duplicateOf: 1 })),
    'line 2 (REL-2): duplicateOf: expected a task that is not a duplicate of this one, directly or through others, got line 1 (REL-1)',
  ],
  ['one task', file(line(1, { relatesTo: [1] })), 'line 1 (REL-1): relatesTo: expected another task'],
  ['one task that blocks', file(line(1, { blocks: [1] })), 'line 1 (REL-1): blocks: expected another task'],
])('a cycle of %s is refused with its line and field', async (_, text, message) => {
  for (const dryRun of [true, false]) expect(await refusal(text, { dryRun })).toBe(message);
  expect(await db.read.select().from(projects)).toEqual([]);
});

test('all cycles of a file are listed, and tasks that two others block are no cycle', async () => {
  const twice = file(line(1, { blocks: [2, 3] }), line(2, { blocks: [1, 4] }), line(3, { blocks: [1, 4] }), line(4));
  expect((await refusal(twice)).split('\n')).toEqual([
    expect.stringMatching(/^line 2 \(REL-2\): blocks: .* got line 1 \(REL-1\)$/),
    expect.stringMatching(/^line 3 \(REL-3\): blocks: .* got line 1 \(REL-1\)$/),
  ]);
});

test('a cycle of tasks of the file and of the project is refused with line and field, also through other projects', async () => {
  await importText(file(line(1, { blocks: [2] }), line(2, { blocks: [3] }), line(3), line(4)));
  const expected = 'expected a task that does not block this one, directly or through others';
  const cyclic = file(line(4), line(3, { blocks: [4, 1] }));
  for (const dryRun of [true, false]) {
    expect(await refusal(cyclic, { dryRun })).toBe(`line 2 (REL-3): blocks: ${expected}, got ${idOf(1)}`);
  }
  await importText('id,title,identifier\n1,a,OTHER-7\n', { projectKey: 'OTHER' });
  await relate([3], 'BLOCKS', [7, 'OTHER']);
  await relate([7, 'OTHER'], 'BLOCKS', [4]);
  expect(await refusal(file(line(4, { blocks: [1] })))).toBe(`line 1 (REL-4): blocks: ${expected}, got ${idOf(1)}`);
  expect(await relations()).toHaveLength(4);
  // What the file removes closes no cycle.
  const turned = file(line(1), line(2, { blocks: [1] }));
  expect((await importText(turned)).relations).toEqual({ created: 1, deleted: 2, unchanged: 0 });
});

test('a task has at most 100 relations of a kind, those that others have to it included', async () => {
  const many = Array.from({ length: 101 }, (_, i) => i + 2);
  expect(await refusal(file(line(1, { blocks: many })))).toBe('line 1: blocks: expected at most 100 tasks');
  const blockers = many.map((number) => line(number, { blocks: [1] }));
  expect(await refusal(file(line(1), ...blockers))).toMatch(
    /^line \d+ \(REL-\d+\): blocks: expected at most 100 relations of this kind on each of the tasks$/,
  );
  const result = await importText(file(line(1, { blocks: [200] }), ...blockers.slice(1), line(200)));
  expect(result.relations.created).toBe(101);
});

test('an id or a key of another form is refused with its line and field', async () => {
  const faulty = line(1, { blocks: [2] }).replace(idOf(2), 'OPS-2');
  expect(await refusal(file(faulty))).toBe('line 1: blocks.0: expected a task\'s id like task_…, got "OPS-2"');
  for (const key of ['', 'a', 'a0é', 'a10', 'b1', `a0${'V'.repeat(200)}`, 'zzzzzzzzzzzzzzzzzzzzzzzzzzz', 'A0']) {
    expect(await refusal(file(line(1, { sortOrder: key })))).toContain(
      'line 1: sortOrder: expected a key of the manual order',
    );
  }
  expect(await refusal('id,title,sortOrder\n1,a,7\n')).toBe(
    'line 2 (1): sort order: expected a key of the manual order like a3V, got "7"',
  );
});

const places = async () =>
  (
    await db.read.execute<{ number: number; sort_order: string | null; version: number }>(sql`
      select number, sort_order, version from tasks
      order by coalesce(sort_order, default_sort_order(number)) collate "C", id`)
  ).map(({ number, sort_order, version }) => [number, sort_order, version]);

test('places in the manual order are those of the file, and new tasks come after all of them', async () => {
  await importText(file(line(1), line(2), line(3, { sortOrder: 'a0V' }), line(4)));
  expect(await places()).toEqual([
    [3, 'a0V', 1],
    [1, null, 1],
    [2, null, 1],
    [4, null, 1],
  ]);
  const beyond = `${defaultSortOrder(40)}V`; // behind a task that has been deleted since
  await importText(file(line(3), line(1, { sortOrder: beyond })));
  await importText('id,title\n5,e\n');
  expect(await places()).toEqual([
    [2, null, 1],
    [3, null, 2],
    [4, null, 1],
    [1, beyond, 2],
    [41, null, 1],
  ]);
});

test('CSV has relations and places in columns of their own; without the columns they stay', async () => {
  const header = 'id,title,sortOrder,blocks,relatesTo,duplicateOf';
  const rows = ['1,a,a5V,"2,3",3,', '2,b,,,,', '3,c,,,1,', '4,d,,,,1'];
  const result = await importText([header, ...rows].join('\n'));
  expect(result.relations).toEqual({ created: 4, deleted: 0, unchanged: 0 });
  const stored = ['1 BLOCKS 2', '1 BLOCKS 3', '1 RELATES_TO 3', '4 DUPLICATE_OF 1'];
  expect(await relations()).toEqual(stored);
  const before = await everyRow();
  await importText([header, ...rows].join('\n'));
  await importText('id,title\n1,a\n4,d\n');
  expect(await everyRow()).toEqual(before);
  const less = 'id,title,blocks\n1,a,3\n';
  expect((await importText(less)).relations).toEqual({ created: 0, deleted: 1, unchanged: 1 });
  const long = `"${Array.from({ length: 101 }, (_, i) => i).join(',')}"`;
  expect(await refusal(`id,title,blocks\n1,a,${long}\n`)).toBe(
    'line 2 (1): blocks: expected at most 100 tasks, got 101',
  );
});

test('a cell of CSV can name tasks on several lines, and a name that cannot be stored is refused', async () => {
  const result = await importText('id,title,blocks\n1,a,"2,\n3\n"\n2,b,\n3,c,\n');
  expect(result).toMatchObject({ relations: { created: 2 }, relationsLeftOut: 0 });
  for (const field of ['blocks', 'duplicateOf', 'parent']) {
    const fault = 'expected a text that can be stored, got NUL (U+0000) at character 2';
    expect(await refusal(`id,title,${field}\n1,a,x\0\n`)).toBe(`line 2 (1): ${field}: ${fault}`);
  }
});

test('subscribers learn of each task that a relation was imported for, if there are few', async () => {
  await importText(file(...Array.from({ length: 240 }, (_, i) => line(i + 1))));
  await db.write.execute(sql`truncate task_events`);
  const related = (number: number) => line(number, number <= 120 ? { blocks: [number + 120] } : {});
  await importText(file(...Array.from({ length: 240 }, (_, i) => related(i + 1))));
  const events = await db.read.execute(sql`
    select type, changed_fields::text as fields, count(*)::int from task_events group by 1, 2 order by 2`);
  expect([...events]).toEqual([
    { type: 'UPDATED', fields: '{blockedBy}', count: 120 },
    { type: 'UPDATED', fields: '{blocks}', count: 120 },
  ]);
});

test('statements of relations do not grow with records, only with hundreds of them', async () => {
  const lines = (blocks: (number: number) => readonly number[]) =>
    file(
      ...Array.from({ length: 400 }, (_, i) =>
        line(i + 1, { blocks: blocks(i + 1), relatesTo: [((i + 7) % 400) + 1] }),
      ),
    );
  statements.length = 0;
  await importText(lines((number) => (number < 400 ? [number + 1] : [])));
  expect(statements.length).toBeLessThan(30);
  statements.length = 0;
  await importText(lines((number) => (number < 399 ? [number + 2] : [])));
  expect(statements.length).toBeLessThan(30);
  expect((await db.read.select().from(taskRelations)).length).toBe(398 + 400);
});

/** How many transactions of this database wait for an advisory lock. */
async function waiting(): Promise<number> {
  const rows = await db.read.execute(sql`
    select from pg_locks l join pg_stat_activity a on a.pid = l.pid
    where l.locktype = 'advisory' and not l.granted and a.datname = current_database()`);
  return rows.length;
}

test('an import waits for a relation that is being added, and is refused if both together are a cycle', async () => {
  await importText(file(line(1), line(2)));
  let importing: Promise<string> | undefined;
  await db.write.transaction(async (tx) => {
    await lockRelations(tx);
    const [first, second] = [await taskOf(1), await taskOf(2)];
    await tx.execute(sql`
      insert into task_relations (task_id, type, related_task_id, project_id, related_project_id)
      values (${second.id}, 'BLOCKS', ${first.id}, ${first.project_id}, ${first.project_id})`);
    importing = refusal(file(line(1, { blocks: [2] })));
    await eventually(async () => expect(await waiting()).toBe(1));
  });
  expect(await importing).toContain('line 1 (REL-1): blocks: expected a task that does not block this one');
});

test('an import of places waits for a move in the list', async () => {
  await importText(file(line(1), line(2)));
  const { project_id } = await taskOf(1);
  let importing: ReturnType<typeof importText> | undefined;
  await db.write.transaction(async (tx) => {
    await lockTrees(tx, [fromUuid('project', project_id)]);
    importing = importText(file(line(1, { sortOrder: 'a2V' })));
    await eventually(async () => expect(await waiting()).toBe(1));
  });
  expect(await importing).toMatchObject({ tasks: { updated: 1 } });
});

test('a search for cycles ends where it would follow too many tasks', async () => {
  await importText(file(line(1, { blocks: [2] }), line(2, { blocks: [3, 4] }), line(3), line(4)));
  const [first, ...others] = await Promise.all([1, 2, 3, 4].map(async (n) => fromUuid('task', (await taskOf(n)).id)));
  const search = { ids: [first as TaskId], type: 'BLOCKS' } as const;
  const within = (maxTasks: number) => db.write.transaction((tx) => reachedFrom(tx, { ...search, maxTasks }));
  expect(await within(3)).toBeUndefined();
  expect([...((await within(4))?.keys() ?? [])].sort()).toEqual([first, ...others].sort());
});
