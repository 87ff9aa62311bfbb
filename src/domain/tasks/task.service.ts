/**
 * Writes of tasks. Each is one transaction: permissions, then rules, then rows. Triggers record what it invalidates.
 */
import { and, eq, sql } from 'drizzle-orm';
import { z } from 'zod';
import type { LabelId, TaskId, UserId } from '../../db/ids.js';
import type { Writer } from '../../db/writer.js';
import type { Executor, Transaction, Transactor } from '../../engine/postgres/index.js';
import {
  changedTextInput,
  fits,
  idempotencyKeyInput,
  idInput,
  listInput,
  notNull,
  optionalTextInput,
  parseInput,
  Refusal,
  requireFits,
  textInput,
} from '../../graphql/user-error.js';
import { TEXTS } from '../../std/text.js';
import type { Idempotency } from '../idempotency/idempotency.js';
import { requireWriter } from '../projects/access.js';
import { projectMembers } from '../projects/project.table.js';
import type {
  AddLabelsInput,
  AssignTaskInput,
  CompleteTaskInput,
  CreateTaskInput,
  MoveTaskInput,
  RemoveLabelsInput,
  ReopenTaskInput,
  UpdateTaskInput,
  UpdateTasksInput,
} from './task.inputs.js';
import { type Holding, lockTaskForUpdate, TASK, tasksToWrite } from './task.locks.js';
import { moveTask } from './task.move.js';
import { MAX_LABELS, type TaskRow, taskPriority, taskStatus, tasks } from './task.table.js';
import { type PlainChanges, updateAtOnce } from './task.update.js';
import {
  applyChanges,
  type Changes,
  labelIdsOfTask,
  nextNumber,
  requireReferences,
  requireVersion,
  setLabels,
} from './task.writes.js';
import { lockTree } from './tree-lock.js';

const MAX_TASKS = 100;

/** Limit of the list in `updateTask`. `requireFewLabels` decides how many labels a task may have. */
const MAX_LABELS_GIVEN = 500;

const title = textInput(TEXTS.taskTitle);
const description = optionalTextInput(TEXTS.taskDescription);
/** graphql-scalars reads a Date as midnight UTC. Postgres has no year 0. */
const day = z
  .date()
  .transform((date) => date.toISOString().slice(0, 10))
  .refine((text) => /^\d{4}/.test(text) && text >= '0001', 'expected a day from 0001-01-01 on')
  .nullish();
const labelIdList = (max: number) => listInput(idInput('label'), { min: 0, max, what: 'labels' }).nullish();
const labelIds = labelIdList(MAX_LABELS);
const status = z.enum(taskStatus.enumValues);
const priority = z.enum(taskPriority.enumValues);
const fields = {
  description,
  assigneeId: idInput('user').nullish(),
  parentId: idInput('task').nullish(),
  dueDate: day,
};
const createTaskInput = z.object({
  projectId: idInput('project'),
  title,
  status: status.nullish(),
  priority: priority.nullish(),
  labelIds,
  ...fields,
  idempotencyKey: idempotencyKeyInput,
});
const changes = {
  ...fields,
  title: notNull(title),
  status: notNull(status),
  priority: notNull(priority),
  labelIds,
};
export const taskInput = z.object({ id: idInput('task'), expectedVersion: z.int().nullish() });
const updateTaskInput = taskInput.extend({
  ...changes,
  description: changedTextInput(TEXTS.taskDescription),
  labelIds: labelIdList(MAX_LABELS_GIVEN),
});
const updateTasksInput = z.object({
  ids: listInput(idInput('task'), { min: 1, max: MAX_TASKS, what: 'tasks' }).refine(
    (ids) => new Set(ids).size === ids.length,
    'expected each task only once',
  ),
  ...changes,
});
const assignTaskInput = taskInput.extend({ assigneeId: idInput('user').nullish() });
const moveTaskInput = taskInput.extend({ projectId: idInput('project') });
const taskLabelsInput = z.object({
  taskId: idInput('task'),
  labelIds: listInput(idInput('label'), { min: 1, max: MAX_LABELS, what: 'labels' }),
});
type ChangedTask = z.output<typeof taskInput>;
const LABELLED = { what: 'task', path: ['input', 'taskId'] };

/** The result for one of many tasks. */
export type UpdateResult = { readonly id: TaskId; readonly outcome: TaskRow | Refusal };

export class TaskService {
  constructor(
    private readonly transactor: Transactor,
    private readonly idempotency: Idempotency,
  ) {}

  async create(by: Writer, given: CreateTaskInput) {
    const { viewerId } = by;
    const input = parseInput(createTaskInput, given);
    const { value, tags } = await this.idempotency.create({
      by,
      operation: 'createTask',
      prefix: 'task',
      input,
      create: (tx, id) => insertTask(tx, viewerId, id, input),
      find: (db, id) => visibleTask(db, viewerId, id),
    });
    return { value: { task: value }, tags };
  }

  async update(by: Writer, given: UpdateTaskInput) {
    const { id, expectedVersion, labelIds, ...changes } = parseInput(updateTaskInput, given);
    const { description } = changes;
    const isPlain =
      labelIds === undefined && changes.parentId === undefined && fits(TEXTS.taskDescription, description);
    const written = isPlain ? await this.#changeAtOnce(by, { id, expectedVersion }, changes) : undefined;
    if (written !== undefined) return written;
    return this.transactor.transact(async (tx) => {
      const task = await lockTaskForUpdate(tx, by.viewerId, id, TASK, holdingFor(changes));
      requireVersion(task, expectedVersion);
      requireFits(TEXTS.taskDescription, 'description', { given: description, stored: task.description });
      return { task: await applyChanges(tx, task, changes, labelIds === null ? [] : labelIds) };
    }, by);
  }

