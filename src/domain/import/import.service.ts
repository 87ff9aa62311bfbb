/**
 * Imports GitHub issues as tasks: the steps in order, and the rules. An issue is identified by its URL, a comment by
 * its source key. Importing a newer file updates what changed; importing the same file again changes no row and
 * invalidates nothing.
 */

import { type LabelId, newId, type ProjectId, type TaskId, type UserId } from '../../db/ids.js';
import type { Transaction, Transactor } from '../../engine/postgres/index.js';
import { mayWrite, PROJECT_KEY } from '../projects/project.table.js';
import type { TaskStatus } from '../tasks/task.table.js';
import { ImportError, type Issue, type IssueFile, parseIssues } from './github-issues.js';
import {
  addMembers,
  createProject,
  deleteTaskLabels,
  ensureUsers,
  insertTaskLabels,
  insertTasks,
  type KnownTask,
  labelsOfTasks,
  lockLastNumber,
  lockProject,
  lockRole,
  lockTasks,
  lockUser,
  type NewTask,
  type OnRows,
  setLastNumber,
  type TaskChange,
  type TaskContent,
  type TaskLabel,
  updateTasks,
  upsertComments,
  upsertLabels,
  urlsInTrash,
  type WantedComment,
} from './import.repository.js';
import type { ImportProgress } from './progress.js';

const MAX_KEY_CHARS = 10;

export interface ImportOptions {
  /** Defaults to a key derived from the repository's name: `qlog` → `QLOG`. */
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
  readonly users: Counts;
  readonly labels: Counts;
  readonly tasks: Counts;
  readonly comments: Counts;
  /** Issues with several assignees. A task has one; the first is used. */
  readonly assigneesLeftOut: number;
  /** Issues whose task is in the trash: it stays there as it is, with its comments. */
  readonly tasksInTrash: number;
  /** Comments without visible characters. */
  readonly commentsLeftOut: number;
}

/** Parses and imports the text of a file, and invalidates what it changed. @throws ImportError; errors of `transact` */
export async function runImport(
  options: ImportOptions & { text: string; transactor: Pick<Transactor, 'transact'> },
): Promise<ImportResult> {
  const file = parseIssues(options.text);
  const { value } = await options.transactor.transact((tx) => importIssues(tx, file, options));
  return value;
}

