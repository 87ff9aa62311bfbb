/** Invitations to a project: the list for its OWNERs, and the mutations. */
import { Arg, Args, Ctx, FieldResolver, Mutation, Resolver, Root } from 'type-graphql';
import { isId } from '../../db/ids.js';
import { type Context, limitAnswerTtl, recordInvalidations } from '../../graphql/context.js';
import { connection, PageArgs, pageOf, pageQuery } from '../../graphql/page.js';
import { toPayload } from '../../graphql/user-error.js';
import { userById } from '../users/user.loaders.js';
import { User } from '../users/user.type.js';
import { roleIn } from './access.js';
import { invitationsOf, type ListedInvitation } from './invitation.loaders.js';
import type { InvitationService } from './invitation.service.js';
import {
  AcceptInvitationInput,
  AcceptInvitationPayload,
  Invitation,
  InvitationConnection,
  InviteMemberInput,
  InviteMemberPayload,
  RevokeInvitationInput,
  RevokeInvitationPayload,
} from './invitation.type.js';
import { memberPayload, onlyId } from './project.resolver.js';
import type { ProjectRow } from './project.table.js';
import { Project } from './project.type.js';

@Resolver(() => Project)
export class ProjectInvitationsResolver {
  @FieldResolver(() => InvitationConnection, {
    description: 'Open invitations to the project, oldest first. Empty unless the viewer is an OWNER.',
  })
  invitations(@Root() project: ProjectRow, @Ctx() context: Context, @Args(() => PageArgs) args: PageArgs) {
    const query = pageQuery(args, 'invitations', ([id]) => isId('invitation', id ?? ''));
    const open = () => openInvitations(context, project);
    return connection({
      list: 'invitations',
      query,
      page: async () =>
        pageOf(
          (await open()).map(({ id }) => onlyId(id)),
          query,
        ),
      nodes: async (ids) => {
        const found = new Map((await open()).map((invitation) => [invitation.id, invitation]));
        return ids.map((id) => found.get(id) ?? null);
      },
      count: async () => (await open()).length,
    });
  }
}

@Resolver(() => Invitation)
export class InvitationResolver {
  constructor(private readonly service: InvitationService) {}

  @FieldResolver(() => User, {
    nullable: true,
    description:
      'User who created the invitation, which can be accepted only while this user is an active OWNER of the project. ' +
      'Null if that user was deleted.',
  })
  invitedBy(@Root() { invitedBy }: ListedInvitation, @Ctx() { loaders }: Context) {
    return invitedBy && loaders.load(userById, invitedBy);
  }

  @Mutation(() => InviteMemberPayload, {
    description:
      'Creates an invitation to a project, and the token that accepts it. Nothing is sent: pass the token on to the ' +
      'person. Requires the role OWNER.',
  })
  inviteMember(
    @Ctx() context: Context,
    @Arg('input', () => InviteMemberInput, { description: 'The project, the person and the role.' })
    input: InviteMemberInput,
  ) {
    return toPayload(async () => recordInvalidations(context, await this.service.invite(context, input)));
  }

  @Mutation(() => AcceptInvitationPayload, {
    description:
      "Makes the viewer a member of the project of an invitation, whose OWNERs then see the viewer's e-mail address. " +
      'For an existing member, neither the role nor who sees the address changes. A token works once; repeating the ' +
      'mutation as the same viewer succeeds.',
  })
  acceptInvitation(
    @Ctx() context: Context,
    @Arg('input', () => AcceptInvitationInput, { description: 'The token of the invitation.' })
    input: AcceptInvitationInput,
  ) {
    return memberPayload(context, () => this.service.accept(context, input));
  }

  @Mutation(() => RevokeInvitationPayload, {
    description: 'Revokes an open invitation: its token is not accepted any more. Requires the role OWNER.',
  })
  revokeInvitation(
    @Ctx() context: Context,
    @Arg('input', () => RevokeInvitationInput, { description: 'The invitation to revoke.' })
    input: RevokeInvitationInput,
  ) {
    return toPayload(async () => recordInvalidations(context, await this.service.revoke(context, input)));
  }
}

/** Those that have not expired, for an OWNER. The answer is valid until the next one expires. */
async function openInvitations(context: Context, { id }: ProjectRow): Promise<readonly ListedInvitation[]> {
  if ((await roleIn(context, id)) !== 'OWNER') return [];
  const nowMs = Date.now();
  const listed = await context.loaders.load(invitationsOf, id);
  const open = listed.filter(({ expiresAt }) => Date.parse(expiresAt) > nowMs);
  for (const { expiresAt } of open) limitAnswerTtl(context, Date.parse(expiresAt));
  return open;
}
