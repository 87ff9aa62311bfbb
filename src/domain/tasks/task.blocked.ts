/** The condition that a task is blocked, or is not, for a viewer. */
import type { ProjectId } from '../../db/ids.js';
import type { Context } from '../../graphql/context.js';
import { visibleProjectIds } from '../projects/access.js';
import { blockedBy, type Condition, not } from './task.condition.js';
import { blockingProjectsOf } from './task-relation.loaders.js';

/**
 * The projects of blocking tasks become a part of the condition, so that a list depends on no others.
 * @param projectIds the projects of the list
 */
export async function blockedCondition(
  context: Context,
  projectIds: readonly ProjectId[],
  wanted: boolean,
): Promise<Condition> {
  const [visible, found] = await Promise.all([
    visibleProjectIds(context),
    context.loaders.loadMany(blockingProjectsOf, projectIds),
  ]);
  const isVisible = new Set(visible);
  const blocked = blockedBy(
    projectIds.map((id, i) => [id, (found[i] ?? []).filter((by) => isVisible.has(by))] as const),
  );
  return wanted ? blocked : not(blocked);
}
