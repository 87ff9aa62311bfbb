/** Tasks and their labels. */
import { type SQL, sql } from 'drizzle-orm';
import {
  type AnyPgColumn,
  check,
  date,
  foreignKey,
  index,
  integer,
  pgEnum,
  pgTable,
  primaryKey,
  text,
  unique,
} from 'drizzle-orm/pg-core';
import { createdAt, idColumn, instant, primaryId, updatedAt } from '../../db/columns.js';
import { rowSets } from '../../engine/postgres/index.js';
import { labels } from '../labels/label.table.js';
import { projects } from '../projects/project.table.js';
import { users } from '../users/user.table.js';

export const taskStatus = pgEnum('task_status', ['BACKLOG', 'TODO', 'IN_PROGRESS', 'IN_REVIEW', 'DONE', 'CANCELED']);
/** In rising order; Postgres sorts in this order. */
export const taskPriority = pgEnum('task_priority', ['NONE', 'LOW', 'MEDIUM', 'HIGH', 'URGENT']);
export type TaskStatus = (typeof taskStatus.enumValues)[number];
export type TaskPriority = (typeof taskPriority.enumValues)[number];

/** Whether something remains to be done. */
export function isOpenStatus(status: TaskStatus): boolean {
  return status !== 'DONE' && status !== 'CANCELED';
}

/** The key of a task in the manual order, which sorts by code point. */
function manualOrderSql({ sortOrder, number }: { readonly sortOrder: AnyPgColumn; readonly number: AnyPgColumn }): SQL {
  return sql`(coalesce(${sortOrder}, default_sort_order(${number})) collate "C")`;
}

export const tasks = pgTable(
  'tasks',
  {
    id: primaryId('task'),
    projectId: idColumn('project', 'project_id')
      .notNull()
      .references(() => projects.id, { onDelete: 'cascade' }),
    /** 42 in OPS-42. Never reused within the project. */
    number: integer().notNull(),
    title: text().notNull(),
    description: text(),
    status: taskStatus().notNull().default('BACKLOG'),
    priority: taskPriority().notNull().default('NONE'),
    assigneeId: idColumn('user', 'assignee_id').references(() => users.id, { onDelete: 'set null' }),
    creatorId: idColumn('user', 'creator_id')
      .notNull()
      .references(() => users.id),
    parentId: idColumn('task', 'parent_id'),
    dueDate: date('due_date', { mode: 'string' }),
    startDate: date('start_date', { mode: 'string' }),
    /** In points. */
    estimate: integer(),
    /**
     * The assignees after the first, in order. A trigger keeps each user once, moves the next one up when the first goes,
     * and does what a foreign key would.
     */
    otherAssigneeIds: idColumn('user', 'other_assignee_ids').array().notNull().default(sql`'{}'`),
    /** Number of updates, compared with `expectedVersion`. */
    version: integer().notNull().default(1),
    /** The source of an imported task. Tasks with equal sources are the same task. */
    sourceUrl: text('source_url'),
    createdAt: createdAt(),
    updatedAt: updatedAt(),
    completedAt: instant('completed_at'),
    /** Key in the manual order. Null until the task is moved: its number gives the key then (sort-key.ts). */
    sortOrder: text('sort_order'),
  },
  (table) => [
    unique('tasks_number').on(table.projectId, table.number),
    // Referenced by parents and labels, so that both are in the same project.
    unique('tasks_project').on(table.projectId, table.id),
    unique('tasks_source').on(table.projectId, table.sourceUrl),
    foreignKey({
      name: 'tasks_parent',
      columns: [table.projectId, table.parentId],
      foreignColumns: [table.projectId, table.id],
    }),
    check('tasks_title', sql`length(${table.title}) between 1 and 500`),
    check('tasks_parent_other', sql`${table.parentId} <> ${table.id}`),
    check('tasks_completed', sql`(${table.status} = 'DONE') = (${table.completedAt} is not null)`),
    check('tasks_dates', sql`${table.startDate} <= ${table.dueDate}`),
    check('tasks_estimate', sql`${table.estimate} between 0 and 1000`),
    check('tasks_other_assignees', sql`cardinality(${table.otherAssigneeIds}) <= 9`),
    // One index for every list that the API offers: the row set, the sort column, then the tie-break.
    index('tasks_by_project').on(table.projectId, table.createdAt, table.id),
    index('tasks_by_project_priority').on(table.projectId, table.priority, table.id),
    index('tasks_by_assignee').on(table.assigneeId, table.createdAt, table.id),
    index('tasks_by_assignee_priority').on(table.assigneeId, table.priority, table.id),
    index('tasks_by_parent').on(table.parentId, table.createdAt, table.id),
    index('tasks_by_creator').on(table.creatorId, table.createdAt, table.id),
    index('tasks_by_project_updated').on(table.projectId, table.updatedAt, table.id),
    index('tasks_by_project_due').on(table.projectId, table.dueDate, table.id),
    index('tasks_by_project_manual').on(table.projectId, manualOrderSql(table), table.id),
    // Few tasks have other assignees: writes of the rest leave it alone.
    index('tasks_by_other_assignee').using('gin', table.otherAssigneeIds).where(sql`${table.otherAssigneeIds} <> '{}'`),
  ],
);
/** Assignees per task. */
export const MAX_ASSIGNEES = 10;
/** Points. */
export const MAX_ESTIMATE = 1000;
/** Labels per task, in the API and in imports. Tasks of earlier imports can have more. */
export const MAX_LABELS = 50;

