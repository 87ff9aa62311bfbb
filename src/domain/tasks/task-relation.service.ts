/** Writes of relations between tasks. Each locks the tasks, so no one else relates them meanwhile. */
import { and, eq, inArray, or, sql } from 'drizzle-orm';
import { z } from 'zod';
import { uuids } from '../../db/by-id.js';
import { fromUuid, type TaskId, toUuid, type UserId } from '../../db/ids.js';
import type { Writer } from '../../db/writer.js';
import type { Transaction, Transactor } from '../../engine/postgres/index.js';
import { Faults, type Form, readForm } from '../../graphql/form.js';
import { fault, idInput, Refusal, UserErrorCode } from '../../graphql/user-error.js';
import { type ErrorTarget, notFound } from '../projects/access.js';
import { projectMembers, projects } from '../projects/project.table.js';
import { tasksToWrite } from './task.locks.js';
import { lockTaskRows } from './task.row-locks.js';
import { isOpenStatus, type TaskRow, tasks } from './task.table.js';
import { applyChanges } from './task.writes.js';
import { findCycle, inStoredOrder, lockRelations, MAX_REACHED, type Relation } from './task-relation.graph.js';
import { MAX_RELATIONS, taskRelations } from './task-relation.table.js';
import { type AddTaskRelationInput, type RemoveTaskRelationInput, TaskRelationType } from './task-relation.type.js';

const relationForm = z
  .object({ taskId: idInput('task'), type: z.enum(TaskRelationType), relatedTaskId: idInput('task') })
  .refine(({ taskId, relatedTaskId }) => taskId !== relatedTaskId, {
    path: ['relatedTaskId'],
    ...fault('INVALID', 'expected another task'),
  });

export interface Related {
  readonly task: TaskRow;
  readonly relatedTask: TaskRow;
}

export class TaskRelationService {
  constructor(private readonly transactor: Transactor) {}

  add(by: Writer, given: AddTaskRelationInput) {
    const form = readForm(relationForm, given);
    return this.transactor.transact(async (tx) => {
      const locked = await lockRelated(tx, by.viewerId, form);
      const { taskId, type, relatedTaskId } = form.fields as z.output<typeof relationForm>;
      const relation = storedRelation(taskId, type, relatedTaskId);
      const others = await relationsOfBoth(tx, relation);
      if (others.some((other) => isSame(other, relation))) return locked;
      refuseTooMany(others, relation);
      if (relation.type !== 'RELATES_TO') await refuseCycle(tx, by.viewerId, relation);
      const task = relation.type === 'DUPLICATE_OF' ? await cancel(tx, locked.task) : locked.task;
      await removeReplaced(tx, others, relation);
      await insertRelation(tx, relation, locked);
      return { ...locked, task };
    }, by);
  }

  remove(by: Writer, given: RemoveTaskRelationInput) {
    const form = readForm(relationForm, given);
    return this.transactor.transact(async (tx) => {
      const found = await lockWritable(tx, by.viewerId, form);
      const { taskId, type, relatedTaskId } = form.fields as z.output<typeof relationForm>;
      if (!found.task || !found.relatedTask) await lockRows(tx, [taskId, relatedTaskId]);
      const isRemoved = await deleteRelation(tx, storedRelation(taskId, type, relatedTaskId));
      if (!isRemoved) throw notFound('relation', ['input', 'relatedTaskId']);
      return found;
    }, by);
  }
}

function storedRelation(taskId: TaskId, type: TaskRelationType, relatedTaskId: TaskId): Relation {
  if (type === TaskRelationType.BLOCKED_BY) return { taskId: relatedTaskId, type: 'BLOCKS', relatedTaskId: taskId };
  return inStoredOrder({ taskId, type, relatedTaskId });
}

/** Locks both tasks. @throws Refusal with all faults */
async function lockRelated(
  tx: Transaction,
  viewerId: UserId,
  form: Form<z.output<typeof relationForm>>,
): Promise<Related> {
  const { faults, task, relatedTask } = await lockEnds(tx, viewerId, form);
  faults.throwIfAny();
  return { task: task as TaskRow, relatedTask: relatedTask as TaskRow };
}

/** Locks those tasks that the viewer can write: one suffices. @throws Refusal with all faults */
async function lockWritable(
  tx: Transaction,
  viewerId: UserId,
  form: Form<z.output<typeof relationForm>>,
): Promise<Partial<Related>> {
  const isInvalid = new Faults(form).refusal !== undefined;
  const { faults, task, relatedTask } = await lockEnds(tx, viewerId, form);
  if (isInvalid || (!task && !relatedTask)) faults.throwIfAny();
  return { ...(task && { task }), ...(relatedTask && { relatedTask }) };
}

async function lockEnds(tx: Transaction, viewerId: UserId, form: Form<z.output<typeof relationForm>>) {
  const faults = new Faults(form);
  const { taskId, relatedTaskId } = form.fields;
  const ids = [...new Set([taskId, relatedTaskId])].filter((id) => id !== undefined);
  const named = (id: TaskId): ErrorTarget => ({
    what: 'task',
    path: faults.pathOf(id === taskId ? 'taskId' : 'relatedTaskId'),
  });
  const locked = ids.length > 0 ? await tasksToWrite(tx, viewerId, ids, named) : new Map<TaskId, TaskRow | Refusal>();
  for (const outcome of locked.values()) if (outcome instanceof Refusal) faults.add(outcome);
  const rowOf = (id: TaskId | undefined) => {
    const outcome = id && locked.get(id);
    return outcome instanceof Refusal ? undefined : outcome;
  };
  return { faults, task: rowOf(taskId), relatedTask: rowOf(relatedTaskId) };
}

