/**
 * The last step of an import: gives tasks the relations of the file. A task's line decides the relations that begin at
 * it, and RELATES_TO in both directions: those that it does not name are deleted. Exports leave out relations to tasks of
 * other projects, so imports keep them.
 */
import type { ProjectId, TaskId } from '../../db/ids.js';
import type { Transaction } from '../../engine/postgres/index.js';
import { inStoredOrder, lockRelations, type Relation } from '../tasks/task-relation.graph.js';
import { MAX_RELATIONS, taskRelationType } from '../tasks/task-relation.table.js';
import { type CheckedFile, cycleFault } from './checked-file.js';
import { cyclesOf } from './cycles.js';
import { ImportError } from './import-error.js';
import {
  deleteRelations,
  findOverloaded,
  insertRelations,
  lockRelatedTasks,
  reachedFrom,
  relationsOfTasks,
  type StoredRelation,
} from './import-relations.repository.js';
import { type GivenRelations, RELATION_FIELDS } from './items.js';

/** Tasks outside the file that a search for a cycle follows. */
const MAX_REACHED_OUTSIDE = 100_000;

export interface RelationCounts {
  readonly created: number;
  readonly deleted: number;
  readonly unchanged: number;
}

interface RelationTarget {
  readonly checked: CheckedFile;
  readonly projectId: ProjectId;
  /** The locked tasks that the file names, by key. */
  readonly ids: ReadonlyMap<string, TaskId>;
}

interface WantedRelation extends Relation {
  /** For messages: where the file has it, and the other task. */
  readonly at: string;
  readonly relatedKey: string;
}

interface Wanted {
  readonly relations: ReadonlyMap<string, WantedRelation>;
  /** The tasks that are a DUPLICATE_OF another one by these relations. */
  readonly duplicates: ReadonlySet<TaskId>;
  /** What the file says of each task. */
  readonly given: ReadonlyMap<TaskId, GivenRelations>;
  readonly leftOut: number;
}

/** @throws ImportError if tasks of the file and others would form a cycle, or have too many relations */
export async function writeRelations(
  tx: Transaction,
  target: RelationTarget,
): Promise<{ readonly counts: RelationCounts; readonly leftOut: number }> {
  const wanted = wantedRelations(target);
  const { relations, given, leftOut } = wanted;
  if (given.size === 0) return { counts: { created: 0, deleted: 0, unchanged: 0 }, leftOut };
  const before = await relationsOfTasks(tx, [...given.keys()]);
  const known = new Set(before.map(nameOf));
  const added = [...relations].flatMap(([name, relation]) => (known.has(name) ? [] : relation));
  const dropped = before.filter((relation) => isDropped(relation, wanted, target.projectId));
  await replaceRelations(tx, { added, dropped }, target);
  const counts = { created: added.length, deleted: dropped.length, unchanged: relations.size - added.length };
  return { counts, leftOut };
}

/** @throws ImportError BAD_RECORD if a task is related to itself, by two names */
function wantedRelations({ checked, ids }: RelationTarget): Wanted {
  const wanted = new Map<string, WantedRelation>();
  const duplicates = new Set<TaskId>();
  const given = new Map<TaskId, GivenRelations>();
  let leftOut = 0;
  for (const { key, at, relations } of checked.tasks.values()) {
    const taskId = ids.get(key);
    if (relations === undefined || taskId === undefined) continue; // without an id it is in the trash
    given.set(taskId, relations);
    for (const type of taskRelationType.enumValues) {
      for (const name of relations[type] ?? []) {
        const relatedKey = checked.keyOf(name);
        const relatedTaskId = ids.get(relatedKey);
        if (relatedTaskId === undefined) leftOut++;
        else if (relatedTaskId === taskId) {
          throw new ImportError('BAD_RECORD', `${at}: ${RELATION_FIELDS[type]}: expected another task`);
        } else {
          const relation = inStoredOrder({ taskId, type, relatedTaskId });
          wanted.set(nameOf(relation), { ...relation, at, relatedKey });
          if (type === 'DUPLICATE_OF') duplicates.add(taskId);
        }
      }
    }
  }
  return { relations: wanted, duplicates, given, leftOut };
}

