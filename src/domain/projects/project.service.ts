/** Writes of projects and memberships. */
import { and, eq, sql } from 'drizzle-orm';
import { z } from 'zod';
import { changedFields } from '../../db/differences.js';
import type { ProjectId, UserId } from '../../db/ids.js';
import type { Writer } from '../../db/writer.js';
import type { Executor, Transaction, Transactor } from '../../engine/postgres/index.js';
import { Faults, type Form, readForm, requireField } from '../../graphql/form.js';
import { isGiven } from '../../graphql/node.js';
import {
  changedTextInput,
  fault,
  idempotencyKeyInput,
  idInput,
  misfit,
  notNull,
  optionalTextInput,
  parseInput,
  Refusal,
  textInput,
  UserErrorCode,
} from '../../graphql/user-error.js';
import { readComparand, TEXTS } from '../../std/text.js';
import type { Idempotency } from '../idempotency/idempotency.js';
import { emailInput } from '../users/email.js';
import { MAX_HANDLE_CHARS, users } from '../users/user.table.js';
import { forbidden, notFound, requireMember, requireOwner, requireWriter } from './access.js';
import { insertProject } from './insert-project.js';
import { addAs, lockUser, requireRoomToCreate, type UserKey } from './memberships.js';
import { PROJECT_KEY, type ProjectRow, projectMembers, projectRole, projects } from './project.table.js';
import type {
  AddMemberInput,
  ArchiveProjectInput,
  CreateProjectInput,
  RemoveMemberInput,
  UpdateMemberInput,
  UpdateProjectInput,
} from './project.type.js';
import { lockExclusive } from './project-lock.js';
import { trashedMembers } from './trashed-project.table.js';

const name = textInput(TEXTS.projectName);
const keyInput = z.string().transform((key, context) => {
  if (PROJECT_KEY.test(key)) return key;
  const code = key === '' ? 'BLANK' : key.length < 2 ? 'TOO_SHORT' : key.length > 10 ? 'TOO_LONG' : 'INVALID';
  context.addIssue(fault(code, 'expected 2 to 10 capital letters or digits, a letter first'));
  return z.NEVER;
});
const createProjectInput = z.object({
  key: keyInput,
  name,
  description: optionalTextInput(TEXTS.projectDescription),
  idempotencyKey: idempotencyKeyInput,
});
const projectInput = z.object({ id: idInput('project') });
const updateProjectInput = projectInput.extend({
  name: notNull(name),
  description: changedTextInput(TEXTS.projectDescription),
});
const archiveProjectInput = projectInput.extend({ archived: z.boolean() });
const handleInput = z.string().transform((given, context) => {
  const read = readComparand('line', given, MAX_HANDLE_CHARS);
  if ('text' in read) return read.text;
  context.addIssue(fault(read.code, read.fault));
  return z.NEVER;
});
const memberInput = z.object({ projectId: idInput('project'), userId: idInput('user') });
const updateMemberInput = memberInput.extend({ role: z.enum(projectRole.enumValues) });
const addMemberInput = z
  .object({
    projectId: idInput('project'),
    userId: idInput('user').nullish(),
    handle: handleInput.nullish(),
    email: emailInput.nullish(),
    role: z.enum(projectRole.enumValues),
  })
  .refine(({ userId, handle, email }) => [userId, handle, email].filter(isGiven).length === 1, {
    path: ['userId'],
    error: 'expected exactly one of userId, handle and email',
  });

const PROJECT = { what: 'project', path: ['input', 'id'] };
const PROJECT_OF_MEMBER = { what: 'project', path: ['input', 'projectId'] };

/** Members of a project, or of a deleted one. */
type MemberTable = typeof projectMembers | typeof trashedMembers;

/** Called in the transaction that removes a member, for features that this one does not know. */
export type OnMemberRemoved = (tx: Transaction, projectId: ProjectId, userId: UserId) => Promise<void>;

export class ProjectService {
  constructor(
    private readonly transactor: Transactor,
    private readonly idempotency: Idempotency,
    private readonly onMemberRemoved: OnMemberRemoved,
  ) {}

  async create(by: Writer, given: CreateProjectInput) {
    const { viewerId } = by;
    const form = readForm(createProjectInput, given);
    const { value, tags } = await this.idempotency.create({
      by,
      operation: 'createProject',
      prefix: 'project',
      form,
      create: async (tx, id) => {
        const faults = new Faults(form);
        await lockUser(tx, { id: viewerId });
        await faults.check(() => requireRoomToCreate(tx, viewerId));
        if (faults.any && (await isTaken(tx, form.fields.key))) faults.add(keyTaken(form.fields.key));
        const { key, name, description } = faults.complete(form);
        const values = { id, key, name, description: description ?? null };
        const project = await insertProject(tx, values, { userId: viewerId, addedBy: viewerId });
        if (project === undefined) throw keyTaken(key);
        return project;
      },
      find: (db, id) => visibleProject(db, viewerId, id),
    });
    return { value: { project: value }, tags };
  }

