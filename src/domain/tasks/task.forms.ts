/** Forms of the inputs of task mutations: what each field must look like before the database is asked. */
import { z } from 'zod';
import { type Form, INPUT, readForm } from '../../graphql/form.js';
import { isGiven } from '../../graphql/node.js';
import {
  changedTextInput,
  fault,
  idempotencyKeyInput,
  idInput,
  listInput,
  notNull,
  optionalTextInput,
  Refusal,
  textInput,
  UserErrorCode,
} from '../../graphql/user-error.js';
import { TEXTS } from '../../std/text.js';
import type { GivenAssignees } from './task.assignees.js';
import { LATE_START, startsLate } from './task.dates.js';
import type { NewTaskInput } from './task.inputs.js';
import { MAX_ASSIGNEES, MAX_ESTIMATE, MAX_LABELS, taskPriority, taskStatus } from './task.table.js';

const NAMED_TWICE = 'expected either assigneeId or assigneeIds';

/** Tasks of one mutation. */
export const MAX_TASKS = 100;
/** Limit of the list in `updateTask`. The rules of a change decide how many labels a task may have. */
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
const assigneeIds = listInput(idInput('user'), { min: 0, max: MAX_ASSIGNEES, what: 'assignees' }).nullish();
const estimate = z
  .int()
  .refine((points) => points >= 0 && points <= MAX_ESTIMATE, fault('INVALID', `expected 0 to ${MAX_ESTIMATE} points`))
  .nullish();
const status = z.enum(taskStatus.enumValues);
const priority = z.enum(taskPriority.enumValues);
const fields = {
  description,
  assigneeId: idInput('user').nullish(),
  assigneeIds,
  parentId: idInput('task').nullish(),
  dueDate: day,
  startDate: day,
  estimate,
};
const changes = {
  ...fields,
  title: notNull(title),
  status: notNull(status),
  priority: notNull(priority),
  labelIds,
};

export const newTaskForm = z.object({
  projectId: idInput('project'),
  title,
  status: status.nullish(),
  priority: priority.nullish(),
  labelIds,
  ...fields,
});
export const createTaskForm = newTaskForm.extend({ idempotencyKey: idempotencyKeyInput });
/** Each task has a form of its own: one that is faulty does not keep the others from being created. */
export const createTasksForm = z.object({
  tasks: listInput(z.custom<NewTaskInput>(), { min: 1, max: MAX_TASKS, what: 'tasks' }),
  idempotencyKey: idempotencyKeyInput,
});
export const taskForm = z.object({ id: idInput('task'), expectedVersion: z.int().nullish() });
export const updateTaskForm = taskForm.extend({
  ...changes,
  description: changedTextInput(TEXTS.taskDescription),
  labelIds: labelIdList(MAX_LABELS_GIVEN),
});
const once = fault('INVALID', 'expected each task only once');
const anotherTask = fault('INVALID', 'expected another task');
const areDistinct = (ids: readonly string[]) => new Set(ids).size === ids.length;
const TASKS = { min: 1, max: MAX_TASKS, what: 'tasks' };
/** Tasks by id, or by id and the version they must have. */
const manyTasks = {
  ids: listInput(idInput('task'), TASKS).refine(areDistinct, once).nullish(),
  tasks: listInput(taskForm, TASKS)
    .refine((tasks) => areDistinct(tasks.map(({ id }) => id)), once)
    .nullish(),
  idempotencyKey: idempotencyKeyInput,
};
type ManyTasks = z.output<z.ZodObject<typeof manyTasks>>;
const namesOnce = ({ ids, tasks }: Pick<ManyTasks, 'ids' | 'tasks'>) => isGiven(ids) !== isGiven(tasks);
const eitherWay = { path: ['ids'], ...fault('INVALID', 'expected exactly one of ids and tasks') };

