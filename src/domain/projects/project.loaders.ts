/** Reads of projects and memberships. */
import { asc, sql } from 'drizzle-orm';
import { grouped, shapeOf } from '../../db/by-id.js';
import { type ProjectId, toUuid, type UserId } from '../../db/ids.js';
import type { Source } from '../../db/row-source.js';
import { ROW_TTL_MS, rowSource } from '../../db/row-source.js';
import { memberRows, projectMembers, projectRows, projects, type Role } from './project.table.js';

export const projectById = rowSource('Project', projects, (id: ProjectId) => projectRows.byId(id));

export const projectIdByKey: Source<string, ProjectId | null> = {
  name: 'ProjectKey',
  shape: 'id',
  ttlMs: ROW_TTL_MS,
  scope: 'public',
  tags: (key) => projectRows.byKey(key),
  load: async (keys, db) => {
    const statement = db.prepared('projects_by_key', (read, name) =>
      read
        .select({ id: projects.id, key: projects.key })
        .from(projects)
        .where(sql`${projects.key} = any(${sql.placeholder('keys')}::text[])`)
        .prepare(name),
    );
    const found = new Map((await statement.execute({ keys })).map(({ id, key }) => [key, id]));
    return keys.map((key) => found.get(key) ?? null);
  },
};

export interface Membership {
  readonly projectId: ProjectId;
  readonly role: Role;
}

/** A user's memberships, ordered by project id. Every authorization check reads them. */
export const membershipsOf: Source<UserId, readonly Membership[]> = {
  name: 'Memberships',
  shape: shapeOf(projectMembers),
  ttlMs: ROW_TTL_MS,
  scope: 'viewer',
  tags: (userId) => memberRows.byUser(userId),
  load: async (userIds, db) => {
    const statement = db.prepared('memberships_of', (read, name) =>
      read
        .select({ userId: projectMembers.userId, projectId: projectMembers.projectId, role: projectMembers.role })
        .from(projectMembers)
        .where(sql`${projectMembers.userId} = any(${sql.placeholder('ids')}::uuid[])`)
        .orderBy(asc(projectMembers.projectId))
        .prepare(name),
    );
    const rows = await statement.execute({ ids: userIds.map(toUuid) });
    return grouped(userIds, rows, ({ userId }) => userId).map((of) =>
      of.map(({ projectId, role }) => ({ projectId, role })),
    );
  },
};

export interface Member {
  readonly userId: UserId;
  readonly role: Role;
}

/** A project's members, in the order in which their user accounts were created. */
export const membersOf: Source<ProjectId, readonly Member[]> = {
  name: 'ProjectMembers',
  shape: shapeOf(projectMembers),
  ttlMs: ROW_TTL_MS,
  scope: 'public',
  tags: (projectId) => memberRows.byProject(projectId),
  load: async (projectIds, db) => {
    const statement = db.prepared('members_of', (read, name) =>
      read
        .select({ projectId: projectMembers.projectId, userId: projectMembers.userId, role: projectMembers.role })
        .from(projectMembers)
        .where(sql`${projectMembers.projectId} = any(${sql.placeholder('ids')}::uuid[])`)
        .orderBy(asc(projectMembers.userId))
        .prepare(name),
    );
    const rows = await statement.execute({ ids: projectIds.map(toUuid) });
    return grouped(projectIds, rows, ({ projectId }) => projectId).map((of) =>
      of.map(({ userId, role }) => ({ userId, role })),
    );
  },
};
