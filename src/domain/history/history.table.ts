/**
 * The history of tasks and projects, written by triggers in the transaction that made the change. An entry is what one
 * transaction changed on one task, or what one statement changed of a project.
 */
import { sql } from 'drizzle-orm';
import { bigint, boolean, index, jsonb, pgTable, timestamp } from 'drizzle-orm/pg-core';
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
    /** Whether the row of the task stayed as it was. If it changed, its own tags are touched. */
    alone: boolean().notNull().default(true),
    aloneTaskId: idColumn('task', 'alone_task_id').generatedAlwaysAs(sql`case when alone then task_id end`),
    aloneProjectId: idColumn('project', 'alone_project_id').generatedAlwaysAs(sql`case when alone then project_id end`),
    changes: jsonb().$type<readonly StoredChange[]>().notNull(),
  },
  (table) => [
    index('history_by_project').on(table.projectId, table.seq),
    index('history_by_task').on(table.taskId, table.seq).where(sql`${table.taskId} is not null`),
    index('history_by_from_project').on(table.fromProjectId, table.seq).where(sql`${table.fromProjectId} is not null`),
  ],
);

/**
 * Most entries are written with a change of the task's row. They touch no tags of their own: a write of a task would have
 * two more to fence. What reads history depends on the rows of tasks besides: see history.loaders.ts.
 */
export const historyRows = rowSets(historyEntries, {
  byTask: { columns: [historyEntries.taskId], ignoresInserts: true },
  byProject: { columns: [historyEntries.projectId], ignoresInserts: true },
  byFromProject: { columns: [historyEntries.fromProjectId], ignoresInserts: true },
  aloneByTask: { columns: [historyEntries.aloneTaskId] },
  aloneByProject: { columns: [historyEntries.aloneProjectId] },
});
