/**
 * Queries, fields and mutations of tasks, and the task fields of Project and User. Access to a task is checked where a
 * request first reaches it.
 */
import { Arg, Args, Ctx, FieldResolver, ID, Int, Mutation, Query, Resolver, Root } from 'type-graphql';
import { isId, type ProjectId } from '../../db/ids.js';
import { mapMaybe } from '../../engine/cache/index.js';
import { Cached } from '../../engine/graphql/index.js';
import type { WriteResult } from '../../engine/postgres/index.js';
import { type Context, limitAnswerTtl, recordInvalidations } from '../../graphql/context.js';
import { COSTS } from '../../graphql/limits.js';
import { exactlyOne, isGiven, readId } from '../../graphql/node.js';
import { connection, edgeCursor, PageArgs, pageOf, pageQuery } from '../../graphql/page.js';
import { Refusal, toPayload, userError } from '../../graphql/user-error.js';
import { WritesAsMember } from '../../graphql/writes-as-member.js';
import { MINUTE } from '../../std/time.js';
import { labelById } from '../labels/label.loaders.js';
import { LabelConnection } from '../labels/label.type.js';
import { ifVisible, visibleProjectIds, writingRoleIn } from '../projects/access.js';
import { projectById } from '../projects/project.loaders.js';
import type { ProjectRow } from '../projects/project.table.js';
import { Project } from '../projects/project.type.js';
import { userById } from '../users/user.loaders.js';
import type { UserRow } from '../users/user.table.js';
import { User } from '../users/user.type.js';
import { BurndownPoint, burndowns, checkDays } from './burndown.js';
import { validUntil } from './relative-date.js';
import { all, type Condition, oneOf, TRUE } from './task.condition.js';
import { type TaskFilter, TaskListArgs } from './task.filter-inputs.js';
import { readFilter } from './task.filter-parser.js';
import { previousIdentifiers, taskIdOf } from './task.identifier.js';
import {
  AddLabelsInput,
  AssignTaskInput,
  CompleteTaskInput,
  CreateTaskInput,
  MoveTaskInput,
  RemoveLabelsInput,
  ReopenTaskInput,
  UpdateTaskInput,
  UpdateTasksInput,
} from './task.inputs.js';
import { isNarrow, isTaskPlace, type TaskListOrder, taskListWithin, taskOrder } from './task.list-query.js';
import {
  bringTasksOf,
  burndownTags,
  heavyRelativeTaskCounts,
  heavyRelativeTaskPages,
  heavyTaskCounts,
  heavyTaskPages,
  type LabelledTask,
  labelIdsOf,
  projectStats,
  relativeTaskCounts,
  relativeTaskPages,
  taskById,
  taskCounts,
  taskPages,
} from './task.loaders.js';
import type { TaskService } from './task.service.js';
import type { TaskRow } from './task.table.js';
import { ProjectStats, Task, TaskConnection, TaskPayload, UpdateTasksPayload } from './task.type.js';
import { isHeavy } from './task.work.js';

@Resolver(() => Task)
export class TaskResolver {
  constructor(private readonly service: TaskService) {}

  @Query(() => Task, {
    nullable: true,
    description:
      'Finds a task by id or identifier; pass exactly one of them. Null if it does not exist or the viewer ' +
      'cannot see it.',
  })
  async task(
    @Ctx() context: Context,
    @Arg('id', () => ID, { nullable: true, description: 'Id of the task.' }) id?: string | null,
    @Arg('identifier', () => String, {
      nullable: true,
      description: 'Identifier of the task, for example OPS-42, or one it had before it moved to another project.',
    })
    identifier?: string | null,
  ) {
    exactlyOne({ id, identifier }, 'id', 'identifier');
    const taskId = isGiven(id) ? readId('task', id, 'id') : await taskIdOf(context, identifier as string);
    return taskId && ifVisible(context, context.loaders.load(taskById, taskId), (task) => task.projectId);
  }

  @Query(() => TaskConnection, { description: 'Tasks of all projects the viewer is a member of.' })
  async tasks(@Ctx() context: Context, @Args(() => TaskListArgs) args: TaskListArgs) {
    return taskConnection(context, await visibleProjectIds(context), TRUE, args);
  }

  @FieldResolver(() => String, {
    description:
      'Unique human-readable identifier, for example OPS-42. Changes when the task moves to another project; ' +
      '`id` never changes.',
  })
  identifier(@Root() task: TaskRow, @Ctx() { loaders }: Context) {
    return mapMaybe(loaders.load(projectById, task.projectId), (project) => `${project?.key}-${task.number}`);
  }

  @FieldResolver(() => [String], {
    description:
      'The last 50 identifiers the task had before it moved, latest first; Query.task finds it by each of them. Only ' +
      'those in projects the viewer is a member of.',
    complexity: 1,
  })
  previousIdentifiers(@Root() task: TaskRow, @Ctx() context: Context) {
    return previousIdentifiers(context, task.id);
  }

