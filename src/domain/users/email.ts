/** E-mail addresses: their form, and when one is verified. Commands load this file: no GraphQL types here. */
import { and, eq, sql } from 'drizzle-orm';
import { z } from 'zod';
import { violatesUnique } from '../../db/violations.js';
import type { Transaction } from '../../engine/postgres/index.js';
import { MAX_EMAIL_CHARS, type UserRow, users } from './user.table.js';

/**
 * In lower case. ASCII is checked first: the Kelvin sign in lower case is the letter k, so the address of one person
 * would become that of another.
 */
export const emailInput = z
  .string()
  .trim()
  .max(MAX_EMAIL_CHARS, `expected at most ${MAX_EMAIL_CHARS} characters`)
  .regex(z.regexes.email, 'expected an e-mail address like ada@example.com')
  .toLowerCase();

/** Selects users who can be found by their verified address. */
export const FOUND_BY_EMAIL = and(eq(users.email, users.verifiedEmail), eq(users.state, 'ACTIVE'));

/** Whether `FOUND_BY_EMAIL` holds for a row that was read, and the address is this one. */
export function isFoundBy(email: string, user: UserRow): boolean {
  return user.email === email && isEmailVerified(user) && user.state === 'ACTIVE';
}

/** @returns the address in the form in which it is stored; undefined if it is none */
export function readEmail(given: unknown): string | undefined {
  return emailInput.safeParse(given).data;
}

export function isEmailVerified({ email, verifiedEmail }: UserRow): boolean {
  return email !== null && email === verifiedEmail;
}

/**
 * Takes an address from the user for whom it was verified until SQL or an older build changed `email`. It stays there
 * otherwise, as the address of no user, and would keep every other user from getting it.
 */
export async function releaseEmail(tx: Transaction, email: string): Promise<void> {
  await tx
    .update(users)
    .set({ verifiedEmail: null })
    .where(and(eq(users.verifiedEmail, email), sql`${users.email} is distinct from ${users.verifiedEmail}`));
}

/**
 * Gives a user a verified address, or none, for operators on the command line.
 * @returns the user after the change; undefined if there is no such user
 * @throws Error if it is the verified address of another user
 */
export async function setVerifiedEmail(
  tx: Transaction,
  handle: string,
  email: string | null,
): Promise<UserRow | undefined> {
  if (email !== null) await releaseEmail(tx, email);
  try {
    const [user] = await tx
      .update(users)
      .set({ email, verifiedEmail: email, updatedAt: sql`now()` })
      .where(eq(users.handle, handle))
      .returning();
    return user;
  } catch (error) {
    if (!violatesUnique(error, 'users_verified_email')) throw error;
    throw new Error(`the address: ${JSON.stringify(email)} is the verified address of another user`, { cause: error });
  }
}
