/** What a change of one or many tasks is. */
import type { LabelId, UserId } from '../../db/ids.js';
import type { Faults } from '../../graphql/form.js';
import type { TaskRow } from './task.table.js';

type Changed =
  | 'title'
  | 'description'
  | 'status'
  | 'priority'
  | 'assigneeId'
  | 'otherAssigneeIds'
  | 'parentId'
  | 'dueDate'
  | 'startDate'
  | 'estimate';
export type Changes = { [C in Changed]?: TaskRow[C] | undefined };
/** The columns that a change makes different. */
export type Different = Partial<Pick<TaskRow, Changed>>;

/** How the labels of a task change. */
export interface LabelChange {
  /** The labels wanted, from those it has. */
  readonly wanted: (before: readonly LabelId[]) => readonly LabelId[];
  /** The input's field that names labels to add. */
  readonly field: string;
}

/** Users to add to the assignees of each task, and to remove from them. */
export interface AssigneeChange {
  readonly added: readonly UserId[];
  readonly removed: readonly UserId[];
}

/** A change of one or many tasks. */
export interface TaskEdit {
  readonly changes: Changes;
  readonly labels?: LabelChange | undefined;
  /** In place of assignees among `changes`. */
  readonly assignees?: AssigneeChange | undefined;
  /** The input's field that names users to assign. */
  readonly assigneeField?: string;
}

/** A locked task that is to change, unless there are faults. */
export interface EditedTask {
  readonly task: TaskRow;
  readonly faults: Faults;
}