  /**
   * One transaction with a savepoint per task: a refused task is rolled back, the others are kept. Separate
   * transactions would cost up to a hundred fences and commits, each of which waits for Redis during an outage. A crash
   * would leave some tasks changed without the client knowing.
   */
  updateMany(by: Writer, given: UpdateTasksInput) {
    const { viewerId } = by;
    const { ids, labelIds, ...changes } = parseInput(updateTasksInput, given);
    return this.transactor.transact(async (tx) => {
      const named = (id: TaskId) => ({ what: 'task', path: ['input', 'ids', String(ids.indexOf(id))] });
      const found = await tasksToWrite(tx, viewerId, ids, named, holdingFor(changes));
      const results: UpdateResult[] = [];
      for (const id of ids) {
        const task = found.get(id) as TaskRow | Refusal;
        const apply = () =>
          tx.transaction((part) => applyChanges(part, task as TaskRow, changes, labelIds === null ? [] : labelIds));
        results.push({ id, outcome: task instanceof Refusal ? task : await orRefusal(apply) });
      }
      return results;
    }, by);
  }

  complete(by: Writer, given: CompleteTaskInput) {
    return this.#changeOne(by, parseInput(taskInput, given), { status: 'DONE' });
  }

  /** A task that is still open stays unchanged. */
  reopen(by: Writer, given: ReopenTaskInput) {
    return this.#changeOne(by, parseInput(taskInput, given), (task) =>
      task.status === 'DONE' || task.status === 'CANCELED' ? { status: 'TODO' } : {},
    );
  }

  assign(by: Writer, given: AssignTaskInput) {
    const { assigneeId, ...which } = parseInput(assignTaskInput, given);
    return this.#changeOne(by, which, { assigneeId });
  }

  move(by: Writer, given: MoveTaskInput) {
    const { viewerId } = by;
    const input = parseInput(moveTaskInput, given);
    return this.transactor.transact(async (tx) => ({ task: await moveTask(tx, viewerId, input) }), by);
  }

  addLabels(by: Writer, given: AddLabelsInput) {
    return this.#relabel(by, given, (before, labelIds) => [...new Set([...before, ...labelIds])]);
  }

  removeLabels(by: Writer, given: RemoveLabelsInput) {
    return this.#relabel(by, given, (before, labelIds) => before.filter((id) => !labelIds.includes(id)));
  }

  async #changeOne(
    by: Writer,
    { id, expectedVersion }: ChangedTask,
    changes: PlainChanges | ((task: TaskRow) => PlainChanges),
  ) {
    const isPlain = typeof changes === 'object';
    const written = isPlain ? await this.#changeAtOnce(by, { id, expectedVersion }, changes) : undefined;
    if (written !== undefined) return written;
    return this.transactor.transact(async (tx) => {
      const task = await lockTaskForUpdate(tx, by.viewerId, id);
      requireVersion(task, expectedVersion);
      return { task: await applyChanges(tx, task, isPlain ? changes : changes(task)) };
    }, by);
  }

  /** Undefined if nothing was written: see task.update.ts. */
  async #changeAtOnce(by: Writer, { id, expectedVersion }: ChangedTask, changes: PlainChanges) {
    const { value: task, tags } = await this.transactor.transact(
      (tx) => updateAtOnce(tx, by.viewerId, id, changes, expectedVersion),
      by,
    );
    return task && { value: { task }, tags };
  }

  #relabel(
    by: Writer,
    given: AddLabelsInput | RemoveLabelsInput,
    change: (before: readonly LabelId[], labelIds: readonly LabelId[]) => readonly LabelId[],
  ) {
    const { taskId, labelIds } = parseInput(taskLabelsInput, given);
    return this.transactor.transact(async (tx) => {
      const task = await lockTaskForUpdate(tx, by.viewerId, taskId, LABELLED);
      const wanted = change(await labelIdsOfTask(tx, taskId), labelIds);
      return { task: await applyChanges(tx, task, {}, wanted) };
    }, by);
  }
}

async function insertTask(
  tx: Transaction,
  viewerId: UserId,
  id: TaskId,
  { projectId, title, status, priority, labelIds, ...rest }: z.output<typeof createTaskInput>,
): Promise<TaskRow> {
  const { description, assigneeId, parentId, dueDate } = rest;
  await requireWriter(tx, viewerId, projectId, { what: 'project', path: ['input', 'projectId'] });
  if (parentId) await lockTree(tx, projectId);
  await requireReferences(tx, projectId, { assigneeId, parentId });
  const [task] = await tx
    .insert(tasks)
    .values({
      id,
      projectId,
      number: await nextNumber(tx, projectId),
      title,
      description: description ?? null,
      status: status ?? 'BACKLOG',
      priority: priority ?? 'NONE',
      assigneeId: assigneeId ?? null,
      parentId: parentId ?? null,
      dueDate: dueDate ?? null,
      creatorId: viewerId,
      completedAt: status === 'DONE' ? sql`now()` : null,
    })
    .returning();
  if (labelIds) await setLabels(tx, task as TaskRow, labelIds);
  return task as TaskRow;
}

/** Setting a parent needs the parent tree locked, and the parent unchanged. */
function holdingFor({ parentId }: Changes): Holding {
  return parentId ? { tree: true, others: [parentId] } : {};
}

async function orRefusal<T>(run: () => Promise<T>): Promise<T | Refusal> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
}

async function visibleTask(db: Executor, viewerId: UserId, id: TaskId): Promise<TaskRow | undefined> {
  const [found] = await db
    .select({ task: tasks })
    .from(tasks)
    .innerJoin(projectMembers, and(eq(projectMembers.projectId, tasks.projectId), eq(projectMembers.userId, viewerId)))
    .where(eq(tasks.id, id));
  return found?.task;
}
