/**
 * Filters, orders and pages at random, beside random writes: every answer is the one that the rows give by a second reading of
 * the grammar in plain JavaScript; the same query with the cache off gives it, too, and so does a process that knows whole answers.
 * `Label.tasks` is the part of it that has the label.
 */
import { eq } from 'drizzle-orm';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fromUuid, type ProjectId, type TaskId, toUuid } from '../../src/db/ids.js';
import { comments } from '../../src/domain/comments/comment.table.js';
import { sortOrderOf } from '../../src/domain/tasks/sort-key.js';
import { MAX_BLOCKED } from '../../src/domain/tasks/task.filter-inputs.js';
import { taskLabels, tasks } from '../../src/domain/tasks/task.table.js';
import { postgresClient } from '../../src/engine/postgres/database.js';
import { dataOf, eventually, type TestApp, testApp, uncachedApp } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { type LiveApp, liveApp } from '../support/live.js';

const RUNS = Number(process.env['FILTER_RUNS'] ?? 30);
const STATUSES = ['BACKLOG', 'TODO', 'IN_PROGRESS', 'IN_REVIEW', 'DONE', 'CANCELED'];
const PRIORITIES = ['NONE', 'LOW', 'MEDIUM', 'HIGH', 'URGENT'];
const TITLES = ['Alpha 50%', 'beta_x', 'Gamma "quoted"', 'delta\\', 'ALPHA again', 'Ünïcödé 🎈'];
const DAYS = ['2026-01-31', '2026-02-28', '2030-06-01'];
const COMMENTS = ['A note', 'Quoted again'];

interface Search {
  /** Whether it finds a task with these words. */
  readonly finds: (words: readonly string[], text: string) => boolean;
  /** What counts for the rank. */
  readonly ranked: string;
}
const begin = (words: readonly string[], beginning: string) => words.some((word) => word.startsWith(beginning));
const SEARCHES: Record<string, Search> = {
  alph: { finds: (words) => begin(words, 'alph'), ranked: `'alph' | 'alph':*` },
  'gamma "quoted"': {
    finds: (words) => begin(words, 'gamma') && words.includes('quoted'),
    ranked: `'gamma' | 'gamma':* | 'quot'`,
  },
  'again or beta_x': {
    finds: (words, text) => begin(words, 'again') || text.includes('beta_x'),
    ranked: `'again':* | 'beta' <-> 'x'`,
  },
  '-delta': { finds: (words) => !words.includes('delta'), ranked: '' },
  'notes the quote': {
    finds: (words) => words.some((word) => /^note[ds]?$/.test(word)) && words.includes('quoted'),
    ranked: `'note' | 'notes':* | 'quot' | 'quote':*`,
  },
  'ops-7': { finds: (_, text) => /\bOPS-7\b/.test(text), ranked: `'op' <-> '-7' | 'ops' <-> '-7'` },
};
/** Far from all that has a time here. */
const YESTERDAY = '-P1D';
/** Of tasks that come and go, so that all fit on one page. */
const MAX_EXTRA = 20;

let app: TestApp;
/** The same database, never a lease: every read goes to Postgres. */
let uncached: TestApp;
/** Another process, asked through its port, with process memory: it knows the answers that it gave. */
let knowing: LiveApp;
let sql: ReturnType<typeof postgresClient>;
let f: Fixture;

beforeAll(async () => {
  app = await testApp();
  f = await fixture(app, 14);
  uncached = await uncachedApp(app.databaseUrl);
  knowing = await liveApp({ databaseUrl: app.databaseUrl, group: app.group, nearCacheBytes: 16 * 1024 * 1024 });
  sql = postgresClient(app.databaseUrl, { max: 1 });
});
afterAll(async () => {
  await sql?.end();
  await Promise.all([app?.close(), uncached?.close(), knowing?.close()]);
});

