/** Projects, their members with roles, and the counter of task numbers. */
import { sql } from 'drizzle-orm';
import { check, index, integer, pgEnum, pgTable, primaryKey, text } from 'drizzle-orm/pg-core';
import { createdAt, idColumn, instant, primaryId, updatedAt } from '../../db/columns.js';
import { rowSets } from '../../engine/postgres/index.js';
import { users } from '../users/user.table.js';

/** Must match the constraint below. */
export const PROJECT_KEY = /^[A-Z][A-Z0-9]{1,9}$/;

export const projects = pgTable(
  'projects',
  {
    id: primaryId('project'),
    /** Prefix of task identifiers: OPS in OPS-42. */
    key: text().notNull().unique(),
    name: text().notNull(),
    description: text(),
    archivedAt: instant('archived_at'),
    createdAt: createdAt(),
    updatedAt: updatedAt(),
  },
  (table) => [
    check('projects_key', sql`${table.key} ~ '^[A-Z][A-Z0-9]{1,9}$'`),
    check('projects_name', sql`length(${table.name}) between 1 and 100`),
  ],
);
export type ProjectRow = typeof projects.$inferSelect;

export const projectRows = rowSets(projects, {
  byId: { columns: [projects.id] },
  byKey: { columns: [projects.key], watches: [projects.key, projects.id] },
});

export const projectRole = pgEnum('project_role', ['OWNER', 'MEMBER', 'VIEWER']);
export type Role = (typeof projectRole.enumValues)[number];

export const WRITING_ROLES: readonly Role[] = ['OWNER', 'MEMBER'];

export function mayWrite(role: Role | undefined): boolean {
  return role !== undefined && WRITING_ROLES.includes(role);
}

export const projectMembers = pgTable(
  'project_members',
  {
    projectId: idColumn('project', 'project_id')
      .notNull()
      .references(() => projects.id, { onDelete: 'cascade' }),
    userId: idColumn('user', 'user_id')
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
    role: projectRole().notNull(),
    /**
     * The user who added this member; the member itself if it created the project or accepted an invitation. Null for
     * imported members, and if that user was deleted. Limits how many projects others can add a user to, and decides
     * whether OWNERs see the member's e-mail address.
     */
    addedBy: idColumn('user', 'added_by').references(() => users.id, { onDelete: 'set null' }),
    createdAt: createdAt(),
  },
  (table) => [
    primaryKey({ columns: [table.projectId, table.userId] }),
    index('project_members_user').on(table.userId, table.projectId),
  ],
);

export const memberRows = rowSets(projectMembers, {
  byUser: { columns: [projectMembers.userId] },
  byProject: { columns: [projectMembers.projectId] },
});

/**
 * Separate from `projects`, so that numbering a task does not change a row that every client caches. Not cached: no
 * triggers.
 */
export const taskNumbers = pgTable('task_numbers', {
  projectId: idColumn('project', 'project_id')
    .primaryKey()
    .references(() => projects.id, { onDelete: 'cascade' }),
  last: integer().notNull().default(0),
});
