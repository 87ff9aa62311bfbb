/** The queries and fields of Project, and its mutations. */
import { Arg, Args, Ctx, FieldResolver, ID, Mutation, Query, Resolver, Root } from 'type-graphql';
import { isId, type ProjectId } from '../../db/ids.js';
import { type MaybePromise, mapMaybe } from '../../engine/cache/index.js';
import { type Context, recordInvalidations } from '../../graphql/context.js';
import { exactlyOne, isGiven, readId } from '../../graphql/node.js';
import { connection, edgeCursor, PageArgs, pageOf, pageQuery } from '../../graphql/page.js';
import { toPayload } from '../../graphql/user-error.js';
import { userById } from '../users/user.loaders.js';
import { ifVisible, roleIn, visibleProjectIds } from './access.js';
import { membersOf, projectById, projectIdByKey } from './project.loaders.js';
import type { ProjectService } from './project.service.js';
import { PROJECT_KEY, type ProjectRow } from './project.table.js';
import {
  AddMemberInput,
  AddMemberPayload,
  ArchiveProjectInput,
  ArchiveProjectPayload,
  CreateProjectInput,
  CreateProjectPayload,
  MEMBERS,
  Project,
  ProjectConnection,
  ProjectMemberConnection,
  ProjectRoleType,
  RemoveMemberInput,
  RemoveMemberPayload,
  UpdateProjectInput,
  UpdateProjectPayload,
} from './project.type.js';

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
    const projectId = await ifVisible(context, context.loaders.load(projectIdByKey, key as string), (found) => found);
    return projectId && context.loaders.load(projectById, projectId);
  }

  @Query(() => ProjectConnection, { description: 'The projects that the viewer is a member of, oldest first.' })
  projects(@Ctx() context: Context, @Args(() => PageArgs) args: PageArgs) {
    const query = pageQuery(args, 'projects', ([id]) => isId('project', id ?? ''));
    return connection({
      list: 'projects',
      query,
      page: () => mapMaybe(visibleProjectIds(context), (ids) => pageOf(ids.map(onlyId), query)),
      nodes: (ids) => context.loaders.loadMany(projectById, ids),
      count: () => mapMaybe(visibleProjectIds(context), ({ length }) => length),
    });
  }

  @FieldResolver(() => ProjectMemberConnection, { description: 'Who may see it, and do what.' })
  members(@Root() project: ProjectRow, @Ctx() { loaders }: Context, @Args(() => PageArgs) args: PageArgs) {
    const query = pageQuery(args, MEMBERS, ([id]) => isId('user', id ?? ''));
    const members = () => loaders.load(membersOf, project.id);
    const users = connection({
      list: MEMBERS,
      query,
      page: async () =>
        pageOf(
          (await members()).map(({ userId }) => onlyId(userId)),
          query,
        ),
      nodes: (ids) => loaders.loadMany(userById, ids),
      count: async () => (await members()).length,
    });
    const edges = async () => {
      const [page, all] = await Promise.all([users.edges(), members()]);
      const roles = new Map(all.map(({ userId, role }) => [userId, role]));
      // Under a mutation the two may be of different moments: who has left in between is left out.
      return page.flatMap((edge) => {
        const role = roles.get(edge.node.id);
        return role === undefined ? [] : [{ ...edge, role }];
      });
    };
    return { ...users, edges };
  }

  @FieldResolver(() => ProjectRoleType, {
    nullable: true,
    description: 'What the viewer may do in it; null for a viewer who has just left it.',
  })
  viewerRole(@Root() project: ProjectRow, @Ctx() context: Context) {
    return mapMaybe(roleIn(context, project.id), (role) => role ?? null);
  }

  @Mutation(() => CreateProjectPayload, { description: 'Creates a project that the viewer owns.' })
  createProject(
    @Ctx() context: Context,
    @Arg('input', () => CreateProjectInput, { description: 'The project.' }) input: CreateProjectInput,
  ) {
    return toPayload(async () => recordInvalidations(context, await this.service.create(context, input)));
  }

  @Mutation(() => UpdateProjectPayload, { description: 'Changes a project; its OWNERs may.' })
  updateProject(
    @Ctx() context: Context,
    @Arg('input', () => UpdateProjectInput, { description: 'The changes.' }) input: UpdateProjectInput,
  ) {
    return toPayload(async () => recordInvalidations(context, await this.service.update(context, input)));
  }

  @Mutation(() => ArchiveProjectPayload, {
    description:
      'Archives a project, or brings it back; its OWNERs may. Of an archived one all can be read, and only its members can be changed.',
  })
  archiveProject(
    @Ctx() context: Context,
    @Arg('input', () => ArchiveProjectInput, { description: 'The project.' }) input: ArchiveProjectInput,
  ) {
    return toPayload(async () => recordInvalidations(context, await this.service.archive(context, input)));
  }

  @Mutation(() => AddMemberPayload, {
    description: 'Adds a member to a project, or gives one another role; its OWNERs may. One OWNER stays.',
  })
  addMember(
    @Ctx() context: Context,
    @Arg('input', () => AddMemberInput, { description: 'The member.' }) input: AddMemberInput,
  ) {
    return toPayload(async () => {
      const { project, member } = recordInvalidations(context, await this.service.addMember(context, input));
      const { user, role } = member;
      return { project, memberEdge: { cursor: edgeCursor(MEMBERS, onlyId(user.id)), node: user, role } };
    });
  }

  @Mutation(() => RemoveMemberPayload, {
    description:
      'Removes a member from a project: OWNERs anybody, all others themselves. One OWNER stays. Tasks of the project assigned to them become unassigned.',
  })
  removeMember(
    @Ctx() context: Context,
    @Arg('input', () => RemoveMemberInput, { description: 'The member.' }) input: RemoveMemberInput,
  ) {
    return toPayload(async () => recordInvalidations(context, await this.service.removeMember(context, input)));
  }
}

/** A project, if the viewer is a member. */
export function visibleProject(context: Context, id: ProjectId): MaybePromise<ProjectRow | null> {
  return ifVisible(context, context.loaders.load(projectById, id), (project) => project.id);
}

/** Of a list sorted by id. */
const onlyId = <Id extends string>(id: Id) => ({ id, sort: [] });
