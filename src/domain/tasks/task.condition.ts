/**
 * Conditions on tasks in normal form, made from filters and compiled to SQL. Two-valued logic: a comparison with a
 * missing value is false, and its negation is true.
 */
import { type SQL, sql } from 'drizzle-orm';
import { type LabelId, type ProjectId, toUuid, type UserId } from '../../db/ids.js';
import { searchSql } from './search-query.js';
import type { PartialMatch } from './task.comparators.js';
import { MANUAL_ORDER, taskLabels, taskPriority, taskStatus, tasks } from './task.table.js';
import { taskDocuments } from './task-document.table.js';
import { taskRelations } from './task-relation.table.js';

/** Columns that can be compared, with their Postgres types. `id`: the values are global ids. */
const COLUMNS = {
  id: { sql: sql`${tasks.id}`, type: 'uuid', id: true },
  projectId: { sql: sql`${tasks.projectId}`, type: 'uuid', id: true },
  parentId: { sql: sql`${tasks.parentId}`, type: 'uuid', id: true },
  assigneeId: { sql: sql`${tasks.assigneeId}`, type: 'uuid', id: true },
  creatorId: { sql: sql`${tasks.creatorId}`, type: 'uuid', id: true },
  number: { sql: sql`${tasks.number}`, type: 'int', id: false },
  title: { sql: sql`${tasks.title}`, type: 'text', id: false },
  description: { sql: sql`${tasks.description}`, type: 'text', id: false },
  status: { sql: sql`${tasks.status}`, type: taskStatus.enumName, id: false },
  priority: { sql: sql`${tasks.priority}`, type: taskPriority.enumName, id: false },
  dueDate: { sql: sql`${tasks.dueDate}`, type: 'date', id: false },
  startDate: { sql: sql`${tasks.startDate}`, type: 'date', id: false },
  estimate: { sql: sql`${tasks.estimate}`, type: 'int', id: false },
  createdAt: { sql: sql`${tasks.createdAt}`, type: 'timestamptz', id: false },
  updatedAt: { sql: sql`${tasks.updatedAt}`, type: 'timestamptz', id: false },
  completedAt: { sql: sql`${tasks.completedAt}`, type: 'timestamptz', id: false },
  sortOrder: { sql: MANUAL_ORDER, type: 'text', id: false },
} as const;

export type Column = keyof typeof COLUMNS;
export type Comparison = '>' | '>=' | '<' | '<=';

/** Plain data: equal conditions have equal JSON. Built by the functions below. */
export type Condition =
  | { readonly all: readonly Condition[] }
  | { readonly any: readonly Condition[] }
  | { readonly not: Condition }
  /** Sorted, without duplicates, at least one; null matches a missing value. */
  | { readonly column: Column; readonly in: readonly (string | null)[] }
  | { readonly column: Column; readonly is: Comparison; readonly value: string }
  | { readonly column: Column; readonly like: PartialMatch; readonly value: string }
  /** `some`: has at least one of these labels; `only`: has no other labels. */
  | { readonly labels: 'some' | 'only'; readonly ids: readonly LabelId[] | 'any' }
  /** Blocked by an open task: for each project of the list, the projects whose tasks count. Not empty, sorted. */
  | { readonly blocked: BlockingProjects }
  /** `some`: has at least one of these assignees; `only`: has no other assignees. */
  | { readonly assignees: 'some' | 'only'; readonly ids: readonly UserId[] | 'any' }
  | { readonly search: string };

export type BlockingProjects = readonly (readonly [ProjectId, readonly ProjectId[]])[];

export const TRUE: Condition = { all: [] };
export const FALSE: Condition = { any: [] };

export function all(conditions: readonly Condition[]): Condition {
  const flat = conditions.flatMap((condition) => ('all' in condition ? condition.all : [condition]));
  return joined(flat, FALSE, (parts) => ({ all: parts }));
}

export function any(conditions: readonly Condition[]): Condition {
  const flat = conditions.flatMap((condition) => ('any' in condition ? condition.any : [condition]));
  return joined(flat, TRUE, (parts) => ({ any: parts }));
}

export function not(condition: Condition): Condition {
  if (same(condition, TRUE)) return FALSE;
  if (same(condition, FALSE)) return TRUE;
  return 'not' in condition ? condition.not : { not: condition };
}

export function oneOf(column: Column, values: readonly (string | null)[]): Condition {
  if (values.length === 0) return FALSE;
  return { column, in: [...new Set(values)].sort() };
}

/** The values of which a condition requires one; undefined if it requires anything else. */
export function valuesOf(condition: Condition): readonly (string | null)[] | undefined {
  if ('in' in condition) return condition.in;
  return same(condition, FALSE) ? [] : undefined;
}