export type TaskRow = typeof tasks.$inferSelect;

export const MANUAL_ORDER = manualOrderSql(tasks);

/** Cached lists contain ids. Columns that a list does not filter, sort or count by do not affect it. */
const listsIgnore = [tasks.title, tasks.description, tasks.version, tasks.updatedAt, tasks.sourceUrl, tasks.sortOrder];

/** Which tasks there are, of whom, and since when: a change of anything else leaves a list with no condition as it is. */
const membership = [tasks.id, tasks.projectId, tasks.number, tasks.creatorId, tasks.createdAt];

export const taskRows = rowSets(tasks, {
  byId: { columns: [tasks.id] },
  byNumber: { columns: [tasks.projectId, tasks.number], watches: [tasks.projectId, tasks.number, tasks.id] },
  byProject: { columns: [tasks.projectId], ignores: listsIgnore },
  byAssignee: { columns: [tasks.assigneeId], ignores: listsIgnore },
  /** The same tags as `byAssignee`: a user's list depends on one tag, whichever assignee of a task the user is. */
  byOtherAssignee: { columns: [tasks.otherAssigneeIds], of: [tasks.assigneeId], ignores: listsIgnore },
  byParent: { columns: [tasks.parentId], ignores: listsIgnore },
  byCreator: { columns: [tasks.creatorId], ignores: listsIgnore },
  /** For lists that depend on the columns the others ignore, such as titles and times of change. */
  anyByProject: { columns: [tasks.projectId], aspect: 'any' },
  /** A list that names few columns has this aspect and those of its columns, in place of `byProject`. */
  membershipByProject: { columns: [tasks.projectId], aspect: 'membership', watches: membership },
  membershipByParent: { columns: [tasks.parentId], aspect: 'membership', watches: [tasks.parentId, ...membership] },
  statusByProject: {
    columns: [tasks.projectId],
    aspect: 'status',
    watches: [tasks.projectId, tasks.status, tasks.completedAt],
  },
  priorityByProject: { columns: [tasks.projectId], aspect: 'priority', watches: [tasks.projectId, tasks.priority] },
  assigneeByProject: { columns: [tasks.projectId], aspect: 'assignee', watches: [tasks.projectId, tasks.assigneeId] },
  dueDateByProject: { columns: [tasks.projectId], aspect: 'due_date', watches: [tasks.projectId, tasks.dueDate] },
  /** For lists in the manual order, besides what else decides them, which sees new tasks. */
  orderByProject: {
    columns: [tasks.projectId],
    aspect: 'order',
    watches: [tasks.projectId, tasks.sortOrder],
    ignoresInserts: true,
  },
  // Inserts are seen by `membershipByProject`, which every list has besides: a new task costs no tag for each of these.
  otherAssigneesByProject: {
    columns: [tasks.projectId],
    aspect: 'other_assignees',
    watches: [tasks.projectId, tasks.otherAssigneeIds],
    ignoresInserts: true,
  },
  startDateByProject: {
    columns: [tasks.projectId],
    aspect: 'start_date',
    watches: [tasks.projectId, tasks.startDate],
    ignoresInserts: true,
  },
  estimateByProject: {
    columns: [tasks.projectId],
    aspect: 'estimate',
    watches: [tasks.projectId, tasks.estimate],
    ignoresInserts: true,
  },
  parentByProject: { columns: [tasks.projectId], aspect: 'parent', watches: [tasks.projectId, tasks.parentId] },
  /** For the statistics of a project: one tag in place of those of five aspects. */
  statsByProject: {
    columns: [tasks.projectId],
    aspect: 'stats',
    watches: [tasks.projectId, tasks.status, tasks.priority, tasks.dueDate, tasks.createdAt, tasks.completedAt],
  },
});

export const taskLabels = pgTable(
  'task_labels',
  {
    projectId: idColumn('project', 'project_id').notNull(),
    taskId: idColumn('task', 'task_id').notNull(),
    labelId: idColumn('label', 'label_id').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.taskId, table.labelId] }),
    index('task_labels_label').on(table.labelId, table.taskId),
    foreignKey({
      name: 'task_labels_task',
      columns: [table.projectId, table.taskId],
      foreignColumns: [tasks.projectId, tasks.id],
    }).onDelete('cascade'),
    foreignKey({
      name: 'task_labels_label',
      columns: [table.projectId, table.labelId],
      foreignColumns: [labels.projectId, labels.id],
    }).onDelete('cascade'),
  ],
);

export const taskLabelRows = rowSets(taskLabels, {
  byTask: { columns: [taskLabels.taskId] },
  /** For reads that load a task together with its labels. */
  ofTask: { columns: [taskLabels.taskId], of: [tasks.id] },
  byLabel: { columns: [taskLabels.labelId] },
  byProject: { columns: [taskLabels.projectId] },
});
