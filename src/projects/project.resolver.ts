/** The queries and fields of Project, and its mutation. */
import { Arg, Args, Ctx, FieldResolver, ID, Mutation, Query, Resolver, Root } from 'type-graphql';
import { isId, type ProjectId } from '../db/ids.js';
import { type Context, traced } from '../graphql/context.js';
import { exactlyOne, isGiven, readId } from '../graphql/node.js';
import { connection, PageArgs, pageOf, pageQuery } from '../graphql/page.js';
import { orErrors } from '../graphql/user-error.js';
import { userById } from '../users/user.loaders.js';
import { UserConnection } from '../users/user.type.js';
import { ifVisible, visibleProjectIds } from './access.js';
import { memberIdsOf, projectById, projectIdByKey } from './project.loaders.js';
import type { ProjectService } from './project.service.js';
import { PROJECT_KEY, type ProjectRow } from './project.table.js';
import { CreateProjectInput, CreateProjectPayload, Project, ProjectConnection } from './project.type.js';

@Resolver(() => Project)
export class ProjectResolver {
  constructor(private readonly service: ProjectService) {}

  @Query(() => Project, {
    nullable: true,
    description:
      'A project by its id or key, exactly one of them; null when there is none that the viewer is a member of.',
  })
  async project(
    @Ctx() context: Context,
    @Arg('id', () => ID, { nullable: true, description: 'Its id.' }) id?: string | null,
    @Arg('key', () => String, { nullable: true, description: 'Its key, like OPS.' }) key?: string | null,
  ) {
    exactlyOne({ id, key }, 'id', 'key');
    if (isGiven(id)) return visibleProject(context, readId('project', id, 'id'));
    if (!PROJECT_KEY.test(key as string)) return null;
    const projectId = await ifVisible(context, context.loads.load(projectIdByKey, key as string), (found) => found);
    return projectId && context.loads.load(projectById, projectId);
  }

  @Query(() => ProjectConnection, { description: 'The projects that the viewer is a member of, oldest first.' })
  projects(@Ctx() context: Context, @Args(() => PageArgs) args: PageArgs) {
    const query = pageQuery(args, 'projects', ([id]) => isId('project', id ?? ''));
    return connection({
      list: 'projects',
      query,
      page: async () => pageOf((await visibleProjectIds(context)).map(onlyId), query),
      nodes: (ids) => context.loads.loadMany(projectById, ids),
      count: async () => (await visibleProjectIds(context)).length,
    });
  }

  @FieldResolver(() => UserConnection, { description: 'Who may see it.' })
  members(@Root() project: ProjectRow, @Ctx() { loads }: Context, @Args(() => PageArgs) args: PageArgs) {
    const query = pageQuery(args, 'members', ([id]) => isId('user', id ?? ''));
    const members = () => loads.load(memberIdsOf, project.id);
    return connection({
      list: 'members',
      query,
      page: async () => pageOf((await members()).map(onlyId), query),
      nodes: (ids) => loads.loadMany(userById, ids),
      count: async () => (await members()).length,
    });
  }

  @Mutation(() => CreateProjectPayload, { description: 'Creates a project that the viewer owns.' })
  createProject(
    @Ctx() context: Context,
    @Arg('input', () => CreateProjectInput, { description: 'The project.' }) input: CreateProjectInput,
  ) {
    return orErrors(async () => traced(context, await this.service.create(context.viewerId, input)));
  }
}

/** A project, if the viewer is a member. */
export function visibleProject(context: Context, id: ProjectId): Promise<ProjectRow | null> {
  return ifVisible(context, context.loads.load(projectById, id), (project) => project.id);
}

/** Of a list sorted by id. */
const onlyId = <Id extends string>(id: Id) => ({ id, sort: [] });
