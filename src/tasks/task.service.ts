/** Writes of tasks. Each is one transaction: rights, then rules, then rows; what it made old is found out by the triggers. */
import { and, eq, inArray, sql } from 'drizzle-orm';
import { z } from 'zod';
import type { Transaction } from '../db/database.js';
import type { LabelId, ProjectId, TaskId, UserId } from '../db/ids.js';
import { idInput, parseInput, Refusal, textInput, UserErrorCode } from '../graphql/user-error.js';
import type { Transactor } from '../invalidation/transact.js';
import { labels } from '../labels/label.table.js';
import { notFound, requireWriter } from '../projects/access.js';
import { projectMembers, taskNumbers } from '../projects/project.table.js';
import type {
  AssignTaskInput,
  CompleteTaskInput,
  CreateTaskInput,
  DeleteTaskInput,
  UpdateTaskInput,
} from './task.inputs.js';
import { type TaskRow, taskLabels, taskPriority, taskStatus, tasks } from './task.table.js';

const MAX_LABELS = 50;

const title = textInput(1, 500).transform((text) => text.trim());
const description = textInput(0, 65_536).nullish();
/** graphql-scalars reads a Date as midnight UTC. Postgres has no year 0. */
const day = z
  .date()
  .transform((date) => date.toISOString().slice(0, 10))
  .refine((text) => /^\d{4}/.test(text) && text >= '0001', 'expected a day from 0001-01-01 on')
  .nullish();
const labelIds = z.array(idInput('label')).max(MAX_LABELS, `expected at most ${MAX_LABELS} labels`).nullish();
const optional = {
  description,
  status: z.enum(taskStatus.enumValues).nullish(),
  priority: z.enum(taskPriority.enumValues).nullish(),
  assigneeId: idInput('user').nullish(),
  parentId: idInput('task').nullish(),
  dueDate: day,
  labelIds,
};
const createTaskInput = z.object({ projectId: idInput('project'), title, ...optional });
const kept = <T extends z.ZodType>(type: T) => type.refine((value) => value !== null, 'cannot be cleared');
const updateTaskInput = z.object({
  id: idInput('task'),
  expectedVersion: z.int().nullish(),
  ...optional,
  title: kept(title.nullish()),
  status: kept(optional.status),
  priority: kept(optional.priority),
});
const taskInput = z.object({ id: idInput('task') });
const assignTaskInput = taskInput.extend({ assigneeId: idInput('user').nullish() });

type Changed = 'title' | 'description' | 'status' | 'priority' | 'assigneeId' | 'parentId' | 'dueDate';
type Changes = { [C in Changed]?: TaskRow[C] | undefined };

export class TaskService {
  constructor(private readonly transactor: Transactor) {}

  create(viewerId: UserId, input: CreateTaskInput) {
    return this.transactor.transact(async (tx) => {
      const { projectId, labelIds, status, priority, ...rest } = parseInput(createTaskInput, input);
      await requireWriter(tx, viewerId, projectId, { what: 'project', path: ['input', 'projectId'] });
      const values = withoutUndefined({ ...rest, status: status ?? 'BACKLOG', priority: priority ?? 'NONE' });
      await requireReferences(tx, projectId, values);
      const [task] = await tx
        .insert(tasks)
        .values({
          ...values,
          title: rest.title,
          projectId,
          number: await nextNumber(tx, projectId),
          creatorId: viewerId,
          completedAt: status === 'DONE' ? sql`now()` : null,
        })
        .returning();
      await setLabels(tx, task as TaskRow, labelIds);
      return { task: task as TaskRow };
    });
  }

  update(viewerId: UserId, input: UpdateTaskInput) {
    return this.transactor.transact(async (tx) => {
      const { id, expectedVersion, labelIds, ...changes } = parseInput(updateTaskInput, input);
      if (changes.parentId) await lockTree(tx, id);
      const task = await taskToWrite(tx, viewerId, id);
      if (expectedVersion !== undefined && expectedVersion !== null && expectedVersion !== task.version) {
        const message = `expected version ${expectedVersion}, but the task has version ${task.version}`;
        throw new Refusal(UserErrorCode.CONFLICT, message, ['input', 'expectedVersion'], task);
      }
      const relabelled = await setLabels(tx, task, labelIds);
      // `kept` has refused null for the fields that cannot be cleared.
      return { task: await applyChanges(tx, task, changes as Changes, relabelled) };
    });
  }

  complete(viewerId: UserId, input: CompleteTaskInput) {
    return this.transactor.transact(async (tx) => {
      const task = await taskToWrite(tx, viewerId, parseInput(taskInput, input).id);
      return { task: await applyChanges(tx, task, { status: 'DONE' }) };
    });
  }

  assign(viewerId: UserId, input: AssignTaskInput) {
    return this.transactor.transact(async (tx) => {
      const { id, assigneeId } = parseInput(assignTaskInput, input);
      const task = await taskToWrite(tx, viewerId, id);
      return { task: await applyChanges(tx, task, { assigneeId: assigneeId ?? null }) };
    });
  }

  delete(viewerId: UserId, input: DeleteTaskInput) {
    return this.transactor.transact(async (tx) => {
      const { id } = await taskToWrite(tx, viewerId, parseInput(taskInput, input).id);
      await tx
        .update(tasks)
        .set({ parentId: null, version: sql`${tasks.version} + 1`, updatedAt: sql`now()` })
        .where(eq(tasks.parentId, id));
      await tx.delete(tasks).where(eq(tasks.id, id));
      return { deletedTaskId: id };
    });
  }
}

