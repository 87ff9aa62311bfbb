/** Every cached table's row-sets, for what installs and checks the triggers, and the tables of events. A table without row-sets cannot be cached. */

import { getTableName } from 'drizzle-orm';
import type { TableRowSets } from '../engine/postgres/index.js';
import { commentRows } from './comments/comment.table.js';
import { labelRows } from './labels/label.table.js';
import { memberRows, projectRows } from './projects/project.table.js';
import { taskLabelRows, taskRows } from './tasks/task.table.js';
import { taskEvents } from './tasks/task-event.table.js';
import { userRows } from './users/user.table.js';

export const allRowSets: readonly TableRowSets[] = [
  userRows,
  projectRows,
  memberRows,
  labelRows,
  taskRows,
  taskLabelRows,
  commentRows,
];

/** Trimmed with the outbox. */
export const eventTables: readonly string[] = [getTableName(taskEvents)];
