/**
 * How Postgres finds the rows of every list that the API offers, on a large table: prints, for each kind of list, what its plans
 * scan, and exits with 1 when one scans a whole large table. `node --import tsx test/bench/plans.ts`; PLAN_TASKS (1 000 000).
 */
import 'reflect-metadata';
import { type SQL, sql } from 'drizzle-orm';
import { fromUuid, type ProjectId, type TaskId, type UserId } from '../../src/db/ids.js';
import { migrateDatabase } from '../../src/db/migrate.js';
import { commentPages } from '../../src/domain/comments/comment.loaders.js';
import { projectActivity, taskHistory } from '../../src/domain/history/history.loaders.js';
import { peopleCounts, peoplePages } from '../../src/domain/projects/people.loaders.js';
import { trashedProjectPages } from '../../src/domain/projects/trashed-project.loaders.js';
import { burndowns } from '../../src/domain/tasks/burndown.js';
import { formerNumbersOf } from '../../src/domain/tasks/former-number.loaders.js';
import {
  all,
  any,
  blockedBy,
  type Condition,
  not,
  oneOf,
  onlyAssignees,
  onlyLabels,
  someAssignee,
  someLabel,
  TRUE,
} from '../../src/domain/tasks/task.condition.js';
import { TaskOrderField } from '../../src/domain/tasks/task.filter-inputs.js';
import { BEST_MATCH_FIRST, type TaskListOrder, taskListWithin } from '../../src/domain/tasks/task.list-query.js';
import { statsOfProjects, taskCounts, taskPages } from '../../src/domain/tasks/task.loaders.js';
import { trashedTaskCounts, trashedTaskPages } from '../../src/domain/trash/trashed-task.loaders.js';
import { openDatabase, postgresClient } from '../../src/engine/postgres/database.js';
import type { Database, Executor } from '../../src/engine/postgres/executor.js';
import type { PageQuery } from '../../src/graphql/page.js';

const TASKS = Number(process.env.PLAN_TASKS ?? 1_000_000);
const PROJECTS = 200;
/** Those who have tasks. */
const USERS = 500;
/** Those who are members of projects, a thousand of each. */
const PEOPLE = 20_000;
const MEMBERS = 1000;
/** Prepared statements run: the statistics of all projects read the whole table. */
const READ_TIMEOUT_MS = 300_000;
const DATABASE_URL = process.env.TEST_DATABASE_URL ?? 'postgres://postgres@127.0.0.1:5432/postgres';

