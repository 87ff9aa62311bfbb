/** The changes of an entry, as triggers write them and as the API returns them. */
import type { CommentId, LabelId, ProjectId, TaskId, UserId } from '../../db/ids.js';
import { fromUuid } from '../../db/ids.js';
import type { Role } from '../projects/project.table.js';
import type { TaskPriority, TaskStatus } from '../tasks/task.table.js';
import type { StoredChange } from './history.table.js';

export enum HistoryChangeKind {
  CREATED = 'CREATED',
  RESTORED = 'RESTORED',
  DELETED = 'DELETED',
  TITLE = 'TITLE',
  DESCRIPTION = 'DESCRIPTION',
  STATUS = 'STATUS',
  PRIORITY = 'PRIORITY',
  ASSIGNEE = 'ASSIGNEE',
  ASSIGNEES = 'ASSIGNEES',
  PARENT = 'PARENT',
  DUE_DATE = 'DUE_DATE',
  START_DATE = 'START_DATE',
  ESTIMATE = 'ESTIMATE',
  PROJECT = 'PROJECT',
  LABEL_ADDED = 'LABEL_ADDED',
  LABEL_REMOVED = 'LABEL_REMOVED',
  RELATION_ADDED = 'RELATION_ADDED',
  RELATION_REMOVED = 'RELATION_REMOVED',
  COMMENT_ADDED = 'COMMENT_ADDED',
  COMMENT_EDITED = 'COMMENT_EDITED',
  COMMENT_DELETED = 'COMMENT_DELETED',
  PROJECT_CREATED = 'PROJECT_CREATED',
  PROJECT_NAME = 'PROJECT_NAME',
  PROJECT_DESCRIPTION = 'PROJECT_DESCRIPTION',
  PROJECT_ARCHIVED = 'PROJECT_ARCHIVED',
  PROJECT_REOPENED = 'PROJECT_REOPENED',
  PROJECT_DELETED = 'PROJECT_DELETED',
  PROJECT_RESTORED = 'PROJECT_RESTORED',
  MEMBER_ADDED = 'MEMBER_ADDED',
  MEMBER_REMOVED = 'MEMBER_REMOVED',
  MEMBER_ROLE = 'MEMBER_ROLE',
  LABEL_CREATED = 'LABEL_CREATED',
  LABEL_RENAMED = 'LABEL_RENAMED',
  LABEL_EDITED = 'LABEL_EDITED',
  LABEL_DELETED = 'LABEL_DELETED',
}

/** What a task was to the related task. */
export enum HistoryRelation {
  BLOCKS = 'BLOCKS',
  BLOCKED_BY = 'BLOCKED_BY',
  RELATES_TO = 'RELATES_TO',
  DUPLICATE_OF = 'DUPLICATE_OF',
  DUPLICATED_BY = 'DUPLICATED_BY',
}

/** What a change says besides its kind. Each kind has some of these. */
export interface ChangeDetails {
  readonly identifier?: string;
  readonly title?: string;
  readonly fromText?: string;
  readonly toText?: string;
  readonly fromStatus?: TaskStatus;
  readonly toStatus?: TaskStatus;
  readonly fromPriority?: TaskPriority;
  readonly toPriority?: TaskPriority;
  readonly fromDueDate?: string | null;
  readonly toDueDate?: string | null;
  readonly fromStartDate?: string | null;
  readonly toStartDate?: string | null;
  readonly fromEstimate?: number | null;
  readonly toEstimate?: number | null;
  readonly fromAssigneeId?: UserId | null;
  readonly toAssigneeId?: UserId | null;
  readonly fromAssigneeIds?: readonly UserId[];
  readonly toAssigneeIds?: readonly UserId[];
  readonly fromParentId?: TaskId | null;
  readonly toParentId?: TaskId | null;
  readonly fromProjectId?: ProjectId;
  readonly toProjectId?: ProjectId;
  readonly labelId?: LabelId;
  readonly labelName?: string;
  readonly previousLabelName?: string;
  readonly relation?: HistoryRelation;
  readonly relatedTaskId?: TaskId;
  /** Of the related task when the change was made. */
  readonly relatedProjectId?: ProjectId;
  readonly commentId?: CommentId;
  readonly userId?: UserId;
  readonly fromRole?: Role | null;
  readonly toRole?: Role | null;
}

