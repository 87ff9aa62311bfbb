/**
 * The graphs of BLOCKS and DUPLICATE_OF, which have no cycles. A cycle can lead through any projects, so one lock of
 * the installation serializes what adds to the graphs. Its place in the order of locks: projects/project-lock.ts.
 */
import { type SQL, sql } from 'drizzle-orm';
import { uuids } from '../../db/by-id.js';
import { fromUuid, type TaskId } from '../../db/ids.js';
import type { Transaction } from '../../engine/postgres/index.js';
import { type StoredRelationType, taskRelations } from './task-relation.table.js';

/** Identifies the lock among the application's advisory locks. */
const RELATIONS_LOCK = 7203_4414;

export async function lockRelations(tx: Transaction): Promise<void> {
  await tx.execute(sql`select pg_advisory_xact_lock(${RELATIONS_LOCK})`);
}

/** A relation as it is stored: RELATES_TO begins at the smaller id. */
export interface Relation {
  readonly taskId: TaskId;
  readonly type: StoredRelationType;
  readonly relatedTaskId: TaskId;
}

/** A relation of either direction as it is stored. */
export function inStoredOrder({ taskId, type, relatedTaskId }: Relation): Relation {
  const isReversed = type === 'RELATES_TO' && relatedTaskId < taskId;
  return isReversed ? { taskId: relatedTaskId, type, relatedTaskId: taskId } : { taskId, type, relatedTaskId };
}

/** Tasks that a search for a cycle follows. Each has up to MAX_RELATIONS relations of the kind. */
export const MAX_REACHED = 2000;

/**
 * The cycle that a new relation would close: from its task over the related one back to the task, which is the first
 * and the last. Undefined if there is none, `unknown` if too many tasks would have to be searched. Requires the lock.
 */
export async function findCycle(tx: Transaction, relation: Relation): Promise<TaskId[] | 'unknown' | undefined> {
  const { taskId, type, relatedTaskId } = relation;
  const reached = await reachedAmong(tx, { from: relatedTaskId, type, ids: [taskId] });
  if (reached === 'unknown') return 'unknown';
  return reached.has(taskId) ? pathOf(tx, relation) : undefined;
}

interface Search {
  readonly from: TaskId;
  readonly type: StoredRelationType;
  readonly ids: readonly TaskId[];
}

/** The tasks among `ids` that relations lead to, `unknown` if they lead to too many tasks. Requires the lock. */
export async function reachedAmong(
  tx: Transaction,
  { from, type, ids }: Search,
): Promise<ReadonlySet<TaskId> | 'unknown'> {
  const [found] = await tx.execute<{ count: number; ids: string[] | null }>(sql`
    ${reachedSql([from], type)}, some_reached as materialized (select id from reached limit ${MAX_REACHED + 1})
    select count(*)::int as count, array_agg(id) filter (where id = any(${uuids(ids)})) as ids from some_reached`);
  if (found === undefined || found.count > MAX_REACHED) return 'unknown';
  return new Set((found.ids ?? []).map((id) => fromUuid('task', id)));
}

/** A WITH clause. Each task is followed once: the number of ways to it can be exponential. */
export function reachedSql(from: readonly TaskId[], type: StoredRelationType): SQL {
  return sql`with recursive reached(id) as (
    select unnest(${uuids(from)})
    union
    select r.related_task_id
    from reached join ${taskRelations} r on r.task_id = reached.id and r.type = ${type}::task_relation_type
  )`;
}

/** One of the ways back. There is no cycle yet, so each ends at the related task. */
async function pathOf(tx: Transaction, { taskId, type, relatedTaskId }: Relation): Promise<TaskId[]> {
  const rows = await tx.execute<{ id: string; previous: string }>(sql`
    ${reachedSql([relatedTaskId], type)}
    select distinct on (r.related_task_id) r.related_task_id as id, r.task_id as previous
    from reached join ${taskRelations} r on r.task_id = reached.id and r.type = ${type}::task_relation_type`);
  const previousOf = new Map(rows.map(({ id, previous }) => [fromUuid('task', id), fromUuid('task', previous)]));
  const back: TaskId[] = [];
  for (let at: TaskId | undefined = taskId; at && back.length <= rows.length; at = previousOf.get(at)) {
    back.push(at);
  }
  return [taskId, ...back.reverse()];
}