const nameOf = ({ taskId, type, relatedTaskId }: Relation) => `${taskId} ${type} ${relatedTaskId}`;

/** A task stays a DUPLICATE_OF another one if the file names one that is left out. */
function isDropped(relation: StoredRelation, { relations, duplicates, given }: Wanted, projectId: ProjectId): boolean {
  const { taskId, type, relatedTaskId } = relation;
  if (relations.has(nameOf(relation))) return false;
  const listed = given.get(taskId)?.[type] ?? (type === 'RELATES_TO' ? given.get(relatedTaskId)?.[type] : undefined);
  if (listed === undefined) return false;
  if (type === 'DUPLICATE_OF' && listed.length > 0) return duplicates.has(taskId);
  return relation.projectId === projectId && relation.relatedProjectId === projectId;
}

interface Replacement {
  readonly added: readonly WantedRelation[];
  readonly dropped: readonly Relation[];
}

async function replaceRelations(tx: Transaction, { added, dropped }: Replacement, target: RelationTarget) {
  const locked = new Set(target.ids.values());
  const ends = dropped.flatMap(({ taskId, relatedTaskId }) => [taskId, relatedTaskId]);
  await lockRelatedTasks(
    tx,
    [...new Set(ends)].filter((id) => !locked.has(id)),
  );
  if (added.some(({ type }) => type !== 'RELATES_TO')) await lockRelations(tx);
  await deleteRelations(tx, dropped);
  await insertRelations(tx, target.projectId, added);
  for (const type of ['BLOCKS', 'DUPLICATE_OF'] as const) await refuseCycle(tx, { type, added }, target.checked);
  await refuseTooMany(tx, added);
}

/** Each cycle leads over a relation that was added: there were none before. @throws ImportError */
async function refuseCycle(
  tx: Transaction,
  { type, added }: { readonly type: 'BLOCKS' | 'DUPLICATE_OF'; readonly added: readonly WantedRelation[] },
  checked: CheckedFile,
): Promise<void> {
  const alike = new Map(added.flatMap((one) => (one.type === type ? [[nameOf(one), one]] : [])));
  if (alike.size === 0) return;
  const ids = [...new Set([...alike.values()].map(({ relatedTaskId }) => relatedTaskId))];
  const maxTasks = checked.tasks.size + MAX_REACHED_OUTSIDE;
  const reached = await reachedFrom(tx, { ids, type, maxTasks });
  if (reached === undefined) {
    const message = `the relations of the file lead on to more than ${maxTasks} tasks: too many to search for cycles`;
    throw new ImportError('TOO_MANY_RELATIONS', message);
  }
  for (const cycle of cyclesOf(ids, (id) => reached.get(id) ?? [])) {
    const path = cycle.keys();
    const steps = path.map((taskId, i) => nameOf({ taskId, type, relatedTaskId: path[i + 1] ?? cycle.first }));
    const relation = steps.flatMap((name) => alike.get(name) ?? [])[0] as WantedRelation;
    const related = checked.tasks.get(relation.relatedKey)?.at ?? relation.relatedKey;
    throw new ImportError('RELATION_CYCLE', cycleFault({ at: relation.at, type, related }));
  }
}

/** @throws ImportError */
async function refuseTooMany(tx: Transaction, added: readonly WantedRelation[]): Promise<void> {
  if (added.length === 0) return;
  const ids = new Set(added.flatMap(({ taskId, relatedTaskId }) => [taskId, relatedTaskId]));
  const found = await findOverloaded(tx, [...ids]);
  if (found === undefined) return;
  const { id, type } = found;
  const relation = added.find((one) => one.type === type && (one.taskId === id || one.relatedTaskId === id));
  const where = relation === undefined ? 'the file' : `${relation.at}: ${RELATION_FIELDS[type]}`;
  const message = `${where}: expected at most ${MAX_RELATIONS} relations of this kind on each of the tasks`;
  throw new ImportError('TOO_MANY_RELATIONS', message);
}
