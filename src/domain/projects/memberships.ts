/**
 * How many projects a user may be a member of. Every list of all the viewer's tasks is read from each of their projects, so others must
 * not be able to make that any number. What others add a user to does not count against what the user creates, and no one person can
 * fill the others' part; a member leaves a project by `removeMember`. Members from before these bounds stay, imports are an operator's.
 */
import { and, count, eq, sql } from 'drizzle-orm';
import type { ProjectId, UserId } from '../../db/ids.js';
import type { Transaction } from '../../engine/postgres/index.js';
import { Refusal, UserErrorCode } from '../../graphql/user-error.js';
import { type UserRow, users } from '../users/user.table.js';
import { projectMembers } from './project.table.js';

/** Created by the user. A list of so many projects' tasks takes Postgres some ms. */
export const MAX_CREATED = 500;
/** That others have added the user to. */
export const MAX_ADDED = 500;
/** Of these, by one person. */
export const MAX_ADDED_BY_ONE = 250;

/** The user, locked, so that two writes do not both take the last place. Undefined when there is none. */
export async function lockUser(
  tx: Transaction,
  who: { readonly id: UserId } | { readonly handle: string },
): Promise<UserRow | undefined> {
  const which = 'id' in who ? eq(users.id, who.id) : eq(users.handle, who.handle);
  const [user] = await tx.select().from(users).where(which).for('no key update');
  return user;
}

/** May the viewer, whose row is locked, create another project? @throws Refusal */
export async function requireRoomToCreate(tx: Transaction, viewerId: UserId): Promise<void> {
  const { own } = await countOf(tx, viewerId, viewerId);
  if (own < MAX_CREATED) return;
  const message = `you have created ${own} projects and are a member of them; expected at most ${MAX_CREATED}`;
  throw new Refusal(UserErrorCode.CONFLICT, message, ['input']);
}

/** May `by` add the user, whose row is locked, to another project? A member may be given another role. @throws Refusal */
export async function requireRoomToAdd(
  tx: Transaction,
  { by, userId, projectId, path }: { by: UserId; userId: UserId; projectId: ProjectId; path: readonly string[] },
): Promise<void> {
  const known = await tx
    .select({ role: projectMembers.role })
    .from(projectMembers)
    .where(and(eq(projectMembers.projectId, projectId), eq(projectMembers.userId, userId)));
  if (known.length > 0) return;
  const { byOne, byOthers } = await countOf(tx, userId, by);
  if (by !== userId && byOne >= MAX_ADDED_BY_ONE) {
    throw full(
      `you have added this user to ${byOne} projects; expected at most ${MAX_ADDED_BY_ONE} by one person`,
      path,
    );
  }
  if (byOthers >= MAX_ADDED) {
    throw full(`others have added this user to ${byOthers} projects; expected at most ${MAX_ADDED}`, path);
  }
}

function full(message: string, path: readonly string[]): Refusal {
  return new Refusal(UserErrorCode.CONFLICT, message, path);
}

/** The user's memberships: by the user, by others, by `one`. */
async function countOf(tx: Transaction, userId: UserId, one: UserId) {
  const { addedBy } = projectMembers;
  const [counts] = await tx
    .select({
      own: count(sql`case when ${addedBy} = ${projectMembers.userId} then 1 end`),
      byOthers: count(sql`case when ${addedBy} <> ${projectMembers.userId} then 1 end`),
      byOne: count(sql`case when ${eq(addedBy, one)} then 1 end`),
    })
    .from(projectMembers)
    .where(eq(projectMembers.userId, userId));
  return counts as { own: number; byOthers: number; byOne: number };
}
