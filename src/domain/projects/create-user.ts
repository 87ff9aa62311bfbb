/** Creates a user for the command line. In a new installation there is no other user who could add one. */
import { eq, type SQL } from 'drizzle-orm';
import type { UserId } from '../../db/ids.js';
import type { Transaction } from '../../engine/postgres/index.js';
import { releaseEmail } from '../users/email.js';
import { users } from '../users/user.table.js';
import { insertProject } from './insert-project.js';
import { projectMembers, projects } from './project.table.js';
import { lockExclusive } from './project-lock.js';
import { trashedProjects } from './trashed-project.table.js';

export interface NewUser {
  readonly handle: string;
  readonly name: string;
  readonly subject: string | undefined;
  /** A verified address. */
  readonly email?: string | undefined;
  /** The key of a project that the user becomes an OWNER of. It is created if there is none with this key. */
  readonly ownerOf: string | undefined;
}

export interface CreatedUser {
  readonly id: UserId;
  /** Whether the project is new; undefined without one. */
  readonly projectCreated: boolean | undefined;
}

/** @throws Error if the handle, the subject or the address is another user's */
export async function createUser(tx: Transaction, newUser: NewUser): Promise<CreatedUser> {
  const { handle, name, subject, email, ownerOf } = newUser;
  if (email !== undefined) await releaseEmail(tx, email);
  const values = { handle, name, subject, email, verifiedEmail: email };
  const [user] = await tx.insert(users).values(values).onConflictDoNothing().returning({ id: users.id });
  if (user === undefined) throw await taken(tx, newUser);
  if (ownerOf === undefined) return { id: user.id, projectCreated: undefined };
  return { id: user.id, projectCreated: await makeOwner(tx, user.id, ownerOf) };
}

/** The error names the value that another user has. */
async function taken(tx: Transaction, { handle, subject, email }: NewUser): Promise<Error> {
  const isTaken = async (where: SQL) => (await tx.$count(users, where)) > 0;
  const [what, value] = (await isTaken(eq(users.handle, handle)))
    ? ['the handle', handle]
    : subject !== undefined && (await isTaken(eq(users.subject, subject)))
      ? ['--subject', subject]
      : ['--email', email];
  return new Error(`${what}: ${JSON.stringify(value)} is taken by another user`);
}

/** @returns whether the project is new */
async function makeOwner(tx: Transaction, userId: UserId, key: string): Promise<boolean> {
  const created = await insertProject(tx, { key, name: key }, { userId, addedBy: null });
  if (created !== undefined) return true;
  const [known] = await tx.select({ id: projects.id }).from(projects).where(eq(projects.key, key));
  if (known === undefined) throw new Error(`--owner-of: the project ${key} has just been deleted`);
  await lockExclusive(tx, known.id); // as every write that changes permissions
  if ((await tx.$count(trashedProjects, eq(trashedProjects.id, known.id))) > 0) {
    throw new Error(`--owner-of: the project ${key} is deleted; one of its OWNERs can restore it with restoreProject`);
  }
  await tx.insert(projectMembers).values({ projectId: known.id, userId, role: 'OWNER' });
  return false;
}
