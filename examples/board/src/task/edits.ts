/**
 * Optimistic changes of tasks. Answers are never edited: what was changed here is laid over them until an answer has
 * it, which the task's version says. A change that is refused is taken back, and a conflict is offered for a decision.
 */
import type { Client } from 'urql';
import { UpdateTask } from '../api/operations.js';
import type { TaskCardFragment, TaskDetailsFragment, UpdateTaskInput } from '../gql/graphql.js';

/** The fields that can be changed here. */
export type Change = Partial<Pick<TaskDetailsFragment, 'title' | 'description' | 'status' | 'priority' | 'assignee'>>;
export type Field = keyof Change;

export interface Edit {
  /** The task as it was shown when it was changed. */
  readonly base: TaskCardFragment;
  readonly change: Change;
  /** The version of the task that has the change. Absent until the server has answered. */
  readonly savedAs?: number;
}

/** Others have changed the same fields since. */
export interface Conflict extends Edit {
  readonly theirs: TaskDetailsFragment;
  readonly fields: readonly Field[];
}

export interface Failure extends Edit {
  readonly message: string;
}

export interface EditState {
  readonly edits: readonly Edit[];
  readonly conflicts: readonly Conflict[];
  readonly failure?: Failure | undefined;
}

/** An edit is of no use once an answer has it: the oldest are forgotten. */
const MAX_EDITS = 100;

export class TaskEdits {
  readonly #client: Client;
  readonly #listeners = new Set<() => void>();
  /** For each task its last change: one begins when the one before has ended, with the version that it left. */
  readonly #turns = new Map<string, Promise<number>>();
  state: EditState = { edits: [], conflicts: [] };

  constructor(client: Client) {
    this.#client = client;
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** Shows the change at once, and saves it. */
  async change(base: TaskCardFragment, change: Change): Promise<void> {
    const edit: Edit = { base, change };
    this.#set({ edits: [...this.state.edits.slice(1 - MAX_EDITS), edit], failure: undefined });
    const before = this.#turns.get(base.id) ?? Promise.resolve(0);
    const turn = before.then((version) => this.#save(edit, Math.max(base.version, version)));
    this.#turns.set(base.id, turn);
    await turn;
    if (this.#turns.get(base.id) === turn) this.#turns.delete(base.id);
  }

  resolve(conflict: Conflict, choice: 'theirs' | 'mine'): void {
    this.#set({ conflicts: this.state.conflicts.filter((other) => other !== conflict) });
    if (choice === 'mine') void this.change(conflict.theirs, conflict.change);
  }

  dismissFailure(): void {
    this.#set({ failure: undefined });
  }

  /** @returns the version that this edit left, or 0 if it left none that the next edit has seen */
  async #save(edit: Edit, expectedVersion: number): Promise<number> {
    const input = { id: edit.base.id, expectedVersion, ...inputOf(edit.change) };
    const { data, error } = await this.#client.mutation(UpdateTask, { input }).toPromise();
    const { task, errors: [refusal] = [] } = data?.updateTask ?? {};
    if (task) {
      this.#replace(edit, { ...edit, savedAs: task.version });
      return task.version;
    }
    if (refusal?.__typename === 'ConflictError' && refusal.task) await this.#conflict(edit, refusal.task);
    else this.#fail(edit, refusal?.message ?? error?.message ?? 'no answer');
    return 0;
  }

  async #conflict(edit: Edit, theirs: TaskDetailsFragment): Promise<void> {
    const fields = changedByBoth(edit, theirs);
    if (fields.length === 0) {
      await this.#save(edit, theirs.version); // they changed something else: both changes are kept
      return;
    }
    this.#replace(edit);
    this.#set({ conflicts: [...this.state.conflicts, { ...edit, theirs, fields }] });
  }

  #fail(edit: Edit, message: string): void {
    this.#replace(edit);
    this.#set({ failure: { ...edit, message } });
  }

  /** @param by absent: the edit is taken back */
  #replace(edit: Edit, by?: Edit): void {
    this.#set({ edits: this.state.edits.flatMap((other) => (other !== edit ? other : (by ?? []))) });
  }

  #set(changed: Partial<EditState>): void {
    this.state = { ...this.state, ...changed };
    for (const listener of this.#listeners) listener();
  }
}

/** The task of an answer under the changes that the answer does not have yet. */
export function withEdits<T extends TaskCardFragment>(task: T, edits: readonly Edit[]): T {
  const missing = edits.filter(
    ({ base, savedAs }) => base.id === task.id && (savedAs === undefined || task.version < savedAs),
  );
  return missing.length === 0 ? task : Object.assign({}, task, ...missing.map(({ change }) => change));
}

function changedByBoth({ base, change }: Edit, theirs: TaskDetailsFragment): Field[] {
  const before: Change = base; // a card has no description: without it, theirs counts as changed
  return (Object.keys(change) as Field[]).filter(
    (field) => !same(theirs[field], before[field]) && !same(theirs[field], change[field]),
  );
}

function same(a: Change[Field], b: Change[Field]): boolean {
  return a === b || (typeof a === 'object' && typeof b === 'object' && a?.id === b?.id);
}

function inputOf({ assignee, ...fields }: Change): Omit<UpdateTaskInput, 'id'> {
  return { ...fields, ...(assignee !== undefined && { assigneeId: assignee?.id ?? null }) };
}
