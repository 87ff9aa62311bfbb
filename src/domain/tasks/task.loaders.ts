/** Reads of tasks: rows by id, lists as ids, counts, the labels of a task, the statistics of a project. */
import { asc, getTableColumns, getTableName, type SQL, sql } from 'drizzle-orm';
import { byId, readerOfTexts, rowAsTexts, rowReader, type TableWithId } from '../../db/by-id.js';
import { fromUuid, type LabelId, type ProjectId, type TaskId, toUuid } from '../../db/ids.js';
import { asText, type JoinedRows, type PageRow, selectPages, selectPagesWithRows } from '../../db/page-sql.js';
import { childrenSource, ROW_TTL_MS, type Source } from '../../db/sources.js';
import type { Bring, Tag } from '../../engine/cache/index.js';
import { brings, type Database, shapeOf } from '../../engine/postgres/index.js';
import { type Page, toPage } from '../../graphql/page.js';
import { MINUTE } from '../../std/time.js';
import { labelById } from '../labels/label.loaders.js';
import { labels } from '../labels/label.table.js';
import { userById } from '../users/user.loaders.js';
import { users } from '../users/user.table.js';
import {
  isEmptyList,
  isQuick,
  type TaskList,
  type TaskPageQuery,
  taskListWhere,
  taskPageSql,
} from './task.list-query.js';
import { taskListTags } from './task.list-tags.js';
import {
  type TaskPriority,
  type TaskRow,
  type TaskStatus,
  taskLabelRows,
  taskLabels,
  taskRows,
  tasks,
} from './task.table.js';
import { requireWithinReach } from './task.work.js';

/** A task with its labels, in the order in which the labels were created. */
export interface LabelledTask extends TaskRow {
  readonly labelIds: readonly LabelId[];
}

/** Loads the labels too: they are few and every task list selects them. One entry, one statement. */
export const taskById: Source<TaskId, LabelledTask | null> = {
  name: 'Task',
  shape: `${shapeOf(tasks)}.labels`,
  ttlMs: ROW_TTL_MS,
  scope: 'public',
  tags: (id) => [...taskRows.byId(id), taskLabelRows.ofTask(id)[1]],
  together: true,
  load: async (ids, db) => {
    const statement = db.prepared('tasks_with_labels', (read, name) =>
      read
        .select(LABELLED_TASK)
        .from(tasks)
        .where(sql`${tasks.id} = any(${sql.placeholder('ids')}::uuid[])`)
        .prepare(name),
    );
    return byId(ids, await statement.execute({ ids: ids.map(toUuid) }));
  },
};

const LABEL_IDS = sql`array(
  select ${taskLabels.labelId} from ${taskLabels} where ${taskLabels.taskId} = ${tasks.id} order by ${taskLabels.labelId})`.mapWith(
  labelIdsFrom,
);

/** The ids of an array of UUIDs. */
export function labelIdsFrom(uuids: string[]): LabelId[] {
  return uuids.map((uuid) => fromUuid('label', uuid));
}

/** The columns of a `LabelledTask`. */
export const LABELLED_TASK = { ...getTableColumns(tasks), labelIds: LABEL_IDS };

const readTask = rowReader(tasks);
const readLabel = readerOfTexts(labels);
const readUser = readerOfTexts(users);
/** In bytes, which Postgres knows without reading a long text. A task with more is not brought along. */
const MAX_BROUGHT_DESCRIPTION = 2000;
/** Labels, and users, that pages bring along together. Others are loaded by themselves. */
const MAX_BESIDE = 100;
const IS_LONG = `coalesce(octet_length("tasks"."description") > ${MAX_BROUGHT_DESCRIPTION}, false)`;
const SHORT_DESCRIPTION = `case when not ${IS_LONG} then "tasks"."description" end as description`;

/** A `LabelledTask` as a page's statement reads it; undefined if its description is long, which has its price. */
const JOINED_TASK: JoinedRows<LabelledTask | undefined> = {
  id: tasks.id,
  columns: asText(sql`
    ${sql.raw(
      Object.values(getTableColumns(tasks))
        .map(({ name }) => (name === 'description' ? SHORT_DESCRIPTION : `"tasks"."${name}"`))
        .join(', '),
    )},
    ${LABEL_IDS} as label_ids, ${sql.raw(IS_LONG)} as is_long`),
  toRow: (columns) => {
    if (columns['is_long'] === true) return undefined;
    const row = readTask(({ name }) => columns[name]);
    row['labelIds'] = labelIdsFrom(columns['label_ids'] as string[]);
    return row as unknown as LabelledTask;
  },
  beside: asText(sql`json_build_array(
    ${rowsBeside(labels, sql`select ${taskLabels.labelId} from ${taskLabels} where ${taskLabels.taskId} in (select id from listed)`)},
    ${rowsBeside(users, sql`select ${tasks.assigneeId} from ${tasks} where ${tasks.id} in (select id from listed)`)})`),
};

