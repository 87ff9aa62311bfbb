/** Tasks, and which labels they bear. */
import { sql } from 'drizzle-orm';
import {
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
/** In rising order, which is the order Postgres sorts them in. */
export const taskPriority = pgEnum('task_priority', ['NONE', 'LOW', 'MEDIUM', 'HIGH', 'URGENT']);
export type TaskStatus = (typeof taskStatus.enumValues)[number];
export type TaskPriority = (typeof taskPriority.enumValues)[number];

export const tasks = pgTable(
  'tasks',
  {
    id: primaryId('task'),
    projectId: idColumn('project', 'project_id')
      .notNull()
      .references(() => projects.id, { onDelete: 'cascade' }),
    /** 42 in OPS-42; never used again within the project. */
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
    /** Counts the updates; `expectedVersion` is compared with it. */
    version: integer().notNull().default(1),
    /** Where an imported task came from: the same source is the same task. */
    sourceUrl: text('source_url'),
    createdAt: createdAt(),
    updatedAt: updatedAt(),
    completedAt: instant('completed_at'),
  },
  (table) => [
    unique('tasks_number').on(table.projectId, table.number),
    // What parents and labels refer to, so that both are of the same project.
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
    // One index for every list that the API offers: the row-set it is of, then the order, then the tie-break.
    index('tasks_by_project').on(table.projectId, table.createdAt, table.id),
    index('tasks_by_project_priority').on(table.projectId, table.priority, table.id),
    index('tasks_by_assignee').on(table.assigneeId, table.createdAt, table.id),
    index('tasks_by_assignee_priority').on(table.assigneeId, table.priority, table.id),
    index('tasks_by_parent').on(table.parentId, table.createdAt, table.id),
    index('tasks_by_creator').on(table.creatorId, table.createdAt, table.id),
    index('tasks_by_project_updated').on(table.projectId, table.updatedAt, table.id),
    index('tasks_by_project_due').on(table.projectId, table.dueDate, table.id),
    index('tasks_search').using(
      'gin',
      sql`to_tsvector('english', ${table.title} || ' ' || coalesce(${table.description}, ''))`,
    ),
  ],
);
/** Of one task, in the API and in imports. Tasks of earlier imports can have more. */
export const MAX_LABELS = 50;

export type TaskRow = typeof tasks.$inferSelect;

/** Lists hold ids: what a list neither selects nor sorts nor counts by does not touch it. */
const listsIgnore = [tasks.title, tasks.description, tasks.version, tasks.updatedAt, tasks.sourceUrl];

export const taskRows = rowSets(tasks, {
  byId: { columns: [tasks.id] },
  byNumber: { columns: [tasks.projectId, tasks.number], watches: [tasks.projectId, tasks.number, tasks.id] },
  byProject: { columns: [tasks.projectId], ignores: listsIgnore },
  byAssignee: { columns: [tasks.assigneeId], ignores: listsIgnore },
  byParent: { columns: [tasks.parentId], ignores: listsIgnore },
  byCreator: { columns: [tasks.creatorId], ignores: listsIgnore },
  /** For lists that look at what the others ignore: titles, times of change. */
  anyByProject: { columns: [tasks.projectId], aspect: 'any' },
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
  /** For whoever reads the task together with them. */
  ofTask: { columns: [taskLabels.taskId], of: [tasks.id] },
  byLabel: { columns: [taskLabels.labelId] },
  byProject: { columns: [taskLabels.projectId] },
});
