/**
 * Brings back the relations of a task that is restored, as far as its related tasks exist, no cycle comes about and no
 * task has too many.
 */
import { inArray, type SQL, sql } from 'drizzle-orm';
import { fromUuid, type TaskId, toUuid } from '../../db/ids.js';
import type { Transaction } from '../../engine/postgres/index.js';
import { lockTaskRows } from '../tasks/task.row-locks.js';
import { tasks } from '../tasks/task.table.js';
import { lockRelations, reachedAmong } from '../tasks/task-relation.graph.js';
import { MAX_RELATIONS, type StoredRelationType, taskRelations } from '../tasks/task-relation.table.js';
import { type TrashedRelation, trashedTasks } from './trashed-task.table.js';

interface TrashedRelations {
  readonly id: TaskId;
  readonly relations: readonly TrashedRelation[];
}

/**
 * The task is in its table again, and still in the trash: history does not list what comes from there. Related tasks
 * that are in the trash themselves find the task when they are restored.
 */
export async function restoreRelations(tx: Transaction, { id, relations }: TrashedRelations): Promise<void> {
  if (relations.length === 0) return;
  const others = relations.map(({ task, related }) => fromUuid('task', task === toUuid(id) ? related : task));
  const isComplete = await lockOthers(tx, others);
  await lockRelations(tx);
  await insertAll(tx, id, relations);
  await handOver(tx, id, relations);
  if (isComplete) return;
  // A task that was being restored has left the trash while the relations waited for its row there.
  await lockOthers(tx, others);
  await insertAll(tx, id, relations);
}

/** Keeps the tasks from being deleted. @returns whether all exist */
async function lockOthers(tx: Transaction, ids: readonly TaskId[]): Promise<boolean> {
  const where = inArray(tasks.id, [...ids]);
  const found = await lockTaskRows(tx, 'key share', { fields: ['id'], where });
  return found.length === new Set(ids).size;
}

/** Those that exist stay. */
async function insertAll(tx: Transaction, id: TaskId, relations: readonly TrashedRelation[]): Promise<void> {
  const own = toUuid(id);
  const of = (type: StoredRelationType, end: 'task' | 'related') =>
    relations.filter((relation) => relation.type === type && relation[end] === own);
  // To a task without relations: they close no cycle, also if some end at the task already.
  await insertRelations(tx, id, [...relations.filter(({ task }) => task === own), ...of('RELATES_TO', 'related')]);
  // Those that begin at the task are there, so a cycle would lead from it to the task that the relation begins at.
  for (const type of ['BLOCKS', 'DUPLICATE_OF'] as const) {
    await insertRelations(tx, id, await withoutCycles(tx, id, of(type, 'related')));
  }
}

/** @param relations of one kind, which end at the task */
async function withoutCycles(
  tx: Transaction,
  id: TaskId,
  relations: readonly TrashedRelation[],
): Promise<readonly TrashedRelation[]> {
  const [first] = relations;
  if (first === undefined) return [];
  const ids = relations.map(({ task }) => fromUuid('task', task));
  const reached = await reachedAmong(tx, { from: id, type: first.type, ids });
  return reached === 'unknown' ? [] : relations.filter((_, i) => !reached.has(ids[i] as TaskId));
}

/**
 * A task that has become a duplicate of another one meanwhile stays that, and one that has MAX_RELATIONS of a kind gets
 * no more.
 * @param relations that begin or end at the task; those of one type all do the same
 */
async function insertRelations(tx: Transaction, id: TaskId, relations: readonly TrashedRelation[]): Promise<void> {
  if (relations.length === 0) return;
  await tx.execute(sql`
    insert into ${taskRelations} (task_id, type, related_task_id, project_id, related_project_id)
    select task_id, type, related_task_id, project_id, related_project_id from (
      select a.id as task_id, k.type, b.id as related_task_id, a.project_id, b.project_id as related_project_id,
        case a.id when ${toUuid(id)} then counts.begin else counts.end end
          + row_number() over (partition by k.type order by a.id, b.id) as count
      from ${recordsSql(relations)} join ${tasks} a on a.id = r.task join ${tasks} b on b.id = r.related
        cross join lateral (select r.type::task_relation_type as type) as k
        cross join lateral (select ${countSql('begin')} as begin, ${countSql('end')} as end) as counts
      where greatest(counts.begin, counts.end) < ${MAX_RELATIONS} and not exists (
        select from ${taskRelations} o where (o.task_id, o.type, o.related_task_id) = (a.id, k.type, b.id))
    ) as missing
    where count <= ${MAX_RELATIONS}
    on conflict do nothing`);
}

/** How many relations of the type `k` begin at the task `a`, or end at the task `b`. RELATES_TO does both. */
function countSql(side: 'begin' | 'end'): SQL {
  const [task, own, other] =
    side === 'begin' ? ['a', 'task_id', 'related_task_id'] : ['b', 'related_task_id', 'task_id'];
  const count = (column: string) =>
    sql.raw(`(select count(*) from task_relations o where o.${column} = ${task}.id and o.type = k.type)`);
  return sql`${count(own)} + case k.type when 'RELATES_TO' then ${count(other)} else 0 end`;
}

async function handOver(tx: Transaction, id: TaskId, relations: readonly TrashedRelation[]): Promise<void> {
  await tx.execute(sql`
    update ${trashedTasks} t set relations = t.relations || r.missing
    from (
      select case when r.task = ${toUuid(id)}::uuid then r.related else r.task end as other, jsonb_agg(to_jsonb(r)) as missing
      from ${recordsSql(relations)} group by 1
    ) as r
    where t.id = r.other and not t.relations @> r.missing`);
}

function recordsSql(relations: readonly TrashedRelation[]): SQL {
  return sql`jsonb_to_recordset(${JSON.stringify(relations)}::text::jsonb) as r(task uuid, type text, related uuid)`;
}
