/** Deleted and restored projects, their purge, and the identifiers of tasks that moved between projects. */
import { eq, sql } from 'drizzle-orm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newId, toUuid, type UserId } from '../../src/db/ids.js';
import { comments } from '../../src/domain/comments/comment.table.js';
import { createUser } from '../../src/domain/projects/create-user.js';
import { MAX_CREATED } from '../../src/domain/projects/memberships.js';
import { projectMembers, projects } from '../../src/domain/projects/project.table.js';
import { formerNumbers } from '../../src/domain/tasks/former-number.table.js';
import { tasks } from '../../src/domain/tasks/task.table.js';
import { users } from '../../src/domain/users/user.table.js';
import { eventually } from '../support/app.js';
import { type LiveApp, liveApp } from '../support/live.js';
import { expectRefusal, type TwoProcesses, twoProcesses } from '../support/mutations.js';
import { connect } from '../support/subscriber.js';

const TRASH_DAYS = 7;
const FIELDS: Record<string, string> = {
  createProject: 'project { id key }',
  deleteProject: 'deletedProjectId',
  restoreProject: 'project { id key name viewerRole }',
  addMember: 'memberEdge { role }',
  removeMember: 'removedUserId project { id }',
  archiveProject: 'project { id }',
  createTask: 'task { id identifier }',
  updateTask: 'task { id }',
  moveTask: 'task { identifier previousIdentifiers }',
  deleteTask: 'deletedTaskId',
  restoreTask: 'task { identifier previousIdentifiers }',
  purgeTask: 'purgedTaskId',
};
const DELETED = `query($first: Int, $after: String) { deletedProjects(first: $first, after: $after) {
  totalCount nodes { id key name deletedAt deletedBy { handle } expiresAt } pageInfo { endCursor } } }`;
const FOUND = 'query($identifier: String!) { task(identifier: $identifier) { id identifier previousIdentifiers } }';

let w: TwoProcesses;
let live: LiveApp;
beforeAll(async () => {
  w = await twoProcesses(FIELDS, { app: { trashDays: TRASH_DAYS } });
  live = await liveApp({ databaseUrl: w.here.databaseUrl, group: w.here.group });
});
afterAll(async () => {
  await live?.close();
  await w?.close();
});

let keys = 0;
const project = async (as?: UserId) => {
  const input = { key: `KEY${++keys}`, name: `Project ${keys}` };
  return { ...(await w.mutate('createProject', input, as && { as })).project, ...input };
};
const remove = async ({ id, key }: { id: string; key: string }) =>
  expect(await w.mutate('deleteProject', { id, key })).toEqual({ deletedProjectId: id, errors: [] });
const deletedOf = async (as?: UserId, variables: object = {}) =>
  (await w.read(DELETED, { first: 100, ...variables }, as)).deletedProjects;
const found = async (identifier: string, as?: UserId) => (await w.read(FOUND, { identifier }, as)).task;
const age = (table: 'trashed_projects' | 'trashed_tasks', id: string) =>
  w.here.transactor.transact((tx) =>
    tx.execute(sql`
      update ${sql.identifier(table)} set deleted_at = now() - make_interval(days => ${TRASH_DAYS + 1})
      where id = ${toUuid(id as never)}`),
  );

