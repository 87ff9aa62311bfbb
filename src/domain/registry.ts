/**
 * The row sets of every cached table, for installing and checking the triggers, and the event tables. A table without
 * row sets cannot be cached.
 */

import { getTableName } from 'drizzle-orm';
import type { TableRowSets } from '../engine/postgres/index.js';
import { commentRows } from './comments/comment.table.js';
import { historyRows } from './history/history.table.js';
import { labelRows } from './labels/label.table.js';
import { invitationRows } from './projects/invitation.table.js';
import type { ProjectPartTags } from './projects/project.events.js';
import { memberRows, projectRows } from './projects/project.table.js';
import { trashedMemberRows, trashedProjectRows } from './projects/trashed-project.table.js';
import { formerNumberRows } from './tasks/former-number.table.js';
import { taskLabelRows, taskRows } from './tasks/task.table.js';
import { taskDocumentRows } from './tasks/task-document.table.js';
import { taskEvents } from './tasks/task-event.table.js';
import { taskRelationRows } from './tasks/task-relation.table.js';
import { trashedTaskRows } from './trash/trashed-task.table.js';
import { userRows } from './users/user.table.js';
import { webhookRows } from './webhooks/webhook.table.js';

export const allRowSets: readonly TableRowSets[] = [
  userRows,
  projectRows,
  memberRows,
  invitationRows,
  labelRows,
  taskRows,
  taskLabelRows,
  taskDocumentRows,
  taskRelationRows,
  commentRows,
  formerNumberRows,
  trashedTaskRows,
  trashedProjectRows,
  trashedMemberRows,
  historyRows,
  webhookRows,
];

/** These tables are trimmed together with the outbox. */
export const eventTables: readonly string[] = [getTableName(taskEvents)];

/** Tables whose writes are recorded as events of tasks. */
export const recordedTables: readonly string[] = [taskRows, taskLabelRows, taskRelationRows, commentRows].map(
  ({ table }) => table,
);

/** The rows of each part of a project that `projectChanged` reports. */
export const projectPartTags: ProjectPartTags = {
  PROJECT: projectRows.byId,
  LABELS: labelRows.anyByProject,
  MEMBERS: memberRows.byProject,
};
