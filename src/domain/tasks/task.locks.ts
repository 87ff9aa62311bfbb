/**
 * Tasks to be written: the viewer's right to it, then the rows, in the one order in which all writes take their locks (projects/gates.ts).
 * Which project a task is in is only sure behind its gate: a write that had to wait there while the task was moved away is refused, since
 * going on to the next gate would break that order.
 */
import { asc, eq, getTableColumns, inArray, or, sql } from 'drizzle-orm';
import { uuids } from '../../db/by-id.js';
import { type ProjectId, type TaskId, toUuid, type UserId } from '../../db/ids.js';
import type { Transaction } from '../../engine/postgres/index.js';
import { preparedIn } from '../../engine/postgres/index.js';
import { Refusal, UserErrorCode } from '../../graphql/user-error.js';
import { type ErrorTarget, notFound, type ProjectAccess, roleOfWriter, whyNotWritable } from '../projects/access.js';
import { projects, type Role, WRITING_ROLES } from '../projects/project.table.js';
import { sharedLockSql } from '../projects/project-lock.js';
import { type TaskRow, tasks } from './task.table.js';

export const TASK: ErrorTarget = { what: 'task', path: ['input', 'id'] };

/** What a write has to hold besides its tasks. */
export interface Holding {
  /** The tree of parents: for whatever changes it. Two changes that cross could close a circle. */
  readonly tree?: boolean;
  /** Tasks that must not change meanwhile, if they are of a project that the viewer may write in. */
  readonly others?: readonly TaskId[];
}

/** The task, locked, if the viewer may write in its project. @throws Refusal */
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

/** Each of the tasks, locked, or why the viewer may not write it. `named`: how the input names it. */
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
 * The task held against deletion, in a project that the viewer may write in: for writes of what hangs on it.
 * @returns the viewer's role. @throws Refusal
 */
export async function lockTaskShared(tx: Transaction, viewerId: UserId, id: TaskId, named: ErrorTarget): Promise<Role> {
  const projectId = await passGateOf(tx, id);
  if (projectId === undefined) throw notFound(named.what, named.path);
  const role = await roleOfWriter(tx, viewerId, projectId, named);
  const [held] = await tx.select({ projectId: tasks.projectId }).from(tasks).where(eq(tasks.id, id)).for('key share');
  if (held === undefined) throw notFound(named.what, named.path);
  if (held.projectId !== projectId) throw movedConflict(named);
  return role;
}

/**
 * The task, locked together with its parts, whose parent is about to go, if the viewer may write in its project. The tree is locked too, so
 * there are no other parts. `passed`: the project that the task was seen in, when its gate was passed already: to pass another's now could
 * break the order. @throws Refusal
 */
export async function taskWithParts(
  tx: Transaction,
  viewerId: UserId,
  id: TaskId,
  passed?: ProjectId,
): Promise<{ readonly task: TaskRow; readonly parts: readonly TaskId[] }> {
  const projectId = passed ?? (await passGateOf(tx, id));
  if (projectId === undefined) throw notFound(TASK.what, TASK.path);
  await roleOfWriter(tx, viewerId, projectId, TASK);
  await lockTree(tx, projectId);
  const rows = await tx
    .select()
    .from(tasks)
    .where(or(eq(tasks.id, id), eq(tasks.parentId, id)))
    .orderBy(asc(tasks.id))
    .for('update');
  const task = rows.find((row) => row.id === id);
  if (task === undefined) throw notFound(TASK.what, TASK.path);
  if (task.projectId !== projectId) throw movedConflict(TASK);
  return { task, parts: rows.filter((row) => row.id !== id).map((row) => row.id) };
}

interface Seen {
  readonly place: ProjectAccess | undefined;
  /** Locked. Absent where it may not be written, or is not there any more. */
  readonly task: TaskRow | undefined;
}

const LOCKED = Object.fromEntries(
  Object.entries(getTableColumns(tasks)).map(([name, column]) => [
    name,
    sql`(w.task).${sql.identifier(column.name)}`.mapWith(column),
  ]),
);

const ROLES = `{${WRITING_ROLES.join(',')}}`;

/** The tasks that there are, by migration 0008's function, which takes all locks in their order. */
async function seenForWriting(
  tx: Transaction,
  viewerId: UserId,
  { ids, others, tree }: Required<Holding> & { readonly ids: readonly TaskId[] },
): Promise<Map<TaskId, Seen>> {
  const { placeholder } = sql;
  const statement = preparedIn(tx, 'tasks_to_write', (at, name) =>
    at
      .select({
        id: sql<TaskId>`w.seen_id`.mapWith(tasks.id),
        role: sql<Role | null>`w.role`,
        archivedAt: sql<string | null>`w.archived_at`.mapWith(projects.archivedAt),
        task: LOCKED,
      })
      .from(
        sql`tasks_to_write(${placeholder('viewer')}, ${placeholder('ids')}, ${placeholder('others')}, ${ROLES}, ${placeholder('tree')}) as w`,
      )
      .prepare(name),
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

/** One change of parents at a time in a project. */
export async function lockTree(tx: Transaction, projectId: ProjectId): Promise<void> {
  await tx.execute(sql`
    select pg_advisory_xact_lock(hashtextextended(id::text, 0)) from unnest(${uuids([projectId])}) as tree(id)`);
}

/** Passes the gate of the project that the task is in, as this statement sees it: which is sure only when the task is found there again. */
async function passGateOf(tx: Transaction, id: TaskId): Promise<ProjectId | undefined> {
  const [known] = await tx
    .select({ projectId: tasks.projectId, passed: sharedLockSql(sql`${tasks.projectId}`) })
    .from(tasks)
    .where(eq(tasks.id, id));
  return known?.projectId;
}

/** Not locked yet: only a place to look for them. */
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
