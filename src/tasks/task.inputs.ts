/** What mutations of tasks take. */
import { GraphQLDate } from 'graphql-scalars';
import { Field, ID, InputType, Int } from 'type-graphql';
import type { LabelId, ProjectId, TaskId, UserId } from '../db/ids.js';
import { IDEMPOTENCY_KEY } from '../graphql/user-error.js';
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

  @Field(() => String, { nullable: true, description: IDEMPOTENCY_KEY })
  idempotencyKey?: string | null;
}

/** What an update of one task or of many may change. */
@InputType()
abstract class TaskChangesInput extends TaskFieldsInput {
  @Field(() => String, { nullable: true, description: 'One line, 1 to 500 characters; cannot be cleared.' })
  title?: string | null;

  @Field(() => TaskStatusType, { nullable: true, description: 'Cannot be cleared.' })
  status?: TaskStatus | null;

  @Field(() => TaskPriorityType, { nullable: true, description: 'Cannot be cleared.' })
  priority?: TaskPriority | null;

  @Field(() => [ID], { nullable: true, description: 'All the labels it is to bear, at most 50.' })
  labelIds?: LabelId[] | null;
}

const EXPECTED_VERSION = 'Refuse with a ConflictError when the task has another version.';

@InputType({ description: 'Changes of a task: what is left out stays, `null` clears.' })
export class UpdateTaskInput extends TaskChangesInput {
  @Field(() => ID, { description: 'The task.' })
  id: TaskId;

  @Field(() => Int, { nullable: true, description: EXPECTED_VERSION })
  expectedVersion?: number | null;
}

@InputType({ description: 'The same changes of many tasks: what is left out stays, `null` clears.' })
export class UpdateTasksInput extends TaskChangesInput {
  @Field(() => [ID], { description: 'The tasks, 1 to 100, each once.' })
  ids: TaskId[];
}

/** A task, as its writer has seen it. */
@InputType()
export abstract class TaskInput {
  @Field(() => ID, { description: 'The task.' })
  id: TaskId;

  @Field(() => Int, { nullable: true, description: EXPECTED_VERSION })
  expectedVersion?: number | null;
}

@InputType({ description: 'A task to delete. Its subtasks stay and lose their parent.' })
export class DeleteTaskInput extends TaskInput {}

@InputType({ description: 'A task to complete.' })
export class CompleteTaskInput extends TaskInput {}

@InputType({ description: 'A task to reopen.' })
export class ReopenTaskInput extends TaskInput {}

@InputType({ description: 'A task to assign.' })
export class AssignTaskInput extends TaskInput {
  @Field(() => ID, { nullable: true, description: 'A member of the project; null takes the task from whoever had it.' })
  assigneeId?: UserId | null;
}

@InputType({ description: 'A task to move to another project.' })
export class MoveTaskInput extends TaskInput {
  @Field(() => ID, { description: 'The project to move it to; the viewer must be allowed to write in both.' })
  projectId: ProjectId;
}

/** Labels to put on a task or to take from it. */
@InputType()
export abstract class LabelsOfTaskInput {
  @Field(() => ID, { description: 'The task.' })
  taskId: TaskId;

  @Field(() => [ID], { description: 'Labels of its project, 1 to 50.' })
  labelIds: LabelId[];
}

@InputType({ description: 'Labels to put on a task.' })
export class AddLabelsInput extends LabelsOfTaskInput {}

@InputType({ description: 'Labels to take from a task; those that it does not bear do not matter.' })
export class RemoveLabelsInput extends LabelsOfTaskInput {}