/** One change of parents at a time in a project: two that cross could close a circle, or wait for each other. */
async function lockTree(tx: Transaction, id: TaskId): Promise<void> {
  await tx
    .select({ lock: sql`pg_advisory_xact_lock(hashtextextended(${tasks.projectId}::text, 0))` })
    .from(tasks)
    .where(eq(tasks.id, id));
}

/** The task, locked, if the viewer may write in its project. @throws Refusal */
async function taskToWrite(tx: Transaction, viewerId: UserId, id: TaskId): Promise<TaskRow> {
  const refusal = { what: 'task', path: ['input', 'id'] };
  const [task] = await tx.select().from(tasks).where(eq(tasks.id, id)).for('update');
  if (task === undefined) throw notFound(refusal.what, refusal.path);
  await requireWriter(tx, viewerId, task.projectId, refusal);
  return task;
}

/** Writes what differs; a change that changes nothing leaves the row, its version and all caches alone. */
async function applyChanges(tx: Transaction, task: TaskRow, changes: Changes, force = false): Promise<TaskRow> {
  const given = Object.entries(withoutUndefined(changes));
  const different: Changes = Object.fromEntries(given.filter(([name, value]) => task[name as Changed] !== value));
  if (Object.keys(different).length === 0 && !force) return task;
  await requireReferences(tx, task.projectId, different, task.id);
  const { status } = different;
  const [updated] = await tx
    .update(tasks)
    .set({
      ...different,
      ...(status !== undefined && { completedAt: status === 'DONE' ? sql`now()` : null }),
      version: sql`${tasks.version} + 1`,
      updatedAt: sql`now()`,
    })
    .where(eq(tasks.id, task.id))
    .returning();
  return updated as TaskRow;
}

/** @throws Refusal when the assignee is no member, or the parent not of this project or below the task itself. */
async function requireReferences(
  tx: Transaction,
  projectId: ProjectId,
  { assigneeId, parentId }: Changes,
  id?: TaskId,
) {
  if (assigneeId) {
    const [member] = await tx
      .select({ userId: projectMembers.userId })
      .from(projectMembers)
      .where(and(eq(projectMembers.projectId, projectId), eq(projectMembers.userId, assigneeId)))
      .for('share');
    if (member === undefined) {
      throw new Refusal(UserErrorCode.INVALID, 'expected a member of the project', ['input', 'assigneeId']);
    }
  }
  if (!parentId) return;
  const [parent] = await tx
    .select({ id: tasks.id })
    .from(tasks)
    .where(and(eq(tasks.id, parentId), eq(tasks.projectId, projectId)))
    .for('share');
  if (parent === undefined)
    throw new Refusal(UserErrorCode.INVALID, 'expected a task of the same project', ['input', 'parentId']);
  if (id !== undefined && (await isBelow(tx, parentId, id))) {
    throw new Refusal(UserErrorCode.INVALID, 'expected a task that is not part of this one', ['input', 'parentId']);
  }
}

/** Whether `id` is `ancestor` or a part of it, however deep. */
async function isBelow(tx: Transaction, id: TaskId, ancestor: TaskId): Promise<boolean> {
  const [found] = await tx.execute<{ below: boolean }>(sql`
    with recursive up as (
      select ${tasks.id} as id, ${tasks.parentId} as parent_id from ${tasks} where ${eq(tasks.id, id)}
      union
      select t.id, t.parent_id from ${tasks} t join up on t.id = up.parent_id
    )
    select exists (select from up where ${eq(sql`id`, sql.param(ancestor, tasks.id))}) as below`);
  return found?.below ?? false;
}

async function nextNumber(tx: Transaction, projectId: ProjectId): Promise<number> {
  const [counter] = await tx
    .insert(taskNumbers)
    .values({ projectId, last: 1 })
    .onConflictDoUpdate({ target: taskNumbers.projectId, set: { last: sql`${taskNumbers.last} + 1` } })
    .returning();
  return (counter as { last: number }).last;
}

/** Makes the task bear exactly these labels. @returns whether that changed them. @throws Refusal when one is not of its project */
async function setLabels(
  tx: Transaction,
  { id: taskId, projectId }: TaskRow,
  wanted: readonly LabelId[] | null | undefined,
): Promise<boolean> {
  if (wanted === undefined) return false;
  const labelIds = new Set(wanted ?? []);
  const borne = await tx.select({ id: taskLabels.labelId }).from(taskLabels).where(eq(taskLabels.taskId, taskId));
  const dropped = borne.map(({ id }) => id).filter((id) => !labelIds.has(id));
  const added = [...labelIds].filter((id) => !borne.some((label) => label.id === id));
  if (dropped.length > 0) {
    await tx.delete(taskLabels).where(and(eq(taskLabels.taskId, taskId), inArray(taskLabels.labelId, dropped)));
  }
  if (added.length > 0) {
    const known = await tx
      .select({ id: labels.id })
      .from(labels)
      .where(and(eq(labels.projectId, projectId), inArray(labels.id, added)))
      .for('key share');
    if (known.length < added.length) {
      throw new Refusal(UserErrorCode.INVALID, 'expected labels of the project', ['input', 'labelIds']);
    }
    await tx.insert(taskLabels).values(added.map((labelId) => ({ projectId, taskId, labelId })));
  }
  return dropped.length + added.length > 0;
}

function withoutUndefined<T extends object>(values: T): T {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as T;
}
