/** GraphQL inputs of the task mutations. */
import { GraphQLDate } from 'graphql-scalars';
import { Field, ID, InputType, Int } from 'type-graphql';
import type { LabelId, ProjectId, TaskId, UserId } from '../../db/ids.js';
import { IDEMPOTENCY_KEY, IDEMPOTENCY_KEY_OF_MANY } from '../../graphql/user-error.js';
import { MAX_ASSIGNEES, MAX_ESTIMATE, type TaskPriority, type TaskStatus } from './task.table.js';
import { TaskPriorityType, TaskStatusType } from './task.type.js';

const EXPECTED_VERSION =
  'Version the task must have; otherwise the mutation is refused with a ConflictError. Omit it to skip the check.';

const ASSIGNEE_IDS =
  `Ids of up to ${MAX_ASSIGNEES} project members, in order: all assignees of the task. \`null\` for none. Not together ` +
  'with `assigneeId`.';

/** Fields of both creating and updating. */
@InputType()
abstract class TaskFieldsInput {
  @Field(() => String, {
    nullable: true,
    description: 'Markdown, up to 65,536 characters. A blank text is stored as `null`.',
  })
  description?: string | null;

  @Field(() => ID, {
    nullable: true,
    description:
      'Id of the only assignee, who must be a member of the project. `null` for none. Not together with `assigneeIds`.',
  })
  assigneeId?: UserId | null;

  @Field(() => [ID], { nullable: true, description: ASSIGNEE_IDS })
  assigneeIds?: UserId[] | null;

  @Field(() => ID, {
    nullable: true,
    description: 'Id of the parent task, which must be in the same project. `null` for none.',
  })
  parentId?: TaskId | null;

  @Field(() => GraphQLDate, { nullable: true, description: 'Day by which the task should be done. `null` for none.' })
  dueDate?: string | null;

  @Field(() => GraphQLDate, {
    nullable: true,
    description: 'Day on which work should start, no later than the due date. `null` for none.',
  })
  startDate?: string | null;

  @Field(() => Int, {
    nullable: true,
    description: `Estimated size of the task, 0-${MAX_ESTIMATE} points. \`null\` for none.`,
  })
  estimate?: number | null;
}

@InputType({ description: 'One task to create. `null` means the same as omitting a field.' })
export class NewTaskInput extends TaskFieldsInput {
  @Field(() => ID, { description: 'Id of the project to create the task in.' })
  projectId: ProjectId;

  @Field(() => String, { description: 'Title, a single line of 1-500 characters.' })
  title: string;

  @Field(() => TaskStatusType, { nullable: true, description: 'Initial status. Defaults to BACKLOG.' })
  status?: TaskStatus | null;

  @Field(() => TaskPriorityType, { nullable: true, description: 'Initial priority. Defaults to NONE.' })
  priority?: TaskPriority | null;

  @Field(() => [ID], { nullable: true, description: 'Ids of up to 50 labels of the project. Defaults to no labels.' })
  labelIds?: LabelId[] | null;
}

@InputType({ description: 'Input for the mutation createTask. `null` means the same as omitting a field.' })
export class CreateTaskInput extends NewTaskInput {
  @Field(() => String, { nullable: true, description: IDEMPOTENCY_KEY })
  idempotencyKey?: string | null;
}

@InputType({ description: 'Input for the mutation createTasks.' })
export class CreateTasksInput {
  @Field(() => [NewTaskInput], { description: 'The tasks to create, 1-100. They are numbered in this order.' })
  tasks: NewTaskInput[];

  @Field(() => String, { nullable: true, description: IDEMPOTENCY_KEY_OF_MANY })
  idempotencyKey?: string | null;
}

/** Fields that can be changed for one or many tasks. */
@InputType()
abstract class TaskChangesInput extends TaskFieldsInput {
  @Field(() => String, { nullable: true, description: 'Title, a single line of 1-500 characters. Cannot be null.' })
  title?: string | null;

  @Field(() => TaskStatusType, { nullable: true, description: 'New status of the task. Cannot be null.' })
  status?: TaskStatus | null;

  @Field(() => TaskPriorityType, { nullable: true, description: 'New priority of the task. Cannot be null.' })
  priority?: TaskPriority | null;

  @Field(() => [ID], {
    nullable: true,
    description: "Replaces the task's labels. At most 50. `null` removes all labels.",
  })
  labelIds?: LabelId[] | null;
}

/** Inputs that name a task in a version the client has seen. */
@InputType()
abstract class SeenTaskInput {
  @Field(() => Int, { nullable: true, description: EXPECTED_VERSION })
  expectedVersion?: number | null;
}

@InputType({ description: 'Input for the mutation updateTask. Omitted fields stay unchanged; `null` clears a field.' })
export class UpdateTaskInput extends TaskChangesInput {
  @Field(() => ID, { description: 'Id of the task to update.' })
  id: TaskId;

  @Field(() => Int, { nullable: true, description: EXPECTED_VERSION })
  expectedVersion?: number | null;
}

@InputType({ description: 'A task, and the version it must have.' })
export class VersionedTaskInput {
  @Field(() => ID, { description: 'Id of the task.' })
  id: TaskId;

  @Field(() => Int, {
    nullable: true,
    description:
      'Version the task must have; otherwise it alone is refused with a ConflictError. Omit it to skip the check.',
  })
  expectedVersion?: number | null;
}

