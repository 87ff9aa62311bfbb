/** Inputs of tasks: filters after Linear's grammar (comparators, relations), orders, and what mutations take. */
import { GraphQLDate } from 'graphql-scalars';
import { ArgsType, Field, ID, InputType, Int, registerEnumType } from 'type-graphql';
import type { LabelId, ProjectId, TaskId, UserId } from '../db/ids.js';
import { PageArgs } from '../graphql/page.js';
import type { TaskPriority, TaskStatus } from './task.table.js';
import { TaskPriorityType, TaskStatusType } from './task.type.js';

@InputType({ description: 'Compares an id.' })
export class IdComparator {
  @Field(() => ID, { nullable: true, description: 'Equals.' })
  eq?: string | null;

  @Field(() => [ID], { nullable: true, description: 'Is one of, at most 50.' })
  in?: string[] | null;
}

@InputType({ description: 'Compares a status.' })
export class TaskStatusComparator {
  @Field(() => TaskStatusType, { nullable: true, description: 'Equals.' })
  eq?: TaskStatus | null;

  @Field(() => [TaskStatusType], { nullable: true, description: 'Is one of.' })
  in?: TaskStatus[] | null;
}

@InputType({ description: 'Compares a priority.' })
export class TaskPriorityComparator {
  @Field(() => TaskPriorityType, { nullable: true, description: 'Equals.' })
  eq?: TaskPriority | null;

  @Field(() => [TaskPriorityType], { nullable: true, description: 'Is one of.' })
  in?: TaskPriority[] | null;
}

@InputType({ description: 'Looks at a related object.' })
export class RelationFilter {
  @Field(() => IdComparator, { nullable: true, description: 'By its id.' })
  id?: IdComparator | null;
}

@InputType({ description: 'Looks at the labels of a task.' })
export class LabelsFilter {
  @Field(() => RelationFilter, { nullable: true, description: 'At least one label fits.' })
  some?: RelationFilter | null;
}

@InputType({ description: 'Which tasks; all parts given must fit.' })
export class TaskFilter {
  @Field(() => RelationFilter, { nullable: true, description: 'Of these projects.' })
  project?: RelationFilter | null;

  @Field(() => RelationFilter, { nullable: true, description: 'Assigned to these users.' })
  assignee?: RelationFilter | null;

  @Field(() => TaskStatusComparator, { nullable: true, description: 'With this status.' })
  status?: TaskStatusComparator | null;

  @Field(() => TaskPriorityComparator, { nullable: true, description: 'With this priority.' })
  priority?: TaskPriorityComparator | null;

  @Field(() => LabelsFilter, { nullable: true, description: 'Bearing these labels.' })
  labels?: LabelsFilter | null;
}

export enum TaskOrderField {
  CREATED_AT = 'CREATED_AT',
  PRIORITY = 'PRIORITY',
}
registerEnumType(TaskOrderField, {
  name: 'TaskOrderField',
  description: 'What tasks are sorted by; ties by id.',
  valuesConfig: {
    CREATED_AT: { description: 'When they were created.' },
    PRIORITY: { description: 'How soon they should be done.' },
  },
});

export enum OrderDirection {
  ASC = 'ASC',
  DESC = 'DESC',
}
registerEnumType(OrderDirection, {
  name: 'OrderDirection',
  description: 'Which end comes first.',
  valuesConfig: { ASC: { description: 'The lowest.' }, DESC: { description: 'The highest.' } },
});

@InputType({ description: 'An order of tasks.' })
export class TaskOrder {
  @Field(() => TaskOrderField, { description: 'What to sort by.' })
  field: TaskOrderField;

  @Field(() => OrderDirection, {
    nullable: true,
    defaultValue: OrderDirection.DESC,
    description: 'Which end comes first.',
  })
  direction?: OrderDirection | null;
}

@ArgsType()
export class TaskListArgs extends PageArgs {
  @Field(() => TaskFilter, { nullable: true, description: 'Which tasks; all that the viewer may see when left out.' })
  filter?: TaskFilter | null;

  @Field(() => [TaskOrder], { nullable: true, description: 'At most one order; the newest first when left out.' })
  orderBy?: TaskOrder[] | null;
}

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
