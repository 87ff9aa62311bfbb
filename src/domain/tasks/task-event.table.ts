/**
 * Task events for subscribers, written by triggers in the transaction that made the change. Nothing cached reads them.
 * Kept as long as the outbox.
 */
import { sql } from 'drizzle-orm';
import { bigint, boolean, check, index, integer, pgEnum, pgTable, primaryKey, text } from 'drizzle-orm/pg-core';
import { ACTOR } from '../../db/actor.js';
import { idColumn, instant } from '../../db/columns.js';
import { xid8 } from '../../engine/postgres/index.js';

/** `MANY`: a statement changed more tasks than are recorded individually. */
export const taskEventType = pgEnum('task_event_type', ['CREATED', 'UPDATED', 'DELETED', 'MANY']);

export const taskEvents = pgTable(
  'task_events',
  {
    xid: xid8().notNull().default(sql`pg_current_xact_id()`),
    /** Order of writing. For one task this is commit order, because its writers wait for each other. */
    seq: bigint({ mode: 'number' }).notNull().generatedAlwaysAsIdentity(),
    type: taskEventType().notNull(),
    /** Null with `MANY`. */
    taskId: idColumn('task', 'task_id'),
    /** Null means any project. */
    projectId: idColumn('project', 'project_id'),
    /** The previous project, if the task moved. */
    fromProjectId: idColumn('project', 'from_project_id'),
    version: integer(),
    /** For updates: the changed fields, by their names in the API. */
    changedFields: text('changed_fields').array().notNull().default(sql`'{}'`),
    at: instant('at').notNull().default(sql`now()`),
    /** Null if unknown. Not a reference: a user may be deleted before the event is. */
    actorId: idColumn('user', 'actor_id').default(ACTOR),
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
    /** Events of transactions below this id may have been trimmed. */
    below: xid8().notNull(),
  },
  (table) => [check('task_events_trim_one', sql`${table.one}`)],
);
