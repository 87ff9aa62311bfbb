/**
 * Moves a task to another project. It gets a new number and keeps its comments. It keeps what the target project has
 * too: labels of the same name, and an assignee who is a member there. The links to its parent and its subtasks are
 * removed.
 */
import { and, eq, inArray } from 'drizzle-orm';
import type { LabelId, ProjectId, TaskId, UserId } from '../../db/ids.js';
import { violatesUnique } from '../../db/violations.js';
import type { Transaction } from '../../engine/postgres/index.js';
import { Refusal, UserErrorCode } from '../../graphql/user-error.js';
import { labels } from '../labels/label.table.js';
import { notFound, roleOfWriter } from '../projects/access.js';
import { lockExclusive, lockShared } from '../projects/project-lock.js';
import { lockTaskWithSubtasks, projectsOf, TASK } from './task.locks.js';
import { type TaskRow, tasks } from './task.table.js';
import {
  detachSubtasks,
  isMember,
  labelIdsOfTask,
  NEXT_VERSION,
  nextNumber,
  requireVersion,
  setLabels,
} from './task.writes.js';

const TARGET = { what: 'project', path: ['input', 'projectId'] };

export async function moveTask(
  tx: Transaction,
  viewerId: UserId,
  {
    id,
    projectId: to,
    expectedVersion,
  }: { id: TaskId; projectId: ProjectId; expectedVersion?: number | null | undefined },
): Promise<TaskRow> {
  const from = (await projectsOf(tx, [id])).get(id);
  if (from === undefined) throw notFound(TASK.what, TASK.path);
  await passBoth(tx, from, to);
  const { task, parts } = await lockTaskWithSubtasks(tx, viewerId, id, from);
  await roleOfWriter(tx, viewerId, to, TARGET);
  requireVersion(task, expectedVersion);
  if (from === to) return task;
  const number = await nextNumber(tx, to);
  const kept = await labelsNamed(tx, to, await labelNames(tx, await labelIdsOfTask(tx, id)));
  // Rows that refer to the task in its old project must go before the task does.
  await setLabels(tx, task, []);
  await detachSubtasks(tx, parts);
  const arrived = await arrive(tx, task, { projectId: to, number });
  await setLabels(tx, arrived, kept);
  return arrived;
}

/**
 * Exclusive where the task is now, so writes that hold that lock find every task where they looked for it. Locks are
 * taken in the order of all project locks.
 */
async function passBoth(tx: Transaction, from: ProjectId, to: ProjectId): Promise<void> {
  if (to < from) await lockShared(tx, to);
  await lockExclusive(tx, from);
  if (to > from) await lockShared(tx, to);
}

async function arrive(
  tx: Transaction,
  { id, assigneeId }: TaskRow,
  place: { readonly projectId: ProjectId; readonly number: number },
): Promise<TaskRow> {
  const kept = assigneeId !== null && (await isMember(tx, place.projectId, assigneeId)) ? assigneeId : null;
  try {
    const [arrived] = await tx
      .update(tasks)
      .set({ ...place, parentId: null, assigneeId: kept, ...NEXT_VERSION })
      .where(eq(tasks.id, id))
      .returning();
    return arrived as TaskRow;
  } catch (error) {
    if (!violatesUnique(error, 'tasks_source')) throw error;
    throw new Refusal(UserErrorCode.CONFLICT, 'the project has a task imported from the same source', TARGET.path);
  }
}

async function labelNames(tx: Transaction, ids: readonly LabelId[]): Promise<string[]> {
  const rows = await tx
    .select({ name: labels.name })
    .from(labels)
    .where(inArray(labels.id, [...ids]));
  return rows.map(({ name }) => name);
}

/** Locks the labels now: `setLabels` would refuse one that is deleted meanwhile. */
async function labelsNamed(tx: Transaction, projectId: ProjectId, names: readonly string[]): Promise<LabelId[]> {
  const rows = await tx
    .select({ id: labels.id })
    .from(labels)
    .where(and(eq(labels.projectId, projectId), inArray(labels.name, [...names])))
    .orderBy(labels.id)
    .for('key share');
  return rows.map(({ id }) => id);
}
