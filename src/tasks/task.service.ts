/** Writes of tasks. Each is one transaction: rights, then locks, then rules, then rows; what it made old is found out by the triggers. */
import { and, eq } from 'drizzle-orm';
import { z } from 'zod';
import type { Executor, Transaction } from '../db/database.js';
import type { LabelId, TaskId, UserId } from '../db/ids.js';
import {
  idempotencyKeyInput,
  idInput,
  listInput,
  notCleared,
  parseInput,
  Refusal,
  textInput,
  UserErrorCode,
  userError,
} from '../graphql/user-error.js';
import type { Idempotency } from '../idempotency/idempotency.js';
import type { Transactor } from '../invalidation/transact.js';
import { notFound, requireWriter } from '../projects/access.js';
import { projectMembers } from '../projects/project.table.js';
import type {
  AssignTaskInput,
  CreateTaskInput,
  LabelsOfTaskInput,
  MoveTaskInput,
  TaskInput,
  UpdateTaskInput,
  UpdateTasksInput,
} from './task.inputs.js';
import { lockTrees, lockWithParts, moved, projectsOf, TASK, tasksToWrite, taskToWrite } from './task.locks.js';
import { moveTask } from './task.move.js';
import { type TaskRow, taskPriority, taskStatus, tasks } from './task.table.js';
import {
  applyChanges,
  type Changes,
  completion,
  labelIdsOfTask,
  MAX_LABELS,
  NEXT_VERSION,
  nextNumber,
  requireReferences,
  requireVersion,
  setLabels,
} from './task.writes.js';

const MAX_TASKS = 100;

const title = textInput(1, 500).transform((text) => text.trim());
const description = textInput(0, 65_536).nullish();
/** graphql-scalars reads a Date as midnight UTC. Postgres has no year 0. */
const day = z
  .date()
  .transform((date) => date.toISOString().slice(0, 10))
  .refine((text) => /^\d{4}/.test(text) && text >= '0001', 'expected a day from 0001-01-01 on')
  .nullish();
const status = z.enum(taskStatus.enumValues);
const priority = z.enum(taskPriority.enumValues);
const labelIds = z.array(idInput('label')).max(MAX_LABELS, `expected at most ${MAX_LABELS} labels`);
const shared = {
  description,
  assigneeId: idInput('user').nullish(),
  parentId: idInput('task').nullish(),
  dueDate: day,
  labelIds: labelIds.nullish(),
};
const createTaskInput = z.object({
  projectId: idInput('project'),
  title,
  status: status.nullish(),
  priority: priority.nullish(),
  ...shared,
  idempotencyKey: idempotencyKeyInput,
});
const changes = { title: notCleared(title), status: notCleared(status), priority: notCleared(priority), ...shared };
const taskInput = z.object({ id: idInput('task'), expectedVersion: z.int().nullish() });
const updateTaskInput = taskInput.extend(changes);
const updateTasksInput = z.object({
  ids: listInput(idInput('task'), { min: 1, max: MAX_TASKS, what: 'tasks' }).refine(
    (ids) => new Set(ids).size === ids.length,
    'expected each task only once',
  ),
  ...changes,
});
const assignTaskInput = taskInput.extend({ assigneeId: idInput('user').nullish() });
const moveTaskInput = taskInput.extend({ projectId: idInput('project') });
const labelsInput = z.object({ taskId: idInput('task'), labelIds: labelIds.min(1, 'expected at least one label') });

const LABELLED = { what: 'task', path: ['input', 'taskId'] };

/** What became of one task of many: the task as it is now, or why nothing was done. */
export interface TaskResult {
  readonly id: TaskId;
  readonly task: TaskRow | null;
  readonly errors: readonly object[];
}

export class TaskService {
  constructor(
    private readonly transactor: Transactor,
    private readonly idempotency: Idempotency,
  ) {}

  async create(viewerId: UserId, given: CreateTaskInput) {
    const input = parseInput(createTaskInput, given);
    const { value, tags } = await this.idempotency.create({
      viewerId,
      operation: 'createTask',
      prefix: 'task',
      input,
      create: (tx, id) => createTask(tx, viewerId, id, input),
      find: (db, id) => visibleTask(db, viewerId, id),
    });
    return { value: { task: value }, tags };
  }

  update(viewerId: UserId, given: UpdateTaskInput) {
    const { id, expectedVersion, labelIds, ...changes } = parseInput(updateTaskInput, given);
    return this.transactor.transact(async (tx) => {
      const task = await taskToWrite(tx, viewerId, id, TASK, holding(changes));
      requireVersion(task, expectedVersion);
      return { task: await applyChanges(tx, task, changes, labelIds === null ? [] : labelIds) };
    });
  }

  /** One transaction, so one fence; a savepoint for each task, so that a refusal takes back what it refuses and no more. */
  updateMany(viewerId: UserId, given: UpdateTasksInput) {
    const { ids, labelIds, ...changes } = parseInput(updateTasksInput, given);
    return this.transactor.transact(async (tx) => {
      const named = (id: TaskId) => ({ what: 'task', path: ['input', 'ids', String(ids.indexOf(id))] });
      const found = await tasksToWrite(tx, viewerId, ids, named, holding(changes));
      const results: TaskResult[] = [];
      for (const id of ids) {
        results.push(
          await resultOf(id, async () => {
            const task = found.get(id);
            if (task === undefined || task instanceof Refusal) throw task;
            return tx.transaction((inner) => applyChanges(inner, task, changes, labelIds === null ? [] : labelIds));
          }),
        );
      }
      return { results };
    });
  }

