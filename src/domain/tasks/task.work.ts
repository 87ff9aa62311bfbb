/**
 * Estimates the work a list's filter causes in Postgres. Most comparisons cost next to nothing. Text is compared row by
 * row, because no index covers what a description contains, and a long text costs as much as a thousand numbers.
 * Postgres estimates the number of rows before the list is read. A list that would exceed the time limit of a read is
 * refused with advice rather than cancelled half-way.
 */
import { sql } from 'drizzle-orm';
import { GraphQLError } from 'graphql';
import { MAX_TAGS } from '../../engine/cache/index.js';
import type { Executor } from '../../engine/postgres/index.js';
import { type Condition, conjuncts, parts } from './task.condition.js';
import { isEmptyList, isNarrow, type TaskList, taskListWhere } from './task.list-query.js';
import { tasks } from './task.table.js';

/**
 * Measured in µs per row: with descriptions of 1,400 characters, and with documents of 50 words, which a search reads task
 * by task where it is one of several alternatives.
 */
const MICROSECONDS = { description: 30, title: 1, search: 20 } as const;
/** Half the time limit of a read: estimates can be wrong by a factor of two. */
const MAX_MICROSECONDS = 5_000_000;

/**
 * Whether the list may be expensive for Postgres: its filter searches text, or it covers too many projects to be
 * cached.
 */
export function isHeavy(list: TaskList): boolean {
  if (list.projectIds.length > MAX_TAGS && !isNarrow(list)) return true;
  return parts(list.where).some((part) => 'like' in part || 'search' in part);
}

/** µs for each row that the other comparisons leave. */
function workPerRow(condition: Condition): number {
  // Uses its index, unless it is one of several alternatives.
  if ('search' in condition) return 0;
  return parts(condition).reduce((sum, part) => {
    if ('search' in part) return sum + MICROSECONDS.search;
    if (!('like' in part)) return sum;
    return sum + (part.column === 'description' ? MICROSECONDS.description : MICROSECONDS.title);
  }, 0);
}

/** @throws QUERY_TOO_EXPENSIVE if comparing the texts would exceed the time limit of a read */
export async function requireWithinReach(db: Executor, list: TaskList): Promise<void> {
  if (isEmptyList(list)) return;
  const all = conjuncts(list.where);
  const perRow = all.reduce((sum, condition) => sum + workPerRow(condition), 0);
  if (perRow === 0) return;
  const rest = { ...list, where: { all: all.filter((condition) => workPerRow(condition) === 0) } };
  const [row] = await db.execute<{ 'QUERY PLAN': [{ Plan: { 'Plan Rows': number } }] }>(
    sql`explain (format json) select from ${tasks} where ${taskListWhere(rest)}`,
  );
  const rows = row?.['QUERY PLAN'][0].Plan['Plan Rows'] ?? 0;
  if (rows * perRow > MAX_MICROSECONDS) throw tooManyTexts(rows, Math.floor(MAX_MICROSECONDS / perRow));
}

function tooManyTexts(rows: number, limit: number): GraphQLError {
  const message =
    `filter: the text search would scan about ${rows} tasks; the limit is ${limit}. ` +
    'Narrow it by project, assignee, status or time, use fewer texts, or use search.';
  return new GraphQLError(message, { extensions: { code: 'QUERY_TOO_EXPENSIVE', argument: 'filter', rows, limit } });
}
