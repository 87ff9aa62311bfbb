/**
 * Rules and rows of a change, for writes that already hold the tasks' locks (task.locks.ts). All checks come before the
 * first row is written. The change of many tasks costs as many statements as the change of one.
 */
import { and, eq, sql } from 'drizzle-orm';
import { batchesOf, uuids } from '../../db/by-id.js';
import { changedFields } from '../../db/differences.js';
import { type LabelId, type ProjectId, type TaskId, toUuid, type UserId } from '../../db/ids.js';
import { preparedIn, runThenReadTags, type Transaction } from '../../engine/postgres/index.js';
import { Faults } from '../../graphql/form.js';
import { Refusal, UserErrorCode } from '../../graphql/user-error.js';
import { taskNumbers } from '../projects/project.table.js';
import { assigneeIdsOf } from './assignee-columns.js';
import { changedAssignees, newAssignees } from './task.assignees.js';
import { hasAssigneeSql } from './task.condition.js';
import { LATE_START, startsLate } from './task.dates.js';
import type { Changes, Different, EditedTask, LabelChange, TaskEdit } from './task.edit.js';
import { labelIdsOfTasks, type Relabelling, relabel } from './task.labels.js';
import { LABELLED_TASK, type LabelledTask, taskById } from './task.loaders.js';
import type { Holding } from './task.locks.js';
import { ancestorsOf, checkReferences } from './task.references.js';
import { MAX_LABELS, type TaskRow, tasks } from './task.table.js';

/** The labels given, and no others. `null` for none; undefined leaves the labels as they are. */
export function exactly(labelIds: readonly LabelId[] | null | undefined): LabelChange | undefined {
  return labelIds === undefined ? undefined : { wanted: () => labelIds ?? [], field: 'labelIds' };
}

/** Setting a parent needs the parent tree locked, and the parent unchanged. */
export function holdingFor({ parentId }: Changes): Holding {
  return parentId ? { tree: true, others: [parentId] } : {};
}

/** Columns that every change of a task sets. */
export const NEXT_VERSION = { version: sql`${tasks.version} + 1`, updatedAt: sql`now()` };

/** Why a task is not the one that the client has seen. */
export function versionConflict(
  task: TaskRow,
  expected: number | null | undefined,
  path: readonly string[] = ['input', 'expectedVersion'],
): Refusal | undefined {
  if (expected === undefined || expected === null || expected === task.version) return undefined;
  const message = `expected version ${expected}, but the task has version ${task.version}`;
  return new Refusal(UserErrorCode.CONFLICT, message, path, task);
}

/** @throws Refusal CONFLICT with the current task */
export function requireVersion(task: TaskRow, expected: number | null | undefined): void {
  const conflict = versionConflict(task, expected);
  if (conflict !== undefined) throw conflict;
}

/**
 * Changes one task, and its labels if given. A change without effect leaves the row, its version and all caches
 * untouched. @throws Refusal with the faults given and those found
 */
export async function applyChanges(
  tx: Transaction,
  task: TaskRow,
  changes: Changes,
  { faults = new Faults(), ...edit }: Omit<TaskEdit, 'changes'> & { faults?: Faults } = {},
): Promise<TaskRow> {
  const written = await applyEdit(tx, [{ task, faults }], { ...edit, changes });
  faults.throwIfAny();
  return written.get(task.id) as TaskRow;
}

/** Checks all tasks, then changes those without faults. @returns these, as they are now */
export async function applyEdit(
  tx: Transaction,
  edited: readonly EditedTask[],
  { changes, labels, assignees, assigneeField = 'assigneeId' }: TaskEdit,
): Promise<Map<TaskId, TaskRow>> {
  const changing = edited.map(({ task, faults }) => {
    const wanted = assignees === undefined ? changes : { ...changes, ...changedAssignees(task, assignees) };
    return { task, faults, different: (changedFields(task, wanted) ?? {}) as Different };
  });
  await checkChanged(tx, changing, assigneeField);
  const relabelled = labels === undefined ? [] : await relabellings(tx, edited, labels);
  const accepted = changing.filter(({ faults }) => !faults.any);
  const relabellable = relabelled.filter(({ faults }) => !faults.any);
  await relabel(tx, relabellable);
  const touched = accepted.filter(
    ({ task, different }) => Object.keys(different).length > 0 || relabellable.some((one) => one.task === task),
  );
  const rows = await (assignees === undefined ? updateAlike(tx, touched) : updateAssignees(tx, touched));
  const written = new Map<TaskId, TaskRow>(rows.map((row) => [row.id, row]));
  return new Map(accepted.map(({ task }) => [task.id, written.get(task.id) ?? task]));
}

