/** How lists of tasks are asked for: filters after Linear's grammar (comparators, relations, and/or/not), and orders. */
import { ArgsType, Field, ID, InputType, Int, registerEnumType } from 'type-graphql';
import { PageArgs } from '../../graphql/page.js';
import { GraphQLDateOrDuration, GraphQLDateTimeOrDuration, type MomentInput } from './relative-date.js';
import type { TaskPriority, TaskStatus } from './task.table.js';
import { TaskPriorityType, TaskStatusType } from './task.type.js';

/** Values in one comparator. */
export const MAX_IN = 50;
/** How deep `and`, `or` and `not` may be nested, and how many comparisons a filter may have in all. */
export const MAX_FILTER_DEPTH = 5;
export const MAX_CONDITIONS = 50;
/** In all its `and` and `or`, empty ones too: each is read. */
export const MAX_FILTERS = 100;
export const MAX_SEARCH_CHARS = 200;
export const MAX_ORDERS = 3;

@InputType({ description: 'Compares an id.' })
export class IdComparator {
  @Field(() => ID, { nullable: true, description: 'Equals.' })
  eq?: string | null;

  @Field(() => ID, { nullable: true, description: 'Does not equal.' })
  neq?: string | null;

  @Field(() => [ID], { nullable: true, description: `Is one of, at most ${MAX_IN}.` })
  in?: string[] | null;

  @Field(() => [ID], { nullable: true, description: `Is none of, at most ${MAX_IN}.` })
  nin?: string[] | null;
}

@InputType({
  description:
    'Compares a unique text: a handle, a key, a name. Canonically equivalent spellings (NFC, NFD) are equal.',
})
export class NameComparator {
  @Field(() => String, { nullable: true, description: 'Equals.' })
  eq?: string | null;

  @Field(() => [String], { nullable: true, description: `Is one of, at most ${MAX_IN}.` })
  in?: string[] | null;
}

@InputType({
  description:
    'Compares a text. Canonically equivalent spellings (NFC, NFD) are equal. Comparisons with a missing text are false, and `not` of them is true.',
})
export class StringComparator {
  @Field(() => String, { nullable: true, description: 'Equals.' })
  eq?: string | null;

  @Field(() => String, { nullable: true, description: 'Does not equal.' })
  neq?: string | null;

  @Field(() => [String], { nullable: true, description: `Is one of, at most ${MAX_IN}.` })
  in?: string[] | null;

  @Field(() => [String], { nullable: true, description: `Is none of, at most ${MAX_IN}.` })
  nin?: string[] | null;

  @Field(() => String, { nullable: true, description: 'Contains, whether in capitals or not.' })
  contains?: string | null;

  @Field(() => String, { nullable: true, description: 'Starts with, whether in capitals or not.' })
  startsWith?: string | null;
}

@InputType({ description: 'Compares a text that may be missing.' })
export class NullableStringComparator extends StringComparator {
  @Field(() => Boolean, { nullable: true, description: 'True: there is none. False: there is one.' })
  null?: boolean | null;
}

@InputType({ description: 'Compares a number.' })
export class IntComparator {
  @Field(() => Int, { nullable: true, description: 'Equals.' })
  eq?: number | null;

  @Field(() => Int, { nullable: true, description: 'Does not equal.' })
  neq?: number | null;

  @Field(() => [Int], { nullable: true, description: `Is one of, at most ${MAX_IN}.` })
  in?: number[] | null;

  @Field(() => [Int], { nullable: true, description: `Is none of, at most ${MAX_IN}.` })
  nin?: number[] | null;

  @Field(() => Int, { nullable: true, description: 'Is greater than.' })
  gt?: number | null;

  @Field(() => Int, { nullable: true, description: 'Is greater than or equal to.' })
  gte?: number | null;

  @Field(() => Int, { nullable: true, description: 'Is less than.' })
  lt?: number | null;

  @Field(() => Int, { nullable: true, description: 'Is less than or equal to.' })
  lte?: number | null;
}

@InputType({ description: 'Compares a status.' })
export class TaskStatusComparator {
  @Field(() => TaskStatusType, { nullable: true, description: 'Equals.' })
  eq?: TaskStatus | null;

  @Field(() => TaskStatusType, { nullable: true, description: 'Does not equal.' })
  neq?: TaskStatus | null;

  @Field(() => [TaskStatusType], { nullable: true, description: 'Is one of.' })
  in?: TaskStatus[] | null;

  @Field(() => [TaskStatusType], { nullable: true, description: 'Is none of.' })
  nin?: TaskStatus[] | null;
}

@InputType({ description: 'Compares a priority; they rise from NONE to URGENT.' })
export class TaskPriorityComparator {
  @Field(() => TaskPriorityType, { nullable: true, description: 'Equals.' })
  eq?: TaskPriority | null;

  @Field(() => TaskPriorityType, { nullable: true, description: 'Does not equal.' })
  neq?: TaskPriority | null;

