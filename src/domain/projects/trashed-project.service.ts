/**
 * Deletes and restores projects. Memberships decide who sees a project, so a deletion moves them into
 * `trashed_members`; nothing else changes until the project is purged.
 */
import { and, eq, sql } from 'drizzle-orm';
import { z } from 'zod';
import { type ProjectId, toUuid, type UserId } from '../../db/ids.js';
import type { Writer } from '../../db/writer.js';
import type { Transaction, Transactor } from '../../engine/postgres/index.js';
import { idInput, parseInput, Refusal, UserErrorCode } from '../../graphql/user-error.js';
import { notFound, requireOwner } from './access.js';
import { type ProjectRow, projectMembers, projects } from './project.table.js';
import { lockExclusive } from './project-lock.js';
import { trashedMembers, trashedProjects } from './trashed-project.table.js';
import type { DeleteProjectInput, RestoreProjectInput } from './trashed-project.type.js';

const restoreProjectInput = z.object({ id: idInput('project') });
const deleteProjectInput = restoreProjectInput.extend({ key: z.string() });

const PROJECT = { what: 'project', path: ['input', 'id'] };

/** Called in the transaction that restores a project, for features that this one does not know. */
export type OnProjectRestored = (tx: Transaction, projectId: ProjectId) => Promise<void>;

export class TrashedProjectService {
  constructor(
    private readonly transactor: Transactor,
    private readonly onProjectRestored: OnProjectRestored,
  ) {}

  delete(by: Writer, given: DeleteProjectInput) {
    const { viewerId } = by;
    const { id, key } = parseInput(deleteProjectInput, given);
    return this.transactor.transact(async (tx) => {
      await lockExclusive(tx, id);
      await requireOwner(tx, viewerId, id, PROJECT);
      await requireKey(tx, id, key);
      const deleted = { deletedBy: viewerId, deletedAt: sql`now()` };
      // It can be in the trash and have members: those that an operator has given it.
      await tx
        .insert(trashedProjects)
        .values({ id, ...deleted })
        .onConflictDoUpdate({ target: trashedProjects.id, set: deleted });
      await tx.execute(sql`
        with gone as (delete from ${projectMembers} where ${eq(projectMembers.projectId, id)} returning *)
        insert into ${trashedMembers} (project_id, user_id, role, added_by, created_at, deleted_at)
        select project_id, user_id, role, added_by, created_at, now() from gone
        on conflict (project_id, user_id) do update set role = excluded.role, deleted_at = excluded.deleted_at`);
      return { deletedProjectId: id };
    }, by);
  }

  restore(by: Writer, given: RestoreProjectInput) {
    const { viewerId } = by;
    const { id } = parseInput(restoreProjectInput, given);
    return this.transactor.transact(async (tx) => {
      await lockExclusive(tx, id);
      await requireFormerOwner(tx, viewerId, id);
      await tx.execute(sql`
        insert into ${projectMembers} (project_id, user_id, role, added_by, created_at)
        select project_id, user_id, role, added_by, created_at from ${trashedMembers} where project_id = ${toUuid(id)}
        on conflict (project_id, user_id) do nothing`);
      await tx.delete(trashedProjects).where(eq(trashedProjects.id, id)); // and with it its memberships
      await this.onProjectRestored(tx, id);
      const [project] = await tx.select().from(projects).where(eq(projects.id, id));
      return { project: project as ProjectRow };
    }, by);
  }
}

/** @throws Refusal INVALID */
async function requireKey(tx: Transaction, id: ProjectId, key: string): Promise<void> {
  const [project] = await tx.select({ key: projects.key }).from(projects).where(eq(projects.id, id));
  if (project?.key === key) return;
  throw new Refusal(UserErrorCode.INVALID, `expected the key of the project, ${project?.key}`, ['input', 'key']);
}

/** @throws Refusal NOT_FOUND, also for former members of other roles: only an OWNER sees deleted projects */
async function requireFormerOwner(tx: Transaction, viewerId: UserId, id: ProjectId): Promise<void> {
  const [member] = await tx
    .select({ role: trashedMembers.role })
    .from(trashedMembers)
    .where(and(eq(trashedMembers.projectId, id), eq(trashedMembers.userId, viewerId)))
    .for('share');
  if (member?.role !== 'OWNER') throw notFound('deleted project', PROJECT.path);
}
