/**
 * Writes of invitations. The token is a random secret of 256 bits, of which only the SHA-256 is stored: a copy of the
 * database accepts no invitation. A token that is wrong, expired, revoked or used by another user is refused alike, as
 * is one whose inviter is not an active OWNER of the project now: a former OWNER cannot return by a token it has kept.
 */
import { createHash, randomBytes } from 'node:crypto';
import { and, count, eq, gt, isNull, sql } from 'drizzle-orm';
import { z } from 'zod';
import { newId, type ProjectId, type UserId } from '../../db/ids.js';
import type { Writer } from '../../db/writer.js';
import type { Transaction, Transactor } from '../../engine/postgres/index.js';
import { unauthenticated } from '../../graphql/errors.js';
import { idInput, parseInput, Refusal, UserErrorCode } from '../../graphql/user-error.js';
import { DAY } from '../../std/time.js';
import { emailInput } from '../users/email.js';
import { users } from '../users/user.table.js';
import { notFound, requireOwner } from './access.js';
import { type InvitationRow, invitations } from './invitation.table.js';
import type { AcceptInvitationInput, InviteMemberInput, RevokeInvitationInput } from './invitation.type.js';
import { addAs, lockUser } from './memberships.js';
import { type ProjectRow, projectMembers, projectRole, projects } from './project.table.js';
import { lockExclusive } from './project-lock.js';
import { trashedProjects } from './trashed-project.table.js';

const VALID_MS = 14 * DAY;
/** Open invitations of one project. The list of them is one cached value. */
export const MAX_OPEN_OF_PROJECT = 100;
/** Open invitations by one user in all projects. */
export const MAX_OPEN_BY_USER = 500;
/** Expired rows deleted with each new one. More than one, so the table shrinks faster than it grows. */
const MAX_ROWS_PER_TRIM = 20;

const TOKEN_BYTES = 32;
const TOKEN = /^[\w-]{43}$/;

const inviteMemberInput = z.object({
  projectId: idInput('project'),
  email: emailInput,
  role: z.enum(projectRole.enumValues),
});
const acceptInvitationInput = z.object({ token: z.string() });
const revokeInvitationInput = z.object({ id: idInput('invitation') });

const PROJECT = { what: 'project', path: ['input', 'projectId'] };
const INVITATION = { what: 'invitation', path: ['input', 'id'] };

/** Neither accepted nor expired. */
const OPEN = and(isNull(invitations.acceptedBy), gt(invitations.expiresAt, sql`now()`));

export class InvitationService {
  constructor(private readonly transactor: Transactor) {}

  invite(by: Writer, given: InviteMemberInput) {
    const { viewerId } = by;
    const { projectId, email, role } = parseInput(inviteMemberInput, given);
    const token = randomBytes(TOKEN_BYTES).toString('base64url');
    return this.transactor.transact(async (tx) => {
      await lockExclusive(tx, projectId);
      await requireOwner(tx, viewerId, projectId, PROJECT);
      await lockUser(tx, { id: viewerId });
      await requireRoom(tx, { projectId, viewerId, email });
      const [invitation] = await tx
        .insert(invitations)
        .values({
          ...{ id: newId('invitation'), projectId, email, role, tokenHash: hashOf(token), invitedBy: viewerId },
          expiresAt: sql`now() + make_interval(secs => ${VALID_MS / 1000})`,
        })
        .returning();
      await trim(tx);
      return { invitation: invitation as InvitationRow, token };
    }, by);
  }

  /** Repeating it is allowed to the user who accepted it. An existing member keeps its role. */
  accept(by: Writer, given: AcceptInvitationInput) {
    const { viewerId } = by;
    const { token } = parseInput(acceptInvitationInput, given);
    if (!TOKEN.test(token)) throw noInvitation();
    return this.transactor.transact(async (tx) => {
      const isIt = eq(invitations.tokenHash, hashOf(token));
      const [seen] = await tx.select({ projectId: invitations.projectId }).from(invitations).where(isIt);
      if (seen === undefined) throw noInvitation();
      const { projectId } = seen;
      await lockExclusive(tx, projectId);
      if (await isDeleted(tx, projectId)) throw noInvitation();
      const user = await lockUser(tx, { id: viewerId });
      if (user === undefined) throw unauthenticated('The token is for a user who does not exist.');
      const [invitation] = await tx
        .select()
        .from(invitations)
        .where(and(isIt, gt(invitations.expiresAt, sql`now()`)));
      if (invitation === undefined) throw noInvitation();
      const role = await joined(tx, invitation, viewerId);
      const [project] = await tx.select().from(projects).where(eq(projects.id, projectId));
      return { project: project as ProjectRow, member: { user, role } };
    }, by);
  }

