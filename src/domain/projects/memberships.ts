/**
 * Limits on the number of projects of a user. A list of all the viewer's tasks reads each of the viewer's projects, so
 * other users must not be able to make that number arbitrary. Projects that a user was added to do not count against
 * those that the user creates or joins by invitations. No single person can use up the limit for additions. Members
 * leave a project with `removeMember`. Deleted projects count until they are purged. Memberships older than these
 * limits stay; imports are not limited.
 */
import { and, count, eq, sql } from 'drizzle-orm';
import { unionAll } from 'drizzle-orm/pg-core';
import { type ProjectId, toUuid, type UserId } from '../../db/ids.js';
import type { Transaction } from '../../engine/postgres/index.js';
import { Refusal, UserErrorCode } from '../../graphql/user-error.js';
import { FOUND_BY_EMAIL } from '../users/email.js';
import { type UserRow, users } from '../users/user.table.js';
import { projectMembers, type Role } from './project.table.js';
import { trashedMembers } from './trashed-project.table.js';

/**
 * Projects that the user has created or joined by invitations. Postgres reads a list over that many projects in some
 * milliseconds.
 */
export const MAX_CREATED = 500;
/** Projects that others have added the user to. */
export const MAX_ADDED = 500;
/** Projects that one person has added the user to. */
export const MAX_ADDED_BY_ONE = 250;

/** `email`: the verified address of an active user. */
export type UserKey = { readonly id: UserId } | { readonly handle: string } | { readonly email: string };

/**
 * Locks the user, so that two concurrent writes cannot both take the last place. Undefined if there is no such user.
 */
export async function lockUser(tx: Transaction, who: UserKey): Promise<UserRow | undefined> {
  const which =
    'id' in who
      ? eq(users.id, who.id)
      : 'handle' in who
        ? eq(users.handle, who.handle)
        : and(eq(users.verifiedEmail, who.email), FOUND_BY_EMAIL);
  const [user] = await tx.select().from(users).where(which).for('no key update');
  return user;
}

/** Checks that the viewer can create another project. The viewer's row must be locked. @throws Refusal */
export async function requireRoomToCreate(tx: Transaction, viewerId: UserId): Promise<void> {
  const { own } = await countOf(tx, viewerId, viewerId);
  requireOwnRoom(own, ['input']);
}

/** A membership to add. */
export interface Addition {
  /** Who adds the member: the member itself if it accepts an invitation. */
  readonly by: UserId;
  readonly userId: UserId;
  readonly projectId: ProjectId;
  readonly role: Role;
  /** The path of the argument that an error names. */
  readonly path: readonly string[];
}

/**
 * Adds a member; an existing one keeps its role. The project lock must be held exclusively, and the user's row be locked.
 * @returns the member's role
 * @throws Refusal if the user has no room for another project
 */
export async function addAs(tx: Transaction, addition: Addition): Promise<Role> {
  const { by: addedBy, userId, projectId, role } = addition;
  const [known] = await tx
    .select({ role: projectMembers.role })
    .from(projectMembers)
    .where(and(eq(projectMembers.projectId, projectId), eq(projectMembers.userId, userId)));
  if (known !== undefined) return known.role;
  await requireRoomToAdd(tx, addition);
  await tx.insert(projectMembers).values({ projectId, userId, role, addedBy });
  return role;
}

/** Checks that `by` can add the user to another project. The user's row must be locked. @throws Refusal */
async function requireRoomToAdd(tx: Transaction, { by, userId, path }: Addition): Promise<void> {
  const { own, byOne, byOthers } = await countOf(tx, userId, by);
  if (by === userId) return requireOwnRoom(own, path);
  if (byOne >= MAX_ADDED_BY_ONE) {
    throw full(
      `you have added this user to ${byOne} projects; expected at most ${MAX_ADDED_BY_ONE} by one person`,
      path,
    );
  }
  if (byOthers >= MAX_ADDED) {
    throw full(`others have added this user to ${byOthers} projects; expected at most ${MAX_ADDED}`, path);
  }
}

/** @throws Refusal if the viewer has created or joined too many projects */
function requireOwnRoom(own: number, path: readonly string[]): void {
  if (own < MAX_CREATED) return;
  const counted = `you are a member of ${own} projects that you have created or joined by invitations`;
  throw full(`${counted}, deleted ones included; expected at most ${MAX_CREATED}`, path);
}

function full(message: string, path: readonly string[]): Refusal {
  return new Refusal(UserErrorCode.LIMIT, message, path);
}

/**
 * The user's memberships, counted by how they began: by the user itself, by others and by `one`. Those of deleted
 * projects count too, since a project can be restored at any time. One statement, so that a membership that is moved
 * meanwhile counts once.
 */
async function countOf(tx: Transaction, userId: UserId, one: UserId) {
  const columns = (table: typeof projectMembers | typeof trashedMembers) =>
    tx.select({ userId: table.userId, addedBy: table.addedBy }).from(table).where(eq(table.userId, userId));
  const all = unionAll(columns(projectMembers), columns(trashedMembers)).as('memberships');
  const { addedBy } = all;
  const [counts] = await tx
    .select({
      own: count(sql`case when ${addedBy} = ${all.userId} then 1 end`),
      byOthers: count(sql`case when ${addedBy} <> ${all.userId} then 1 end`),
      byOne: count(sql`case when ${addedBy} = ${toUuid(one)}::uuid then 1 end`),
    })
    .from(all);
  return counts as { own: number; byOthers: number; byOne: number };
}
