/**
 * Deleted tasks and their comments. A deleted task is moved here rather than marked in `tasks`, so lists, statistics
 * and triggers of tasks need no condition.
 */
import { sql } from 'drizzle-orm';
import { index, integer, jsonb, pgTable, text, uuid } from 'drizzle-orm/pg-core';
import { idColumn, instant } from '../../db/columns.js';
import { rowSets } from '../../engine/postgres/index.js';
import { projects } from '../projects/project.table.js';
import type { StoredRelationType } from '../tasks/task-relation.table.js';
import { users } from '../users/user.table.js';

/** A relation of a deleted task. Ids are UUIDs; one of them is its own. */
export interface TrashedRelation {
  readonly task: string;
  readonly type: StoredRelationType;
  readonly related: string;
}

export const trashedTasks = pgTable(
  'trashed_tasks',
  {
    id: idColumn('task', 'id').primaryKey(),
    projectId: idColumn('project', 'project_id')
      .notNull()
      .references(() => projects.id, { onDelete: 'cascade' }),
    number: integer().notNull(),
    title: text().notNull(),
    sourceUrl: text('source_url'),
    /** References the user as `tasks` does, so that the task can be restored. */
    creatorId: idColumn('user', 'creator_id')
      .notNull()
      .references(() => users.id),
    /**
     * The row of `tasks`, by column. Columns that `tasks` gained later take their defaults. A migration that adds a NOT
     * NULL column without a default must add it here too.
     */
    task: jsonb().notNull(),
    labelIds: uuid('label_ids').array().notNull(),
    /** Subtasks that lost their parent with this deletion. */
    subtaskIds: uuid('subtask_ids').array().notNull(),
    /** Those it had. A process of an earlier build leaves them out. */
    relations: jsonb().$type<readonly TrashedRelation[]>().notNull().default([]),
    /** Null if the user no longer exists. */
    deletedBy: idColumn('user', 'deleted_by').references(() => users.id, { onDelete: 'set null' }),
    deletedAt: instant('deleted_at').notNull().default(sql`now()`),
  },
  (table) => [
    index('trashed_tasks_by_project').on(table.projectId, table.deletedAt, table.id),
    index('trashed_tasks_deleted_at').on(table.deletedAt),
    index('trashed_tasks_source').on(table.projectId, table.sourceUrl).where(sql`${table.sourceUrl} is not null`),
  ],
);

/** A row as lists show it: without the task's contents. */
export type TrashedTaskRow = Pick<
  typeof trashedTasks.$inferSelect,
  'id' | 'projectId' | 'number' | 'title' | 'deletedBy' | 'deletedAt'
>;

export const trashedTaskRows = rowSets(trashedTasks, {
  byId: { columns: [trashedTasks.id] },
  byProject: {
    columns: [trashedTasks.projectId],
    watches: [trashedTasks.projectId, trashedTasks.id, trashedTasks.deletedAt],
  },
});

/** One row per comment: a task can have more comments than one value of Postgres can hold. Not cached: no triggers. */
export const trashedComments = pgTable(
  'trashed_comments',
  {
    id: idColumn('comment', 'id').primaryKey(),
    taskId: idColumn('task', 'task_id')
      .notNull()
      .references(() => trashedTasks.id, { onDelete: 'cascade' }),
    authorId: idColumn('user', 'author_id')
      .notNull()
      .references(() => users.id),
    /** The row of `comments`, by column. */
    comment: jsonb().notNull(),
  },
  (table) => [index('trashed_comments_by_task').on(table.taskId, table.id)],
);
