/** Inserts tasks: permissions, then rules, then rows. Many tasks cost as many statements as one. */
import { and, eq, getTableColumns, type SQL, sql } from 'drizzle-orm';
import { uuids } from '../../db/by-id.js';
import type { LabelId, ProjectId, TaskId, UserId } from '../../db/ids.js';
import type { Executor, Transaction } from '../../engine/postgres/index.js';
import type { Faults, Form } from '../../graphql/form.js';
import { lockAccess, whyNotWritable } from '../projects/access.js';
import { projectMembers } from '../projects/project.table.js';
import { lockShared } from '../projects/project-lock.js';
import { givenColumns } from './task.assignees.js';
import type { NewTaskFields } from './task.forms.js';
import { relabel } from './task.labels.js';
import { checkReferences, type References } from './task.references.js';
import { type TaskRow, tasks } from './task.table.js';
import { takeNumbers } from './task.writes.js';
import { lockTrees } from './tree-lock.js';

/** A task to be inserted, unless there are faults. */
export interface NewTask {
  readonly id: TaskId;
  readonly form: Form<NewTaskFields>;
  readonly faults: Faults;
}

/** Checks all tasks, then inserts those without faults. @returns these */
export async function insertTasks(
  tx: Transaction,
  viewerId: UserId,
  given: readonly NewTask[],
): Promise<Map<TaskId, TaskRow>> {
  const placed = await checkProjects(tx, viewerId, given);
  const parents = referencesOf(placed, 'parentId');
  await lockTrees(
    tx,
    parents.map(({ projectId }) => projectId),
  );
  await checkReferences(tx, 'member', [...referencesOf(placed, 'assigneeId'), ...referencesOf(placed, 'assigneeIds')]);
  await checkReferences(tx, 'parent', parents);
  await checkReferences(tx, 'label', referencesOf(placed, 'labelIds'));
  const accepted = placed.filter(({ faults }) => !faults.any);
  if (accepted.length === 0) return new Map();
  const rows = await insertRows(
    tx,
    viewerId,
    accepted.map(({ id, form, faults }) => ({ id, ...faults.complete(form) })),
  );
  const inserted = new Map(rows.map((row) => [row.id, row]));
  await relabel(
    tx,
    accepted.map(({ id, form }) => ({ task: inserted.get(id) as TaskRow, dropped: [], added: labelsOf(form) })),
  );
  return inserted;
}

/** Those of the tasks that the viewer can see, for a repeated mutation. */
export async function visibleTasks(
  db: Executor,
  viewerId: UserId,
  ids: readonly TaskId[],
): Promise<Map<TaskId, TaskRow>> {
  const rows = await db
    .select({ task: tasks })
    .from(tasks)
    .innerJoin(projectMembers, and(eq(projectMembers.projectId, tasks.projectId), eq(projectMembers.userId, viewerId)))
    .where(sql`${tasks.id} = any(${uuids(ids)})`);
  return new Map(rows.map(({ task }) => [task.id, task]));
}

/** The tasks of projects that the viewer can write in; the others get a fault. */
async function checkProjects(tx: Transaction, viewerId: UserId, given: readonly NewTask[]): Promise<NewTask[]> {
  const named = given.filter(({ form }) => form.fields.projectId !== undefined);
  const projectIds = named.map(({ form }) => form.fields.projectId as ProjectId);
  if (projectIds.length === 0) return [];
  await lockShared(tx, ...projectIds);
  const access = await lockAccess(tx, viewerId, projectIds);
  return named.filter(({ form, faults }) => {
    const target = { what: 'project', path: faults.pathOf('projectId') };
    const refusal = whyNotWritable(access.get(form.fields.projectId as ProjectId), target);
    faults.add(refusal);
    return refusal === undefined;
  });
}

function referencesOf(
  placed: readonly NewTask[],
  field: 'assigneeId' | 'assigneeIds' | 'parentId' | 'labelIds',
): References[] {
  return placed.flatMap(({ form, faults }) => {
    const ids = [form.fields[field] ?? []].flat();
    return ids.length === 0 ? [] : [{ projectId: form.fields.projectId as ProjectId, ids, field, faults }];
  });
}

function labelsOf({ fields }: Form<NewTaskFields>): LabelId[] {
  return [...new Set(fields.labelIds ?? [])];
}

const COLUMNS = Object.entries(getTableColumns(tasks));
const COMPUTED: Record<string, SQL> = {
  created_at: sql`now()`,
  updated_at: sql`now()`,
  completed_at: sql`case when new.status = 'DONE' then now() end`,
};

/** The statement's text is the same for any number of rows. */
async function insertRows(
  tx: Transaction,
  viewerId: UserId,
  given: readonly (NewTaskFields & { readonly id: TaskId })[],
): Promise<TaskRow[]> {
  const numbers = await numbersFor(tx, given);
  const rows = given.map(({ labelIds: _, assigneeId, assigneeIds, status, priority, ...task }, i) => ({
    ...task,
    otherAssigneeIds: [],
    ...givenColumns({ assigneeId, assigneeIds }),
    number: numbers[i],
    status: status ?? 'BACKLOG',
    priority: priority ?? 'NONE',
    creatorId: viewerId,
    version: 1,
  }));
  const columns = COLUMNS.map(([, { name }]) => COMPUTED[name] ?? sql`new.${sql.identifier(name)}`);
  return tx
    .insert(tasks)
    .select(
      sql`select ${sql.join(columns, sql`, `)} from json_populate_recordset(null::tasks, ${JSON.stringify(rows.map(toColumns))}::text::json) as new`,
    )
    .returning();
}

/** A row by the names of its columns, in values of Postgres. */
function toColumns(row: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    COLUMNS.filter(([property]) => row[property] !== undefined && row[property] !== null).map(([property, column]) => [
      column.name,
      column.mapToDriverValue(row[property]),
    ]),
  );
}

/** A number for each task, in the order given within its project. */
async function numbersFor(tx: Transaction, given: readonly { readonly projectId: ProjectId }[]): Promise<number[]> {
  const left = new Map<ProjectId, number>();
  for (const { projectId } of given) left.set(projectId, (left.get(projectId) ?? 0) + 1);
  const last = await takeNumbers(tx, left);
  return given.map(({ projectId }) => {
    const behind = (left.get(projectId) as number) - 1;
    left.set(projectId, behind);
    return (last.get(projectId) as number) - behind;
  });
}
