/**
 * Tasks to be written: the viewer's right to it, then the rows, in the one order in which all writes take their locks (projects/gates.ts).
 * Which project a task is in is only sure behind its gate: a write that had to wait there while the task was moved away is refused, since
 * going on to the next gate would break that order.
 */
import { and, asc, eq, inArray, or, sql } from 'drizzle-orm';
import { uuids } from '../db/by-id.js';
import type { Transaction } from '../db/database.js';
import type { ProjectId, TaskId, UserId } from '../db/ids.js';
import { Refusal, UserErrorCode } from '../graphql/user-error.js';
import { type Named, notFound, requireWriter, writersOf } from '../projects/access.js';
import type { Role } from '../projects/project.table.js';
import { type TaskRow, tasks } from './task.table.js';

export const TASK: Named = { what: 'task', path: ['input', 'id'] };

/** What a write has to hold besides its tasks. */
export interface Holding {
  /** The tree of parents: for whatever changes it. Two changes that cross could close a circle. */
  readonly tree?: boolean;
  /** Tasks that must not change meanwhile, if they are of a project that the viewer may write in. */
  readonly others?: readonly TaskId[];
}

/** The task, locked, if the viewer may write in its project. @throws Refusal */
export async function taskToWrite(
  tx: Transaction,
  viewerId: UserId,
  id: TaskId,
  named: Named = TASK,
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
  named: (id: TaskId) => Named,
  { tree = false, others = [] }: Holding = {},
): Promise<Map<TaskId, TaskRow | Refusal>> {
  const known = await projectsOf(tx, ids);
  const refusalIn = await writersOf(tx, viewerId, [...known.values()]);
  const refusalOf = (id: TaskId) => {
    const projectId = known.get(id);
    const { what, path } = named(id);
    return projectId === undefined ? notFound(what, path) : refusalIn(projectId, { what, path });
  };
  const open = ids.filter((id) => refusalOf(id) === undefined);
  const projectIds = [...new Set(open.map((id) => known.get(id) as ProjectId))];
  if (tree) await lockTrees(tx, projectIds);
  const locked = await lockTasks(tx, [...open, ...others], projectIds);
  const gone = open.filter((id) => !locked.some((task) => task.id === id));
  const elsewhere = gone.length === 0 ? new Map() : await projectsOf(tx, gone);
  return new Map(
    ids.map((id) => {
      const missing = () => (elsewhere.has(id) ? moved(named(id)) : notFound(named(id).what, named(id).path));
      return [id, refusalOf(id) ?? locked.find((task) => task.id === id) ?? missing()];
    }),
  );
}

/**
 * The task held against deletion, in a project that the viewer may write in: for writes of what hangs on it.
 * @returns the viewer's role. @throws Refusal
 */
export async function holdTask(tx: Transaction, viewerId: UserId, id: TaskId, named: Named): Promise<Role> {
  const projectId = (await projectsOf(tx, [id])).get(id);
  if (projectId === undefined) throw notFound(named.what, named.path);
  const role = await requireWriter(tx, viewerId, projectId, named);
  const [held] = await tx.select({ projectId: tasks.projectId }).from(tasks).where(eq(tasks.id, id)).for('key share');
  if (held === undefined) throw notFound(named.what, named.path);
  if (held.projectId !== projectId) throw moved(named);
  return role;
}

/** Together with its parts, whose parent is about to go. The tree is locked, so there are no others. */
export async function lockWithParts(tx: Transaction, id: TaskId): Promise<TaskRow[]> {
  return tx
    .select()
    .from(tasks)
    .where(or(eq(tasks.id, id), eq(tasks.parentId, id)))
    .orderBy(asc(tasks.id))
    .for('update');
}

/** In the order of their ids, which all writes keep. */
async function lockTasks(tx: Transaction, ids: readonly TaskId[], within: readonly ProjectId[]): Promise<TaskRow[]> {
  return tx
    .select()
    .from(tasks)
    .where(and(inArray(tasks.id, [...new Set(ids)]), inArray(tasks.projectId, [...within])))
    .orderBy(asc(tasks.id))
    .for('update');
}

/** One change of parents at a time in a project. */
export async function lockTrees(tx: Transaction, projectIds: readonly ProjectId[]): Promise<void> {
  await tx.execute(sql`
    select pg_advisory_xact_lock(hashtextextended(id::text, 0)) from unnest(${uuids([...projectIds].sort())}) as tree(id)`);
}

/** Not locked yet: only a place to look for them. */
export async function projectsOf(tx: Transaction, ids: readonly TaskId[]): Promise<Map<TaskId, ProjectId>> {
  const rows = await tx
    .select({ id: tasks.id, projectId: tasks.projectId })
    .from(tasks)
    .where(inArray(tasks.id, [...ids]));
  return new Map(rows.map(({ id, projectId }) => [id, projectId]));
}

export function moved({ what, path }: Named): Refusal {
  return new Refusal(UserErrorCode.CONFLICT, `the ${what} has just been moved to another project: try again`, path);
}
