/**
 * The SQL statements of an import. A read is one statement for any number of rows. A write is one statement per
 * `ROWS_PER_STATEMENT` rows and skips rows that would not change. Row locks are held until the transaction ends.
 */
import { and, eq, or, type SQL, sql } from 'drizzle-orm';
import type { AnyPgColumn } from 'drizzle-orm/pg-core';
import { type LabelId, type ProjectId, type TaskId, toUuid, type UserId } from '../../db/ids.js';
import type { Transaction } from '../../engine/postgres/index.js';
import { DEFAULT_COLOR, labels } from '../labels/label.table.js';
import { projectMembers, projects, type Role, taskNumbers } from '../projects/project.table.js';
import { lockShared } from '../projects/project-lock.js';
import { lockTaskRows } from '../tasks/task.row-locks.js';
import { type TaskRow, taskLabels, tasks } from '../tasks/task.table.js';
import { trashedTasks } from '../trash/trashed-task.table.js';
import { users } from '../users/user.table.js';

/**
 * The largest statement for which triggers name rows one by one; a larger one invalidates the whole table. Far below
 * the limit of 65,535 parameters.
 */
export const ROWS_PER_STATEMENT = 500;

/** Called after each statement with the number of rows it processed. */
export type OnRows = (count: number) => void;

/** The fields of a task that an import changes. */
export type TaskContent = Pick<
  TaskRow,
  | 'title'
  | 'description'
  | 'assigneeId'
  | 'otherAssigneeIds'
  | 'status'
  | 'priority'
  | 'dueDate'
  | 'startDate'
  | 'estimate'
  | 'parentId'
  | 'sortOrder'
  | 'completedAt'
>;
export type KnownTask = TaskContent & { readonly id: TaskId };
export type TaskChange = TaskContent & {
  readonly id: TaskId;
  /** Null if the file does not say when the task was changed. */
  readonly updatedAt: string | null;
  /** Whether its labels changed, which is a change of the task. */
  readonly relabelled: boolean;
};
export type NewTask = TaskContent &
  Pick<TaskRow, 'id' | 'projectId' | 'number' | 'creatorId' | 'createdAt' | 'updatedAt'> & {
    readonly sourceUrl: string;
  };

export interface ParentChange {
  readonly id: TaskId;
  readonly parentId: TaskId;
  /** New tasks keep their version and time of change. */
  readonly isNew: boolean;
  readonly updatedAt: string | null;
}

export interface TaskLabel {
  readonly taskId: TaskId;
  readonly labelId: LabelId;
}

/** Locks the user against deletion. @returns whether the user exists */
export async function lockUser(tx: Transaction, id: UserId): Promise<boolean> {
  const rows = await tx.select({ id: users.id }).from(users).where(eq(users.id, id)).for('key share');
  return rows.length > 0;
}

/** Undefined if the key is taken. */
export async function createProject(
  tx: Transaction,
  { ownerId, ...project }: { key: string; name: string; description: string | null; ownerId: UserId },
): Promise<ProjectId | undefined> {
  const [created] = await tx
    .insert(projects)
    .values(project)
    .onConflictDoNothing({ target: projects.key })
    .returning({ id: projects.id });
  if (created === undefined) return undefined;
  await tx.insert(projectMembers).values({ projectId: created.id, userId: ownerId, role: 'OWNER' });
  return created.id;
}

/** Takes the project lock, and a row lock against other imports. Tasks can still be created and changed, but
 * for those that the import changes, and comments on them. */
export async function lockProject(
  tx: Transaction,
  key: string,
): Promise<{ readonly id: ProjectId; readonly archived: boolean } | undefined> {
  const [known] = await tx.select({ id: projects.id }).from(projects).where(eq(projects.key, key));
  if (known === undefined) return undefined;
  await lockShared(tx, known.id);
  const [project] = await tx
    .select({ id: projects.id, archivedAt: projects.archivedAt })
    .from(projects)
    .where(eq(projects.id, known.id))
    .for('no key update');
  return project && { id: project.id, archived: project.archivedAt !== null };
}

/** Locks the membership, so that the user cannot be removed during the import. */
export async function lockRole(tx: Transaction, projectId: ProjectId, userId: UserId): Promise<Role | undefined> {
  const [member] = await tx
    .select({ role: projectMembers.role })
    .from(projectMembers)
    .where(and(eq(projectMembers.projectId, projectId), eq(projectMembers.userId, userId)))
    .for('share');
  return member?.role;
}