interface Row {
  readonly id: string;
  readonly key: string;
  readonly number: number;
  readonly title: string;
  readonly description: string | null;
  readonly status: string;
  readonly priority: string;
  readonly dueDate: string | null;
  readonly startDate: string | null;
  readonly estimate: number | null;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly completedAt: string | null;
  readonly sortOrder: string | null;
  readonly projectId: string;
  readonly parentId: string | null;
  readonly assigneeId: string | null;
  readonly assigneeIds: readonly string[];
  readonly creatorId: string;
  readonly labels: readonly string[];
  /** By an open task. */
  readonly isBlocked: boolean;
  readonly comments: readonly string[];
  /** By search. */
  readonly ranks: Readonly<Record<string, number>>;
}

async function rows(): Promise<Row[]> {
  const found = await sql`
    select t.*, p.key, due_date::text as due_day, start_date::text as start_day,
      array_remove(assignee_id || other_assignee_ids, null)::text[] as assignee_ids,
      array(select label_id::text from task_labels l where l.task_id = t.id) as label_ids,
      array(select body from comments c where c.task_id = t.id) as comments,
      exists (select from task_relations r join tasks b on b.id = r.task_id where r.related_task_id = t.id and r.type = 'BLOCKS'
        and b.status not in ('DONE', 'CANCELED')) as is_blocked,
      (select json_object_agg(search, (ts_rank(words, ranked::tsquery) * 1000000)::int)
        from unnest(${Object.keys(SEARCHES)}::text[], ${Object.values(SEARCHES).map(({ ranked }) => ranked)}::text[])
          as s(search, ranked)) as ranks
    from tasks t join projects p on p.id = t.project_id join task_documents d on d.task_id = t.id`;
  const id = (prefix: string, uuid: string | null) => uuid && fromUuid(prefix, uuid);
  const at = (date: Date | null) => date?.toISOString() ?? null;
  return found.map(
    (row) =>
      ({
        id: id('task', row['id']),
        key: row['key'],
        number: row['number'],
        title: row['title'],
        description: row['description'],
        status: row['status'],
        priority: row['priority'],
        dueDate: row['due_day'],
        startDate: row['start_day'],
        estimate: row['estimate'],
        createdAt: at(row['created_at']),
        updatedAt: at(row['updated_at']),
        completedAt: at(row['completed_at']),
        sortOrder: row['sort_order'],
        projectId: id('project', row['project_id']),
        parentId: id('task', row['parent_id']),
        assigneeId: id('user', row['assignee_id']),
        assigneeIds: row['assignee_ids'].map((uuid: string) => fromUuid('user', uuid)),
        creatorId: id('user', row['creator_id']),
        labels: row['label_ids'].map((uuid: string) => fromUuid('label', uuid)),
        isBlocked: row['is_blocked'],
        comments: row['comments'],
        ranks: row['ranks'],
      }) as Row,
  );
}

// ---- the grammar, read a second time

// biome-ignore lint/suspicious/noExplicitAny: a filter as a client writes it
type Filter = any;
type Value = string | number | null;

function compares(comparator: Filter, value: Value, rank: (value: Value) => number | string = (v) => v as string) {
  const against = (other: Value, fits: (a: number | string, b: number | string) => boolean) =>
    value !== null && fits(rank(value), rank(other));
  const tests: Record<string, (other: Filter) => boolean> = {
    eq: (other) => value === other,
    neq: (other) => value !== other,
    in: (other) => other.includes(value),
    nin: (other) => !other.includes(value),
    gt: (other) => against(other, (a, b) => a > b),
    gte: (other) => against(other, (a, b) => a >= b),
    lt: (other) => against(other, (a, b) => a < b),
    lte: (other) => against(other, (a, b) => a <= b),
    contains: (other) => value !== null && String(value).includes(other),
    containsIgnoreCase: (other) => value !== null && String(value).toLowerCase().includes(other.toLowerCase()),
    startsWith: (other) => value !== null && String(value).startsWith(other),
    startsWithIgnoreCase: (other) => value !== null && String(value).toLowerCase().startsWith(other.toLowerCase()),
    null: (other) => (value === null) === other,
  };
  return Object.entries(comparator).every(([name, other]) => tests[name]?.(other));
}

