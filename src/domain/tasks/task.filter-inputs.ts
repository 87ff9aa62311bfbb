/**
 * GraphQL inputs of task lists: filters in the style of Linear's API (comparators, relations, and/or/not), and sort
 * orders.
 */
import { ArgsType, Field, InputType, registerEnumType } from 'type-graphql';
import { PageArgs } from '../../graphql/page.js';
import { MAX_SEARCH_TERMS } from './search-query.js';
import {
  BooleanComparator,
  DateTimeComparator,
  IdComparator,
  IntComparator,
  NameComparator,
  NullableDateComparator,
  NullableDateTimeComparator,
  NullableIntComparator,
  NullableStringComparator,
  StringComparator,
  TaskPriorityComparator,
  TaskStatusComparator,
} from './task.comparators.js';

/** Maximum nesting of `and`, `or` and `not`, and maximum number of comparisons in a filter. */
export const MAX_FILTER_DEPTH = 5;
export const MAX_CONDITIONS = 50;
/** Times that a filter has `isBlocked`. Each becomes a part of the list's key. */
export const MAX_BLOCKED = 2;
/** Maximum number of filters in all `and` and `or` lists; empty ones count. */
export const MAX_FILTERS = 100;
export const MAX_SEARCH_CHARS = 200;
/** Maximum number of tasks in a list that is ordered by how well they match: to rank one, its words are read. */
export const MAX_RANKED = 1000;
export const MAX_ORDERS = 3;

@InputType({ description: 'Conditions on the project of a task. All given conditions must hold.' })
export class ProjectFilter {
  @Field(() => IdComparator, { nullable: true, description: 'Filters by project id.' })
  id?: IdComparator | null;

  @Field(() => NameComparator, { nullable: true, description: 'Filters by project key, for example OPS.' })
  key?: NameComparator | null;
}

@InputType({ description: 'Conditions on a user. All given conditions must hold.' })
export class UserFilter {
  @Field(() => IdComparator, { nullable: true, description: 'Filters by user id.' })
  id?: IdComparator | null;

  @Field(() => NameComparator, { nullable: true, description: 'Filters by user handle.' })
  handle?: NameComparator | null;

  @Field(() => BooleanComparator, {
    nullable: true,
    description: 'Filters by whether the user is the viewer. False also matches null, where there is no user.',
  })
  isMe?: BooleanComparator | null;
}

@InputType({ description: 'Conditions on a user field that can be null. All given conditions must hold.' })
export class NullableUserFilter extends UserFilter {
  @Field(() => Boolean, { nullable: true, description: 'True matches null, false matches any user.' })
  null?: boolean | null;
}

@InputType({
  description:
    'Conditions on the assignees of a task. All given conditions must hold. In them only `eq` and `in` of ids and ' +
    'handles, and `isMe` with `eq: true`, select users: use `none` for users who must not be assigned.',
})
export class AssigneesFilter {
  @Field(() => UserFilter, { nullable: true, description: 'At least one assignee of the task matches.' })
  some?: UserFilter | null;

  @Field(() => UserFilter, {
    nullable: true,
    description: 'Every assignee of the task matches. Also true for a task without assignees.',
  })
  every?: UserFilter | null;

  @Field(() => UserFilter, { nullable: true, description: 'No assignee of the task matches.' })
  none?: UserFilter | null;
}

@InputType({ description: 'Conditions on a related task that can be null. All given conditions must hold.' })
export class NullableTaskRelationFilter {
  @Field(() => IdComparator, { nullable: true, description: 'Filters by id of the related task.' })
  id?: IdComparator | null;

  @Field(() => Boolean, { nullable: true, description: 'True matches null, false matches any task.' })
  null?: boolean | null;
}

@InputType({ description: 'Conditions on one label. An empty filter matches every label.' })
export class LabelFilter {
  @Field(() => IdComparator, { nullable: true, description: 'Filters by label id.' })
  id?: IdComparator | null;

  @Field(() => NameComparator, { nullable: true, description: 'Filters by label name.' })
  name?: NameComparator | null;
}

