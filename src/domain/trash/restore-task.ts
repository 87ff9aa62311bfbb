/**
 * Brings a task back from the trash with what still fits: labels that exist, assignees who are members, a parent in
 * the project, subtasks that have no other parent, and relations to tasks that exist.
 */
import { and, asc, eq, getTableColumns, inArray, type SQL, sql } from 'drizzle-orm';
import type { PgTable } from 'drizzle-orm/pg-core';
import { batchesOf, uuids } from '../../db/by-id.js';
import { fromUuid, type LabelId, type ProjectId, type TaskId, toUuid } from '../../db/ids.js';
import { violatesUnique } from '../../db/violations.js';
import { MAX_ROWS_NAMED, type Transaction } from '../../engine/postgres/index.js';
import { Refusal, UserErrorCode } from '../../graphql/user-error.js';
import { comments } from '../comments/comment.table.js';
import { labels } from '../labels/label.table.js';
import { ancestorsOf, membersAmong } from '../tasks/task.references.js';
import { lockTaskRows } from '../tasks/task.row-locks.js';
import { type TaskRow, taskLabels, tasks } from '../tasks/task.table.js';
import { NEXT_VERSION } from '../tasks/task.writes.js';
import { lockTrees } from '../tasks/tree-lock.js';
import { restoreRelations } from './restore-relations.js';
import { type TrashedRelation, trashedComments, trashedTasks } from './trashed-task.table.js';

/** The references of a task in the trash. Any of them may be gone. Ids of the task's own columns are UUIDs. */
export interface TrashedReferences {
  readonly id: TaskId;
  readonly projectId: ProjectId;
  readonly labelIds: readonly string[];
  readonly subtaskIds: readonly string[];
  readonly relations: readonly TrashedRelation[];
  readonly parentId: string | null;
  /** In order. */
  readonly assigneeIds: readonly string[];
}

/** Requires the exclusive project lock, and a lock on the row in the trash. @throws Refusal CONFLICT */
export async function restoreTask(tx: Transaction, trashed: TrashedReferences): Promise<TaskRow> {
  const { id, projectId } = trashed;
  const assigneeIds = await currentAssignees(tx, trashed);
  await lockTrees(tx, [projectId]);
  const { parentId, subtaskIds } = await currentRelatives(tx, trashed);
  const labelIds = await currentLabels(tx, trashed);
  await insertTask(tx, id, { parentId, assigneeIds });
  if (labelIds.length > 0) {
    await tx.insert(taskLabels).values(labelIds.map((labelId) => ({ projectId, taskId: id, labelId })));
  }
  await insertComments(tx, id);
  for (const some of batchesOf(subtaskIds)) {
    await tx
      .update(tasks)
      .set({ parentId: id, ...NEXT_VERSION })
      .where(inArray(tasks.id, some));
  }
  await restoreRelations(tx, trashed);
  await linkInTrash(tx, trashed);
  await tx.delete(trashedTasks).where(eq(trashedTasks.id, id)); // and with it its comments there
  const [task] = await tx.select().from(tasks).where(eq(tasks.id, id));
  return task as TaskRow;
}

async function currentAssignees(tx: Transaction, { projectId, assigneeIds }: TrashedReferences): Promise<string[]> {
  const userIds = assigneeIds.map((uuid) => fromUuid('user', uuid));
  return (await membersAmong(tx, projectId, userIds)).map(toUuid);
}

/** Locks the relatives. No subtask is among the parent's ancestors, or the tree would become a cycle. */
async function currentRelatives(tx: Transaction, { projectId, parentId, subtaskIds }: TrashedReferences) {
  const ids = [...subtaskIds, ...(parentId === null ? [] : [parentId])].map((uuid) => fromUuid('task', uuid));
  const known = await lockTaskRows(tx, 'update', {
    fields: ['id', 'parentId'],
    where: and(eq(tasks.projectId, projectId), inArray(tasks.id, ids)),
  });
  const parent = known.find(({ id }) => toUuid(id) === parentId)?.id;
  const above = parent === undefined ? undefined : await ancestorsOf(tx, parent);
  const free = known.filter((task) => task.id !== parent && task.parentId === null && !above?.has(task.id));
  return { parentId: parent === undefined ? null : parentId, subtaskIds: free.map(({ id }) => id) };
}

