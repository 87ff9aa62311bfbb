/**
 * GraphQL types of history: an entry, and its changes by kind. Names of fields differ between the types of changes, so
 * that one query can select all without aliases.
 */
import { GraphQLDate, GraphQLDateTime } from 'graphql-scalars';
import { Field, ID, Int, InterfaceType, ObjectType, registerEnumType } from 'type-graphql';
import type { HistoryId } from '../../db/ids.js';
import { uncountedConnectionTypes } from '../../graphql/page.js';
import { ProjectRoleType } from '../projects/project.type.js';
import { TaskPriorityType, TaskStatusType } from '../tasks/task.type.js';
import { type ChangeDetails, type ChangeValue, HistoryChangeKind, HistoryRelation } from './history.change.js';

registerEnumType(HistoryChangeKind, {
  name: 'HistoryChangeKind',
  description: 'What changed. New kinds may be added.',
  valuesConfig: {
    CREATED: { description: 'The task was created, with its first labels and comments.' },
    RESTORED: { description: 'The task was restored from the trash.' },
    DELETED: { description: 'The task was deleted: moved into the trash.' },
    TITLE: { description: 'The title of the task changed.' },
    DESCRIPTION: { description: 'The description of the task changed.' },
    STATUS: { description: 'The status of the task changed.' },
    PRIORITY: { description: 'The priority of the task changed.' },
    ASSIGNEE: { description: 'The task was assigned or unassigned. Before and after it had at most one assignee.' },
    ASSIGNEES: { description: 'The assignees of the task changed. Before or after it had several.' },
    PARENT: { description: 'The parent of the task changed.' },
    DUE_DATE: { description: 'The due date of the task changed.' },
    START_DATE: { description: 'The start date of the task changed.' },
    ESTIMATE: { description: 'The estimate of the task changed.' },
    PROJECT: { description: 'The task was moved to another project.' },
    LABEL_ADDED: { description: 'A label was added to the task.' },
    LABEL_REMOVED: { description: 'A label was removed from the task. Not recorded when the label itself is deleted.' },
    RELATION_ADDED: { description: 'A relation to another task was added.' },
    RELATION_REMOVED: {
      description: 'A relation to another task was removed. Not recorded when the other task is deleted.',
    },
    COMMENT_ADDED: { description: 'A comment was added to the task.' },
    COMMENT_EDITED: { description: 'The text of a comment on the task changed.' },
    COMMENT_DELETED: { description: 'A comment on the task was deleted.' },
    PROJECT_CREATED: { description: 'The project was created.' },
    PROJECT_NAME: { description: 'The name of the project changed.' },
    PROJECT_DESCRIPTION: { description: 'The description of the project changed.' },
    PROJECT_ARCHIVED: { description: 'The project was archived.' },
    PROJECT_REOPENED: { description: 'The project is no longer archived.' },
    PROJECT_DELETED: { description: 'The project was deleted: moved into the trash.' },
    PROJECT_RESTORED: { description: 'The project was restored from the trash.' },
    MEMBER_ADDED: { description: 'A member was added to the project.' },
    MEMBER_REMOVED: { description: 'A member left the project or was removed from it.' },
    MEMBER_ROLE: { description: 'The role of a member changed.' },
    LABEL_CREATED: { description: 'A label of the project was created.' },
    LABEL_RENAMED: { description: 'The name of a label changed.' },
    LABEL_EDITED: { description: 'The color or description of a label changed.' },
    LABEL_DELETED: { description: 'A label of the project was deleted. It was removed from all tasks.' },
  },
});

registerEnumType(HistoryRelation, {
  name: 'HistoryRelation',
  description: 'What a task was to the related task.',
  valuesConfig: {
    BLOCKS: { description: 'The task blocked the related task.' },
    BLOCKED_BY: { description: 'The related task blocked the task.' },
    RELATES_TO: { description: 'The tasks had something in common.' },
    DUPLICATE_OF: { description: 'The task was a duplicate of the related task.' },
    DUPLICATED_BY: { description: 'The related task was a duplicate of the task.' },
  },
});