function absolute(comparator: Filter): Filter {
  const ago = new Date(Date.now() - 24 * 60 * 60_000).toISOString();
  return Object.fromEntries(
    Object.entries(comparator).map(([name, value]) => [name, value === YESTERDAY ? ago : value]),
  );
}

function fits(filter: Filter, row: Row): boolean {
  const handles: Record<string, string> = { ada: f.ada.id, bob: f.bob.id, vic: f.vic.id };
  const byName = (comparator: Filter, of: (name: string) => string | undefined, id: string | null) =>
    Object.entries(comparator).every(([name, value]) => {
      const names = (name === 'eq' ? [value] : value) as string[];
      return id !== null && names.map(of).includes(id);
    });
  const user = ({ id, handle, isMe, null: missing }: Filter, value: string | null) =>
    (!isMe || value === f.ada.id) &&
    (!id || compares(id, value)) &&
    (!handle || byName(handle, (name) => handles[name], value)) &&
    (missing === undefined || (value === null) === missing);
  const label =
    ({ id, name }: Filter) =>
    (labelId: string) =>
      (!id || compares(id, labelId)) &&
      (!name || byName(name, (text) => ({ bug: f.bug.id, docs: f.docs.id })[text], labelId));
  const tests: Record<string, (part: Filter) => boolean> = {
    and: (all) => all.every((one: Filter) => fits(one, row)),
    or: (some) => some.some((one: Filter) => fits(one, row)),
    not: (one) => !fits(one, row),
    id: (one) => compares(one, row.id),
    number: (one) => compares(one, row.number),
    title: (one) => compares(one, row.title),
    description: (one) => compares(one, row.description),
    status: (one) => compares(one, row.status),
    priority: (one) => compares(one, row.priority, (value) => PRIORITIES.indexOf(value as string)),
    dueDate: (one) => compares(one, row.dueDate),
    startDate: (one) => compares(one, row.startDate),
    estimate: (one) => compares(one, row.estimate),
    createdAt: (one) => compares(absolute(one), row.createdAt),
    updatedAt: (one) => compares(absolute(one), row.updatedAt),
    completedAt: (one) => compares(absolute(one), row.completedAt),
    project: ({ id, key }) => (!id || compares(id, row.projectId)) && (!key || byName(key, (name) => name, row.key)),
    assignee: (one) => user(one, row.assigneeId),
    assignees: ({ some, every, none }) =>
      (!some || row.assigneeIds.some((id) => user(some, id))) &&
      (!every || row.assigneeIds.every((id) => user(every, id))) &&
      (!none || !row.assigneeIds.some((id) => user(none, id))),
    creator: (one) => user(one, row.creatorId),
    parent: ({ id, null: missing }) =>
      (!id || compares(id, row.parentId)) && (missing === undefined || (row.parentId === null) === missing),
    labels: ({ some, every, none }) =>
      (!some || row.labels.some(label(some))) &&
      (!every || row.labels.every(label(every))) &&
      (!none || !row.labels.some(label(none))),
    isBlocked: (one) => row.isBlocked === (one as unknown as boolean),
    search: (one) => isFound(one, row),
  };
  return Object.entries(filter).every(([name, part]) => (tests[name] as (part: Filter) => boolean)(part));
}

function isFound(search: string, { key, number, title, description, comments }: Row): boolean {
  const text = [`${key}-${number}`, title, description ?? '', ...comments].join('\n');
  return SEARCHES[search]?.finds(text.toLowerCase().match(/[a-zäöüï]+/g) ?? [], text) === true;
}

