/**
 * A list of tasks in normal form: which projects, which filter, which order. The normal form is what is cached, so equal questions
 * share an entry, and it says which row-sets the list depends on: the narrowest that certainly hold every row that could enter or leave it.
 */
import { type SQL, sql } from 'drizzle-orm';
import type { Tag } from '../cache/index.js';
import { isInstant, isoText } from '../db/columns.js';
import { isId, type LabelId, type ProjectId, type TaskId, toUuid, type UserId } from '../db/ids.js';
import { badUserInput } from '../graphql/errors.js';
import { readId } from '../graphql/node.js';
import type { PageQuery } from '../graphql/page.js';
import { type IdComparator, OrderDirection, type TaskFilter, type TaskOrder, TaskOrderField } from './task.filter.js';
import {
  type TaskPriority,
  type TaskStatus,
  taskLabelRows,
  taskLabels,
  taskPriority,
  taskRows,
  taskStatus,
  tasks,
} from './task.table.js';

/** Sorted, without duplicates; absent: no condition. An empty array fits nothing. */
export interface TaskList {
  /** Never absent: a list only ever holds tasks of projects that whoever asked may see. */
  readonly projectIds: readonly ProjectId[];
  readonly parentId?: TaskId;
  readonly assigneeIds?: readonly UserId[];
  readonly statuses?: readonly TaskStatus[];
  readonly priorities?: readonly TaskPriority[];
  readonly labelIds?: readonly LabelId[];
}

export interface TaskPageQuery extends PageQuery {
  readonly list: TaskList;
  readonly order: { readonly field: TaskOrderField; readonly direction: OrderDirection };
}

const MAX_IDS = 50;

/** @throws BAD_USER_INPUT naming the argument at fault. */
export function taskList(within: TaskList, filter: TaskFilter | null | undefined): TaskList {
  const ids = <P extends string>(prefix: P, comparator: IdComparator | null | undefined, argument: string) =>
    anyOf(comparator, argument)?.map((id) => readId(prefix, id, argument));
  const projectIds = ids('project', filter?.project?.id, 'filter.project.id');
  const assigneeIds = ids('user', filter?.assignee?.id, 'filter.assignee.id');
  const labelIds = ids('label', filter?.labels?.some?.id, 'filter.labels.some.id');
  const statuses = anyOf(filter?.status, 'filter.status');
  const priorities = anyOf(filter?.priority, 'filter.priority');
  return {
    ...within,
    projectIds: projectIds ? within.projectIds.filter((id) => projectIds.includes(id)) : within.projectIds,
    ...(assigneeIds && { assigneeIds: both(within.assigneeIds, assigneeIds) }),
    ...(labelIds && { labelIds }),
    ...(statuses && { statuses }),
    ...(priorities && { priorities }),
  };
}

function anyOf<T extends string>(
  comparator: { eq?: T | null; in?: T[] | null } | null | undefined,
  argument: string,
): T[] | undefined {
  if (!comparator) return undefined;
  const { eq, in: among } = comparator;
  // A null is not "no condition": whoever wrote it meant something that is not offered.
  if (eq === null) throw badUserInput(`${argument}.eq`, 'expected a value, got null');
  if (among === null) throw badUserInput(`${argument}.in`, 'expected values, got null');
  if (among && among.length > MAX_IDS) throw badUserInput(`${argument}.in`, `expected at most ${MAX_IDS} values`);
  if (eq !== undefined && among) return among.includes(eq) ? [eq] : [];
  if (eq !== undefined) return [eq];
  return among ? [...new Set(among)].sort() : undefined;
}

function both<T>(a: readonly T[] | undefined, b: readonly T[]): readonly T[] {
  return a === undefined ? b : b.filter((value) => a.includes(value));
}

/** @throws BAD_USER_INPUT */
export function taskOrder(orderBy: readonly TaskOrder[] | null | undefined): TaskPageQuery['order'] {
  if (orderBy && orderBy.length > 1) throw badUserInput('orderBy', 'expected at most one order');
  const order = orderBy?.[0];
  return { field: order?.field ?? TaskOrderField.CREATED_AT, direction: order?.direction ?? OrderDirection.DESC };
}

