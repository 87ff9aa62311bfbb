/**
 * Imports a file in one transaction: the steps in order. The file is read twice: first it is checked as a whole, then it
 * is written in batches, so that no more than a batch is in memory. A task is identified by its key, a comment by its
 * source key. Importing a newer file updates what changed; importing the same file again changes no row and invalidates
 * nothing.
 */
import { isId, type LabelId, type ProjectId, type TaskId, type UserId } from '../../db/ids.js';
import type { Transaction, Transactor } from '../../engine/postgres/index.js';
import { mayWrite, PROJECT_KEY } from '../projects/project.table.js';
import { lockTrees } from '../tasks/tree-lock.js';
import { CheckedFile, type TaskEntry } from './checked-file.js';
import {
  addMembers,
  createProject,
  ensureUsers,
  findInTrash,
  lastNumber,
  lockLastNumber,
  lockProject,
  lockRole,
  lockTasks,
  lockUser,
  type OnRows,
  setLastNumber,
  upsertLabels,
} from './import.repository.js';
import { ImportError } from './import-error.js';
import { type RelationCounts, writeRelations } from './import-relations.js';
import { ImportWriter } from './import-writer.js';
import type { ImportFile } from './items.js';
import type { ImportProgress } from './progress.js';

export interface ImportOptions {
  /** Default: the project that the file names; of GitHub a key derived from the repository's name: `qlog` → `QLOG`. */
  readonly projectKey?: string | undefined;
  /** Becomes the OWNER of a new project; must be OWNER or MEMBER of an existing one. */
  readonly ownerId: UserId;
  readonly onProgress?: ((progress: ImportProgress) => void) | undefined;
}

export interface Counts {
  readonly created: number;
  readonly updated: number;
  readonly unchanged: number;
}

export interface ImportResult {
  readonly projectKey: string;
  readonly projectCreated: boolean;
  readonly users: Counts;
  readonly labels: Counts;
  readonly tasks: Counts;
  readonly comments: Counts;
  readonly createdUsers: readonly string[];
  readonly createdLabels: readonly string[];
  /** Tasks with more assignees than a task can have. The first ones are used. */
  readonly assigneesLeftOut: number;
  /** Tasks that are in the trash: they stay there as they are, with their comments. */
  readonly tasksInTrash: number;
  /** Comments without visible characters. */
  readonly commentsLeftOut: number;
  /** Tasks whose parent is neither in the file nor imported before. */
  readonly parentsLeftOut: number;
  readonly relations: RelationCounts;
  /** Relations to tasks that are neither in the file nor in the project, or are in the trash. */
  readonly relationsLeftOut: number;
}

/**
 * Imports a file, and invalidates what it changed.
 * @param dryRun writes everything and rolls it back, so that the result is exact
 * @throws ImportError; errors of `transact`
 */
export async function runImport({
  file,
  transactor,
  dryRun = false,
  ...options
}: ImportOptions & {
  file: ImportFile;
  transactor: Pick<Transactor, 'transact'>;
  dryRun?: boolean;
}): Promise<ImportResult> {
  const checked = await CheckedFile.check(file);
  const writing = transactor.transact(async (tx) => {
    const result = await importChecked(tx, checked, options);
    if (dryRun) throw new RolledBack(result);
    return result;
  });
  return writing.then(
    ({ value }) => value,
    (error) => {
      if (error instanceof RolledBack) return error.result;
      throw error;
    },
  );
}

/** Ends the transaction of a dry run. */
class RolledBack extends Error {
  constructor(readonly result: ImportResult) {
    super('rolled back');
  }
}

/** Checks and imports a file within `tx`, or throws. @throws ImportError */
export async function importFile(tx: Transaction, file: ImportFile, options: ImportOptions): Promise<ImportResult> {
  return importChecked(tx, await CheckedFile.check(file), options);
}