/** A project's share falls with its number: the first has some 5 % of all. */
const seedSql = `
  insert into users (id, handle, name)
    select ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'user' || n, 'User ' || n from generate_series(1, ${USERS}) n;
  insert into projects (id, key, name)
    select ('00000000-0000-7000-8001-' || lpad(n::text, 12, '0'))::uuid, 'P' || n, 'Project ' || n from generate_series(1, ${PROJECTS}) n;
  insert into users (id, handle, name)
    select ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'user' || n, 'User ' || n
    from generate_series(${USERS} + 1, ${PEOPLE}) n;
  insert into project_members (project_id, user_id, role)
    select ('00000000-0000-7000-8001-' || lpad(p::text, 12, '0'))::uuid,
      ('00000000-0000-7000-8000-' || lpad((1 + (p * 97 + n * 17) % ${PEOPLE})::text, 12, '0'))::uuid, 'MEMBER'
    from generate_series(1, ${PROJECTS}) p, generate_series(1, ${MEMBERS}) n;
  insert into labels (id, project_id, name, color)
    select ('00000000-0000-7000-8002-' || lpad((p * 10 + n)::text, 12, '0'))::uuid,
      ('00000000-0000-7000-8001-' || lpad(p::text, 12, '0'))::uuid, 'label' || n, '#112233'
    from generate_series(1, ${PROJECTS}) p, generate_series(0, 9) n;
  insert into tasks (id, project_id, number, title, description, status, priority, assignee_id, creator_id, due_date,
    created_at, updated_at, completed_at)
  select ('00000000-0000-7000-8003-' || lpad(n::text, 12, '0'))::uuid, project, n, 'Task ' || n || ' ' || (array['boiler','kettle','door','roof'])[1 + n % 4],
    'Words about ' || md5(n::text), status, (enum_range(null::task_priority))[1 + n % 5],
    case when n % 3 > 0 then ('00000000-0000-7000-8000-' || lpad((1 + n::bigint * 7 % ${USERS})::text, 12, '0'))::uuid end,
    ('00000000-0000-7000-8000-' || lpad((1 + n::bigint * 11 % ${USERS})::text, 12, '0'))::uuid,
    case when n % 2 = 0 then date '2026-01-01' + n % 365 end, at, at + interval '1 day', case when status = 'DONE' then at + interval '1 day' end
  from (
    select n, (enum_range(null::task_status))[1 + n % 6] as status, timestamptz '2026-01-01' + n * interval '1 second' as at,
      ('00000000-0000-7000-8001-' || lpad((1 + floor(${PROJECTS} * power((n::bigint * 7919 % 1000003) / 1000003.0, 1.6)))::int::text, 12, '0'))::uuid as project
    from generate_series(1, ${TASKS}) n
  ) as s;
  update tasks c set parent_id = p.id from tasks p
    where c.number % 20 = 0 and p.number = c.number - 1000 and p.project_id = c.project_id;
  update tasks set other_assignee_ids =
    array[('00000000-0000-7000-8000-' || lpad((1 + number::bigint * 13 % ${USERS})::text, 12, '0'))::uuid]
    where number % 10 = 1 and assignee_id is not null;
  update tasks set estimate = number % 20, start_date = due_date - 7 where number % 4 = 0;
  update tasks set sort_order = 'a' || md5(number::text) || 'V' where number % 50 = 3;
  insert into task_relations (task_id, type, related_task_id, project_id, related_project_id)
    select t.id, 'BLOCKS', o.id, t.project_id, o.project_id
    from tasks t join tasks o on o.number = t.number + 1 where t.number % 50 = 0;
  insert into task_labels (project_id, task_id, label_id)
    select t.project_id, t.id, l.id from tasks t join labels l on l.project_id = t.project_id and l.name = 'label' || t.number % 10;
  insert into comments (id, task_id, author_id, body)
    select gen_random_uuid(), id, creator_id, 'Noted: ' || (array['ordered', 'paid', 'sent'])[1 + number % 3]
    from tasks where number % 5 = 0;
  insert into trashed_tasks (id, project_id, number, title, creator_id, task, label_ids, subtask_ids, deleted_at)
    select gen_random_uuid(), project_id, number + ${TASKS}, title, creator_id, '{}', '{}', '{}', created_at
    from tasks where number % 5 = 0;
  insert into former_numbers (project_id, number, task_id, until)
    select project_id, number + 2 * ${TASKS}, id, created_at from tasks where number % 5 = 0;
  insert into trashed_projects (id, deleted_at) select id, now() from projects;
  insert into trashed_members (project_id, user_id, role, deleted_at)
    select p.id, u.id, 'OWNER', timestamptz '2026-01-01' from projects p, users u;
  insert into history_entries (at, actor_id, project_id, from_project_id, task_id, changes)
    select created_at, creator_id, project_id, case when number % 1000 = 0 then ('00000000-0000-7000-8001-' || lpad('1', 12, '0'))::uuid end,
      id, '[{"kind": "STATUS", "from": "TODO", "to": "DONE"}]' from tasks;
  analyze`;

const uuid = (kind: number, n: number) => `00000000-0000-7000-800${kind}-${String(n).padStart(12, '0')}`;
const user = (n: number): UserId => fromUuid('user', uuid(0, n));
const project = (n: number): ProjectId => fromUuid('project', uuid(1, n));
const task = (n: number): TaskId => fromUuid('task', uuid(3, n));
const at = '2026-01-05T00:00:00.000Z';

/**
 * Who sees everything counts everything: pages of this scope must use an index. Aggregates over it may read the table, and so
 * may searches for words that many tasks have: in any order, that is less than to look each of these tasks up.
 */
const EVERYTHING = 'all projects';

/** What the viewer may see. */
const SCOPES: Record<string, readonly ProjectId[]> = {
  'the largest project': [project(1)],
  'a small project': [project(190)],
  '20 projects': Array.from({ length: 20 }, (_, i) => project(1 + i * 10)),
  [EVERYTHING]: Array.from({ length: PROJECTS }, (_, i) => project(1 + i)),
};

const FILTERS: Record<string, Condition> = {
  everything: TRUE,
  'by ids': oneOf('id', [task(5), task(6)]),
  'parts of a task': oneOf('parentId', [task(7)]),
  'assigned to somebody': oneOf('assigneeId', [user(7)]),
  'assigned to somebody, also besides others': someAssignee([user(7)]),
  'assigned to one of two': someAssignee([user(7), user(8)]),
  'assigned to nobody else': onlyAssignees([user(7)]),
  'assigned to nobody': oneOf('assigneeId', [null]),
  'created by somebody': oneOf('creatorId', [user(7)]),
  'by number': oneOf('number', ['4711']),
  'by status and priority': all([oneOf('status', ['TODO', 'IN_PROGRESS']), oneOf('priority', ['URGENT'])]),
  'by title': { column: 'title', like: 'contains', value: 'kettle' },
  'due before': { column: 'dueDate', is: '<', value: '2026-02-01' },
  'created since': { column: 'createdAt', is: '>', value: at },
  'updated since': { column: 'updatedAt', is: '>', value: at },
  'completed since': { column: 'completedAt', is: '>', value: at },
  'bearing a label': someLabel([fromUuid('label', uuid(2, 11))]),
  'bearing no other label': onlyLabels([fromUuid('label', uuid(2, 11))]),
  'without labels': not(someLabel('any')),
  search: { search: 'boiler' },
  'search for a rare word': { search: '000000' },
  'search in comments': { search: 'ordered -kettle' },
  'without a word': not({ search: 'boiler' }),
  'search among others': any([{ search: 'boiler' }, oneOf('status', ['DONE'])]),
};