interface ChangingTask extends EditedTask {
  readonly different: Different;
}

/** Changes that are the same for all tasks. The statement's text is the same for each set of columns. */
async function updateAlike(tx: Transaction, touched: readonly ChangingTask[]): Promise<LabelledTask[]> {
  if (touched.length === 0) return [];
  const changes: Changes = Object.assign({}, ...touched.map(({ different }) => different));
  const { name, columns } = columnsOf(changes);
  const statement = preparedIn(tx, `update_tasks:${name}`, (at, statementName) =>
    at
      .update(tasks)
      .set({ ...columns, ...NEXT_VERSION })
      .where(sql`${tasks.id} = any(${sql.placeholder('ids')}::uuid[])`)
      .returning(LABELLED_TASK)
      .prepare(statementName),
  );
  const ids = touched.map(({ task }) => toUuid(task.id));
  return readWritten(tx, statement.execute({ ids, ...changes }));
}

/** The same, but each task gets assignees of its own. */
async function updateAssignees(tx: Transaction, touched: readonly ChangingTask[]): Promise<LabelledTask[]> {
  if (touched.length === 0) return [];
  const changes: Changes = Object.assign({}, ...touched.map(({ different }) => different));
  const { assigneeId: _, otherAssigneeIds: __, ...alike } = changes;
  const { name, columns } = columnsOf(alike);
  const assigneeIds = touched.map(({ task, different }) => {
    const [first = null, ...others] = assigneeIdsOf({ ...task, ...different }).map(toUuid);
    return { id: toUuid(task.id), assignee_id: first, other_assignee_ids: others };
  });
  const statement = preparedIn(tx, `update_assignees:${name}`, (at, statementName) =>
    at
      .update(tasks)
      .set({
        ...columns,
        assigneeId: sql`given.assignee_id`,
        otherAssigneeIds: sql`given.other_assignee_ids`,
        ...NEXT_VERSION,
      })
      .from(
        sql`jsonb_to_recordset(${sql.placeholder('assigneeIds')}::text::jsonb)
          as given(id uuid, assignee_id uuid, other_assignee_ids uuid[])`,
      )
      .where(sql`${tasks.id} = given.id`)
      .returning(LABELLED_TASK)
      .prepare(statementName),
  );
  return readWritten(tx, statement.execute({ assigneeIds: JSON.stringify(assigneeIds), ...alike }));
}

/** The columns of an UPDATE with placeholders for their values, and a name for this set of columns. */
function columnsOf(changes: Changes) {
  const given = Object.entries(changes);
  const columns = given.map(([column, value]) => [column, value === null ? null : sql.placeholder(column)]);
  const names = given.map(([column, value]) => (value === null ? `no ${column}` : column));
  const { status } = changes;
  const done = sql`coalesce(${tasks.completedAt}, now())`;
  const completion = status === undefined ? {} : { completedAt: status === 'DONE' ? done : null };
  return {
    name: `${names.join()}${status === 'DONE' ? ':done' : ''}`,
    columns: { ...Object.fromEntries(columns), ...completion },
  };
}

function readWritten(tx: Transaction, written: PromiseLike<unknown>): Promise<LabelledTask[]> {
  return runThenReadTags(tx, written as Promise<LabelledTask[]>, (rows) =>
    rows.map((value) => ({ source: taskById, arg: value.id, value })),
  );
}

/**
 * Adds faults where an assignee is not a member, the parent is in another project or below the task itself, or the task
 * would start after it is due.
 */
