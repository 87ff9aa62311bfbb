/**
 * Who may see and change what: a project's data is for its members. Reads ask the cached, strictly invalidated memberships, so
 * a removed member is shut out with the next request; writes ask the table itself, inside their transaction.
 */
import { and, eq } from 'drizzle-orm';
import type { Transaction } from '../db/database.js';
import type { ProjectId, UserId } from '../db/ids.js';
import type { Context } from '../graphql/context.js';
import { Refusal, UserErrorCode } from '../graphql/user-error.js';
import { userById } from '../users/user.loaders.js';
import type { UserRow } from '../users/user.table.js';
import { membershipsOf } from './project.loaders.js';
import { mayWrite, projectMembers, type Role } from './project.table.js';

export async function visibleProjectIds({ loads, viewerId }: Context): Promise<ProjectId[]> {
  return (await loads.load(membershipsOf, viewerId)).map(({ projectId }) => projectId);
}

export async function roleIn({ loads, viewerId }: Context, projectId: ProjectId): Promise<Role | undefined> {
  return (await loads.load(membershipsOf, viewerId)).find((membership) => membership.projectId === projectId)?.role;
}

/**
 * The row when the viewer may see its project's data, else null: what is hidden and what does not exist look the same.
 * Both are asked for at once, in one trip.
 */
export async function ifVisible<R>(
  context: Context,
  loading: Promise<R | null>,
  projectOf: (row: R) => ProjectId,
): Promise<R | null> {
  const [row, visible] = await Promise.all([loading, visibleProjectIds(context)]);
  return row !== null && visible.includes(projectOf(row)) ? row : null;
}

/**
 * A user by id, when the viewer is that user or shares a project with them. Who has left is still shown by what they left
 * behind: a task's creator, a comment's author are read through those.
 */
export async function visibleUser(context: Context, id: UserId): Promise<UserRow | null> {
  const { loads, viewerId } = context;
  const [user, theirs, mine] = await Promise.all([
    loads.load(userById, id),
    loads.load(membershipsOf, id),
    visibleProjectIds(context),
  ]);
  const known = id === viewerId || theirs.some(({ projectId }) => mine.includes(projectId));
  return known ? user : null;
}

/**
 * The viewer's right to write in a project, held until the transaction ends: the membership's row is locked against removal.
 * @throws Refusal NOT_FOUND for a stranger, who must not learn that the project exists; FORBIDDEN for a VIEWER.
 */
export async function requireWriter(
  tx: Transaction,
  viewerId: UserId,
  projectId: ProjectId,
  refusal: { readonly what: string; readonly path: readonly string[] },
): Promise<void> {
  const [member] = await tx
    .select({ role: projectMembers.role })
    .from(projectMembers)
    .where(and(eq(projectMembers.projectId, projectId), eq(projectMembers.userId, viewerId)))
    .for('share');
  if (member === undefined) throw notFound(refusal.what, refusal.path);
  if (!mayWrite(member.role)) {
    throw new Refusal(
      UserErrorCode.FORBIDDEN,
      'your role in this project is VIEWER; writing needs MEMBER',
      refusal.path,
    );
  }
}

export function notFound(what: string, path: readonly string[]): Refusal {
  return new Refusal(UserErrorCode.NOT_FOUND, `there is no such ${what}`, path);
}
