/**
 * The assignees of a task, in order. Its row holds the first in a column of its own, which nearly all tasks do with: they
 * have one assignee or none.
 */
import type { UserId } from '../../db/ids.js';
import type { TaskRow } from './task.table.js';

/** The columns that hold them. */
export type AssigneeColumns = Pick<TaskRow, 'assigneeId' | 'otherAssigneeIds'>;

export function assigneeIdsOf({ assigneeId, otherAssigneeIds }: AssigneeColumns): UserId[] {
  return assigneeId === null ? [] : [assigneeId, ...otherAssigneeIds];
}

/** Each user counts once. */
export function assigneeColumns(ids: readonly UserId[]): AssigneeColumns {
  const [first = null, ...others] = new Set(ids);
  return { assigneeId: first, otherAssigneeIds: others };
}
