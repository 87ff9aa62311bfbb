/** Deletes comments of tasks before the tasks: a cascade would be one statement, which invalidates those of all tasks. */
import { sql } from 'drizzle-orm';
import { uuids } from '../../db/by-id.js';
import type { TaskId } from '../../db/ids.js';
import { MAX_ROWS_NAMED, type Transaction } from '../../engine/postgres/index.js';
import { comments } from '../comments/comment.table.js';

/** Deletes as many as a statement names one by one. @returns whether none are left */
export async function deleteSomeComments(tx: Transaction, taskIds: readonly TaskId[]): Promise<boolean> {
  const deleted = await tx.execute(sql`
    delete from ${comments} where id = any(array(
      select id from ${comments} where task_id = any(${uuids(taskIds)}) limit ${MAX_ROWS_NAMED}))
    returning 1`);
  return deleted.length < MAX_ROWS_NAMED;
}
