/**
 * Writes of tasks. Each is one transaction: permissions, then rules, then rows. Triggers record what it invalidates.
 */
import type { LabelId, TaskId, UserId } from '../../db/ids.js';
import type { Writer } from '../../db/writer.js';
import type { Executor, Transactor } from '../../engine/postgres/index.js';
import { Faults, type Form, readForm, requireField } from '../../graphql/form.js';
import { fits, misfit } from '../../graphql/user-error.js';
import { TEXTS } from '../../std/text.js';
import type { Idempotency } from '../idempotency/idempotency.js';
import { assigneeField, givenColumns } from './task.assignees.js';
import { insertTasks, visibleTasks } from './task.create.js';
import {
  assignTaskForm,
  createTaskForm,
  moveTaskForm,
  moveTaskInListForm,
  type NamedTask,
  readAssignees,
  readNewTask,
  taskForm,
  taskLabelsForm,
  updateTaskForm,
} from './task.forms.js';
import type {
  AddLabelsInput,
  AssignTaskInput,
  CompleteTaskInput,
  CreateTaskInput,
  MoveTaskInListInput,
  MoveTaskInput,
  RemoveLabelsInput,
  ReopenTaskInput,
  UpdateTaskInput,
} from './task.inputs.js';
import { lockTaskForUpdate, TASK } from './task.locks.js';
import { moveTask } from './task.move.js';
import { moveTaskInList } from './task.order.js';
import type { TaskRow } from './task.table.js';
import { type PlainChanges, updateAtOnce } from './task.update.js';
import { applyChanges, exactly, holdingFor, versionConflict } from './task.writes.js';

const LABELLED = { what: 'task', path: ['input', 'taskId'] };

export class TaskService {
  constructor(
    private readonly transactor: Transactor,
    private readonly idempotency: Idempotency,
  ) {}

  async create(by: Writer, given: CreateTaskInput) {
    const { viewerId } = by;
    const form = readNewTask(createTaskForm, given);
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
    const form = readAssignees(updateTaskForm, given);
    const id = requireField(form, 'id');
    const { id: _, expectedVersion, labelIds, assigneeId, assigneeIds, ...fields } = form.fields;
    const changes = { ...fields, ...givenColumns({ assigneeId, assigneeIds }) };
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
      const edit = { labels: exactly(labelIds), assigneeField: assigneeField({ assigneeIds }) };
      return { task: await applyChanges(tx, task, changes, { ...edit, faults }) };
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
    const form = readAssignees(assignTaskForm, given);
    return this.#changeOne(by, form, givenColumns(form.fields), assigneeField(form.fields));
  }

  move(by: Writer, given: MoveTaskInput) {
    const form = readForm(moveTaskForm, given);
    return this.transactor.transact(async (tx) => ({ task: await moveTask(tx, by.viewerId, form) }), by);
  }

  moveInList(by: Writer, given: MoveTaskInListInput) {
    const form = readForm(moveTaskInListForm, given);
    requireField(form, 'id');
    return this.transactor.transact(async (tx) => ({ task: await moveTaskInList(tx, by.viewerId, form) }), by);
  }

  addLabels(by: Writer, given: AddLabelsInput) {
    return this.#relabel(by, given, (before, labelIds) => [...before, ...labelIds]);
  }

  removeLabels(by: Writer, given: RemoveLabelsInput) {
    return this.#relabel(by, given, (before, labelIds) => before.filter((id) => !labelIds.includes(id)));
  }

  async #changeOne(
    by: Writer,
    form: Form<NamedTask>,
    changes: PlainChanges | ((task: TaskRow) => PlainChanges),
    named?: 'assigneeId' | 'assigneeIds',
  ) {
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
      const edit = named && { assigneeField: named };
      return { task: await applyChanges(tx, task, isPlain ? changes : changes(task), { ...edit, faults }) };
    }, by);
  }

  /** Undefined if nothing was written: see task.update.ts. */
  async #changeAtOnce(by: Writer, { id, expectedVersion }: NamedTask, changes: PlainChanges) {
    const { value: task, tags } = await this.transactor.transact(
      (tx) => updateAtOnce(tx, by.viewerId, id, changes, expectedVersion),
      by,
      { setsOwn: true },
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

async function visibleTask(db: Executor, viewerId: UserId, id: TaskId): Promise<TaskRow | undefined> {
  return (await visibleTasks(db, viewerId, [id])).get(id);
}
