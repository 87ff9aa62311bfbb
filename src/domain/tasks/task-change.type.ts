/** GraphQL types of task changes. */
import { GraphQLDateTime } from 'graphql-scalars';
import { Field, ID, Int, ObjectType, registerEnumType } from 'type-graphql';
import type { TaskId, UserId } from '../../db/ids.js';

export enum TaskChangeType {
  CREATED = 'CREATED',
  UPDATED = 'UPDATED',
  DELETED = 'DELETED',
}
registerEnumType(TaskChangeType, {
  name: 'TaskChangeType',
  description: 'Kind of a task change, relative to the projects the subscriber can see.',
  valuesConfig: {
    CREATED: { description: 'The task was created, or was moved in from a project outside the subscription.' },
    UPDATED: { description: 'Fields, labels or comments of the task changed.' },
    DELETED: { description: 'The task was deleted, or was moved to a project outside the subscription.' },
  },
});

@ObjectType({
  description: 'The change one transaction made to one task. Sent after the transaction commits.',
  simpleResolvers: true,
})
export class TaskChange {
  @Field(() => TaskChangeType, { description: 'Whether the task was created, updated or deleted.' })
  type: TaskChangeType;

  @Field(() => ID, { description: 'Id of the task that changed.' })
  taskId: TaskId;

  @Field(() => Int, { description: 'Version of the task after this change.' })
  version: number;

  @Field(() => GraphQLDateTime, { description: 'When the transaction began, by the clock of the database.' })
  at: string;

  @Field(() => [String], {
    description:
      'Names of the Task fields that an update changed, sorted; `labels` if labels were added or removed, ' +
      '`comments` if comments were added, edited or deleted, or `blocks` and the other fields of relations: both ' +
      'leave the version of the task as it is. ' +
      '`version` and `updatedAt` are not listed. Empty unless the type is UPDATED.',
  })
  changedFields: string[];

  /** Null if unknown. */
  actorId: UserId | null;
}
