/**
 * Rules and rows of a change, for writes that already hold the task's lock (task.locks.ts). All checks come before the
 * first row is written.
 */
import { and, eq, inArray, sql } from 'drizzle-orm';
import { changedFields } from '../../db/differences.js';
import { type LabelId, type ProjectId, type TaskId, toUuid, type UserId } from '../../db/ids.js';
import type { Transaction } from '../../engine/postgres/index.js';
import { preparedIn, runThenReadTags } from '../../engine/postgres/index.js';
import { Refusal, UserErrorCode } from '../../graphql/user-error.js';
import { labels } from '../labels/label.table.js';
import { projectMembers, taskNumbers } from '../projects/project.table.js';
import { LABELLED_TASK, type LabelledTask, taskById } from './task.loaders.js';
import { MAX_LABELS, type TaskRow, taskLabels, tasks } from './task.table.js';

type Changed = 'title' | 'description' | 'status' | 'priority' | 'assigneeId' | 'parentId' | 'dueDate';
export type Changes = { [C in Changed]?: TaskRow[C] | undefined };

/** Columns that every change of a task sets. */
export const NEXT_VERSION = { version: sql`${tasks.version} + 1`, updatedAt: sql`now()` };

/** @throws Refusal CONFLICT with the current task */
export function requireVersion(task: TaskRow, expected: number | null | undefined): void {
  if (expected === undefined || expected === null || expected === task.version) return;
  const message = `expected version ${expected}, but the task has version ${task.version}`;
  throw new Refusal(UserErrorCode.CONFLICT, message, ['input', 'expectedVersion'], task);
}

/**
 * Writes the fields that differ, and the labels if given. A change without effect leaves the row, its version and all
 * caches untouched.
 */
export async function applyChanges(
  tx: Transaction,
  task: TaskRow,
  changes: Changes,
  labelIds?: readonly LabelId[] | undefined,
): Promise<TaskRow> {
  const different = changedFields(task, changes);
  if (different !== undefined) await requireReferences(tx, task.projectId, different, task.id);
  const relabelled = labelIds !== undefined && (await setLabels(tx, task, labelIds, requireFewLabels));
  if (different === undefined && !relabelled) return task;
  const [updated] = await runThenReadTags(tx, update(tx, task.id, different ?? {}), ([value]) => [
    { source: taskById, arg: task.id, value },
  ]);
  return updated as LabelledTask;
}

/** The statement's text is the same for each set of columns. */
function update(tx: Transaction, id: TaskId, changes: Changes) {
  const { status } = changes;
  const columns = Object.entries(changes).map(([column, value]) => ({
    column,
    name: value === null ? `no ${column}` : column,
    value: value === null ? null : sql.placeholder(column),
  }));
  const completion = status === undefined ? {} : { completedAt: status === 'DONE' ? sql`now()` : null };
  const names = columns.map(({ name }) => name).join();
  const statement = preparedIn(tx, `update_task:${names}${status === 'DONE' ? ':done' : ''}`, (at, name) =>
    at
      .update(tasks)
      .set({
        ...Object.fromEntries(columns.map(({ column, value }) => [column, value])),
        ...completion,
        ...NEXT_VERSION,
      })
      .where(eq(tasks.id, sql.placeholder('id')))
      .returning(LABELLED_TASK)
      .prepare(name),
  );
  return statement.execute({ id: toUuid(id), ...changes });
}

/**
 * @throws Refusal if the assignee is not a member, or the parent is in another project or is a subtask of the task
 * itself
 */
export async function requireReferences(
  tx: Transaction,
  projectId: ProjectId,
  { assigneeId, parentId }: Changes,
  id?: TaskId,
): Promise<void> {
  if (assigneeId && !(await isMember(tx, projectId, assigneeId))) {
    throw new Refusal(UserErrorCode.INVALID, 'expected a member of the project', ['input', 'assigneeId']);
  }
  if (!parentId) return;
  const [parent] = await tx
    .select({ id: tasks.id })
    .from(tasks)
    .where(and(eq(tasks.id, parentId), eq(tasks.projectId, projectId)))
    .for('share');
  if (parent === undefined)
    throw new Refusal(UserErrorCode.INVALID, 'expected a task of the same project', ['input', 'parentId']);
  if (id !== undefined && (await isDescendant(tx, parentId, id))) {
    throw new Refusal(UserErrorCode.INVALID, 'expected a task that is neither this one nor one of its subtasks', [
      'input',
      'parentId',
    ]);
  }
}