test('a deleted project is gone for its members at once, and back with their roles when it is restored', async () => {
  const { bob, vic, ada } = w.f;
  const own = await project();
  await w.mutate('addMember', { projectId: own.id, userId: bob.id, role: 'MEMBER' });
  await w.mutate('addMember', { projectId: own.id, userId: vic.id, role: 'VIEWER' });
  const task = (await w.mutate('createTask', { projectId: own.id, title: 'Inside', assigneeId: bob.id })).task;
  const repeated = { projectId: own.id, title: 'Deleted first', idempotencyKey: 'in a deleted project' };
  const trashed = (await w.mutate('createTask', repeated)).task;
  await w.mutate('deleteTask', { id: trashed.id });
  const document = `query($id: ID!, $key: String!, $task: ID!) {
    project(id: $id) { viewerRole members { edges { role node { handle } } } } byKey: project(key: $key) { id }
    task(id: $task) { title } projects(first: 100) { totalCount } viewer { assignedTasks { totalCount } } }`;
  const variables = { id: own.id, key: own.key, task: task.id };
  const all = [ada.id, bob.id, vic.id];
  const read = () => Promise.all(all.map((as) => w.read(document, variables, as)));
  const before = await read();
  expect(before[1]).toMatchObject({ project: { viewerRole: 'MEMBER' }, task: { title: 'Inside' } });
  expect((await deletedOf()).totalCount).toBe(0);
  const connection = connect(live, bob.id);
  const subscription = await connection.subscribe({ projectId: own.id });

  await remove(own);
  for (const [i, { project, byKey, task, projects }] of (await read()).entries()) {
    expect([project, byKey, task]).toEqual([null, null, null]);
    expect(projects.totalCount).toBe(before[i].projects.totalCount - 1);
  }
  await eventually(() => expect(subscription.ended).toBe(true));
  expect(subscription.changes).toEqual([]);
  await connection.close();
  expectRefusal(await w.mutate('updateTask', { id: task.id, title: 'No' }), 'NotFoundError', 'id');
  expectRefusal(await w.mutate('restoreTask', { id: trashed.id }), 'NotFoundError', 'id');
  expectRefusal(await w.mutate('createTask', repeated), 'NotFoundError', 'idempotencyKey');
  expectRefusal(await w.mutate('createProject', { key: own.key, name: 'Taken' }), 'ValidationError', 'key');
  const entry = { id: own.id, key: own.key, name: own.name, deletedBy: { handle: 'ada' } };
  expect((await deletedOf()).nodes).toMatchObject([entry]);
  for (const as of [bob.id, vic.id, w.f.eve.id]) {
    expect((await deletedOf(as)).nodes).toEqual([]);
    expectRefusal(await w.mutate('restoreProject', { id: own.id }, { as }), 'NotFoundError', 'id');
  }

  const restored = await w.mutate('restoreProject', { id: own.id });
  expect(restored).toEqual({ project: { id: own.id, key: own.key, name: own.name, viewerRole: 'OWNER' }, errors: [] });
  expect(await read()).toEqual(before);
  expect((await deletedOf()).totalCount).toBe(0);
  expectRefusal(await w.mutate('restoreProject', { id: own.id }), 'NotFoundError', 'id');
});

test('an OWNER deletes a project, archived or not, and confirms it with the key', async () => {
  const { ops, bob, eve } = w.f;
  const input = { id: ops.id, key: 'OPS' };
  expectRefusal(await w.mutate('deleteProject', { ...input, key: 'ops' }), 'ValidationError', 'key');
  expectRefusal(await w.mutate('deleteProject', input, { as: bob.id }), 'PermissionError', 'id');
  expectRefusal(await w.mutate('deleteProject', input, { as: eve.id }), 'NotFoundError', 'id');
  expectRefusal(await w.mutate('deleteProject', { id: newId('project'), key: 'OPS' }), 'NotFoundError', 'id');
  const archived = await project();
  await w.mutate('archiveProject', { id: archived.id });
  await remove(archived);
  await w.mutate('restoreProject', { id: archived.id });
  const read = 'query($id: ID!) { project(id: $id) { archivedAt } }';
  expect((await w.read(read, { id: archived.id })).project.archivedAt).not.toBeNull();
});

test('a restored project has the members whose users still exist', async () => {
  const own = await project();
  const [user] = await w.here.db.write.insert(users).values({ handle: 'leaving', name: 'Leaving' }).returning();
  const { id } = user as { id: UserId };
  await w.mutate('addMember', { projectId: own.id, userId: id, role: 'OWNER' });
  await remove(own);
  await w.here.transactor.transact((tx) => tx.delete(users).where(eq(users.id, id)));
  await w.mutate('restoreProject', { id: own.id });
  const read = 'query($id: ID!) { project(id: $id) { members { nodes { handle } } } }';
  expect((await w.read(read, { id: own.id })).project.members.nodes).toEqual([{ handle: 'ada' }]);
});

