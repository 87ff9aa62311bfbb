/** How lists of tasks are asked for: filters after Linear's grammar (comparators, relations), and orders. */
import { ArgsType, Field, ID, InputType, registerEnumType } from 'type-graphql';
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
