/** A list of tasks as a connection: its filter, order and page, and what the viewer pays for it. */
import type { ProjectId } from '../../db/ids.js';
import { mapMaybe } from '../../engine/cache/index.js';
import { type Context, limitAnswerTtl } from '../../graphql/context.js';
import { COSTS } from '../../graphql/limits.js';
import { isGiven } from '../../graphql/node.js';
import { connection, pageQuery } from '../../graphql/page.js';
import { validUntil } from './relative-date.js';
import { withBlockingProjects } from './task.blocked.js';
import { all, type Condition } from './task.condition.js';
import type { TaskFilter, TaskListArgs } from './task.filter-inputs.js';
import { readFilter } from './task.filter-parser.js';
import { isNarrow, isTaskPlace, type TaskListOrder, taskListWithin, taskOrder } from './task.list-query.js';
import {
  bringTasksOf,
  heavyRelativeTaskCounts,
  heavyRelativeTaskPages,
  heavyTaskCounts,
  heavyTaskPages,
  relativeTaskCounts,
  relativeTaskPages,
  taskById,
  taskCounts,
  taskPages,
} from './task.loaders.js';
import { isHeavy } from './task.work.js';

/**
 * Names a list in cursors by its arguments, not its result: while a client pages, the viewer may join a project and
 * time passes.
 */
export function listName(filter: TaskFilter | null | undefined, order: TaskListOrder, within: Condition): string {
  return JSON.stringify([filter ?? null, order, within]);
}

/** @param within a condition in addition to the filter */
export async function taskConnection(
  context: Context,
  projectIds: readonly ProjectId[],
  within: Condition,
  { filter, orderBy, ...page }: TaskListArgs,
) {
  const { loaders } = context;
  const order = taskOrder(orderBy, isGiven(filter?.search));
  const name = listName(filter, order, within);
  const query = pageQuery(page, name, (place) => isTaskPlace(order, place));
  const nowMs = Date.now();
  const { condition, relative } = await readFilter(context, filter, projectIds, nowMs);
  if (relative) limitAnswerTtl(context, validUntil(nowMs));
  const blocking = await withBlockingProjects(context, taskListWithin(projectIds, all([within, condition])));
  const { list } = blocking;
  const points = blocking.points + (isNarrow(list) ? 0 : Math.floor(COSTS.project * list.projectIds.length));
  if (points > 0) await context.charge?.(points);
  const { pages, counts } = sourcesFor(isHeavy(list), relative);
  const asked = { list, order, ...query };
  return connection({
    list: name,
    query,
    page: () => loaders.load(pages, asked),
    showsNodes: () => bringTasksOf(asked),
    // The viewer may not see a task that left these projects after the list was read.
    nodes: (ids) =>
      mapMaybe(loaders.loadMany(taskById, ids), (rows) =>
        rows.map((task) => (task && list.projectIds.includes(task.projectId) ? task : null)),
      ),
    count: () => loaders.load(counts, list),
  });
}

function sourcesFor(heavy: boolean, relative: boolean) {
  if (heavy) {
    return relative
      ? { pages: heavyRelativeTaskPages, counts: heavyRelativeTaskCounts }
      : { pages: heavyTaskPages, counts: heavyTaskCounts };
  }
  return relative ? { pages: relativeTaskPages, counts: relativeTaskCounts } : { pages: taskPages, counts: taskCounts };
}
