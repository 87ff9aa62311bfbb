/**
 * Who may see and change what: a project's data is for its members. Reads ask the cached, strictly invalidated memberships, so
 * a removed member is shut out with the next request; writes ask the table itself, inside their transaction.
 */
import { and, eq } from 'drizzle-orm';
import type { ProjectId, UserId } from '../../db/ids.js';
import { type MaybePromise, mapMaybe, zipMaybe } from '../../engine/cache/index.js';
import type { Transaction } from '../../engine/postgres/index.js';
import type { Context } from '../../graphql/context.js';
import { Refusal, UserErrorCode } from '../../graphql/user-error.js';
import { userById } from '../users/user.loaders.js';
import type { UserRow } from '../users/user.table.js';
import { type Membership, membershipsOf, projectById } from './project.loaders.js';
import { mayWrite, projectMembers, projects, type Role } from './project.table.js';
import { lockShared } from './project-lock.js';

export function visibleProjectIds({ loaders, viewerId }: Context): MaybePromise<readonly ProjectId[]> {
  return mapMaybe(loaders.load(membershipsOf, viewerId), projectIdsOf);
}

/** One frozen list for each value that was read: it is part of the keys of all lists of a request. */
const idsOfMemberships = new WeakMap<readonly Membership[], readonly ProjectId[]>();

function projectIdsOf(memberships: readonly Membership[]): readonly ProjectId[] {
  const known = idsOfMemberships.get(memberships);
  if (known !== undefined) return known;
  const ids = Object.freeze(memberships.map(({ projectId }) => projectId));
  idsOfMemberships.set(memberships, ids);
  return ids;
}

export function roleIn({ loaders, viewerId }: Context, projectId: ProjectId): MaybePromise<Role | undefined> {
  return mapMaybe(
    loaders.load(membershipsOf, viewerId),
    (memberships) => memberships.find((membership) => membership.projectId === projectId)?.role,
  );
}

/** The viewer's role where its writes would not be refused: undefined for a VIEWER, and in an archived project. Asked in one trip. */
export function writingRoleIn(context: Context, projectId: ProjectId): MaybePromise<Role | undefined> {
  return zipMaybe(roleIn(context, projectId), context.loaders.load(projectById, projectId), (role, project) =>
    mayWrite(role) && project?.archivedAt === null ? role : undefined,
  );
}

/**
 * The row when the viewer may see its project's data, else null: what is hidden and what does not exist look the same.
 * Both are asked for at once, in one trip.
 */
export function ifVisible<R>(
  context: Context,
  loading: MaybePromise<R | null>,
  projectOf: (row: R) => ProjectId,
): MaybePromise<R | null> {
  return zipMaybe(loading, visibleProjectIds(context), (row, visible) =>
    row !== null && visible.includes(projectOf(row)) ? row : null,
  );
}

/** What a refusal says of the object that the input names. */
export interface ErrorTarget {
  /** `task`, for people. */
  readonly what: string;
  /** Of the argument that names it. */
  readonly path: readonly string[];
}

/** A viewer's place in a project, as a write sees it. */
export interface ProjectAccess {
  readonly role: Role;
  readonly archivedAt: string | null;
}

/**
 * A user by id, when the viewer is that user or shares a project with them. Who has left is still shown by what they left
 * behind: a task's creator, a comment's author are read through those.
 */
export async function visibleUser(context: Context, id: UserId): Promise<UserRow | null> {
  const { loaders, viewerId } = context;
  const [user, theirs, mine] = await Promise.all([
    loaders.load(userById, id),
    loaders.load(membershipsOf, id),
    visibleProjectIds(context),
  ]);
  const known = id === viewerId || theirs.some(({ projectId }) => mine.includes(projectId));
  return known ? user : null;
}

/**
 * The viewer's right to write in a project, held until the transaction ends.
 * @returns the role. @throws Refusal NOT_FOUND for a stranger, who must not learn that the project exists; FORBIDDEN for a VIEWER, and in
 * an archived project.
 */
export async function requireWriter(
  tx: Transaction,
  viewerId: UserId,
  projectId: ProjectId,
  named: ErrorTarget,
): Promise<Role> {
  await lockShared(tx, projectId);
  return roleOfWriter(tx, viewerId, projectId, named);
}

/** The same in a project whose gate was passed. */
export async function roleOfWriter(
  tx: Transaction,
  viewerId: UserId,
  projectId: ProjectId,
  named: ErrorTarget,
): Promise<Role> {
  const place = await lockPlace(tx, viewerId, projectId);
  const refusal = whyNotWritable(place, named);
  if (refusal !== undefined) throw refusal;
  return (place as ProjectAccess).role;
}

/**
 * The viewer's ownership of a project whose gate was passed.
 * @throws Refusal NOT_FOUND for a stranger, FORBIDDEN for any other role.
 */
export async function requireOwner(
  tx: Transaction,
  viewerId: UserId,
  projectId: ProjectId,
  named: ErrorTarget,
): Promise<void> {
  const role = await requireMember(tx, viewerId, projectId, named);
  if (role !== 'OWNER') throw forbidden(`your role in this project is ${role}; this needs OWNER`, named.path);
}

/** @returns the role. @throws Refusal NOT_FOUND for a stranger. */
export async function requireMember(
  tx: Transaction,
  viewerId: UserId,
  projectId: ProjectId,
  named: ErrorTarget,
): Promise<Role> {
  const place = await lockPlace(tx, viewerId, projectId);
  if (place === undefined) throw notFound(named.what, named.path);
  return place.role;
}

/** Against removal by whoever does not pass the gate: an operator, a deleted user. */
async function lockPlace(tx: Transaction, viewerId: UserId, projectId: ProjectId): Promise<ProjectAccess | undefined> {
  const [place] = await tx
    .select({ role: projectMembers.role, archivedAt: projects.archivedAt })
    .from(projectMembers)
    .innerJoin(projects, eq(projects.id, projectMembers.projectId))
    .where(and(eq(projectMembers.projectId, projectId), eq(projectMembers.userId, viewerId)))
    .for('share', { of: projectMembers });
  return place;
}

/** Why the viewer may not write there, if so: the place as it was read behind the project's gate. */
export function whyNotWritable(place: ProjectAccess | undefined, { what, path }: ErrorTarget): Refusal | undefined {
  if (place === undefined) return notFound(what, path);
  if (!mayWrite(place.role)) return forbidden(`your role in this project is ${place.role}; writing needs MEMBER`, path);
  return place.archivedAt === null ? undefined : archived(path);
}

export function archived(path: readonly string[]): Refusal {
  return forbidden('the project is archived; an OWNER can bring it back with archiveProject', path);
}

export function forbidden(message: string, path: readonly string[]): Refusal {
  return new Refusal(UserErrorCode.FORBIDDEN, message, path);
}

export function notFound(what: string, path: readonly string[]): Refusal {
  return new Refusal(UserErrorCode.NOT_FOUND, `there is no such ${what}`, path);
}
