/** Labels of a project. Which task bears which stands with the tasks. */
import { sql } from 'drizzle-orm';
import { check, pgTable, text, unique } from 'drizzle-orm/pg-core';
import { createdAt, idColumn, primaryId, updatedAt } from '../../db/columns.js';
import { rowSets } from '../../engine/postgres/index.js';
import { projects } from '../projects/project.table.js';

export const labels = pgTable(
  'labels',
  {
    id: primaryId('label'),
    projectId: idColumn('project', 'project_id')
      .notNull()
      .references(() => projects.id, { onDelete: 'cascade' }),
    name: text().notNull(),
    /** `#1d76db` */
    color: text().notNull(),
    description: text(),
    createdAt: createdAt(),
    updatedAt: updatedAt(),
  },
  (table) => [
    unique('labels_name').on(table.projectId, table.name),
    // What task_labels refers to, so that a task bears labels of its own project only.
    unique('labels_project').on(table.projectId, table.id),
    check('labels_name_length', sql`length(${table.name}) between 1 and 100`),
    check('labels_color', sql`${table.color} ~ '^#[0-9a-f]{6}$'`),
  ],
);
export type LabelRow = typeof labels.$inferSelect;

export const labelRows = rowSets(labels, {
  byId: { columns: [labels.id] },
  // Lists of labels hold ids in the order of names.
  byProject: { columns: [labels.projectId], watches: [labels.projectId, labels.name, labels.id] },
});