/** Blocked by an open task of any of 20 projects. */
const blocked = (projectIds: readonly ProjectId[]) =>
  blockedBy(projectIds.map((id) => [id, Array.from({ length: 20 }, (_, i) => project(1 + i))]));

const NULLABLE = ['DUE_DATE', 'START_DATE', 'ESTIMATE', 'COMPLETED_AT'];
const ORDERS: TaskListOrder[] = Object.values(TaskOrderField).flatMap((field) =>
  [true, false].map((descending) => [
    { field, descending, ...(NULLABLE.includes(field) ? { nulls: 'last' as const } : {}) },
  ]),
);
ORDERS.push([
  { field: TaskOrderField.STATUS, descending: false },
  { field: TaskOrderField.DUE_DATE, descending: false, nulls: 'last' },
]);

const VALUES: Record<TaskListOrder[number]['field'], string> = {
  RANK: '60793',
  CREATED_AT: at,
  UPDATED_AT: at,
  COMPLETED_AT: at,
  START_DATE: '2026-05-05',
  ESTIMATE: '5',
  DUE_DATE: '2026-06-01',
  PRIORITY: 'MEDIUM',
  STATUS: 'TODO',
  TITLE: 'Task 5',
  MANUAL: 'c2Vk',
};

interface Plan {
  readonly scans: readonly string[];
  readonly cost: number;
}

/** Tables that hold as many rows as there are tasks. */
const SCANS_ALL =
  /Seq Scan on (tasks|users|project_members|trashed_tasks|trashed_members|former_numbers|history_entries|task_relations)\b/;

let failed = false;
const plans = new Map<string, Plan[]>();
let kind = '';

/** Answers nothing, and notes how it would have found the rows. */
function explaining(read: Executor): Database {
  const execute = async (statement: SQL) => {
    const rows = await read.execute<{ 'QUERY PLAN': string }>(sql`explain ${statement}`);
    const lines = rows.map((row) => row['QUERY PLAN']);
    const scans = lines.flatMap(
      (line) =>
        /((?:\w+ )*Scan)(?: using (\w+))?(?: on (\w+))?/.exec(line)?.slice(1, 4).filter(Boolean).join(' ') ?? [],
    );
    const all = lines.find((line) => SCANS_ALL.test(line));
    const mayReadAll = kind.endsWith(EVERYTHING) && /^(count:|stats|burndown|users|search, |search in)/.test(kind);
    if (all !== undefined && !mayReadAll) {
      failed = true;
      console.log(`\nSCANS A WHOLE TABLE: ${kind}\n${lines.join('\n')}\n`);
    }
    plans.set(kind, [
      ...(plans.get(kind) ?? []),
      { scans: [...new Set(scans)], cost: Number(/\.\.([\d.]+)/.exec(lines[0] ?? '')?.[1]) },
    ]);
    return [];
  };
  const explaining: Database = {
    read: new Proxy(read, { get: (target, name) => (name === 'execute' ? execute : Reflect.get(target, name)) }),
    prepared: (name, build) => build(read, name),
    until: () => explaining,
  };
  return explaining;
}

async function main(): Promise<void> {
  const admin = postgresClient(DATABASE_URL, { max: 1, statementTimeoutMs: 0 });
  const name = `plans_${process.pid}`;
  await admin.unsafe(`create database ${name}`);
  const url = new URL(DATABASE_URL);
  url.pathname = `/${name}`;
  try {
    await migrateDatabase(url.href);
    const seeding = postgresClient(url.href, { max: 1, statementTimeoutMs: 0 });
    const tables = [
      'users',
      'projects',
      'project_members',
      'labels',
      'tasks',
      'task_labels',
      'task_relations',
      'comments',
      'trashed_tasks',
      'trashed_members',
      'history_entries',
    ];
    await seeding.unsafe(tables.map((table) => `alter table ${table} disable trigger all`).join(';'));
    await seeding.unsafe(seedSql);
    await seeding.unsafe('call fill_task_documents()');
    await seeding.unsafe('vacuum analyze task_documents');
    await seeding.end();
    const db = openDatabase({ url: url.href, readTimeoutMs: READ_TIMEOUT_MS });
    await explainAll(explaining(db.read));
    await db.close();
  } finally {
    await admin.unsafe(`drop database ${name} with (force)`);
    await admin.end();
  }
  report();
}

