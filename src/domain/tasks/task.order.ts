/**
 * Moves a task within the manual order of its project. The lock of the project's tree keeps other moves and deletions
 * away, so the keys around the new place are read before the rows are locked.
 */
import { eq, getTableColumns, type SQL, sql } from 'drizzle-orm';
import type { z } from 'zod';
import { batchesOf, uuids } from '../../db/by-id.js';
import { type ProjectId, type TaskId, toUuid, type UserId } from '../../db/ids.js';
import type { Transaction } from '../../engine/postgres/index.js';
import { Faults, type Form } from '../../graphql/form.js';
import { Refusal, UserErrorCode } from '../../graphql/user-error.js';
import { notFound } from '../projects/access.js';
import { taskNumbers } from '../projects/project.table.js';
import { defaultSortOrder, type Gap, isOpen, keyBetween, keysBetween, MAX_KEY_CHARS, sortOrderOf } from './sort-key.js';
import type { moveTaskInListForm } from './task.forms.js';
import { lockTreeOf, movedConflict, TASK } from './task.locks.js';
import { lockTaskRows } from './task.row-locks.js';
import { MANUAL_ORDER, type TaskRow, tasks } from './task.table.js';
import { NEXT_VERSION, versionConflict } from './task.writes.js';

/** Neighbors on each side that get new keys, where the gap has no short key left. */
const NEIGHBORS = [25, 200];

interface Placed {
  readonly id: TaskId;
  readonly key: string;
}

/** The tasks around a place, on each side the closest first. */
interface Surroundings {
  readonly below: readonly Placed[];
  readonly above: readonly Placed[];
}

export async function moveTaskInList(
  tx: Transaction,
  viewerId: UserId,
  form: Form<z.output<typeof moveTaskInListForm>>,
): Promise<TaskRow> {
  const faults = new Faults(form);
  const { before, after, expectedVersion } = form.fields;
  const id = form.fields.id as TaskId;
  const projectId = await faults.require(() => lockTreeOf(tx, viewerId, id));
  const task = await faults.require(() => findTask(tx, projectId, id));
  const field = before ? 'before' : 'after';
  const target = before ?? after;
  const next = target && (await faults.check(() => findTarget(tx, projectId, target, faults.pathOf(field))));
  if (!next) {
    faults.add(versionConflict(task, expectedVersion));
    throw faults.refusal as Refusal;
  }
  const place = { projectId, moved: task.id, next: placed(next), field } as const;
  const around = await surroundings(tx, place, 1);
  const keys = isBetween(placed(task), around) ? [] : await newKeys(tx, place, around);
  const locked = await lockRows(tx, [id, ...keys.map((one) => one.id)]);
  faults.add(versionConflict(locked.get(id) as TaskRow, expectedVersion));
  faults.throwIfAny();
  return (await writeKeys(tx, keys)).get(id) ?? (locked.get(id) as TaskRow);
}

const placed = (task: TaskRow): Placed => ({ id: task.id, key: sortOrderOf(task) });

async function findTask(tx: Transaction, projectId: ProjectId, id: TaskId): Promise<TaskRow> {
  const [task] = await tx.select().from(tasks).where(eq(tasks.id, id));
  if (task === undefined) throw notFound(TASK.what, TASK.path);
  if (task.projectId !== projectId) throw movedConflict(TASK);
  return task;
}

async function findTarget(
  tx: Transaction,
  projectId: ProjectId,
  id: TaskId,
  path: readonly string[],
): Promise<TaskRow> {
  const [target] = await tx.select().from(tasks).where(eq(tasks.id, id));
  if (target?.projectId !== projectId) throw notFound('task in the project', path);
  return target;
}

interface NewPlace {
  readonly projectId: ProjectId;
  readonly moved: TaskId;
  /** The task next to the place. */
  readonly next: Placed;
  readonly field: 'before' | 'after';
}

