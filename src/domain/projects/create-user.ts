/** Creates a user for the command line: the first one of an installation has nobody to be added by. */
import { eq } from 'drizzle-orm';
import type { ProjectId, UserId } from '../../db/ids.js';
import type { Transaction } from '../../engine/postgres/index.js';
import { users } from '../users/user.table.js';
import { projectMembers, projects, taskNumbers } from './project.table.js';
import { lockExclusive } from './project-lock.js';

export interface NewUser {
  readonly handle: string;
  readonly name: string;
  readonly subject: string | undefined;
  /** The key of a project that the user becomes an OWNER of. It is created if there is none with this key. */
  readonly ownerOf: string | undefined;
}

export interface CreatedUser {
  readonly id: UserId;
  /** Whether the project is new; undefined without one. */
  readonly projectCreated: boolean | undefined;
}

/** @throws Error if the handle or the subject is another user's */
export async function createUser(tx: Transaction, { handle, name, subject, ownerOf }: NewUser): Promise<CreatedUser> {
  const values = { handle, name, ...(subject !== undefined && { subject }) };
  const [user] = await tx.insert(users).values(values).onConflictDoNothing().returning({ id: users.id });
  if (user === undefined) {
    const [same] = await tx.select({ id: users.id }).from(users).where(eq(users.handle, handle));
    const [what, value] = same === undefined ? ['--subject', subject] : ['the handle', handle];
    throw new Error(`${what}: ${JSON.stringify(value)} is taken by another user`);
  }
  if (ownerOf === undefined) return { id: user.id, projectCreated: undefined };
  const project = await openProject(tx, ownerOf);
  await tx.insert(projectMembers).values({ projectId: project.id, userId: user.id, role: 'OWNER' });
  return { id: user.id, projectCreated: project.created };
}

async function openProject(tx: Transaction, key: string): Promise<{ id: ProjectId; created: boolean }> {
  const [created] = await tx
    .insert(projects)
    .values({ key, name: key })
    .onConflictDoNothing({ target: projects.key })
    .returning({ id: projects.id });
  if (created !== undefined) {
    await tx.insert(taskNumbers).values({ projectId: created.id });
    return { id: created.id, created: true };
  }
  const [known] = await tx.select({ id: projects.id }).from(projects).where(eq(projects.key, key));
  if (known === undefined) throw new Error(`--owner-of: the project ${key} has just been deleted`);
  await lockExclusive(tx, known.id); // as every write that changes permissions
  return { id: known.id, created: false };
}