const KEYS: Record<string, (row: Row) => string | number | null> = {
  CREATED_AT: (row) => row.createdAt,
  UPDATED_AT: (row) => row.updatedAt,
  COMPLETED_AT: (row) => row.completedAt,
  DUE_DATE: (row) => row.dueDate,
  START_DATE: (row) => row.startDate,
  ESTIMATE: (row) => row.estimate,
  PRIORITY: (row) => PRIORITIES.indexOf(row.priority),
  STATUS: (row) => STATUSES.indexOf(row.status),
  // As UTF-8 sorts it.
  TITLE: (row) => Buffer.from(row.title).toString('hex'),
  MANUAL: sortOrderOf,
};

interface Order {
  readonly field: string;
  readonly direction: 'ASC' | 'DESC';
  readonly nulls?: 'FIRST' | 'LAST';
}

function sorted(list: readonly Row[], given: readonly Order[], search: string | undefined): Row[] {
  const rank = ({ ranks }: Row) => (search === undefined || given.length > 0 ? 0 : (ranks[search] ?? 0));
  const orders = given.length > 0 ? given : [{ field: 'CREATED_AT', direction: 'DESC' as const }];
  const last = orders.at(-1) as Order;
  const compare = (a: Row, b: Row) => {
    if (rank(a) !== rank(b)) return rank(b) - rank(a);
    for (const { field, direction, nulls } of orders) {
      const [x, y] = [KEYS[field]?.(a) ?? null, KEYS[field]?.(b) ?? null];
      if (x === y) continue;
      if (x === null || y === null) return (x === null) === (nulls === 'FIRST') ? -1 : 1;
      return x < y === (direction === 'ASC') ? -1 : 1;
    }
    return toUuid(a.id as never) < toUuid(b.id as never) === (last.direction === 'ASC') ? -1 : 1;
  };
  return [...list].sort(compare);
}

// ---- what is asked and written

const some = <T>(of: fc.Arbitrary<T>) => fc.uniqueArray(of, { maxLength: 3 });
/** At most two of these: many at once fit nothing. */
const optional = (model: Record<string, fc.Arbitrary<unknown>>) =>
  fc
    .uniqueArray(fc.constantFrom(...Object.keys(model)), { maxLength: 2 })
    .chain((names) => fc.record(Object.fromEntries(names.map((name) => [name, model[name] as fc.Arbitrary<unknown>]))));

