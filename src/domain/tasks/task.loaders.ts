/** Reads of tasks: rows by id, lists as ids, counts, the labels of a task, the statistics of a project. */
import { asc, getTableColumns, sql } from 'drizzle-orm';
import { byId } from '../../db/by-id.js';
import { fromUuid, type LabelId, type ProjectId, type TaskId, toUuid } from '../../db/ids.js';
import { selectPages } from '../../db/page-sql.js';
import { childrenSource, ROW_TTL_MS, type Source } from '../../db/sources.js';
import { type Database, shapeOf } from '../../engine/postgres/index.js';
import { type Page, toPage } from '../../graphql/page.js';
import { MINUTE } from '../../std/time.js';
import {
  isEmptyList,
  type TaskList,
  type TaskPageQuery,
  taskListTags,
  taskListWhere,
  taskPageSql,
} from './task.list-query.js';
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
  load: async (ids, db) => {
    const statement = db.prepared('tasks_with_labels', (read, name) =>
      read
        .select({ ...getTableColumns(tasks), labelIds: LABEL_IDS })
        .from(tasks)
        .where(sql`${tasks.id} = any(${sql.placeholder('ids')}::uuid[])`)
        .prepare(name),
    );
    return byId(ids, await statement.execute({ ids: ids.map(toUuid) }));
  },
};

const LABEL_IDS = sql`array(
  select ${taskLabels.labelId} from ${taskLabels} where ${taskLabels.taskId} = ${tasks.id} order by ${taskLabels.labelId})`.mapWith(
  (uuids: string[]) => uuids.map((uuid) => fromUuid('label', uuid)),
);

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
    load: async (args, db) => {
      for (const arg of args) await requireWithinReach(db.read, listOf(arg));
      return source.load(args, db);
    },
  };
}

function pagesSource(name: string, ttlMs: number): Source<TaskPageQuery, Page<TaskId>> {
  return {
    name,
    shape: 'page.2',
    ttlMs,
    scope: 'public',
    tags: ({ list, order }) => taskListTags(list, order),
    load: async (queries, db) => {
      const possible = queries.filter(({ list }) => !isEmptyList(list));
      const pages = possible.length === 0 ? [] : await selectPages(db.read, possible.map(taskPageSql));
      return queries.map((query) => {
        const rows = pages[possible.indexOf(query)] ?? [];
        return toPage(
          rows.map(({ id, sort }) => ({ id: fromUuid('task', id), sort })),
          query,
        );
      });
    },
  };
}

function countsSource(name: string, ttlMs: number): Source<TaskList, number> {
  return {
    name,
    shape: 'count',
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
  table: taskLabels,
  parent: taskLabels.taskId,
  columns: { labelId: taskLabels.labelId },
  orderBy: asc(taskLabels.labelId),
  toValue: ({ labelId }: { readonly labelId: LabelId }) => labelId,
});

/** Aggregates over all tasks of each project, in one statement. */
export async function projectStats(projectIds: readonly ProjectId[], db: Database) {
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
