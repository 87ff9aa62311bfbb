/**
 * A change of one task in one statement, sent together with BEGIN: the function `update_task` locks, checks and
 * writes. It repeats rules of task.locks.ts and task.writes.ts and gives no reason when one of them refuses the change:
 * the caller then takes that way, in a transaction of its own, since this one holds locks.
 */
import { getTableColumns, sql } from 'drizzle-orm';
import { type TaskId, toUuid, type UserId } from '../../db/ids.js';
import { type Executor, preparedIn, runThenReadTags, type Transaction } from '../../engine/postgres/index.js';
import type { Changes } from './task.edit.js';
import { type LabelledTask, labelIdsFrom, taskById } from './task.loaders.js';
import { activeViewer, ROLES, TASK_OF_FUNCTION } from './task.locks.js';
import { tasks } from './task.table.js';

/** Changes that need no other rows than the task and its assignees' memberships. The function refuses others. */
export type PlainChanges = Omit<Changes, 'parentId'>;

const COLUMNS = getTableColumns(tasks);

/** The task as written; undefined if nothing was written. */
export async function updateAtOnce(
  tx: Transaction,
  viewerId: UserId,
  id: TaskId,
  changes: PlainChanges,
  expectedVersion: number | null | undefined,
): Promise<LabelledTask | undefined> {
  const statement = preparedIn(tx, 'update_task', buildUpdate, { early: true });
  const values: [string, unknown][] = Object.entries(changes).map(([name, value]) => [
    COLUMNS[name as keyof PlainChanges].name,
    value,
  ]);
  const { assigneeId, otherAssigneeIds } = changes;
  if (assigneeId) values.push([COLUMNS.assigneeId.name, toUuid(assigneeId)]);
  if (otherAssigneeIds) values.push([COLUMNS.otherAssigneeIds.name, otherAssigneeIds.map(toUuid)]);
  const written = statement.execute({
    viewer: toUuid(viewerId),
    id: toUuid(id),
    expected: expectedVersion ?? null,
    changes: JSON.stringify(Object.fromEntries(values)),
  }) as Promise<unknown> as Promise<LabelledTask[]>;
  const [task] = await runThenReadTags(tx, written, (rows) =>
    rows.map((value) => ({ source: taskById, arg: id, value })),
  );
  return task;
}

function buildUpdate(at: Executor, name: string) {
  const { placeholder } = sql;
  const labelIds = sql`w.label_ids`.mapWith(labelIdsFrom);
  return at
    .select({ ...TASK_OF_FUNCTION, labelIds })
    .from(
      sql`update_task(${activeViewer(placeholder('viewer'))}, ${placeholder('id')}, ${ROLES}, ${placeholder('expected')}, ${placeholder('changes')}::text::jsonb) as w`,
    )
    .prepare(name);
}