  @FieldResolver(() => Project, { description: 'Project the task belongs to.' })
  @Cached(projectById)
  project(@Root() task: TaskRow) {
    return task.projectId;
  }

  @FieldResolver(() => User, { description: 'User who created the task.' })
  @Cached(userById)
  creator(@Root() task: TaskRow) {
    return task.creatorId;
  }

  @FieldResolver(() => User, { nullable: true, description: 'User assigned to the task. Null if unassigned.' })
  @Cached(userById)
  assignee(@Root() task: TaskRow) {
    return task.assigneeId;
  }

  @FieldResolver(() => Task, { nullable: true, description: 'Parent task. Null if the task is not a subtask.' })
  parent(@Root() task: TaskRow, @Ctx() context: Context) {
    // The parent was in the task's own project when the task was read, but may have moved since.
    return task.parentId && ifVisible(context, context.loaders.load(taskById, task.parentId), (row) => row.projectId);
  }

  @FieldResolver(() => TaskConnection, { description: 'Direct subtasks of the task.' })
  subtasks(@Root() task: TaskRow, @Ctx() context: Context, @Args(() => TaskListArgs) args: TaskListArgs) {
    return taskConnection(context, [task.projectId], oneOf('parentId', [task.id]), args);
  }

  @FieldResolver(() => LabelConnection, { description: 'Labels of the task, oldest label first.' })
  labels(
    @Root() task: TaskRow & Partial<LabelledTask>,
    @Ctx() { loaders }: Context,
    @Args(() => PageArgs) args: PageArgs,
  ) {
    const query = pageQuery(args, 'task.labels', ([id]) => isId('label', id ?? ''));
    const labelIds = () => task.labelIds ?? loaders.load(labelIdsOf, task.id);
    return connection({
      list: 'task.labels',
      query,
      page: () =>
        mapMaybe(labelIds(), (ids) =>
          pageOf(
            ids.map((id) => ({ id, sort: [] })),
            query,
          ),
        ),
      nodes: (ids) => loaders.loadMany(labelById, ids),
      count: () => mapMaybe(labelIds(), ({ length }) => length),
    });
  }

  @FieldResolver(() => Boolean, { description: 'Whether the viewer can update the task.' })
  viewerCanUpdate(@Root() task: TaskRow, @Ctx() context: Context) {
    return mapMaybe(writingRoleIn(context, task.projectId), (role) => role !== undefined);
  }

  @FieldResolver(() => Boolean, { description: 'Whether the viewer can delete the task.' })
  viewerCanDelete(@Root() task: TaskRow, @Ctx() context: Context) {
    return mapMaybe(writingRoleIn(context, task.projectId), (role) => role !== undefined);
  }

  @Mutation(() => TaskPayload, { description: 'Creates a task in a project.' })
  createTask(
    @Ctx() context: Context,
    @Arg('input', () => CreateTaskInput, { description: 'The task to create.' }) input: CreateTaskInput,
  ) {
    return taskPayload(context, () => this.service.create(context, input));
  }

  @WritesAsMember()
  @Mutation(() => TaskPayload, { description: 'Updates fields and labels of a task.' })
  updateTask(
    @Ctx() context: Context,
    @Arg('input', () => UpdateTaskInput, { description: 'The task and the fields to change.' }) input: UpdateTaskInput,
  ) {
    return taskPayload(context, () => this.service.update(context, input));
  }

  @Mutation(() => UpdateTasksPayload, {
    description: 'Applies the same change to up to 100 tasks. Each task succeeds or is refused independently.',
  })
  updateTasks(
    @Ctx() context: Context,
    @Arg('input', () => UpdateTasksInput, { description: 'The tasks and the fields to change.' })
    input: UpdateTasksInput,
  ) {
    const payload = toPayload(async () => {
      const updated = recordInvalidations(context, await this.service.updateMany(context, input));
      const results = updated.map(({ id, outcome }) =>
        outcome instanceof Refusal
          ? { id, task: null, errors: [userError(outcome)] }
          : { id, task: outcome, errors: [] },
      );
      return { results };
    });
    return payload.then((given) => ({ results: [], ...given }));
  }

  @WritesAsMember()
  @Mutation(() => TaskPayload, { description: 'Sets the status of a task to DONE.' })
  completeTask(
    @Ctx() context: Context,
    @Arg('input', () => CompleteTaskInput, { description: 'The task to complete.' }) input: CompleteTaskInput,
  ) {
    return taskPayload(context, () => this.service.complete(context, input));
  }

  @Mutation(() => TaskPayload, {
    description: 'Sets the status of a DONE or CANCELED task to TODO. Other tasks stay unchanged.',
  })
  reopenTask(
    @Ctx() context: Context,
    @Arg('input', () => ReopenTaskInput, { description: 'The task to reopen.' }) input: ReopenTaskInput,
  ) {
    return taskPayload(context, () => this.service.reopen(context, input));
  }

