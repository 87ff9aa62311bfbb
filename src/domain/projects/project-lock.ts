/**
 * The project lock. Every write of a project's data takes it shared. Writes that change permissions, archive the
 * project or move tasks out of it take it exclusively. A permission that a write has checked therefore holds until it
 * commits.
 *
 * All writes take their locks in one order, so that few can deadlock: project locks by project id, memberships, the
 * parent tree (tasks/tree-lock.ts), tasks by id, labels by id, the number counter, documents of tasks
 * (tasks/task-document.table.ts), the graph of relations (tasks/task-relation.graph.ts), then rows that depend on them.
 *
 * Relations are the exception. Writes of them, deletions, restores and moves of related tasks also lock other tasks, of
 * any project, or their rows in the trash, after locks that come later in this order. Two of them can deadlock:
 * Postgres rolls one back, and it is tried again (engine/postgres/conflicts.ts).
 *
 * These are advisory locks because Postgres queues them fairly. With row locks, a steady stream of shared lockers could
 * delay an exclusive one forever.
 */
import { type SQL, sql } from 'drizzle-orm';
import { uuids } from '../../db/by-id.js';
import type { ProjectId } from '../../db/ids.js';
import type { Transaction } from '../../engine/postgres/index.js';

/** Distinguishes project locks from other advisory locks on a project. Migration 0003 contains the same number. */
const PROJECT_LOCK = sql.raw('1');

/**
 * SQL that takes the project lock, shared, until the transaction ends; for statements that look up the project
 * themselves.
 */
export const sharedLockSql = (projectId: SQL) =>
  sql`pg_advisory_xact_lock_shared(hashtextextended(${projectId}::text, ${PROJECT_LOCK}))`;

/** Takes the locks shared until the transaction ends. */
export async function lockShared(tx: Transaction, ...projectIds: readonly ProjectId[]): Promise<void> {
  await tx.execute(sql`select ${sharedLockSql(sql`id`)} from unnest(${inOrder(projectIds)}) as gate(id)`);
}

/** The ids in the order of locks. Ids of one type sort like their UUIDs. */
export function inOrder(projectIds: readonly ProjectId[]): SQL {
  return uuids([...new Set(projectIds)].sort());
}

/** Takes the lock exclusively until the transaction ends. */
export async function lockExclusive(tx: Transaction, projectId: ProjectId): Promise<void> {
  await tx.execute(sql`
    select pg_advisory_xact_lock(hashtextextended(id::text, ${PROJECT_LOCK})) from unnest(${uuids([projectId])}) as gate(id)`);
}