/** Locks labels before rows that reference them; deleting a label takes locks in the same order. */
async function currentLabels(tx: Transaction, { projectId, labelIds }: TrashedReferences): Promise<LabelId[]> {
  const ids = labelIds.map((uuid) => fromUuid('label', uuid));
  const known = await tx
    .select({ id: labels.id })
    .from(labels)
    .where(and(eq(labels.projectId, projectId), inArray(labels.id, ids)))
    .orderBy(asc(labels.id))
    .for('key share');
  return known.map(({ id }) => id);
}

async function insertTask(
  tx: Transaction,
  id: TaskId,
  { parentId, assigneeIds }: { parentId: string | null; assigneeIds: readonly string[] },
): Promise<void> {
  const [assigneeId = null, ...others] = assigneeIds;
  const columns = await columnsOf(tx, tasks, sql`select task as row from ${trashedTasks} where id = ${toUuid(id)}`);
  try {
    await tx.execute(sql`
      insert into ${tasks} (${columns}) select ${columns}
      from (select restored.* from ${trashedTasks} t, jsonb_populate_record(null::tasks, t.task || jsonb_build_object(
        'parent_id', ${parentId}::uuid, 'assignee_id', ${assigneeId}::uuid,
        'other_assignee_ids', ${`{${others.join(',')}}`}::uuid[],
        'version', (t.task->>'version')::int + 1, 'updated_at', now())) as restored
      where t.id = ${toUuid(id)}) as task`);
  } catch (error) {
    if (!violatesUnique(error, 'tasks_source')) throw error;
    const message = 'the project has a task imported from the same source';
    throw new Refusal(UserErrorCode.CONFLICT, message, ['input', 'id']);
  }
}

async function insertComments(tx: Transaction, taskId: TaskId): Promise<void> {
  const stored = sql`select comment as row from ${trashedComments} where task_id = ${toUuid(taskId)} limit 1`;
  const columns = await columnsOf(tx, comments, stored);
  if (columns === undefined) return;
  const insertAfter = (id: string) =>
    tx.execute<{ id: string }>(sql`
      insert into ${comments} (${columns}) select ${columns}
      from (select restored.* from ${trashedComments} t, jsonb_populate_record(null::comments, t.comment) as restored
        where t.task_id = ${toUuid(taskId)} and t.id > ${id}::uuid order by t.id limit ${MAX_ROWS_NAMED}) as comment
      returning id`);
  let inserted = await insertAfter(NIL);
  while (inserted.length === MAX_ROWS_NAMED) {
    const last = inserted
      .map(({ id }) => id)
      .sort()
      .at(-1);
    inserted = await insertAfter(last as string);
  }
}

/** Before all ids. */
const NIL = '00000000-0000-0000-0000-000000000000';

/**
 * The columns of a row in the trash. Those that were added to the table since are not among them, and take their
 * defaults. Undefined if there is no such row.
 */
async function columnsOf(tx: Transaction, table: PgTable, stored: SQL): Promise<SQL | undefined> {
  const [found] = await tx.execute<{ names: string[] }>(
    sql`select array(select jsonb_object_keys(stored.row)) as names from (${stored}) as stored`,
  );
  if (found === undefined) return undefined;
  const columns = Object.values(getTableColumns(table)).filter(({ name }) => found.names.includes(name));
  return sql.join(
    columns.map(({ name }) => sql.identifier(name)),
    sql`, `,
  );
}

/** Relatives that are in the trash themselves find the task when they are restored. */
async function linkInTrash(tx: Transaction, { id, projectId, parentId, subtaskIds }: TrashedReferences): Promise<void> {
  const ids = subtaskIds.map((uuid) => fromUuid('task', uuid));
  await tx.execute(sql`
    update ${trashedTasks} set task = jsonb_set(task, '{parent_id}', to_jsonb(${toUuid(id)}::uuid))
    where id = any(${uuids(ids)}) and project_id = ${toUuid(projectId)} and task->>'parent_id' is null`);
  if (parentId === null) return;
  await tx.execute(sql`
    update ${trashedTasks} set subtask_ids = subtask_ids || ${toUuid(id)}::uuid
    where id = ${parentId}::uuid and project_id = ${toUuid(projectId)}`);
}
