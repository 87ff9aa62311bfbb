/**
 * The first reading of a file: finds every fault, and gathers what must be known before the first row is written. It
 * keeps keys, names and numbers, no texts; the second reading writes what it meets.
 */
import { numberBefore } from '../tasks/sort-key.js';
import { LATE_START, startsLate } from '../tasks/task.dates.js';
import { type StoredRelationType, taskRelationType } from '../tasks/task-relation.table.js';
import { handleFrom } from '../users/handle.js';
import { MAX_HANDLE_CHARS } from '../users/user.table.js';
import { cyclesOf } from './cycles.js';
import { Faults, ImportError } from './import-error.js';
import {
  type CommentItem,
  type GivenRelations,
  type ImportFile,
  type Item,
  type LabelItem,
  type Person,
  type ProjectItem,
  RELATION_FIELDS,
  type TaskItem,
} from './items.js';

export interface TaskEntry extends Pick<TaskItem, 'key' | 'number' | 'exportedId' | 'parentKey' | 'relations'> {
  readonly at: string;
}

/** What a file without faults holds. */
export class CheckedFile {
  #project: ProjectItem | undefined;
  readonly #people = new Map<string, string>();
  readonly #accounts = new Map<string, Person>();
  readonly #unknownAccounts = new Set<string>();
  readonly #assignees = new Set<string>();
  readonly #labels = new Map<string, LabelItem>();
  readonly #tasks = new Map<string, TaskEntry>();
  readonly #aliases = new Map<string, string>();
  readonly #faults = new Faults();
  #comments = 0;
  #hasSortKeys = false;
  #lastKeyNumber = 0;
  #leftOut = { assignees: 0, comments: 0 };

  private constructor(readonly file: ImportFile) {}

