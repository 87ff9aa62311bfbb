/**
 * A task list in normal form: projects, condition and order. Lists are cached by their normal form, so equal queries
 * share an entry. It also determines the row sets the list depends on: the narrowest that contain every row that could
 * enter or leave the list.
 */
import { type SQL, sql } from 'drizzle-orm';
import { isInstant, isoText } from '../../db/columns.js';
import { isId, type ProjectId, type TaskId, toUuid, type UserId } from '../../db/ids.js';
import { behindSql, orderBySql, type Place, placeSql, reversed, type SortColumn } from '../../db/page-sql.js';
import { MAX_TAGS, type Tag } from '../../engine/cache/index.js';
import { badUserInput } from '../../graphql/errors.js';
import type { PageQuery } from '../../graphql/page.js';
import { isStorable } from '../../std/text.js';
import { type Column, type Condition, conditionSql, conjuncts, isOneOf, parts } from './task.condition.js';
import { MAX_ORDERS, OrderDirection, OrderNulls, type TaskOrder, TaskOrderField } from './task.filter-inputs.js';
import { taskLabelRows, taskPriority, taskRows, taskStatus, tasks } from './task.table.js';

export interface TaskList {
  /** Only projects that the viewer can see. */
  readonly projectIds: readonly ProjectId[];
  readonly where: Condition;
}

/** At least one. Ties are broken by id, in the direction of the last field. */
export type TaskListOrder = readonly {
  readonly field: TaskOrderField;
  readonly descending: boolean;
  /** Absent for fields that are never null. */
  readonly nulls?: 'first' | 'last';
}[];

export interface TaskPageQuery extends PageQuery {
  readonly list: TaskList;
  readonly order: TaskListOrder;
}

/** The sort fields: the column, and a check whether a text is one of its values. */
const FIELDS: Record<TaskOrderField, Omit<SortColumn, 'descending'> & { readonly isValue: (text: string) => boolean }> =
  {
    CREATED_AT: instantField(sql`${tasks.createdAt}`),
    UPDATED_AT: instantField(sql`${tasks.updatedAt}`),
    COMPLETED_AT: { ...instantField(sql`${tasks.completedAt}`), nulls: 'last' },
    DUE_DATE: { column: sql`${tasks.dueDate}`, type: 'date', nulls: 'last', isValue: (text) => isDay(text) },
    PRIORITY: enumField(sql`${tasks.priority}`, taskPriority),
    STATUS: enumField(sql`${tasks.status}`, taskStatus),
    TITLE: { column: sql`${tasks.title} collate "C"`, type: 'text', isValue: isStorable },
  };

function instantField(column: SQL) {
  return { column, type: 'timestamptz', text: isoText(column), isValue: isInstant };
}

function enumField(column: SQL, { enumName, enumValues }: { enumName: string; enumValues: readonly string[] }) {
  return { column, type: enumName, isValue: (text: string) => enumValues.includes(text) };
}

/** Whether a text is a day within the range of Postgres, such as `2026-01-31`. */
export function isDay(text: string): boolean {
  return /^\d{4}-\d\d-\d\d$/.test(text) && isInstant(`${text}T00:00:00.000Z`);
}

/** @throws BAD_USER_INPUT */
export function taskOrder(orderBy: readonly TaskOrder[] | null | undefined): TaskListOrder {
  if (!orderBy || orderBy.length === 0) return [{ field: TaskOrderField.CREATED_AT, descending: true }];
  if (orderBy.length > MAX_ORDERS) throw badUserInput('orderBy', `expected at most ${MAX_ORDERS} sort criteria`);
  if (new Set(orderBy.map(({ field }) => field)).size < orderBy.length) {
    throw badUserInput('orderBy', 'expected each field only once');
  }
  return orderBy.map(({ field, direction, nulls }) => ({
    field,
    descending: direction !== OrderDirection.ASC,
    ...(FIELDS[field].nulls && { nulls: nulls === OrderNulls.FIRST ? ('first' as const) : ('last' as const) }),
  }));
}

/** Whether the values of a cursor are a position in this order. */
export function isTaskPlace(order: TaskListOrder, place: Place): boolean {
  return (
    place.length === order.length + 1 &&
    isId('task', place.at(-1) ?? '') &&
    order.every(({ field, nulls }, i) => {
      const value = place[i] ?? null;
      return value === null ? nulls !== undefined : FIELDS[field].isValue(value);
    })
  );
}

/** A list of tasks in these projects. A condition on the project narrows them. */
export function taskListWithin(projectIds: readonly ProjectId[], where: Condition): TaskList {
  const rest: Condition[] = [];
  let ids = projectIds;
  for (const condition of conjuncts(where)) {
    const among = equalities(condition, 'projectId') as readonly ProjectId[] | undefined;
    if (among === undefined) rest.push(condition);
    else ids = ids.filter((id) => among.includes(id));
  }
  return { projectIds: ids, where: rest.length === 1 ? (rest[0] as Condition) : { all: rest } };
}

/** True if no task can match, whatever the tables contain: nothing needs to be read. */
export function isEmptyList({ projectIds, where }: TaskList): boolean {
  return (
    projectIds.length === 0 || conjuncts(where).some((condition) => 'any' in condition && condition.any.length === 0)
  );
}

