/** Moves the rows of tasks, their labels, relations and comments into the trash. */
import { sql } from 'drizzle-orm';
import { uuids } from '../../db/by-id.js';
import { type TaskId, toUuid, type UserId } from '../../db/ids.js';
import { MAX_ROWS_NAMED, type Transaction } from '../../engine/postgres/index.js';
import { comments } from '../comments/comment.table.js';
import { taskLabels, tasks } from '../tasks/task.table.js';
import { taskRelations } from '../tasks/task-relation.table.js';
import { deleteSomeComments } from './delete-comments.js';
import { trashedComments, trashedTasks } from './trashed-task.table.js';

/**
 * Many tasks cost as many statements as one. They must be locked for update, which keeps others from adding comments,
 * and they must have no subtasks any longer.
 */
export async function moveIntoTrash(
  tx: Transaction,
  { removed, deletedBy }: { removed: readonly RemovedTask[]; deletedBy: UserId },
): Promise<void> {
  const taskIds = removed.map(({ id }) => id);
  const ids = uuids(taskIds);
  const subtasks = removed.flatMap(({ id: parentId, subtaskIds }) => subtaskIds.map((id) => ({ id, parentId })));
  await tx.execute(sql`
    insert into ${trashedTasks}
      (id, project_id, number, title, source_url, creator_id, task, label_ids, subtask_ids, relations, deleted_by)
    select t.id, project_id, number, title, source_url, creator_id, to_jsonb(t),
      array(select l.label_id from ${taskLabels} l where l.task_id = t.id order by l.label_id),
      array(
        select s.id
        from unnest(${uuids(subtasks.map(({ id }) => id))}, ${uuids(subtasks.map(({ parentId }) => parentId))})
          as s(id, parent_id)
        where s.parent_id = t.id),
      (select coalesce(jsonb_agg(jsonb_build_object('task', r.task_id, 'type', r.type, 'related', r.related_task_id)), '[]')
        from ${taskRelations} r where r.task_id = t.id or r.related_task_id = t.id),
      ${toUuid(deletedBy)}
    from ${tasks} t where t.id = any(${ids})`);
  const copied = await tx.execute(sql`
    insert into ${trashedComments} (id, task_id, author_id, comment)
    select id, task_id, author_id, to_jsonb(c) from ${comments} c where task_id = any(${ids}) returning 1`);
  if (copied.length > MAX_ROWS_NAMED) while (!(await deleteSomeComments(tx, taskIds)));
  // Afterwards: a task that is in the trash keeps its former numbers.
  await tx.delete(tasks).where(sql`${tasks.id} = any(${ids})`);
}

export interface RemovedTask {
  readonly id: TaskId;
  /** The subtasks it had. */
  readonly subtaskIds: readonly TaskId[];
}