async function explainAll(db: Database): Promise<void> {
  for (const [scope, projectIds] of Object.entries(SCOPES)) {
    const filters = {
      ...FILTERS,
      'that are blocked': blocked(projectIds),
      'that are not blocked': not(blocked(projectIds)),
    };
    for (const [filter, where] of Object.entries(filters)) {
      const list = taskListWithin(projectIds, where);
      kind = `${filter}, in ${scope}`;
      for (const order of 'search' in where ? [...ORDERS, BEST_MATCH_FIRST] : ORDERS) {
        const place = [...order.map(({ field }) => VALUES[field]), task(5)];
        const pages: PageQuery[] = [
          { limit: 25, backward: false, after: null, before: null },
          { limit: 25, backward: false, after: place, before: null },
          { limit: 25, backward: true, after: null, before: place },
        ];
        for (const page of pages) await taskPages.load([{ list, order, ...page }], db);
      }
      kind = `count: ${kind}`;
      await taskCounts.load([list], db);
    }
    for (const search of [null, 'user 1']) {
      const list = { projectIds, alone: null, search };
      const place = ['User 5', user(5)];
      kind = `users, ${search === null ? 'all' : 'searched'}, in ${scope}`;
      await peoplePages.load([{ list, limit: 25, backward: false, after: null, before: null }], db);
      await peoplePages.load([{ list, limit: 25, backward: true, after: null, before: place }], db);
      await peopleCounts.load([list], db).catch(() => []);
    }
    kind = `stats of ${scope}`;
    await statsOfProjects(projectIds, db);
    kind = `burndown of ${scope}`;
    await burndowns(
      projectIds.map((projectId) => ({ projectId, days: 30 })),
      db,
    ).catch(() => []);
  }
  await explainTrash(db);
  kind = 'comments of 25 tasks';
  const page = { limit: 25, backward: false, after: null, before: null };
  await commentPages.load(
    Array.from({ length: 25 }, (_, i) => ({ taskId: task(5 * i + 5), ...page })),
    db,
  );
  await explainHistory(db);
}

async function explainHistory(db: Database): Promise<void> {
  const place = ['history_500000'];
  const pages: PageQuery[] = [
    { limit: 25, backward: false, after: null, before: null },
    { limit: 25, backward: false, after: place, before: null },
    { limit: 25, backward: true, after: null, before: place },
  ];
  for (const page of pages) {
    kind = 'history of 25 tasks';
    await taskHistory.load(
      Array.from({ length: 25 }, (_, i) => ({ of: task(5 * i + 5), ...page })),
      db,
    );
    for (const n of [1, 190]) {
      kind = `activity of project ${n}`;
      await projectActivity.load([{ of: project(n), ...page }], db);
    }
  }
}

async function explainTrash(db: Database): Promise<void> {
  const position = [at, task(5)];
  const pages: PageQuery[] = [
    { limit: 25, backward: false, after: null, before: null },
    { limit: 25, backward: false, after: position, before: null },
    { limit: 25, backward: true, after: null, before: position },
  ];
  for (const page of pages) {
    kind = 'trash of the largest project';
    await trashedTaskPages.load([{ parentId: project(1), ...page }], db);
    kind = 'deleted projects of a user';
    await trashedProjectPages.load([{ parentId: user(7), ...page }], db);
  }
  kind = 'count: trash of the largest project';
  await trashedTaskCounts.load([project(1)], db);
  kind = 'former numbers of 25 tasks';
  await formerNumbersOf.load(
    Array.from({ length: 25 }, (_, i) => task(i + 1)),
    db,
  );
}

function report(): void {
  let count = 0;
  console.log(`| list | plans | what they scan |\n|---|--:|---|`);
  for (const [list, found] of plans) {
    count += found.length;
    const scans = [...new Set(found.flatMap(({ scans }) => scans))].filter(
      (scan) => !/Subquery|CTE|WorkTable|Function Scan/.test(scan),
    );
    console.log(`| ${list} | ${found.length} | ${scans.join('; ')} |`);
  }
  console.log(
    `\n${count} plans on ${TASKS} tasks: ${failed ? 'FAILED, some scan a whole table' : 'no list scans a whole table'}`,
  );
  process.exitCode = failed ? 1 : 0;
}

await main();
