/**
 * Deleted projects. A deleted project has no members, so its tasks, labels and comments stay where they are and are
 * invisible. Restoring it moves the memberships back.
 */
import { index, pgTable, primaryKey } from 'drizzle-orm/pg-core';
import { createdAt, idColumn, instant } from '../../db/columns.js';
import { rowSets } from '../../engine/postgres/index.js';
import { users } from '../users/user.table.js';
import { projectRole, projects } from './project.table.js';

export const trashedProjects = pgTable(
  'trashed_projects',
  {
    id: idColumn('project', 'id')
      .primaryKey()
      .references(() => projects.id, { onDelete: 'cascade' }),
    /** Null if the user no longer exists. */
    deletedBy: idColumn('user', 'deleted_by').references(() => users.id, { onDelete: 'set null' }),
    deletedAt: instant('deleted_at').notNull(),
  },
  (table) => [index('trashed_projects_deleted_at').on(table.deletedAt)],
);
export type TrashedProjectRow = typeof trashedProjects.$inferSelect;

export const trashedProjectRows = rowSets(trashedProjects, { byId: { columns: [trashedProjects.id] } });

/** The memberships of deleted projects, with the columns of `project_members`. */
export const trashedMembers = pgTable(
  'trashed_members',
  {
    projectId: idColumn('project', 'project_id')
      .notNull()
      .references(() => trashedProjects.id, { onDelete: 'cascade' }),
    userId: idColumn('user', 'user_id')
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
    role: projectRole().notNull(),
    addedBy: idColumn('user', 'added_by').references(() => users.id, { onDelete: 'set null' }),
    createdAt: createdAt(),
    /** As in `trashed_projects`: lists are sorted by it. */
    deletedAt: instant('deleted_at').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.projectId, table.userId] }),
    index('trashed_members_user').on(table.userId, table.deletedAt, table.projectId),
  ],
);

export const trashedMemberRows = rowSets(trashedMembers, { byUser: { columns: [trashedMembers.userId] } });
