/**
 * Issues of GitHub's become tasks. An issue is known again by its URL, a comment by its source key: importing a newer file
 * updates what changed, importing the same file again changes no row and so makes no cache entry old.
 */
import { and, eq, lt, type SQL, sql } from 'drizzle-orm';
import { comments } from '../comments/comment.table.js';
import type { Transaction } from '../db/database.js';
import { type LabelId, newId, type ProjectId, type TaskId, toUuid, type UserId } from '../db/ids.js';
import type { Transactor } from '../invalidation/transact.js';
import { labels } from '../labels/label.table.js';
import { projectMembers, projects, type Role, taskNumbers } from '../projects/project.table.js';
import { taskLabels, tasks } from '../tasks/task.table.js';
import { users } from '../users/user.table.js';
import { ImportError, type Issue, type IssueFile, parseIssues } from './github-issues.js';
import type { ImportProgress } from './progress.js';

/** At most as many as a trigger names one by one (a larger statement touches the whole table); far below 65 535 parameters. */
const ROWS_PER_STATEMENT = 500;
/** As the table's constraint has it. */
const PROJECT_KEY = /^[A-Z][A-Z0-9]{1,9}$/;
const MAX_KEY_CHARS = 10;

export interface ImportOptions {
  /** Absent: made of the repository's name, `qlog` → `QLOG`. */
  readonly projectKey?: string | undefined;
  /** Becomes the OWNER of a new project; must be OWNER or MEMBER of one that exists. */
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
  /** Issues with several assignees: a task has one, the first. */
  readonly assigneesLeftOut: number;
  /** Comments without a text, which the table does not hold. */
  readonly commentsLeftOut: number;
}

/** Parses a file's text and imports it, invalidating what it changed. @throws ImportError; what `transact` throws */
export async function runImport(
  options: ImportOptions & { text: string; transactor: Pick<Transactor, 'transact'> },
): Promise<ImportResult> {
  const file = parseIssues(options.text);
  const { value } = await options.transactor.transact((tx) => importIssues(tx, file, options));
  return value;
}

/** Imports all of the file within `tx`, or throws. @throws ImportError */
export async function importIssues(
  tx: Transaction,
  { repository, issues }: IssueFile,
  options: ImportOptions,
): Promise<ImportResult> {
  const key = keyOf(options.projectKey, repository.name);
  const logins = loginsOf(issues);
  const labelsByName = new Map(issues.flatMap((issue) => issue.labels).map((label) => [label.name, label]));
  const commentCount = issues.reduce((count, issue) => count + issue.comments.length, 0);
  const total = logins.length + labelsByName.size + issues.length + commentCount;
  let done = 0;
  const progress = (count: number) => {
    done += count;
    options.onProgress?.({ done, total });
  };

  const projectId = await lockProject(tx, { key, name: repository.name, ownerId: options.ownerId });
  const people = await importUsers(tx, logins);
  const userId = (login: string) => known(people.ids, login);
  const assignees = new Set(issues.flatMap((issue) => issue.assignees));
  await addMembers(tx, projectId, [...assignees].map(userId));
  progress(logins.length);

  const labelled = await importLabels(tx, projectId, [...labelsByName.values()]);
  progress(labelsByName.size);

  const wanted = issues.map((issue): WantedTask => {
    const [assignee] = issue.assignees;
    return {
      issue,
      creatorId: userId(issue.author),
      assigneeId: assignee === undefined ? null : userId(assignee),
      completedAt: issue.state === 'CLOSED' ? (issue.closedAt ?? issue.updatedAt) : null,
      labelIds: new Set(issue.labels.map(({ name }) => known(labelled.ids, name))),
    };
  });
  const imported = await importTasks(tx, projectId, wanted, progress);
  const written = issues.flatMap((issue) => wantedComments(issue, known(imported.ids, issue.url), userId));
  progress(commentCount - written.length);
  return {
    projectKey: key,
    users: people.counts,
    labels: labelled.counts,
    tasks: imported.counts,
    comments: await importComments(tx, written, progress),
    assigneesLeftOut: issues.filter((issue) => issue.assignees.length > 1).length,
    commentsLeftOut: commentCount - written.length,
  };
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
  // Sorted, so that two imports at once insert the same users in the same order and do not wait for each other in a circle.
  return [...new Set(logins)].sort();
}

