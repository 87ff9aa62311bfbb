/** GraphQL inputs that compare one value: with another, with a list, with null. */
import { Field, ID, InputType, Int } from 'type-graphql';
import { GraphQLDateOrDuration, GraphQLDateTimeOrDuration, type MomentInput } from './relative-date.js';
import type { TaskPriority, TaskStatus } from './task.table.js';
import { TaskPriorityType, TaskStatusType } from './task.type.js';

/** Maximum number of values in one comparator. */
export const MAX_IN = 50;

/** Comparisons with a part of a text. */
export const PARTIAL = ['contains', 'containsIgnoreCase', 'startsWith', 'startsWithIgnoreCase'] as const;
export type PartialMatch = (typeof PARTIAL)[number];

@InputType({ description: 'Conditions on an id. All given conditions must hold.' })
export class IdComparator {
  @Field(() => ID, { nullable: true, description: 'Is equal to this id.' })
  eq?: string | null;

  @Field(() => ID, { nullable: true, description: 'Is not equal to this id.' })
  neq?: string | null;

  @Field(() => [ID], { nullable: true, description: `Is one of these ids, at most ${MAX_IN}.` })
  in?: string[] | null;

  @Field(() => [ID], { nullable: true, description: `Is none of these ids, at most ${MAX_IN}.` })
  nin?: string[] | null;
}

@InputType({
  description:
    'Conditions on a unique text such as a handle, key or name. Case-sensitive; canonically equivalent Unicode ' +
    'spellings (NFC, NFD) are equal.',
})
export class NameComparator {
  @Field(() => String, { nullable: true, description: 'Is equal to this text.' })
  eq?: string | null;

  @Field(() => [String], { nullable: true, description: `Is one of these texts, at most ${MAX_IN}.` })
  in?: string[] | null;
}

@InputType({
  description:
    'Conditions on a text. Canonically equivalent Unicode spellings (NFC, NFD) are equal. A null text matches ' +
    'none of these conditions, so `not` around them matches it.',
})
export class StringComparator {
  @Field(() => String, { nullable: true, description: 'Is equal to this text, case-sensitively.' })
  eq?: string | null;

  @Field(() => String, { nullable: true, description: 'Differs from this text, case-sensitively.' })
  neq?: string | null;

  @Field(() => [String], { nullable: true, description: `Is one of these texts, at most ${MAX_IN}.` })
  in?: string[] | null;

  @Field(() => [String], { nullable: true, description: `Is none of these texts, at most ${MAX_IN}.` })
  nin?: string[] | null;

  @Field(() => String, { nullable: true, description: 'Contains this text, case-sensitively.' })
  contains?: string | null;

  @Field(() => String, { nullable: true, description: 'Contains this text, ignoring case.' })
  containsIgnoreCase?: string | null;

  @Field(() => String, { nullable: true, description: 'Starts with this text, case-sensitively.' })
  startsWith?: string | null;

  @Field(() => String, { nullable: true, description: 'Starts with this text, ignoring case.' })
  startsWithIgnoreCase?: string | null;
}

@InputType({ description: 'Conditions on a text that can be null. All given conditions must hold.' })
export class NullableStringComparator extends StringComparator {
  @Field(() => Boolean, { nullable: true, description: 'True matches null, false matches any text.' })
  null?: boolean | null;
}

@InputType({ description: 'Conditions on a truth value. All given conditions must hold.' })
export class BooleanComparator {
  @Field(() => Boolean, { nullable: true, description: 'Is equal to this value.' })
  eq?: boolean | null;

  @Field(() => Boolean, { nullable: true, description: 'Is not equal to this value.' })
  neq?: boolean | null;
}

@InputType({ description: 'Conditions on a number. All given conditions must hold.' })
export class IntComparator {
  @Field(() => Int, { nullable: true, description: 'Is equal to this number.' })
  eq?: number | null;

  @Field(() => Int, { nullable: true, description: 'Is not equal to this number.' })
  neq?: number | null;

  @Field(() => [Int], { nullable: true, description: `Is one of these numbers, at most ${MAX_IN}.` })
  in?: number[] | null;

  @Field(() => [Int], { nullable: true, description: `Is none of these numbers, at most ${MAX_IN}.` })
  nin?: number[] | null;

  @Field(() => Int, { nullable: true, description: 'Is greater than this number.' })
  gt?: number | null;

  @Field(() => Int, { nullable: true, description: 'Is greater than or equal to this number.' })
  gte?: number | null;

