/** The results of mutations of many tasks. */
import { Field, ID, ObjectType } from 'type-graphql';
import { UserError } from '../../graphql/user-error.js';
import type { TaskRow } from './task.table.js';
import { Task } from './task.type.js';

@ObjectType({ simpleResolvers: true })
abstract class ManyTasksPayload {
  @Field(() => [UserError], {
    description:
      'Why the whole mutation was refused. Empty if the tasks were processed, even if some of them were refused.',
  })
  errors: UserError[];
}

@ObjectType({ description: 'Result of createTasks for one task.', simpleResolvers: true })
export class CreateTasksResult {
  @Field(() => Task, { nullable: true, description: 'The task that was created. Null if there are errors.' })
  task?: TaskRow | null;

  @Field(() => [UserError], { description: 'Why this task was refused. Empty if it was created.' })
  errors: UserError[];
}

@ObjectType({ description: 'Result of the mutation createTasks.', simpleResolvers: true })
export class CreateTasksPayload extends ManyTasksPayload {
  @Field(() => [CreateTasksResult], {
    description: 'One result for each task, in the order of `tasks`. Empty if there are errors.',
  })
  results: CreateTasksResult[];
}

@ObjectType({ description: 'Result of updateTasks for one task.', simpleResolvers: true })
export class UpdateTasksResult {
  @Field(() => ID, { description: 'Id of the task, as passed in the input.' })
  id: TaskRow['id'];

  @Field(() => Task, { nullable: true, description: 'The task after the mutation. Null if there are errors.' })
  task?: TaskRow | null;

  @Field(() => [UserError], { description: 'Why the update of this task was refused. Empty if it succeeded.' })
  errors: UserError[];
}

@ObjectType({ description: 'Result of the mutation updateTasks.', simpleResolvers: true })
export class UpdateTasksPayload extends ManyTasksPayload {
  @Field(() => [UpdateTasksResult], {
    description: 'One result for each task, in the order of the input. Empty if there are errors.',
  })
  results: UpdateTasksResult[];
}

@ObjectType({ description: 'Result of deleteTasks for one task.', simpleResolvers: true })
export class DeleteTasksResult {
  @Field(() => ID, { description: 'Id of the task, as passed in the input.' })
  id: TaskRow['id'];

  @Field(() => ID, { nullable: true, description: 'Id of the deleted task. Null if there are errors.' })
  deletedTaskId?: TaskRow['id'] | null;

  @Field(() => [UserError], { description: 'Why the task was not deleted. Empty if it was.' })
  errors: UserError[];
}

@ObjectType({ description: 'Result of the mutation deleteTasks.', simpleResolvers: true })
export class DeleteTasksPayload extends ManyTasksPayload {
  @Field(() => [DeleteTasksResult], {
    description: 'One result for each task, in the order of the input. Empty if there are errors.',
  })
  results: DeleteTasksResult[];
}
