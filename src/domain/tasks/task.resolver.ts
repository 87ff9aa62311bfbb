/** The queries, fields and mutations of Task, and what Project and User get from tasks. Who may see a task is asked where one is first reached. */
import { Arg, Args, Ctx, FieldResolver, ID, Int, Mutation, Query, Resolver, Root } from 'type-graphql';
import { isId, type ProjectId } from '../../db/ids.js';
import { mapMaybe } from '../../engine/cache/index.js';
import { Cached } from '../../engine/graphql/index.js';
import type { WriteResult } from '../../engine/postgres/index.js';
import { type Context, limitAnswerTtl, recordInvalidations } from '../../graphql/context.js';
import { badUserInput } from '../../graphql/errors.js';
import { COSTS } from '../../graphql/limits.js';
import { exactlyOne, isGiven, readId } from '../../graphql/node.js';
import { connection, edgeCursor, PageArgs, pageOf, pageQuery } from '../../graphql/page.js';
import { Refusal, toPayload, userError } from '../../graphql/user-error.js';
import { MINUTE } from '../../std/time.js';
import { labelById } from '../labels/label.loaders.js';
import { LabelConnection } from '../labels/label.type.js';
import { ifVisible, visibleProjectIds, writingRoleIn } from '../projects/access.js';
import { projectById, projectIdByKey } from '../projects/project.loaders.js';
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
import {
  AddLabelsInput,
  AssignTaskInput,
  CompleteTaskInput,
  CreateTaskInput,
  DeleteTaskInput,
  MoveTaskInput,
  RemoveLabelsInput,
  ReopenTaskInput,
  UpdateTaskInput,
  UpdateTasksInput,
} from './task.inputs.js';
import { isNarrow, isTaskPlace, type TaskListOrder, taskListWithin, taskOrder } from './task.list-query.js';
import {
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
  taskIdByNumber,
  taskPages,
} from './task.loaders.js';
import type { TaskService } from './task.service.js';
import { type TaskRow, taskRows } from './task.table.js';
import { DeleteTaskPayload, ProjectStats, Task, TaskConnection, TaskPayload, UpdateTasksPayload } from './task.type.js';
import { isHeavy } from './task.work.js';

@Resolver(() => Task)
export class TaskResolver {
  constructor(private readonly service: TaskService) {}

  @Query(() => Task, {
    nullable: true,
    description:
      'A task by its id or identifier, exactly one of them; null when there is none that the viewer may see.',
  })
  async task(
    @Ctx() context: Context,
    @Arg('id', () => ID, { nullable: true, description: 'Its id.' }) id?: string | null,
    @Arg('identifier', () => String, { nullable: true, description: 'Its identifier, like OPS-42.' }) identifier?:
      | string
      | null,
  ) {
    exactlyOne({ id, identifier }, 'id', 'identifier');
    const taskId = isGiven(id) ? readId('task', id, 'id') : await taskIdOf(context, identifier as string);
    return taskId && ifVisible(context, context.loaders.load(taskById, taskId), (task) => task.projectId);
  }

  @Query(() => TaskConnection, { description: 'The tasks of all projects that the viewer is a member of.' })
  async tasks(@Ctx() context: Context, @Args(() => TaskListArgs) args: TaskListArgs) {
    return taskConnection(context, await visibleProjectIds(context), TRUE, args);
  }

  @FieldResolver(() => String, {
    description:
      'Unique and human-readable: OPS-42. It changes when the task moves to another project; the id never does.',
  })
  identifier(@Root() task: TaskRow, @Ctx() { loaders }: Context) {
    return mapMaybe(loaders.load(projectById, task.projectId), (project) => `${project?.key}-${task.number}`);
  }

  @FieldResolver(() => Project, { description: 'What it belongs to.' })
  @Cached(projectById)
  project(@Root() task: TaskRow) {
    return task.projectId;
  }

  @FieldResolver(() => User, { description: 'Who created it.' })
  @Cached(userById)
  creator(@Root() task: TaskRow) {
    return task.creatorId;
  }

  @FieldResolver(() => User, { nullable: true, description: 'Who is to do it.' })
  @Cached(userById)
  assignee(@Root() task: TaskRow) {
    return task.assigneeId;
  }

  @FieldResolver(() => Task, { nullable: true, description: 'What it is a part of.' })
  parent(@Root() task: TaskRow, @Ctx() context: Context) {
    // It was of the task's own project when the task was read, and may have been moved since.
    return task.parentId && ifVisible(context, context.loaders.load(taskById, task.parentId), (row) => row.projectId);
  }

