/** GraphQL types of tasks and task statistics, and the results of task mutations. */
import { GraphQLDate, GraphQLDateTime } from 'graphql-scalars';
import { Field, ID, Int, ObjectType, registerEnumType } from 'type-graphql';
import { COSTS } from '../../graphql/limits.js';
import { Node } from '../../graphql/node.js';
import { connectionTypes } from '../../graphql/page.js';
import { UserError } from '../../graphql/user-error.js';
import { MAX_ESTIMATE, type TaskRow, taskPriority, taskStatus } from './task.table.js';

export const TaskStatusType = Object.fromEntries(taskStatus.enumValues.map((value) => [value, value]));
registerEnumType(TaskStatusType, {
  name: 'TaskStatus',
  description: 'Workflow status of a task.',
  valuesConfig: {
    BACKLOG: { description: 'Recorded but not planned yet.' },
    TODO: { description: 'Planned and ready to start.' },
    IN_PROGRESS: { description: 'Work is in progress.' },
    IN_REVIEW: { description: 'Work is finished and waits for review.' },
    DONE: { description: 'The task is done; `completedAt` is set.' },
    CANCELED: { description: 'The task will not be done.' },
  },
});

export const TaskPriorityType = Object.fromEntries(taskPriority.enumValues.map((value) => [value, value]));
registerEnumType(TaskPriorityType, {
  name: 'TaskPriority',
  description: 'Priority of a task, in rising order from NONE to URGENT.',
  valuesConfig: {
    NONE: { description: 'No priority is set.' },
    LOW: { description: 'Can wait until there is time.' },
    MEDIUM: { description: 'Normal priority, done in turn.' },
    HIGH: { description: 'Comes before tasks of normal priority.' },
    URGENT: { description: 'Needs to be done immediately.' },
  },
});

/** Resolves from a row of `tasks`; other fields are resolved in task.resolver.ts. */
@ObjectType({ implements: Node, description: 'A task: a piece of work in a project.', simpleResolvers: true })
export class Task extends Node {
  declare id: TaskRow['id'];

  @Field(() => Int, {
    description: 'Number of the task within its project: 42 in OPS-42. Changes when the task moves to another project.',
  })
  number: number;

  @Field(() => String, { description: 'Title, a single line of 1-500 characters.' })
  title: string;

  @Field(() => String, {
    nullable: true,
    description: 'Description in Markdown. Null if the task has none.',
    complexity: COSTS.longTextField,
  })
  description: string | null;

  @Field(() => TaskStatusType, { description: 'Workflow status of the task.' })
  status: TaskRow['status'];

  @Field(() => TaskPriorityType, { description: 'Priority of the task. NONE if not set.' })
  priority: TaskRow['priority'];

  @Field(() => GraphQLDate, {
    nullable: true,
    description: 'Day by which the task should be done. Null if it has no due date.',
  })
  dueDate: string | null;

  @Field(() => GraphQLDate, {
    nullable: true,
    description: 'Day on which work on the task should start. Null if it has no start date.',
  })
  startDate: string | null;

  @Field(() => Int, {
    nullable: true,
    description: `Estimated size of the task, 0-${MAX_ESTIMATE} points. Null if it is not estimated.`,
  })
  estimate: number | null;

  @Field(() => Int, {
    description:
      'Increases with every update. Pass it as `expectedVersion` to prevent overwriting changes you have not seen.',
  })
  version: number;

  @Field(() => GraphQLDateTime, { description: 'When the task was created.' })
  createdAt: string;

  @Field(() => GraphQLDateTime, {
    description:
      'Start of the transaction that last changed the task. Values can become visible out of order: to find ' +
      'changes, use Query.taskChangesSince.',
  })
  updatedAt: string;

  @Field(() => GraphQLDateTime, {
    nullable: true,
    description: 'When the task was completed. Null unless its status is DONE.',
  })
  completedAt: string | null;
}

export const { Edge: TaskEdge, Connection: TaskConnection } = connectionTypes('Task', () => Task);

@ObjectType({ description: 'Number of tasks with one status.', simpleResolvers: true })
export class TaskStatusCount {
  @Field(() => TaskStatusType, { description: 'Status the tasks have.' })
  status: TaskRow['status'];

  @Field(() => Int, { description: 'Number of tasks with this status.' })
  count: number;
}

@ObjectType({ description: 'Number of tasks with one priority.', simpleResolvers: true })
export class TaskPriorityCount {
  @Field(() => TaskPriorityType, { description: 'Priority the tasks have.' })
  priority: TaskRow['priority'];

  @Field(() => Int, { description: 'Number of tasks with this priority.' })
  count: number;
}

@ObjectType({
  description:
    'Task statistics of a project. Values that depend on the current time (`overdue`, `completedLast7Days`) can ' +
    'be up to a minute old.',
  simpleResolvers: true,
})
export class ProjectStats {
  @Field(() => Int, { description: 'Number of tasks in the project.' })
  total: number;

  @Field(() => [TaskStatusCount], {
    description: 'Number of tasks by status, in status order. Statuses without tasks are omitted.',
  })
  byStatus: TaskStatusCount[];

  @Field(() => [TaskPriorityCount], {
    description: 'Number of tasks by priority, lowest first. Priorities without tasks are omitted.',
  })
  byPriority: TaskPriorityCount[];

  @Field(() => Int, { description: 'Tasks past their due date (in UTC) that are neither done nor canceled.' })
  overdue: number;

  @Field(() => Int, { description: 'Tasks completed in the last 7 days.' })
  completedLast7Days: number;

  @Field(() => Number, {
    nullable: true,
    description: 'Median time from creation to completion, in hours. Null if no task is done.',
  })
  medianCycleTimeHours: number | null;
}

@ObjectType({
  implements: UserError,
  description: 'The input conflicts with the current state, for example because `expectedVersion` does not match.',
  simpleResolvers: true,
})
export class ConflictError extends UserError {
  @Field(() => Task, {
    nullable: true,
    description: 'The task in its current state. Null if the conflict is not about a task.',
  })
  task: TaskRow | null;
}

@ObjectType({ description: 'Result of a mutation of one task.', simpleResolvers: true })
export class TaskPayload {
  @Field(() => Task, { nullable: true, description: 'The task after the mutation. Null if there are errors.' })
  task?: TaskRow | null;

  @Field(() => TaskEdge, {
    nullable: true,
    description:
      'The task as an edge of unfiltered task lists in the default order, for client-side list updates. Null if ' +
      'there are errors.',
  })
  taskEdge?: InstanceType<typeof TaskEdge> | null;

  @Field(() => [UserError], { description: 'Why the mutation was refused. Empty if it succeeded.' })
  errors: UserError[];
}

@ObjectType({ description: 'Result of the mutation deleteTask.', simpleResolvers: true })
export class DeleteTaskPayload {
  @Field(() => ID, { nullable: true, description: 'Id of the deleted task. Null if there are errors.' })
  deletedTaskId?: TaskRow['id'] | null;

  @Field(() => [UserError], { description: 'Why the mutation was refused. Empty if it succeeded.' })
  errors: UserError[];
}
