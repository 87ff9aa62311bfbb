/** The SQL statements of an import that write relations. */
import { or, sql } from 'drizzle-orm';
import { uuids } from '../../db/by-id.js';
import { fromUuid, type ProjectId, type TaskId, toUuid } from '../../db/ids.js';
import type { Transaction } from '../../engine/postgres/index.js';
import { lockTaskRows } from '../tasks/task.row-locks.js';
import { tasks } from '../tasks/task.table.js';
import { type Relation, reachedSql } from '../tasks/task-relation.graph.js';
import { MAX_RELATIONS, type StoredRelationType, taskRelations } from '../tasks/task-relation.table.js';
import { chunksOf, ROWS_PER_STATEMENT, recordset } from './import.repository.js';

/** Each relation changes two tasks, and triggers name at most `ROWS_PER_STATEMENT` tasks one by one. */
const RELATIONS_PER_STATEMENT = ROWS_PER_STATEMENT / 2;

export interface StoredRelation extends Relation {
  readonly projectId: ProjectId;
  readonly relatedProjectId: ProjectId;
}

/** The relations that begin or end at one of the tasks. */
export function relationsOfTasks(tx: Transaction, taskIds: readonly TaskId[]): Promise<StoredRelation[]> {
  const { taskId, type, relatedTaskId, projectId, relatedProjectId } = taskRelations;
  const ids = uuids(taskIds);
  return tx
    .select({ taskId, type, relatedTaskId, projectId, relatedProjectId })
    .from(taskRelations)
    .where(or(sql`${taskId} = any(${ids})`, sql`${relatedTaskId} = any(${ids})`));
}

/** The locks also bring the events of these tasks into the order of commits. */
export async function lockRelatedTasks(tx: Transaction, ids: readonly TaskId[]): Promise<void> {
  if (ids.length === 0) return;
  await lockTaskRows(tx, 'no key update', { fields: ['id'], where: sql`${tasks.id} = any(${uuids(ids)})` });
}

export async function deleteRelations(tx: Transaction, relations: readonly Relation[]): Promise<void> {
  for (const chunk of chunksOf(relations, RELATIONS_PER_STATEMENT)) {
    const given = chunk.map(({ taskId, type, relatedTaskId }) => ({
      task_id: toUuid(taskId),
      type,
      related_task_id: toUuid(relatedTaskId),
    }));
    await tx.execute(sql`
      delete from task_relations r
      using ${recordset(given, sql`task_id uuid, type task_relation_type, related_task_id uuid`)}
      where r.task_id = given.task_id and r.type = given.type and r.related_task_id = given.related_task_id`);
  }
}

/** @param relations between tasks of the project */
export async function insertRelations(
  tx: Transaction,
  projectId: ProjectId,
  relations: readonly Relation[],
): Promise<void> {
  for (const chunk of chunksOf(relations, RELATIONS_PER_STATEMENT)) {
    const rows = chunk.map(({ taskId, type, relatedTaskId }) => ({ taskId, type, relatedTaskId }));
    const inProject = { projectId, relatedProjectId: projectId };
    await tx
      .insert(taskRelations)
      .values(rows.map((row) => ({ ...row, ...inProject })))
      .onConflictDoNothing();
  }
}

/**
 * These tasks and those that relations of a type lead to, each with the tasks to which it leads itself. Undefined if
 * there are more than `maxTasks`. Requires the lock of the graph.
 */
export async function reachedFrom(
  tx: Transaction,
  {
    ids,
    type,
    maxTasks,
  }: { readonly ids: readonly TaskId[]; readonly type: StoredRelationType; readonly maxTasks: number },
): Promise<Map<TaskId, TaskId[]> | undefined> {
  const rows = await tx.execute<{ id: string; next: string[] }>(sql`
    ${reachedSql(ids, type)}, some_reached as materialized (select id from reached limit ${maxTasks + 1})
    select s.id, array(
      select r.related_task_id from task_relations r where r.task_id = s.id and r.type = ${type}::task_relation_type
      order by 1) as next
    from some_reached s`);
  if (rows.length > maxTasks) return undefined;
  return new Map(rows.map(({ id, next }) => [fromUuid('task', id), next.map((uuid) => fromUuid('task', uuid))]));
}

/** One of the tasks that have more relations of a kind than a task may have. */
export async function findOverloaded(
  tx: Transaction,
  taskIds: readonly TaskId[],
): Promise<{ readonly id: TaskId; readonly type: StoredRelationType } | undefined> {
  const ids = uuids(taskIds);
  const [found] = await tx.execute<{ id: string; type: StoredRelationType }>(sql`
    select id, type from (
      select task_id as id, type, type <> 'RELATES_TO' as is_start from task_relations where task_id = any(${ids})
      union all
      select related_task_id, type, false from task_relations where related_task_id = any(${ids})
    ) as ends
    group by id, type, is_start having count(*) > ${MAX_RELATIONS} order by id, type limit 1`);
  return found && { id: fromUuid('task', found.id), type: found.type };
}
