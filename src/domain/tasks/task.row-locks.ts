/** Locks rows of tasks in the one order in which every write locks them, so that no two wait for each other. */
import { asc, getTableColumns, type SQL } from 'drizzle-orm';
import type { PgColumn } from 'drizzle-orm/pg-core';
import type { Transaction } from '../../engine/postgres/index.js';
import { type TaskRow, tasks } from './task.table.js';

interface LockedRows<F extends keyof TaskRow> {
  readonly where: SQL | undefined;
  /** Default: all. */
  readonly fields?: readonly F[];
}

const ALL = Object.keys(getTableColumns(tasks)) as (keyof TaskRow)[];

/** @returns those tasks that exist, ordered by id */
export async function lockTaskRows<F extends keyof TaskRow = keyof TaskRow>(
  tx: Transaction,
  lock: 'update' | 'no key update' | 'key share',
  { where, fields }: LockedRows<F>,
): Promise<Pick<TaskRow, F>[]> {
  const columns = Object.fromEntries((fields ?? ALL).map((field): [string, PgColumn] => [field, tasks[field]]));
  const rows: object[] = await tx.select(columns).from(tasks).where(where).orderBy(asc(tasks.id)).for(lock);
  // Drizzle has no type for rows of columns that are only known at run time.
  return rows as Pick<TaskRow, F>[];
}