/**
 * The project, created when missing, held against other imports into it until the transaction ends. Its tasks can be created
 * and changed meanwhile.
 */
async function lockProject(
  tx: Transaction,
  { key, name, ownerId }: { key: string; name: string; ownerId: UserId },
): Promise<ProjectId> {
  const [owner] = await tx.select({ id: users.id }).from(users).where(eq(users.id, ownerId)).for('key share');
  if (owner === undefined) {
    throw new ImportError('UNKNOWN_OWNER', `the owner: expected the id of a user, got ${ownerId}`);
  }
  const [created] = await tx
    .insert(projects)
    .values({ key, name })
    .onConflictDoNothing({ target: projects.key })
    .returning({ id: projects.id });
  if (created !== undefined) {
    await tx.insert(projectMembers).values({ projectId: created.id, userId: ownerId, role: 'OWNER' });
    return created.id;
  }
  const [project] = await tx
    .select({ id: projects.id })
    .from(projects)
    .where(eq(projects.key, key))
    .for('no key update');
  const role = project && (await roleIn(tx, project.id, ownerId));
  if (project === undefined || role === undefined || role === 'VIEWER') {
    const got = role ?? 'no member of it';
    throw new ImportError(
      'NOT_A_WRITER',
      `the project ${key} exists: expected its OWNER or a MEMBER to import into it, got ${got} (${ownerId})`,
    );
  }
  return project.id;
}

/** Held until the transaction ends: nobody is shut out while their import is under way. */
async function roleIn(tx: Transaction, projectId: ProjectId, userId: UserId): Promise<Role | undefined> {
  const [member] = await tx
    .select({ role: projectMembers.role })
    .from(projectMembers)
    .where(and(eq(projectMembers.projectId, projectId), eq(projectMembers.userId, userId)))
    .for('share');
  return member?.role;
}

async function importUsers(tx: Transaction, logins: readonly string[]) {
  const ids = new Map<string, UserId>();
  let created = 0;
  for (const chunk of chunksOf(logins)) {
    const values = chunk.map((login) => ({ handle: login, name: login }));
    const inserted = await tx
      .insert(users)
      .values(values)
      .onConflictDoNothing({ target: users.handle })
      .returning({ id: users.id });
    created += inserted.length;
    const rows = await tx
      .select({ id: users.id, handle: users.handle })
      .from(users)
      .where(sql`${users.handle} = ${anyOf(chunk)}`);
    for (const { id, handle } of rows) ids.set(handle, id);
  }
  return { ids, counts: counts({ created, updated: 0, all: logins.length }) };
}

/** Whoever is a member stays what they are. */
async function addMembers(tx: Transaction, projectId: ProjectId, userIds: readonly UserId[]): Promise<void> {
  for (const chunk of chunksOf(userIds)) {
    const values = chunk.map((userId) => ({ projectId, userId, role: 'MEMBER' as const }));
    await tx.insert(projectMembers).values(values).onConflictDoNothing();
  }
}

async function importLabels(tx: Transaction, projectId: ProjectId, wanted: readonly Issue['labels'][number][]) {
  const ids = new Map<string, LabelId>();
  let created = 0;
  let updated = 0;
  for (const chunk of chunksOf(wanted)) {
    const inserted = await tx
      .insert(labels)
      .values(chunk.map((label) => ({ projectId, ...label })))
      .onConflictDoNothing({ target: [labels.projectId, labels.name] })
      .returning({ id: labels.id });
    created += inserted.length;
    const changed = await tx.execute(sql`
      update labels l set color = given.color, description = given.description, updated_at = now()
      from ${recordset(chunk, sql`name text, color text, description text`)}
      where l.project_id = ${toUuid(projectId)} and l.name = given.name
        and (l.color, l.description) is distinct from (given.color, given.description)
      returning l.id`);
    updated += changed.length;
    const rows = await tx
      .select({ id: labels.id, name: labels.name })
      .from(labels)
      .where(and(eq(labels.projectId, projectId), sql`${labels.name} = ${anyOf(chunk.map(({ name }) => name))}`))
      .for('key share'); // none is deleted before its tasks bear it
    for (const { id, name } of rows) ids.set(name, id);
  }
  return { ids, counts: counts({ created, updated, all: wanted.length }) };
}