  @WritesAsMember()
  @Mutation(() => TaskPayload, { description: 'Assigns a task to a project member, or unassigns it.' })
  assignTask(
    @Ctx() context: Context,
    @Arg('input', () => AssignTaskInput, { description: 'The task and its new assignee.' }) input: AssignTaskInput,
  ) {
    return taskPayload(context, () => this.service.assign(context, input));
  }

  @Mutation(() => TaskPayload, {
    description:
      'Moves a task to another project. Its id stays, its number and identifier change, and Query.task still finds ' +
      'it by the old identifier. Comments are kept, as are labels that exist by name in the new project and an ' +
      'assignee who is a member there. The links to its parent and its subtasks are removed.',
  })
  moveTask(
    @Ctx() context: Context,
    @Arg('input', () => MoveTaskInput, { description: 'The task and the target project.' }) input: MoveTaskInput,
  ) {
    return taskPayload(context, () => this.service.move(context, input));
  }

  @Mutation(() => TaskPayload, { description: 'Adds labels to a task.' })
  addLabels(
    @Ctx() context: Context,
    @Arg('input', () => AddLabelsInput, { description: 'The task and the labels to add.' }) input: AddLabelsInput,
  ) {
    return taskPayload(context, () => this.service.addLabels(context, input));
  }

  @Mutation(() => TaskPayload, { description: 'Removes labels from a task.' })
  removeLabels(
    @Ctx() context: Context,
    @Arg('input', () => RemoveLabelsInput, { description: 'The task and the labels to remove.' })
    input: RemoveLabelsInput,
  ) {
    return taskPayload(context, () => this.service.removeLabels(context, input));
  }
}

/** The task fields of Project; this folder owns the foreign key. */
@Resolver(() => Project)
export class ProjectTasksResolver {
  @FieldResolver(() => TaskConnection, { description: 'Tasks of the project, including subtasks.' })
  tasks(@Root() project: ProjectRow, @Ctx() context: Context, @Args(() => TaskListArgs) args: TaskListArgs) {
    return taskConnection(context, [project.id], TRUE, args);
  }

  @FieldResolver(() => ProjectStats, {
    description: 'Task statistics of the project. Expensive to compute; cached for a minute.',
    complexity: COSTS.statistics,
  })
  @Cached(projectStats)
  stats(@Root() project: ProjectRow) {
    return project.id;
  }

  @FieldResolver(() => [BurndownPoint], {
    description: 'Open and completed tasks for each of the last days. Expensive to compute; cached for a minute.',
    complexity: COSTS.statistics,
  })
  @Cached<ProjectRow>({ ttlMs: MINUTE, scope: 'public', tags: ({ id }) => burndownTags(id) })
  burndown(
    @Root() project: ProjectRow,
    @Ctx() { loaders }: Context,
    @Arg('days', () => Int, { defaultValue: 30, description: 'Number of days up to and including today, 1-365.' })
    days: number,
  ) {
    return loaders.loadUncached(burndowns, { projectId: project.id, days: checkDays(days) });
  }
}

/** The task fields of User. */
@Resolver(() => User)
export class UserTasksResolver {
  @FieldResolver(() => TaskConnection, {
    description: 'Tasks assigned to the user, in projects the viewer is a member of.',
  })
  async assignedTasks(@Root() user: UserRow, @Ctx() context: Context, @Args(() => TaskListArgs) args: TaskListArgs) {
    return taskConnection(context, await visibleProjectIds(context), oneOf('assigneeId', [user.id]), args);
  }

  @FieldResolver(() => TaskConnection, {
    description: 'Tasks created by the user, in projects the viewer is a member of.',
  })
  async createdTasks(@Root() user: UserRow, @Ctx() context: Context, @Args(() => TaskListArgs) args: TaskListArgs) {
    return taskConnection(context, await visibleProjectIds(context), oneOf('creatorId', [user.id]), args);
  }
}

/** Runs a mutation of one task. */
export function taskPayload(context: Context, write: () => Promise<WriteResult<{ readonly task: TaskRow }>>) {
  return toPayload(async () => {
    const { task } = recordInvalidations(context, await write());
    const cursor = edgeCursor(listName(undefined, taskOrder(undefined, false), TRUE), {
      id: task.id,
      sort: [task.createdAt],
    });
    return { task, taskEdge: { cursor, node: task } };
  });
}

/**
 * Names a list in cursors by its arguments, not its result: while a client pages, the viewer may join a project and
 * time passes.
 */
function listName(filter: TaskFilter | null | undefined, order: TaskListOrder, within: Condition): string {
  return JSON.stringify([filter ?? null, order, within]);
}

/** @param within a condition in addition to the filter */
async function taskConnection(
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
  const list = taskListWithin(projectIds, all([within, condition]));
  const points = isNarrow(list) ? 0 : Math.floor(COSTS.project * list.projectIds.length);
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