/** The values that a condition requires a column to equal; undefined if it requires anything else. */
function equalities(condition: Condition, column: Column): readonly string[] | undefined {
  return 'in' in condition && condition.column === column && !condition.in.includes(null)
    ? (condition.in as readonly string[])
    : undefined;
}

/** Row-sets that a condition can name, narrowest first. */
const NARROW = [
  ['id', (id) => taskRows.byId(id as TaskId)],
  ['parentId', (id) => taskRows.byParent(id as TaskId)],
  ['assigneeId', (id) => taskRows.byAssignee(id as UserId)],
  ['creatorId', (id) => taskRows.byCreator(id as UserId)],
] as const satisfies readonly (readonly [Column, (id: string) => readonly Tag[]])[];

function narrow({ where }: TaskList): { column: Column; tags: readonly Tag[] } | undefined {
  for (const [column, tagsOf] of NARROW) {
    for (const condition of conjuncts(where)) {
      const ids = equalities(condition, column);
      if (ids !== undefined) return { column, tags: ids.flatMap((id) => tagsOf(id)) };
    }
  }
  return undefined;
}

/** Whether its tasks are found by something narrower than their projects, however many projects there are. */
export function isNarrow(list: TaskList): boolean {
  return narrow(list) !== undefined;
}

/** Columns that row sets by project, assignee and so on do not watch. */
const UNFOLLOWED = new Set<Column>(['title', 'description', 'updatedAt']);
const UNFOLLOWED_FIELDS = new Set([TaskOrderField.TITLE, TaskOrderField.UPDATED_AT]);

export function taskListTags(list: TaskList, order: TaskListOrder = []): Tag[] {
  const all = parts(list.where);
  const unfollowed =
    all.some((part) => 'search' in part || ('column' in part && UNFOLLOWED.has(part.column))) ||
    order.some(({ field }) => UNFOLLOWED_FIELDS.has(field));
  const narrowest = narrow(list);
  // Lists with more tags are never stored.
  const projectIds = list.projectIds.slice(0, MAX_TAGS + 1);
  const rows =
    narrowest?.column === 'id' || (narrowest !== undefined && !unfollowed)
      ? narrowest.tags
      : projectIds.flatMap((id) => (unfollowed ? taskRows.anyByProject(id) : taskRows.byProject(id)));
  const labels = all.flatMap((part) => {
    if (!('labels' in part)) return [];
    if (part.labels === 'some' && part.ids !== 'any') return part.ids.flatMap((id) => taskLabelRows.byLabel(id));
    return projectIds.flatMap((id) => taskLabelRows.byProject(id));
  });
  return [...new Set([...rows, ...labels])];
}

export function taskListWhere({ projectIds, where }: TaskList): SQL {
  return sql`${isOneOf(sql`${tasks.projectId}`, projectIds.map(toUuid), 'uuid')} and ${conditionSql(where)}`;
}

/** The SQL of a page, for `selectPages`. */
export function taskPageSql({ list, order, limit, backward, after, before }: TaskPageQuery): SQL {
  const forward = sortColumns(order);
  const columns = backward ? reversed(forward) : forward;
  const conditions = [
    conditionSql(list.where),
    ...(after === null ? [] : [behindSql(forward, uuidPlace(after))]),
    ...(before === null ? [] : [behindSql(reversed(forward), uuidPlace(before))]),
  ];
  const where = sql.join(conditions, sql` and `);
  const sorted = orderBySql(columns);
  const wanted = limit + 1;
  if (list.projectIds.length === 1 || narrow(list) !== undefined || hasSearch(list)) {
    return sql`
      select ${tasks.id} as id, ${placeSql(forward.slice(0, -1))} as sort, row_number() over (order by ${sorted}) as place
      from ${tasks} where ${isOneOf(sql`${tasks.projectId}`, list.projectIds.map(toUuid), 'uuid')} and ${where}
      order by ${sorted} limit ${wanted}`;
  }
  // Reads the first rows of each project by its index, then the first of those: no index has all projects in one order.
  const keys = columns.map(({ column }, i) => sql`${column} as ${sql.raw(`k${i}`)}`);
  const outer = orderBySql(columns, (_, i) => sql.raw(`of_project.k${i}`));
  return sql`
    select of_project.id, of_project.sort, row_number() over (order by ${outer}) as place
    from unnest(${`{${list.projectIds.map(toUuid).join(',')}}`}::uuid[]) as project(id), lateral (
      select ${tasks.id} as id, ${placeSql(forward.slice(0, -1))} as sort, ${sql.join(keys, sql`, `)}
      from ${tasks} where ${tasks.projectId} = project.id and ${where} order by ${sorted} limit ${wanted}
    ) as of_project
    order by ${outer} limit ${wanted}`;
}

function hasSearch({ where }: TaskList): boolean {
  return conjuncts(where).some((condition) => 'search' in condition);
}

function sortColumns(order: TaskListOrder): SortColumn[] {
  const columns = order.map(({ field, descending, nulls }) => {
    const { isValue, nulls: _, ...column } = FIELDS[field];
    return { ...column, descending, ...(nulls && { nulls }) };
  });
  return [...columns, { column: sql`${tasks.id}`, type: 'uuid', descending: columns.at(-1)?.descending === true }];
}

/** Positions contain global task ids; Postgres needs UUIDs. */
function uuidPlace(place: Place): Place {
  return [...place.slice(0, -1), toUuid(place.at(-1) as TaskId)];
}