/**
 * All conditions of one comparator. Two lists of values of its column that exclude each other match nothing. This is
 * detected here, so nothing is read for it.
 */
export function together(conditions: readonly Condition[]): Condition {
  const sets = conditions.flatMap((condition) => ('in' in condition ? [condition] : []));
  const [first, second] = sets;
  if (first === undefined || second === undefined) return all(conditions);
  const common = oneOf(
    first.column,
    first.in.filter((value) => second.in.includes(value)),
  );
  return all([common, ...conditions.filter((condition) => !('in' in condition))]);
}

/** Has at least one of these labels. */
export function someLabel(ids: readonly LabelId[] | 'any'): Condition {
  if (ids === 'any') return { labels: 'some', ids };
  return ids.length === 0 ? FALSE : { labels: 'some', ids: [...new Set(ids)].sort() };
}

/** Has no labels other than these. */
export function onlyLabels(ids: readonly LabelId[] | 'any'): Condition {
  return ids === 'any' ? TRUE : { labels: 'only', ids: [...new Set(ids)].sort() };
}

/** Blocked by an open task of certain projects. */
export function blockedBy(blocking: BlockingProjects): Condition {
  const some = blocking.filter(([, projectIds]) => projectIds.length > 0);
  return some.length === 0 ? FALSE : { blocked: some.sort(([a], [b]) => (a < b ? -1 : 1)) };
}

/** `blockedBy` of a list whose projects are not yet known. */
export const BLOCKED: Condition = { blocked: [] };

/** The condition with another one in place of BLOCKED. */
export function withBlocked(condition: Condition, blocked: Condition): Condition {
  if ('blocked' in condition) return blocked;
  if ('not' in condition) return not(withBlocked(condition.not, blocked));
  if ('all' in condition) return all(condition.all.map((part) => withBlocked(part, blocked)));
  return 'any' in condition ? any(condition.any.map((part) => withBlocked(part, blocked))) : condition;
}

/** Has at least one of these assignees. */
export function someAssignee(ids: readonly UserId[] | 'any'): Condition {
  if (ids === 'any') return { assignees: 'some', ids };
  return ids.length === 0 ? FALSE : { assignees: 'some', ids: [...new Set(ids)].sort() };
}

/** Has no assignees other than these. */
export function onlyAssignees(ids: readonly UserId[] | 'any'): Condition {
  return ids === 'any' ? TRUE : { assignees: 'only', ids: [...new Set(ids)].sort() };
}

/** Sorted and without duplicates. If `absorbing` is among them, the result is `absorbing`. */
function joined(
  conditions: readonly Condition[],
  absorbing: Condition,
  join: (parts: readonly Condition[]) => Condition,
): Condition {
  if (conditions.some((condition) => same(condition, absorbing))) return absorbing;
  const byText = new Map(conditions.map((condition) => [JSON.stringify(condition), condition]));
  const parts = [...byText].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, condition]) => condition);
  return parts.length === 1 ? (parts[0] as Condition) : join(parts);
}

function same(a: Condition, b: Condition): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** The conditions that must all hold. */
export function conjuncts(condition: Condition): readonly Condition[] {
  return 'all' in condition ? condition.all : [condition];
}

/** All comparisons of a condition, at any depth. */
export function parts(condition: Condition): readonly Condition[] {
  if ('all' in condition) return condition.all.flatMap(parts);
  if ('any' in condition) return condition.any.flatMap(parts);
  return 'not' in condition ? parts(condition.not) : [condition];
}

export function conditionSql(condition: Condition): SQL {
  if ('all' in condition) return joinedSql(condition.all, sql` and `, sql`true`);
  if ('any' in condition) return joinedSql(condition.any, sql` or `, sql`false`);
  if ('not' in condition) return notSql(condition.not);
  if ('in' in condition) return inSql(condition);
  if ('is' in condition) {
    const { sql: column, type } = COLUMNS[condition.column];
    return sql`${column} ${sql.raw(condition.is)} ${condition.value}::${sql.raw(type)}`;
  }
  if ('like' in condition) return likeSql(condition);
  if ('labels' in condition) return labelsSql(condition);
  if ('blocked' in condition) return blockedSql(condition);
  if ('assignees' in condition) return assigneesSql(condition);
  return sql`exists (
    select from ${taskDocuments}
    where ${taskDocuments.taskId} = ${tasks.id} and ${taskDocuments.words} @@ ${searchSql(condition.search)})`;
}

