/** What mutations of tasks take. */
import { GraphQLDate } from 'graphql-scalars';
import { Field, ID, InputType, Int } from 'type-graphql';
import type { LabelId, ProjectId, TaskId, UserId } from '../db/ids.js';
import type { TaskPriority, TaskStatus } from './task.table.js';
import { TaskPriorityType, TaskStatusType } from './task.type.js';

/** What both creating and updating take. */
@InputType()
abstract class TaskFieldsInput {
  @Field(() => String, { nullable: true, description: 'Markdown, at most 65 536 characters.' })
  description?: string | null;

  @Field(() => ID, { nullable: true, description: 'Who is to do it: a member of the project.' })
  assigneeId?: UserId | null;

  @Field(() => ID, { nullable: true, description: 'The task it is a part of, of the same project.' })
  parentId?: TaskId | null;

  @Field(() => GraphQLDate, { nullable: true, description: 'The day by which it should be done.' })
  dueDate?: string | null;
}

@InputType({ description: 'A task to create.' })
export class CreateTaskInput extends TaskFieldsInput {
  @Field(() => ID, { description: 'The project it belongs to.' })
  projectId: ProjectId;

  @Field(() => String, { description: 'One line, 1 to 500 characters.' })
  title: string;

  @Field(() => TaskStatusType, { nullable: true, description: 'BACKLOG when left out.' })
  status?: TaskStatus | null;

  @Field(() => TaskPriorityType, { nullable: true, description: 'NONE when left out.' })
  priority?: TaskPriority | null;

  @Field(() => [ID], { nullable: true, description: 'Labels of the project, at most 50.' })
  labelIds?: LabelId[] | null;
}

@InputType({ description: 'Changes of a task: what is left out stays, `null` clears.' })
export class UpdateTaskInput extends TaskFieldsInput {
  @Field(() => ID, { description: 'The task.' })
  id: TaskId;

  @Field(() => Int, { nullable: true, description: 'Refuse with a ConflictError when the task has another version.' })
  expectedVersion?: number | null;

  @Field(() => String, { nullable: true, description: 'One line, 1 to 500 characters; cannot be cleared.' })
  title?: string | null;

  @Field(() => TaskStatusType, { nullable: true, description: 'Cannot be cleared.' })
  status?: TaskStatus | null;

  @Field(() => TaskPriorityType, { nullable: true, description: 'Cannot be cleared.' })
  priority?: TaskPriority | null;

  @Field(() => [ID], { nullable: true, description: 'All the labels it is to bear, at most 50.' })
  labelIds?: LabelId[] | null;
}

@InputType({ description: 'A task to delete.' })
export class DeleteTaskInput {
  @Field(() => ID, { description: 'The task. Its subtasks stay and lose their parent.' })
  id: TaskId;
}

@InputType({ description: 'A task to complete.' })
export class CompleteTaskInput {
  @Field(() => ID, { description: 'The task.' })
  id: TaskId;
}

@InputType({ description: 'A task to assign.' })
export class AssignTaskInput {
  @Field(() => ID, { description: 'The task.' })
  id: TaskId;

  @Field(() => ID, { nullable: true, description: 'A member of the project; null takes the task from whoever had it.' })
  assigneeId?: UserId | null;
}