  @Field(() => [TaskPriorityType], { nullable: true, description: 'Is one of.' })
  in?: TaskPriority[] | null;

  @Field(() => [TaskPriorityType], { nullable: true, description: 'Is none of.' })
  nin?: TaskPriority[] | null;

  @Field(() => TaskPriorityType, { nullable: true, description: 'Is above.' })
  gt?: TaskPriority | null;

  @Field(() => TaskPriorityType, { nullable: true, description: 'Is this or above.' })
  gte?: TaskPriority | null;

  @Field(() => TaskPriorityType, { nullable: true, description: 'Is below.' })
  lt?: TaskPriority | null;

  @Field(() => TaskPriorityType, { nullable: true, description: 'Is this or below.' })
  lte?: TaskPriority | null;
}

@InputType({ description: 'Compares a day that may be missing. Relative days count from today in UTC.' })
export class NullableDateComparator {
  @Field(() => GraphQLDateOrDuration, { nullable: true, description: 'Is this day.' })
  eq?: MomentInput | null;

  @Field(() => GraphQLDateOrDuration, { nullable: true, description: 'Is another day, or there is none.' })
  neq?: MomentInput | null;

  @Field(() => GraphQLDateOrDuration, { nullable: true, description: 'Is later.' })
  gt?: MomentInput | null;

  @Field(() => GraphQLDateOrDuration, { nullable: true, description: 'Is this day or later.' })
  gte?: MomentInput | null;

  @Field(() => GraphQLDateOrDuration, { nullable: true, description: 'Is earlier.' })
  lt?: MomentInput | null;

  @Field(() => GraphQLDateOrDuration, { nullable: true, description: 'Is this day or earlier.' })
  lte?: MomentInput | null;

  @Field(() => Boolean, { nullable: true, description: 'True: there is none. False: there is one.' })
  null?: boolean | null;
}

@InputType({ description: 'Compares an instant. Relative instants count from the present minute.' })
export class DateTimeComparator {
  @Field(() => GraphQLDateTimeOrDuration, { nullable: true, description: 'Is later.' })
  gt?: MomentInput | null;

  @Field(() => GraphQLDateTimeOrDuration, { nullable: true, description: 'Is this instant or later.' })
  gte?: MomentInput | null;

  @Field(() => GraphQLDateTimeOrDuration, { nullable: true, description: 'Is earlier.' })
  lt?: MomentInput | null;

  @Field(() => GraphQLDateTimeOrDuration, { nullable: true, description: 'Is this instant or earlier.' })
  lte?: MomentInput | null;
}

@InputType({ description: 'Compares an instant that may be missing.' })
export class NullableDateTimeComparator extends DateTimeComparator {
  @Field(() => Boolean, { nullable: true, description: 'True: there is none. False: there is one.' })
  null?: boolean | null;
}

@InputType({ description: 'Looks at the project of a task.' })
export class ProjectFilter {
  @Field(() => IdComparator, { nullable: true, description: 'By its id.' })
  id?: IdComparator | null;

  @Field(() => NameComparator, { nullable: true, description: 'By its key, like OPS.' })
  key?: NameComparator | null;
}

@InputType({ description: 'Looks at a user.' })
export class UserFilter {
  @Field(() => IdComparator, { nullable: true, description: 'By id.' })
  id?: IdComparator | null;

  @Field(() => NameComparator, { nullable: true, description: 'By handle.' })
  handle?: NameComparator | null;
}

@InputType({ description: 'Looks at a user who may be missing.' })
export class NullableUserFilter extends UserFilter {
  @Field(() => Boolean, { nullable: true, description: 'True: there is nobody. False: there is somebody.' })
  null?: boolean | null;
}

@InputType({ description: 'Looks at a task that may be missing.' })
export class NullableTaskRelationFilter {
  @Field(() => IdComparator, { nullable: true, description: 'By its id.' })
  id?: IdComparator | null;

  @Field(() => Boolean, { nullable: true, description: 'True: there is none. False: there is one.' })
  null?: boolean | null;
}

@InputType({ description: 'Looks at a label. Empty: any label.' })
export class LabelFilter {
  @Field(() => IdComparator, { nullable: true, description: 'By its id.' })
  id?: IdComparator | null;

  @Field(() => NameComparator, { nullable: true, description: 'By its name.' })
  name?: NameComparator | null;
}

@InputType({ description: 'Looks at the labels of a task.' })
export class LabelsFilter {
  @Field(() => LabelFilter, { nullable: true, description: 'At least one label fits.' })
  some?: LabelFilter | null;

  @Field(() => LabelFilter, { nullable: true, description: 'Every label fits; true where there is none.' })
  every?: LabelFilter | null;

  @Field(() => LabelFilter, { nullable: true, description: 'No label fits.' })
  none?: LabelFilter | null;
}

