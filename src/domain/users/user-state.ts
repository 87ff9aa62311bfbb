/** Deactivates and reactivates users, for operators by the API and on the command line. */
import { eq, sql } from 'drizzle-orm';
import type { UserId } from '../../db/ids.js';
import type { Transaction } from '../../engine/postgres/index.js';
import { type UserRow, type UserState, users } from './user.table.js';

/** @returns the user after the change; undefined if there is no such user */
export async function setUserState(
  tx: Transaction,
  who: { readonly id: UserId } | { readonly handle: string },
  state: UserState,
): Promise<UserRow | undefined> {
  const which = 'id' in who ? eq(users.id, who.id) : eq(users.handle, who.handle);
  const [user] = await tx.select().from(users).where(which).for('no key update');
  if (user === undefined || user.state === state) return user;
  const [updated] = await tx
    .update(users)
    .set({ state, updatedAt: sql`now()` })
    .where(eq(users.id, user.id))
    .returning();
  return updated;
}
