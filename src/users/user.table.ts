/** Users: whoever creates tasks, is assigned to them, or comments. */
import { sql } from 'drizzle-orm';
import { check, pgTable, text } from 'drizzle-orm/pg-core';
import { createdAt, primaryId, updatedAt } from '../db/columns.js';
import { rowSets } from '../invalidation/rows.js';

/** The form of a handle, as the constraint below has it. */
export const USER_HANDLE = /^\S{1,64}$/;

export const users = pgTable(
  'users',
  {
    id: primaryId('user'),
    /** Unique and for people: a login of GitHub's, a mention. */
    handle: text().notNull().unique(),
    name: text().notNull(),
    createdAt: createdAt(),
    updatedAt: updatedAt(),
  },
  (table) => [check('users_handle', sql`${table.handle} ~ '^[^[:space:]]{1,64}$'`)],
);
export type UserRow = typeof users.$inferSelect;

export const userRows = rowSets(users, {
  byId: { columns: [users.id] },
  byHandle: { columns: [users.handle], watches: [users.handle, users.id] },
});