/** Kinds that are not listed have no details. */
const TYPES: { readonly [K in HistoryChangeKind]?: string } = {
  DELETED: 'HistoryDeletion',
  TITLE: 'HistoryTextChange',
  PROJECT_NAME: 'HistoryTextChange',
  STATUS: 'HistoryStatusChange',
  PRIORITY: 'HistoryPriorityChange',
  DUE_DATE: 'HistoryDueDateChange',
  START_DATE: 'HistoryStartDateChange',
  ESTIMATE: 'HistoryEstimateChange',
  ASSIGNEE: 'HistoryAssigneeChange',
  ASSIGNEES: 'HistoryAssigneesChange',
  PARENT: 'HistoryParentChange',
  PROJECT: 'HistoryProjectChange',
  LABEL_ADDED: 'HistoryLabelChange',
  LABEL_REMOVED: 'HistoryLabelChange',
  LABEL_CREATED: 'HistoryLabelChange',
  LABEL_RENAMED: 'HistoryLabelChange',
  LABEL_EDITED: 'HistoryLabelChange',
  LABEL_DELETED: 'HistoryLabelChange',
  RELATION_ADDED: 'HistoryRelationChange',
  RELATION_REMOVED: 'HistoryRelationChange',
  COMMENT_ADDED: 'HistoryCommentChange',
  COMMENT_EDITED: 'HistoryCommentChange',
  COMMENT_DELETED: 'HistoryCommentChange',
  MEMBER_ADDED: 'HistoryMemberChange',
  MEMBER_REMOVED: 'HistoryMemberChange',
  MEMBER_ROLE: 'HistoryMemberChange',
};

@InterfaceType({
  description: 'One change of a task or project. Its type depends on its kind.',
  resolveType: ({ kind }: ChangeValue) => TYPES[kind] ?? 'HistorySimpleChange',
})
export abstract class HistoryChange {
  @Field(() => HistoryChangeKind, { description: 'What changed.' })
  kind: HistoryChangeKind;
}

type Value<K extends keyof ChangeDetails> = NonNullable<ChangeDetails[K]>;

@ObjectType({
  implements: HistoryChange,
  description: 'A change that its kind describes completely, such as CREATED or DESCRIPTION.',
  simpleResolvers: true,
})
export class HistorySimpleChange extends HistoryChange {}

@ObjectType({ implements: HistoryChange, description: 'A task was deleted.', simpleResolvers: true })
export class HistoryDeletion extends HistoryChange {
  @Field(() => String, { description: 'Identifier of the task when it was deleted, for example OPS-42.' })
  identifier: Value<'identifier'>;

  @Field(() => String, { description: 'Title of the task when it was deleted.' })
  title: Value<'title'>;
}

@ObjectType({
  implements: HistoryChange,
  description: 'The title of a task or the name of a project changed.',
  simpleResolvers: true,
})
export class HistoryTextChange extends HistoryChange {
  @Field(() => String, { description: 'The text before.' })
  fromText: Value<'fromText'>;

  @Field(() => String, { description: 'The text after.' })
  toText: Value<'toText'>;
}

@ObjectType({ implements: HistoryChange, description: 'The status of a task changed.', simpleResolvers: true })
export class HistoryStatusChange extends HistoryChange {
  @Field(() => TaskStatusType, { description: 'The status before.' })
  fromStatus: Value<'fromStatus'>;

  @Field(() => TaskStatusType, { description: 'The status after.' })
  toStatus: Value<'toStatus'>;
}

@ObjectType({ implements: HistoryChange, description: 'The priority of a task changed.', simpleResolvers: true })
export class HistoryPriorityChange extends HistoryChange {
  @Field(() => TaskPriorityType, { description: 'The priority before.' })
  fromPriority: Value<'fromPriority'>;

  @Field(() => TaskPriorityType, { description: 'The priority after.' })
  toPriority: Value<'toPriority'>;
}

@ObjectType({ implements: HistoryChange, description: 'The due date of a task changed.', simpleResolvers: true })
export class HistoryDueDateChange extends HistoryChange {
  @Field(() => GraphQLDate, { nullable: true, description: 'The due date before. Null if there was none.' })
  fromDueDate: string | null;