export const deleteTasksForm = z.object(manyTasks).refine(namesOnce, eitherWay);
export const updateTasksForm = z
  .object({
    ...manyTasks,
    ...changes,
    addLabelIds: labelIds,
    removeLabelIds: labelIds,
    addAssigneeIds: assigneeIds,
    removeAssigneeIds: assigneeIds,
  })
  .refine(namesOnce, eitherWay)
  .refine(
    ({ labelIds: exact, addLabelIds, removeLabelIds }) => exact === undefined || !(addLabelIds || removeLabelIds),
    {
      path: ['labelIds'],
      ...fault('INVALID', 'expected either labelIds, or addLabelIds and removeLabelIds'),
    },
  )
  .refine(({ addLabelIds, removeLabelIds }) => !addLabelIds?.some((id) => removeLabelIds?.includes(id)), {
    path: ['removeLabelIds'],
    ...fault('INVALID', 'expected no label that is also in addLabelIds'),
  })
  .refine((given) => !namesTwice(given), { path: ['assigneeIds'], ...fault('INVALID', NAMED_TWICE) })
  .refine(
    ({ assigneeId, assigneeIds: exact, addAssigneeIds, removeAssigneeIds }) =>
      (assigneeId === undefined && exact === undefined) || !(addAssigneeIds || removeAssigneeIds),
    {
      path: ['addAssigneeIds'],
      ...fault('INVALID', 'expected either assigneeId or assigneeIds, or addAssigneeIds and removeAssigneeIds'),
    },
  )
  .refine(({ addAssigneeIds, removeAssigneeIds }) => !addAssigneeIds?.some((id) => removeAssigneeIds?.includes(id)), {
    path: ['removeAssigneeIds'],
    ...fault('INVALID', 'expected no user who is also in addAssigneeIds'),
  });
export const assignTaskForm = taskForm.extend({ assigneeId: idInput('user').nullish(), assigneeIds });
export const moveTaskForm = taskForm.extend({ projectId: idInput('project') });
export const moveTaskInListForm = taskForm
  .extend({ before: idInput('task').nullish(), after: idInput('task').nullish() })
  .refine(({ before, after }) => isGiven(before) !== isGiven(after), {
    path: ['before'],
    ...fault('INVALID', 'expected exactly one of before and after'),
  })
  .refine(({ id, before }) => before !== id, { path: ['before'], ...anotherTask })
  .refine(({ id, after }) => after !== id, { path: ['after'], ...anotherTask });
export const taskLabelsForm = z.object({
  taskId: idInput('task'),
  labelIds: listInput(idInput('label'), { min: 1, max: MAX_LABELS, what: 'labels' }),
});

export type NewTaskFields = z.output<typeof newTaskForm>;
export type NamedTask = z.output<typeof taskForm>;

function namesTwice({ assigneeId, assigneeIds: exact }: GivenAssignees): boolean {
  return assigneeId !== undefined && exact !== undefined;
}

/** Reads a task to create, for which `null` means the same as omitting a field. */
export function readNewTask<S extends z.ZodObject>(schema: S, given: NewTaskInput, path = INPUT): Form<z.output<S>> {
  const { assigneeId, assigneeIds: exact, ...rest } = given;
  const assignees = { assigneeId: assigneeId ?? undefined, assigneeIds: exact ?? undefined };
  const form = readAssignees(schema, { ...rest, ...assignees }, path);
  if (!startsLate(form.fields)) return form;
  return withFault(form, 'startDate', LATE_START);
}

/** Reads an input that may name assignees in one of two ways. */
export function readAssignees<S extends z.ZodObject>(schema: S, given: object, path = INPUT): Form<z.output<S>> {
  const form = readForm(schema, given, path);
  return namesTwice(form.fields) ? withFault(form, 'assigneeIds', NAMED_TWICE) : form;
}

function withFault<T extends object>(form: Form<T>, field: string, message: string): Form<T> {
  const found = new Refusal(UserErrorCode.INVALID, message, [...form.path, field]);
  return { ...form, faults: [...form.faults, found] };
}
