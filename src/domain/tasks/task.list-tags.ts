/**
 * The row sets that a task list depends on: the narrowest that contain every row that could enter or leave the list, or
 * change its place there.
 */
import type { ProjectId } from '../../db/ids.js';
import { MAX_TAGS, type Tag } from '../../engine/cache/index.js';
import { type Column, parts } from './task.condition.js';
import type { TaskOrderField } from './task.filter-inputs.js';
import { type Narrow, narrow, type RowSet, type TaskList, type TaskListOrder } from './task.list-query.js';
import { taskLabelRows, taskRows } from './task.table.js';
import { taskDocumentRows } from './task-document.table.js';
import { taskRelationRows } from './task-relation.table.js';

/** A column that decides which tasks are in a list, or where. */
type Deciding = Column | 'otherAssigneeIds';

/** The aspect of a project's tasks that follows a column. Each list has that of membership besides. */
const ASPECTS: Record<Deciding, RowSet<ProjectId>> = {
  id: taskRows.membershipByProject,
  projectId: taskRows.membershipByProject,
  number: taskRows.membershipByProject,
  creatorId: taskRows.membershipByProject,
  createdAt: taskRows.membershipByProject,
  status: taskRows.statusByProject,
  completedAt: taskRows.statusByProject,
  priority: taskRows.priorityByProject,
  assigneeId: taskRows.assigneeByProject,
  otherAssigneeIds: taskRows.otherAssigneesByProject,
  dueDate: taskRows.dueDateByProject,
  startDate: taskRows.startDateByProject,
  estimate: taskRows.estimateByProject,
  parentId: taskRows.parentByProject,
  sortOrder: taskRows.orderByProject,
  // Text and the time of any change, which `byProject` ignores as well.
  title: taskRows.anyByProject,
  description: taskRows.anyByProject,
  updatedAt: taskRows.anyByProject,
};

const SORTED_BY: Record<TaskOrderField, Column> = {
  CREATED_AT: 'createdAt',
  UPDATED_AT: 'updatedAt',
  COMPLETED_AT: 'completedAt',
  DUE_DATE: 'dueDate',
  START_DATE: 'startDate',
  ESTIMATE: 'estimate',
  PRIORITY: 'priority',
  STATUS: 'status',
  TITLE: 'title',
  MANUAL: 'sortOrder',
};

/** Tags cost a token each to read: above this many, a list has one tag for each project. */
const MAX_ASPECT_TAGS = 60;

export function taskListTags(list: TaskList, order: TaskListOrder = []): Tag[] {
  const labels = parts(list.where).flatMap((part) => {
    if (!('labels' in part)) return [];
    if (part.labels === 'some' && part.ids !== 'any') return part.ids.flatMap((id) => taskLabelRows.byLabel(id));
    return projectsOf(list).flatMap((id) => taskLabelRows.byProject(id));
  });
  const searched = parts(list.where).some((part) => 'search' in part);
  const documents = searched ? projectsOf(list).flatMap((id) => taskDocumentRows.byProject(id)) : [];
  const blockers = parts(list.where).flatMap((part) => ('blocked' in part ? part.blocked : []));
  const relations = blockers.flatMap(([id, blocking]) => [
    ...taskRelationRows.byBlockedProject(id),
    ...blocking.flatMap((by) => taskRows.statusByProject(by)),
  ]);
  return [...new Set([...rowTags(list, columnsOf(list, order)), ...labels, ...documents, ...relations])];
}

/** The columns that decide which tasks are in the list, and where. */
function columnsOf({ where }: TaskList, order: TaskListOrder): ReadonlySet<Deciding> {
  const compared = parts(where).flatMap((part): Deciding[] => {
    if ('assignees' in part) return part.ids === 'any' ? ['assigneeId'] : ['assigneeId', 'otherAssigneeIds'];
    return 'column' in part ? [part.column] : [];
  });
  return new Set<Deciding>([
    ...compared,
    ...order.flatMap(({ field }) => (field === 'RANK' ? [] : [SORTED_BY[field]])),
  ]);
}

/** Lists with more tags are never stored. */
const projectsOf = ({ projectIds }: TaskList) => projectIds.slice(0, MAX_TAGS + 1);

function rowTags(list: TaskList, columns: ReadonlySet<Deciding>): readonly Tag[] {
  const narrowest = narrow(list);
  if (narrowest?.column === 'id') return narrowest.ids.flatMap((id) => narrowest.rows(id));
  const projects = projectsOf(list);
  const followed = new Set([...columns].map((column) => ASPECTS[column]));
  if (followed.has(taskRows.anyByProject)) return projects.flatMap((id) => taskRows.anyByProject(id));
  // All row sets that are wider than an aspect ignore the manual order.
  const order = columns.has('sortOrder') ? projects.flatMap((id) => taskRows.orderByProject(id)) : [];
  if (narrowest !== undefined) return [...narrowTags(narrowest, columns), ...order];
  const aspects = [...followed.add(taskRows.membershipByProject)];
  if (aspects.length * projects.length > MAX_ASPECT_TAGS) {
    return [...projects.flatMap((id) => taskRows.byProject(id)), ...order];
  }
  return projects.flatMap((id) => aspects.flatMap((aspect) => aspect(id)));
}

/** A parent's list that no other column decides, as the subtasks of a task are listed, outlives changes of the subtasks. */
function narrowTags({ column, ids, rows }: Narrow, columns: ReadonlySet<Deciding>): readonly Tag[] {
  const byMembership = [...columns].every(
    (one) => one === column || one === 'sortOrder' || ASPECTS[one] === taskRows.membershipByProject,
  );
  const narrowest = column === 'parentId' && byMembership ? (taskRows.membershipByParent as RowSet<string>) : rows;
  return ids.flatMap((id) => narrowest(id));
}
