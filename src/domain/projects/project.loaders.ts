/** Reads of projects and memberships. */
import { asc, eq } from 'drizzle-orm';
import type { ProjectId, UserId } from '../../db/ids.js';
import { childrenSource, idSource, rowSource, type Source } from '../../db/sources.js';
import { shapeOf } from '../../engine/postgres/index.js';
import { memberRows, projectMembers, projectRows, projects, type Role } from './project.table.js';

export const projectById = rowSource('Project', projects, (id: ProjectId) => projectRows.byId(id));

export const projectIdByKey = idSource<ProjectId>('ProjectKey', {
  table: projects,
  column: projects.key,
  tags: projectRows.byKey,
});

export interface Membership {
  readonly projectId: ProjectId;
  readonly role: Role;
}

/** A user's memberships, ordered by project id. Every authorization check reads them. */
export const membershipsOf: Source<UserId, readonly Membership[]> = childrenSource({
  name: 'Memberships',
  shape: shapeOf(projectMembers),
  scope: 'viewer',
  tags: memberRows.byUser,
  together: true, // memberships.ts bounds them
  table: projectMembers,
  parent: projectMembers.userId,
  columns: { projectId: projectMembers.projectId, role: projectMembers.role },
  orderBy: asc(projectMembers.projectId),
  toValue: ({ projectId, role }: Membership) => ({ projectId, role }),
});

/**
 * The projects that a user is a member of by an act of its own: it created them or accepted an invitation. OWNERs of
 * these see its e-mail address.
 */
export const projectsJoinedBy: Source<UserId, readonly ProjectId[]> = childrenSource({
  name: 'ProjectsJoined',
  shape: shapeOf(projectMembers),
  scope: 'public',
  tags: memberRows.byUser,
  together: true, // memberships.ts bounds them
  table: projectMembers,
  parent: projectMembers.userId,
  where: eq(projectMembers.addedBy, projectMembers.userId),
  columns: { projectId: projectMembers.projectId },
  orderBy: asc(projectMembers.projectId),
  toValue: ({ projectId }: { projectId: ProjectId }) => projectId,
});

export interface Member {
  readonly userId: UserId;
  readonly role: Role;
}

/** A project's members, in the order in which their user accounts were created. */
export const membersOf: Source<ProjectId, readonly Member[]> = childrenSource({
  name: 'ProjectMembers',
  shape: shapeOf(projectMembers),
  scope: 'public',
  tags: memberRows.byProject,
  table: projectMembers,
  parent: projectMembers.projectId,
  columns: { userId: projectMembers.userId, role: projectMembers.role },
  orderBy: asc(projectMembers.userId),
  toValue: ({ userId, role }: Member) => ({ userId, role }),
});
