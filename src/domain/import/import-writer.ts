/** The second reading of a file: writes what it meets, in batches. */
import {
  type CommentId,
  isId,
  type LabelId,
  newId,
  type ProjectId,
  type TaskId,
  toUuid,
  type UserId,
} from '../../db/ids.js';
import type { Transaction } from '../../engine/postgres/index.js';
import { assigneeColumns, assigneeIdsOf } from '../tasks/assignee-columns.js';
import { LATE_START, startsLate } from '../tasks/task.dates.js';
import type { TaskStatus } from '../tasks/task.table.js';
import type { CheckedFile } from './checked-file.js';
import {
  contentOf,
  deleteTaskLabels,
  findCycle,
  insertTaskLabels,
  insertTasks,
  type KnownTask,
  labelsOfTasks,
  type OnRows,
  type ParentChange,
  setParents,
  type TaskContent,
  type TaskLabel,
  updateTasks,
} from './import.repository.js';
import { commentsOfTasks, upsertComments, type WantedComment } from './import-comments.repository.js';
import { ImportError } from './import-error.js';
import type { CommentItem, GivenStatus, TaskItem } from './items.js';

/** Rows of one kind in a batch. At most ROWS_PER_STATEMENT: a parent may be in the same statement as its subtask. */
const MAX_BATCH_ROWS = 500;
/** Characters of texts in a batch. Five hundred texts of full length would be 32 million. */
const MAX_BATCH_CHARS = 4_000_000;

export interface ImportTarget {
  readonly checked: CheckedFile;
  readonly projectId: ProjectId;
  readonly ownerId: UserId;
  readonly userId: (handle: string) => UserId;
  readonly labelId: (name: string) => LabelId;
  /** The locked tasks that exist already, by key. */
  readonly existing: ReadonlyMap<string, TaskId>;
  /** Keys of tasks in the trash, which are left out. */
  readonly trashed: ReadonlySet<string>;
  /** Numbers of new tasks, by key. */
  readonly numbers: ReadonlyMap<string, number>;
  readonly progress: OnRows;
}

export class ImportWriter {
  readonly #tx: Transaction;
  readonly #to: ImportTarget;
  /** Ids of existing tasks, and of new ones as soon as they are chosen, by key. */
  readonly #ids: Map<string, TaskId>;
  readonly #now = new Date().toISOString();
  #tasks: TaskItem[] = [];
  #comments: CommentItem[] = [];
  #chars = 0;
  /** Parents that do not exist yet. Without the texts of the tasks. */
  readonly #later: (Omit<ParentChange, 'parentId'> & { readonly parentKey: string })[] = [];
  /** Existing tasks that get another parent. */
  readonly #moved: TaskId[] = [];
  readonly #updated = new Set<string>();
  #created = 0;
  readonly #commentCounts = { created: 0, updated: 0 };
  #parentsLeftOut = 0;
  #commentsInTrash = 0;

  constructor(tx: Transaction, to: ImportTarget) {
    this.#tx = tx;
    this.#to = to;
    this.#ids = new Map(to.existing);
  }

