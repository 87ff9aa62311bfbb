/** Task as GraphQL shows it, statistics of tasks, and what their mutations give. */
import { GraphQLDate, GraphQLDateTime } from 'graphql-scalars';
import { Field, ID, Int, ObjectType, registerEnumType } from 'type-graphql';
import { COSTS } from '../../graphql/limits.js';
import { Node } from '../../graphql/node.js';
import { connectionTypes } from '../../graphql/page.js';
import { UserError } from '../../graphql/user-error.js';
import { type TaskRow, taskPriority, taskStatus } from './task.table.js';

export const TaskStatusType = Object.fromEntries(taskStatus.enumValues.map((value) => [value, value]));
registerEnumType(TaskStatusType, {
  name: 'TaskStatus',
  description: 'How far a task has come.',
  valuesConfig: {
    BACKLOG: { description: 'Noted, not planned.' },
    TODO: { description: 'Planned.' },
    IN_PROGRESS: { description: 'Being worked on.' },
    IN_REVIEW: { description: 'Done, as its assignee sees it.' },
    DONE: { description: 'Done; has completedAt.' },
    CANCELED: { description: 'Will not be done.' },
  },
});

export const TaskPriorityType = Object.fromEntries(taskPriority.enumValues.map((value) => [value, value]));
registerEnumType(TaskPriorityType, {
  name: 'TaskPriority',
  description: 'How soon a task should be done, in rising order.',
  valuesConfig: {
    NONE: { description: 'Not said.' },
    LOW: { description: 'When there is time.' },
    MEDIUM: { description: 'In its turn.' },
    HIGH: { description: 'Before the others.' },
    URGENT: { description: 'Now.' },
  },
});

/** Its root value is a row of `tasks`; what is not a column is resolved in task.resolver.ts. */
@ObjectType({ implements: Node, description: 'Something to do.', simpleResolvers: true })
export class Task extends Node {
  declare id: TaskRow['id'];

  @Field(() => String, { description: 'One line, 1 to 500 characters.' })
  title: string;

  @Field(() => String, { nullable: true, description: 'Markdown.', complexity: COSTS.longTextField })
  description: string | null;

  @Field(() => TaskStatusType, { description: 'How far it has come.' })
  status: TaskRow['status'];

  @Field(() => TaskPriorityType, { description: 'How soon it should be done.' })
  priority: TaskRow['priority'];

  @Field(() => GraphQLDate, { nullable: true, description: 'The day by which it should be done.' })
  dueDate: string | null;

  @Field(() => Int, {
    description: 'Counts its updates; give it as `expectedVersion` to refuse to overwrite what you have not seen.',
  })
  version: number;

  @Field(() => GraphQLDateTime, { description: 'When it was created.' })
  createdAt: string;

  @Field(() => GraphQLDateTime, {
    description:
      'When the transaction of its last change began. A later value may become visible earlier: to learn what changed since, use Query.taskChangesSince.',
  })
  updatedAt: string;

  @Field(() => GraphQLDateTime, { nullable: true, description: 'When it was done; null unless its status is DONE.' })
  completedAt: string | null;
}

export const { Edge: TaskEdge, Connection: TaskConnection } = connectionTypes('Task', () => Task);

@ObjectType({ description: 'How many tasks have a status.', simpleResolvers: true })
export class TaskStatusCount {
  @Field(() => TaskStatusType, { description: 'The status.' })
  status: TaskRow['status'];

  @Field(() => Int, { description: 'How many have it.' })
  count: number;
}

@ObjectType({ description: 'How many tasks have a priority.', simpleResolvers: true })
export class TaskPriorityCount {
  @Field(() => TaskPriorityType, { description: 'The priority.' })
  priority: TaskRow['priority'];

  @Field(() => Int, { description: 'How many have it.' })
  count: number;
}

@ObjectType({
  description: "A project's tasks in numbers. At most a minute old where time itself counts.",
  simpleResolvers: true,
})
export class ProjectStats {
  @Field(() => Int, { description: 'How many tasks there are.' })
  total: number;

  @Field(() => [TaskStatusCount], { description: 'By status, in the order of statuses, those with tasks.' })
  byStatus: TaskStatusCount[];

  @Field(() => [TaskPriorityCount], { description: 'By priority, in rising order, those with tasks.' })
  byPriority: TaskPriorityCount[];

  @Field(() => Int, { description: 'How many are past their due date (in UTC) and neither done nor canceled.' })
  overdue: number;

  @Field(() => Int, { description: 'How many were done in the last 7 days.' })
  completedLast7Days: number;

  @Field(() => Number, {
    nullable: true,
    description: 'The median time from creation to completion, in hours; null when none is done.',
  })
  medianCycleTimeHours: number | null;
}

@ObjectType({
  implements: UserError,
  description: 'The object is not in the state that the input assumes.',
  simpleResolvers: true,
})
export class ConflictError extends UserError {
  @Field(() => Task, { nullable: true, description: 'The task as it is now.' })
  task: TaskRow | null;
}

@ObjectType({ description: 'What a mutation of one task did.', simpleResolvers: true })
export class TaskPayload {
  @Field(() => Task, { nullable: true, description: 'The task as it is now; null when there are errors.' })
  task?: TaskRow | null;

  @Field(() => TaskEdge, {
    nullable: true,
    description: 'The task at its place in lists without filter in the default order; null when there are errors.',
  })
  taskEdge?: InstanceType<typeof TaskEdge> | null;

  @Field(() => [UserError], { description: 'Why nothing was done; empty when it was.' })
  errors: UserError[];
}

@ObjectType({ description: 'What updateTasks did with one task.', simpleResolvers: true })
export class UpdateTasksResult {
  @Field(() => ID, { description: 'The id as it was given.' })
  id: TaskRow['id'];

  @Field(() => Task, { nullable: true, description: 'The task as it is now; null when there are errors.' })
  task?: TaskRow | null;

  @Field(() => [UserError], { description: 'Why nothing was done with this task; empty when it was.' })
  errors: UserError[];
}

@ObjectType({ description: 'What updateTasks did.', simpleResolvers: true })
export class UpdateTasksPayload {
  @Field(() => [UpdateTasksResult], { description: 'One for each id, in their order; none when there are errors.' })
  results: UpdateTasksResult[];

  @Field(() => [UserError], {
    description: 'Why nothing was done at all; empty when each id was looked at, whatever became of it.',
  })
  errors: UserError[];
}

@ObjectType({ description: 'What deleteTask did.', simpleResolvers: true })
export class DeleteTaskPayload {
  @Field(() => ID, { nullable: true, description: 'The id of the task that is gone; null when there are errors.' })
  deletedTaskId?: TaskRow['id'] | null;

  @Field(() => [UserError], { description: 'Why nothing was done; empty when it was.' })
  errors: UserError[];
}