/** The users with these handles, by handle. Missing users are created with the names. */
export async function ensureUsers(tx: Transaction, names: ReadonlyMap<string, string>) {
  const created: string[] = [];
  for (const chunk of chunksOf([...names])) {
    const inserted = await tx
      .insert(users)
      .values(chunk.map(([handle, name]) => ({ handle, name })))
      .onConflictDoNothing({ target: users.handle })
      .returning({ handle: users.handle });
    created.push(...inserted.map(({ handle }) => handle));
  }
  const handles = [...names.keys()];
  const rows = await tx
    .select({ id: users.id, handle: users.handle })
    .from(users)
    .where(isOneOf(users.handle, handles));
  return { ids: new Map(rows.map(({ handle, id }) => [handle, id])), created };
}

/** Existing members keep their roles. */
export async function addMembers(tx: Transaction, projectId: ProjectId, userIds: readonly UserId[]): Promise<void> {
  for (const chunk of chunksOf(userIds)) {
    const values = chunk.map((userId) => ({ projectId, userId, role: 'MEMBER' as const }));
    await tx.insert(projectMembers).values(values).onConflictDoNothing();
  }
}

/**
 * Creates or updates labels to match `wanted`. What is absent stays as it is, or has its default.
 * @returns the labels by name
 */
export async function upsertLabels(
  tx: Transaction,
  projectId: ProjectId,
  wanted: readonly { readonly name: string; readonly color?: string; readonly description?: string | null }[],
) {
  const created: string[] = [];
  let updated = 0;
  for (const chunk of chunksOf(wanted)) {
    const inserted = await tx
      .insert(labels)
      .values(
        chunk.map(({ name, color = DEFAULT_COLOR, description = null }) => ({ projectId, name, color, description })),
      )
      .onConflictDoNothing({ target: [labels.projectId, labels.name] })
      .returning({ name: labels.name });
    const given = chunk.map(({ name, color, description }) => ({
      name,
      color,
      description,
      described: description !== undefined,
    }));
    const changed = await tx.execute(sql`
      update labels l set color = coalesce(given.color, l.color), updated_at = now(),
        description = case when given.described then given.description else l.description end
      from ${recordset(given, sql`name text, color text, description text, described boolean`)}
      where l.project_id = ${toUuid(projectId)} and l.name = given.name
        and (l.color <> given.color or given.described and l.description is distinct from given.description)
      returning l.id`);
    created.push(...inserted.map(({ name }) => name));
    updated += changed.length;
  }
  const names = wanted.map(({ name }) => name);
  const rows = await tx
    .select({ id: labels.id, name: labels.name })
    .from(labels)
    .where(and(eq(labels.projectId, projectId), isOneOf(labels.name, names)))
    .for('key share'); // so that no label is deleted before its tasks have it
  return { ids: new Map(rows.map(({ name, id }) => [name, id])), created, updated };
}

/**
 * The project's tasks that were imported with `keys`, by key, and those with `ids`, by id. They are locked against
 * changes and deletion.
 */
export async function lockTasks(
  tx: Transaction,
  projectId: ProjectId,
  { keys, ids }: { readonly keys: readonly string[]; readonly ids: readonly TaskId[] },
): Promise<{ byKey: Map<string, TaskId>; ids: Set<TaskId> }> {
  const isOneOfIds = sql`${tasks.id} = any(${sql.param(ids.map(toUuid))}::uuid[])`;
  const rows = await lockTaskRows(tx, 'no key update', {
    fields: ['id', 'sourceUrl'],
    where: and(eq(tasks.projectId, projectId), or(isOneOf(tasks.sourceUrl, keys), isOneOfIds)),
  });
  const byKey = new Map(rows.flatMap(({ id, sourceUrl }) => (sourceUrl === null ? [] : [[sourceUrl, id]])));
  return { byKey, ids: new Set(rows.map(({ id }) => id)) };
}

/**
 * What of `keys` and `ids` names tasks in the project's trash. Certain once `lockTasks` has returned: the project lock
 * keeps tasks from being restored.
 */
