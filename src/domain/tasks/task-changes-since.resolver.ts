/** `Query.taskChangesSince`: what a client missed while it was not subscribed. It shows what the subscription would have told its viewer. */
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
/** In points: the statement, besides one for each change. */
const COST = 20;

@ArgsType()
class TaskChangesSinceArgs {
  @Field(() => String, {
    nullable: true,
    description:
      'The cursor of the previous call. Without one, no changes are returned, and the cursor to continue with.',
  })
  cursor?: string | null;

  @Field(() => Int, { defaultValue: DEFAULT_CHANGES, description: `How many changes at most: 1 to ${MAX_CHANGES}.` })
  first: number;

  @Field(() => ID, { nullable: true, description: 'Only tasks of this project. The same in all calls of a chain.' })
  projectId?: string | null;
}

@ObjectType({ description: 'Changes of tasks since a cursor, and the cursor to continue with.', simpleResolvers: true })
export class TaskChangePage {
  @Field(() => [TaskChange], {
    description: 'The changes, for each task in the order of their commits.',
    complexity: 0,
  })
  changes: TaskChange[];

  @Field(() => [ID], {
    description:
      'Projects whose changes are not all listed, because too many tasks changed at once: refetch their tasks. Usually empty.',
  })
  refetchProjectIds: ProjectId[];

  @Field(() => String, { description: 'Give it to the next call. It expires after about an hour.' })
  cursor: string;

  @Field(() => Boolean, { description: 'Whether more changes are waiting: call again at once.' })
  hasMore: boolean;
}

@Resolver()
export class TaskChangesSinceResolver {
  @Query(() => TaskChangePage, {
    description:
      'What happened to tasks since a cursor: of one project, or of all projects that the viewer is a member of. A chain of cursors returns each committed change exactly once. Fails with CURSOR_EXPIRED when the cursor is too old: then refetch, and begin without a cursor.',
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
    // Read from Postgres, too: the cache may show a task as it was before a change that is listed here.
    const direct = context.loaders.bypassing();
    const changes = answer.events.flatMap((event) => withLoads(changeSeen(event, seen, only), direct) ?? []);
    return { ...page, changes, refetchProjectIds: refetched(answer.bulk, projectIds) };
  }
}

/** @throws BAD_USER_INPUT, the same for a project that is hidden and one that does not exist */
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