interface WantedTask {
  readonly issue: Issue;
  readonly creatorId: UserId;
  readonly assigneeId: UserId | null;
  /** Null while the issue is open. */
  readonly completedAt: string | null;
  readonly labelIds: ReadonlySet<LabelId>;
}

async function importTasks(
  tx: Transaction,
  projectId: ProjectId,
  wanted: readonly WantedTask[],
  progress: (count: number) => void,
) {
  const ids = await lockTasks(
    tx,
    projectId,
    wanted.map(({ issue }) => issue.url),
  );
  const fresh = wanted.filter(({ issue }) => !ids.has(issue.url));
  const numbers = await takeNumbers(
    tx,
    projectId,
    fresh.map(({ issue }) => issue.number),
  );
  for (const chunk of chunksOf(fresh)) {
    const values = chunk.map(({ issue, creatorId, assigneeId, completedAt }) => ({
      id: newId('task', Date.parse(issue.createdAt)),
      projectId,
      number: known(numbers, issue.number),
      title: issue.title,
      description: issue.body,
      status: completedAt === null ? ('TODO' as const) : ('DONE' as const),
      assigneeId,
      creatorId,
      sourceUrl: issue.url,
      createdAt: issue.createdAt,
      updatedAt: issue.updatedAt,
      completedAt,
    }));
    await tx.insert(tasks).values(values);
    for (const { id, sourceUrl } of values) ids.set(sourceUrl, id);
    progress(chunk.length);
  }
  const relabelled = await setLabels(
    tx,
    projectId,
    new Map(wanted.map(({ issue, labelIds }) => [known(ids, issue.url), labelIds])),
  );
  const isFresh = new Set(fresh);
  let updated = 0;
  for (const chunk of chunksOf(wanted.filter((task) => !isFresh.has(task)))) {
    updated += await updateTasks(
      tx,
      chunk.map((task) => {
        const id = known(ids, task.issue.url);
        return { ...task, id, relabelled: relabelled.has(id) };
      }),
    );
    progress(chunk.length);
  }
  return { ids, counts: counts({ created: fresh.length, updated, all: wanted.length }) };
}

/**
 * The tasks that came from `urls`, by URL, held so that nobody changes or deletes them meanwhile. Before the numbers, because
 * creating a part of a task takes its locks in this order.
 */
async function lockTasks(tx: Transaction, projectId: ProjectId, urls: readonly string[]): Promise<Map<string, TaskId>> {
  const rows = await tx
    .select({ id: tasks.id, sourceUrl: tasks.sourceUrl })
    .from(tasks)
    .where(and(eq(tasks.projectId, projectId), sql`${tasks.sourceUrl} = ${anyOf(urls)}`))
    .orderBy(tasks.id)
    .for('no key update');
  return new Map(rows.flatMap(({ id, sourceUrl }) => (sourceUrl === null ? [] : [[sourceUrl, id] as const])));
}