export async function findInTrash(
  tx: Transaction,
  projectId: ProjectId,
  { keys, ids }: { readonly keys: readonly string[]; readonly ids: readonly TaskId[] },
): Promise<Set<string>> {
  const isOneOfIds = sql`${trashedTasks.id} = any(${sql.param(ids.map(toUuid))}::uuid[])`;
  const rows = await tx
    .select({ id: trashedTasks.id, sourceUrl: trashedTasks.sourceUrl })
    .from(trashedTasks)
    .where(and(eq(trashedTasks.projectId, projectId), or(isOneOf(trashedTasks.sourceUrl, keys), isOneOfIds)));
  return new Set(rows.flatMap(({ id, sourceUrl }) => [id, ...(sourceUrl === null ? [] : [sourceUrl])]));
}

/** The present content of locked tasks. */
export async function contentOf(tx: Transaction, ids: readonly TaskId[]): Promise<Map<TaskId, KnownTask>> {
  const { id, title, description, assigneeId, otherAssigneeIds, status, priority, parentId, completedAt } = tasks;
  const { dueDate, startDate, estimate, sortOrder } = tasks;
  const rows = await tx
    .select({
      id,
      ...{ title, description, assigneeId, otherAssigneeIds, status, priority },
      ...{ dueDate, startDate, estimate, parentId, sortOrder, completedAt },
    })
    .from(tasks)
    .where(sql`${tasks.id} = any(${sql.param(ids.map(toUuid))}::uuid[])`);
  return new Map(rows.map((row) => [row.id, row]));
}

/** The highest task number ever used in the project. Blocks the creation of tasks until the transaction ends. */
export async function lockLastNumber(tx: Transaction, projectId: ProjectId): Promise<number> {
  const [counter] = await tx
    .insert(taskNumbers)
    .values({ projectId })
    // An update, because `do nothing` would neither lock nor return the row.
    .onConflictDoUpdate({ target: taskNumbers.projectId, set: { last: sql`${taskNumbers.last}` } })
    .returning({ last: taskNumbers.last });
  return (counter as { last: number }).last; // one row was inserted or updated
}

/** Read without a lock: it may be higher by now, never lower. */
export async function lastNumber(tx: Transaction, projectId: ProjectId): Promise<number> {
  const [counter] = await tx.select().from(taskNumbers).where(eq(taskNumbers.projectId, projectId));
  return counter?.last ?? 0;
}

export async function setLastNumber(tx: Transaction, projectId: ProjectId, last: number): Promise<void> {
  await tx.update(taskNumbers).set({ last }).where(eq(taskNumbers.projectId, projectId));
}

export async function insertTasks(tx: Transaction, rows: readonly NewTask[], onRows: OnRows): Promise<void> {
  for (const chunk of chunksOf(rows)) {
    await tx.insert(tasks).values(chunk);
    onRows(chunk.length);
  }
}

/**
 * @returns the UUIDs of the tasks that changed. `updated_at` never moves back behind a change made in the API.
 */
export async function updateTasks(tx: Transaction, rows: readonly TaskChange[], onRows: OnRows): Promise<string[]> {
  const updated: string[] = [];
  for (const chunk of chunksOf(rows)) {
    const given = chunk.map(recordOf);
    const columns = sql`id uuid, title text, description text, assignee_id uuid, other_assignee_ids uuid[],
      status task_status, priority task_priority, due_date date, start_date date, estimate int, parent_id uuid,
      sort_order text, completed_at timestamptz, updated_at timestamptz, relabelled boolean`;
    const changed = await tx.execute<{ id: string }>(sql`
      update tasks t set
        title = given.title, description = given.description, assignee_id = given.assignee_id,
        other_assignee_ids = given.other_assignee_ids, status = given.status, priority = given.priority,
        due_date = given.due_date, start_date = given.start_date, estimate = given.estimate,
        parent_id = given.parent_id, sort_order = given.sort_order, completed_at = given.completed_at,
        version = t.version + 1, updated_at = greatest(t.updated_at, coalesce(given.updated_at, now()))
      from ${recordset(given, columns)}
      where t.id = given.id and (given.relabelled or t.updated_at < given.updated_at or
        (t.title, t.description, t.assignee_id, t.other_assignee_ids, t.status, t.priority, t.due_date, t.start_date,
          t.estimate, t.parent_id, t.sort_order, t.completed_at)
        is distinct from (given.title, given.description, given.assignee_id, given.other_assignee_ids, given.status,
          given.priority, given.due_date, given.start_date, given.estimate, given.parent_id, given.sort_order,
          given.completed_at))
      returning t.id`);
    updated.push(...changed.map(({ id }) => id));
    onRows(chunk.length);
  }
  return updated;
}