  /**
   * @returns with the ids of all tasks that the file names, by key
   * @throws ImportError if tasks of the file and of the project together would form a cycle of parents
   */
  async write() {
    for await (const item of this.#to.checked.file.items()) {
      if (item.kind === 'task') await this.#addTask(item);
      else if (item.kind === 'comment') await this.#addComment(item);
    }
    await this.#flush();
    await this.#setLateParents();
    return {
      tasks: { created: this.#created, updated: this.#updated.size },
      comments: this.#commentCounts,
      commentsInTrash: this.#commentsInTrash,
      parentsLeftOut: this.#parentsLeftOut,
      ids: this.#ids,
    };
  }

  async #addTask(item: TaskItem): Promise<void> {
    if (this.#to.trashed.has(item.key)) return this.#to.progress(1);
    this.#chars += item.title.length + (item.description?.length ?? 0);
    if (this.#tasks.push(item) === MAX_BATCH_ROWS || this.#chars > MAX_BATCH_CHARS) await this.#flush();
  }

  async #addComment(item: CommentItem): Promise<void> {
    if (this.#to.trashed.has(item.taskKey)) {
      this.#commentsInTrash++;
      return this.#to.progress(1);
    }
    this.#chars += item.body.length;
    if (this.#comments.push(item) === MAX_BATCH_ROWS || this.#chars > MAX_BATCH_CHARS) await this.#flush();
  }

  async #flush(): Promise<void> {
    const [tasks, comments] = [this.#tasks, this.#comments];
    [this.#tasks, this.#comments, this.#chars] = [[], [], 0];
    if (tasks.length > 0) await this.#writeTasks(tasks);
    if (comments.length > 0) await this.#writeComments(comments);
  }

  async #writeTasks(items: readonly TaskItem[]): Promise<void> {
    const { existing } = this.#to;
    const created = items.filter(({ key }) => !existing.has(key));
    for (const { key, createdAt } of created) {
      // Ids without a time keep the order of the file.
      this.#ids.set(key, newId('task', createdAt === undefined ? undefined : Date.parse(createdAt)));
    }
    await this.#createTasks(created);
    await this.#updateTasks(items.filter(({ key }) => existing.has(key)));
  }

  async #createTasks(items: readonly TaskItem[]): Promise<void> {
    if (items.length === 0) return;
    const { projectId, ownerId, userId, numbers, progress } = this.#to;
    const rows = items.map((item) => {
      const { createdAt = this.#now } = item;
      return {
        ...this.#contentOf(item, undefined),
        id: this.#id(item.key),
        projectId,
        number: numbers.get(item.key) as number, // every new task has one
        creatorId: item.creator === undefined ? ownerId : userId(item.creator.handle),
        sourceUrl: item.key,
        createdAt,
        updatedAt: item.updatedAt ?? createdAt,
      };
    });
    await insertTasks(this.#tx, rows, progress);
    await insertTaskLabels(this.#tx, projectId, this.#labelsOf(items));
    this.#created += rows.length;
  }

  async #updateTasks(items: readonly TaskItem[]): Promise<void> {
    if (items.length === 0) return;
    const before = await contentOf(
      this.#tx,
      items.map(({ key }) => this.#id(key)),
    );
    const relabelled = await this.#setLabels(items.filter(({ labels }) => labels !== undefined));
    const changes = items.map((item) => {
      const id = this.#id(item.key);
      const content = this.#contentOf(item, before.get(id) as KnownTask); // it is locked
      if (content.parentId !== before.get(id)?.parentId) this.#moved.push(id);
      return { ...content, id, updatedAt: item.updatedAt ?? null, relabelled: relabelled.has(id) };
    });
    for (const id of await updateTasks(this.#tx, changes, this.#to.progress)) this.#updated.add(id);
  }

  /** What the task will be. The file decides what it contains; the rest stays as it is. */
  #contentOf(item: TaskItem, before: KnownTask | undefined): TaskContent {
    const status = statusOf(item.status, before?.status);
    const startDate = item.startDate === undefined ? (before?.startDate ?? null) : item.startDate;
    const dueDate = item.dueDate === undefined ? (before?.dueDate ?? null) : item.dueDate;
    if (startsLate({ startDate, dueDate })) {
      throw new ImportError('LATE_START', `${item.at}: ${LATE_START}: from ${startDate} to ${dueDate}`);
    }
    return {
      title: item.title,
      description: item.description === undefined ? (before?.description ?? null) : item.description,
      status,
      priority: item.priority ?? before?.priority ?? 'NONE',
      ...{ startDate, dueDate },
      estimate: item.estimate === undefined ? (before?.estimate ?? null) : item.estimate,
      ...assigneeColumns(this.#assigneesOf(item, before)),
      parentId: this.#parentOf(item, before),
      sortOrder: item.sortOrder === undefined ? (before?.sortOrder ?? null) : item.sortOrder,
      completedAt: status === 'DONE' ? this.#completedAt(item, before) : null,
    };
  }

  /** A file that knows one assignee decides who is first: the others stay, unless the task is unassigned. */
  #assigneesOf({ assignee, assignees }: TaskItem, before: KnownTask | undefined): UserId[] {
    if (assignees !== undefined) return assignees.map(({ handle }) => this.#to.userId(handle));
    if (assignee === null) return [];
    const stay = before === undefined ? [] : assigneeIdsOf(before);
    return assignee === undefined ? stay : [this.#to.userId(assignee.handle), ...(before?.otherAssigneeIds ?? [])];
  }

  #completedAt({ completedAt, updatedAt, createdAt }: TaskItem, before: KnownTask | undefined): string {
    return completedAt ?? before?.completedAt ?? updatedAt ?? (before ? this.#now : (createdAt ?? this.#now));
  }

  #parentOf(item: TaskItem, before: KnownTask | undefined): TaskId | null {
    const stays = before?.parentId ?? null;
    if (!item.parentKey) return item.parentKey === undefined ? stays : null;
    const parentKey = this.#to.checked.keyOf(item.parentKey);
    const id = this.#ids.get(parentKey);
    if (id !== undefined) return id;
    if (this.#to.checked.tasks.has(parentKey) && !this.#to.trashed.has(parentKey)) {
      const updatedAt = item.updatedAt ?? null;
      this.#later.push({ id: this.#id(item.key), parentKey, isNew: before === undefined, updatedAt });
    } else this.#parentsLeftOut++;
    return stays;
  }

  /** Gives the tasks exactly the labels of the file. @returns the tasks whose labels changed */
  async #setLabels(items: readonly TaskItem[]): Promise<Set<TaskId>> {
    const before = await labelsOfTasks(
      this.#tx,
      items.map(({ key }) => this.#id(key)),
    );
    const wanted = this.#labelsOf(items);
    const dropped = without(before, wanted);
    const added = without(wanted, before);
    await deleteTaskLabels(this.#tx, dropped);
    await insertTaskLabels(this.#tx, this.#to.projectId, added);
    return new Set([...dropped, ...added].map(({ taskId }) => taskId));
  }

  #labelsOf(items: readonly TaskItem[]): TaskLabel[] {
    return items.flatMap(({ key, labels = [] }) =>
      labels.map((name) => ({ taskId: this.#id(key), labelId: this.#to.labelId(name) })),
    );
  }

  async #writeComments(items: readonly CommentItem[]): Promise<void> {
    const { checked, userId, progress } = this.#to;
    const rows = items.map(({ kind, taskKey, author, ...item }) => ({
      ...item,
      id: newId('comment', Date.parse(item.createdAt)),
      taskId: this.#id(taskKey),
      authorId: userId(checked.handleOf(author)),
    }));
    const { created, updated } = await upsertComments(this.#tx, await this.#withStoredIds(rows), progress);
    this.#commentCounts.created += created;
    this.#commentCounts.updated += updated;
  }

  /** In the copy of a project, the keys of comments are the ids that they had there, as those of tasks are. */
  async #withStoredIds(
    rows: readonly (Omit<WantedComment, 'storedId'> & Pick<CommentItem, 'exportedId'>)[],
  ): Promise<WantedComment[]> {
    const idsOf = ({ exportedId, sourceKey }: (typeof rows)[number]) =>
      [exportedId, sourceKey].filter((id): id is CommentId => id !== undefined && isId('comment', id));
    const taskIds = [...new Set(rows.map(({ taskId }) => taskId))];
    const stored = await commentsOfTasks(this.#tx, { taskIds, ids: [...new Set(rows.flatMap(idsOf))] });
    return rows.map((row) => {
      const { exportedId, ...comment } = row;
      return { ...comment, storedId: idsOf(row).find((id) => stored.has(id)) };
    });
  }

  async #setLateParents(): Promise<void> {
    const changes = this.#later.map(({ parentKey, ...change }) => ({ ...change, parentId: this.#id(parentKey) }));
    const changed = new Set(await setParents(this.#tx, changes));
    for (const { id, isNew } of changes) {
      if (isNew || !changed.has(toUuid(id))) continue;
      this.#updated.add(toUuid(id));
      this.#moved.push(id);
    }
    if (this.#moved.length === 0) return;
    const cycle = await findCycle(this.#tx, this.#moved);
    if (cycle === undefined) return;
    const message = `"${cycle.title}": parent: expected a task that is not one of its own subtasks in the project`;
    throw new ImportError('PARENT_CYCLE', message);
  }

  #id(key: string): TaskId {
    const id = this.#ids.get(key);
    if (id === undefined) throw new TypeError(`expected the task ${key} before what depends on it`);
    return id;
  }
}

/**
 * OPEN reopens only a task that is DONE, so work in progress stays so. CLOSED completes every task that is not
 * CANCELED.
 */
function statusOf(given: GivenStatus | undefined, before: TaskStatus | undefined): TaskStatus {
  if (given === 'OPEN') return before === undefined || before === 'DONE' ? 'TODO' : before;
  if (given === 'CLOSED') return before === 'CANCELED' ? 'CANCELED' : 'DONE';
  return given ?? before ?? 'BACKLOG';
}

function without(pairs: readonly TaskLabel[], others: readonly TaskLabel[]): TaskLabel[] {
  const nameOf = ({ taskId, labelId }: TaskLabel) => `${taskId} ${labelId}`;
  const names = new Set(others.map(nameOf));
  return pairs.filter((pair) => !names.has(nameOf(pair)));
}
