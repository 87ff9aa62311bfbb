/** Reads of invitations. */
import { and, asc, isNull, sql } from 'drizzle-orm';
import { grouped } from '../../db/by-id.js';
import { type ProjectId, toUuid } from '../../db/ids.js';
import { ROW_TTL_MS, type Source } from '../../db/sources.js';
import { type InvitationRow, invitationRows, invitations } from './invitation.table.js';

/** What the list shows. The hash of the token stays in the database. */
export type ListedInvitation = Omit<InvitationRow, 'tokenHash' | 'acceptedBy'>;

/**
 * The invitations of a project that have not been accepted, oldest first: those that have expired, too, since a value
 * must not depend on the time. Bounded by MAX_OPEN_OF_PROJECT and by what trimming leaves.
 */
export const invitationsOf: Source<ProjectId, readonly ListedInvitation[]> = {
  name: 'ProjectInvitations',
  shape: 'rows',
  ttlMs: ROW_TTL_MS,
  scope: 'public',
  tags: invitationRows.byProject,
  load: async (projectIds, db) => {
    const { id, projectId, email, role, invitedBy, createdAt, expiresAt } = invitations;
    const statement = db.prepared('invitations_of_projects', (read, name) =>
      read
        .select({ id, projectId, email, role, invitedBy, createdAt, expiresAt })
        .from(invitations)
        .where(and(sql`${projectId} = any(${sql.placeholder('ids')}::uuid[])`, isNull(invitations.acceptedBy)))
        .orderBy(asc(id))
        .prepare(name),
    );
    const rows = await statement.execute({ ids: projectIds.map(toUuid) });
    return grouped(projectIds, rows, (row) => row.projectId);
  },
};
