/** The trash of a project, and the mutations that move tasks into it and out of it. */
import { GraphQLDateTime } from 'graphql-scalars';
import { Arg, Args, Ctx, FieldResolver, Mutation, Resolver, Root } from 'type-graphql';
import { mapMaybe } from '../../engine/cache/index.js';
import { Cached } from '../../engine/graphql/index.js';
import { type Context, recordInvalidations } from '../../graphql/context.js';
import { connection, PageArgs, pageQuery } from '../../graphql/page.js';
import { toPayload } from '../../graphql/user-error.js';
import { roleIn } from '../projects/access.js';
import { isDeletionPlace } from '../projects/deletion-pages.js';
import { projectById } from '../projects/project.loaders.js';
import { mayWrite, type ProjectRow } from '../projects/project.table.js';
import { Project } from '../projects/project.type.js';
import { DELETED_BY, EXPIRES_AT, expiryOf } from '../projects/trashed.type.js';
import { manyPayload } from '../tasks/many-tasks.resolver.js';
import { DeleteTasksPayload } from '../tasks/many-tasks.type.js';
import { DeleteTaskInput, DeleteTasksInput } from '../tasks/task.inputs.js';
import { taskPayload } from '../tasks/task.resolver.js';
import { DeleteTaskPayload, TaskPayload } from '../tasks/task.type.js';
import { userById } from '../users/user.loaders.js';
import { User } from '../users/user.type.js';
import { trashedTaskById, trashedTaskCounts, trashedTaskPages } from './trashed-task.loaders.js';
import type { TrashedTaskService } from './trashed-task.service.js';
import type { TrashedTaskRow } from './trashed-task.table.js';
import {
  PurgeTaskInput,
  PurgeTaskPayload,
  RestoreTaskInput,
  TrashedTask,
  TrashedTaskConnection,
} from './trashed-task.type.js';

@Resolver(() => TrashedTask)
export class TrashedTaskResolver {
  constructor(
    private readonly service: TrashedTaskService,
    private readonly trashDays: number,
  ) {}

  @FieldResolver(() => String, {
    description: 'Identifier the task has again when it is restored, for example OPS-42.',
  })
  identifier(@Root() task: TrashedTaskRow, @Ctx() { loaders }: Context) {
    return mapMaybe(loaders.load(projectById, task.projectId), (project) => `${project?.key}-${task.number}`);
  }

  @FieldResolver(() => User, { nullable: true, description: DELETED_BY })
  @Cached(userById)
  deletedBy(@Root() task: TrashedTaskRow) {
    return task.deletedBy;
  }

  @FieldResolver(() => GraphQLDateTime, { description: EXPIRES_AT })
  expiresAt(@Root() task: TrashedTaskRow) {
    return expiryOf(task, this.trashDays);
  }

  @Mutation(() => DeleteTaskPayload, {
    description:
      'Moves a task with its comments into the trash of its project, from where restoreTask brings it back until it ' +
      'is purged. Its subtasks are kept and lose their parent.',
  })
  deleteTask(
    @Ctx() context: Context,
    @Arg('input', () => DeleteTaskInput, { description: 'The task to delete.' }) input: DeleteTaskInput,
  ) {
    return toPayload(async () => recordInvalidations(context, await this.service.delete(context, input)));
  }

  @Mutation(() => DeleteTasksPayload, {
    description:
      'Moves up to 100 tasks into the trash of their projects, as deleteTask does. Each task is deleted or refused ' +
      'independently.',
  })
  async deleteTasks(
    @Ctx() context: Context,
    @Arg('input', () => DeleteTasksInput, { description: 'The tasks to delete.' }) input: DeleteTasksInput,
  ) {
    const { results, errors } = await manyPayload(context, () => this.service.deleteMany(context, input));
    return { results: results.map(({ task, ...rest }) => ({ ...rest, deletedTaskId: task && rest.id })), errors };
  }

  @Mutation(() => TaskPayload, {
    description:
      'Restores a task from the trash with its identifier, fields and comments. It keeps labels that still exist, ' +
      'assignees who are still members, its parent if that is in the project, subtasks that have no other parent, and ' +
      'relations to tasks that exist. Its version increases by one.',
  })
  restoreTask(
    @Ctx() context: Context,
    @Arg('input', () => RestoreTaskInput, { description: 'The task to restore.' }) input: RestoreTaskInput,
  ) {
    return taskPayload(context, () => this.service.restore(context, input));
  }

  @Mutation(() => PurgeTaskPayload, {
    description: 'Deletes a task that is in the trash for good. Requires the role OWNER.',
  })
  purgeTask(
    @Ctx() context: Context,
    @Arg('input', () => PurgeTaskInput, { description: 'The task to purge.' }) input: PurgeTaskInput,
  ) {
    return toPayload(async () => recordInvalidations(context, await this.service.purge(context, input)));
  }
}

/** The trash of Project; this folder owns the foreign key. */
@Resolver(() => Project)
export class ProjectTrashResolver {
  @FieldResolver(() => TrashedTaskConnection, {
    nullable: true,
    description: 'Deleted tasks of the project, latest deletion first. Null for a VIEWER.',
  })
  async trash(@Root() project: ProjectRow, @Ctx() context: Context, @Args(() => PageArgs) args: PageArgs) {
    const { loaders } = context;
    const query = pageQuery(args, 'trash', isDeletionPlace('task'));
    if (!mayWrite(await roleIn(context, project.id))) return null;
    return connection({
      list: 'trash',
      query,
      page: () => loaders.load(trashedTaskPages, { parentId: project.id, ...query }),
      nodes: (ids) => loaders.loadMany(trashedTaskById, ids),
      count: () => loaders.load(trashedTaskCounts, project.id),
    });
  }
}
