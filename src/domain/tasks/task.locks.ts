/**
 * Locks tasks for writing: first the viewer's permission, then the rows, in the lock order of projects/project-lock.ts.
 * The project of a task is only certain under its project lock. If the task moves away while a write waits for that
 * lock, the write is refused: taking the next project's lock could break the order.
 */
import { asc, eq, getTableColumns, inArray, type Placeholder, type SQL, sql } from 'drizzle-orm';
import { uuids } from '../../db/by-id.js';
import { type ProjectId, type TaskId, toUuid, type UserId } from '../../db/ids.js';
import type { Transaction } from '../../engine/postgres/index.js';
import { preparedIn } from '../../engine/postgres/index.js';
import { Refusal, UserErrorCode } from '../../graphql/user-error.js';
import {
  type ErrorTarget,
  lockAccess,
  notFound,
  type ProjectAccess,
  roleOfWriter,
  whyNotWritable,
} from '../projects/access.js';
import { projects, type Role, WRITING_ROLES } from '../projects/project.table.js';
import { sharedLockSql } from '../projects/project-lock.js';
import { lockTaskRows } from './task.row-locks.js';
import { type TaskRow, tasks } from './task.table.js';
import { lockTrees } from './tree-lock.js';

export const TASK: ErrorTarget = { what: 'task', path: ['input', 'id'] };

/** Additional locks that a write needs. */
export interface Holding {
  /** The parent tree, for writes that change parents. Two concurrent changes could otherwise form a cycle. */
  readonly tree?: boolean;
  /** Tasks that must not change meanwhile, if they are in a project the viewer can write in. */
  readonly others?: readonly TaskId[];
}

/** Locks a task that the viewer can write. @throws Refusal */
export async function lockTaskForUpdate(
  tx: Transaction,
  viewerId: UserId,
  id: TaskId,
  named: ErrorTarget = TASK,
  holding: Holding = {},
): Promise<TaskRow> {
  const found = (await tasksToWrite(tx, viewerId, [id], () => named, holding)).get(id);
  if (found instanceof Refusal) throw found;
  return found as TaskRow;
}

/** Locks each task, or returns why the viewer cannot write it. `named`: how the input names it. */
export async function tasksToWrite(
  tx: Transaction,
  viewerId: UserId,
  ids: readonly TaskId[],
  named: (id: TaskId) => ErrorTarget,
  { tree = false, others = [] }: Holding = {},
): Promise<Map<TaskId, TaskRow | Refusal>> {
  const seen = await seenForWriting(tx, viewerId, { ids, others, tree });
  const refusalOf = (id: TaskId) => {
    const task = seen.get(id);
    return task === undefined ? notFound(named(id).what, named(id).path) : whyNotWritable(task.place, named(id));
  };
  const open = ids.filter((id) => refusalOf(id) === undefined);
  const gone = open.filter((id) => seen.get(id)?.task === undefined);
  const elsewhere = gone.length === 0 ? new Map() : await projectsOf(tx, gone);
  return new Map(
    ids.map((id) => {
      const missing = () => (elsewhere.has(id) ? movedConflict(named(id)) : notFound(named(id).what, named(id).path));
      return [id, refusalOf(id) ?? seen.get(id)?.task ?? missing()];
    }),
  );
}

/**
 * Locks a task against deletion, for writes of rows that depend on it. The viewer must be able to write in its project.
 * @returns the viewer's role. @throws Refusal
 */
export async function lockTaskShared(tx: Transaction, viewerId: UserId, id: TaskId, named: ErrorTarget): Promise<Role> {
  const projectId = (await lockProjectsOf(tx, [id])).get(id);
  if (projectId === undefined) throw notFound(named.what, named.path);
  const role = await roleOfWriter(tx, viewerId, projectId, named);
  const [held] = await tx.select({ projectId: tasks.projectId }).from(tasks).where(eq(tasks.id, id)).for('key share');
  if (held === undefined) throw notFound(named.what, named.path);
  if (held.projectId !== projectId) throw movedConflict(named);
  return role;
}

/**
 * Locks the tree of the task's project, and with it the manual order of the project. The viewer must be able to write
 * in the project. @throws Refusal
 */
export async function lockTreeOf(tx: Transaction, viewerId: UserId, id: TaskId): Promise<ProjectId> {
  const projectId = (await lockProjectsOf(tx, [id])).get(id);
  if (projectId === undefined) throw notFound(TASK.what, TASK.path);
  await roleOfWriter(tx, viewerId, projectId, TASK);
  await lockTrees(tx, [projectId]);
  return projectId;
}

/** A locked task with its locked subtasks. */
export interface WithSubtasks {
  readonly task: TaskRow;
  readonly parts: readonly TaskId[];
}

/**
 * Locks a task and its subtasks, which are about to lose their parent. The viewer must be able to write in the project.
 * The parent tree is locked too, so no subtask is added meanwhile.
 * @param passed the project whose lock the caller already holds for this task. Taking the lock of another project now
 * could break the order.
 * @throws Refusal
 */
export async function lockTaskWithSubtasks(
  tx: Transaction,
  viewerId: UserId,
  id: TaskId,
  passed?: ProjectId,
): Promise<WithSubtasks> {
  const places = passed && new Map([[id, passed]] as const);
  const locked = (await lockTasksWithSubtasks(tx, viewerId, [id], () => TASK, places)).get(id) as
    | WithSubtasks
    | Refusal;
  if (locked instanceof Refusal) throw locked;
  return locked;
}

