/** Parses the filters on users: a task's creator, its first assignee, and all its assignees. */
import type { UserId } from '../../db/ids.js';
import type { MaybePromise } from '../../engine/cache/index.js';
import type { Context } from '../../graphql/context.js';
import { badUserInput } from '../../graphql/errors.js';
import { isGiven, readId } from '../../graphql/node.js';
import { userIdByHandle } from '../users/user.loaders.js';
import { USER_HANDLE } from '../users/user.table.js';
import { type Operators, refuseNulls } from './task.comparands.js';
import type { BooleanComparator, NameComparator } from './task.comparators.js';
import { all, type Column, type Condition, conjuncts, not, oneOf, TRUE, together, valuesOf } from './task.condition.js';
import type { NullableUserFilter, UserFilter } from './task.filter-inputs.js';

export type ToText<T> = (value: T, at: string) => string;

/** Parses the comparisons of one filter, of which there may be a limited number. */
export interface Comparisons {
  readonly context: Context;
  /** @throws if there are too many comparisons */
  count(at: string): void;
  values<T>(column: Column, comparator: Operators<T>, at: string, toText: ToText<T>): Condition;
  missing(column: Column, comparator: { null?: boolean | null }, at: string): Condition;
  /** A condition on the column that holds the ids of objects with these names. */
  named<I extends string>(
    column: Column,
    comparator: NameComparator | null | undefined,
    at: string,
    load: (name: string) => MaybePromise<I | null>,
  ): Promise<Condition>;
}

export async function userCondition(
  comparisons: Comparisons,
  column: 'assigneeId' | 'creatorId',
  filter: NullableUserFilter,
  at: string,
): Promise<Condition> {
  refuseNulls(filter, at);
  const { id, handle, isMe } = filter;
  const readUserId = (text: string, where: string) => readId('user', text, where);
  const load = (text: string): MaybePromise<UserId | null> =>
    USER_HANDLE.test(text) ? comparisons.context.loaders.load(userIdByHandle, text) : null;
  return all([
    id ? comparisons.values(column, id, `${at}.id`, readUserId) : TRUE,
    await comparisons.named(column, handle, `${at}.handle`, load),
    isMe ? isViewer(comparisons, column, isMe, `${at}.isMe`) : TRUE,
    comparisons.missing(column, filter, at),
  ]);
}

/** Becomes a condition on the viewer's id, so lists of different viewers have different keys. */
function isViewer(comparisons: Comparisons, column: Column, comparator: BooleanComparator, at: string): Condition {
  refuseNulls(comparator, at);
  const viewer = oneOf(column, [comparisons.context.viewerId]);
  const wanted = [comparator.eq, isGiven(comparator.neq) ? !comparator.neq : undefined].filter(isGiven);
  for (const _ of wanted) comparisons.count(at);
  return together(wanted.map((value) => (value ? viewer : not(viewer))));
}

/** The ids of matching users, or `any`. */
export async function userIds(
  comparisons: Comparisons,
  filter: UserFilter,
  at: string,
): Promise<readonly UserId[] | 'any'> {
  comparisons.count(at);
  // Parsed as a condition on a column; its values are the ids.
  const condition = await userCondition(comparisons, 'assigneeId', filter, at);
  if (conjuncts(condition).length === 0) return 'any';
  const sets = conjuncts(condition).map(valuesOf);
  if (sets.includes(undefined)) {
    throw badUserInput(at, 'expected eq, in or isMe with eq: true; use none for users who must not match');
  }
  const [first = [], ...others] = sets as UserId[][];
  return first.filter((id) => others.every((ids) => ids.includes(id)));
}
