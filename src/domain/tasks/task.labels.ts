/** The labels of tasks, for writes of many tasks: one statement for all of each kind. */
import { sql } from 'drizzle-orm';
import { grouped, uuids } from '../../db/by-id.js';
import { fromUuid, type LabelId, type TaskId } from '../../db/ids.js';
import type { Transaction } from '../../engine/postgres/index.js';
import { type TaskRow, taskLabels } from './task.table.js';

/** What becomes of the labels of a task that holds its lock, and whose new labels are locked. */
export interface Relabelling {
  readonly task: Pick<TaskRow, 'id' | 'projectId'>;
  readonly dropped: readonly LabelId[];
  readonly added: readonly LabelId[];
}

/** In the order of `taskIds`; the labels of each in the order in which they were created. */
export async function labelIdsOfTasks(tx: Transaction, taskIds: readonly TaskId[]): Promise<LabelId[][]> {
  if (taskIds.length === 0) return [];
  const rows = await tx.execute<{ task: string; label: string }>(sql`
    select ${taskLabels.taskId} as task, ${taskLabels.labelId} as label from ${taskLabels}
    where ${taskLabels.taskId} = any(${uuids(taskIds)}) order by label`);
  const byTask = grouped(taskIds, rows, ({ task }) => fromUuid('task', task));
  return byTask.map((ofTask) => ofTask.map(({ label }) => fromUuid('label', label)));
}

/** Writes what differs: at most one statement for all that is dropped, and one for all that is added. */
export async function relabel(tx: Transaction, relabellings: readonly Relabelling[]): Promise<void> {
  const dropped = relabellings.flatMap(({ task, dropped }) => dropped.map((labelId) => ({ task, labelId })));
  const added = relabellings.flatMap(({ task, added }) => added.map((labelId) => ({ task, labelId })));
  if (dropped.length > 0) {
    await tx.execute(sql`
      delete from ${taskLabels} using unnest(${taskIdsOf(dropped)}, ${labelIdsOf(dropped)}) as dropped(task_id, label_id)
      where ${taskLabels.taskId} = dropped.task_id and ${taskLabels.labelId} = dropped.label_id`);
  }
  if (added.length > 0) {
    await tx.execute(sql`
      insert into ${taskLabels} (project_id, task_id, label_id)
      select * from unnest(${uuids(added.map(({ task }) => task.projectId))}, ${taskIdsOf(added)}, ${labelIdsOf(added)})`);
  }
}

const taskIdsOf = (pairs: readonly { readonly task: { readonly id: TaskId } }[]) =>
  uuids(pairs.map(({ task }) => task.id));
const labelIdsOf = (pairs: readonly { readonly labelId: LabelId }[]) => uuids(pairs.map(({ labelId }) => labelId));
