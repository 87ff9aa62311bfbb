/** GraphQL types of relations between tasks. */
import { Field, ID, InputType, ObjectType, registerEnumType } from 'type-graphql';
import type { TaskId } from '../../db/ids.js';
import { UserError } from '../../graphql/user-error.js';
import type { TaskRow } from './task.table.js';
import { Task } from './task.type.js';
import { MAX_RELATIONS } from './task-relation.table.js';

export enum TaskRelationType {
  BLOCKS = 'BLOCKS',
  BLOCKED_BY = 'BLOCKED_BY',
  RELATES_TO = 'RELATES_TO',
  DUPLICATE_OF = 'DUPLICATE_OF',
}
registerEnumType(TaskRelationType, {
  name: 'TaskRelationType',
  description: 'How a task is related to another one.',
  valuesConfig: {
    BLOCKS: { description: 'The related task cannot be done before the task.' },
    BLOCKED_BY: { description: 'The task cannot be done before the related task.' },
    RELATES_TO: { description: 'The tasks have something in common. The relation has no direction.' },
    DUPLICATE_OF: { description: 'The task describes the same work as the related task.' },
  },
});

@InputType()
abstract class TaskRelationInput {
  @Field(() => ID, { description: 'Id of the task.' })
  taskId: TaskId;

  @Field(() => TaskRelationType, { description: 'How the task is related to the other one.' })
  type: TaskRelationType;

  @Field(() => ID, { description: 'Id of the related task, in any project.' })
  relatedTaskId: TaskId;
}

@InputType({
  description: `Input for the mutation addTaskRelation. A task can have ${MAX_RELATIONS} relations of each kind.`,
})
export class AddTaskRelationInput extends TaskRelationInput {}

@InputType({ description: 'Input for the mutation removeTaskRelation.' })
export class RemoveTaskRelationInput extends TaskRelationInput {}

@ObjectType({ description: 'Result of a mutation of a relation between two tasks.', simpleResolvers: true })
export class TaskRelationPayload {
  @Field(() => Task, {
    nullable: true,
    description: 'The task after the mutation. Null if there are errors or the viewer cannot write in its project.',
  })
  task?: TaskRow | null;

  @Field(() => Task, {
    nullable: true,
    description: 'The related task. Null if there are errors or the viewer cannot write in its project.',
  })
  relatedTask?: TaskRow | null;

  @Field(() => [UserError], { description: 'Why the mutation was refused. Empty if it succeeded.' })
  errors: UserError[];
}
