/** Moves the row of a task, its labels and its comments into the trash. */
import { eq, sql } from 'drizzle-orm';
import { uuids } from '../../db/by-id.js';
import { type TaskId, toUuid, type UserId } from '../../db/ids.js';
import type { Transaction } from '../../engine/postgres/index.js';
import { comments } from '../comments/comment.table.js';
import { taskLabels, tasks } from '../tasks/task.table.js';
import { trashedComments, trashedTasks } from './trashed-task.table.js';

/**
 * The task must be locked for update, which keeps others from adding comments, and it must have no subtasks any longer.
 * @param subtaskIds the subtasks it had
 */
export async function moveIntoTrash(
  tx: Transaction,
  { id, subtaskIds, deletedBy }: { id: TaskId; subtaskIds: readonly TaskId[]; deletedBy: UserId },
): Promise<void> {
  await tx.execute(sql`
    insert into ${trashedTasks}
      (id, project_id, number, title, source_url, creator_id, task, label_ids, subtask_ids, deleted_by)
    select id, project_id, number, title, source_url, creator_id, to_jsonb(t),
      array(select l.label_id from ${taskLabels} l where l.task_id = t.id order by l.label_id), ${uuids(subtaskIds)},
      ${toUuid(deletedBy)}
    from ${tasks} t where id = ${toUuid(id)}`);
  await tx.execute(sql`
    insert into ${trashedComments} (id, task_id, author_id, comment)
    select id, task_id, author_id, to_jsonb(c) from ${comments} c where task_id = ${toUuid(id)}`);
  // Afterwards: a task that is in the trash keeps its former numbers.
  await tx.delete(tasks).where(eq(tasks.id, id));
}
