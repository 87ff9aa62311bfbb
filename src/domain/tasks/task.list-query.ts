/**
 * A task list in normal form: projects, condition and order. Lists are cached by their normal form, so equal queries
 * share an entry. The row sets that a list depends on are in task.list-tags.ts.
 */
import { type SQL, sql } from 'drizzle-orm';
import { isInstant, isoText } from '../../db/columns.js';
import { isId, type ProjectId, type TaskId, toUuid, type UserId } from '../../db/ids.js';
import { behindSql, orderBySql, type Place, placeSql, reversed, type SortColumn } from '../../db/page-sql.js';
import type { Tag } from '../../engine/cache/index.js';
import { badUserInput } from '../../graphql/errors.js';
import type { PageQuery } from '../../graphql/page.js';
import { isStorable } from '../../std/text.js';
import { rankedWordsSql } from './search-query.js';
import { isSortKey } from './sort-key.js';
import { assigneePlaces, type Column, type Condition, conditionSql, conjuncts, isOneOf } from './task.condition.js';
import {
  MAX_ORDERS,
  MAX_RANKED,
  OrderDirection,
  OrderNulls,
  type TaskOrder,
  TaskOrderField,
} from './task.filter-inputs.js';
import { MANUAL_ORDER, taskPriority, taskRows, taskStatus, tasks } from './task.table.js';
import { taskDocuments } from './task-document.table.js';

export interface TaskList {
  /** Only projects that the viewer can see. */
  readonly projectIds: readonly ProjectId[];
  readonly where: Condition;
}

/** At least one. Ties are broken by id, in the direction of the last field. */
export type TaskListOrder = readonly {
  /** `RANK`: how well a task matches the searches of the list. It occurs in `BEST_MATCH_FIRST` only. */
  readonly field: TaskOrderField | 'RANK';
  readonly descending: boolean;
  /** Absent for fields that are never null. */
  readonly nulls?: 'first' | 'last';
}[];

export interface TaskPageQuery extends PageQuery {
  readonly list: TaskList;
  readonly order: TaskListOrder;
}

export const BEST_MATCH_FIRST: TaskListOrder = [
  { field: 'RANK', descending: true },
  { field: TaskOrderField.CREATED_AT, descending: true },
];

/** The sort fields: the column, and a check whether a text is one of its values. */
const FIELDS: Record<
  TaskListOrder[number]['field'],
  Omit<SortColumn, 'descending'> & { readonly isValue: (text: string) => boolean }