function arbitraries() {
  const users = fc.constantFrom(f.ada.id, f.bob.id, f.vic.id);
  const taskIds = fc.constantFrom(...f.opsTasks.slice(0, 5).map(({ id }) => id), f.webTask.id);
  const labels = fc.constantFrom(f.bug.id, f.docs.id);
  const equal = <T>(of: fc.Arbitrary<T>) => ({ eq: of, neq: of, in: some(of), nin: some(of) });
  const bounds = <T>(of: fc.Arbitrary<T>) => ({ gt: of, gte: of, lt: of, lte: of });
  const names = (...of: string[]) => optional({ eq: fc.constantFrom(...of), in: some(fc.constantFrom(...of)) });
  const text = fc.constantFrom('a', 'ALPHA', '%', '_', '\\', '"', '🎈', 'Ü', 'zzz');
  const partial = { contains: text, containsIgnoreCase: text, startsWith: text, startsWithIgnoreCase: text };
  const instants = fc.constantFrom(
    '2026-01-01T00:05:00.000Z',
    '2026-01-01T00:09:30.000Z',
    '2029-01-01T00:00:00.000Z',
    YESTERDAY,
  );
  const user = optional({ id: optional(equal(users)), handle: names('ada', 'bob', 'nobody') });
  const someUser = optional({
    id: optional({ eq: users, in: some(users) }),
    handle: names('ada', 'bob', 'nobody'),
    isMe: fc.constant({ eq: true }),
  });
  const estimates = fc.constantFrom(0, 3, 1000);
  const leaf = optional({
    id: optional(equal(taskIds)),
    number: optional({ ...equal(fc.integer({ min: 1, max: 15 })), ...bounds(fc.integer({ min: 1, max: 15 })) }),
    title: optional({ ...equal(fc.constantFrom(...TITLES)), ...partial }),
    description: optional({ ...partial, null: fc.boolean() }),
    status: optional(equal(fc.constantFrom(...STATUSES))),
    priority: optional({ ...equal(fc.constantFrom(...PRIORITIES)), ...bounds(fc.constantFrom(...PRIORITIES)) }),
    dueDate: optional({
      eq: fc.constantFrom(...DAYS),
      neq: fc.constantFrom(...DAYS),
      ...bounds(fc.constantFrom(...DAYS)),
      null: fc.boolean(),
    }),
    startDate: optional({ eq: fc.constantFrom(...DAYS), ...bounds(fc.constantFrom(...DAYS)), null: fc.boolean() }),
    estimate: optional({ ...equal(estimates), ...bounds(estimates), null: fc.boolean() }),
    createdAt: optional(bounds(instants)),
    updatedAt: optional(bounds(instants)),
    completedAt: optional({ ...bounds(instants), null: fc.boolean() }),
    project: optional({ id: optional(equal(fc.constantFrom(f.ops.id, f.web.id))), key: names('OPS', 'WEB', 'NONE') }),
    assignee: fc.oneof(user, optional({ null: fc.boolean() })),
    assignees: optional({ some: someUser, every: someUser, none: someUser }),
    creator: user,
    parent: optional({ id: optional(equal(taskIds)), null: fc.boolean() }),
    labels: optional(
      Object.fromEntries(
        ['some', 'every', 'none'].map((which) => [
          which,
          optional({ id: optional({ eq: labels, in: some(labels) }), name: names('bug', 'docs', 'nothing') }),
        ]),
      ),
    ),
    isBlocked: fc.boolean(),
    search: fc.constantFrom(...Object.keys(SEARCHES)),
  });
  const { filter } = fc.letrec((tie) => ({
    filter: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      leaf,
      fc.record({ and: fc.array(tie('filter'), { maxLength: 3 }) }),
      fc.record({ or: fc.array(tie('filter'), { maxLength: 3 }) }),
      fc.record({ not: tie('filter') }),
    ),
  }));
  const order = fc.record(
    {
      field: fc.constantFrom(...Object.keys(KEYS)),
      direction: fc.constantFrom('ASC', 'DESC'),
      nulls: fc.constantFrom('FIRST', 'LAST'),
    },
    { requiredKeys: ['field', 'direction'] },
  );
  const orderBy = fc.uniqueArray(order, { maxLength: 3, selector: ({ field }) => field });
  const task = fc.integer({ min: 0, max: 13 });
  const columns = {
    title: fc.constantFrom(...TITLES),
    description: fc.option(fc.constantFrom(...TITLES)),
    priority: fc.constantFrom(...PRIORITIES),
    dueDate: fc.option(fc.constantFrom(...DAYS)),
    startDate: fc.option(fc.constantFrom(...DAYS)),
    estimate: fc.option(estimates),
    assigneeId: fc.option(fc.constantFrom(f.ada.id, f.bob.id)),
  };
  const people = fc.uniqueArray(fc.constantFrom(f.ada.id, f.bob.id, f.vic.id), { maxLength: 3 });
  const values = {
    ...columns,
    assigneeIds: people,
    status: fc.constantFrom(...STATUSES),
    parentId: fc.option(fc.constantFrom(...f.opsTasks.slice(0, 2).map(({ id }) => id))),
    labelIds: some(labels),
  };
  const { parentId: _, ...ofNew } = values;
  const ofRow = { ...columns, otherAssigneeIds: people };
  const oneByOne = { addAssigneeIds: people, removeAssigneeIds: people };
  const body = fc.constantFrom(...COMMENTS);
  const relation = fc.record({
    type: fc.constantFrom('BLOCKS', 'BLOCKED_BY', 'RELATES_TO', 'DUPLICATE_OF'),
    relatedTaskId: taskIds,
  });
  const place = fc.oneof(fc.record({ before: taskIds }), fc.record({ after: taskIds }));
  const write = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('update'), task, values: optional(values) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('sql'), task, values: optional(ofRow) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('assigned'), task, values: optional(oneByOne) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('leaves', 'joins'), task, values: fc.constant({}) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('comes'), task, values: optional(ofNew) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('goes', 'unlabelled'), task, values: fc.constant({}) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('there', 'back'), task, values: fc.constant({}) }) },
    {
      weight: 3,
      arbitrary: fc.record({ kind: fc.constantFrom('related', 'related', 'unrelated'), task, values: relation }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('placed'), task, values: place }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('commented'), task, values: fc.record({ body }) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('uncommented'), task, values: fc.constant({}) }) },
  );
  const isAllowed = (one: unknown) => JSON.stringify(one).split('"isBlocked"').length <= MAX_BLOCKED + 1;
  return { filter: filter.filter(isAllowed), orderBy, write, size: fc.integer({ min: 1, max: 6 }) };
}

