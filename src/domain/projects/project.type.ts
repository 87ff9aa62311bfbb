/** GraphQL types of projects. */
import { GraphQLDateTime } from 'graphql-scalars';
import { Field, ID, InputType, Int, ObjectType, registerEnumType } from 'type-graphql';
import type { ProjectId, UserId } from '../../db/ids.js';
import { COSTS } from '../../graphql/limits.js';
import { Node } from '../../graphql/node.js';
import { connectionTypes, PageInfo } from '../../graphql/page.js';
import { IDEMPOTENCY_KEY, UserError } from '../../graphql/user-error.js';
import type { UserRow } from '../users/user.table.js';
import { User } from '../users/user.type.js';
import { type ProjectRow, projectRole, type Role } from './project.table.js';

export const ProjectRoleType = Object.fromEntries(projectRole.enumValues.map((value) => [value, value]));
registerEnumType(ProjectRoleType, {
  name: 'ProjectRole',
  description: 'Role of a project member, which decides what the member can do.',
  valuesConfig: {
    OWNER: {
      description:
        'Can do everything a MEMBER can, and edit the project and its members. Every project has at least one.',
    },
    MEMBER: { description: 'Can read everything in the project and write tasks, labels and comments.' },
    VIEWER: { description: 'Can read everything in the project.' },
  },
});

/** Names the member list in cursors. */
export const MEMBERS = 'members';

/** Resolves from a row of `projects`. */
@ObjectType({
  implements: Node,
  description: 'A project: groups tasks and labels. Only its members can see it.',
  simpleResolvers: true,
})
export class Project extends Node {
  declare id: ProjectRow['id'];

  @Field(() => String, { description: 'Unique key and prefix of task identifiers: OPS in OPS-42. Never changes.' })
  key: string;

  @Field(() => String, { description: 'Display name, a single line of 1-100 characters.' })
  name: string;

  @Field(() => String, {
    nullable: true,
    description: 'What the project is about. Null if it has no description.',
    complexity: COSTS.shortTextField,
  })
  description: string | null;

  @Field(() => GraphQLDateTime, {
    nullable: true,
    description: 'When the project was archived. Null if it is not archived.',
  })
  archivedAt: string | null;

  @Field(() => GraphQLDateTime, { description: 'When the project was created.' })
  createdAt: string;
}

export const { Edge: ProjectEdge, Connection: ProjectConnection } = connectionTypes('Project', () => Project);

@ObjectType({ description: 'An edge of a member list: the user, the role and the cursor.', simpleResolvers: true })
export class ProjectMemberEdge {
  @Field(() => String, { description: 'Opaque cursor of this edge, for `after` and `before`.' })
  cursor: string;

  @Field(() => User, { description: 'The user who is a member.' })
  node: UserRow;

  @Field(() => ProjectRoleType, { description: 'Role of the user in this project.' })
  role: Role;
}

@ObjectType({ description: 'A page of the members of a project.', simpleResolvers: true })
export class ProjectMemberConnection {
  @Field(() => [ProjectMemberEdge], { description: 'Members of this page with role and cursor.' })
  edges: ProjectMemberEdge[];

  @Field(() => [User], { description: 'Users of this page without role and cursor.' })
  nodes: UserRow[];

  @Field(() => PageInfo, { description: 'Pagination state of this page.' })
  pageInfo: PageInfo;

  @Field(() => Int, { description: 'Number of members on all pages. Counted only if selected.' })
  totalCount: number;
}

@InputType({ description: 'Input for the mutation createProject.' })
export class CreateProjectInput {
  @Field(() => String, {
    description:
      '2-10 uppercase letters or digits, starting with a letter. Unique across all projects; cannot be changed later.',
  })
  key: string;

  @Field(() => String, { description: 'Display name, a single line of 1-100 characters.' })
  name: string;

  @Field(() => String, {
    nullable: true,
    description: 'Up to 10,000 characters. A blank text is stored as `null`.',
  })
  description?: string | null;

  @Field(() => String, { nullable: true, description: IDEMPOTENCY_KEY })
  idempotencyKey?: string | null;
}

@InputType({
  description: 'Input for the mutation updateProject. Omitted fields stay unchanged; `null` clears a field.',
})
export class UpdateProjectInput {
  @Field(() => ID, { description: 'Id of the project to update.' })
  id: ProjectId;