/** Locks the membership, so the member is not removed meanwhile. */
export async function isMember(tx: Transaction, projectId: ProjectId, userId: UserId): Promise<boolean> {
  const { projectId: project, userId: user } = projectMembers;
  const statement = preparedIn(tx, 'hold_member', (at, name) =>
    at
      .select({ user })
      .from(projectMembers)
      .where(and(eq(project, sql.placeholder('projectId')), eq(user, sql.placeholder('userId'))))
      .for('share')
      .prepare(name),
  );
  const [member] = await statement.execute({ projectId: toUuid(projectId), userId: toUuid(userId) });
  return member !== undefined;
}

/** Whether `id` is `ancestor` or one of its subtasks, at any depth. */
async function isDescendant(tx: Transaction, id: TaskId, ancestor: TaskId): Promise<boolean> {
  const [found] = await tx.execute<{ below: boolean }>(sql`
    with recursive up as (
      select ${tasks.id} as id, ${tasks.parentId} as parent_id from ${tasks} where ${eq(tasks.id, id)}
      union
      select t.id, t.parent_id from ${tasks} t join up on t.id = up.parent_id
    )
    select exists (select from up where ${eq(sql`id`, sql.param(ancestor, tasks.id))}) as below`);
  return found?.below ?? false;
}

export async function nextNumber(tx: Transaction, projectId: ProjectId): Promise<number> {
  const [counter] = await tx
    .insert(taskNumbers)
    .values({ projectId, last: 1 })
    .onConflictDoUpdate({ target: taskNumbers.projectId, set: { last: sql`${taskNumbers.last} + 1` } })
    .returning();
  return (counter as { last: number }).last;
}

export async function labelIdsOfTask(tx: Transaction, taskId: TaskId): Promise<LabelId[]> {
  const rows = await tx.select({ id: taskLabels.labelId }).from(taskLabels).where(eq(taskLabels.taskId, taskId));
  return rows.map(({ id }) => id);
}

/**
 * A task imported before the limit existed may exceed it. It can keep its labels and lose some.
 * @throws Refusal
 */
function requireFewLabels(before: readonly LabelId[], wanted: ReadonlySet<LabelId>): void {
  if (wanted.size <= Math.max(MAX_LABELS, before.length)) return;
  const message = `expected at most ${MAX_LABELS} labels on a task, got ${wanted.size}`;
  throw new Refusal(UserErrorCode.INVALID, message, ['input', 'labelIds']);
}

/**
 * Gives the task exactly these labels.
 * @param check validates the new labels against the current ones
 * @returns whether the labels changed
 * @throws Refusal if a label is not of the task's project; errors of `check`
 */
export async function setLabels(
  tx: Transaction,
  { id: taskId, projectId }: Pick<TaskRow, 'id' | 'projectId'>,
  labelIds: readonly LabelId[],
  check?: (before: readonly LabelId[], wanted: ReadonlySet<LabelId>) => void,
): Promise<boolean> {
  const before = await labelIdsOfTask(tx, taskId);
  const wanted = new Set(labelIds);
  check?.(before, wanted);
  const dropped = before.filter((id) => !wanted.has(id));
  const added = [...wanted].filter((id) => !before.includes(id));
  if (added.length > 0) await holdLabels(tx, projectId, added);
  if (dropped.length > 0) {
    await tx.delete(taskLabels).where(and(eq(taskLabels.taskId, taskId), inArray(taskLabels.labelId, dropped)));
  }
  if (added.length > 0) {
    await tx.insert(taskLabels).values(added.map((labelId) => ({ projectId, taskId, labelId })));
  }
  return dropped.length + added.length > 0;
}

/** Locks labels before rows that reference them; deleting a label takes locks in the same order. */
async function holdLabels(tx: Transaction, projectId: ProjectId, ids: readonly LabelId[]): Promise<void> {
  const known = await tx
    .select({ id: labels.id })
    .from(labels)
    .where(and(eq(labels.projectId, projectId), inArray(labels.id, [...ids])))
    .orderBy(labels.id)
    .for('key share');
  if (known.length < ids.length) {
    throw new Refusal(UserErrorCode.INVALID, 'expected labels of the project', ['input', 'labelIds']);
  }
}

/** Removes the parent of these subtasks, because the parent is about to go. */
export async function detachSubtasks(tx: Transaction, parts: readonly TaskId[]): Promise<void> {
  if (parts.length === 0) return;
  await tx
    .update(tasks)
    .set({ parentId: null, ...NEXT_VERSION })
    .where(inArray(tasks.id, [...parts]));
}

/** Unassigns every task of a former member. Requires the exclusive project lock. */
export async function unassign(tx: Transaction, projectId: ProjectId, userId: UserId): Promise<void> {
  await tx
    .update(tasks)
    .set({ assigneeId: null, ...NEXT_VERSION })
    .where(and(eq(tasks.projectId, projectId), eq(tasks.assigneeId, userId)));
}
