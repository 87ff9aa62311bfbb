/**
 * Writes of many tasks. Each is one transaction, in which the tasks without faults are written. Separate transactions
 * would cost up to a hundred fences and commits, each of which waits for Redis during an outage. A crash would leave
 * some tasks written without the client knowing.
 */
import { type LabelId, newId, type TaskId, type UserId } from '../../db/ids.js';
import type { Writer } from '../../db/writer.js';
import type { Executor, Transaction } from '../../engine/postgres/index.js';
import { Faults, INPUT } from '../../graphql/form.js';
import { parseInput, Refusal } from '../../graphql/user-error.js';
import type { Idempotency, ManyResult } from '../idempotency/idempotency.js';
import { type NamedInList, namedTasks, targetIn } from './named-tasks.js';
import { assigneeField, givenColumns } from './task.assignees.js';
import { insertTasks, type NewTask, visibleTasks } from './task.create.js';
import type { AssigneeChange, EditedTask, LabelChange, TaskEdit } from './task.edit.js';
import { createTasksForm, newTaskForm, readNewTask, updateTasksForm } from './task.forms.js';
import type { CreateTasksInput, UpdateTasksInput } from './task.inputs.js';
import { tasksToWrite } from './task.locks.js';
import type { TaskRow } from './task.table.js';
import { applyEdit, exactly, holdingFor, versionConflict } from './task.writes.js';

type TaskResult = ManyResult<'task', TaskRow>;

export class ManyTasksService {
  constructor(private readonly idempotency: Idempotency) {}

  create(by: Writer, given: CreateTasksInput) {
    const { tasks, idempotencyKey } = parseInput(createTasksForm, given);
    const forms = tasks.map((task, i) => readNewTask(newTaskForm, task, [...INPUT, 'tasks', String(i)]));
    return this.idempotency.runMany({
      by,
      operation: 'createTasks',
      prefix: 'task',
      key: idempotencyKey,
      input: forms.map(({ fields, faults }) => ({
        fields,
        faults: faults.map(({ path, message }) => [path, message]),
      })),
      run: async (tx): Promise<TaskResult[]> => {
        const created = forms.map((form): NewTask => ({ id: newId('task'), form, faults: new Faults(form) }));
        const inserted = await insertTasks(tx, by.viewerId, created);
        return created.map(({ id, faults }) => ({ id, outcome: inserted.get(id) ?? (faults.refusal as Refusal) }));
      },
      find: findFor(by.viewerId),
    });
  }

  update(by: Writer, given: UpdateTasksInput) {
    const { idempotencyKey, ...input } = parseInput(updateTasksForm, given);
    const { ids, tasks, labelIds, addLabelIds, removeLabelIds, ...fields } = input;
    const { assigneeId, assigneeIds, addAssigneeIds, removeAssigneeIds, ...rest } = fields;
    const labels = labelIds === undefined ? relative(addLabelIds, removeLabelIds) : exactly(labelIds);
    const assignees = relativeAssignees(addAssigneeIds, removeAssigneeIds);
    const edit = {
      changes: { ...rest, ...givenColumns({ assigneeId, assigneeIds }) },
      ...{ labels, assignees },
      assigneeField: assignees ? 'addAssigneeIds' : assigneeField({ assigneeIds }),
    };
    const named = namedTasks({ ids, tasks });
    return this.idempotency.runMany({
      by,
      operation: 'updateTasks',
      prefix: 'task',
      key: idempotencyKey,
      input,
      run: (tx) => updateMany(tx, by.viewerId, named, edit),
      find: findFor(by.viewerId),
    });
  }
}

const findFor = (viewerId: UserId) => (db: Executor, ids: readonly TaskId[]) => visibleTasks(db, viewerId, ids);

/** Undefined if the labels stay as they are. */
function relative(
  added: readonly LabelId[] | null | undefined,
  removed: readonly LabelId[] | null | undefined,
): LabelChange | undefined {
  if (!added?.length && !removed?.length) return undefined;
  const wanted = (before: readonly LabelId[]) => [...before.filter((id) => !removed?.includes(id)), ...(added ?? [])];
  return { wanted, field: 'addLabelIds' };
}

/** Undefined if the assignees are not changed one by one. */
function relativeAssignees(
  added: readonly UserId[] | null | undefined,
  removed: readonly UserId[] | null | undefined,
): AssigneeChange | undefined {
  if (!added?.length && !removed?.length) return undefined;
  return { added: added ?? [], removed: removed ?? [] };
}

async function updateMany(
  tx: Transaction,
  viewerId: UserId,
  named: readonly NamedInList[],
  edit: TaskEdit,
): Promise<TaskResult[]> {
  const ids = named.map(({ id }) => id);
  const found = await tasksToWrite(tx, viewerId, ids, targetIn(named), holdingFor(edit.changes));
  const edited = new Map<TaskId, EditedTask>();
  for (const { id, expectedVersion, versionPath } of named) {
    const task = found.get(id) as TaskRow | Refusal;
    if (task instanceof Refusal) continue;
    const faults = new Faults();
    faults.add(versionConflict(task, expectedVersion, versionPath));
    edited.set(id, { task, faults });
  }
  const written = await applyEdit(tx, [...edited.values()], edit);
  return named.map(({ id }) => {
    const refusal = edited.get(id)?.faults.refusal ?? found.get(id);
    return { id, outcome: written.get(id) ?? (refusal as Refusal) };
  });
}