@InputType({ description: 'Input for the mutation updateTasks. Omitted fields stay unchanged; `null` clears a field.' })
export class UpdateTasksInput extends TaskChangesInput {
  @Field(() => [ID], {
    nullable: true,
    description: 'Ids of the tasks to update, 1-100, without duplicates. Pass either `ids` or `tasks`.',
  })
  ids?: TaskId[] | null;

  @Field(() => [VersionedTaskInput], {
    nullable: true,
    description: 'The tasks to update with the versions they must have, 1-100, without duplicates.',
  })
  tasks?: VersionedTaskInput[] | null;

  @Field(() => [ID], {
    nullable: true,
    description:
      'Ids of up to 50 labels to add. Labels that a task already has are ignored. Not together with `labelIds`.',
  })
  addLabelIds?: LabelId[] | null;

  @Field(() => [ID], {
    nullable: true,
    description:
      'Ids of up to 50 labels to remove. Labels that a task lacks are ignored. Not together with `labelIds`.',
  })
  removeLabelIds?: LabelId[] | null;

  @Field(() => [ID], {
    nullable: true,
    description:
      `Ids of up to ${MAX_ASSIGNEES} project members to assign besides the assignees that a task has. Not together ` +
      'with `assigneeId` or `assigneeIds`.',
  })
  addAssigneeIds?: UserId[] | null;

  @Field(() => [ID], {
    nullable: true,
    description:
      `Ids of up to ${MAX_ASSIGNEES} users to unassign. Users who are not assigned to a task are ignored. Not together ` +
      'with `assigneeId` or `assigneeIds`.',
  })
  removeAssigneeIds?: UserId[] | null;

  @Field(() => String, { nullable: true, description: IDEMPOTENCY_KEY_OF_MANY })
  idempotencyKey?: string | null;
}

@InputType({ description: 'Input for the mutation deleteTask.' })
export class DeleteTaskInput extends SeenTaskInput {
  @Field(() => ID, { description: 'Id of the task to delete. Its subtasks are kept and lose their parent.' })
  id: TaskId;
}

@InputType({ description: 'Input for the mutation deleteTasks.' })
export class DeleteTasksInput {
  @Field(() => [ID], {
    nullable: true,
    description:
      'Ids of the tasks to delete, 1-100, without duplicates. Their subtasks are kept and lose their parent. Pass ' +
      'either `ids` or `tasks`.',
  })
  ids?: TaskId[] | null;

  @Field(() => [VersionedTaskInput], {
    nullable: true,
    description: 'The tasks to delete with the versions they must have, 1-100, without duplicates.',
  })
  tasks?: VersionedTaskInput[] | null;

  @Field(() => String, { nullable: true, description: IDEMPOTENCY_KEY_OF_MANY })
  idempotencyKey?: string | null;
}

@InputType({ description: 'Input for the mutation completeTask.' })
export class CompleteTaskInput extends SeenTaskInput {
  @Field(() => ID, { description: 'Id of the task to complete.' })
  id: TaskId;
}

@InputType({ description: 'Input for the mutation reopenTask.' })
export class ReopenTaskInput extends SeenTaskInput {
  @Field(() => ID, { description: 'Id of the task to reopen.' })
  id: TaskId;
}

@InputType({ description: 'Input for the mutation assignTask.' })
export class AssignTaskInput extends SeenTaskInput {
  @Field(() => ID, { description: 'Id of the task to assign.' })
  id: TaskId;

  @Field(() => ID, {
    nullable: true,
    description:
      'Id of a project member, the only assignee. `null` unassigns the task. Omit it and `assigneeIds` to leave the ' +
      'assignees unchanged.',
  })
  assigneeId?: UserId | null;

  @Field(() => [ID], { nullable: true, description: ASSIGNEE_IDS })
  assigneeIds?: UserId[] | null;
}

@InputType({ description: 'Input for the mutation moveTask.' })
export class MoveTaskInput extends SeenTaskInput {
  @Field(() => ID, { description: 'Id of the task to move.' })
  id: TaskId;

  @Field(() => ID, { description: 'Id of the project to move the task to.' })
  projectId: ProjectId;
}

@InputType({ description: 'Input for the mutation moveTaskInList. Pass exactly one of `before` and `after`.' })
export class MoveTaskInListInput extends SeenTaskInput {
  @Field(() => ID, { description: 'Id of the task to move.' })
  id: TaskId;

  @Field(() => ID, {
    nullable: true,
    description: 'Id of the task to put this one directly before. It must be in the same project.',
  })
  before?: TaskId | null;

  @Field(() => ID, {
    nullable: true,
    description: 'Id of the task to put this one directly after. It must be in the same project.',
  })
  after?: TaskId | null;
}

@InputType({ description: 'Labels to add to a task.' })
export class AddLabelsInput {
  @Field(() => ID, { description: 'Id of the task to label.' })
  taskId: TaskId;

  @Field(() => [ID], { description: 'Ids of 1-50 labels of the project. A task can have at most 50 labels.' })
  labelIds: LabelId[];
}

@InputType({ description: 'Labels to remove from a task.' })
export class RemoveLabelsInput {
  @Field(() => ID, { description: 'Id of the task to remove labels from.' })
  taskId: TaskId;

  @Field(() => [ID], { description: 'Ids of 1-50 labels. Labels the task does not have are ignored.' })
  labelIds: LabelId[];
}