/** A task's number for each of these issues' numbers: the same where no task of the project has it, else the next that is free. */
async function takeNumbers(
  tx: Transaction,
  projectId: ProjectId,
  issueNumbers: readonly number[],
): Promise<Map<number, number>> {
  if (issueNumbers.length === 0) return new Map();
  await tx.insert(taskNumbers).values({ projectId }).onConflictDoNothing();
  // Whoever creates a task waits here, so that what is free now stays free.
  const [counter] = await tx
    .select({ last: taskNumbers.last })
    .from(taskNumbers)
    .where(eq(taskNumbers.projectId, projectId))
    .for('update');
  const rows = await tx
    .select({ number: tasks.number })
    .from(tasks)
    .where(and(eq(tasks.projectId, projectId), sql`${tasks.number} = ${anyOf(issueNumbers)}`));
  const taken = new Set(rows.map(({ number }) => number));
  let last = issueNumbers.reduce((a, b) => Math.max(a, b), counter?.last ?? 0);
  const numbers = new Map(issueNumbers.map((number) => [number, taken.has(number) ? ++last : number]));
  await tx
    .update(taskNumbers)
    .set({ last })
    .where(and(eq(taskNumbers.projectId, projectId), lt(taskNumbers.last, last)));
  return numbers;
}

/** Makes each task bear exactly these labels; returns the tasks for which that was a change. */
async function setLabels(
  tx: Transaction,
  projectId: ProjectId,
  wanted: ReadonlyMap<TaskId, ReadonlySet<LabelId>>,
): Promise<Set<TaskId>> {
  const dropped: { taskId: TaskId; labelId: LabelId }[] = [];
  const missing = new Map([...wanted].map(([taskId, labelIds]) => [taskId, new Set(labelIds)]));
  for (const chunk of chunksOf([...wanted.keys()])) {
    const borne = await tx
      .select({ taskId: taskLabels.taskId, labelId: taskLabels.labelId })
      .from(taskLabels)
      .where(sql`${taskLabels.taskId} = ${anyOfIds(chunk)}`);
    for (const row of borne) {
      if (missing.get(row.taskId)?.delete(row.labelId) === false) dropped.push(row);
    }
  }
  const added = [...missing].flatMap(([taskId, labelIds]) =>
    [...labelIds].map((labelId) => ({ projectId, taskId, labelId })),
  );
  for (const chunk of chunksOf(dropped)) {
    const pairs = chunk.map(({ taskId, labelId }) => ({ task_id: toUuid(taskId), label_id: toUuid(labelId) }));
    await tx.execute(sql`
      delete from task_labels using ${recordset(pairs, sql`task_id uuid, label_id uuid`)}
      where task_labels.task_id = given.task_id and task_labels.label_id = given.label_id`);
  }
  for (const chunk of chunksOf(added)) await tx.insert(taskLabels).values(chunk).onConflictDoNothing();
  return new Set([...dropped, ...added].map(({ taskId }) => taskId));
}

/**
 * What the file says of tasks that exist; how many that changed. An open issue reopens only what is done here, so that work
 * under way stays under way; a closed one completes all but what was canceled here. Fields that a file does not speak of
 * (priority, due date, parent) are not named. `updated_at` never goes back behind a change made here.
 */
async function updateTasks(
  tx: Transaction,
  given: readonly (WantedTask & { id: TaskId; relabelled: boolean })[],
): Promise<number> {
  const rows = given.map(({ id, issue, assigneeId, completedAt, relabelled }) => ({
    id: toUuid(id),
    title: issue.title,
    description: issue.body,
    assignee_id: assigneeId && toUuid(assigneeId),
    completed_at: completedAt,
    updated_at: issue.updatedAt,
    relabelled,
  }));
  const columns = sql`id uuid, title text, description text, assignee_id uuid,
    completed_at timestamptz, updated_at timestamptz, relabelled boolean`;
  const changed = await tx.execute(sql`
    with wanted as (
      select given.id, given.title, given.description, given.assignee_id, given.relabelled, next.status,
        case when next.status = 'DONE' then given.completed_at end as completed_at,
        greatest(t.updated_at, given.updated_at) as updated_at
      from ${recordset(rows, columns)} join tasks t using (id), lateral (select case
        when given.completed_at is null and t.status = 'DONE' then 'TODO'
        when given.completed_at is not null and t.status <> 'CANCELED' then 'DONE'
        else t.status end as status) as next
    )
    update tasks t set
      title = w.title, description = w.description, assignee_id = w.assignee_id, status = w.status,
      completed_at = w.completed_at, updated_at = w.updated_at, version = t.version + 1
    from wanted w
    where t.id = w.id and (w.relabelled or
      (t.title, t.description, t.assignee_id, t.status, t.completed_at, t.updated_at) is distinct from
      (w.title, w.description, w.assignee_id, w.status, w.completed_at, w.updated_at))
    returning t.id`);
  return changed.length;
}