function rowsBeside(table: TableWithId, ids: SQL): SQL {
  return sql`${sql.raw(brings(getTableName(table)))} (
    select json_agg(row) from (
      select ${rowAsTexts(table)} as row from ${table} where ${table.id} in (${ids}) limit ${sql.raw(String(MAX_BESIDE))}
    ) as rows)`;
}

/** What the identifier OPS-42 refers to, once the project OPS is known. */
export interface TaskNumber {
  readonly projectId: ProjectId;
  readonly number: number;
}

export const taskIdByNumber: Source<TaskNumber, TaskId | null> = {
  name: 'TaskNumber',
  shape: 'id',
  ttlMs: ROW_TTL_MS,
  scope: 'public',
  tags: ({ projectId, number }) => taskRows.byNumber(projectId, number),
  together: true,
  load: async (wanted, db) => {
    const statement = db.prepared('task_ids_by_number', (read, name) =>
      read
        .select({ id: tasks.id, projectId: tasks.projectId, number: tasks.number })
        .from(tasks)
        .where(
          sql`(${tasks.projectId}, ${tasks.number}) in (
            select * from unnest(${sql.placeholder('projectIds')}::uuid[], ${sql.placeholder('numbers')}::int[]))`,
        )
        .prepare(name),
    );
    const rows = await statement.execute({
      projectIds: wanted.map(({ projectId }) => toUuid(projectId)),
      numbers: wanted.map(({ number }) => number),
    });
    return wanted.map(
      ({ projectId, number }) => rows.find((row) => row.projectId === projectId && row.number === number)?.id ?? null,
    );
  },
};

/** A list relative to the current time changes its key every minute. */
const RELATIVE_TTL_MS = 2 * MINUTE;

export const taskPages = pagesSource('TaskPage', ROW_TTL_MS);
export const relativeTaskPages = pagesSource('TaskPageRelative', RELATIVE_TTL_MS);
export const taskCounts = countsSource('TaskCount', ROW_TTL_MS);
export const relativeTaskCounts = countsSource('TaskCountRelative', RELATIVE_TTL_MS);

/** Lists that are expensive for Postgres (see `isHeavy`). */
export const heavyTaskPages = asHeavy(taskPages, ({ list }) => list);
export const heavyRelativeTaskPages = asHeavy(relativeTaskPages, ({ list }) => list);
export const heavyTaskCounts = asHeavy(taskCounts, (list) => list);
export const heavyRelativeTaskCounts = asHeavy(relativeTaskCounts, (list) => list);

/** The same source under its own name. Each list is loaded alone, after a check that it is not too expensive. */
function asHeavy<A, V>(source: Source<A, V>, listOf: (arg: A) => TaskList): Source<A, V> {
  return {
    ...source,
    name: `${source.name}Heavy`,
    heavy: true,
    load: async (args, db, bring) => {
      for (const arg of args) await requireWithinReach(db.read, listOf(arg));
      return source.load(args, db, bring);
    },
  };
}

function pagesSource(name: string, ttlMs: number): Source<TaskPageQuery, Page<TaskId>> {
  return {
    name,
    shape: 'page.3',
    ttlMs,
    scope: 'public',
    tags: ({ list, order }) => taskListTags(list, order),
    brings: true,
    together: isQuick,
    // A statement's text differs with the number of its pages, and is prepared.
    maxTogether: 8,
    load: async (queries, db, bring) => {
      const possible = queries.filter(({ list }) => !isEmptyList(list));
      const pages = await selectTaskPages(db, possible, bring);
      return queries.map((query) => {
        const rows = pages.get(query) ?? [];
        return toPage(
          rows.map(({ id, sort }) => ({ id: fromUuid('task', id), sort })),
          query,
        );
      });
    },
  };
}

/** Pages whose tasks are shown. */
const shown = new WeakSet<TaskPageQuery>();
/** Of larger pages together the tasks are loaded by themselves. */
const MAX_BROUGHT = 200;

/** The tasks of this page will be shown: its statement may bring them along, with their labels and assignees. */
export function bringTasksOf(query: TaskPageQuery): void {
  shown.add(query);
}

async function selectTaskPages(db: Database, queries: readonly TaskPageQuery[], bring: Bring | undefined) {
  const [bringing, others]: [TaskPageQuery[], TaskPageQuery[]] = [[], []];
  let tasksBrought = 0;
  for (const query of queries) {
    const bringsIt = bring !== undefined && shown.has(query) && tasksBrought + query.limit <= MAX_BROUGHT;
    if (bringsIt) tasksBrought += query.limit;
    (bringsIt ? bringing : others).push(query);
  }
  const [withRows, withoutRows] = await Promise.all([
    selectPagesWithRows(db.read, bringing.map(taskPageSql), JOINED_TASK),
    selectPages(db.read, others.map(taskPageSql)),
  ]);
  const rows = withRows.pages.flat().flatMap(({ row }) => row ?? []);
  for (const task of rows) bring?.(taskById, task.id, task);
  if (rows.length > 0) bringBeside(withRows.beside as BesideTasks, bring as Bring);
  return new Map<TaskPageQuery, readonly Pick<PageRow, 'id' | 'sort'>[]>([
    ...bringing.map((query, i) => [query, withRows.pages[i] ?? []] as const),
    ...others.map((query, i) => [query, withoutRows[i] ?? []] as const),
  ]);
}