  @Field(() => GraphQLDate, { nullable: true, description: 'The due date after. Null if it was cleared.' })
  toDueDate: string | null;
}

@ObjectType({ implements: HistoryChange, description: 'The start date of a task changed.', simpleResolvers: true })
export class HistoryStartDateChange extends HistoryChange {
  @Field(() => GraphQLDate, { nullable: true, description: 'The start date before. Null if there was none.' })
  fromStartDate: string | null;

  @Field(() => GraphQLDate, { nullable: true, description: 'The start date after. Null if it was cleared.' })
  toStartDate: string | null;
}

@ObjectType({ implements: HistoryChange, description: 'The estimate of a task changed.', simpleResolvers: true })
export class HistoryEstimateChange extends HistoryChange {
  @Field(() => Int, { nullable: true, description: 'The estimate before, in points. Null if there was none.' })
  fromEstimate: number | null;

  @Field(() => Int, { nullable: true, description: 'The estimate after, in points. Null if it was cleared.' })
  toEstimate: number | null;
}

@ObjectType({ implements: HistoryChange, description: 'A task was assigned or unassigned.', simpleResolvers: true })
export class HistoryAssigneeChange extends HistoryChange {}

@ObjectType({
  implements: HistoryChange,
  description: 'The assignees of a task changed, and it has or had more than one.',
  simpleResolvers: true,
})
export class HistoryAssigneesChange extends HistoryChange {}

@ObjectType({ implements: HistoryChange, description: 'The parent of a task changed.', simpleResolvers: true })
export class HistoryParentChange extends HistoryChange {}

@ObjectType({ implements: HistoryChange, description: 'A task moved to another project.', simpleResolvers: true })
export class HistoryProjectChange extends HistoryChange {}

@ObjectType({
  implements: HistoryChange,
  description: 'A label was added to a task or removed from it, or a label of the project changed.',
  simpleResolvers: true,
})
export class HistoryLabelChange extends HistoryChange {
  @Field(() => String, { description: 'Name of the label after the change.' })
  labelName: Value<'labelName'>;

  @Field(() => String, {
    nullable: true,
    description: 'Name of the label before LABEL_RENAMED or LABEL_EDITED; otherwise null.',
  })
  previousLabelName: string | null;
}

@ObjectType({
  implements: HistoryChange,
  description: 'A relation to another task was added or removed. Left out if the viewer cannot see its project.',
  simpleResolvers: true,
})
export class HistoryRelationChange extends HistoryChange {
  @Field(() => HistoryRelation, { description: 'What the task was to the related task.' })
  relation: Value<'relation'>;
}

@ObjectType({
  implements: HistoryChange,
  description: 'A comment on a task was added, edited or deleted.',
  simpleResolvers: true,
})
export class HistoryCommentChange extends HistoryChange {}

@ObjectType({
  implements: HistoryChange,
  description: 'A member of the project was added or removed, or got another role.',
  simpleResolvers: true,
})
export class HistoryMemberChange extends HistoryChange {
  @Field(() => ProjectRoleType, { nullable: true, description: 'The role before. Null if the member was added.' })
  fromRole: ChangeDetails['fromRole'];

  @Field(() => ProjectRoleType, { nullable: true, description: 'The role after. Null if the member was removed.' })
  toRole: ChangeDetails['toRole'];
}

@ObjectType({
  description:
    'What one transaction changed on a task, or on a project. Kept until the task or project is purged, unless ' +
    'the server limits the age of history.',
  simpleResolvers: true,
})
export class HistoryEntry {
  @Field(() => ID, { description: 'Id of the entry. Query.node does not find it.' })
  id: HistoryId;

  @Field(() => GraphQLDateTime, { description: 'When the transaction began, by the clock of the database.' })
  at: string;
}

export const { Edge: HistoryEntryEdge, Connection: HistoryEntryConnection } = uncountedConnectionTypes(
  'HistoryEntry',
  () => HistoryEntry,
);
