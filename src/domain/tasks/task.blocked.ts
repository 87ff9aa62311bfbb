/** The condition that a task is blocked, for a viewer. */
import type { Context } from '../../graphql/context.js';
import { badUserInput } from '../../graphql/errors.js';
import { COSTS } from '../../graphql/limits.js';
import { visibleProjectIds } from '../projects/access.js';
import { blockedBy, parts, withBlocked } from './task.condition.js';
import type { TaskList } from './task.list-query.js';
import { blockingProjectsOf } from './task-relation.loaders.js';

/** Pairs of a project and one whose tasks block tasks of it, in one list. They become a part of its key. */
export const MAX_BLOCKING_PAIRS = 2000;

/**
 * Puts the projects of blocking tasks into the condition of a list that needs them, so that it depends on no others.
 * @returns with the points that they cost. @throws BAD_USER_INPUT if there are too many
 */
export async function withBlockingProjects(
  context: Context,
  list: TaskList,
): Promise<{ readonly list: TaskList; readonly points: number }> {
  const { projectIds, where } = list;
  if (!parts(where).some((part) => 'blocked' in part)) return { list, points: 0 };
  const [visible, found] = await Promise.all([
    visibleProjectIds(context),
    context.loaders.loadMany(blockingProjectsOf, projectIds),
  ]);
  const isVisible = new Set(visible);
  const blocking = projectIds.map((id, i) => [id, (found[i] ?? []).filter((by) => isVisible.has(by))] as const);
  const pairs = blocking.reduce((sum, [, by]) => sum + by.length, 0);
  if (pairs > MAX_BLOCKING_PAIRS) {
    const message = `isBlocked depends on more than ${MAX_BLOCKING_PAIRS} pairs of projects: filter by project as well`;
    throw badUserInput('filter', message);
  }
  return {
    list: { projectIds, where: withBlocked(where, blockedBy(blocking)) },
    points: Math.floor(COSTS.project * pairs),
  };
}
