/**
 * The graphs of BLOCKS and DUPLICATE_OF, which have no cycles. A cycle can lead through any projects, so one lock of
 * the installation serializes what adds to the graphs. Its place in the order of locks: projects/project-lock.ts.
 */
import { sql } from 'drizzle-orm';
import { fromUuid, type TaskId, toUuid } from '../../db/ids.js';
import type { Transaction } from '../../engine/postgres/index.js';
import { type StoredRelationType, taskRelations } from './task-relation.table.js';

/** Identifies the lock among the application's advisory locks. */
const RELATIONS_LOCK = 7203_4414;

export async function lockRelations(tx: Transaction): Promise<void> {
  await tx.execute(sql`select pg_advisory_xact_lock(${RELATIONS_LOCK})`);
}

interface Edge {
  readonly taskId: TaskId;
  readonly type: StoredRelationType;
  readonly relatedTaskId: TaskId;
}

/** A task of a cycle. */
export interface CycleStep {
  readonly id: TaskId;
}

/**
 * The cycle that a new relation would close: from its task over the related one back to the task, which is the first
 * and the last. Undefined if there is none. Requires the lock.
 */
export async function findCycle(tx: Transaction, edge: Edge): Promise<CycleStep[] | undefined> {
  const { taskId, type, relatedTaskId } = edge;
  // Each relation is followed once: the number of ways through them can be exponential.
  const rows = await tx.execute<{ id: string; previous: string | null }>(sql`
    with recursive reached(id, previous) as (
      select ${toUuid(relatedTaskId)}::uuid, null::uuid
      union
      select r.related_task_id, r.task_id
      from reached join ${taskRelations} r on r.task_id = reached.id and r.type = ${type}::task_relation_type
    )
    select id, previous from reached where exists (select from reached where id = ${toUuid(taskId)})`);
  if (rows.length === 0) return undefined;
  const previousOf = new Map(rows.map(({ id, previous }) => [id, previous]));
  const back: CycleStep[] = [];
  for (let at: string | null | undefined = toUuid(taskId); at; at = previousOf.get(at)) {
    back.push({ id: fromUuid('task', at) });
  }
  return [{ id: taskId }, ...back.reverse()];
}