test('a member leaves a deleted project and stays out when it is restored; the last OWNER cannot leave', async () => {
  const { ada, bob, vic, eve } = w.f;
  const own = await project();
  const projectId = own.id;
  await w.mutate('addMember', { projectId, userId: bob.id, role: 'OWNER' });
  await w.mutate('addMember', { projectId, userId: vic.id, role: 'MEMBER' });
  const { task } = await w.mutate('createTask', { projectId, title: 'Of one who leaves', assigneeId: vic.id });
  await remove(own);
  const leave = (as: UserId, userId = as) => w.mutate('removeMember', { projectId, userId }, { as });
  expectRefusal(await leave(eve.id), 'NotFoundError', 'projectId');
  expectRefusal(await leave(ada.id, vic.id), 'NotFoundError', 'projectId');
  expect((await deletedOf(bob.id)).totalCount).toBe(1);
  for (const as of [vic.id, bob.id]) {
    expect(await leave(as)).toEqual({ removedUserId: as, project: null, errors: [] });
    expectRefusal(await leave(as), 'NotFoundError', 'projectId');
  }
  expect((await deletedOf(bob.id)).totalCount).toBe(0);
  expectRefusal(await w.mutate('restoreProject', { id: projectId }, { as: bob.id }), 'NotFoundError', 'id');
  expectRefusal(await leave(ada.id), 'ConflictError', 'userId');
  await w.mutate('restoreProject', { id: projectId });
  const read =
    'query($id: ID!, $task: ID!) { project(id: $id) { members { nodes { handle } } } task(id: $task) { assignee { handle } } }';
  expect(await w.read(read, { id: projectId, task: task.id })).toEqual({
    project: { members: { nodes: [{ handle: 'ada' }] } },
    task: { assignee: null },
  });
});

test('a member of a deleted project whom an operator has added again leaves it altogether', async () => {
  const { vic } = w.f;
  const own = await project();
  await w.mutate('addMember', { projectId: own.id, userId: vic.id, role: 'MEMBER' });
  await remove(own);
  await w.here.transactor.transact((tx) =>
    tx.insert(projectMembers).values({ projectId: own.id, userId: vic.id, role: 'MEMBER' }),
  );
  const input = { projectId: own.id, userId: vic.id };
  expect((await w.mutate('removeMember', input, { as: vic.id })).errors).toEqual([]);
  await w.mutate('restoreProject', { id: own.id });
  const read = 'query($id: ID!) { project(id: $id) { members { nodes { handle } } } }';
  expect((await w.read(read, { id: own.id })).project.members.nodes).toEqual([{ handle: 'ada' }]);
});

test('a deleted project counts as one that its creator has, so that it can always be restored', async () => {
  const { eve } = w.f;
  const [own, ...others] = Array.from({ length: MAX_CREATED }, (_, i) => ({
    id: newId('project'),
    key: `EVE${i}`,
    name: 'One of many',
  }));
  await w.here.transactor.transact(async (tx) => {
    const all = [own as { id: (typeof others)[number]['id'] }, ...others].map(({ id: projectId }) => ({ projectId }));
    await tx.insert(projects).values([own, ...others] as never);
    await tx
      .insert(projectMembers)
      .values(all.map(({ projectId }) => ({ projectId, userId: eve.id, role: 'OWNER' as const, addedBy: eve.id })));
  });
  expect((await w.mutate('deleteProject', { id: own?.id, key: own?.key }, { as: eve.id })).errors).toEqual([]);
  const refused = await w.mutate('createProject', { key: 'EVEMORE', name: 'More' }, { as: eve.id });
  expect(refused.errors).toMatchObject([{ __typename: 'ValidationError', code: 'LIMIT' }]);
  expect((await w.mutate('restoreProject', { id: own?.id }, { as: eve.id })).errors).toEqual([]);
});

test('deleted projects come in pages, the latest first', async () => {
  const all = [await project(), await project(), await project()];
  for (const one of all) await remove(one);
  const first = await deletedOf(undefined, { first: 2 });
  const next = await deletedOf(undefined, { first: 1, after: first.pageInfo.endCursor });
  const names = [...first.nodes, ...next.nodes].map(({ name }: { name: string }) => name);
  expect(names).toEqual(all.map(({ name }) => name).reverse());
  for (const { id } of all) await w.mutate('restoreProject', { id });
});