const LIST = `query($first: Int, $after: String, $last: Int, $before: String, $filter: TaskFilter, $orderBy: [TaskOrder!]) {
  tasks(first: $first, after: $after, last: $last, before: $before, filter: $filter, orderBy: $orderBy) {
    totalCount nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}`;

async function page(from: TestApp, variables: Record<string, unknown>) {
  return dataOf(await from.ask(LIST, { as: f.ada.id, variables })).tasks;
}

const OF_LABEL = `query($label: ID!, $filter: TaskFilter, $orderBy: [TaskOrder!]) {
  node(id: $label) { ... on Label { tasks(first: 100, filter: $filter, orderBy: $orderBy) { totalCount nodes { id } } } }
}`;

async function tasksOfLabel(from: TestApp, variables: Record<string, unknown>) {
  return dataOf(await from.ask(OF_LABEL, { as: f.ada.id, variables })).node.tasks;
}

const idsOf = ({ nodes }: { nodes: { id: string }[] }) => nodes.map(({ id }) => id);

async function leafThrough(from: TestApp, question: object, size: number, backward: boolean): Promise<string[]> {
  const seen: string[] = [];
  for (let cursor: string | null = null; ; ) {
    const { pageInfo, ...rest } = await page(from, {
      ...question,
      ...(backward ? { last: size, before: cursor } : { first: size, after: cursor }),
    });
    if (backward) seen.unshift(...idsOf(rest));
    else seen.push(...idsOf(rest));
    if (!(backward ? pageInfo.hasPreviousPage : pageInfo.hasNextPage)) return seen;
    cursor = backward ? pageInfo.startCursor : pageInfo.endCursor;
  }
}

interface Write {
  readonly kind: string;
  readonly task: number;
  readonly values: Record<string, unknown>;
}

/** Tasks besides those of the fixture. */
const extra: TaskId[] = [];