> = {
  CREATED_AT: instantField(sql`${tasks.createdAt}`),
  UPDATED_AT: instantField(sql`${tasks.updatedAt}`),
  COMPLETED_AT: { ...instantField(sql`${tasks.completedAt}`), nulls: 'last' },
  DUE_DATE: { column: sql`${tasks.dueDate}`, type: 'date', nulls: 'last', isValue: (text) => isDay(text) },
  START_DATE: { column: sql`${tasks.startDate}`, type: 'date', nulls: 'last', isValue: (text) => isDay(text) },
  ESTIMATE: { column: sql`${tasks.estimate}`, type: 'int', nulls: 'last', isValue: (text) => /^\d{1,4}$/.test(text) },
  PRIORITY: enumField(sql`${tasks.priority}`, taskPriority),
  STATUS: enumField(sql`${tasks.status}`, taskStatus),
  TITLE: { column: sql`${tasks.title} collate "C"`, type: 'text', isValue: isStorable },
  MANUAL: { column: MANUAL_ORDER, type: 'text', isValue: isSortKey },
  RANK: { column: sql`found.rank`, type: 'int', isValue: (text) => /^\d{1,9}$/.test(text) },
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

/**
 * @param isSearch whether the list's filter has a search that every task must match
 * @throws BAD_USER_INPUT
 */
export function taskOrder(orderBy: readonly TaskOrder[] | null | undefined, isSearch: boolean): TaskListOrder {
  if (!orderBy || orderBy.length === 0) {
    return isSearch ? BEST_MATCH_FIRST : [{ field: TaskOrderField.CREATED_AT, descending: true }];
  }
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

/** The fields that have an index within a project. */
const INDEXED = [TaskOrderField.CREATED_AT, TaskOrderField.UPDATED_AT, TaskOrderField.PRIORITY, TaskOrderField.MANUAL];

/** Whether an index gives the page as it is, however many tasks there are. */
export function isQuick({ list, order }: TaskPageQuery): boolean {
  const [first] = order;
  return (
    list.projectIds.length === 1 &&
    conjuncts(list.where).length === 0 &&
    order.length === 1 &&
    INDEXED.includes(first?.field as TaskOrderField)
  );
}

/** The values that a condition requires a column to equal; undefined if it requires anything else. */
function equalities(condition: Condition, column: Column): readonly string[] | undefined {
  return 'in' in condition && condition.column === column && !condition.in.includes(null)
    ? (condition.in as readonly string[])
    : undefined;
}

export type RowSet<I> = (id: I) => readonly Tag[];

/** Row sets that a condition can name, narrowest first. */
const NARROW = [
  ['id', taskRows.byId],
  ['parentId', taskRows.byParent],
  ['assigneeId', taskRows.byAssignee],
  ['assignees', taskRows.byAssignee],
  ['creatorId', taskRows.byCreator],
] as const satisfies readonly (readonly [Column | 'assignees', RowSet<never>])[];

export interface Narrow {
  readonly column: (typeof NARROW)[number][0];
  readonly condition: Condition;
  readonly ids: readonly string[];
  readonly rows: RowSet<string>;
}

export function narrow({ where }: TaskList): Narrow | undefined {
  for (const [column, rows] of NARROW) {
    for (const condition of conjuncts(where)) {
      const ids = column === 'assignees' ? someOf(condition) : equalities(condition, column);
      if (ids !== undefined) return { column, condition, ids, rows: rows as RowSet<string> };
    }
  }
  return undefined;
}

/** The users of whom a condition requires one to be an assignee. */
function someOf(condition: Condition): readonly UserId[] | undefined {
  if (!('assignees' in condition) || condition.assignees !== 'some' || condition.ids === 'any') return undefined;
  return condition.ids;
}

/** Whether its tasks are found by something narrower than their projects, however many projects there are. */
export function isNarrow(list: TaskList): boolean {
  return narrow(list) !== undefined;
}

export function taskListWhere({ projectIds, where }: TaskList): SQL {
  return sql`${isOneOf(sql`${tasks.projectId}`, projectIds.map(toUuid), 'uuid')} and ${conditionSql(where)}`;
}

/** The SQL of a page, for `selectPages`. */
export function taskPageSql(query: TaskPageQuery): SQL {
  const { list, order } = query;
  if (order[0]?.field === 'RANK') return rankedPageSql(query);
  const found = narrow(list);
  if (found?.column === 'assignees' && found.ids.length === 1) return pageOfAssigneeSql(query, found);
  const inProjects = isOneOf(sql`${tasks.projectId}`, list.projectIds.map(toUuid), 'uuid');
  if (list.projectIds.length === 1 || found !== undefined || hasSearch(list)) {
    const { id, sort, where, sorted, wanted } = pageParts(query);
    return sql`
      select ${id}, ${sort}, row_number() over (order by ${sorted}) as place
      from ${tasks} where ${inProjects} and ${where} order by ${sorted} limit ${wanted}`;
  }
  // Reads the first rows of each project by its index, then the first of those: no index has all projects in one order.
  return firstOfSql(query, (firstRows) => {
    const uuids = `{${list.projectIds.map(toUuid).join(',')}}`;
    return sql`unnest(${uuids}::uuid[]) as project(id), lateral (${firstRows(sql`${tasks.projectId} = project.id`)}) as part`;
  });
}

/** The same for the tasks of one assignee: two indexes find those who have the user first, and the others. */
function pageOfAssigneeSql(query: TaskPageQuery, { condition, ids }: Narrow): SQL {
  const { list } = query;
  const { first, other } = assigneePlaces(ids as readonly UserId[]);
  const inProjects = isOneOf(sql`${tasks.projectId}`, list.projectIds.map(toUuid), 'uuid');
  const where = { all: conjuncts(list.where).filter((one) => one !== condition) };
  return firstOfSql({ ...query, list: { ...list, where } }, (firstRows) => {
    const [firsts, others] = [first, other].map((place) => firstRows(sql`${inProjects} and ${place}`));
    return sql`((${firsts}) union all (${others})) as part`;
  });
}

/** A page from the first rows of several parts of its list. @param parts a part named `part` of `id`, `sort` and keys */
function firstOfSql(query: TaskPageQuery, parts: (firstRows: (of: SQL) => SQL) => SQL): SQL {
  const { id, sort, columns, where, sorted, wanted } = pageParts(query);
  const keys = columns.map(({ column }, i) => sql`${column} as ${sql.raw(`k${i}`)}`);
  const outer = orderBySql(columns, (_, i) => sql.raw(`part.k${i}`));
  const firstRows = (of: SQL) => sql`
      select ${id}, ${sort}, ${sql.join(keys, sql`, `)}
      from ${tasks} where ${of} and ${where} order by ${sorted} limit ${wanted}`;
  return sql`
    select part.id, part.sort, row_number() over (order by ${outer}) as place
    from ${parts(firstRows)} order by ${outer} limit ${wanted}`;
}

function pageParts(query: TaskPageQuery) {
  const { list, order, limit, backward } = query;
  const forward = sortColumns(order);
  const columns = backward ? reversed(forward) : forward;
  return {
    id: sql`${tasks.id} as id`,
    sort: sql`${placeSql(forward.slice(0, -1))} as sort`,
    columns,
    where: sql.join([conditionSql(list.where), ...betweenSql(query, forward)], sql` and `),
    sorted: orderBySql(columns),
    wanted: limit + 1,
  };
}

const BY_RANK: readonly SortColumn[] = [
  { column: sql`found.rank`, type: 'int', descending: true },
  { column: sql`found.created_at`, type: 'timestamptz', descending: true, text: isoText(sql`found.created_at`) },
  { column: sql`found.id`, type: 'uuid', descending: true },
];

/** Ranks are integers, so that a position in the list compares exactly. */
function rankedPageSql(query: TaskPageQuery): SQL {
  const { list, limit, backward } = query;
  const sorted = orderBySql(backward ? reversed(BY_RANK) : BY_RANK);
  const words = rankedWordsSql(searchesOf(list));
  return sql`
    select found.id, ${placeSql(BY_RANK.slice(0, -1))} as sort, row_number() over (order by ${sorted}) as place
    from (
      select newest.id, newest.created_at, (ts_rank(${taskDocuments.words}, ${words}) * 1000000)::int as rank
      from (
        select ${tasks.id} as id, ${tasks.createdAt} as created_at from ${tasks} where ${taskListWhere(list)}
        order by ${tasks.createdAt} desc, ${tasks.id} desc limit ${sql.raw(String(MAX_RANKED))}
      ) as newest join ${taskDocuments} on ${taskDocuments.taskId} = newest.id
    ) as found
    where ${sql.join([sql`true`, ...betweenSql(query, BY_RANK)], sql` and `)} order by ${sorted} limit ${limit + 1}`;
}

/** The conditions of the positions that the page is between. */
function betweenSql({ after, before }: TaskPageQuery, forward: readonly SortColumn[]): SQL[] {
  return [
    ...(after === null ? [] : [behindSql(forward, uuidPlace(after))]),
    ...(before === null ? [] : [behindSql(reversed(forward), uuidPlace(before))]),
  ];
}

/** The searches that every task of the list matches. */
function searchesOf({ where }: TaskList): string[] {
  return conjuncts(where).flatMap((condition) => ('search' in condition ? [condition.search] : []));
}

function hasSearch(list: TaskList): boolean {
  return searchesOf(list).length > 0;
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