  @Field(() => String, {
    nullable: true,
    description: 'Display name, a single line of 1-100 characters. Cannot be null.',
  })
  name?: string | null;

  @Field(() => String, { nullable: true, description: 'Up to 10,000 characters. `null` or a blank text clears it.' })
  description?: string | null;
}

@InputType({ description: 'Input for the mutation archiveProject.' })
export class ArchiveProjectInput {
  @Field(() => ID, { description: 'Id of the project to archive or unarchive.' })
  id: ProjectId;

  @Field(() => Boolean, { defaultValue: true, description: 'True archives the project, false unarchives it.' })
  archived: boolean;
}

@InputType({ description: 'Input for the mutation addMember.' })
export class AddMemberInput {
  @Field(() => ID, { description: 'Id of the project.' })
  projectId: ProjectId;

  @Field(() => ID, {
    nullable: true,
    description: 'Id of the user. Pass exactly one of `userId`, `handle` and `email`.',
  })
  userId?: UserId | null;

  @Field(() => String, {
    nullable: true,
    description: 'Handle of the user. Pass exactly one of `userId`, `handle` and `email`.',
  })
  handle?: string | null;

  @Field(() => String, {
    nullable: true,
    description:
      'Verified e-mail address of an active user, ignoring case. Pass exactly one of `userId`, `handle` and `email`.',
  })
  email?: string | null;

  @Field(() => ProjectRoleType, {
    description: 'Role of the user in the project. An existing member must have the same one.',
  })
  role: Role;
}

@InputType({ description: 'Input for the mutation updateMember.' })
export class UpdateMemberInput {
  @Field(() => ID, { description: 'Id of the project.' })
  projectId: ProjectId;

  @Field(() => ID, { description: 'Id of the member.' })
  userId: UserId;

  @Field(() => ProjectRoleType, { description: 'New role of the member.' })
  role: Role;
}

@InputType({ description: 'Input for the mutation removeMember.' })
export class RemoveMemberInput {
  @Field(() => ID, { description: 'Id of the project.' })
  projectId: ProjectId;

  @Field(() => ID, { description: 'Id of the member to remove.' })
  userId: UserId;
}

@ObjectType({ simpleResolvers: true })
export abstract class ProjectPayload {
  @Field(() => Project, { nullable: true, description: 'The project after the mutation. Null if there are errors.' })
  project?: ProjectRow | null;

  @Field(() => [UserError], { description: 'Why the mutation was refused. Empty if it succeeded.' })
  errors: UserError[];
}

@ObjectType({ description: 'Result of the mutation createProject.', simpleResolvers: true })
export class CreateProjectPayload extends ProjectPayload {}

@ObjectType({ description: 'Result of the mutation updateProject.', simpleResolvers: true })
export class UpdateProjectPayload extends ProjectPayload {}

@ObjectType({ description: 'Result of the mutation archiveProject.', simpleResolvers: true })
export class ArchiveProjectPayload extends ProjectPayload {}

@ObjectType({ simpleResolvers: true })
abstract class MemberPayload extends ProjectPayload {
  @Field(() => ProjectMemberEdge, {
    nullable: true,
    description: 'Edge of the member in the member list. Null if there are errors.',
  })
  memberEdge?: ProjectMemberEdge | null;
}

@ObjectType({ description: 'Result of the mutation addMember.', simpleResolvers: true })
export class AddMemberPayload extends MemberPayload {}

@ObjectType({ description: 'Result of the mutation updateMember.', simpleResolvers: true })
export class UpdateMemberPayload extends MemberPayload {}

@ObjectType({ description: 'Result of the mutation removeMember.', simpleResolvers: true })
export class RemoveMemberPayload {
  @Field(() => ID, { nullable: true, description: 'Id of the user who was removed. Null if there are errors.' })
  removedUserId?: UserId | null;

  @Field(() => Project, {
    nullable: true,
    description: 'The project after the mutation. Null if there are errors or the viewer left the project.',
  })
  project?: ProjectRow | null;

  @Field(() => [UserError], { description: 'Why the mutation was refused. Empty if it succeeded.' })
  errors: UserError[];
}
