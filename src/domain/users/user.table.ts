/** Users, who create tasks, are assigned to them and comment. */
import { isNotNull, sql } from 'drizzle-orm';
import { check, pgEnum, pgTable, text, unique, uniqueIndex } from 'drizzle-orm/pg-core';
import { createdAt, primaryId, updatedAt } from '../../db/columns.js';
import { rowSets } from '../../engine/postgres/index.js';

/** Must match the constraint below. Also excludes NUL, which Postgres rejects even in a
 * parameter, and U+0085, which is white space to Postgres only. */
export const USER_HANDLE = /^[^\s\0\u0085]{1,64}$/u;
/** The limits of OpenID Connect: ASCII, at most 255 characters. */
export const USER_SUBJECT = /^[\x20-\x7e]{1,255}$/;
export const MAX_HANDLE_CHARS = 64;
export const MAX_NAME_CHARS = 100;
/** As in SMTP (RFC 5321). */
export const MAX_EMAIL_CHARS = 254;
export const MAX_URL_CHARS = 2000;

export const userState = pgEnum('user_state', ['ACTIVE', 'DEACTIVATED']);
export type UserState = (typeof userState.enumValues)[number];

export const users = pgTable(
  'users',
  {
    id: primaryId('user'),
    /** Unique name for logins and mentions. */
    handle: text().notNull().unique(),
    name: text().notNull(),
    /** The user's subject at an identity provider, `auth0|5f7c…`. Null if tokens contain the user id. Never shown. */
    subject: text(),
    /** In lower case. Users may state any address: it is neither unique nor used for sign-in. */
    email: text(),
    /**
     * An address that an operator or the identity provider has set, in lower case. `email` is verified while it equals
     * this, so a change of `email` by any writer ends that.
     */
    verifiedEmail: text('verified_email'),
    /** An https URL. */
    avatarUrl: text('avatar_url'),
    /** A deactivated user keeps memberships and tasks, and is refused like a user who does not exist. */
    state: userState().notNull().default('ACTIVE'),
    createdAt: createdAt(),
    updatedAt: updatedAt(),
  },
  (table) => [
    unique('users_subject').on(table.subject),
    uniqueIndex('users_verified_email').on(table.verifiedEmail).where(isNotNull(table.verifiedEmail)),
    check('users_handle', sql`${table.handle} ~ '^[^[:space:]]{1,64}$'`),
    check('users_subject_length', sql`length(${table.subject}) between 1 and 255`),
    check('users_email', sql`length(${table.email}) between 3 and 254`),
    check(
      'users_verified_email_text',
      sql`length(${table.verifiedEmail}) between 3 and 254 and ${table.verifiedEmail} = lower(${table.verifiedEmail})`,
    ),
    check('users_avatar_url', sql`length(${table.avatarUrl}) between 1 and 2000`),
  ],
);
export type UserRow = typeof users.$inferSelect;

export const userRows = rowSets(users, {
  byId: { columns: [users.id] },
  byHandle: { columns: [users.handle], watches: [users.handle, users.id] },
  bySubject: { columns: [users.subject], watches: [users.subject, users.id] },
  byVerifiedEmail: {
    columns: [users.verifiedEmail],
    watches: [users.verifiedEmail, users.email, users.state, users.id],
  },
  // For lists sorted and searched by name: renaming any of the users touches them.
  namesByState: { columns: [users.state], aspect: 'names', watches: [users.state, users.id, users.handle, users.name] },
});