@InputType({ description: 'Conditions on the labels of a task. All given conditions must hold.' })
export class LabelsFilter {
  @Field(() => LabelFilter, { nullable: true, description: 'At least one label of the task matches.' })
  some?: LabelFilter | null;

  @Field(() => LabelFilter, {
    nullable: true,
    description: 'Every label of the task matches. Also true for a task without labels.',
  })
  every?: LabelFilter | null;

  @Field(() => LabelFilter, { nullable: true, description: 'No label of the task matches.' })
  none?: LabelFilter | null;
}

@InputType({
  description:
    `Selects tasks. All given conditions must hold. At most ${MAX_CONDITIONS} comparisons and ${MAX_FILTERS} ` +
    `filters in total, nested at most ${MAX_FILTER_DEPTH} deep.`,
})
export class TaskFilter {
  @Field(() => [TaskFilter], { nullable: true, description: 'All of these filters match.' })
  and?: TaskFilter[] | null;

  @Field(() => [TaskFilter], { nullable: true, description: 'At least one of these filters matches.' })
  or?: TaskFilter[] | null;

  @Field(() => TaskFilter, { nullable: true, description: 'This filter does not match.' })
  not?: TaskFilter | null;

  @Field(() => IdComparator, { nullable: true, description: 'Filters by task id.' })
  id?: IdComparator | null;

  @Field(() => IntComparator, {
    nullable: true,
    description: 'Filters by the number within the project: 42 in OPS-42.',
  })
  number?: IntComparator | null;

  @Field(() => StringComparator, { nullable: true, description: 'Filters by task title.' })
  title?: StringComparator | null;

  @Field(() => NullableStringComparator, { nullable: true, description: 'Filters by task description.' })
  description?: NullableStringComparator | null;

  @Field(() => TaskStatusComparator, { nullable: true, description: 'Filters by task status.' })
  status?: TaskStatusComparator | null;

  @Field(() => TaskPriorityComparator, { nullable: true, description: 'Filters by task priority.' })
  priority?: TaskPriorityComparator | null;

  @Field(() => NullableDateComparator, { nullable: true, description: 'Filters by due date.' })
  dueDate?: NullableDateComparator | null;

  @Field(() => NullableDateComparator, { nullable: true, description: 'Filters by start date.' })
  startDate?: NullableDateComparator | null;

  @Field(() => NullableIntComparator, { nullable: true, description: 'Filters by estimate, in points.' })
  estimate?: NullableIntComparator | null;

  @Field(() => DateTimeComparator, { nullable: true, description: 'Filters by creation time.' })
  createdAt?: DateTimeComparator | null;

  @Field(() => DateTimeComparator, {
    nullable: true,
    description:
      'Filters by time of the last update. Polling with it can miss changes: use Query.taskChangesSince instead.',
  })
  updatedAt?: DateTimeComparator | null;

  @Field(() => NullableDateTimeComparator, { nullable: true, description: 'Filters by completion time.' })
  completedAt?: NullableDateTimeComparator | null;

  @Field(() => ProjectFilter, { nullable: true, description: 'Filters by project of the task.' })
  project?: ProjectFilter | null;

  @Field(() => NullableUserFilter, { nullable: true, description: 'Filters by first assignee of the task.' })
  assignee?: NullableUserFilter | null;

  @Field(() => AssigneesFilter, { nullable: true, description: 'Filters by all assignees of the task.' })
  assignees?: AssigneesFilter | null;

  @Field(() => UserFilter, { nullable: true, description: 'Filters by creator of the task.' })
  creator?: UserFilter | null;

  @Field(() => NullableTaskRelationFilter, {
    nullable: true,
    description: 'Filters by parent task: selects subtasks of some tasks, or tasks without a parent.',
  })
  parent?: NullableTaskRelationFilter | null;

  @Field(() => LabelsFilter, { nullable: true, description: 'Filters by labels of the task.' })
  labels?: LabelsFilter | null;

  @Field(() => Boolean, {
    nullable: true,
    description:
      'True matches tasks blocked by a task that is neither DONE nor CANCELED, false matches the others. Tasks that ' +
      'the viewer cannot see do not count.',
  })
  isBlocked?: boolean | null;

