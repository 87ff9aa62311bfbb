/** What a file holds, whatever its format: a sequence of items that the import checks and then writes. */
import type { CommentId, TaskId } from '../../db/ids.js';
import type { TaskPriority, TaskStatus } from '../tasks/task.table.js';
import type { StoredRelationType } from '../tasks/task-relation.table.js';

export interface ImportFile {
  /** Reads the file from its beginning, each time it is called. */
  items(): AsyncIterable<Item> | Iterable<Item>;
}

export type Item = ProjectItem | UserItem | AccountItem | LabelItem | TaskItem | CommentItem | LeftOutItem | FaultItem;

/** The project that the file names. The first one counts. */
export interface ProjectItem {
  readonly kind: 'project';
  /** May be no valid key. */
  readonly key: string;
  readonly name: string;
  readonly description?: string | null;
}

export interface Person {
  readonly handle: string;
  /** Given to the user if it is created. */
  readonly name: string;
}

export interface UserItem extends Person {
  readonly kind: 'user';
}

/** A person by the id of an account, which other items may name instead. */
export interface AccountItem {
  readonly kind: 'account';
  readonly id: string;
  readonly person: Person;
}

export interface LabelItem {
  readonly kind: 'label';
  readonly name: string;
  /** Absent: an existing label keeps its color, a new one is gray. */
  readonly color?: string;
  /** Absent: an existing label keeps its description. */
  readonly description?: string | null;
}

/** OPEN and CLOSED leave a status that already agrees with them as it is. */
export type GivenStatus = TaskStatus | 'OPEN' | 'CLOSED';

/**
 * Keys or aliases of related tasks, by what the task is to them. The relations of a type that is absent stay. A task
 * has at most one that it is a DUPLICATE_OF. For RELATES_TO it suffices that one of two tasks names the other.
 */
export type GivenRelations = { readonly [type in StoredRelationType]?: readonly string[] };

/** The fields of files that hold relations. */
export const RELATION_FIELDS = {
  BLOCKS: 'blocks',
  RELATES_TO: 'relatesTo',
  DUPLICATE_OF: 'duplicateOf',
} as const satisfies Record<StoredRelationType, string>;

/** A task. What is absent stays as it is in an existing task, and has its default in a new one. */
export interface TaskItem {
  readonly kind: 'task';
  /** For messages: `line 12 (PAY-1)`. */
  readonly at: string;
  /** Identifies the task: importing the key again updates the task. */
  readonly key: string;
  /** Another name by which `parentKey` of other tasks may name this one. */
  readonly alias?: string;
  /** The id of the task that was exported. A task of the project with this id is updated, whatever its key. */
  readonly exportedId?: TaskId;
  /** Becomes the task's number if it is above every number the project has used. */
  readonly number?: number;
  readonly title: string;
  readonly description?: string | null;
  readonly status?: GivenStatus;
  readonly priority?: TaskPriority;
  readonly dueDate?: string | null;
  readonly startDate?: string | null;
  readonly estimate?: number | null;
  /** The first assignee. Others that an existing task has stay. */
  readonly assignee?: Person | null;
  /** All assignees, in place of `assignee`. */
  readonly assignees?: readonly Person[];
  /** Default: the owner of the import. */
  readonly creator?: Person;
  readonly labels?: readonly string[];
  /** Key or alias of another task. */
  readonly parentKey?: string | null;
  /** Key in the manual order. Null: the number of the task decides its place. */
  readonly sortOrder?: string | null;
  readonly relations?: GivenRelations;
  readonly createdAt?: string;
  readonly updatedAt?: string;
  readonly completedAt?: string | null;
}

/** A comment. Its task comes before it. */
export interface CommentItem {
  readonly kind: 'comment';
  readonly taskKey: string;
  /** Identifies the comment within its task. */
  readonly sourceKey: string;
  readonly exportedId?: CommentId;
  readonly author: Person | { readonly account: string };
  readonly body: string;
  readonly createdAt: string;
  readonly updatedAt: string;
  /** Becomes `updatedAt` if the body of an existing comment changes. */
  readonly editedAt: string;
}

/** Something that the tasks of the API have no room for. */
export interface LeftOutItem {
  readonly kind: 'leftOut';
  readonly what: 'assignees' | 'comments';
}

export interface FaultItem {
  readonly kind: 'fault';
  /** Says where, which field, what was expected and what was found. */
  readonly message: string;
}