/** Imports the whole file within `tx`, or throws. @throws ImportError */
export async function importIssues(
  tx: Transaction,
  { repository, issues }: IssueFile,
  { projectKey, ownerId, onProgress }: ImportOptions,
): Promise<ImportResult> {
  const key = keyOf(projectKey, repository.name);
  const logins = loginsOf(issues);
  const labels = [...new Map(issues.flatMap((issue) => issue.labels).map((label) => [label.name, label])).values()];
  const commentCount = issues.reduce((count, issue) => count + issue.comments.length, 0);
  const progress = progressOf(logins.length + labels.length + issues.length + commentCount, onProgress);

  const projectId = await openProject(tx, { key, name: repository.name, ownerId });
  const people = await importPeople(tx, issues, { projectId, logins });
  const userId = (login: string) => known(people.ids, login);
  progress(logins.length);

  const labelled = await upsertLabels(tx, projectId, labels);
  const labelId = (name: string) => known(labelled.ids, name);
  progress(labels.length);

  const imported = await importTasks(tx, issues, { projectId, userId, labelId, progress });
  const kept = issues.filter(({ url }) => imported.ids.has(url));
  const written = kept.flatMap((issue) => commentsOf(issue, known(imported.ids, issue.url), userId));
  progress(issues.length - kept.length + commentCount - written.length);
  const discussed = await upsertComments(tx, written, progress);

  return {
    projectKey: key,
    users: counts(logins.length, { created: people.created, updated: 0 }),
    labels: counts(labels.length, labelled),
    tasks: counts(kept.length, imported),
    comments: counts(written.length, discussed),
    assigneesLeftOut: issues.filter((issue) => issue.assignees.length > 1).length,
    tasksInTrash: issues.length - kept.length,
    commentsLeftOut: kept.reduce((sum, { comments }) => sum + comments.length, 0) - written.length,
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

/** Creates the users that are missing, and makes assignees members of the project. */
async function importPeople(
  tx: Transaction,
  issues: readonly Issue[],
  { projectId, logins }: { projectId: ProjectId; logins: readonly string[] },
) {
  const people = await ensureUsers(tx, logins);
  const assignees = new Set(issues.flatMap((issue) => issue.assignees));
  await addMembers(
    tx,
    projectId,
    [...assignees].map((login) => known(people.ids, login)),
  );
  return people;
}

/** @throws ImportError */
function keyOf(given: string | undefined, repositoryName: string): string {
  const made = repositoryName
    .toUpperCase()
    .replace(/^[^A-Z]+|[^A-Z0-9]/g, '')
    .slice(0, MAX_KEY_CHARS);
  const key = given ?? made;
  if (PROJECT_KEY.test(key)) return key;
  const got = given === undefined ? `"${made}" from the repository's name "${repositoryName}"` : `"${given}"`;
  throw new ImportError(
    'BAD_PROJECT_KEY',
    `the project key: expected 2 to 10 capital letters or digits, a letter first, got ${got}`,
  );
}

function loginsOf(issues: readonly Issue[]): string[] {
  const logins = issues.flatMap(({ author, assignees, comments }) => [
    author,
    ...assignees,
    ...comments.map((comment) => comment.author),
  ]);
  // Sorted, so that concurrent imports insert users in the same order and cannot deadlock.
  return [...new Set(logins)].sort();
}

/** Finds or creates the project; the owner must be able to write in it. @throws ImportError */
async function openProject(
  tx: Transaction,
  project: { key: string; name: string; ownerId: UserId },
): Promise<ProjectId> {
  const { key, ownerId } = project;
  if (!(await lockUser(tx, ownerId))) {
    throw new ImportError('UNKNOWN_OWNER', `the owner: expected the id of a user, got ${ownerId}`);
  }
  const createdId = await createProject(tx, project);
  if (createdId !== undefined) return createdId;
  const existing = await lockProject(tx, key);
  const role = existing && (await lockRole(tx, existing.id, ownerId));
  if (existing?.archived && mayWrite(role)) {
    throw new ImportError('ARCHIVED', `the project ${key} is archived: expected one that is not`);
  }
  if (existing !== undefined && mayWrite(role)) return existing.id;
  throw new ImportError(
    'NOT_A_WRITER',
    `the project ${key} exists: expected its OWNER or a MEMBER to import into it, got ` +
      `${role ?? 'a user who is not a member'} (${ownerId})`,
  );
}

interface Target {
  readonly projectId: ProjectId;
  readonly userId: (login: string) => UserId;
  readonly labelId: (name: string) => LabelId;
  readonly progress: OnRows;
}

/** @returns the task id of every issue whose task is not in the trash, by URL */
async function importTasks(tx: Transaction, all: readonly Issue[], target: Target) {
  const { projectId, labelId, progress } = target;
  // Tasks are locked before numbers are taken; creating a subtask takes its locks in the same order.
  const urls = all.map(({ url }) => url);
  const existing = await lockTasks(tx, projectId, urls);
  const trashed = await urlsInTrash(tx, projectId, urls);
  const issues = all.filter(({ url }) => existing.has(url) || !trashed.has(url));
  const created = await createTasks(
    tx,
    issues.filter(({ url }) => !existing.has(url)),
    target,
  );
  const ids = new Map([...existing.values(), ...created].map(({ sourceUrl, id }) => [sourceUrl, id]));
  const wanted = issues.flatMap(({ url, labels }) =>
    labels.map(({ name }) => ({ taskId: known(ids, url), labelId: labelId(name) })),
  );
  const relabelled = await setLabels(tx, projectId, { taskIds: [...ids.values()], wanted });
  const changes = changesOf(issues, existing, relabelled, target.userId);
  return { ids, created: created.length, updated: await updateTasks(tx, changes, progress) };
}

async function createTasks(
  tx: Transaction,
  issues: readonly Issue[],
  { projectId, userId, progress }: Target,
): Promise<NewTask[]> {
  const numbers = await takeNumbers(
    tx,
    projectId,
    issues.map(({ number }) => number),
  );
  const created = issues.map((issue) => ({
    ...contentOf(issue, statusOf(issue, 'TODO'), userId),
    id: newId('task', Date.parse(issue.createdAt)),
    projectId,
    number: known(numbers, issue.number),
    creatorId: userId(issue.author),
    sourceUrl: issue.url,
    createdAt: issue.createdAt,
  }));
  await insertTasks(tx, created, progress);
  return created;
}

/** The content of the tasks that existed before the import. */
function changesOf(
  issues: readonly Issue[],
  existing: ReadonlyMap<string, KnownTask>,
  relabelled: ReadonlySet<TaskId>,
  userId: Target['userId'],
): TaskChange[] {
  return issues.flatMap((issue) => {
    const task = existing.get(issue.url);
    if (task === undefined) return [];
    const content = contentOf(issue, statusOf(issue, task.status), userId);
    return { ...content, id: task.id, relabelled: relabelled.has(task.id) };
  });
}

/**
 * Chooses a task number for each issue: the issue's own number if it is above every number the project has used, else
 * the next free one. A number without a task may belong to a deleted task and is never reused. A new project starts at
 * 0, so there every issue keeps its number.
 */
async function takeNumbers(
  tx: Transaction,
  projectId: ProjectId,
  issueNumbers: readonly number[],
): Promise<Map<number, number>> {
  if (issueNumbers.length === 0) return new Map();
  const used = await lockLastNumber(tx, projectId);
  let last = issueNumbers.reduce((a, b) => Math.max(a, b), used);
  const numbers = new Map(issueNumbers.map((number) => [number, number > used ? number : ++last]));
  await setLastNumber(tx, projectId, last);
  return numbers;
}

/**
 * An open issue reopens only a task that is DONE, so work in progress stays so. A closed issue completes every task
 * that is not CANCELED.
 */
function statusOf(issue: Issue, status: TaskStatus): TaskStatus {
  if (issue.state === 'OPEN') return status === 'DONE' ? 'TODO' : status;
  return status === 'CANCELED' ? 'CANCELED' : 'DONE';
}

/** Only the fields a file contains: no priority, due date or parent. */
function contentOf(issue: Issue, status: TaskStatus, userId: Target['userId']): TaskContent {
  const [assignee] = issue.assignees;
  return {
    title: issue.title,
    description: issue.body,
    status,
    assigneeId: assignee === undefined ? null : userId(assignee),
    updatedAt: issue.updatedAt,
    completedAt: status === 'DONE' ? (issue.closedAt ?? issue.updatedAt) : null,
  };
}

/** Gives the tasks exactly the wanted labels. @returns the tasks whose labels changed */
async function setLabels(
  tx: Transaction,
  projectId: ProjectId,
  { taskIds, wanted }: { taskIds: readonly TaskId[]; wanted: readonly TaskLabel[] },
): Promise<Set<TaskId>> {
  const before = await labelsOfTasks(tx, taskIds);
  const dropped = without(before, wanted);
  const added = without(wanted, before);
  await deleteTaskLabels(tx, dropped);
  await insertTaskLabels(tx, projectId, added);
  return new Set([...dropped, ...added].map(({ taskId }) => taskId));
}

function without(pairs: readonly TaskLabel[], others: readonly TaskLabel[]): TaskLabel[] {
  const nameOf = ({ taskId, labelId }: TaskLabel) => `${taskId} ${labelId}`;
  const names = new Set(others.map(nameOf));
  return pairs.filter((pair) => !names.has(nameOf(pair)));
}

/** A comment is identified by its URL; without one, by author and instant, numbered among those that share both. */
function commentsOf(issue: Issue, taskId: TaskId, userId: Target['userId']): WantedComment[] {
  const seen = new Map<string, number>();
  return issue.comments.flatMap(({ author, body, createdAt, url }) => {
    const name = `${author} ${createdAt}`;
    const nth = (seen.get(name) ?? 0) + 1;
    seen.set(name, nth);
    if (body === '') return [];
    return {
      id: newId('comment', Date.parse(createdAt)),
      taskId,
      authorId: userId(author),
      body,
      sourceKey: url ?? `${name} ${nth}`,
      createdAt,
      editedAt: issue.updatedAt, // the file does not contain when a comment was edited
    };
  });
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
