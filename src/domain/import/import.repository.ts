/**
 * The SQL statements of an import. A read is one statement for any number of rows. A write is one statement per
 * `ROWS_PER_STATEMENT` rows and skips rows that would not change. Row locks are held until the transaction ends.
 */
import { and, eq, type SQL, sql } from 'drizzle-orm';
import type { AnyPgColumn } from 'drizzle-orm/pg-core';
import { type CommentId, type LabelId, type ProjectId, type TaskId, toUuid, type UserId } from '../../db/ids.js';
import type { Transaction } from '../../engine/postgres/index.js';
import { comments } from '../comments/comment.table.js';
import { type LabelRow, labels } from '../labels/label.table.js';
import { projectMembers, projects, type Role, taskNumbers } from '../projects/project.table.js';
import { lockShared } from '../projects/project-lock.js';
import { type TaskRow, type TaskStatus, taskLabels, tasks } from '../tasks/task.table.js';
import { trashedTasks } from '../trash/trashed-task.table.js';
import { users } from '../users/user.table.js';

/**
 * The largest statement for which triggers name rows one by one; a larger one invalidates the whole table. Far below
 * the limit of 65,535 parameters.
 */
const ROWS_PER_STATEMENT = 500;

/** Called after each statement with the number of rows it processed. */
export type OnRows = (count: number) => void;

export interface KnownTask {
  readonly id: TaskId;
  readonly sourceUrl: string;
  readonly status: TaskStatus;
}

/** The fields of a task that a file contains. */
export type TaskContent = Pick<
  TaskRow,
  'title' | 'description' | 'assigneeId' | 'status' | 'completedAt' | 'updatedAt'
>;
export type TaskChange = TaskContent & {
  readonly id: TaskId;
  /** Whether its labels changed, which is a change of the task. */
  readonly relabelled: boolean;
};
export type NewTask = TaskContent &
  Pick<TaskRow, 'id' | 'projectId' | 'number' | 'creatorId' | 'createdAt'> & { readonly sourceUrl: string };

export interface TaskLabel {
  readonly taskId: TaskId;
  readonly labelId: LabelId;
}

export interface WantedComment {
  /** Used if the comment is new. */
  readonly id: CommentId;
  readonly taskId: TaskId;
  readonly authorId: UserId;
  readonly body: string;
  readonly sourceKey: string;
  readonly createdAt: string;
  /** Becomes `updatedAt` if the body of an existing comment changes. */
  readonly editedAt: string;
}

/** Locks the user against deletion. @returns whether the user exists */
export async function lockUser(tx: Transaction, id: UserId): Promise<boolean> {
  const rows = await tx.select({ id: users.id }).from(users).where(eq(users.id, id)).for('key share');
  return rows.length > 0;
}

/** Undefined if the key is taken. */
export async function createProject(
  tx: Transaction,
  { key, name, ownerId }: { key: string; name: string; ownerId: UserId },
): Promise<ProjectId | undefined> {
  const [created] = await tx
    .insert(projects)
    .values({ key, name })
    .onConflictDoNothing({ target: projects.key })
    .returning({ id: projects.id });
  if (created === undefined) return undefined;
  await tx.insert(projectMembers).values({ projectId: created.id, userId: ownerId, role: 'OWNER' });
  return created.id;
}

/** Takes the project lock, and a row lock against other imports. Tasks can still be created and changed. */
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

