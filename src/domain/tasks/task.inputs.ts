/** What mutations of tasks take. */
import { GraphQLDate } from 'graphql-scalars';
import { Field, ID, InputType, Int } from 'type-graphql';
import type { LabelId, ProjectId, TaskId, UserId } from '../../db/ids.js';
import { IDEMPOTENCY_KEY } from '../../graphql/user-error.js';
import type { TaskPriority, TaskStatus } from './task.table.js';
import { TaskPriorityType, TaskStatusType } from './task.type.js';

const EXPECTED_VERSION = 'Refuse with a ConflictError when the task has another version.';

/** What both creating and updating take. */
@InputType()
abstract class TaskFieldsInput {
  @Field(() => String, {
    nullable: true,
    description: 'Markdown, at most 65 536 characters. A blank text is the same as `null`.',
  })
  description?: string | null;

  @Field(() => ID, { nullable: true, description: 'The assignee, a member of the project.' })
  assigneeId?: UserId | null;

  @Field(() => ID, { nullable: true, description: 'The parent task, of the same project.' })
  parentId?: TaskId | null;

  @Field(() => GraphQLDate, { nullable: true, description: 'The day by which it should be done.' })
  dueDate?: string | null;
}

@InputType({ description: 'A task to create; `null` is the same as left out.' })
export class CreateTaskInput extends TaskFieldsInput {
  @Field(() => ID, { description: 'The project it belongs to.' })
  projectId: ProjectId;

  @Field(() => String, { description: 'One line, 1-500 characters.' })
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

/** What can be changed of one task as of many. */
@InputType()
abstract class TaskChangesInput extends TaskFieldsInput {
  @Field(() => String, { nullable: true, description: 'One line, 1-500 characters; cannot be cleared.' })
  title?: string | null;

  @Field(() => TaskStatusType, { nullable: true, description: 'Cannot be cleared.' })
  status?: TaskStatus | null;

  @Field(() => TaskPriorityType, { nullable: true, description: 'Cannot be cleared.' })
  priority?: TaskPriority | null;

  @Field(() => [ID], {
    nullable: true,
    description: "Replaces the task's labels. At most 50.",
  })
  labelIds?: LabelId[] | null;
}

/** A task as the client has seen it. */
@InputType()
abstract class SeenTaskInput {
  @Field(() => Int, { nullable: true, description: EXPECTED_VERSION })
  expectedVersion?: number | null;
}

@InputType({ description: 'Changes of a task: what is left out stays, `null` clears.' })
export class UpdateTaskInput extends TaskChangesInput {
  @Field(() => ID, { description: 'The task.' })
  id: TaskId;

  @Field(() => Int, { nullable: true, description: EXPECTED_VERSION })
  expectedVersion?: number | null;
}

@InputType({ description: 'The same changes of many tasks: what is left out stays, `null` clears.' })
export class UpdateTasksInput extends TaskChangesInput {
  @Field(() => [ID], { description: 'The tasks, 1 to 100 different ones.' })
  ids: TaskId[];
}

@InputType({ description: 'A task to delete.' })
export class DeleteTaskInput extends SeenTaskInput {
  @Field(() => ID, { description: 'The task. Its subtasks stay and lose their parent.' })
  id: TaskId;
}

@InputType({ description: 'A task to complete.' })
export class CompleteTaskInput extends SeenTaskInput {
  @Field(() => ID, { description: 'The task.' })
  id: TaskId;
}

@InputType({ description: 'A task to reopen.' })
export class ReopenTaskInput extends SeenTaskInput {
  @Field(() => ID, { description: 'The task.' })
  id: TaskId;
}

@InputType({ description: 'A task to assign.' })
export class AssignTaskInput extends SeenTaskInput {
  @Field(() => ID, { description: 'The task.' })
  id: TaskId;

  @Field(() => ID, {
    nullable: true,
    description: 'A project member. `null` unassigns the task; omit it to leave the assignee unchanged.',
  })
  assigneeId?: UserId | null;
}

@InputType({ description: 'A task to move to another project.' })
export class MoveTaskInput extends SeenTaskInput {
  @Field(() => ID, { description: 'The task.' })
  id: TaskId;

  @Field(() => ID, { description: 'The new project of the task.' })
  projectId: ProjectId;
}

@InputType({ description: 'Labels to add to a task.' })
export class AddLabelsInput {
  @Field(() => ID, { description: 'The task.' })
  taskId: TaskId;

  @Field(() => [ID], { description: 'Labels of its project, 1-50. A task has at most 50.' })
  labelIds: LabelId[];
}

@InputType({ description: 'Labels to remove from a task.' })
export class RemoveLabelsInput {
  @Field(() => ID, { description: 'The task.' })
  taskId: TaskId;

  @Field(() => [ID], { description: 'Labels, 1-50. Labels that the task does not have are ignored.' })
  labelIds: LabelId[];
}