/** Orders the events of tasks that the viewer cannot write, too. */
async function lockRows(tx: Transaction, ids: readonly TaskId[]): Promise<void> {
  await lockTaskRows(tx, 'no key update', { fields: ['id'], where: inArray(tasks.id, [...ids]) });
}

async function deleteRelation(tx: Transaction, { taskId, type, relatedTaskId }: Relation): Promise<boolean> {
  const removed = await tx
    .delete(taskRelations)
    .where(
      and(
        eq(taskRelations.taskId, taskId),
        eq(taskRelations.type, type),
        eq(taskRelations.relatedTaskId, relatedTaskId),
      ),
    )
    .returning({ type: taskRelations.type });
  return removed.length > 0;
}

function relationsOfBoth(tx: Transaction, { taskId, relatedTaskId }: Relation): Promise<Relation[]> {
  const { taskId: from, type, relatedTaskId: to } = taskRelations;
  const ofOne = (id: TaskId) => or(eq(from, id), eq(to, id));
  return tx
    .select({ taskId: from, type, relatedTaskId: to })
    .from(taskRelations)
    .where(or(ofOne(taskId), ofOne(relatedTaskId)));
}

function isSame(a: Relation, b: Relation): boolean {
  return a.taskId === b.taskId && a.type === b.type && a.relatedTaskId === b.relatedTaskId;
}

/** @throws Refusal LIMIT */
function refuseTooMany(others: readonly Relation[], { taskId, type, relatedTaskId }: Relation): void {
  const alike = others.filter((other) => other.type === type);
  const path = ['input', 'type'];
  const atEnd = (id: TaskId, end: 'taskId' | 'relatedTaskId') => alike.filter((other) => other[end] === id).length;
  const atBoth = (id: TaskId) => atEnd(id, 'taskId') + atEnd(id, 'relatedTaskId');
  const counts =
    type === 'RELATES_TO'
      ? [atBoth(taskId), atBoth(relatedTaskId)]
      : [type === 'BLOCKS' ? atEnd(taskId, 'taskId') : 0, atEnd(relatedTaskId, 'relatedTaskId')];
  if (Math.max(...counts) < MAX_RELATIONS) return;
  const message = `expected at most ${MAX_RELATIONS} relations of this kind on each of the tasks`;
  throw new Refusal(UserErrorCode.LIMIT, message, path);
}

/** A task is a duplicate of one task: a new relation replaces one that the viewer may not see. */
async function removeReplaced(tx: Transaction, others: readonly Relation[], { taskId, type }: Relation): Promise<void> {
  if (type !== 'DUPLICATE_OF') return;
  const replaced = others.find((other) => other.type === type && other.taskId === taskId);
  if (replaced === undefined) return;
  await lockRows(tx, [replaced.relatedTaskId]);
  await deleteRelation(tx, replaced);
}

/** Tasks that the message of a cycle names. */
const MAX_NAMED = 10;

/** @throws Refusal INVALID that says which tasks form the cycle, or LIMIT */
async function refuseCycle(tx: Transaction, viewerId: UserId, relation: Relation): Promise<void> {
  await lockRelations(tx);
  const cycle = await findCycle(tx, relation);
  if (cycle === undefined) return;
  if (cycle === 'unknown') {
    const message = `the relation leads on to more than ${MAX_REACHED} tasks: too many to make sure that there is no cycle`;
    throw new Refusal(UserErrorCode.LIMIT, message, ['input', 'type']);
  }
  const names = await namesOf(tx, viewerId, cycle);
  const verb = relation.type === 'BLOCKS' ? 'blocks' : 'is a duplicate of';
  const named = cycle.slice(1, 1 + MAX_NAMED);
  const steps = named.map((id, i) => `${i === 0 ? '' : 'which '}${verb} ${names.get(id) ?? HIDDEN}`);
  const more = cycle.length - 1 - named.length;
  if (more > 0) steps.push(`and so on over ${more} more`);
  const message = `expected no cycle: ${names.get(cycle[0] as TaskId) ?? HIDDEN} ${steps.join(', ')}`;
  throw new Refusal(UserErrorCode.INVALID, message, ['input', 'relatedTaskId']);
}

const HIDDEN = 'a task that you cannot see';

/** The identifiers of those tasks that the viewer can see. */
async function namesOf(tx: Transaction, viewerId: UserId, ids: readonly TaskId[]): Promise<Map<TaskId, string>> {
  const rows = await tx.execute<{ id: string; name: string }>(sql`
    select t.id, p.key || '-' || t.number as name
    from ${tasks} t join ${projects} p on p.id = t.project_id
      join ${projectMembers} m on m.project_id = p.id and m.user_id = ${toUuid(viewerId)}
    where t.id = any(${uuids(ids)})`);
  return new Map(rows.map(({ id, name }) => [fromUuid('task', id), name]));
}

async function cancel(tx: Transaction, task: TaskRow): Promise<TaskRow> {
  return isOpenStatus(task.status) ? applyChanges(tx, task, { status: 'CANCELED' }) : task;
}

async function insertRelation(tx: Transaction, relation: Relation, { task, relatedTask }: Related): Promise<void> {
  const projectOf = (id: TaskId) => (id === task.id ? task : relatedTask).projectId;
  await tx.insert(taskRelations).values({
    ...relation,
    projectId: projectOf(relation.taskId),
    relatedProjectId: projectOf(relation.relatedTaskId),
  });
}
