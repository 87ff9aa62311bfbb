/**
 * The history of tasks and projects, written by triggers in the transaction that made the change. An entry is what one
 * transaction changed on one task, or what one statement changed of a project.
 */
import { sql } from 'drizzle-orm';
import { bigint, index, jsonb, pgTable, timestamp } from 'drizzle-orm/pg-core';
import { ACTOR } from '../../db/actor.js';
import { idColumn } from '../../db/columns.js';
import { rowSets } from '../../engine/postgres/index.js';

/** A change as the triggers write it: `kind` is a value of HistoryChangeKind, ids are UUIDs. */
export interface StoredChange {
  readonly kind: string;
  readonly [detail: string]: unknown;
}

/** Refers to no other table: entries outlive their tasks, users and labels. Those of a deleted project are deleted. */
export const historyEntries = pgTable(
  'history_entries',
  {
    /** Order of writing. For one task this is commit order, because its writers wait for each other. */
    seq: bigint({ mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
    /** When the transaction began. In microseconds, which identify the transaction among those of one task. */
    at: timestamp({ withTimezone: true, mode: 'string' }).notNull().default(sql`now()`),
    actorId: idColumn('user', 'actor_id').default(ACTOR),
    /** Where the change was made: of a task that moved, its new project. */
    projectId: idColumn('project', 'project_id').notNull(),
    /** The previous project, if the task moved. */
    fromProjectId: idColumn('project', 'from_project_id'),
    /** Null if the project itself changed. */
    taskId: idColumn('task', 'task_id'),
    changes: jsonb().$type<readonly StoredChange[]>().notNull(),
  },
  (table) => [
    index('history_by_project').on(table.projectId, table.seq),
    index('history_by_task').on(table.taskId, table.seq).where(sql`${table.taskId} is not null`),
    index('history_by_from_project').on(table.fromProjectId, table.seq).where(sql`${table.fromProjectId} is not null`),
  ],
);

export const historyRows = rowSets(historyEntries, {
  byTask: { columns: [historyEntries.taskId] },
  byProject: { columns: [historyEntries.projectId] },
  byFromProject: { columns: [historyEntries.fromProjectId] },
});