/** The statuses are looked up one by one: joined, Postgres would read all tasks of the installation for them. */
function blockedSql({ blocked }: { blocked: BlockingProjects }): SQL {
  const ids = blocked.flatMap(([id, blocking]) => blocking.map(() => toUuid(id)));
  const blockingIds = blocked.flatMap(([, blocking]) => blocking.map(toUuid));
  const { taskId, relatedTaskId, projectId, blockedProjectId } = taskRelations;
  return sql`exists (
    select from ${taskRelations}
    where ${relatedTaskId} = ${tasks.id} and ${isOneOf(sql`${blockedProjectId}`, [...new Set(ids)], 'uuid')}
      and (${blockedProjectId}, ${projectId}) in (
        select * from unnest(${arrayLiteral(ids)}::uuid[], ${arrayLiteral(blockingIds)}::uuid[]))
      and (select blocker.status from ${tasks} as blocker where blocker.id = ${taskId}) not in ('DONE', 'CANCELED'))`;
}

function notSql(condition: Condition): SQL {
  // Never null, and in this form Postgres can read the documents that match once, instead of each task's.
  if ('search' in condition) return sql`not ${conditionSql(condition)}`;
  return sql`(${conditionSql(condition)}) is not true`;
}

function joinedSql(conditions: readonly Condition[], by: SQL, empty: SQL): SQL {
  return conditions.length === 0 ? empty : sql`(${sql.join(conditions.map(conditionSql), by)})`;
}

function likeSql({ column, like, value }: { column: Column; like: PartialMatch; value: string }): SQL {
  const operator = sql.raw(like.endsWith('IgnoreCase') ? 'ilike' : 'like');
  const text = value.replaceAll(/[\\%_]/g, '\\$&');
  return sql`${COLUMNS[column].sql} ${operator} ${like.startsWith('contains') ? `%${text}%` : `${text}%`}`;
}

function inSql({ column: name, in: values }: { column: Column; in: readonly (string | null)[] }): SQL {
  const { sql: column, type, id } = COLUMNS[name];
  const present = values.filter((value) => value !== null);
  const among = isOneOf(column, id ? present.map((value) => toUuid(value as LabelId)) : present, type);
  if (present.length === values.length) return among;
  return present.length === 0 ? sql`${column} is null` : sql`(${among} or ${column} is null)`;
}

function labelsSql({ labels, ids }: { labels: 'some' | 'only'; ids: readonly LabelId[] | 'any' }): SQL {
  const uuids = ids === 'any' ? [] : ids.map(toUuid);
  const matching = isOneOf(sql`${taskLabels.labelId}`, uuids, 'uuid');
  const which = ids === 'any' ? sql`` : labels === 'some' ? sql` and ${matching}` : sql` and not (${matching})`;
  const exists = sql`exists (select from ${taskLabels} where ${taskLabels.taskId} = ${tasks.id}${which})`;
  return labels === 'some' ? exists : sql`not ${exists}`;
}

function assigneesSql({ assignees, ids }: { assignees: 'some' | 'only'; ids: readonly UserId[] | 'any' }): SQL {
  // A task without a first assignee has no others.
  if (ids === 'any') return assignees === 'some' ? sql`${tasks.assigneeId} is not null` : sql`true`;
  if (assignees === 'some') return hasAssigneeSql(ids);
  const isFirst = isOneOf(sql`${tasks.assigneeId}`, ids.map(toUuid), 'uuid');
  return sql`((${tasks.assigneeId} is null or ${isFirst})
    and ${tasks.otherAssigneeIds} <@ ${arrayLiteral(ids.map(toUuid))}::uuid[])`;
}

/** Whether one of these users is an assignee. */
export function hasAssigneeSql(ids: readonly UserId[]): SQL {
  const { first, other } = assigneePlaces(ids);
  return sql`(${first} or ${other})`;
}

/** Whether one of these users is the first assignee, or another one. Each has an index; the second repeats its condition. */
export function assigneePlaces(ids: readonly UserId[]): { readonly first: SQL; readonly other: SQL } {
  const uuids = ids.map(toUuid);
  return {
    first: isOneOf(sql`${tasks.assigneeId}`, uuids, 'uuid'),
    other: sql`(${tasks.otherAssigneeIds} <> '{}' and ${tasks.otherAssigneeIds} && ${arrayLiteral(uuids)}::uuid[])`,
  };
}

/** Uses `=` for one value, so that an index on the column also provides the order. */
export function isOneOf(column: SQL, values: readonly string[], type: string): SQL {
  if (values.length === 1) return sql`${column} = ${values[0]}::${sql.raw(type)}`;
  return sql`${column} = any(${arrayLiteral(values)}::${sql.raw(type)}[])`;
}

/** Passed as one parameter: the statement's text does not depend on the number of values. */
function arrayLiteral(values: readonly string[]): string {
  return `{${values.map((value) => `"${value.replaceAll(/["\\]/g, '\\$&')}"`).join(',')}}`;
}