function recordOf({ id, parentId, dueDate, startDate, completedAt, updatedAt, ...content }: TaskChange): object {
  const { assigneeId, otherAssigneeIds, sortOrder, ...rest } = content;
  return {
    ...rest,
    id: toUuid(id),
    other_assignee_ids: otherAssigneeIds.map(toUuid),
    start_date: startDate,
    assignee_id: assigneeId && toUuid(assigneeId),
    parent_id: parentId && toUuid(parentId),
    sort_order: sortOrder,
    due_date: dueDate,
    completed_at: completedAt,
    updated_at: updatedAt,
  };
}

/** Sets parents that did not exist yet when their subtasks were written. @returns the UUIDs of the changed tasks */
export async function setParents(tx: Transaction, changes: readonly ParentChange[]): Promise<string[]> {
  const updated: string[] = [];
  for (const chunk of chunksOf(changes)) {
    const given = chunk.map(({ id, parentId, isNew, updatedAt }) => ({
      id: toUuid(id),
      parent_id: toUuid(parentId),
      is_new: isNew,
      updated_at: updatedAt,
    }));
    const changed = await tx.execute<{ id: string }>(sql`
      update tasks t set parent_id = given.parent_id, version = t.version + (not given.is_new)::int,
        updated_at = case when given.is_new then t.updated_at
          else greatest(t.updated_at, coalesce(given.updated_at, now())) end
      from ${recordset(given, sql`id uuid, parent_id uuid, is_new boolean, updated_at timestamptz`)}
      where t.id = given.id and t.parent_id is distinct from given.parent_id
      returning t.id`);
    updated.push(...changed.map(({ id }) => id));
  }
  return updated;
}

/** A task that is its own parent, at any distance from one of these. */
export async function findCycle(tx: Transaction, ids: readonly TaskId[]): Promise<{ title: string } | undefined> {
  const [found] = await tx.execute<{ title: string }>(sql`
    with recursive up as (
      select id as start, parent_id from tasks where id = any(${sql.param(ids.map(toUuid))}::uuid[])
      union
      select up.start, t.parent_id from up join tasks t on t.id = up.parent_id
    )
    select t.title from up join tasks t on t.id = up.start where up.parent_id = up.start limit 1`);
  return found;
}

export function labelsOfTasks(tx: Transaction, taskIds: readonly TaskId[]): Promise<TaskLabel[]> {
  return tx
    .select({ taskId: taskLabels.taskId, labelId: taskLabels.labelId })
    .from(taskLabels)
    .where(sql`${taskLabels.taskId} = any(${sql.param(taskIds.map(toUuid))}::uuid[])`);
}

export async function deleteTaskLabels(tx: Transaction, pairs: readonly TaskLabel[]): Promise<void> {
  for (const chunk of chunksOf(pairs)) {
    const given = chunk.map(({ taskId, labelId }) => ({ task_id: toUuid(taskId), label_id: toUuid(labelId) }));
    await tx.execute(sql`
      delete from task_labels using ${recordset(given, sql`task_id uuid, label_id uuid`)}
      where task_labels.task_id = given.task_id and task_labels.label_id = given.label_id`);
  }
}

export async function insertTaskLabels(
  tx: Transaction,
  projectId: ProjectId,
  pairs: readonly TaskLabel[],
): Promise<void> {
  for (const chunk of chunksOf(pairs)) {
    const values = chunk.map((pair) => ({ projectId, ...pair }));
    await tx.insert(taskLabels).values(values).onConflictDoNothing();
  }
}

export function* chunksOf<T>(rows: readonly T[], size = ROWS_PER_STATEMENT): Generator<T[]> {
  for (let i = 0; i < rows.length; i += size) yield rows.slice(i, i + size);
}

/**
 * `rows` as a table named `given`, passed as one parameter: the statement's text does not depend on the number of rows.
 */
export function recordset(rows: readonly object[], columns: SQL): SQL {
  return sql`jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as given(${columns})`;
}

function isOneOf(column: AnyPgColumn, values: readonly string[]): SQL {
  return sql`${column} = any(${sql.param(values)})`;
}