async function checkChanged(tx: Transaction, changing: readonly ChangingTask[], assigneeField: string): Promise<void> {
  for (const { task, different, faults } of changing) checkDates({ ...task, ...different }, different, faults);
  await checkReferences(
    tx,
    'member',
    changing.flatMap(({ different, ...edited }) => newAssignees(edited, different, assigneeField)),
  );
  const parents = changing.flatMap(({ task: { projectId }, different: { parentId }, faults }) =>
    parentId ? [{ projectId, ids: [parentId], field: 'parentId', faults }] : [],
  );
  await checkReferences(tx, 'parent', parents);
  const parentId = changing.find(({ different }) => different.parentId)?.different.parentId;
  if (!parentId) return;
  const above = await ancestorsOf(tx, parentId);
  for (const { task, faults } of changing) {
    if (!above.has(task.id)) continue;
    faults.addTo('parentId', UserErrorCode.INVALID, 'expected a task that is neither this one nor one of its subtasks');
  }
}

function checkDates(task: TaskRow, { startDate, dueDate }: Changes, faults: Faults): void {
  if (!(startDate || dueDate) || !startsLate(task)) return;
  faults.addTo(startDate ? 'startDate' : 'dueDate', UserErrorCode.INVALID, LATE_START);
}

/** The tasks whose labels change, with faults where there would be too many or a label is not in the project. */
async function relabellings(
  tx: Transaction,
  edited: readonly EditedTask[],
  { wanted, field }: LabelChange,
): Promise<(Relabelling & EditedTask)[]> {
  const before = await labelIdsOfTasks(
    tx,
    edited.map(({ task }) => task.id),
  );
  const relabelled = edited.map(({ task, faults }, i) => {
    const has = before[i] as LabelId[];
    const labelIds = new Set(wanted(has));
    requireFewLabels(has, labelIds, { faults, field });
    const dropped = has.filter((id) => !labelIds.has(id));
    return { task, faults, dropped, added: [...labelIds].filter((id) => !has.includes(id)) };
  });
  await checkReferences(
    tx,
    'label',
    relabelled.map(({ task: { projectId }, added: ids, faults }) => ({ projectId, ids, field, faults })),
  );
  return relabelled.filter(({ dropped, added }) => dropped.length + added.length > 0);
}

/** A task imported before the limit existed may exceed it. It can keep its labels and lose some. */
function requireFewLabels(
  before: readonly LabelId[],
  wanted: ReadonlySet<LabelId>,
  { faults, field }: { readonly faults: Faults; readonly field: string },
): void {
  if (wanted.size <= Math.max(MAX_LABELS, before.length)) return;
  faults.addTo(field, UserErrorCode.LIMIT, `expected at most ${MAX_LABELS} labels on a task, got ${wanted.size}`);
}

/** Takes the next numbers of a project. @returns the last of them */
export async function takeNumbers(
  tx: Transaction,
  counts: ReadonlyMap<ProjectId, number>,
): Promise<Map<ProjectId, number>> {
  const values = [...counts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([projectId, last]) => ({ projectId, last }));
  const counters = await tx
    .insert(taskNumbers)
    .values(values)
    .onConflictDoUpdate({ target: taskNumbers.projectId, set: { last: sql`${taskNumbers.last} + excluded.last` } })
    .returning();
  return new Map(counters.map(({ projectId, last }) => [projectId, last]));
}

/** Removes the parent of these subtasks, because the parent is about to go. */
export async function detachSubtasks(tx: Transaction, parts: readonly TaskId[]): Promise<void> {
  for (const some of batchesOf(parts)) {
    await tx
      .update(tasks)
      .set({ parentId: null, ...NEXT_VERSION })
      .where(sql`${tasks.id} = any(${uuids(some)})`);
  }
}

/** Unassigns every task of a former member: the next assignee moves up. Requires the exclusive project lock. */
export async function unassign(tx: Transaction, projectId: ProjectId, userId: UserId): Promise<void> {
  const uuid = toUuid(userId);
  await tx
    .update(tasks)
    .set({
      assigneeId: sql`nullif(${tasks.assigneeId}, ${uuid}::uuid)`,
      otherAssigneeIds: sql`array_remove(${tasks.otherAssigneeIds}, ${uuid}::uuid)`,
      ...NEXT_VERSION,
    })
    .where(and(eq(tasks.projectId, projectId), hasAssigneeSql([userId])));
}