test('the upkeep purges a project with everything in it, and its key is free again', async () => {
  const { ada } = w.f;
  const own = await project();
  const trashed = (await w.mutate('createTask', { projectId: own.id, title: 'In the trash' })).task;
  await w.mutate('deleteTask', { id: trashed.id });
  await w.here.transactor.transact(async (tx) => {
    const rows = Array.from({ length: 120 }, (_, i) => ({ id: newId('task'), number: 10 + i, title: `Task ${i}` }));
    const more = { projectId: own.id, creatorId: ada.id };
    // A chain of 30 subtasks: each can only be deleted after the one below it.
    await tx
      .insert(tasks)
      .values(rows.map((row, i) => ({ ...row, ...more, parentId: i < 30 ? rows[i - 1]?.id : null })));
    const [{ id: taskId }] = rows as [(typeof rows)[number]];
    await tx.insert(comments).values(Array.from({ length: 700 }, () => ({ taskId, authorId: ada.id, body: 'Noted' })));
  });
  const kept = await project();
  const inUse = await project();
  for (const one of [own, kept, inUse]) await remove(one);
  for (const { id } of [own, inUse]) await age('trashed_projects', id);
  const createOwner = (ownerOf: string) =>
    w.here.transactor.transact((tx) => createUser(tx, { handle: 'new', name: 'New', subject: undefined, ownerOf }));
  await expect(createOwner(inUse.key)).rejects.toThrow('is deleted');
  await w.here.transactor.transact((tx) =>
    tx.insert(projectMembers).values({ projectId: inUse.id, userId: ada.id, role: 'OWNER' }),
  );
  await w.here.trashUpkeep.purge();
  expect((await w.mutate('restoreProject', { id: inUse.id })).errors).toEqual([]);
  const [left] = await w.here.db.read.execute<Record<string, number>>(sql`
    select (select count(*)::int from projects where id = ${toUuid(own.id)}) as projects,
      (select count(*)::int from tasks where project_id = ${toUuid(own.id)}) as tasks,
      (select count(*)::int from trashed_tasks where project_id = ${toUuid(own.id)}) as trashed,
      (select count(*)::int from comments where body = 'Noted') as comments`);
  expect(left).toEqual({ projects: 0, tasks: 0, trashed: 0, comments: 0 });
  expectRefusal(await w.mutate('restoreProject', { id: own.id }), 'NotFoundError', 'id');
  expect((await deletedOf()).nodes.map(({ id }: { id: string }) => id)).toEqual([kept.id]);
  expect((await w.mutate('createProject', { key: own.key, name: 'Again' })).errors).toEqual([]);
  expect((await w.mutate('restoreProject', { id: kept.id })).errors).toEqual([]);
});

test('a moved task is found by each identifier it had, also after it was deleted and restored', async () => {
  const { ops, web, bob } = w.f;
  const third = await project();
  const { id, identifier: first } = (await w.mutate('createTask', { projectId: ops.id, title: 'To move' })).task;
  const next = await (async () => {
    expect(await found(first)).toEqual({ id, identifier: first, previousIdentifiers: [] });
    const moved = (await w.mutate('moveTask', { id, projectId: web.id })).task;
    expect(moved.previousIdentifiers).toEqual([first]);
    return moved.identifier;
  })();
  expect(await found(first)).toEqual({ id, identifier: next, previousIdentifiers: [first] });
  expect(await found(first, bob.id)).toBeNull(); // a member of OPS, not of WEB
  const last = (await w.mutate('moveTask', { id, projectId: third.id })).task.identifier;
  const everywhere = { id, identifier: last, previousIdentifiers: [next, first] };
  for (const identifier of [first, next, last]) expect(await found(identifier)).toEqual(everywhere);

  await w.mutate('addMember', { projectId: third.id, userId: bob.id, role: 'VIEWER' });
  // Of identifiers in WEB, bob is shown none; somebody may have given him one.
  const ofBob = { ...everywhere, previousIdentifiers: [first] };
  for (const identifier of [first, next]) expect(await found(identifier, bob.id)).toEqual(ofBob);

  await w.mutate('deleteTask', { id });
  expect(await found(first)).toBeNull();
  const restored = await w.mutate('restoreTask', { id });
  expect(restored.task).toEqual({ identifier: last, previousIdentifiers: [next, first] });
  expect(await found(first)).toEqual(everywhere);
  await w.mutate('deleteTask', { id });
  await w.mutate('purgeTask', { id });
  expect(await w.here.db.read.$count(formerNumbers)).toBe(0);
});

test('a number written by SQL over a former one is found as the current one', async () => {
  const { ops, web } = w.f;
  const old = (await w.mutate('createTask', { projectId: ops.id, title: 'Before' })).task;
  const young = (await w.mutate('createTask', { projectId: ops.id, title: 'After' })).task;
  await w.mutate('moveTask', { id: old.id, projectId: web.id });
  const number = Number(old.identifier.split('-')[1]);
  await w.here.transactor.transact((tx) => tx.update(tasks).set({ number }).where(eq(tasks.id, young.id)));
  expect(await found(old.identifier)).toMatchObject({ id: young.id, previousIdentifiers: [young.identifier] });
  expect(await found(young.identifier)).toMatchObject({ id: young.id });
});