/** The users with these handles, by handle. Missing users are created. */
export async function ensureUsers(tx: Transaction, handles: readonly string[]) {
  let created = 0;
  for (const chunk of chunksOf(handles)) {
    const inserted = await tx
      .insert(users)
      .values(chunk.map((handle) => ({ handle, name: handle })))
      .onConflictDoNothing({ target: users.handle })
      .returning({ id: users.id });
    created += inserted.length;
  }
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

/** Creates or updates labels to match `wanted`. @returns the labels by name */
export async function upsertLabels(
  tx: Transaction,
  projectId: ProjectId,
  wanted: readonly Pick<LabelRow, 'name' | 'color' | 'description'>[],
) {
  let created = 0;
  let updated = 0;
  for (const chunk of chunksOf(wanted)) {
    const inserted = await tx
      .insert(labels)
      .values(chunk.map((label) => ({ projectId, ...label })))
      .onConflictDoNothing({ target: [labels.projectId, labels.name] })
      .returning({ id: labels.id });
    const changed = await tx.execute(sql`
      update labels l set color = given.color, description = given.description, updated_at = now()
      from ${recordset(chunk, sql`name text, color text, description text`)}
      where l.project_id = ${toUuid(projectId)} and l.name = given.name
        and (l.color, l.description) is distinct from (given.color, given.description)
      returning l.id`);
    created += inserted.length;
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

/** The project's tasks imported from `urls`, by URL. They are locked against changes and deletion. */
export async function lockTasks(
  tx: Transaction,
  projectId: ProjectId,
  urls: readonly string[],
): Promise<Map<string, KnownTask>> {
  const sourceUrl = sql<string>`${tasks.sourceUrl}`; // not null, because it is one of `urls`
  const rows = await tx
    .select({ id: tasks.id, sourceUrl, status: tasks.status })
    .from(tasks)
    .where(and(eq(tasks.projectId, projectId), isOneOf(tasks.sourceUrl, urls)))
    .orderBy(tasks.id)
    .for('no key update');
  return new Map(rows.map((row) => [row.sourceUrl, row]));
}

/**
 * Of `urls` those that tasks in the project's trash were imported from. Certain once `lockTasks` has returned: the
 * project lock keeps tasks from being restored.
 */
export async function urlsInTrash(
  tx: Transaction,
  projectId: ProjectId,
  urls: readonly string[],
): Promise<Set<string>> {
  const rows = await tx
    .select({ url: sql<string>`${trashedTasks.sourceUrl}` })
    .from(trashedTasks)
    .where(and(eq(trashedTasks.projectId, projectId), isOneOf(trashedTasks.sourceUrl, urls)));
  return new Set(rows.map(({ url }) => url));
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
 * @returns how many tasks changed. `updated_at` never moves back behind a change made in the API; columns that a file
 * does not contain stay.
 */
export async function updateTasks(tx: Transaction, rows: readonly TaskChange[], onRows: OnRows): Promise<number> {
  let updated = 0;
  for (const chunk of chunksOf(rows)) {
    const given = chunk.map(({ id, assigneeId, completedAt, updatedAt, ...rest }) => ({
      ...rest,
      id: toUuid(id),
      assignee_id: assigneeId && toUuid(assigneeId),
      completed_at: completedAt,
      updated_at: updatedAt,
    }));
    const columns = sql`id uuid, title text, description text, assignee_id uuid, status task_status,
      completed_at timestamptz, updated_at timestamptz, relabelled boolean`;
    const changed = await tx.execute(sql`
      update tasks t set
        title = given.title, description = given.description, assignee_id = given.assignee_id, status = given.status,
        completed_at = given.completed_at, updated_at = greatest(t.updated_at, given.updated_at), version = t.version + 1
      from ${recordset(given, columns)}
      where t.id = given.id and (given.relabelled or t.updated_at < given.updated_at or
        (t.title, t.description, t.assignee_id, t.status, t.completed_at) is distinct from
        (given.title, given.description, given.assignee_id, given.status, given.completed_at))
      returning t.id`);
    updated += changed.length;
    onRows(chunk.length);
  }
  return updated;
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

/** A comment is identified by its task and source key. Only its body can change. */
export async function upsertComments(tx: Transaction, wanted: readonly WantedComment[], onRows: OnRows) {
  let created = 0;
  let updated = 0;
  for (const chunk of chunksOf(wanted)) {
    const inserted = await tx
      .insert(comments)
      .values(chunk.map(({ editedAt, ...row }) => ({ ...row, updatedAt: row.createdAt })))
      .onConflictDoNothing({ target: [comments.taskId, comments.sourceKey] })
      .returning({ id: comments.id });
    created += inserted.length;
    // Comments that were just inserted are equal and stay untouched.
    if (inserted.length < chunk.length) updated += await updateComments(tx, chunk);
    onRows(chunk.length);
  }
  return { created, updated };
}

async function updateComments(tx: Transaction, chunk: readonly WantedComment[]): Promise<number> {
  const given = chunk.map(({ taskId, sourceKey, body, editedAt }) => ({
    task_id: toUuid(taskId),
    source_key: sourceKey,
    body,
    edited_at: editedAt,
  }));
  const changed = await tx.execute(sql`
    update comments c set body = given.body, updated_at = greatest(c.updated_at, given.edited_at)
    from ${recordset(given, sql`task_id uuid, source_key text, body text, edited_at timestamptz`)}
    where c.task_id = given.task_id and c.source_key = given.source_key and c.body is distinct from given.body
    returning c.id`);
  return changed.length;
}

function* chunksOf<T>(rows: readonly T[]): Generator<T[]> {
  for (let i = 0; i < rows.length; i += ROWS_PER_STATEMENT) yield rows.slice(i, i + ROWS_PER_STATEMENT);
}

/**
 * `rows` as a table named `given`, passed as one parameter: the statement's text does not depend on the number of rows.
 */
function recordset(rows: readonly object[], columns: SQL): SQL {
  return sql`jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as given(${columns})`;
}

function isOneOf(column: AnyPgColumn, values: readonly string[]): SQL {
  return sql`${column} = any(${sql.param(values)})`;
}