interface WantedComment {
  readonly taskId: TaskId;
  readonly authorId: UserId;
  readonly body: string;
  readonly sourceKey: string;
  readonly createdAt: string;
  /** When the issue last changed: the file does not say when a comment did. */
  readonly editedAt: string;
}

/** Known by their URL; without one, by author and instant, and a number among those that share both. */
function wantedComments(issue: Issue, taskId: TaskId, userId: (login: string) => UserId): WantedComment[] {
  const seen = new Map<string, number>();
  return issue.comments.flatMap(({ author, body, createdAt, url }) => {
    const name = `${author} ${createdAt}`;
    const nth = (seen.get(name) ?? 0) + 1;
    seen.set(name, nth);
    if (body === '') return [];
    return {
      taskId,
      authorId: userId(author),
      body,
      sourceKey: url ?? `${name} ${nth}`,
      createdAt,
      editedAt: issue.updatedAt,
    };
  });
}

async function importComments(
  tx: Transaction,
  wanted: readonly WantedComment[],
  progress: (count: number) => void,
): Promise<Counts> {
  let created = 0;
  let updated = 0;
  for (const chunk of chunksOf(wanted)) {
    const inserted = await tx
      .insert(comments)
      .values(
        chunk.map(({ editedAt, ...row }) => ({
          ...row,
          id: newId('comment', Date.parse(row.createdAt)),
          updatedAt: row.createdAt,
        })),
      )
      .onConflictDoNothing({ target: [comments.taskId, comments.sourceKey] })
      .returning({ id: comments.id });
    created += inserted.length;
    // Those just inserted are equal and so left alone.
    if (inserted.length < chunk.length) updated += await updateComments(tx, chunk);
    progress(chunk.length);
  }
  return counts({ created, updated, all: wanted.length });
}

async function updateComments(tx: Transaction, given: readonly WantedComment[]): Promise<number> {
  const rows = given.map(({ taskId, sourceKey, body, editedAt }) => ({
    task_id: toUuid(taskId),
    source_key: sourceKey,
    body,
    edited_at: editedAt,
  }));
  const changed = await tx.execute(sql`
    update comments c set body = given.body, updated_at = greatest(c.updated_at, given.edited_at)
    from ${recordset(rows, sql`task_id uuid, source_key text, body text, edited_at timestamptz`)}
    where c.task_id = given.task_id and c.source_key = given.source_key and c.body is distinct from given.body
    returning c.id`);
  return changed.length;
}

function* chunksOf<T>(rows: readonly T[]): Generator<T[]> {
  for (let i = 0; i < rows.length; i += ROWS_PER_STATEMENT) yield rows.slice(i, i + ROWS_PER_STATEMENT);
}

/** `rows` as a table named `given`: one parameter, and one text however many rows. */
function recordset(rows: readonly object[], columns: SQL): SQL {
  return sql`jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as given(${columns})`;
}

function anyOf(values: readonly string[] | readonly number[]): SQL {
  return sql`any(${sql.param(values)})`;
}

function anyOfIds(ids: readonly TaskId[]): SQL {
  return sql`any(${sql.param(ids.map(toUuid))}::uuid[])`;
}

function counts({ created, updated, all }: { created: number; updated: number; all: number }): Counts {
  return { created, updated, unchanged: all - created - updated };
}

/** @throws TypeError a mistake of ours: every name was looked up or created before */
function known<K, V>(map: ReadonlyMap<K, V>, key: K): V {
  const value = map.get(key);
  if (value === undefined) throw new TypeError(`expected ${String(key)} to be known`);
  return value;
}