/** By the API, or by SQL of the app's own; what is refused changes nothing. */
async function carryOut({ kind, task, values }: Write): Promise<void> {
  const id = f.opsTasks[task]?.id as TaskId;
  const mutate = (name: string, type: string, input: object) =>
    app.ask(`mutation($i: ${type}!) { ${name}(input: $i) { errors { message } } }`, {
      as: f.ada.id,
      variables: { i: input },
    });
  switch (kind) {
    case 'update':
      await mutate('updateTask', 'UpdateTaskInput', { id, ...values });
      return;
    case 'sql': {
      if (Object.keys(values).length === 0) return;
      const written = app.transactor.transact((tx) => tx.update(tasks).set(values).where(eq(tasks.id, id)));
      await written.catch((error) => expect(error).toMatchObject({ cause: { constraint_name: 'tasks_dates' } }));
      return;
    }
    case 'assigned':
      await app.ask('mutation($i: UpdateTasksInput!) { updateTasks(input: $i) { errors { message } } }', {
        as: f.ada.id,
        variables: { i: { ids: [id, f.opsTasks[0]?.id], ...values } },
      });
      return;
    case 'leaves':
      await mutate('removeMember', 'RemoveMemberInput', { projectId: f.ops.id, userId: f.vic.id });
      return;
    case 'joins':
      await mutate('addMember', 'AddMemberInput', { projectId: f.ops.id, userId: f.vic.id, role: 'VIEWER' });
      return;
    case 'comes': {
      if (extra.length >= MAX_EXTRA) return;
      const create = 'mutation($i: CreateTaskInput!) { createTask(input: $i) { task { id } } }';
      const input = { projectId: task % 2 === 0 ? f.ops.id : f.web.id, title: 'New', ...values };
      const created = dataOf(await app.ask(create, { as: f.ada.id, variables: { i: input } })).createTask.task;
      if (created) extra.push(created.id);
      return;
    }
    case 'goes': {
      const last = extra.pop();
      if (last !== undefined) await mutate('deleteTask', 'DeleteTaskInput', { id: last });
      return;
    }
    case 'unlabelled':
      await app.transactor.transact((tx) => tx.delete(taskLabels).where(eq(taskLabels.taskId, id)));
      return;
    case 'related':
      await mutate('addTaskRelation', 'AddTaskRelationInput', { taskId: id, ...values });
      return;
    case 'unrelated':
      await mutate('removeTaskRelation', 'RemoveTaskRelationInput', { taskId: id, ...values });
      return;
    case 'placed':
      await mutate('moveTaskInList', 'MoveTaskInListInput', { id, ...values });
      return;
    case 'commented':
      await mutate('createComment', 'CreateCommentInput', { taskId: id, ...values });
      return;
    case 'uncommented':
      await app.transactor.transact((tx) => tx.delete(comments).where(eq(comments.taskId, id)));
      return;
    default: {
      const projectId: ProjectId = kind === 'there' ? f.web.id : f.ops.id;
      await mutate('moveTask', 'MoveTaskInput', { id, projectId });
    }
  }
}

const UPDATE = 'mutation($i: UpdateTaskInput!) { updateTask(input: $i) { errors { message } } }';

describe('what chance does not reach', () => {
  const identifiers = async (variables: Record<string, unknown>) => {
    const query =
      'query($filter: TaskFilter) { tasks(filter: $filter, orderBy: [{ field: TITLE, direction: ASC }]) { nodes { title } } }';
    const { nodes } = dataOf(await app.ask(query, { as: f.ada.id, variables })).tasks;
    return nodes.map(({ title }: { title: string }) => title);
  };
  const write = async (index: number, values: Record<string, unknown>) => {
    const input = { id: f.opsTasks[index]?.id, ...values };
    const { errors } = dataOf(await app.ask(UPDATE, { as: f.ada.id, variables: { i: input } })).updateTask;
    expect(errors).toEqual([]);
  };

  test('relative times count from now, and equal questions of one minute share an entry', async () => {
    await write(3, { title: 'Just now' });
    const recent = { filter: { updatedAt: { gt: '-P1D' }, title: { eq: 'Just now' } } };
    expect(await identifiers(recent)).toEqual(['Just now']);
    expect(await identifiers({ filter: { updatedAt: { gt: 'P1D' } } })).toEqual([]);
    expect(await identifiers({ filter: { createdAt: { gt: '-P1M' }, number: { eq: 1 } } })).toEqual([]);
    await eventually(async () => {
      await app.settled();
      app.reset();
      await identifiers(recent);
      expect(app.outcomes.find(({ name }) => name === 'TaskPageRelative')?.kind).toMatch(/hit/);
    });
    const today = new Date().toISOString().slice(0, 10);
    await write(4, { title: 'Due today', dueDate: today });
    expect(await identifiers({ filter: { dueDate: { eq: 'P0D' } } })).toEqual(['Due today']);
    expect(await identifiers({ filter: { dueDate: { lt: '-P1D', gt: '-P2D' } } })).toEqual([]);
  });

  test('a handle, a key and a label name follow their rename', async () => {
    const assigned = { filter: { assignee: { handle: { eq: 'ada' } }, project: { key: { eq: 'WEB' } } } };
    expect(await identifiers(assigned)).toEqual(['Web task']);
    await app.transactor.transact((tx) => tx.execute(`update users set handle = 'ada2' where handle = 'ada'`));
    expect(await identifiers(assigned)).toEqual([]);
    await app.transactor.transact((tx) => tx.execute(`update users set handle = 'ada' where handle = 'ada2'`));
    expect(await identifiers(assigned)).toEqual(['Web task']);
  });

  test('a handle that nobody can have fits nobody', async () => {
    for (const handle of ['a b', 'x'.repeat(65), '']) {
      expect(await identifiers({ filter: { assignee: { handle: { in: [handle] } } } })).toEqual([]);
    }
  });

  test('a title list is kept while a task of another project changes, and dropped when one of its own does', async () => {
    const outcome = async () => {
      await app.settled();
      app.reset();
      await identifiers({ filter: { title: { contains: 'Web' }, project: { id: { eq: f.web.id } } } });
      return app.outcomes.find(({ name }) => name === 'TaskPageHeavy')?.kind;
    };
    await outcome();
    expect(await outcome()).toMatch(/hit/);
    await write(5, { title: 'Elsewhere' });
    expect(await outcome()).toMatch(/hit/);
    const input = { id: f.webTask.id, title: 'Web task, renamed' };
    await app.ask(UPDATE, { as: f.ada.id, variables: { i: input } });
    expect(await outcome()).toBe('miss');
  });
});

