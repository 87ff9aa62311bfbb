/**
 * A project's gate. Every write of its data goes through it, any number at a time; what changes who may write, or whether
 * anybody may, or which tasks are the project's, goes through alone. So a right that a write has read holds until it commits, and nobody has
 * to think of writes under way.
 *
 * The order in which all writes take their locks, so that no two can wait for each other: gates by the project's id, memberships,
 * the tree of parents (task.locks.ts), tasks by id, the counter of numbers, labels by id, what hangs on them.
 *
 * Advisory locks, because Postgres queues those fairly: with row locks a stream of writes, each of which may pass those before it, would
 * keep out for ever whoever wants to archive the project.
 */
import { type SQL, sql } from 'drizzle-orm';
import { uuids } from '../../db/by-id.js';
import type { ProjectId } from '../../db/ids.js';
import type { Transaction } from '../../engine/postgres/index.js';

/** Tells gates from the application’s other advisory locks that are named by a project. Migration 0008 names it, too. */
const GATE = sql.raw('1');

/** Passes the gate of a project until the transaction ends; for statements that find out which project it is. */
export const sharedLockSql = (projectId: SQL) =>
  sql`pg_advisory_xact_lock_shared(hashtextextended(${projectId}::text, ${GATE}))`;

/** Until the transaction ends. Ids of one kind sort as their UUIDs do. */
export async function lockShared(tx: Transaction, projectId: ProjectId): Promise<void> {
  await tx.execute(sql`select ${sharedLockSql(sql`id`)} from unnest(${uuids([projectId])}) as gate(id)`);
}

/** Alone, until the transaction ends. */
export async function lockExclusive(tx: Transaction, projectId: ProjectId): Promise<void> {
  await tx.execute(sql`
    select pg_advisory_xact_lock(hashtextextended(id::text, ${GATE})) from unnest(${uuids([projectId])}) as gate(id)`);
}
