/** Invitations to projects: a user who presents the token of an open one becomes a member. */
import { sql } from 'drizzle-orm';
import { check, index, pgTable, text } from 'drizzle-orm/pg-core';
import { createdAt, idColumn, instant, primaryId } from '../../db/columns.js';
import { rowSets } from '../../engine/postgres/index.js';
import { users } from '../users/user.table.js';
import { projectRole, projects } from './project.table.js';

export const invitations = pgTable(
  'invitations',
  {
    id: primaryId('invitation'),
    projectId: idColumn('project', 'project_id')
      .notNull()
      .references(() => projects.id, { onDelete: 'cascade' }),
    /** The invited person's address, for the people who look at the list. It need not be that of the new member. */
    email: text().notNull(),
    role: projectRole().notNull(),
    /** SHA-256 of the token, in hexadecimal. The token itself is not stored. */
    tokenHash: text('token_hash').notNull().unique(),
    /** Null if that user was deleted. */
    invitedBy: idColumn('user', 'invited_by').references(() => users.id, { onDelete: 'set null' }),
    /** The new member. Null while the invitation is open. */
    acceptedBy: idColumn('user', 'accepted_by').references(() => users.id, { onDelete: 'cascade' }),
    createdAt: createdAt(),
    expiresAt: instant('expires_at').notNull(),
  },
  (table) => [
    index('invitations_project').on(table.projectId),
    index('invitations_invited_by').on(table.invitedBy),
    index('invitations_accepted_by').on(table.acceptedBy),
    index('invitations_expires_at').on(table.expiresAt),
    check('invitations_email', sql`length(${table.email}) between 3 and 254`),
  ],
);
export type InvitationRow = typeof invitations.$inferSelect;

export const invitationRows = rowSets(invitations, {
  byProject: { columns: [invitations.projectId] },
});
