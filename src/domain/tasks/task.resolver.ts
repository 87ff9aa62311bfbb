/** Queries, fields and mutations of tasks. Access to a task is checked where a request first reaches it. */
import { Arg, Args, Ctx, FieldResolver, ID, Mutation, Query, Resolver, Root } from 'type-graphql';
import { isId } from '../../db/ids.js';
import { mapMaybe } from '../../engine/cache/index.js';
import { Cached } from '../../engine/graphql/index.js';
import type { WriteResult } from '../../engine/postgres/index.js';
import { type Context, recordInvalidations } from '../../graphql/context.js';
import { exactlyOne, isGiven, readId } from '../../graphql/node.js';
import { connection, edgeCursor, PageArgs, pageOf, pageQuery } from '../../graphql/page.js';
import { toPayload } from '../../graphql/user-error.js';
import { WritesAsMember } from '../../graphql/writes-as-member.js';
import { labelById } from '../labels/label.loaders.js';
import { LabelConnection } from '../labels/label.type.js';
import { ifVisible, visibleProjectIds, writingRoleIn } from '../projects/access.js';
import { projectById } from '../projects/project.loaders.js';
import { Project } from '../projects/project.type.js';
import { userById } from '../users/user.loaders.js';
import { User } from '../users/user.type.js';
import { assigneeIdsOf } from './assignee-columns.js';
import { sortOrderOf } from './sort-key.js';
import { oneOf, TRUE } from './task.condition.js';
import { listName, taskConnection } from './task.connection.js';
import { TaskListArgs } from './task.filter-inputs.js';
import { previousIdentifiers, taskIdOf } from './task.identifier.js';
import {
  AddLabelsInput,
  AssignTaskInput,
  CompleteTaskInput,
  CreateTaskInput,
  MoveTaskInListInput,
  MoveTaskInput,
  RemoveLabelsInput,
  ReopenTaskInput,
  UpdateTaskInput,
} from './task.inputs.js';
import { taskOrder } from './task.list-query.js';
import { type LabelledTask, labelIdsOf, taskById } from './task.loaders.js';
import type { TaskService } from './task.service.js';
import { MAX_ASSIGNEES, type TaskRow } from './task.table.js';
import { Task, TaskConnection, TaskPayload } from './task.type.js';

/** Most tasks have one. */
const TYPICAL_ASSIGNEES = 2;

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

  @FieldResolver(() => String, {
    description:
      'Key of the task in the manual order of its project, up to 200 characters. Keys sort by code point, as `<` ' +
      'compares them in JavaScript. Changes with moveTaskInList and imports, and when the task moves to another project.',
  })
  sortOrder(@Root() task: TaskRow) {
    return sortOrderOf(task);
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

  @FieldResolver(() => User, {
    nullable: true,
    description: 'First of the users assigned to the task. Null if unassigned.',
    deprecationReason: 'Use `assignees` instead. Removed on 2027-12-01.',
  })
  @Cached(userById)
  assignee(@Root() task: TaskRow) {
    return task.assigneeId;
  }

  @FieldResolver(() => [User], {
    description: `Users assigned to the task, at most ${MAX_ASSIGNEES}, in the order given. Empty if unassigned.`,
    complexity: ({ childComplexity }) => 1 + TYPICAL_ASSIGNEES * childComplexity,
  })
  assignees(@Root() task: TaskRow, @Ctx() { loaders }: Context) {
    // A user who is deleted after the task was read is unassigned.
    return mapMaybe(loaders.loadMany(userById, assigneeIdsOf(task)), (users) => users.filter((user) => user !== null));
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
  @Mutation(() => TaskPayload, { description: 'Assigns a task to project members, or unassigns it.' })
  assignTask(
    @Ctx() context: Context,
    @Arg('input', () => AssignTaskInput, { description: 'The task and its new assignees.' }) input: AssignTaskInput,
  ) {
    return taskPayload(context, () => this.service.assign(context, input));
  }

  @Mutation(() => TaskPayload, {
    description:
      'Moves a task to another project. Its id stays, its number and identifier change, and Query.task still finds ' +
      'it by the old identifier. Comments are kept, as are labels that exist by name in the new project and ' +
      'assignees who are members there. The links to its parent and its subtasks are removed.',
  })
  moveTask(
    @Ctx() context: Context,
    @Arg('input', () => MoveTaskInput, { description: 'The task and the target project.' }) input: MoveTaskInput,
  ) {
    return taskPayload(context, () => this.service.move(context, input));
  }

  @Mutation(() => TaskPayload, {
    description:
      'Moves a task within the manual order of its project, directly before or after another task. Lists sorted by ' +
      'MANUAL show it. The history of the task does not.',
  })
  moveTaskInList(
    @Ctx() context: Context,
    @Arg('input', () => MoveTaskInListInput, { description: 'The task and its new place.' })
    input: MoveTaskInListInput,
  ) {
    return taskPayload(context, () => this.service.moveInList(context, input));
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