  complete(viewerId: UserId, given: TaskInput) {
    return this.#change(viewerId, given, () => ({ status: 'DONE' }));
  }

  reopen(viewerId: UserId, given: TaskInput) {
    const closed: readonly string[] = ['DONE', 'CANCELED'];
    return this.#change(viewerId, given, (task) => (closed.includes(task.status) ? { status: 'TODO' } : {}));
  }

  assign(viewerId: UserId, given: AssignTaskInput) {
    const { assigneeId, ...task } = parseInput(assignTaskInput, given);
    return this.#change(viewerId, task, () => ({ assigneeId: assigneeId ?? null }));
  }

  move(viewerId: UserId, given: MoveTaskInput) {
    const input = parseInput(moveTaskInput, given);
    return this.transactor.transact(async (tx) => ({ task: await moveTask(tx, viewerId, input) }));
  }

  delete(viewerId: UserId, given: TaskInput) {
    const { id, expectedVersion } = parseInput(taskInput, given);
    return this.transactor.transact(async (tx) => {
      requireVersion(await taskWithParts(tx, viewerId, id), expectedVersion);
      await tx
        .update(tasks)
        .set({ parentId: null, ...NEXT_VERSION })
        .where(eq(tasks.parentId, id));
      await tx.delete(tasks).where(eq(tasks.id, id));
      return { deletedTaskId: id };
    });
  }

  addLabels(viewerId: UserId, given: LabelsOfTaskInput) {
    return this.#relabel(viewerId, given, (borne, ids) => [...new Set([...borne, ...ids])]);
  }

  removeLabels(viewerId: UserId, given: LabelsOfTaskInput) {
    return this.#relabel(viewerId, given, (borne, ids) => borne.filter((id) => !ids.includes(id)));
  }

  #change(viewerId: UserId, given: object, changesOf: (task: TaskRow) => Changes) {
    const { id, expectedVersion } = parseInput(taskInput, given);
    return this.transactor.transact(async (tx) => {
      const task = await taskToWrite(tx, viewerId, id);
      requireVersion(task, expectedVersion);
      return { task: await applyChanges(tx, task, changesOf(task)) };
    });
  }

  #relabel(
    viewerId: UserId,
    given: LabelsOfTaskInput,
    wantedOf: (borne: readonly LabelId[], ids: readonly LabelId[]) => LabelId[],
  ) {
    const { taskId, labelIds } = parseInput(labelsInput, given);
    return this.transactor.transact(async (tx) => {
      const task = await taskToWrite(tx, viewerId, taskId, LABELLED);
      const wanted = wantedOf(await labelIdsOfTask(tx, taskId), labelIds);
      if (wanted.length > MAX_LABELS) {
        const message = `expected labels that leave the task with at most ${MAX_LABELS}`;
        throw new Refusal(UserErrorCode.INVALID, message, ['input', 'labelIds']);
      }
      return { task: await applyChanges(tx, task, {}, wanted) };
    });
  }
}

/** A change of the parent needs the tree, and the parent as it is. */
function holding({ parentId }: Changes) {
  return parentId ? { tree: true, others: [parentId] } : {};
}

async function resultOf(id: TaskId, run: () => Promise<TaskRow>): Promise<TaskResult> {
  try {
    return { id, task: await run(), errors: [] };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { id, task: null, errors: [userError(error)] };
  }
}

async function createTask(
  tx: Transaction,
  viewerId: UserId,
  id: TaskId,
  input: z.output<typeof createTaskInput>,
): Promise<TaskRow> {
  const { projectId, title, description, status, priority, assigneeId, parentId, dueDate, labelIds } = input;
  await requireWriter(tx, viewerId, projectId, { what: 'project', path: ['input', 'projectId'] });
  await requireReferences(tx, projectId, { assigneeId, parentId });
  const [task] = await tx
    .insert(tasks)
    .values({
      id,
      projectId,
      number: await nextNumber(tx, projectId),
      title,
      description: description ?? null,
      priority: priority ?? 'NONE',
      assigneeId: assigneeId ?? null,
      parentId: parentId ?? null,
      dueDate: dueDate ?? null,
      creatorId: viewerId,
      status: status ?? 'BACKLOG',
      ...completion(status ?? 'BACKLOG'),
    })
    .returning();
  if (labelIds) await setLabels(tx, task as TaskRow, labelIds);
  return task as TaskRow;
}

/** Together with its parts, all locked. @throws Refusal */
async function taskWithParts(tx: Transaction, viewerId: UserId, id: TaskId): Promise<TaskRow> {
  const projectId = (await projectsOf(tx, [id])).get(id);
  if (projectId === undefined) throw notFound(TASK.what, TASK.path);
  await requireWriter(tx, viewerId, projectId, TASK);
  await lockTrees(tx, [projectId]);
  const task = (await lockWithParts(tx, id)).find((row) => row.id === id);
  if (task === undefined) throw notFound(TASK.what, TASK.path);
  if (task.projectId !== projectId) throw moved(TASK);
  return task;
}

async function visibleTask(db: Executor, viewerId: UserId, id: TaskId): Promise<TaskRow | undefined> {
  const [found] = await db
    .select({ task: tasks })
    .from(tasks)
    .innerJoin(projectMembers, and(eq(projectMembers.projectId, tasks.projectId), eq(projectMembers.userId, viewerId)))
    .where(eq(tasks.id, id));
  return found?.task;
}
