/** Labels of a project. Which task has which label is stored in tasks/task.table.ts. */
import { sql } from 'drizzle-orm';
import { check, pgTable, text, unique } from 'drizzle-orm/pg-core';
import { createdAt, idColumn, primaryId, updatedAt } from '../../db/columns.js';
import { rowSets } from '../../engine/postgres/index.js';
import { projects } from '../projects/project.table.js';

/** Of a label that is created without one. */
export const DEFAULT_COLOR = '#8b949e';

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
    // Referenced by task_labels, so that a task can only have labels of its own project.
    unique('labels_project').on(table.projectId, table.id),
    check('labels_name_length', sql`length(${table.name}) between 1 and 100`),
    check('labels_color', sql`${table.color} ~ '^#[0-9a-f]{6}$'`),
  ],
);
export type LabelRow = typeof labels.$inferSelect;

export const labelRows = rowSets(labels, {
  byId: { columns: [labels.id] },
  // Cached lists contain label ids in the order of names.
  byProject: { columns: [labels.projectId], watches: [labels.projectId, labels.name, labels.id] },
  /** For subscribers of the project: changes of colors and descriptions are reported to them, too. */
  anyByProject: { columns: [labels.projectId], aspect: 'any' },
});