  update(by: Writer, given: UpdateProjectInput) {
    const { viewerId } = by;
    const form = readForm(updateProjectInput, given);
    const id = requireField(form, 'id');
    return this.transactor.transact(async (tx) => {
      const faults = new Faults(form);
      const role = await faults.require(() => requireWriter(tx, viewerId, id, PROJECT));
      if (role !== 'OWNER') {
        faults.add(forbidden(`your role in this project is ${role}; this needs OWNER`, PROJECT.path));
      }
      return { project: await change(tx, id, { form, faults }) };
    }, by);
  }

  archive(by: Writer, given: ArchiveProjectInput) {
    const { viewerId } = by;
    const { id, archived } = parseInput(archiveProjectInput, given);
    return this.transactor.transact(async (tx) => {
      await lockExclusive(tx, id);
      await requireOwner(tx, viewerId, id, PROJECT);
      const project = await lockProject(tx, id);
      if ((project.archivedAt !== null) === archived) return { project };
      const [updated] = await tx
        .update(projects)
        .set({ archivedAt: archived ? sql`now()` : null, updatedAt: sql`now()` })
        .where(eq(projects.id, id))
        .returning();
      return { project: updated as ProjectRow };
    }, by);
  }

  addMember(by: Writer, given: AddMemberInput) {
    const { viewerId } = by;
    const form = readForm(addMemberInput, given);
    const projectId = requireField(form, 'projectId');
    return this.transactor.transact(async (tx) => {
      const faults = new Faults(form);
      await lockExclusive(tx, projectId);
      await faults.require(() => requireOwner(tx, viewerId, projectId, PROJECT_OF_MEMBER));
      const { role, ...who } = faults.complete(form);
      const { key, path } = userKeyOf(who);
      const user = await lockUser(tx, key);
      if (user === undefined) throw notFound('user', path);
      const userId = user.id;
      const known = await addAs(tx, { by: viewerId, userId, projectId, role, path });
      if (known !== role) {
        const message = `the user is already a member, with the role ${known}: updateMember changes roles`;
        throw new Refusal(UserErrorCode.CONFLICT, message, ['input', 'role']);
      }
      return { project: await projectOf(tx, projectId), member: { user, role } };
    }, by);
  }

  updateMember(by: Writer, given: UpdateMemberInput) {
    const { viewerId } = by;
    const { projectId, userId, role } = parseInput(updateMemberInput, given);
    const isMember = and(eq(projectMembers.projectId, projectId), eq(projectMembers.userId, userId));
    return this.transactor.transact(async (tx) => {
      await lockExclusive(tx, projectId);
      await requireOwner(tx, viewerId, projectId, PROJECT_OF_MEMBER);
      const [member] = await tx
        .select({ user: users, role: projectMembers.role })
        .from(projectMembers)
        .innerJoin(users, eq(users.id, projectMembers.userId))
        .where(isMember)
        .for('update', { of: projectMembers });
      if (member === undefined) throw notFound('member', ['input', 'userId']);
      if (role !== 'OWNER') await requireOtherOwner(tx, projectMembers, { projectId, userId, path: ['input', 'role'] });
      if (member.role !== role) await tx.update(projectMembers).set({ role }).where(isMember);
      return { project: await projectOf(tx, projectId), member: { user: member.user, role } };
    }, by);
  }