async function importChecked(
  tx: Transaction,
  checked: CheckedFile,
  { projectKey, ownerId, onProgress }: ImportOptions,
): Promise<ImportResult> {
  const { users, labels, tasks, commentCount, leftOut } = checked;
  const progress = progressOf(users.size + labels.length + tasks.size + commentCount + leftOut.comments, onProgress);
  const project = await openProject(tx, checked, { projectKey, ownerId });
  const people = await ensureUsers(tx, users);
  const userId = (handle: string) => known(people.ids, handle);
  await addMembers(tx, project.id, [...checked.assignees].map(userId));
  progress(users.size);

  const labelled = await upsertLabels(tx, project.id, labels);
  progress(labels.length + leftOut.comments);

  const { existing, trashed, numbers } = await openTasks(tx, project.id, checked);
  const labelId = (name: string): LabelId => known(labelled.ids, name);
  const names = { userId, labelId };
  const rows = { existing, trashed, numbers };
  const writer = new ImportWriter(tx, { checked, projectId: project.id, ownerId, ...names, ...rows, progress });
  const written = await writer.write();
  const related = await writeRelations(tx, { checked, projectId: project.id, ids: written.ids });
  return {
    projectKey: project.key,
    projectCreated: project.created,
    users: counts(users.size, { created: people.created.length, updated: 0 }),
    labels: counts(labels.length, { created: labelled.created.length, updated: labelled.updated }),
    tasks: counts(tasks.size - trashed.size, written.tasks),
    comments: counts(commentCount - written.commentsInTrash, written.comments),
    createdUsers: people.created,
    createdLabels: labelled.created,
    assigneesLeftOut: leftOut.assignees,
    tasksInTrash: trashed.size,
    commentsLeftOut: leftOut.comments,
    parentsLeftOut: written.parentsLeftOut,
    relations: related.counts,
    relationsLeftOut: related.leftOut,
  };
}

/** @returns adds to the number of rows processed, and reports it */
function progressOf(total: number, onProgress: ImportOptions['onProgress']): OnRows {
  let done = 0;
  return (count) => {
    done += count;
    onProgress?.({ done, total });
  };
}

interface OpenedProject {
  readonly id: ProjectId;
  readonly key: string;
  readonly created: boolean;
}

/** Finds or creates the project; the owner must be able to write in it. @throws ImportError */
async function openProject(
  tx: Transaction,
  { project }: CheckedFile,
  { projectKey, ownerId }: Pick<ImportOptions, 'projectKey' | 'ownerId'>,
): Promise<OpenedProject> {
  const key = keyOf(projectKey, project);
  if (!(await lockUser(tx, ownerId))) {
    throw new ImportError('UNKNOWN_OWNER', `the owner: expected the id of a user, got ${ownerId}`);
  }
  const { name = key, description = null } = project ?? {};
  const createdId = await createProject(tx, { key, name, description, ownerId });
  if (createdId !== undefined) return { id: createdId, key, created: true };
  const existing = await lockProject(tx, key);
  const role = existing && (await lockRole(tx, existing.id, ownerId));
  if (existing?.archived && mayWrite(role)) {
    throw new ImportError('ARCHIVED', `the project ${key} is archived: expected one that is not`);
  }
  if (existing !== undefined && mayWrite(role)) return { id: existing.id, key, created: false };
  throw new ImportError(
    'NOT_A_WRITER',
    `the project ${key} exists: expected its OWNER or a MEMBER to import into it, got ` +
      `${role ?? 'a user who is not a member'} (${ownerId})`,
  );
}

/** @throws ImportError */
function keyOf(given: string | undefined, project: CheckedFile['project']): string {
  const key = given ?? project?.key;
  if (key !== undefined && PROJECT_KEY.test(key)) return key;
  const named = project && `"${project.key}" from the name "${project.name}"`;
  const got = given === undefined ? (named ?? 'none: name one by --project') : `"${given}"`;
  throw new ImportError(
    'BAD_PROJECT_KEY',
    `the project key: expected 2 to 10 capital letters or digits, a letter first, got ${got}`,
  );
}