// Last: it leaves no row as it was.
describe('at random', () => {
  test('every answer is what the rows say, from the cache, without it, and as a known one', async () => {
    const { filter, orderBy, write, size } = arbitraries();
    const run = fc.asyncProperty(
      fc.array(filter as fc.Arbitrary<Filter>, { minLength: 1, maxLength: 3 }),
      orderBy,
      fc.array(write, { minLength: 1, maxLength: 3 }),
      size,
      async (filters, orders, writes, pageSize) => {
        let backwards = false;
        for (const next of [...writes, undefined]) {
          const all = await rows();
          for (const one of filters) {
            const question = { filter: one, orderBy: orders };
            const found = sorted(
              all.filter((row) => fits(one, row)),
              orders as Order[],
              one.search,
            );
            const expected = found.map(({ id }) => id);
            const answer = await page(app, { ...question, first: 100 });
            expect([answer.totalCount, idsOf(answer)]).toEqual([expected.length, expected]);
            expect(await page(uncached, { ...question, first: 100 })).toEqual(answer);
            expect(await page(app, { ...question, first: 100 })).toEqual(answer);
            for (let i = 0; i < 2; i++) expect(await page(knowing, { ...question, first: 100 })).toEqual(answer);
            expect(await leafThrough(app, question, pageSize, backwards)).toEqual(expected);
            const labelled = found.filter(({ labels }) => labels.includes(f.bug.id)).map(({ id }) => id);
            for (const from of [app, knowing]) {
              const { totalCount, nodes } = await tasksOfLabel(from, { ...question, label: f.bug.id });
              expect([totalCount, idsOf({ nodes })]).toEqual([labelled.length, labelled]);
            }
          }
          backwards = !backwards;
          if (next !== undefined) await carryOut(next);
        }
      },
    );
    await fc.assert(run, { numRuns: RUNS, endOnFailure: true });
    expect(app.outcomes.filter(({ name, kind }) => name === 'TaskPage' && kind.endsWith('hit')).length).toBeGreaterThan(
      RUNS,
    );
    const known = knowing.outcomes.filter(({ name, kind }) => name === 'Answer' && kind === 'near-hit');
    expect(known.length).toBeGreaterThan(RUNS);
  }, 300_000);
});
