/**
 * What happened to tasks, written by triggers within the transaction that did it, for subscribers. Nothing cached reads it. Kept for as long
 * as the outbox.
 */
import { sql } from 'drizzle-orm';
import { bigint, boolean, check, index, integer, pgEnum, pgTable, primaryKey, text } from 'drizzle-orm/pg-core';
import { idColumn, instant } from '../../db/columns.js';
import { xid8 } from '../../engine/postgres/index.js';

/** `MANY`: a statement changed more tasks than are told one by one. */
export const taskEventType = pgEnum('task_event_type', ['CREATED', 'UPDATED', 'DELETED', 'MANY']);

export const taskEvents = pgTable(
  'task_events',
  {
    xid: xid8().notNull().default(sql`pg_current_xact_id()`),
    /** In the order of writing: for one task, whose writers wait for each other, the order in which its changes came to be. */
    seq: bigint({ mode: 'number' }).notNull().generatedAlwaysAsIdentity(),
    type: taskEventType().notNull(),
    /** Absent with `MANY`. */
    taskId: idColumn('task', 'task_id'),
    /** Absent: any. */
    projectId: idColumn('project', 'project_id'),
    /** Where the task was before, if it moved. */
    fromProjectId: idColumn('project', 'from_project_id'),
    version: integer(),
    /** Of an update: the fields, as the API names them. */
    changedFields: text('changed_fields').array().notNull().default(sql`'{}'`),
    at: instant('at').notNull().default(sql`now()`),
  },
  (table) => [
    primaryKey({ columns: [table.xid, table.seq] }),
    index('task_events_project').on(table.projectId, table.xid),
    index('task_events_from_project').on(table.fromProjectId, table.xid).where(sql`${table.fromProjectId} is not null`),
  ],
);

export const taskEventsTrim = pgTable(
  'task_events_trim',
  {
    one: boolean().primaryKey().default(true),
    /** Events of transactions below this id may be gone. */
    below: xid8().notNull(),
  },
  (table) => [check('task_events_trim_one', sql`${table.one}`)],
);