  @FieldResolver(() => TaskConnection, { description: 'Its parts.' })
  subtasks(@Root() task: TaskRow, @Ctx() context: Context, @Args(() => TaskListArgs) args: TaskListArgs) {
    return taskConnection(context, [task.projectId], oneOf('parentId', [task.id]), args);
  }

  @FieldResolver(() => LabelConnection, { description: 'The labels it bears, oldest label first.' })
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

  @FieldResolver(() => Boolean, { description: 'Whether the viewer may change it.' })
  viewerCanUpdate(@Root() task: TaskRow, @Ctx() context: Context) {
    return mapMaybe(writingRoleIn(context, task.projectId), (role) => role !== undefined);
  }

  @FieldResolver(() => Boolean, { description: 'Whether the viewer may delete it.' })
  viewerCanDelete(@Root() task: TaskRow, @Ctx() context: Context) {
    return mapMaybe(writingRoleIn(context, task.projectId), (role) => role !== undefined);
  }

  @Mutation(() => TaskPayload, { description: 'Creates a task.' })
  createTask(
    @Ctx() context: Context,
    @Arg('input', () => CreateTaskInput, { description: 'The task.' }) input: CreateTaskInput,
  ) {
    return taskPayload(context, () => this.service.create(context, input));
  }

  @Mutation(() => TaskPayload, { description: 'Changes a task.' })
  updateTask(
    @Ctx() context: Context,
    @Arg('input', () => UpdateTaskInput, { description: 'The changes.' }) input: UpdateTaskInput,
  ) {
    return taskPayload(context, () => this.service.update(context, input));
  }

  @Mutation(() => UpdateTasksPayload, {
    description: 'Changes many tasks alike. Each is changed or refused on its own.',
  })
  updateTasks(
    @Ctx() context: Context,
    @Arg('input', () => UpdateTasksInput, { description: 'The tasks and the changes.' }) input: UpdateTasksInput,
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

  @Mutation(() => DeleteTaskPayload, { description: 'Deletes a task with its comments.' })
  deleteTask(
    @Ctx() context: Context,
    @Arg('input', () => DeleteTaskInput, { description: 'The task.' }) input: DeleteTaskInput,
  ) {
    return toPayload(async () => recordInvalidations(context, await this.service.delete(context, input)));
  }

  @Mutation(() => TaskPayload, { description: 'Completes a task: its status becomes DONE.' })
  completeTask(
    @Ctx() context: Context,
    @Arg('input', () => CompleteTaskInput, { description: 'The task.' }) input: CompleteTaskInput,
  ) {
    return taskPayload(context, () => this.service.complete(context, input));
  }

  @Mutation(() => TaskPayload, { description: 'Reopens a task that is DONE or CANCELED: its status becomes TODO.' })
  reopenTask(
    @Ctx() context: Context,
    @Arg('input', () => ReopenTaskInput, { description: 'The task.' }) input: ReopenTaskInput,
  ) {
    return taskPayload(context, () => this.service.reopen(context, input));
  }

  @Mutation(() => TaskPayload, { description: 'Assigns a task to a member of its project, or to nobody.' })
  assignTask(
    @Ctx() context: Context,
    @Arg('input', () => AssignTaskInput, { description: 'The task and the member.' }) input: AssignTaskInput,
  ) {
    return taskPayload(context, () => this.service.assign(context, input));
  }

  @Mutation(() => TaskPayload, {
    description:
      'Moves a task to another project, where it gets a new number; its old identifier then finds nothing, its id stays. It keeps its comments, labels that the other project has by the same name, and an assignee who is a member there; its parent and its subtasks stay behind.',
  })
  moveTask(
    @Ctx() context: Context,
    @Arg('input', () => MoveTaskInput, { description: 'The task and the project.' }) input: MoveTaskInput,
  ) {
    return taskPayload(context, () => this.service.move(context, input));
  }

  @Mutation(() => TaskPayload, { description: 'Puts labels on a task.' })
  addLabels(
    @Ctx() context: Context,
    @Arg('input', () => AddLabelsInput, { description: 'The task and the labels.' }) input: AddLabelsInput,
  ) {
    return taskPayload(context, () => this.service.addLabels(context, input));
  }

  @Mutation(() => TaskPayload, { description: 'Takes labels from a task.' })
  removeLabels(
    @Ctx() context: Context,
    @Arg('input', () => RemoveLabelsInput, { description: 'The task and the labels.' }) input: RemoveLabelsInput,
  ) {
    return taskPayload(context, () => this.service.removeLabels(context, input));
  }
}

/** The tasks' end of `Project`: this folder owns the foreign key. */
@Resolver(() => Project)
export class ProjectTasksResolver {
  @FieldResolver(() => TaskConnection, { description: 'Its tasks.' })
  tasks(@Root() project: ProjectRow, @Ctx() context: Context, @Args(() => TaskListArgs) args: TaskListArgs) {
    return taskConnection(context, [project.id], TRUE, args);
  }

