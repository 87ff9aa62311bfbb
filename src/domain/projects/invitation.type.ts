/** GraphQL types of invitations. */
import { GraphQLDateTime } from 'graphql-scalars';
import { Field, ID, InputType, ObjectType } from 'type-graphql';
import type { InvitationId, ProjectId } from '../../db/ids.js';
import { connectionTypes } from '../../graphql/page.js';
import { UserError } from '../../graphql/user-error.js';
import type { InvitationRow } from './invitation.table.js';
import type { ProjectRow, Role } from './project.table.js';
import { Project, ProjectMemberEdge, ProjectRoleType } from './project.type.js';

/** Resolves from a row of `invitations`. */
@ObjectType({
  description: 'An open invitation to a project. The token that accepts it is shown only to its inviter, once.',
  simpleResolvers: true,
})
export class Invitation {
  @Field(() => ID, { description: 'Id of the invitation, for revokeInvitation.' })
  id: InvitationId;

  @Field(() => String, { description: 'E-mail address of the invited person, in lower case.' })
  email: string;

  @Field(() => ProjectRoleType, { description: 'Role of the person who accepts it.' })
  role: Role;

  @Field(() => GraphQLDateTime, { description: 'When the invitation was created.' })
  createdAt: string;

  @Field(() => GraphQLDateTime, { description: 'When the invitation expires, 14 days after its creation.' })
  expiresAt: string;
}

export const { Edge: InvitationEdge, Connection: InvitationConnection } = connectionTypes(
  'Invitation',
  () => Invitation,
);

@InputType({ description: 'Input for the mutation inviteMember.' })
export class InviteMemberInput {
  @Field(() => ID, { description: 'Id of the project.' })
  projectId: ProjectId;

  @Field(() => String, {
    description: 'E-mail address of the person. Nothing is sent to it: pass the token on yourself.',
  })
  email: string;

  @Field(() => ProjectRoleType, { description: 'Role of the person in the project.' })
  role: Role;
}

@InputType({ description: 'Input for the mutation acceptInvitation.' })
export class AcceptInvitationInput {
  @Field(() => String, { description: 'Token of the invitation.' })
  token: string;
}

@InputType({ description: 'Input for the mutation revokeInvitation.' })
export class RevokeInvitationInput {
  @Field(() => ID, { description: 'Id of the invitation.' })
  id: InvitationId;
}

@ObjectType({ description: 'Result of the mutation inviteMember.', simpleResolvers: true })
export class InviteMemberPayload {
  @Field(() => Invitation, { nullable: true, description: 'The new invitation. Null if there are errors.' })
  invitation?: InvitationRow | null;

  @Field(() => String, {
    nullable: true,
    description: 'The secret that accepts the invitation, shown only here. Null if there are errors.',
  })
  token?: string | null;

  @Field(() => [UserError], { description: 'Why the mutation was refused. Empty if it succeeded.' })
  errors: UserError[];
}

@ObjectType({ description: 'Result of the mutation acceptInvitation.', simpleResolvers: true })
export class AcceptInvitationPayload {
  @Field(() => Project, { nullable: true, description: 'The joined project. Null if there are errors.' })
  project?: ProjectRow | null;

  @Field(() => ProjectMemberEdge, {
    nullable: true,
    description: 'Edge of the viewer in the member list. Null if there are errors.',
  })
  memberEdge?: ProjectMemberEdge | null;

  @Field(() => [UserError], { description: 'Why the mutation was refused. Empty if it succeeded.' })
  errors: UserError[];
}

@ObjectType({ description: 'Result of the mutation revokeInvitation.', simpleResolvers: true })
export class RevokeInvitationPayload {
  @Field(() => ID, { nullable: true, description: 'Id of the revoked invitation. Null if there are errors.' })
  revokedInvitationId?: InvitationId | null;

  @Field(() => [UserError], { description: 'Why the mutation was refused. Empty if it succeeded.' })
  errors: UserError[];
}