/** Whether a cursor's values are a place in that order. */
export function isTaskPosition({ field }: TaskPageQuery['order'], [sort, id]: readonly string[]): boolean {
  const fits =
    field === TaskOrderField.PRIORITY
      ? (taskPriority.enumValues as readonly string[]).includes(sort ?? '')
      : isInstant(sort ?? '');
  return fits && isId('task', id ?? '');
}

/** True when no task can fit, whatever the tables hold: nothing needs to be read. */
export function isEmptyList(list: TaskList): boolean {
  return [list.projectIds, list.assigneeIds, list.statuses, list.priorities, list.labelIds].some(
    (set) => set?.length === 0,
  );
}

export function taskListTags(list: TaskList): Tag[] {
  const { parentId, assigneeIds, projectIds, labelIds } = list;
  const rows =
    parentId !== undefined
      ? [taskRows.byParent(parentId)]
      : (assigneeIds?.map((id) => taskRows.byAssignee(id)) ?? projectIds.map((id) => taskRows.byProject(id)));
  const borne = labelIds?.map((id) => taskLabelRows.byLabel(id)) ?? [];
  return [...new Set([...rows, ...borne].flat())];
}

export function taskListWhere(list: TaskList): SQL {
  const { projectIds, parentId, assigneeIds, statuses, priorities, labelIds } = list;
  const conditions = [isOneOf(sql`${tasks.projectId}`, projectIds.map(toUuid), 'uuid')];
  if (parentId !== undefined) conditions.push(sql`${tasks.parentId} = ${toUuid(parentId)}::uuid`);
  if (assigneeIds) conditions.push(isOneOf(sql`${tasks.assigneeId}`, assigneeIds.map(toUuid), 'uuid'));
  if (statuses) conditions.push(isOneOf(sql`${tasks.status}`, statuses, taskStatus.enumName));
  if (priorities) conditions.push(isOneOf(sql`${tasks.priority}`, priorities, taskPriority.enumName));
  if (labelIds) {
    const borne = isOneOf(sql`${taskLabels.labelId}`, labelIds.map(toUuid), 'uuid');
    conditions.push(sql`exists (select from ${taskLabels} where ${taskLabels.taskId} = ${tasks.id} and ${borne})`);
  }
  return sql.join(conditions, sql` and `);
}

/** `=` for one value, so that an index on the column also gives the order. */
function isOneOf(column: SQL, values: readonly string[], type: string): SQL {
  if (values.length === 1) return sql`${column} = ${values[0]}::${sql.raw(type)}`;
  return sql`${column} = any(${`{${values.join(',')}}`}::${sql.raw(type)}[])`;
}

/** The page as SQL, for `selectPages`. */
export function taskPageSql({ list, order, after, limit }: TaskPageQuery): SQL {
  const byPriority = order.field === TaskOrderField.PRIORITY;
  const column = byPriority ? sql`${tasks.priority}` : sql`${tasks.createdAt}`;
  const descending = order.direction === OrderDirection.DESC;
  const direction = sql.raw(descending ? 'desc' : 'asc');
  const [value, id] = after ?? [];
  const onwards =
    value !== undefined && id !== undefined
      ? sql` and (${column}, ${tasks.id}) ${sql.raw(descending ? '<' : '>')}
          (${value}::${sql.raw(byPriority ? taskPriority.enumName : 'timestamptz')}, ${toUuid(id as TaskId)}::uuid)`
      : sql``;
  const shown = byPriority ? sql`${column}::text` : isoText(column);
  const sorted = sql`${column} ${direction}, ${tasks.id} ${direction}`;
  return sql`
    select ${tasks.id} as id, array[${shown}] as sort, row_number() over (order by ${sorted}) as place
    from ${tasks} where ${taskListWhere(list)}${onwards} order by ${sorted} limit ${limit + 1}`;
}