  @Field(() => Int, { nullable: true, description: 'Is less than this number.' })
  lt?: number | null;

  @Field(() => Int, { nullable: true, description: 'Is less than or equal to this number.' })
  lte?: number | null;
}

@InputType({ description: 'Conditions on a number that can be null. All given conditions must hold.' })
export class NullableIntComparator extends IntComparator {
  @Field(() => Boolean, { nullable: true, description: 'True matches null, false matches any number.' })
  null?: boolean | null;
}

@InputType({ description: 'Conditions on the status of a task. All given conditions must hold.' })
export class TaskStatusComparator {
  @Field(() => TaskStatusType, { nullable: true, description: 'Is equal to this status.' })
  eq?: TaskStatus | null;

  @Field(() => TaskStatusType, { nullable: true, description: 'Is not equal to this status.' })
  neq?: TaskStatus | null;

  @Field(() => [TaskStatusType], { nullable: true, description: 'Is one of these statuses.' })
  in?: TaskStatus[] | null;

  @Field(() => [TaskStatusType], { nullable: true, description: 'Is none of these statuses.' })
  nin?: TaskStatus[] | null;
}

@InputType({ description: 'Conditions on the priority of a task. Priorities rise from NONE to URGENT.' })
export class TaskPriorityComparator {
  @Field(() => TaskPriorityType, { nullable: true, description: 'Is equal to this priority.' })
  eq?: TaskPriority | null;

  @Field(() => TaskPriorityType, { nullable: true, description: 'Is not equal to this priority.' })
  neq?: TaskPriority | null;

  @Field(() => [TaskPriorityType], { nullable: true, description: 'Is one of these priorities.' })
  in?: TaskPriority[] | null;

  @Field(() => [TaskPriorityType], { nullable: true, description: 'Is none of these priorities.' })
  nin?: TaskPriority[] | null;

  @Field(() => TaskPriorityType, { nullable: true, description: 'Is higher than this priority.' })
  gt?: TaskPriority | null;

  @Field(() => TaskPriorityType, { nullable: true, description: 'Is this priority or higher.' })
  gte?: TaskPriority | null;

  @Field(() => TaskPriorityType, { nullable: true, description: 'Is lower than this priority.' })
  lt?: TaskPriority | null;

  @Field(() => TaskPriorityType, { nullable: true, description: 'Is this priority or lower.' })
  lte?: TaskPriority | null;
}

@InputType({ description: 'Conditions on a day that can be null. A duration counts from today in UTC.' })
export class NullableDateComparator {
  @Field(() => GraphQLDateOrDuration, { nullable: true, description: 'Is exactly this day.' })
  eq?: MomentInput | null;

  @Field(() => GraphQLDateOrDuration, { nullable: true, description: 'Is another day, or null.' })
  neq?: MomentInput | null;

  @Field(() => GraphQLDateOrDuration, { nullable: true, description: 'Is after this day.' })
  gt?: MomentInput | null;

  @Field(() => GraphQLDateOrDuration, { nullable: true, description: 'Is this day or later.' })
  gte?: MomentInput | null;

  @Field(() => GraphQLDateOrDuration, { nullable: true, description: 'Is before this day.' })
  lt?: MomentInput | null;

  @Field(() => GraphQLDateOrDuration, { nullable: true, description: 'Is this day or earlier.' })
  lte?: MomentInput | null;

  @Field(() => Boolean, { nullable: true, description: 'True matches null, false matches any day.' })
  null?: boolean | null;
}

@InputType({ description: 'Conditions on an instant. A duration counts from the start of the current minute.' })
export class DateTimeComparator {
  @Field(() => GraphQLDateTimeOrDuration, { nullable: true, description: 'Is after this instant.' })
  gt?: MomentInput | null;

  @Field(() => GraphQLDateTimeOrDuration, { nullable: true, description: 'Is this instant or later.' })
  gte?: MomentInput | null;

  @Field(() => GraphQLDateTimeOrDuration, { nullable: true, description: 'Is before this instant.' })
  lt?: MomentInput | null;

  @Field(() => GraphQLDateTimeOrDuration, { nullable: true, description: 'Is this instant or earlier.' })
  lte?: MomentInput | null;
}

@InputType({
  description: 'Conditions on an instant that can be null. A duration counts from the start of the current minute.',
})
export class NullableDateTimeComparator extends DateTimeComparator {
  @Field(() => Boolean, { nullable: true, description: 'True matches null, false matches any instant.' })
  null?: boolean | null;
}