/** Up to `count` tasks on each side of the place, without the one that moves. */
async function surroundings(
  tx: Transaction,
  { projectId, moved, next, field }: NewPlace,
  count: number,
): Promise<Surroundings> {
  const key = MANUAL_ORDER;
  const closest = (side: SQL, order: SQL) =>
    tx
      .select({ id: tasks.id, key: sql<string>`${key}` })
      .from(tasks)
      .where(sql`${tasks.projectId} = ${toUuid(projectId)} and ${tasks.id} <> ${toUuid(moved)}
      and (${key}, ${tasks.id}) ${side} (${next.key}, ${toUuid(next.id)}::uuid)`)
      .orderBy(sql`${key} ${order}`, sql`${tasks.id} ${order}`)
      .limit(count);
  const orEqual = sql.raw('=');
  return {
    below: await closest(sql`<${field === 'after' ? orEqual : sql``}`, sql`desc`),
    above: await closest(sql`>${field === 'before' ? orEqual : sql``}`, sql`asc`),
  };
}

function isBetween(task: Placed, { below: [below], above: [above] }: Surroundings): boolean {
  return (below === undefined || comesBefore(below, task)) && (above === undefined || comesBefore(task, above));
}

function comesBefore(a: Placed, b: Placed): boolean {
  return a.key === b.key ? a.id < b.id : a.key < b.key;
}

/** The new key of the task, and those of its neighbors where they must make room. @throws Refusal LIMIT */
async function newKeys(tx: Transaction, place: NewPlace, { below, above }: Surroundings): Promise<Placed[]> {
  const end = await firstFreeKey(tx, place.projectId);
  const gap = gapOf(below[0], above[0], end);
  const key = isOpen(gap) ? keyBetween(gap) : undefined;
  if (key !== undefined && key.length <= MAX_KEY_CHARS) return [{ id: place.moved, key }];
  for (const count of NEIGHBORS) {
    const around = await surroundings(tx, place, count + 1);
    const wide = gapOf(around.below[count], around.above[count], end);
    if (!isOpen(wide)) continue;
    const [low, high] = [around.below.slice(0, count).reverse(), around.above.slice(0, count)];
    const ids = [...low.map(({ id }) => id), place.moved, ...high.map(({ id }) => id)];
    const keys = keysBetween(wide, ids.length);
    if (keys.every((one) => one.length <= MAX_KEY_CHARS)) return ids.map((id, i) => ({ id, key: keys[i] as string }));
  }
  const message = 'expected a place to which fewer tasks have been moved: move this task to another one first';
  throw new Refusal(UserErrorCode.LIMIT, message, ['input', place.field]);
}

/** @param end the key that the gap after the last task ends at */
function gapOf(below: Placed | undefined, above: Placed | undefined, end: string): Gap {
  return { after: below?.key ?? null, before: above?.key ?? end };
}

/** The key of the next task that is created, so that it comes after all others. */
async function firstFreeKey(tx: Transaction, projectId: ProjectId): Promise<string> {
  const [counter] = await tx.select().from(taskNumbers).where(eq(taskNumbers.projectId, projectId));
  return defaultSortOrder((counter?.last ?? 0) + 1);
}

async function lockRows(tx: Transaction, ids: readonly TaskId[]): Promise<Map<TaskId, TaskRow>> {
  const where = sql`${tasks.id} = any(${uuids([...new Set(ids)])})`;
  const rows = await lockTaskRows(tx, 'update', { where });
  return new Map(rows.map((row) => [row.id, row]));
}

async function writeKeys(tx: Transaction, keys: readonly Placed[]): Promise<Map<TaskId, TaskRow>> {
  const written = new Map<TaskId, TaskRow>();
  for (const some of batchesOf(keys)) {
    const texts = `{${some.map(({ key }) => key).join()}}`;
    const rows = await tx
      .update(tasks)
      .set({ sortOrder: sql`moved.key`, ...NEXT_VERSION })
      .from(sql`unnest(${uuids(some.map(({ id }) => id))}, ${texts}::text[]) as moved(id, key)`)
      .where(sql`${tasks.id} = moved.id`)
      .returning(getTableColumns(tasks));
    for (const row of rows) written.set(row.id, row);
  }
  return written;
}
