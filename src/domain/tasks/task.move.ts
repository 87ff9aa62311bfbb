/**
 * Moves a task to another project. It gets a new number and keeps its comments. It keeps what the target project has
 * too: labels of the same name, and assignees who are members there. The links to its parent and its subtasks are
 * removed, and it takes the place of its new number in the manual order.
 */
import { and, eq, inArray } from 'drizzle-orm';
import type { z } from 'zod';
import type { LabelId, ProjectId, TaskId, UserId } from '../../db/ids.js';
import { violatesUnique } from '../../db/violations.js';
import type { Transaction } from '../../engine/postgres/index.js';
import { Faults, type Form } from '../../graphql/form.js';
import { Refusal, UserErrorCode } from '../../graphql/user-error.js';
import { labels } from '../labels/label.table.js';
import { notFound, roleOfWriter } from '../projects/access.js';
import { lockExclusive, lockShared } from '../projects/project-lock.js';
import { assigneeColumns, assigneeIdsOf } from './assignee-columns.js';
import type { moveTaskForm } from './task.forms.js';
import { labelIdsOfTasks, relabel } from './task.labels.js';
import { lockTaskWithSubtasks, projectsOf, TASK } from './task.locks.js';
import { membersAmong } from './task.references.js';
import { type TaskRow, tasks } from './task.table.js';
import { detachSubtasks, NEXT_VERSION, takeNumbers, versionConflict } from './task.writes.js';

type Locked = Awaited<ReturnType<typeof lockTaskWithSubtasks>>;

const TARGET = { what: 'project', path: ['input', 'projectId'] };

export async function moveTask(
  tx: Transaction,
  viewerId: UserId,
  form: Form<z.output<typeof moveTaskForm>>,
): Promise<TaskRow> {
  const faults = new Faults(form);
  const { id, projectId: to, expectedVersion } = form.fields;
  const from = id && (await projectsOf(tx, [id])).get(id);
  await passBoth(tx, from, to);
  const found = id && (await faults.check(() => lockMoving(tx, viewerId, { id, from })));
  if (to) await faults.check(() => roleOfWriter(tx, viewerId, to, TARGET));
  faults.add(found && versionConflict(found.task, expectedVersion));
  const target = faults.complete(form).projectId;
  const { task, parts } = found as Locked;
  return from === target ? task : transfer(tx, task, { parts, to: target });
}

async function lockMoving(
  tx: Transaction,
  viewerId: UserId,
  { id, from }: { readonly id: TaskId; readonly from: ProjectId | undefined },
): Promise<Locked> {
  if (from === undefined) throw notFound(TASK.what, TASK.path);
  return lockTaskWithSubtasks(tx, viewerId, id, from);
}

/** Checks are done, and locks held except those of labels and of the number counter. */
async function transfer(
  tx: Transaction,
  task: TaskRow,
  { parts, to }: { readonly parts: readonly TaskId[]; readonly to: ProjectId },
): Promise<TaskRow> {
  const [dropped = []] = await labelIdsOfTasks(tx, [task.id]);
  const added = await labelsNamed(tx, to, await labelNames(tx, dropped));
  const number = (await takeNumbers(tx, new Map([[to, 1]]))).get(to) as number;
  // Rows that refer to the task in its old project must go before the task does.
  await relabel(tx, [{ task, dropped, added: [] }]);
  await detachSubtasks(tx, parts);
  const arrived = await arrive(tx, task, { projectId: to, number });
  await relabel(tx, [{ task: arrived, dropped: [], added }]);
  return arrived;
}

/**
 * Exclusive where the task is now, so writes that hold that lock find every task where they looked for it. Locks are
 * taken in the order of all project locks.
 */
async function passBoth(tx: Transaction, from: ProjectId | undefined, to: ProjectId | undefined): Promise<void> {
  if (to && (!from || to < from)) await lockShared(tx, to);
  if (from) await lockExclusive(tx, from);
  if (to && from && to > from) await lockShared(tx, to);
}

async function arrive(
  tx: Transaction,
  task: TaskRow,
  place: { readonly projectId: ProjectId; readonly number: number },
): Promise<TaskRow> {
  const assigneeIds = await membersAmong(tx, place.projectId, assigneeIdsOf(task));
  try {
    const [arrived] = await tx
      .update(tasks)
      .set({ ...place, parentId: null, ...assigneeColumns(assigneeIds), sortOrder: null, ...NEXT_VERSION })
      .where(eq(tasks.id, task.id))
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

/** Locks the labels, so that none is deleted meanwhile. */
async function labelsNamed(tx: Transaction, projectId: ProjectId, names: readonly string[]): Promise<LabelId[]> {
  const rows = await tx
    .select({ id: labels.id })
    .from(labels)
    .where(and(eq(labels.projectId, projectId), inArray(labels.name, [...names])))
    .orderBy(labels.id)
    .for('key share');
  return rows.map(({ id }) => id);
}
