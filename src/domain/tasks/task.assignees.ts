/** Changes of the assignees of a task. */
import type { UserId } from '../../db/ids.js';
import { UserErrorCode } from '../../graphql/user-error.js';
import { type AssigneeColumns, assigneeColumns, assigneeIdsOf } from './assignee-columns.js';
import type { AssigneeChange, EditedTask } from './task.edit.js';
import type { References } from './task.references.js';
import { MAX_ASSIGNEES } from './task.table.js';

/** The assignees that an input names: all of them, or the only one. */
export interface GivenAssignees {
  readonly assigneeId?: UserId | null | undefined;
  readonly assigneeIds?: readonly UserId[] | null | undefined;
}

/** No columns if the input names none: the assignees stay as they are. */
export function givenColumns({ assigneeId, assigneeIds }: GivenAssignees): Partial<AssigneeColumns> {
  if (assigneeIds !== undefined) return assigneeColumns(assigneeIds ?? []);
  if (assigneeId === undefined) return {};
  return assigneeColumns(assigneeId === null ? [] : [assigneeId]);
}

/** The input's field that names assignees. */
export function assigneeField({ assigneeIds }: GivenAssignees): 'assigneeId' | 'assigneeIds' {
  return assigneeIds === undefined ? 'assigneeId' : 'assigneeIds';
}

export function changedAssignees(task: AssigneeColumns, { added, removed }: AssigneeChange): AssigneeColumns {
  return assigneeColumns([...assigneeIdsOf(task).filter((id) => !removed.includes(id)), ...added]);
}

/**
 * The users whom a change assigns to a task, and who must be members of its project. Adds a fault if there are too many.
 * @param field the input's field that names them
 */
export function newAssignees(
  { task, faults }: EditedTask,
  different: Partial<AssigneeColumns>,
  field: string,
): References[] {
  const wanted = assigneeIdsOf({ ...task, ...different });
  if (wanted.length > MAX_ASSIGNEES) {
    const message = `expected at most ${MAX_ASSIGNEES} assignees of a task, got ${wanted.length}`;
    faults.addTo(field, UserErrorCode.LIMIT, message);
  }
  const before = assigneeIdsOf(task);
  const ids = wanted.filter((id) => !before.includes(id));
  return ids.length === 0 ? [] : [{ projectId: task.projectId, ids, field, faults }];
}