  revoke(by: Writer, given: RevokeInvitationInput) {
    const { viewerId } = by;
    const { id } = parseInput(revokeInvitationInput, given);
    return this.transactor.transact(async (tx) => {
      const isOpen = and(eq(invitations.id, id), OPEN);
      const [seen] = await tx.select({ projectId: invitations.projectId }).from(invitations).where(isOpen);
      if (seen === undefined) throw notFound(INVITATION.what, INVITATION.path);
      await lockExclusive(tx, seen.projectId);
      await requireOwner(tx, viewerId, seen.projectId, INVITATION);
      const revoked = await tx.delete(invitations).where(isOpen).returning({ id: invitations.id });
      if (revoked.length === 0) throw notFound(INVITATION.what, INVITATION.path);
      return { revokedInvitationId: id };
    }, by);
  }
}

/** A deleted project has no members until it is restored; its invitations can be accepted then. */
async function isDeleted(tx: Transaction, id: ProjectId): Promise<boolean> {
  const found = await tx.select({ id: trashedProjects.id }).from(trashedProjects).where(eq(trashedProjects.id, id));
  return found.length > 0;
}

/** Makes the viewer a member, once. @returns the viewer's role. @throws Refusal */
async function joined(tx: Transaction, invitation: InvitationRow, viewerId: UserId) {
  const { id, projectId, role, invitedBy, acceptedBy } = invitation;
  if (acceptedBy !== null) {
    const [member] = await tx
      .select({ role: projectMembers.role })
      .from(projectMembers)
      .where(and(eq(projectMembers.projectId, projectId), eq(projectMembers.userId, viewerId)));
    if (acceptedBy !== viewerId || member === undefined) throw noInvitation();
    return member.role;
  }
  if (invitedBy === null || !(await isActiveOwner(tx, projectId, invitedBy))) throw noInvitation();
  await tx.update(invitations).set({ acceptedBy: viewerId }).where(eq(invitations.id, id));
  return addAs(tx, { by: viewerId, userId: viewerId, projectId, role, path: ['input', 'token'] });
}

/** The project lock must be held exclusively. */
async function isActiveOwner(tx: Transaction, projectId: ProjectId, userId: UserId): Promise<boolean> {
  const found = await tx
    .select({ id: users.id })
    .from(projectMembers)
    .innerJoin(users, eq(users.id, projectMembers.userId))
    .where(
      and(
        eq(projectMembers.projectId, projectId),
        eq(projectMembers.userId, userId),
        eq(projectMembers.role, 'OWNER'),
        eq(users.state, 'ACTIVE'),
      ),
    )
    .for('share', { of: projectMembers });
  return found.length > 0;
}

/** Checks that another invitation may be open. Project and viewer must be locked. @throws Refusal */
async function requireRoom(
  tx: Transaction,
  { projectId, viewerId, email }: { projectId: ProjectId; viewerId: UserId; email: string },
): Promise<void> {
  const ofProject = await tx
    .select({ email: invitations.email })
    .from(invitations)
    .where(and(eq(invitations.projectId, projectId), OPEN));
  if (ofProject.some((open) => open.email === email)) {
    const message = 'this address has an open invitation to the project: revoke it to send another one';
    throw new Refusal(UserErrorCode.TAKEN, message, ['input', 'email']);
  }
  if (ofProject.length >= MAX_OPEN_OF_PROJECT) {
    const message = `the project has ${ofProject.length} open invitations; expected at most ${MAX_OPEN_OF_PROJECT}`;
    throw new Refusal(UserErrorCode.LIMIT, message, PROJECT.path);
  }
  const [byUser] = await tx
    .select({ open: count() })
    .from(invitations)
    .where(and(eq(invitations.invitedBy, viewerId), OPEN));
  const { open } = byUser as { open: number };
  if (open >= MAX_OPEN_BY_USER) {
    const message = `you have ${open} open invitations; expected at most ${MAX_OPEN_BY_USER}`;
    throw new Refusal(UserErrorCode.LIMIT, message, ['input']);
  }
}

/** Deletes the oldest expired rows, accepted ones too; skips rows that another transaction has locked. */
async function trim(tx: Transaction): Promise<void> {
  await tx.execute(sql`
    delete from ${invitations} where ctid = any(array(
      select ctid from ${invitations} where ${invitations.expiresAt} < now()
      order by ${invitations.expiresAt} limit ${MAX_ROWS_PER_TRIM} for update skip locked))`);
}

/** A random token needs no slow hash. */
function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

function noInvitation(): Refusal {
  const message = 'there is no such invitation: it may have expired, been revoked or been used';
  return new Refusal(UserErrorCode.NOT_FOUND, message, ['input', 'token']);
}