export interface ChangeValue extends ChangeDetails {
  readonly kind: HistoryChangeKind;
}

/** Undefined for a kind that only a newer build knows. */
export function readChange(stored: StoredChange): ChangeValue | undefined {
  const kind = HistoryChangeKind[stored.kind as HistoryChangeKind];
  return kind && { kind, ...(detailsOf(kind, stored) as ChangeDetails) };
}

/** The triggers write what these columns hold, so the types are theirs. */
function detailsOf(kind: HistoryChangeKind, stored: StoredChange): object {
  const { from = null, to = null } = stored;
  switch (kind) {
    case HistoryChangeKind.DELETED:
      return { identifier: stored['identifier'], title: stored['title'] };
    case HistoryChangeKind.TITLE:
    case HistoryChangeKind.PROJECT_NAME:
      return { fromText: from, toText: to };
    case HistoryChangeKind.STATUS:
      return { fromStatus: from, toStatus: to };
    case HistoryChangeKind.PRIORITY:
      return { fromPriority: from, toPriority: to };
    case HistoryChangeKind.DUE_DATE:
      return { fromDueDate: from, toDueDate: to };
    case HistoryChangeKind.START_DATE:
      return { fromStartDate: from, toStartDate: to };
    case HistoryChangeKind.ESTIMATE:
      return { fromEstimate: from, toEstimate: to };
    case HistoryChangeKind.ASSIGNEE:
      return { fromAssigneeId: idOf('user', from), toAssigneeId: idOf('user', to) };
    case HistoryChangeKind.ASSIGNEES:
      return { fromAssigneeIds: idsOf('user', from), toAssigneeIds: idsOf('user', to) };
    case HistoryChangeKind.PARENT:
      return { fromParentId: idOf('task', from), toParentId: idOf('task', to) };
    case HistoryChangeKind.PROJECT:
      return { fromProjectId: idOf('project', from), toProjectId: idOf('project', to) };
    case HistoryChangeKind.RELATION_ADDED:
    case HistoryChangeKind.RELATION_REMOVED:
      return {
        relation: stored['relation'],
        relatedTaskId: idOf('task', stored['task']),
        relatedProjectId: idOf('project', stored['project']),
      };
    case HistoryChangeKind.COMMENT_ADDED:
    case HistoryChangeKind.COMMENT_EDITED:
    case HistoryChangeKind.COMMENT_DELETED:
      return { commentId: idOf('comment', stored['comment']) };
    case HistoryChangeKind.MEMBER_ADDED:
    case HistoryChangeKind.MEMBER_REMOVED:
    case HistoryChangeKind.MEMBER_ROLE:
      return { userId: idOf('user', stored['user']), fromRole: from, toRole: to };
    case HistoryChangeKind.LABEL_ADDED:
    case HistoryChangeKind.LABEL_REMOVED:
    case HistoryChangeKind.LABEL_CREATED:
    case HistoryChangeKind.LABEL_RENAMED:
    case HistoryChangeKind.LABEL_EDITED:
    case HistoryChangeKind.LABEL_DELETED:
      return labelDetails(stored);
    default:
      return {};
  }
}

function labelDetails({ label, name, previousName = null }: StoredChange): object {
  return { labelId: idOf('label', label), labelName: name, previousLabelName: previousName };
}

function idOf(prefix: string, uuid: unknown): string | null {
  return typeof uuid === 'string' ? fromUuid(prefix, uuid) : null;
}

function idsOf(prefix: string, uuids: unknown): string[] {
  return Array.isArray(uuids) ? uuids.map((uuid) => fromUuid(prefix, uuid)) : [];
}