/**
 * Locks what the file names of the project, and chooses numbers for new tasks. Tasks are locked before numbers are
 * taken; creating a subtask takes its locks in the same order.
 */
async function openTasks(tx: Transaction, projectId: ProjectId, checked: CheckedFile) {
  const entries = [...checked.tasks.values()];
  const hasParents = entries.some(({ parentKey }) => parentKey);
  if (hasParents || checked.hasSortKeys) await lockTrees(tx, [projectId]);
  const others = new Set(entries.flatMap((entry) => otherTasks(entry).map((name) => checked.keyOf(name))));
  const keys = new Set([...checked.tasks.keys(), ...others]);
  // In the copy of a project, the keys of tasks are the ids that they had there.
  const idsAmongKeys = [...keys].filter((key): key is TaskId => isId('task', key));
  const ids = new Set([...entries.flatMap(({ exportedId = [] }) => exportedId), ...idsAmongKeys]);
  const named = { keys: [...keys], ids: [...ids] };
  const locked = await lockTasks(tx, projectId, named);
  const existing = new Map(locked.byKey);
  for (const id of idsAmongKeys) if (locked.ids.has(id)) existing.set(id, id);
  for (const { key, exportedId } of entries)
    if (exportedId && locked.ids.has(exportedId)) existing.set(key, exportedId);
  const inTrash = await findInTrash(tx, projectId, named);
  const absent = entries.filter(({ key }) => !existing.has(key));
  const isTrashed = ({ key, exportedId }: TaskEntry) => inTrash.has(key) || inTrash.has(exportedId ?? key);
  const trashed = new Set(absent.filter(isTrashed).map(({ key }) => key));
  const created = absent.filter(({ key }) => !trashed.has(key));
  return {
    existing,
    trashed,
    numbers: await takeNumbers(tx, projectId, { created, lastKeyNumber: checked.lastKeyNumber }),
  };
}

/** The names of its parent and related tasks. */
function otherTasks({ parentKey, relations = {} }: TaskEntry): string[] {
  return [...(parentKey ? [parentKey] : []), ...Object.values(relations).flat()];
}

/**
 * Chooses a number for each new task, by key: the number that the file gives it if it is above every number the project
 * has used, else the next free one. A number without a task may belong to a deleted task and is never reused. A new
 * project starts at 0, so there every task keeps its number. Tasks created later come last in the manual order, also
 * after tasks whose keys are those of higher numbers (`lastKeyNumber`).
 */
async function takeNumbers(
  tx: Transaction,
  projectId: ProjectId,
  {
    created,
    lastKeyNumber,
  }: { readonly created: readonly Pick<TaskEntry, 'key' | 'number'>[]; readonly lastKeyNumber: number },
): Promise<Map<string, number>> {
  const numbers = new Map<string, number>();
  if (created.length === 0 && lastKeyNumber <= (await lastNumber(tx, projectId))) return numbers;
  const used = await lockLastNumber(tx, projectId);
  const taken = new Set<number>();
  let last = created.reduce((max, { number = 0 }) => Math.max(max, number), used);
  for (const { key, number = 0 } of created) {
    const own = number > used && !taken.has(number) ? number : ++last;
    taken.add(own);
    numbers.set(key, own);
  }
  await setLastNumber(tx, projectId, Math.max(last, lastKeyNumber));
  return numbers;
}

function counts(all: number, { created, updated }: { created: number; updated: number }): Counts {
  return { created, updated, unchanged: all - created - updated };
}

/** @throws TypeError on a bug: every name was looked up or created before */
function known<K, V>(map: ReadonlyMap<K, V>, key: K): V {
  const value = map.get(key);
  if (value === undefined) throw new TypeError(`expected ${String(key)} to be known`);
  return value;
}
