/** The lock of the parent tree of a project. Its place in the order of locks: projects/project-lock.ts. */
import { sql } from 'drizzle-orm';
import { uuids } from '../../db/by-id.js';
import type { ProjectId } from '../../db/ids.js';
import type { Transaction } from '../../engine/postgres/index.js';

/** Serializes changes of parents within a project. */
export async function lockTree(tx: Transaction, projectId: ProjectId): Promise<void> {
  await tx.execute(sql`
    select pg_advisory_xact_lock(hashtextextended(id::text, 0)) from unnest(${uuids([projectId])}) as tree(id)`);
}
