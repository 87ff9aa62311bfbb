/** The list of deleted projects, and the mutations that delete and restore a project. */
import { GraphQLDateTime } from 'graphql-scalars';
import { Arg, Args, Ctx, FieldResolver, Mutation, Query, Resolver, Root } from 'type-graphql';
import type { ProjectId } from '../../db/ids.js';
import { mapMaybe } from '../../engine/cache/index.js';
import { Cached } from '../../engine/graphql/index.js';
import { type Context, recordInvalidations } from '../../graphql/context.js';
import { connection, PageArgs, pageQuery } from '../../graphql/page.js';
import { toPayload } from '../../graphql/user-error.js';
import { userById } from '../users/user.loaders.js';
import { User } from '../users/user.type.js';
import { isDeletionPlace } from './deletion-pages.js';
import { projectById } from './project.loaders.js';
import { DELETED_BY, EXPIRES_AT, expiryOf } from './trashed.type.js';
import { trashedProjectById, trashedProjectCounts, trashedProjectPages } from './trashed-project.loaders.js';
import type { TrashedProjectService } from './trashed-project.service.js';
import type { TrashedProjectRow } from './trashed-project.table.js';
import {
  DeleteProjectInput,
  DeleteProjectPayload,
  RestoreProjectInput,
  RestoreProjectPayload,
  TrashedProject,
  TrashedProjectConnection,
} from './trashed-project.type.js';

@Resolver(() => TrashedProject)
export class TrashedProjectResolver {
  constructor(
    private readonly service: TrashedProjectService,
    private readonly trashDays: number,
  ) {}

  @Query(() => TrashedProjectConnection, {
    description: 'Deleted projects the viewer was an OWNER of, latest deletion first.',
  })
  deletedProjects(@Ctx() context: Context, @Args(() => PageArgs) args: PageArgs) {
    const { loaders, viewerId } = context;
    const query = pageQuery(args, 'deletedProjects', isDeletionPlace('project'));
    return connection({
      list: 'deletedProjects',
      query,
      page: () => loaders.load(trashedProjectPages, { parentId: viewerId, ...query }),
      nodes: (ids) => trashedProjects(context, ids),
      count: () => loaders.load(trashedProjectCounts, viewerId),
    });
  }

  @FieldResolver(() => String, {
    description: 'Key of the project. No other project can have it until this one is purged.',
  })
  key(@Root() { id }: TrashedProjectRow, @Ctx() { loaders }: Context) {
    return mapMaybe(loaders.load(projectById, id), (project) => project?.key);
  }

  @FieldResolver(() => String, { description: 'Display name of the project.' })
  name(@Root() { id }: TrashedProjectRow, @Ctx() { loaders }: Context) {
    return mapMaybe(loaders.load(projectById, id), (project) => project?.name);
  }

  @FieldResolver(() => User, { nullable: true, description: DELETED_BY })
  @Cached(userById)
  deletedBy(@Root() project: TrashedProjectRow) {
    return project.deletedBy;
  }

  @FieldResolver(() => GraphQLDateTime, { description: EXPIRES_AT })
  expiresAt(@Root() project: TrashedProjectRow) {
    return expiryOf(project, this.trashDays);
  }

  @Mutation(() => DeleteProjectPayload, {
    description:
      'Deletes a project with its tasks, labels and comments. Requires the role OWNER. Until it is purged, OWNERs ' +
      'find it in Query.deletedProjects and can bring it back with restoreProject.',
  })
  deleteProject(
    @Ctx() context: Context,
    @Arg('input', () => DeleteProjectInput, { description: 'The project, and its key as a confirmation.' })
    input: DeleteProjectInput,
  ) {
    return toPayload(async () => recordInvalidations(context, await this.service.delete(context, input)));
  }

  @Mutation(() => RestoreProjectPayload, {
    description:
      'Restores a deleted project with its members and their roles. Requires that the viewer was an OWNER of it. ' +
      'Members whose user no longer exists are left out.',
  })
  restoreProject(
    @Ctx() context: Context,
    @Arg('input', () => RestoreProjectInput, { description: 'The deleted project.' }) input: RestoreProjectInput,
  ) {
    return toPayload(async () => recordInvalidations(context, await this.service.restore(context, input)));
  }
}

/** The rows, null for projects that have been restored or purged since the list was read. */
async function trashedProjects({ loaders }: Context, ids: readonly ProjectId[]) {
  const [rows, projects] = await Promise.all([
    loaders.loadMany(trashedProjectById, ids),
    loaders.loadMany(projectById, ids),
  ]);
  return rows.map((row, i) => (projects[i] ? row : null));
}
