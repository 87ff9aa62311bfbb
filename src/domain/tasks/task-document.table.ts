/**
 * The searchable words of each task: of its identifier, title, description and comments. Written by triggers on `tasks`
 * and `comments`, in the transaction that changes the texts.
 */
import { customType, index, pgTable } from 'drizzle-orm/pg-core';
import { idColumn } from '../../db/columns.js';
import { rowSets } from '../../engine/postgres/index.js';
import { tasks } from './task.table.js';

const tsvector = customType<{ data: string }>({ dataType: () => 'tsvector' });

export const taskDocuments = pgTable(
  'task_documents',
  {
    taskId: idColumn('task', 'task_id')
      .primaryKey()
      .references(() => tasks.id, { onDelete: 'cascade' }),
    /** That of the task. */
    projectId: idColumn('project', 'project_id').notNull(),
    /** Those of its comments, which a new title or comment does not parse again. */
    commentWords: tsvector('comment_words').notNull(),
    /** All words: English stems, and the words as they are. Weights: A identifier and title, C description, D comments. */
    words: tsvector().notNull(),
  },
  (table) => [index('task_documents_words').using('gin', table.words)],
);

/** A document is inserted with its task, and every list depends on which tasks there are. */
export const taskDocumentRows = rowSets(taskDocuments, {
  byProject: { columns: [taskDocuments.projectId], ignoresInserts: true },
});
