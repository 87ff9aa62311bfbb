/** Moves tasks into the trash of their project and out of it. Each is one transaction. */
import { eq, sql } from 'drizzle-orm';
import { z } from 'zod';
import type { ProjectId, TaskId, UserId } from '../../db/ids.js';
import type { Writer } from '../../db/writer.js';
import type { Transaction, Transactor } from '../../engine/postgres/index.js';
import { idInput, parseInput, Refusal } from '../../graphql/user-error.js';
import type { Idempotency, ManyResult } from '../idempotency/idempotency.js';
import { forbidden, notFound, roleOfWriter } from '../projects/access.js';
import { lockExclusive } from '../projects/project-lock.js';
import { type NamedInList, namedTasks, targetIn } from '../tasks/named-tasks.js';
import { visibleTasks } from '../tasks/task.create.js';
import { deleteTasksForm, taskForm } from '../tasks/task.forms.js';
import type { DeleteTaskInput, DeleteTasksInput } from '../tasks/task.inputs.js';
import { lockTasksWithSubtasks, lockTaskWithSubtasks, type WithSubtasks } from '../tasks/task.locks.js';
import type { TaskRow } from '../tasks/task.table.js';
import { detachSubtasks, requireVersion, versionConflict } from '../tasks/task.writes.js';
import { moveIntoTrash } from './move-into-trash.js';
import { restoreTask, type TrashedReferences } from './restore-task.js';
import { trashedTasks } from './trashed-task.table.js';
import type { PurgeTaskInput, RestoreTaskInput } from './trashed-task.type.js';

const trashedTaskInput = z.object({ id: idInput('task') });

const TRASHED = { what: 'task in the trash', path: ['input', 'id'] };

export class TrashedTaskService {
  constructor(
    private readonly transactor: Transactor,
    private readonly idempotency: Idempotency,
  ) {}

  delete(by: Writer, given: DeleteTaskInput) {
    const { viewerId } = by;
    const { id, expectedVersion } = parseInput(taskForm, given);
    return this.transactor.transact(async (tx) => {
      const { task, parts } = await lockTaskWithSubtasks(tx, viewerId, id);
      requireVersion(task, expectedVersion);
      await detachSubtasks(tx, parts);
      await moveIntoTrash(tx, { removed: [{ id, subtaskIds: parts }], deletedBy: viewerId });
      return { deletedTaskId: id };
    }, by);
  }

  deleteMany(by: Writer, given: DeleteTasksInput) {
    const { viewerId } = by;
    const { idempotencyKey, ...input } = parseInput(deleteTasksForm, given);
    const named = namedTasks(input);
    return this.idempotency.runMany<'task', TaskRow | Deleted>({
      by,
      operation: 'deleteTasks',
      prefix: 'task',
      key: idempotencyKey,
      input,
      run: (tx) => deleteMany(tx, viewerId, named),
      find: (db, ids) => visibleTasks(db, viewerId, ids),
      outcomeOf: (id) => ({ id }),
    });
  }

  /**
   * The lock is exclusive, so no import looks for the task in both places while it moves, and its assignees stay
   * members.
   */
  restore(by: Writer, given: RestoreTaskInput) {
    const { viewerId } = by;
    const { id } = parseInput(trashedTaskInput, given);
    return this.transactor.transact(async (tx) => {
      const projectId = await lockProjectOf(tx, id);
      await roleOfWriter(tx, viewerId, projectId, TRASHED);
      return { task: await restoreTask(tx, await lockTrashed(tx, id)) };
    }, by);
  }

  purge(by: Writer, given: PurgeTaskInput) {
    const { viewerId } = by;
    const { id } = parseInput(trashedTaskInput, given);
    return this.transactor.transact(async (tx) => {
      const role = await roleOfWriter(tx, viewerId, await lockProjectOf(tx, id), TRASHED);
      if (role !== 'OWNER') throw forbidden(`your role in this project is ${role}; this needs OWNER`, TRASHED.path);
      await lockTrashed(tx, id);
      await tx.delete(trashedTasks).where(eq(trashedTasks.id, id));
      return { purgedTaskId: id };
    }, by);
  }
}

/** A task that is deleted. */
interface Deleted {
  readonly id: TaskId;
}

/** Moves those that the viewer can write into the trash. */
async function deleteMany(
  tx: Transaction,
  viewerId: UserId,
  named: readonly NamedInList[],
): Promise<ManyResult<'task', Deleted>[]> {
  const ids = named.map(({ id }) => id);
  const locked = await lockTasksWithSubtasks(tx, viewerId, ids, targetIn(named));
  const outcomes = named.map(({ id, expectedVersion, versionPath }) => {
    const found = locked.get(id) as WithSubtasks | Refusal;
    if (found instanceof Refusal) return found;
    return versionConflict(found.task, expectedVersion, versionPath) ?? found;
  });
  const deleted = outcomes.filter((outcome): outcome is WithSubtasks => !(outcome instanceof Refusal));
  if (deleted.length > 0) {
    await detachSubtasks(
      tx,
      deleted.flatMap(({ parts }) => parts),
    );
    const removed = deleted.map(({ task, parts }) => ({ id: task.id, subtaskIds: parts }));
    await moveIntoTrash(tx, { removed, deletedBy: viewerId });
  }
  return ids.map((id, i) => {
    const outcome = outcomes[i];
    return { id, outcome: outcome instanceof Refusal ? outcome : { id } };
  });
}

/** A task in the trash never changes its project. @throws Refusal NOT_FOUND */
async function lockProjectOf(tx: Transaction, id: TaskId): Promise<ProjectId> {
  const [known] = await tx
    .select({ projectId: trashedTasks.projectId })
    .from(trashedTasks)
    .where(eq(trashedTasks.id, id));
  if (known === undefined) throw notFound(TRASHED.what, TRASHED.path);
  await lockExclusive(tx, known.projectId);
  return known.projectId;
}

/** @throws Refusal NOT_FOUND if it has been restored or purged meanwhile */
async function lockTrashed(tx: Transaction, id: TaskId): Promise<TrashedReferences> {
  const { projectId, labelIds, subtaskIds, relations, task } = trashedTasks;
  const [trashed] = await tx
    .select({
      id: trashedTasks.id,
      projectId,
      labelIds,
      subtaskIds,
      relations,
      parentId: sql<string | null>`${task}->>'parent_id'`,
      // Of tasks deleted before there could be several, the row has the first alone.
      assigneeIds: sql<string[]>`array_remove(array_prepend(${task}->>'assignee_id',
        array(select jsonb_array_elements_text(coalesce(${task}->'other_assignee_ids', '[]')))), null)`,
    })
    .from(trashedTasks)
    .where(eq(trashedTasks.id, id))
    .for('update');
  if (trashed === undefined) throw notFound(TRASHED.what, TRASHED.path);
  return trashed;
}