  removeMember(by: Writer, given: RemoveMemberInput) {
    const { viewerId } = by;
    const form = readForm(memberInput, given);
    const projectId = requireField(form, 'projectId');
    return this.transactor.transact(async (tx) => {
      const faults = new Faults(form);
      await lockExclusive(tx, projectId);
      if (form.fields.userId === viewerId && (await this.#leaveDeleted(tx, projectId, viewerId))) {
        return { removedUserId: viewerId, project: null };
      }
      const role = await faults.require(() => requireMember(tx, viewerId, projectId, PROJECT_OF_MEMBER));
      const { userId } = faults.complete(form);
      if (userId !== viewerId && role !== 'OWNER') {
        throw forbidden(`your role in this project is ${role}; removing others needs OWNER`, PROJECT_OF_MEMBER.path);
      }
      await requireOtherOwner(tx, projectMembers, { projectId, userId, path: ['input', 'userId'] });
      const removed = await tx
        .delete(projectMembers)
        .where(and(eq(projectMembers.projectId, projectId), eq(projectMembers.userId, userId)))
        .returning({ userId: projectMembers.userId });
      if (removed.length === 0) throw notFound('member', ['input', 'userId']);
      await this.onMemberRemoved(tx, projectId, userId);
      return { removedUserId: userId, project: userId === viewerId ? null : await projectOf(tx, projectId) };
    }, by);
  }

  /**
   * Ends the user's membership of a deleted project, so that restoring the project does not bring it back.
   * @returns true if the user is no longer a member. False if there was none, or if an operator has added it since.
   */
  async #leaveDeleted(tx: Transaction, projectId: ProjectId, userId: UserId): Promise<boolean> {
    const isMember = (table: MemberTable) => and(eq(table.projectId, projectId), eq(table.userId, userId));
    if ((await tx.$count(trashedMembers, isMember(trashedMembers))) === 0) return false;
    await requireOtherOwner(tx, trashedMembers, { projectId, userId, path: ['input', 'userId'] });
    await tx.delete(trashedMembers).where(isMember(trashedMembers));
    if ((await tx.$count(projectMembers, isMember(projectMembers))) > 0) return false;
    await this.onMemberRemoved(tx, projectId, userId);
    return true;
  }
}

async function change(
  tx: Transaction,
  id: ProjectId,
  { form, faults }: { readonly form: Form<z.output<typeof updateProjectInput>>; readonly faults: Faults },
): Promise<ProjectRow> {
  const project = await lockProject(tx, id);
  const { description } = form.fields;
  faults.add(misfit(TEXTS.projectDescription, 'description', { given: description, stored: project.description }));
  const { id: _, ...changes } = faults.complete(form);
  const different = changedFields(project, changes);
  if (different === undefined) return project;
  const [updated] = await tx
    .update(projects)
    .set({ ...different, updatedAt: sql`now()` })
    .where(eq(projects.id, id))
    .returning();
  return updated as ProjectRow;
}

async function isTaken(tx: Transaction, key: string | undefined): Promise<boolean> {
  if (key === undefined) return false;
  const known = await tx.select({ id: projects.id }).from(projects).where(eq(projects.key, key));
  return known.length > 0;
}

function keyTaken(key: string | undefined): Refusal {
  return new Refusal(UserErrorCode.TAKEN, `the key ${key} is taken`, ['input', 'key']);
}

/** The viewer is a member, so the project exists. */
async function lockProject(tx: Transaction, id: ProjectId): Promise<ProjectRow> {
  const [project] = await tx.select().from(projects).where(eq(projects.id, id)).for('no key update');
  return project as ProjectRow;
}

/** @returns how the input names the user, and the path of the field that does */
function userKeyOf({ userId, handle, email }: Partial<z.output<typeof addMemberInput>>): {
  readonly key: UserKey;
  readonly path: readonly string[];
} {
  if (isGiven(userId)) return { key: { id: userId }, path: ['input', 'userId'] };
  if (isGiven(handle)) return { key: { handle }, path: ['input', 'handle'] };
  return { key: { email: email ?? '' }, path: ['input', 'email'] };
}

async function projectOf(tx: Transaction, id: ProjectId): Promise<ProjectRow> {
  const [project] = await tx.select().from(projects).where(eq(projects.id, id));
  return project as ProjectRow;
}

/** @throws Refusal CONFLICT when the project would be left without an OWNER. */
async function requireOtherOwner(
  tx: Transaction,
  table: MemberTable,
  { projectId, userId, path }: { projectId: ProjectId; userId: UserId; path: readonly string[] },
): Promise<void> {
  const owners = await tx
    .select({ userId: table.userId })
    .from(table)
    .where(and(eq(table.projectId, projectId), eq(table.role, 'OWNER')))
    .limit(2);
  if (owners.length === 1 && owners[0]?.userId === userId) {
    throw new Refusal(
      UserErrorCode.CONFLICT,
      'this is the last OWNER of the project: give another member the role first',
      path,
    );
  }
}

async function visibleProject(db: Executor, viewerId: UserId, id: ProjectId): Promise<ProjectRow | undefined> {
  const [found] = await db
    .select({ project: projects })
    .from(projects)
    .innerJoin(projectMembers, and(eq(projectMembers.projectId, projects.id), eq(projectMembers.userId, viewerId)))
    .where(eq(projects.id, id));
  return found?.project;
}