  @Field(() => String, {
    nullable: true,
    description:
      'Full-text search in identifier, title, description and comments. Finds all words, in any English form and by ' +
      'their beginnings; supports "phrases", or, and -exclusion. Without `orderBy` the list contains the newest ' +
      `${MAX_RANKED} matches, best match first. At most ${MAX_SEARCH_CHARS} characters and ${MAX_SEARCH_TERMS} words.`,
  })
  search?: string | null;
}

export enum TaskOrderField {
  CREATED_AT = 'CREATED_AT',
  UPDATED_AT = 'UPDATED_AT',
  COMPLETED_AT = 'COMPLETED_AT',
  DUE_DATE = 'DUE_DATE',
  START_DATE = 'START_DATE',
  ESTIMATE = 'ESTIMATE',
  PRIORITY = 'PRIORITY',
  STATUS = 'STATUS',
  TITLE = 'TITLE',
  MANUAL = 'MANUAL',
}
registerEnumType(TaskOrderField, {
  name: 'TaskOrderField',
  description: 'Field to sort tasks by. Ties are broken by id.',
  valuesConfig: {
    CREATED_AT: { description: 'Sort by creation time.' },
    UPDATED_AT: { description: 'Sort by time of the last update.' },
    COMPLETED_AT: { description: 'Sort by completion time. Null unless the task is DONE.' },
    DUE_DATE: { description: 'Sort by due date.' },
    START_DATE: { description: 'Sort by start date.' },
    ESTIMATE: { description: 'Sort by estimate.' },
    PRIORITY: { description: 'Sort by priority, from NONE to URGENT.' },
    STATUS: { description: 'Sort by status, from BACKLOG to CANCELED.' },
    TITLE: { description: 'Sort by title in code point order: uppercase before lowercase.' },
    MANUAL: {
      description:
        'Sort by Task.sortOrder, which moveTaskInList changes. Tasks that were never moved are in the order of their ' +
        'numbers. Meant for lists of one project: tasks of several projects are merged by their keys.',
    },
  },
});

export enum OrderDirection {
  ASC = 'ASC',
  DESC = 'DESC',
}
registerEnumType(OrderDirection, {
  name: 'OrderDirection',
  description: 'Direction in which a list is sorted.',
  valuesConfig: {
    ASC: { description: 'Lowest or earliest value first.' },
    DESC: { description: 'Highest or latest value first.' },
  },
});

export enum OrderNulls {
  FIRST = 'FIRST',
  LAST = 'LAST',
}
registerEnumType(OrderNulls, {
  name: 'OrderNulls',
  description: 'Position of null values in a sorted list.',
  valuesConfig: { FIRST: { description: 'Null values come first.' }, LAST: { description: 'Null values come last.' } },
});

@InputType({ description: 'One sort criterion of a task list.' })
export class TaskOrder {
  @Field(() => TaskOrderField, { description: 'Field to sort by.' })
  field: TaskOrderField;

  @Field(() => OrderDirection, {
    nullable: true,
    defaultValue: OrderDirection.DESC,
    description:
      'Sort direction, descending by default. State it: the default is deprecated, and from 2027-06-01 on the field ' +
      'is required.',
  })
  direction?: OrderDirection | null;

  @Field(() => OrderNulls, {
    nullable: true,
    defaultValue: OrderNulls.LAST,
    description: 'Position of tasks whose field is null, for either direction. Last by default.',
  })
  nulls?: OrderNulls | null;
}

@ArgsType()
export class TaskListArgs extends PageArgs {
  @Field(() => TaskFilter, {
    nullable: true,
    description: 'Selects tasks of the list. Omit it to get the whole list.',
  })
  filter?: TaskFilter | null;

  @Field(() => [TaskOrder], {
    nullable: true,
    description:
      `Up to ${MAX_ORDERS} sort criteria, the most significant first. Defaults to newest first (CREATED_AT ` +
      'descending), and to the best match first if the filter has a `search`.',
  })
  orderBy?: TaskOrder[] | null;
}
