/** Comments on tasks. */
import { sql } from 'drizzle-orm';
import { check, index, pgTable, text, unique } from 'drizzle-orm/pg-core';
import { createdAt, idColumn, primaryId, updatedAt } from '../../db/columns.js';
import type { UserId } from '../../db/ids.js';
import { rowSets } from '../../engine/postgres/index.js';
import type { Role } from '../projects/project.table.js';
import { tasks } from '../tasks/task.table.js';
import { users } from '../users/user.table.js';

export const comments = pgTable(
  'comments',
  {
    id: primaryId('comment'),
    taskId: idColumn('task', 'task_id')
      .notNull()
      .references(() => tasks.id, { onDelete: 'cascade' }),
    authorId: idColumn('user', 'author_id')
      .notNull()
      .references(() => users.id),
    body: text().notNull(),
    /** Identifies an imported comment within its task: comments with equal keys are the same comment. */
    sourceKey: text('source_key'),
    createdAt: createdAt(),
    updatedAt: updatedAt(),
  },
  (table) => [
    index('comments_by_task').on(table.taskId, table.createdAt, table.id),
    unique('comments_source').on(table.taskId, table.sourceKey),
    check('comments_body', sql`length(${table.body}) between 1 and 65536`),
  ],
);
export type CommentRow = typeof comments.$inferSelect;

/** @param role the viewer's role in the project; undefined when the viewer cannot write there */
export function mayUpdateComment({ authorId }: CommentRow, viewerId: UserId, role: Role | undefined): boolean {
  return role !== undefined && authorId === viewerId;
}

export function mayDeleteComment(comment: CommentRow, viewerId: UserId, role: Role | undefined): boolean {
  return mayUpdateComment(comment, viewerId, role) || role === 'OWNER';
}

export const commentRows = rowSets(comments, {
  byId: { columns: [comments.id] },
  // Cached lists and counts contain ids in order of creation.
  byTask: { columns: [comments.taskId], watches: [comments.taskId, comments.createdAt, comments.id] },
});
