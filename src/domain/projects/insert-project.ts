/** Inserts a project with its first member and its counter. */
import type { ProjectId, UserId } from '../../db/ids.js';
import type { Transaction } from '../../engine/postgres/index.js';
import { type ProjectRow, projectMembers, projects, taskNumbers } from './project.table.js';

interface NewProject {
  readonly id?: ProjectId;
  readonly key: string;
  readonly name: string;
  readonly description?: string | null;
}

/** `owner.addedBy`: see project.table.ts. Undefined if the key is taken; nothing is inserted then. */
export async function insertProject(
  tx: Transaction,
  values: NewProject,
  owner: { readonly userId: UserId; readonly addedBy: UserId | null },
): Promise<ProjectRow | undefined> {
  const [project] = await tx.insert(projects).values(values).onConflictDoNothing({ target: projects.key }).returning();
  if (project === undefined) return undefined;
  await tx.insert(projectMembers).values({ projectId: project.id, role: 'OWNER', ...owner });
  await tx.insert(taskNumbers).values({ projectId: project.id });
  return project;
}