  /** @throws ImportError that lists the faults */
  static async check(file: ImportFile): Promise<CheckedFile> {
    const checked = new CheckedFile(file);
    for await (const item of file.items()) checked.#add(item);
    checked.#checkRelations();
    checked.#findCycles();
    checked.#faults.throwIfAny();
    if (checked.#tasks.size === 0) throw new ImportError('NO_TASKS', 'the file: expected at least one task, got none');
    return checked;
  }

  get project(): ProjectItem | undefined {
    return this.#project;
  }

  /** Names of users by handle, sorted, so that concurrent imports insert in one order and cannot deadlock. */
  get users(): ReadonlyMap<string, string> {
    const unknown = [...this.#unknownAccounts].filter((id) => !this.#accounts.has(id)).map(handleOfAccount);
    const people = new Map([...unknown.map((handle) => [handle, handle] as const), ...this.#people]);
    return new Map([...people].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** Handles of the users whom tasks are assigned to. */
  get assignees(): ReadonlySet<string> {
    return this.#assignees;
  }

  get labels(): readonly LabelItem[] {
    return [...this.#labels.values()];
  }

  /** By key, in the order of the file. */
  get tasks(): ReadonlyMap<string, TaskEntry> {
    return this.#tasks;
  }

  /** Whether it decides the places of tasks in the manual order. */
  get hasSortKeys(): boolean {
    return this.#hasSortKeys;
  }

  /**
   * The highest task number whose own key is not after the last of the sort keys; 0 if there are none. New tasks need
   * higher numbers to come last.
   */
  get lastKeyNumber(): number {
    return this.#lastKeyNumber;
  }

  get commentCount(): number {
    return this.#comments;
  }

  get leftOut(): { readonly assignees: number; readonly comments: number } {
    return this.#leftOut;
  }

  /** The key of the task that `name`, a key or an alias, names. */
  keyOf(name: string): string {
    return this.#aliases.get(name) ?? name;
  }

  handleOf(author: CommentItem['author']): string {
    return 'handle' in author
      ? author.handle
      : (this.#accounts.get(author.account)?.handle ?? handleOfAccount(author.account));
  }

  #add(item: Item): void {
    switch (item.kind) {
      case 'project':
        this.#project ??= item;
        break;
      case 'user':
        this.#addPerson(item);
        break;
      case 'account':
        this.#accounts.set(item.id, item.person);
        this.#addPerson(item.person);
        break;
      case 'label':
        this.#labels.set(item.name, { ...this.#labels.get(item.name), ...item });
        break;
      case 'task':
        this.#addTask(item);
        break;
      case 'comment':
        this.#addComment(item);
        break;
      case 'leftOut':
        this.#leftOut[item.what]++;
        break;
      case 'fault':
        this.#faults.add(item.message);
    }
  }

  #addTask({ at, key, alias, number, exportedId, parentKey, relations = {}, ...item }: TaskItem): void {
    const { creator, labels = [], sortOrder } = item;
    const same = this.#tasks.get(key) ?? this.#exportedTask(exportedId);
    if (same !== undefined) {
      this.#faults.add(`${at}: expected each task once, got that of ${same.at} again`);
      return;
    }
    // Without undefined members: there may be hundreds of thousands.
    const optional = { ...(number && { number }), ...(exportedId && { exportedId }), ...(parentKey && { parentKey }) };
    this.#tasks.set(key, { at, key, ...optional, ...compact(relations) });
    if (sortOrder !== undefined) this.#hasSortKeys = true;
    if (sortOrder) this.#lastKeyNumber = Math.max(this.#lastKeyNumber, numberBefore(sortOrder));
    if (alias !== undefined) this.#aliases.set(alias, key);
    if (creator) this.#addPerson(creator);
    for (const assignee of item.assignees ?? (item.assignee ? [item.assignee] : [])) {
      this.#addPerson(assignee);
      this.#assignees.add(assignee.handle);
    }
    if (startsLate(item)) this.#faults.add(`${at}: startDate: ${LATE_START}`);
    for (const name of labels) if (!this.#labels.has(name)) this.#labels.set(name, { kind: 'label', name });
  }

  /** The task that has this id in the file, whatever its key. */
  #exportedTask(id: TaskItem['exportedId']): TaskEntry | undefined {
    const task = id && this.#tasks.get(this.keyOf(id));
    return task && task.exportedId === id ? task : undefined;
  }

  #addComment({ author }: CommentItem): void {
    this.#comments++;
    if ('handle' in author) this.#addPerson(author);
    else this.#unknownAccounts.add(author.account);
  }

  /** The first name of a handle counts, unless it is the handle itself. */
  #addPerson({ handle, name }: Person): void {
    const known = this.#people.get(handle);
    if (known === undefined || known === handle) this.#people.set(handle, name);
  }

  #checkRelations(): void {
    for (const { key, at, relations } of this.#tasks.values()) {
      for (const type of taskRelationType.enumValues) {
        const isSelf = relations?.[type]?.some((name) => this.keyOf(name) === key);
        if (isSelf) this.#faults.add(`${at}: ${RELATION_FIELDS[type]}: expected another task`);
      }
    }
  }

  #findCycles(): void {
    const parentOf = ({ parentKey }: TaskEntry) => (parentKey ? [parentKey] : []);
    for (const { first } of this.#cycles(parentOf)) {
      this.#faults.add(`${first.at}: parent: expected a task that is not one of its own subtasks`);
    }
    for (const type of ['BLOCKS', 'DUPLICATE_OF'] as const) {
      for (const { first, last } of this.#cycles(({ relations }) => relations?.[type] ?? [])) {
        if (first !== last) this.#faults.add(cycleFault({ at: last.at, type, related: first.at }));
      }
    }
  }

  /** @param namesOf the names of the tasks that a task leads to; those that are not in the file are left out */
  #cycles(namesOf: (task: TaskEntry) => readonly string[]) {
    return cyclesOf(this.#tasks.values(), (task) =>
      namesOf(task).flatMap((name) => this.#tasks.get(this.keyOf(name)) ?? []),
    );
  }
}

/** @param related says where the other task is, or its name */
export function cycleFault({ at, type, related }: { at: string; type: StoredRelationType; related: string }): string {
  const field = `${at}: ${RELATION_FIELDS[type]}`;
  const other = `a task that ${type === 'BLOCKS' ? 'does not block this one' : 'is not a duplicate of this one'}`;
  return `${field}: expected ${other}, directly or through others, got ${related}`;
}

/** Most tasks have no relations, and share the object that says so. Undefined if the file does not hold relations. */
function compact(relations: GivenRelations): Pick<TaskEntry, 'relations'> | undefined {
  if (Object.keys(relations).length === 0) return undefined;
  const isNone = taskRelationType.enumValues.every((type) => relations[type]?.length === 0);
  return { relations: isNone ? NO_RELATIONS : relations };
}

const NO_RELATIONS: GivenRelations = { BLOCKS: [], RELATES_TO: [], DUPLICATE_OF: [] };

/** Of an account that the file does not name. */
function handleOfAccount(id: string): string {
  return handleFrom(id, MAX_HANDLE_CHARS) || 'ghost';
}
