/**
 * `Query.taskChangesSince`: the changes a client missed while it was not subscribed, as the subscription would have
 * sent them to this viewer.
 */
import { Args, ArgsType, Ctx, Field, ID, Int, ObjectType, Query, Resolver } from 'type-graphql';
import type { ProjectId } from '../../db/ids.js';
import type { Context, Loads } from '../../graphql/context.js';
import { badUserInput, cursorExpired } from '../../graphql/errors.js';
import { isGiven, readId } from '../../graphql/node.js';
import { visibleProjectIds } from '../projects/access.js';
import { readCursor, writeCursor } from './task-change.cursor.js';
import { TaskChange } from './task-change.type.js';
import { changeSeen } from './task-changes.js';
import { taskChangesSince } from './task-changes-since.js';

export const MAX_CHANGES = 500;
const DEFAULT_CHANGES = 100;
/** Points for the statement; each change costs one more. */
const COST = 20;

@ArgsType()
class TaskChangesSinceArgs {
  @Field(() => String, {
    nullable: true,
    description:
      'Cursor returned by the previous call. Omit it on the first call, which returns no changes and a cursor to ' +
      'start from.',
  })
  cursor?: string | null;

  @Field(() => Int, {
    defaultValue: DEFAULT_CHANGES,
    description: `Maximum number of changes to return, 1-${MAX_CHANGES}.`,
  })
  first: number;

  @Field(() => ID, {
    nullable: true,
    description: 'Limits the changes to one project. Pass the same value with every cursor of a chain.',
  })
  projectId?: string | null;
}

@ObjectType({ description: 'Task changes since a cursor, and the cursor to continue from.', simpleResolvers: true })
export class TaskChangePage {
  @Field(() => [TaskChange], {
    description: 'The changes. Those of one task are in commit order.',
    complexity: 0,
  })
  changes: TaskChange[];

  @Field(() => [ID], {
    description:
      'Ids of projects in which too many tasks changed at once to list every change. Refetch the tasks of these ' +
      'projects. Usually empty.',
  })
  refetchProjectIds: ProjectId[];

  @Field(() => String, { description: 'Cursor for the next call. Expires after about an hour.' })
  cursor: string;

  @Field(() => Boolean, { description: 'Whether more changes are available now. If true, call again immediately.' })
  hasMore: boolean;
}

@Resolver()
export class TaskChangesSinceResolver {
  @Query(() => TaskChangePage, {
    description:
      'Task changes since a cursor, in one project or in every project the viewer is a member of. Following the ' +
      'cursors returns each committed change exactly once. Fails with CURSOR_EXPIRED if the cursor is too old: ' +
      'refetch, then start again without a cursor.',
    complexity: ({ args, childComplexity }) =>
      COST + Math.min(Math.max(Number(args['first']), 1), MAX_CHANGES) * (1 + childComplexity),
  })
  async taskChangesSince(
    @Ctx() context: Context,
    @Args(() => TaskChangesSinceArgs) { cursor, first, projectId }: TaskChangesSinceArgs,
  ): Promise<TaskChangePage> {
    if (first < 1 || first > MAX_CHANGES) throw badUserInput('first', `expected 1 to ${MAX_CHANGES}, got ${first}`);
    const visible = await visibleProjectIds(context);
    const only = projectOf(projectId, visible);
    const projectIds = only === undefined ? visible : [only];
    const scope = only ?? 'all';
    const from = isGiven(cursor) ? readCursor(cursor, scope) : undefined;
    const answer = await context.loaders.loadUncached(taskChangesSince, { cursor: from, projectIds, first });
    if (answer.kind === 'expired') throw cursorExpired();
    const { next } = answer;
    const page = { cursor: writeCursor(next, scope), hasMore: next.rest !== undefined };
    if (answer.kind === 'too many') return { ...page, changes: [], refetchProjectIds: [...projectIds] };
    const seen = new Set(visible);
    // Loaded from Postgres as well: the cache may show a task as of before a change in this list.
    const direct = context.loaders.bypassing();
    const changes = answer.events.flatMap((event) => withLoads(changeSeen(event, seen, only), direct) ?? []);
    return { ...page, changes, refetchProjectIds: refetched(answer.bulk, projectIds) };
  }
}

/** @throws BAD_USER_INPUT, with one message for hidden and missing projects */
function projectOf(projectId: string | null | undefined, visible: readonly ProjectId[]): ProjectId | undefined {
  if (!isGiven(projectId)) return undefined;
  const id = readId('project', projectId, 'projectId');
  if (!visible.includes(id)) throw badUserInput('projectId', 'expected a project that you are a member of');
  return id;
}

function withLoads(change: TaskChange | undefined, loads: Loads): TaskChange | undefined {
  return change && Object.assign(change, { loads });
}

function refetched(bulk: readonly (ProjectId | null)[], projectIds: readonly ProjectId[]): ProjectId[] {
  return bulk.includes(null) ? [...projectIds] : projectIds.filter((id) => bulk.includes(id));
}
