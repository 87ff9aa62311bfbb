/**
 * The numbers that moved tasks had before, written by a trigger. Rows stay while their task exists or is in the trash,
 * and while the former project exists.
 */
import { index, integer, pgTable, primaryKey } from 'drizzle-orm/pg-core';
import { idColumn, instant } from '../../db/columns.js';
import { rowSets } from '../../engine/postgres/index.js';
import { projects } from '../projects/project.table.js';

export const formerNumbers = pgTable(
  'former_numbers',
  {
    projectId: idColumn('project', 'project_id')
      .notNull()
      .references(() => projects.id, { onDelete: 'cascade' }),
    number: integer().notNull(),
    taskId: idColumn('task', 'task_id').notNull(),
    /** When the task ceased to have this number. */
    until: instant('until').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.projectId, table.number] }),
    index('former_numbers_by_task').on(table.taskId, table.until),
  ],
);

export const formerNumberRows = rowSets(formerNumbers, {
  byNumber: { columns: [formerNumbers.projectId, formerNumbers.number] },
  byTask: { columns: [formerNumbers.taskId] },
});