/** Labels and assignees of tasks, as `JOINED_TASK` reads them. */
type BesideTasks = readonly [labels: RowsAsTexts, users: RowsAsTexts];
type RowsAsTexts = readonly (readonly (string | null)[])[] | null;

function bringBeside([labelTexts, userTexts]: BesideTasks, bring: Bring): void {
  for (const label of labelTexts?.map(readLabel) ?? []) bring(labelById, label.id, label);
  for (const user of userTexts?.map(readUser) ?? []) bring(userById, user.id, user);
}

function countsSource(name: string, ttlMs: number): Source<TaskList, number> {
  return {
    name,
    shape: 'count.2',
    ttlMs,
    scope: 'public',
    tags: (list) => taskListTags(list),
    load: async (lists, db) => {
      const possible = lists.filter((list) => !isEmptyList(list));
      if (possible.length === 0) return lists.map(() => 0);
      const counts = possible.map((list) => sql`(select count(*)::int from ${tasks} where ${taskListWhere(list)})`);
      const [row] = await db.read.execute<{ counts: number[] }>(
        sql`select array[${sql.join(counts, sql`, `)}] as counts`,
      );
      return lists.map((list) => row?.counts[possible.indexOf(list)] ?? 0);
    },
  };
}

/** The labels of a task row that was read without them, as writes read it. */
export const labelIdsOf: Source<TaskId, readonly LabelId[]> = childrenSource({
  name: 'TaskLabels',
  shape: 'ids',
  scope: 'public',
  tags: taskLabelRows.byTask,
  together: true,
  table: taskLabels,
  parent: taskLabels.taskId,
  columns: { labelId: taskLabels.labelId },
  orderBy: asc(taskLabels.labelId),
  toValue: ({ labelId }: { readonly labelId: LabelId }) => labelId,
});

/** What `burndowns` depends on; each row set names the table as well. */
export const burndownTags = (id: ProjectId): Tag[] => [
  ...new Set([...taskRows.membershipByProject(id), ...taskRows.statusByProject(id)]),
];

/** One project of many tasks keeps at most so many others waiting. */
const MAX_STATS_TOGETHER = 8;

/** The TTL is the only freshness guarantee here: two of the numbers change with time alone. */
export const projectStats: Source<ProjectId, TaskStats> = {
  name: 'Project.stats',
  shape: 'stats',
  ttlMs: MINUTE,
  timeDependent: true,
  scope: 'public',
  tags: taskRows.statsByProject,
  together: true,
  maxTogether: MAX_STATS_TOGETHER,
  load: statsOfProjects,
};

/** Aggregates over all tasks of each project, in one statement. */
export async function statsOfProjects(projectIds: readonly ProjectId[], db: Database): Promise<TaskStats[]> {
  const statement = db.prepared('project_stats', (read, name) =>
    read
      .select({ stats: STATS })
      .from(sql`unnest(${sql.placeholder('ids')}::uuid[]) as p(id)`)
      .prepare(name),
  );
  const rows = await statement.execute({ ids: projectIds.map(toUuid) });
  const statsOf = new Map(rows.map(({ stats: { projectId, ...stats } }) => [fromUuid('project', projectId), stats]));
  return projectIds.map((id) => statsOf.get(id) as TaskStats);
}

/** Aggregates for the project `p`. */
const STATS = sql<TaskStats & { projectId: string }>`(
  with t as materialized (
    select ${tasks.status}, ${tasks.priority}, ${tasks.dueDate}, ${tasks.createdAt}, ${tasks.completedAt}
    from ${tasks} where ${tasks.projectId} = p.id)
  select json_build_object(
    'projectId', p.id,
    'total', (select count(*) from t),
    'byStatus', (
      select coalesce(json_agg(json_build_object('status', status, 'count', n) order by status), '[]')
      from (select status, count(*) as n from t group by status) as s),
    'byPriority', (
      select coalesce(json_agg(json_build_object('priority', priority, 'count', n) order by priority), '[]')
      from (select priority, count(*) as n from t group by priority) as s),
    'overdue', (select count(*) from t
      where due_date < (now() at time zone 'UTC')::date and status not in ('DONE', 'CANCELED')),
    'completedLast7Days', (select count(*) from t where completed_at > now() - interval '7 days'),
    'medianCycleTimeHours', (
      select percentile_cont(0.5) within group (order by extract(epoch from completed_at - created_at)::float8 / 3600)
      from t where completed_at is not null)))`;

export interface TaskStats {
  readonly total: number;
  readonly byStatus: readonly { readonly status: TaskStatus; readonly count: number }[];
  readonly byPriority: readonly { readonly priority: TaskPriority; readonly count: number }[];
  readonly overdue: number;
  readonly completedLast7Days: number;
  readonly medianCycleTimeHours: number | null;
}
