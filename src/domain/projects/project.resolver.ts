/** Queries, fields and mutations of projects. */
import { Arg, Args, Ctx, FieldResolver, ID, Mutation, Query, Resolver, Root } from 'type-graphql';
import { isId, type ProjectId } from '../../db/ids.js';
import { type MaybePromise, mapMaybe } from '../../engine/cache/index.js';
import type { WriteResult } from '../../engine/postgres/index.js';
import { type Context, recordInvalidations } from '../../graphql/context.js';
import { exactlyOne, isGiven, readId } from '../../graphql/node.js';
import { connection, edgeCursor, PageArgs, pageOf, pageQuery } from '../../graphql/page.js';
import { toPayload } from '../../graphql/user-error.js';
import { userById } from '../users/user.loaders.js';
import type { UserRow } from '../users/user.table.js';
import { ifVisible, roleIn, visibleProjectIds } from './access.js';
import { membersOf, projectById, projectIdByKey } from './project.loaders.js';
import type { ProjectService } from './project.service.js';
import { PROJECT_KEY, type ProjectRow, type Role } from './project.table.js';
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
  UpdateMemberInput,
  UpdateMemberPayload,
  UpdateProjectInput,
  UpdateProjectPayload,
} from './project.type.js';

@Resolver(() => Project)
export class ProjectResolver {
  constructor(private readonly service: ProjectService) {}

  @Query(() => Project, {
    nullable: true,
    description:
      'Finds a project by id or key; pass exactly one of them. Null if it does not exist or the viewer is not a ' +
      'member.',
  })
  async project(
    @Ctx() context: Context,
    @Arg('id', () => ID, { nullable: true, description: 'Id of the project.' }) id?: string | null,
    @Arg('key', () => String, { nullable: true, description: 'Key of the project, for example OPS.' }) key?:
      | string
      | null,
  ) {
    exactlyOne({ id, key }, 'id', 'key');
    if (isGiven(id)) return visibleProject(context, readId('project', id, 'id'));
    if (!PROJECT_KEY.test(key as string)) return null;
    const projectId = await ifVisible(context, context.loaders.load(projectIdByKey, key as string), (found) => found);
    return projectId && context.loaders.load(projectById, projectId);
  }

  @Query(() => ProjectConnection, { description: 'Projects the viewer is a member of, oldest first.' })
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

  @FieldResolver(() => ProjectMemberConnection, {
    description: 'Members of the project with their roles, in the order in which their user accounts were created.',
  })
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
      // Under a mutation the two reads may be of different moments; a member who left in between is omitted.
      return page.flatMap((edge) => {
        const role = roles.get(edge.node.id);
        return role === undefined ? [] : [{ ...edge, role }];
      });
    };
    return { ...users, edges };
  }

  @FieldResolver(() => ProjectRoleType, {
    nullable: true,
    description: "The viewer's role in the project. Null if the viewer has just left it.",
  })
  viewerRole(@Root() project: ProjectRow, @Ctx() context: Context) {
    return mapMaybe(roleIn(context, project.id), (role) => role ?? null);
  }

  @Mutation(() => CreateProjectPayload, { description: 'Creates a project with the viewer as its OWNER.' })
  createProject(
    @Ctx() context: Context,
    @Arg('input', () => CreateProjectInput, { description: 'The project to create.' }) input: CreateProjectInput,
  ) {
    return toPayload(async () => recordInvalidations(context, await this.service.create(context, input)));
  }

  @Mutation(() => UpdateProjectPayload, { description: 'Updates a project. Requires the role OWNER.' })
  updateProject(
    @Ctx() context: Context,
    @Arg('input', () => UpdateProjectInput, { description: 'The project and the fields to change.' })
    input: UpdateProjectInput,
  ) {
    return toPayload(async () => recordInvalidations(context, await this.service.update(context, input)));
  }

  @Mutation(() => ArchiveProjectPayload, {
    description:
      'Archives a project, or unarchives it. Requires the role OWNER. An archived project stays readable; only its ' +
      'members can be changed.',
  })
  archiveProject(
    @Ctx() context: Context,
    @Arg('input', () => ArchiveProjectInput, { description: 'The project to archive or unarchive.' })
    input: ArchiveProjectInput,
  ) {
    return toPayload(async () => recordInvalidations(context, await this.service.archive(context, input)));
  }

  @Mutation(() => AddMemberPayload, {
    description:
      'Adds a member to a project. Requires the role OWNER. Nothing changes for a member who already has this role; ' +
      'use updateMember to change a role.',
  })
  addMember(
    @Ctx() context: Context,
    @Arg('input', () => AddMemberInput, { description: 'The user, the project and the role.' }) input: AddMemberInput,
  ) {
    return memberPayload(context, () => this.service.addMember(context, input));
  }

  @Mutation(() => UpdateMemberPayload, {
    description:
      "Changes a member's role in a project. Requires the role OWNER. The last OWNER cannot get another role.",
  })
  updateMember(
    @Ctx() context: Context,
    @Arg('input', () => UpdateMemberInput, { description: 'The project, the member and the new role.' })
    input: UpdateMemberInput,
  ) {
    return memberPayload(context, () => this.service.updateMember(context, input));
  }

  @Mutation(() => RemoveMemberPayload, {
    description:
      "Removes a member from a project and unassigns the member's tasks in it. An OWNER can remove anyone, other " +
      'members only themselves. The last OWNER cannot be removed. Members can leave a deleted project, too.',
  })
  removeMember(
    @Ctx() context: Context,
    @Arg('input', () => RemoveMemberInput, { description: 'The project and the member to remove.' })
    input: RemoveMemberInput,
  ) {
    return toPayload(async () => recordInvalidations(context, await this.service.removeMember(context, input)));
  }
}

/** The project, or null if the viewer is not a member. */
export function visibleProject(context: Context, id: ProjectId): MaybePromise<ProjectRow | null> {
  return ifVisible(context, context.loaders.load(projectById, id), (project) => project.id);
}

/** Runs a mutation of one member. */
export function memberPayload(
  context: Context,
  write: () => Promise<WriteResult<{ readonly project: ProjectRow; readonly member: MemberOfWrite }>>,
) {
  return toPayload(async () => {
    const { project, member } = recordInvalidations(context, await write());
    const { user, role } = member;
    return { project, memberEdge: { cursor: edgeCursor(MEMBERS, onlyId(user.id)), node: user, role } };
  });
}

interface MemberOfWrite {
  readonly user: UserRow;
  readonly role: Role;
}

/** An item of a list sorted by id. */
export const onlyId = <Id extends string>(id: Id) => ({ id, sort: [] });
