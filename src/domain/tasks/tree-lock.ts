/** The locks of the parent trees of projects. Their place in the order of locks: projects/project-lock.ts. */
import { sql } from 'drizzle-orm';
import type { ProjectId } from '../../db/ids.js';
import type { Transaction } from '../../engine/postgres/index.js';
import { inOrder } from '../projects/project-lock.js';

/** Serializes changes of parents within projects, and of the manual order. */
export async function lockTrees(tx: Transaction, projectIds: readonly ProjectId[]): Promise<void> {
  if (projectIds.length === 0) return;
  await tx.execute(sql`
    select pg_advisory_xact_lock(hashtextextended(id::text, 0)) from unnest(${inOrder(projectIds)}) as tree(id)`);
}
