/**
 * Authorization: only members can access the data of a project. Reads use the cached memberships, which are invalidated
 * exactly, so a removed member loses access with the next request. Writes check the table itself, inside their
 * transaction.
 */
import { and, eq, sql } from 'drizzle-orm';
import { uuids } from '../../db/by-id.js';
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

/** One frozen list per loaded value, because the list is part of the cache key of every task list of a request. */
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

/**
 * The viewer's role if it allows writes: undefined for a VIEWER and in an archived project. Both are loaded in one
 * round trip.
 */
export function writingRoleIn(context: Context, projectId: ProjectId): MaybePromise<Role | undefined> {
  return zipMaybe(roleIn(context, projectId), context.loaders.load(projectById, projectId), (role, project) =>
    mayWrite(role) && project?.archivedAt === null ? role : undefined,
  );
}

/**
 * The row if the viewer can see its project, else null: hidden and missing objects look alike. Row and memberships are
 * loaded in one round trip.
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

/** The object that an error names, and the argument that named it. */
export interface ErrorTarget {
  /** The object's type in messages, for example `task`. */
  readonly what: string;
  /** Path of the argument that names it. */
  readonly path: readonly string[];
}

/** The viewer's role in a project, and whether the project is archived, as read by a write. */
export interface ProjectAccess {
  readonly role: Role;
  readonly archivedAt: string | null;
}

/**
 * A user by id, if it is the viewer or shares a project with the viewer. Former members are still visible as the
 * creator of a task or the author of a comment, which are loaded without this check.
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
 * Checks that the viewer can write in a project, and locks that right until the transaction ends.
 * @returns the viewer's role
 * @throws Refusal NOT_FOUND for a non-member, who must not learn that the project exists; FORBIDDEN for a VIEWER and in
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

/** Like `requireWriter`, for a project whose lock is already held. */
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
 * Checks that the viewer is an OWNER of a project whose lock is already held.
 * @throws Refusal NOT_FOUND for a non-member, FORBIDDEN for any other role.
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

/** @returns the viewer's role. @throws Refusal NOT_FOUND for a non-member. */
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

async function lockPlace(tx: Transaction, viewerId: UserId, projectId: ProjectId): Promise<ProjectAccess | undefined> {
  return (await lockAccess(tx, viewerId, [projectId])).get(projectId);
}

/**
 * The viewer's access to those of the projects that the viewer is a member of. Their locks must be held. Row locks,
 * against removals that do not take the project lock: by an operator, or by deleting a user.
 */
export async function lockAccess(
  tx: Transaction,
  viewerId: UserId,
  projectIds: readonly ProjectId[],
): Promise<Map<ProjectId, ProjectAccess>> {
  const { projectId, role } = projectMembers;
  const rows = await tx
    .select({ projectId, role, archivedAt: projects.archivedAt })
    .from(projectMembers)
    .innerJoin(projects, eq(projects.id, projectId))
    .where(and(sql`${projectId} = any(${uuids(projectIds)})`, eq(projectMembers.userId, viewerId)))
    .orderBy(projectId)
    .for('share', { of: projectMembers });
  return new Map(rows.map(({ projectId, ...access }) => [projectId, access]));
}

/** The reason why the viewer cannot write, undefined if the viewer can. `place` must be read under the project lock. */
export function whyNotWritable(place: ProjectAccess | undefined, { what, path }: ErrorTarget): Refusal | undefined {
  if (place === undefined) return notFound(what, path);
  if (!mayWrite(place.role)) return forbidden(`your role in this project is ${place.role}; writing needs MEMBER`, path);
  return place.archivedAt === null ? undefined : archived(path);
}

export function archived(path: readonly string[]): Refusal {
  return forbidden('the project is archived; an OWNER can unarchive it: archiveProject with archived: false', path);
}

export function forbidden(message: string, path: readonly string[]): Refusal {
  return new Refusal(UserErrorCode.FORBIDDEN, message, path);
}

export function notFound(what: string, path: readonly string[]): Refusal {
  return new Refusal(UserErrorCode.NOT_FOUND, `there is no such ${what}`, path);
}
