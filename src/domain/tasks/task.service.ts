/**
 * Writes of tasks. Each is one transaction: permissions, then rules, then rows. Triggers record what it invalidates.
 */
import { and, eq } from 'drizzle-orm';
import type { LabelId, TaskId, UserId } from '../../db/ids.js';
import type { Writer } from '../../db/writer.js';
import type { Executor, Transactor } from '../../engine/postgres/index.js';
import { Faults, type Form, readForm, requireField } from '../../graphql/form.js';
import { fits, misfit, parseInput, Refusal } from '../../graphql/user-error.js';
import { TEXTS } from '../../std/text.js';
import type { Idempotency } from '../idempotency/idempotency.js';
import { projectMembers } from '../projects/project.table.js';
import { insertTasks } from './task.create.js';
import {
  assignTaskForm,
  createTaskForm,
  moveTaskForm,
  type NamedTask,
  taskForm,
  taskLabelsForm,
  updateTaskForm,
  updateTasksForm,
} from './task.forms.js';
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
import { type TaskRow, tasks } from './task.table.js';
import { type PlainChanges, updateAtOnce } from './task.update.js';
import {
  applyChanges,
  applyEdit,
  type Changes,
  type EditedTask,
  type LabelChange,
  versionConflict,
} from './task.writes.js';

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
    const form = readForm(createTaskForm, given);
    requireField(form, 'projectId');
    const { value, tags } = await this.idempotency.create({
      by,
      operation: 'createTask',
      prefix: 'task',
      form,
      create: async (tx, id) => {
        const faults = new Faults(form);
        const inserted = await insertTasks(tx, viewerId, [{ id, form, faults }]);
        faults.throwIfAny();
        return inserted.get(id) as TaskRow;
      },
      find: (db, id) => visibleTask(db, viewerId, id),
    });
    return { value: { task: value }, tags };
  }

  async update(by: Writer, given: UpdateTaskInput) {
    const form = readForm(updateTaskForm, given);
    const id = requireField(form, 'id');
    const { id: _, expectedVersion, labelIds, ...changes } = form.fields;
    const { description } = changes;
    const isPlain =
      form.faults.length === 0 &&
      labelIds === undefined &&
      changes.parentId === undefined &&
      fits(TEXTS.taskDescription, description);
    const written = isPlain ? await this.#changeAtOnce(by, { id, expectedVersion }, changes) : undefined;
    if (written !== undefined) return written;
    return this.transactor.transact(async (tx) => {
      const faults = new Faults(form);
      const task = await faults.require(() => lockTaskForUpdate(tx, by.viewerId, id, TASK, holdingFor(changes)));
      faults.add(versionConflict(task, expectedVersion));
      faults.add(misfit(TEXTS.taskDescription, 'description', { given: description, stored: task.description }));
      return { task: await applyChanges(tx, task, changes, { labels: exactly(labelIds), faults }) };
    }, by);
  }

  /**
   * One transaction, in which the tasks without faults are changed. Separate transactions would cost up to a hundred
   * fences and commits, each of which waits for Redis during an outage. A crash would leave some tasks changed without
   * the client knowing.
   */
  updateMany(by: Writer, given: UpdateTasksInput) {
    const { viewerId } = by;
    const { ids, labelIds, ...changes } = parseInput(updateTasksForm, given);
    return this.transactor.transact(async (tx) => {
      const named = (id: TaskId) => ({ what: 'task', path: ['input', 'ids', String(ids.indexOf(id))] });
      const found = await tasksToWrite(tx, viewerId, ids, named, holdingFor(changes));
      const edited = new Map<TaskId, EditedTask>();
      for (const task of found.values()) {
        if (!(task instanceof Refusal)) edited.set(task.id, { task, faults: new Faults() });
      }
      const written = await applyEdit(tx, [...edited.values()], { changes, labels: exactly(labelIds) });
      return ids.map((id): UpdateResult => {
        const refusal = edited.get(id)?.faults.refusal ?? found.get(id);
        return { id, outcome: written.get(id) ?? (refusal as Refusal) };
      });
    }, by);
  }

  complete(by: Writer, given: CompleteTaskInput) {
    return this.#changeOne(by, readForm(taskForm, given), { status: 'DONE' });
  }

  /** A task that is still open stays unchanged. */
  reopen(by: Writer, given: ReopenTaskInput) {
    return this.#changeOne(by, readForm(taskForm, given), (task) =>
      task.status === 'DONE' || task.status === 'CANCELED' ? { status: 'TODO' } : {},
    );
  }

  assign(by: Writer, given: AssignTaskInput) {
    const form = readForm(assignTaskForm, given);
    const { assigneeId } = form.fields;
    return this.#changeOne(by, form, { assigneeId });
  }

  move(by: Writer, given: MoveTaskInput) {
    const form = readForm(moveTaskForm, given);
    return this.transactor.transact(async (tx) => ({ task: await moveTask(tx, by.viewerId, form) }), by);
  }

  addLabels(by: Writer, given: AddLabelsInput) {
    return this.#relabel(by, given, (before, labelIds) => [...before, ...labelIds]);
  }

  removeLabels(by: Writer, given: RemoveLabelsInput) {
    return this.#relabel(by, given, (before, labelIds) => before.filter((id) => !labelIds.includes(id)));
  }

  async #changeOne(by: Writer, form: Form<NamedTask>, changes: PlainChanges | ((task: TaskRow) => PlainChanges)) {
    const id = requireField(form, 'id');
    const { expectedVersion } = form.fields;
    const isPlain = typeof changes === 'object';
    const atOnce = isPlain && form.faults.length === 0;
    const written = atOnce ? await this.#changeAtOnce(by, { id, expectedVersion }, changes) : undefined;
    if (written !== undefined) return written;
    return this.transactor.transact(async (tx) => {
      const faults = new Faults(form);
      const task = await faults.require(() => lockTaskForUpdate(tx, by.viewerId, id));
      faults.add(versionConflict(task, expectedVersion));
      return { task: await applyChanges(tx, task, isPlain ? changes : changes(task), { faults }) };
    }, by);
  }

  /** Undefined if nothing was written: see task.update.ts. */
  async #changeAtOnce(by: Writer, { id, expectedVersion }: NamedTask, changes: PlainChanges) {
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
    const form = readForm(taskLabelsForm, given);
    const taskId = requireField(form, 'taskId');
    const { labelIds } = form.fields;
    const labels = labelIds && { wanted: (before: readonly LabelId[]) => change(before, labelIds), field: 'labelIds' };
    return this.transactor.transact(async (tx) => {
      const faults = new Faults(form);
      const task = await faults.require(() => lockTaskForUpdate(tx, by.viewerId, taskId, LABELLED));
      return { task: await applyChanges(tx, task, {}, { labels, faults }) };
    }, by);
  }
}

/** The labels given, and no others. `null` for none; undefined leaves the labels as they are. */
function exactly(labelIds: readonly LabelId[] | null | undefined): LabelChange | undefined {
  return labelIds === undefined ? undefined : { wanted: () => labelIds ?? [], field: 'labelIds' };
}

/** Setting a parent needs the parent tree locked, and the parent unchanged. */
function holdingFor({ parentId }: Changes): Holding {
  return parentId ? { tree: true, others: [parentId] } : {};
}

async function visibleTask(db: Executor, viewerId: UserId, id: TaskId): Promise<TaskRow | undefined> {
  const [found] = await db
    .select({ task: tasks })
    .from(tasks)
    .innerJoin(projectMembers, and(eq(projectMembers.projectId, tasks.projectId), eq(projectMembers.userId, viewerId)))
    .where(eq(tasks.id, id));
  return found?.task;
}
