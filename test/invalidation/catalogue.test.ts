/** What is installed in a migrated database is what the code declares, and everything cached is declared. */
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { getTableName, is } from 'drizzle-orm';
import { PgTable } from 'drizzle-orm/pg-core';
import { GraphQLObjectType } from 'graphql';
import type { Sql } from 'postgres';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newId } from '../../src/db/ids.js';
import type { Source } from '../../src/db/sources.js';
import { allRowSets } from '../../src/domain/registry.js';
import { all, any, not, oneOf, onlyLabels, someLabel, TRUE } from '../../src/domain/tasks/task.condition.js';
import { TaskOrderField } from '../../src/domain/tasks/task.filter-inputs.js';
import { type Policy, rowSetName, type Tag, tableOf } from '../../src/engine/cache/index.js';
import { type MainDatabase, openDatabase, postgresClient } from '../../src/engine/postgres/database.js';
import type { TableRowSets } from '../../src/engine/postgres/row-sets.js';
import { expectedTriggers, type InstalledTrigger, installedTriggers } from '../../src/engine/postgres/triggers.js';
import { testApp } from '../support/app.js';
import { createDatabase, type TestDatabase } from '../support/database.js';

const SRC = fileURLToPath(new URL('../../src', import.meta.url));

/** Tables that nothing cached reads. */
const UNCACHED = [
  'cache_outbox',
  'cache_outbox_trim',
  'idempotency_keys',
  'task_events',
  'task_events_trim',
  'task_numbers',
  'trashed_comments',
  'webhook_cursor',
  'webhook_deliveries',
  'webhook_states',
];

const projectId = newId('project');
const page = { limit: 3, backward: false, after: null, before: null };
/** Every comparison there is. */
const list = {
  projectIds: [projectId],
  where: all([
    oneOf('assigneeId', [newId('user')]),
    oneOf('status', ['TODO']),
    oneOf('priority', ['LOW']),
    someLabel([newId('label')]),
    onlyLabels([newId('label')]),
    not(someLabel('any')),
    any([oneOf('dueDate', [null]), { column: 'completedAt', is: '>', value: '2026-01-01T00:00:00.000Z' }]),
    { column: 'title', like: 'contains', value: 'x' },
    { search: 'words' },
  ]),
};
const created = [{ field: TaskOrderField.CREATED_AT, descending: true }];
const lists = [
  { list, order: Object.values(TaskOrderField).map((field) => ({ field, descending: false })), ...page },
  { list: { projectIds: [projectId], where: oneOf('parentId', [newId('task')]) }, order: created, ...page },
  { list: { projectIds: [projectId, newId('project')], where: TRUE }, order: created, ...page },
  { list: { projectIds: [projectId], where: oneOf('id', [newId('task')]) }, order: created, ...page },
];
/** An argument for every source: one that brings in as many tables as can be. */
const people = [
  { projectIds: [projectId], alone: null, search: 'a' },
  { projectIds: [], alone: newId('user'), search: null },
];
const ARGUMENTS: Record<string, unknown[]> = {
  User: [newId('user')],
  UserHandle: ['ada'],
  UserSubject: ['auth0|abc'],
  UserVerifiedEmail: ['ada@example.com'],
  Project: [projectId],
  ProjectKey: ['OPS'],
  Memberships: [newId('user')],
  ProjectsJoined: [newId('user')],
  ProjectMembers: [projectId],
  ProjectInvitations: [projectId],
  ProjectWebhooks: [projectId],
  PeoplePage: people.map((one) => ({ list: one, ...page })),
  PeopleCount: people,
  Label: [newId('label')],
  ProjectLabels: [projectId],
  Task: [newId('task')],
  TaskNumber: [{ projectId, number: 1 }],
  TaskPage: lists,
  TaskPageRelative: lists,
  TaskCount: lists.map((one) => one.list),
  TaskCountRelative: [list],
  TaskPageHeavy: lists,
  TaskPageRelativeHeavy: lists,
  TaskCountHeavy: lists.map((one) => one.list),
  TaskCountRelativeHeavy: [list],
  TaskLabels: [newId('task')],
  TaskRelations: [newId('task')],
  BlockingProjects: [newId('project')],
  'Project.stats': [newId('project')],
  Comment: [newId('comment')],
  TaskComments: [{ taskId: newId('task'), ...page }],
  TaskCommentCount: [newId('task')],
  FormerTaskNumber: [{ projectId, number: 1 }],
  FormerNumbers: [newId('task')],
  TrashedTask: [newId('task')],
  TrashedTaskPage: [{ parentId: projectId, ...page }],
  TrashedTaskCount: [projectId],
  TrashedProject: [projectId],
  TrashedProjectPage: [{ parentId: newId('user'), ...page }],
  TrashedProjectCount: [newId('user')],
  TaskHistory: [{ of: newId('task'), ...page }],
  ProjectActivity: [{ of: projectId, ...page }],
};

