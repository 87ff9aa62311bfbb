/** Reads of deleted projects. */
import { eq } from 'drizzle-orm';
import type { ProjectId, UserId } from '../../db/ids.js';
import { rowSource } from '../../db/sources.js';
import { deletionSources } from './deletion-pages.js';
import { trashedMemberRows, trashedMembers, trashedProjectRows, trashedProjects } from './trashed-project.table.js';

export const trashedProjectById = rowSource('TrashedProject', trashedProjects, (id: ProjectId) =>
  trashedProjectRows.byId(id),
);

/** The deleted projects of which the user was an OWNER. */
export const { pages: trashedProjectPages, counts: trashedProjectCounts } = deletionSources<UserId, 'project'>({
  name: 'TrashedProject',
  prefix: 'project',
  scope: 'viewer',
  tags: trashedMemberRows.byUser,
  table: trashedMembers,
  parent: trashedMembers.userId,
  id: trashedMembers.projectId,
  deletedAt: trashedMembers.deletedAt,
  where: eq(trashedMembers.role, 'OWNER'),
});