/**
 * The same for many tasks, for each of which it returns why the viewer cannot write it instead.
 * @param named how the input names a task
 */
export async function lockTasksWithSubtasks(
  tx: Transaction,
  viewerId: UserId,
  ids: readonly TaskId[],
  named: (id: TaskId) => ErrorTarget,
  passed?: ReadonlyMap<TaskId, ProjectId>,
): Promise<Map<TaskId, WithSubtasks | Refusal>> {
  const places = passed ?? (await lockProjectsOf(tx, ids));
  const access = await lockAccess(tx, viewerId, [...new Set(places.values())]);
  const missing = (id: TaskId) => notFound(named(id).what, named(id).path);
  const refusalOf = (id: TaskId) => {
    const projectId = places.get(id);
    return projectId === undefined ? missing(id) : whyNotWritable(access.get(projectId), named(id));
  };
  const open = ids.filter((id) => refusalOf(id) === undefined);
  const rows = await lockWithSubtasks(tx, open, places);
  return new Map(
    ids.map((id): [TaskId, WithSubtasks | Refusal] => {
      const task = rows.find((row) => row.id === id);
      const refusal = refusalOf(id) ?? (task === undefined ? missing(id) : undefined);
      if (refusal !== undefined || task === undefined) return [id, refusal as Refusal];
      if (task.projectId !== places.get(id)) return [id, movedConflict(named(id))];
      return [id, { task, parts: rows.filter((row) => row.parentId === id).map((row) => row.id) }];
    }),
  );
}

async function lockWithSubtasks(
  tx: Transaction,
  ids: readonly TaskId[],
  places: ReadonlyMap<TaskId, ProjectId>,
): Promise<TaskRow[]> {
  if (ids.length === 0) return [];
  await lockTrees(
    tx,
    ids.map((id) => places.get(id) as ProjectId),
  );
  const where = sql`${tasks.id} = any(${uuids(ids)}) or ${tasks.parentId} = any(${uuids(ids)})`;
  return lockTaskRows(tx, 'update', { where });
}

interface Seen {
  readonly place: ProjectAccess | undefined;
  /** The locked row. Absent if the viewer cannot write it or it no longer exists. */
  readonly task: TaskRow | undefined;
}

/** The columns of the composite `w.task` that functions of the database return. */
export const TASK_OF_FUNCTION = Object.fromEntries(
  Object.entries(getTableColumns(tasks)).map(([name, column]) => [
    name,
    sql`(w.task).${sql.identifier(column.name)}`.mapWith(column),
  ]),
);

/** The roles that can write, as an array of Postgres. */
export const ROLES = `{${WRITING_ROLES.join(',')}}`;

/** The viewer, or null if deactivated: a membership proves the viewer to a write (graphql/writes-as-member.ts). */
export function activeViewer(id: Placeholder): SQL {
  return sql`(select id from users where id = ${id} and state = 'ACTIVE')`;
}

/** Locks the existing tasks with the function of migration 0003, which takes all locks in order. */
async function seenForWriting(
  tx: Transaction,
  viewerId: UserId,
  { ids, others, tree }: Required<Holding> & { readonly ids: readonly TaskId[] },
): Promise<Map<TaskId, Seen>> {
  const { placeholder } = sql;
  const statement = preparedIn(
    tx,
    'tasks_to_write',
    (at, name) =>
      at
        .select({
          id: sql<TaskId>`w.seen_id`.mapWith(tasks.id),
          role: sql<Role | null>`w.role`,
          archivedAt: sql<string | null>`w.archived_at`.mapWith(projects.archivedAt),
          task: TASK_OF_FUNCTION,
        })
        .from(
          sql`tasks_to_write(${activeViewer(placeholder('viewer'))}, ${placeholder('ids')}, ${placeholder('others')}, ${ROLES}, ${placeholder('tree')}) as w`,
        )
        .prepare(name),
    { early: true },
  );
  const rows = await statement.execute({
    viewer: toUuid(viewerId),
    ids: ids.map(toUuid),
    others: others.map(toUuid),
    tree,
  });
  return new Map(
    rows.map(({ id, role, archivedAt, task }) => {
      const place = role === null ? undefined : { role, archivedAt };
      return [id, { place, task: task['id'] === null ? undefined : (task as unknown as TaskRow) }];
    }),
  );
}

/**
 * Takes the locks of the projects that this statement finds the tasks in. Certain only if a task is found there again.
 * Postgres calls volatile functions of a select list after it has sorted, so the locks are taken in order.
 */
async function lockProjectsOf(tx: Transaction, ids: readonly TaskId[]): Promise<Map<TaskId, ProjectId>> {
  const known = await tx
    .select({ id: tasks.id, projectId: tasks.projectId, passed: sharedLockSql(sql`${tasks.projectId}`) })
    .from(tasks)
    .where(sql`${tasks.id} = any(${uuids(ids)})`)
    .orderBy(asc(tasks.projectId));
  return new Map(known.map(({ id, projectId }) => [id, projectId]));
}

/** Reads without locks: the result is only a hint where to look. */
export async function projectsOf(tx: Transaction, ids: readonly TaskId[]): Promise<Map<TaskId, ProjectId>> {
  const rows = await tx
    .select({ id: tasks.id, projectId: tasks.projectId })
    .from(tasks)
    .where(inArray(tasks.id, [...ids]));
  return new Map(rows.map(({ id, projectId }) => [id, projectId]));
}

export function movedConflict({ what, path }: ErrorTarget): Refusal {
  return new Refusal(UserErrorCode.CONFLICT, `the ${what} has just been moved to another project: try again`, path);
}