let database: TestDatabase;
let sql: Sql;
let db: MainDatabase;
const statements: string[] = [];

beforeAll(async () => {
  database = await createDatabase();
  sql = postgresClient(database.url, { max: 1 });
  db = openDatabase({ url: database.url, onStatement: (text) => statements.push(text) });
});
afterAll(async () => {
  await Promise.all([sql?.end(), db?.close()]);
  await database?.drop();
});

const sorted = (triggers: readonly InstalledTrigger[]) =>
  triggers
    .map((trigger) => ({ ...trigger }))
    .sort((a, b) => (`${a.table} ${a.name}` < `${b.table} ${b.name}` ? -1 : 1));

/** Every export of the files `src/<feature>/*.<kind>.ts`. */
async function exportsOf(kind: string): Promise<unknown[]> {
  const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith(`.${kind}.ts`));
  expect(files.length).toBeGreaterThan(0);
  const modules = await Promise.all(files.map((file) => import(`${SRC}/${file}`) as Promise<object>));
  return modules.flatMap((module) => Object.values(module));
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;

async function allSources(): Promise<Source<unknown, unknown>[]> {
  const found = await exportsOf('loaders');
  return found.filter((one): one is Source<unknown, unknown> => isObject(one) && 'load' in one && 'tags' in one);
}

/** The tags, without their values, that triggers write: `tasks:project_id`, and whole tables. */
const writable = new Set(
  allRowSets.flatMap(({ table, specs }) => [table, ...specs.map((spec) => `${table}:${rowSetName(spec)}`)]),
);
const setOf = (tag: Tag) => tag.replace(/=.*$/s, '');

test('the installed triggers are the declared ones, enabled always', async () => {
  expect(sorted(await installedTriggers(sql))).toEqual(sorted(expectedTriggers(allRowSets)));
  expect((await installedTriggers(sql)).every(({ always }) => always)).toBe(true);
});

test('each trigger fires once per statement, after the event of its name, with the rows it needs', async () => {
  const rows = await sql<{ name: string; definition: string }[]>`
    select t.tgname as name, pg_get_triggerdef(t.oid) as definition
    from pg_trigger t join pg_proc p on p.oid = t.tgfoid where p.proname = 'cache_name_rows'`;
  const form: Record<string, RegExp> = {
    cache_insert: / AFTER INSERT ON \S+ REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE /,
    cache_update:
      / AFTER UPDATE ON \S+ REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE /,
    cache_delete: / AFTER DELETE ON \S+ REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE /,
    cache_truncate: / AFTER TRUNCATE ON \S+ FOR EACH STATEMENT EXECUTE /,
  };
  for (const { name, definition } of rows) expect(definition).toMatch(form[name] ?? /never/);
});

