/** Project as GraphQL shows it, and what its mutations take and give. */
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
  description: 'What a member of a project may do.',
  valuesConfig: {
    OWNER: { description: 'All that a MEMBER may; and change the project and its members. Every project has one.' },
    MEMBER: { description: 'See all, and write tasks, labels and comments.' },
    VIEWER: { description: 'See all.' },
  },
});

/** Names the list of a project's members in cursors. */
export const MEMBERS = 'members';

/** Its root value is a row of `projects`. */
@ObjectType({ implements: Node, description: 'A body of work with members; holds tasks.', simpleResolvers: true })
export class Project extends Node {
  declare id: ProjectRow['id'];

  @Field(() => String, { description: "Unique; the front of its tasks' identifiers: OPS in OPS-42." })
  key: string;

  @Field(() => String, { description: 'The name to show.' })
  name: string;

  @Field(() => String, { nullable: true, description: 'What it is about.', complexity: COSTS.shortTextField })
  description: string | null;

  @Field(() => GraphQLDateTime, { nullable: true, description: 'When it was archived, if it was.' })
  archivedAt: string | null;

  @Field(() => GraphQLDateTime, { description: 'When it was created.' })
  createdAt: string;
}

export const { Edge: ProjectEdge, Connection: ProjectConnection } = connectionTypes('Project', () => Project);

@ObjectType({ description: 'A member of a project.', simpleResolvers: true })
export class ProjectMemberEdge {
  @Field(() => String, { description: 'Names this place in the list, for `after`.' })
  cursor: string;

  @Field(() => User, { description: 'Who it is.' })
  node: UserRow;

  @Field(() => ProjectRoleType, { description: 'What they may do in the project.' })
  role: Role;
}

@ObjectType({ description: "A page of a project's members.", simpleResolvers: true })
export class ProjectMemberConnection {
  @Field(() => [ProjectMemberEdge], { description: 'The page with a cursor and the role of each.' })
  edges: ProjectMemberEdge[];

  @Field(() => [User], { description: 'The page without cursors.' })
  nodes: UserRow[];

  @Field(() => PageInfo, { description: 'Where this page stands.' })
  pageInfo: PageInfo;

  @Field(() => Int, { description: 'How many there are on all pages. Counted only when asked for.' })
  totalCount: number;
}

@InputType({ description: 'A project to create; the viewer becomes its owner.' })
export class CreateProjectInput {
  @Field(() => String, { description: '2 to 10 capital letters or digits, a letter first; unique.' })
  key: string;

  @Field(() => String, { description: 'One line, 1-100 characters.' })
  name: string;

  @Field(() => String, {
    nullable: true,
    description: 'At most 10 000 characters. A blank text is the same as `null`.',
  })
  description?: string | null;

  @Field(() => String, { nullable: true, description: IDEMPOTENCY_KEY })
  idempotencyKey?: string | null;
}

@InputType({ description: 'Changes of a project: what is left out stays, `null` clears.' })
export class UpdateProjectInput {
  @Field(() => ID, { description: 'The project.' })
  id: ProjectId;

  @Field(() => String, { nullable: true, description: 'One line, 1-100 characters; cannot be cleared.' })
  name?: string | null;

  @Field(() => String, { nullable: true, description: 'At most 10 000 characters. `null` or a blank text clears it.' })
  description?: string | null;
}

@InputType({ description: 'A project to archive, or to bring back.' })
export class ArchiveProjectInput {
  @Field(() => ID, { description: 'The project.' })
  id: ProjectId;

  @Field(() => Boolean, { defaultValue: true, description: 'False brings it back.' })
  archived: boolean;
}

@InputType({ description: 'A member to add, or the role to give to one.' })
export class AddMemberInput {
  @Field(() => ID, { description: 'The project.' })
  projectId: ProjectId;

  @Field(() => ID, {
    nullable: true,
    description: 'The id of the user. Exactly one of `userId` and `handle` is required.',
  })
  userId?: UserId | null;

  @Field(() => String, { nullable: true, description: 'The handle of the user, if you do not know the id.' })
  handle?: string | null;

  @Field(() => ProjectRoleType, { description: 'The role of the user in the project from now on.' })
  role: Role;
}

@InputType({ description: 'A member to remove.' })
export class RemoveMemberInput {
  @Field(() => ID, { description: 'The project.' })
  projectId: ProjectId;

  @Field(() => ID, { description: 'Who: any member for an OWNER, oneself for all others.' })
  userId: UserId;
}

@ObjectType({ simpleResolvers: true })
abstract class ProjectPayload {
  @Field(() => Project, { nullable: true, description: 'The project as it is now; null when there are errors.' })
  project?: ProjectRow | null;

  @Field(() => [UserError], { description: 'Why nothing was done; empty when it was.' })
  errors: UserError[];
}

@ObjectType({ description: 'What createProject did.', simpleResolvers: true })
export class CreateProjectPayload extends ProjectPayload {}

@ObjectType({ description: 'What updateProject did.', simpleResolvers: true })
export class UpdateProjectPayload extends ProjectPayload {}

@ObjectType({ description: 'What archiveProject did.', simpleResolvers: true })
export class ArchiveProjectPayload extends ProjectPayload {}

@ObjectType({ description: 'What addMember did.', simpleResolvers: true })
export class AddMemberPayload extends ProjectPayload {
  @Field(() => ProjectMemberEdge, { nullable: true, description: 'The member; null when there are errors.' })
  memberEdge?: ProjectMemberEdge | null;
}

@ObjectType({ description: 'What removeMember did.', simpleResolvers: true })
export class RemoveMemberPayload {
  @Field(() => ID, { nullable: true, description: 'The id of who is no member any more; null when there are errors.' })
  removedUserId?: UserId | null;

  @Field(() => Project, {
    nullable: true,
    description: 'The project; null when there are errors, and for a viewer who left it.',
  })
  project?: ProjectRow | null;

  @Field(() => [UserError], { description: 'Why nothing was done; empty when it was.' })
  errors: UserError[];
}
