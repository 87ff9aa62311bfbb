/** What a subscription tells of a task. */
import { GraphQLDateTime } from 'graphql-scalars';
import { Field, ID, Int, ObjectType, registerEnumType } from 'type-graphql';
import type { TaskId } from '../../db/ids.js';

export enum TaskChangeType {
  CREATED = 'CREATED',
  UPDATED = 'UPDATED',
  DELETED = 'DELETED',
}
registerEnumType(TaskChangeType, {
  name: 'TaskChangeType',
  description: 'What happened to a task, as whoever subscribed sees it.',
  valuesConfig: {
    CREATED: { description: 'It is new, or came from a project that is not subscribed to.' },
    UPDATED: { description: 'It is not as it was.' },
    DELETED: { description: 'It is gone, or went to a project that is not subscribed to.' },
  },
});

@ObjectType({ description: 'What one transaction did to one task, told after its commit.', simpleResolvers: true })
export class TaskChange {
  @Field(() => TaskChangeType, { description: 'What happened.' })
  type: TaskChangeType;

  @Field(() => ID, { description: 'The task it happened to.' })
  taskId: TaskId;

  @Field(() => Int, { description: "The task's version then." })
  version: number;

  @Field(() => GraphQLDateTime, { description: 'When the transaction began, by the clock of the database.' })
  at: string;

  @Field(() => [String], {
    description:
      'Of an update: the fields of Task that changed, sorted; `labels` for what it bears. Without `version` and `updatedAt`.',
  })
  changedFields: string[];
}
