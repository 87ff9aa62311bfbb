/**
 * What a list's filter makes Postgres compare. Most comparisons cost next to nothing; texts are compared row by row, since no index knows
 * what a description contains, and a long one costs as much as a thousand numbers. How many rows that is, Postgres estimates before the
 * list is read; a list that would take longer than a read may is refused with advice instead of being given up half-way.
 */
import { sql } from 'drizzle-orm';
import { GraphQLError } from 'graphql';
import { MAX_TAGS } from '../../engine/cache/index.js';
import type { Executor } from '../../engine/postgres/index.js';
import { type Condition, conjuncts, parts } from './task.condition.js';
import { isEmptyList, isNarrow, type TaskList, taskListWhere } from './task.list-query.js';
import { tasks } from './task.table.js';

/** Measured with descriptions of 1400 characters, µs for one row. */
const MICROSECONDS = { description: 30, title: 1, search: 800 } as const;
/** Half of what a read may take: estimates are off by a factor of two at times. */
const MAX_MICROSECONDS = 5_000_000;

/** Whether loading the list may keep Postgres busy: its filter looks into texts, or it is of too many projects to be kept. */
export function isHeavy(list: TaskList): boolean {
  if (list.projectIds.length > MAX_TAGS && !isNarrow(list)) return true;
  return parts(list.where).some((part) => 'like' in part || 'search' in part);
}

/** µs for one row of those that the other comparisons leave over. */
function workPerRow(condition: Condition): number {
  // By its index, unless it stands beside alternatives.
  if ('search' in condition) return 0;
  return parts(condition).reduce((sum, part) => {
    if ('search' in part) return sum + MICROSECONDS.search;
    if (!('like' in part)) return sum;
    return sum + (part.column === 'description' ? MICROSECONDS.description : MICROSECONDS.title);
  }, 0);
}

/** @throws QUERY_TOO_EXPENSIVE, when comparing its texts takes longer than a read may */
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
    `filter: its texts would be compared with about ${rows} tasks; at most ${limit} are. ` +
    'Narrow it by project, assignee, status or time, give fewer texts, or use search.';
  return new GraphQLError(message, { extensions: { code: 'QUERY_TOO_EXPENSIVE', argument: 'filter', rows, limit } });
}