@InputType({
  description: `Which tasks; all parts given must fit. At most ${MAX_CONDITIONS} comparisons and ${MAX_FILTERS} filters in it, nested ${MAX_FILTER_DEPTH} deep.`,
})
export class TaskFilter {
  @Field(() => [TaskFilter], { nullable: true, description: 'All of these fit.' })
  and?: TaskFilter[] | null;

  @Field(() => [TaskFilter], { nullable: true, description: 'At least one of these fits.' })
  or?: TaskFilter[] | null;

  @Field(() => TaskFilter, { nullable: true, description: 'This does not fit.' })
  not?: TaskFilter | null;

  @Field(() => IdComparator, { nullable: true, description: 'By its id.' })
  id?: IdComparator | null;

  @Field(() => IntComparator, { nullable: true, description: 'By its number: 42 in OPS-42.' })
  number?: IntComparator | null;

  @Field(() => StringComparator, { nullable: true, description: 'With this title.' })
  title?: StringComparator | null;

  @Field(() => NullableStringComparator, { nullable: true, description: 'With this description.' })
  description?: NullableStringComparator | null;

  @Field(() => TaskStatusComparator, { nullable: true, description: 'With this status.' })
  status?: TaskStatusComparator | null;

  @Field(() => TaskPriorityComparator, { nullable: true, description: 'With this priority.' })
  priority?: TaskPriorityComparator | null;

  @Field(() => NullableDateComparator, { nullable: true, description: 'Due on these days.' })
  dueDate?: NullableDateComparator | null;

  @Field(() => DateTimeComparator, { nullable: true, description: 'Created then.' })
  createdAt?: DateTimeComparator | null;

  @Field(() => DateTimeComparator, {
    nullable: true,
    description: 'Last changed then. Not exact as a poll for changes: use Query.taskChangesSince.',
  })
  updatedAt?: DateTimeComparator | null;

  @Field(() => NullableDateTimeComparator, { nullable: true, description: 'Completed then.' })
  completedAt?: NullableDateTimeComparator | null;

  @Field(() => ProjectFilter, { nullable: true, description: 'Of these projects.' })
  project?: ProjectFilter | null;

  @Field(() => NullableUserFilter, { nullable: true, description: 'Assigned to these users.' })
  assignee?: NullableUserFilter | null;

  @Field(() => UserFilter, { nullable: true, description: 'Created by these users.' })
  creator?: UserFilter | null;

  @Field(() => NullableTaskRelationFilter, { nullable: true, description: 'Parts of these tasks.' })
  parent?: NullableTaskRelationFilter | null;

  @Field(() => LabelsFilter, { nullable: true, description: 'By label.' })
  labels?: LabelsFilter | null;

  @Field(() => String, {
    nullable: true,
    description:
      'Title and description, searched as text in English: words in any form, "phrases", or, -without. ' +
      `At most ${MAX_SEARCH_CHARS} characters.`,
  })
  search?: string | null;
}

export enum TaskOrderField {
  CREATED_AT = 'CREATED_AT',
  UPDATED_AT = 'UPDATED_AT',
  COMPLETED_AT = 'COMPLETED_AT',
  DUE_DATE = 'DUE_DATE',
  PRIORITY = 'PRIORITY',
  STATUS = 'STATUS',
  TITLE = 'TITLE',
}
registerEnumType(TaskOrderField, {
  name: 'TaskOrderField',
  description: 'What tasks are sorted by; ties by id.',
  valuesConfig: {
    CREATED_AT: { description: 'When they were created.' },
    UPDATED_AT: { description: 'When they were last changed.' },
    COMPLETED_AT: { description: 'When they were done.' },
    DUE_DATE: { description: 'The day by which they should be done.' },
    PRIORITY: { description: 'How soon they should be done.' },
    STATUS: { description: 'How far they have come, from BACKLOG to CANCELED.' },
    TITLE: { description: 'By code points: capitals come before small letters.' },
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

export enum OrderNulls {
  FIRST = 'FIRST',
  LAST = 'LAST',
}
registerEnumType(OrderNulls, {
  name: 'OrderNulls',
  description: 'Where those without a value stand.',
  valuesConfig: { FIRST: { description: 'Before the others.' }, LAST: { description: 'Behind the others.' } },
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

  @Field(() => OrderNulls, {
    nullable: true,
    defaultValue: OrderNulls.LAST,
    description: 'Where tasks without a value stand, in either direction.',
  })
  nulls?: OrderNulls | null;
}

@ArgsType()
export class TaskListArgs extends PageArgs {
  @Field(() => TaskFilter, { nullable: true, description: 'Which tasks; all that the viewer may see when left out.' })
  filter?: TaskFilter | null;

  @Field(() => [TaskOrder], {
    nullable: true,
    description: `At most ${MAX_ORDERS}, the first counting most; the newest first when left out.`,
  })
  orderBy?: TaskOrder[] | null;
}
