/**
 * The first reading of a file: finds every fault, and gathers what must be known before the first row is written. It
 * keeps keys, names and numbers, no texts; the second reading writes what it meets.
 */
import { LATE_START, startsLate } from '../tasks/task.dates.js';
import { handleFrom } from '../users/handle.js';
import { MAX_HANDLE_CHARS } from '../users/user.table.js';
import { Faults, ImportError } from './import-error.js';
import type { CommentItem, ImportFile, Item, LabelItem, Person, ProjectItem, TaskItem } from './items.js';

export interface TaskEntry extends Pick<TaskItem, 'key' | 'number' | 'exportedId' | 'parentKey'> {
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
  #leftOut = { assignees: 0, comments: 0 };

  private constructor(readonly file: ImportFile) {}

  /** @throws ImportError that lists the faults */
  static async check(file: ImportFile): Promise<CheckedFile> {
    const checked = new CheckedFile(file);
    for await (const item of file.items()) checked.#add(item);
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

  #addTask({ at, key, alias, number, exportedId, parentKey, creator, labels = [], ...item }: TaskItem): void {
    const same = this.#tasks.get(key);
    if (same !== undefined) {
      this.#faults.add(`${at}: expected each task once, got that of ${same.at} again`);
      return;
    }
    // Without undefined members: there may be hundreds of thousands.
    const optional = { ...(number && { number }), ...(exportedId && { exportedId }), ...(parentKey && { parentKey }) };
    this.#tasks.set(key, { at, key, ...optional });
    if (alias !== undefined) this.#aliases.set(alias, key);
    if (creator) this.#addPerson(creator);
    for (const assignee of item.assignees ?? (item.assignee ? [item.assignee] : [])) {
      this.#addPerson(assignee);
      this.#assignees.add(assignee.handle);
    }
    if (startsLate(item)) this.#faults.add(`${at}: startDate: ${LATE_START}`);
    for (const name of labels) if (!this.#labels.has(name)) this.#labels.set(name, { kind: 'label', name });
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

  /** Each task is visited once: a chain of parents ends at a task that an earlier chain has passed. */
  #findCycles(): void {
    const passed = new Map<string, string>();
    for (const start of this.#tasks.keys()) {
      for (let key: string | undefined = start; key !== undefined && this.#tasks.has(key); ) {
        const before = passed.get(key);
        if (before === start) this.#addCycle(key);
        if (before !== undefined) break;
        passed.set(key, start);
        const parent: string | null | undefined = this.#tasks.get(key)?.parentKey;
        key = parent ? this.keyOf(parent) : undefined;
      }
    }
  }

  #addCycle(key: string): void {
    this.#faults.add(`${this.#tasks.get(key)?.at}: parent: expected a task that is not one of its own subtasks`);
  }
}

/** Of an account that the file does not name. */
function handleOfAccount(id: string): string {
  return handleFrom(id, MAX_HANDLE_CHARS) || 'ghost';
}