test.each([
  ['is disabled', 'alter table tasks disable trigger cache_update'],
  ['is off for bulk loaders', 'alter table tasks enable trigger cache_update'],
  ['is dropped', 'drop trigger cache_update on tasks'],
  [
    'names other row-sets',
    `drop trigger cache_update on tasks;
     create trigger cache_update after update on tasks referencing old table as old_rows new table as new_rows
       for each statement execute function cache_name_rows('[{"columns":["id"]}]', '500');
     alter table tasks enable always trigger cache_update`,
  ],
])('a trigger that %s is found out', async (_, statement) => {
  const rolledBack = new Error('rolled back');
  const ofTasks = (triggers: readonly InstalledTrigger[]) => sorted(triggers.filter(({ table }) => table === 'tasks'));
  const expected = ofTasks(expectedTriggers(allRowSets));
  const trial = sql.begin(async (tx) => {
    await tx.unsafe(statement);
    // The check wants a client; a transaction is one, but for its type.
    expect(ofTasks(await installedTriggers(tx as unknown as Sql))).not.toEqual(expected);
    throw rolledBack;
  });
  await expect(trial).rejects.toBe(rolledBack);
  expect(ofTasks(await installedTriggers(sql))).toEqual(expected);
});

test('every table is either declared or known not to be cached, and every declaration is collected', async () => {
  const found = await exportsOf('table');
  const tables = found.filter((one) => is(one, PgTable)).map((table) => getTableName(table as PgTable));
  const declared = allRowSets.map(({ table }) => table);
  expect(new Set([...declared, ...UNCACHED])).toEqual(new Set(tables));
  expect(declared.filter((table) => UNCACHED.includes(table))).toEqual([]);

  const sets = found.filter((one): one is TableRowSets => isObject(one) && 'specs' in one);
  expect(new Set(sets)).toEqual(new Set(allRowSets));
});

test('every tag of a cached source is one that triggers write, and comes with its whole table', async () => {
  const sources = await allSources();
  expect(sources.map(({ name }) => name).sort()).toEqual(Object.keys(ARGUMENTS).sort());
  for (const source of sources) {
    for (const arg of ARGUMENTS[source.name] ?? []) {
      const tags = source.tags(arg);
      expect(tags.length, source.name).toBeGreaterThan(0);
      for (const tag of tags) {
        expect(writable, source.name).toContain(setOf(tag));
        expect(tags, source.name).toContain(tableOf(tag));
      }
    }
  }
});

test('every cached source reads declared tables only', async () => {
  for (const source of await allSources()) {
    statements.length = 0;
    const args = ARGUMENTS[source.name] ?? [];
    expect(await source.load(args, db), source.name).toHaveLength(args.length);
    expect(statements.length, source.name).toBeGreaterThan(0);
    const undeclared = UNCACHED.filter((table) => statements.some((text) => new RegExp(`\\b${table}\\b`).test(text)));
    expect(undeclared, source.name).toEqual([]);
  }
});

test('every tag of a cached method is one that triggers write, and comes with its whole table', async () => {
  const app = await testApp({ databaseUrl: database.url });
  try {
    let methods = 0;
    for (const type of Object.values(app.schema.getTypeMap())) {
      if (!(type instanceof GraphQLObjectType)) continue;
      for (const field of Object.values(type.getFields())) {
        const declared = (
          field.extensions['cache'] as { declared: Policy<unknown> | Source<unknown, unknown> } | undefined
        )?.declared;
        if (declared === undefined || 'load' in declared) continue;
        methods++;
        const tags = (declared.tags as (root: unknown, args: unknown) => readonly Tag[])(
          { id: newId(type.name.toLowerCase()) },
          {},
        );
        for (const tag of tags) {
          expect(writable, `${type.name}.${field.name}`).toContain(setOf(tag));
          expect(tags, `${type.name}.${field.name}`).toContain(tableOf(tag));
        }
      }
    }
    expect(methods).toBeGreaterThan(0);
  } finally {
    await app.close();
  }
});