  // The time to live is the promise here: two of the numbers change with the clock alone.
  @FieldResolver(() => ProjectStats, {
    description: 'Its tasks in numbers; an expensive aggregate, kept for a minute.',
    complexity: 50,
  })
  @Cached<ProjectRow>({ ttlMs: MINUTE, scope: 'public', tags: (project) => taskRows.byProject(project.id) })
  stats(@Root() project: ProjectRow, @Ctx() { loaders }: Context) {
    return loaders.loadUncached(projectStats, project.id);
  }

  @FieldResolver(() => [BurndownPoint], {
    description: 'How many of its tasks were left, day by day; an expensive aggregate, kept for a minute.',
    complexity: 50,
  })
  @Cached<ProjectRow>({ ttlMs: MINUTE, scope: 'public', tags: (project) => taskRows.byProject(project.id) })
  burndown(
    @Root() project: ProjectRow,
    @Ctx() { loaders }: Context,
    @Arg('days', () => Int, { defaultValue: 30, description: 'How many days up to today: 1 to 365.' }) days: number,
  ) {
    return loaders.loadUncached(burndowns, { projectId: project.id, days: checkDays(days) });
  }
}

/** The tasks' end of `User`. */
@Resolver(() => User)
export class UserTasksResolver {
  @FieldResolver(() => TaskConnection, {
    description: 'What is assigned to this user, of the projects that the viewer is a member of.',
  })
  async assignedTasks(@Root() user: UserRow, @Ctx() context: Context, @Args(() => TaskListArgs) args: TaskListArgs) {
    return taskConnection(context, await visibleProjectIds(context), oneOf('assigneeId', [user.id]), args);
  }

  @FieldResolver(() => TaskConnection, {
    description: 'What this user has created, of the projects that the viewer is a member of.',
  })
  async createdTasks(@Root() user: UserRow, @Ctx() context: Context, @Args(() => TaskListArgs) args: TaskListArgs) {
    return taskConnection(context, await visibleProjectIds(context), oneOf('creatorId', [user.id]), args);
  }
}

/** Runs a mutation of one task. */
function taskPayload(context: Context, write: () => Promise<WriteResult<{ readonly task: TaskRow }>>) {
  return toPayload(async () => {
    const { task } = recordInvalidations(context, await write());
    const cursor = edgeCursor(listName(undefined, taskOrder(undefined), TRUE), { id: task.id, sort: [task.createdAt] });
    return { task, taskEdge: { cursor, node: task } };
  });
}

/** Names a list in cursors as it was asked: the viewer may join another project, and time goes on, while they leaf through. */
function listName(filter: TaskFilter | null | undefined, order: TaskListOrder, within: Condition): string {
  return JSON.stringify([filter ?? null, order, within]);
}

/** `within`: what is asked of tasks besides the filter. */
async function taskConnection(
  context: Context,
  projectIds: readonly ProjectId[],
  within: Condition,
  { filter, orderBy, ...page }: TaskListArgs,
) {
  const { loaders } = context;
  const order = taskOrder(orderBy);
  const name = listName(filter, order, within);
  const query = pageQuery(page, name, (place) => isTaskPlace(order, place));
  const nowMs = Date.now();
  const { condition, relative } = await readFilter(context, filter, projectIds, nowMs);
  if (relative) limitAnswerTtl(context, validUntil(nowMs));
  const list = taskListWithin(projectIds, all([within, condition]));
  const points = isNarrow(list) ? 0 : Math.floor(COSTS.project * list.projectIds.length);
  if (points > 0) await context.charge?.(points);
  const { pages, counts } = sourcesFor(isHeavy(list), relative);
  return connection({
    list: name,
    query,
    page: () => loaders.load(pages, { list, order, ...query }),
    // A task that left these projects since the list was read is not the viewer's to see.
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

/** @throws BAD_USER_INPUT when the text is no identifier. */
async function taskIdOf(context: Context, identifier: string) {
  const [, key, number] = /^([A-Z][A-Z0-9]{1,9})-([1-9][0-9]{0,8})$/.exec(identifier) ?? [];
  if (key === undefined) throw badUserInput('identifier', 'expected a project key and a number, like OPS-42');
  const projectId = await ifVisible(context, context.loaders.load(projectIdByKey, key), (found) => found);
  return projectId && context.loaders.load(taskIdByNumber, { projectId, number: Number(number) });
}
