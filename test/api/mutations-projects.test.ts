/** Changing and archiving projects, who is a member and with which role; each shown, and enforced, on another process at once. */
import { and, eq } from 'drizzle-orm';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { newId, type ProjectId, type UserId } from '../../src/db/ids.js';
import { projectMembers } from '../../src/domain/projects/project.table.js';
import { expectRefusal, type TwoProcesses, twoProcesses } from '../support/mutations.js';

const PROJECT = 'project { id key name description archivedAt viewerRole }';
const FIELDS: Record<string, string> = {
  createProject: PROJECT,
  updateProject: PROJECT,
  archiveProject: PROJECT,
  addMember: `${PROJECT} memberEdge { cursor role node { handle } }`,
  updateMember: `${PROJECT} memberEdge { cursor role node { handle } }`,
  removeMember: `removedUserId ${PROJECT}`,
  createTask: 'task { id version viewerCanUpdate viewerCanDelete }',
  updateTask: 'task { id }',
  deleteTask: 'deletedTaskId',
  moveTask: 'task { id }',
  addLabels: 'task { id }',
  updateTasks: 'results { errors { __typename } }',
  assignTask: 'task { id }',
  createLabel: 'label { id }',
  updateLabel: 'label { id }',
  deleteLabel: 'deletedLabelId',
  createComment: 'comment { id }',
};

let w: TwoProcesses;
beforeAll(async () => {
  w = await twoProcesses(FIELDS);
});
afterAll(() => w?.close());

/** A project of ada's for each test, with bob as MEMBER and vic as VIEWER. */
let id: ProjectId;
let made = 0;
beforeEach(async () => {
  id = (await w.mutate('createProject', { key: `P${++made}`, name: 'A project', description: 'Words' })).project.id;
  for (const [user, role] of [
    [w.f.bob, 'MEMBER'],
    [w.f.vic, 'VIEWER'],
  ] as const) {
    expect((await w.mutate('addMember', { projectId: id, userId: user.id, role })).errors).toEqual([]);
  }
});

const READ = `query($id: ID!) { project(id: $id) { name description archivedAt viewerRole
  members { totalCount nodes { handle } edges { cursor role node { handle } } } } }`;
const read = async (as: UserId = w.f.ada.id) => (await w.read(READ, { id }, as)).project;
const rolesOf = (project: { members: { edges: { role: string; node: { handle: string } }[] } }) =>
  Object.fromEntries(project.members.edges.map(({ role, node }) => [node.handle, role]));

describe('updateProject', () => {
  test('changes what is given, clears what is null, and shows at once', async () => {
    expect((await read()).name).toBe('A project');
    expect((await w.mutate('updateProject', { id, name: ' Renamed ' })).project).toMatchObject({
      name: 'Renamed',
      description: 'Words',
    });
    expect(await read()).toMatchObject({ name: 'Renamed', description: 'Words' });
    expect((await w.mutate('updateProject', { id, description: null })).project.description).toBeNull();
    expect((await read()).description).toBeNull();
    w.here.reset();
    expect((await w.mutate('updateProject', { id, name: 'Renamed' })).errors).toEqual([]);
    expect(w.here.counts.fences).toBe(0);
  });

  test.each([
    ['name', { name: null }],
    ['name', { name: ' ' }],
    ['description', { description: 'x'.repeat(10_001) }],
    ['id', { id: 'OPS' }],
  ])('refuses a bad %s', async (field, input) => {
    expectRefusal(await w.mutate('updateProject', { id, ...input }), 'ValidationError', field);
  });
});

test('updateProject, archiveProject and addMember are for OWNERs', async () => {
  const { bob, vic, eve } = w.f;
  for (const [name, input, field] of [
    ['updateProject', { id, name: 'No' }, 'id'],
    ['archiveProject', { id }, 'id'],
    ['addMember', { projectId: id, userId: eve.id, role: 'VIEWER' }, 'projectId'],
  ] as const) {
    expectRefusal(await w.mutate(name, input, { as: eve.id }), 'NotFoundError', field);
    expectRefusal(await w.mutate(name, input, { as: vic.id }), 'PermissionError', field);
    expectRefusal(await w.mutate(name, input, { as: bob.id }), 'PermissionError', field);
    expectRefusal(await w.mutate(name, { ...input, [field]: newId('project') }), 'NotFoundError', field);
  }
  expect(rolesOf(await read())).toEqual({ ada: 'OWNER', bob: 'MEMBER', vic: 'VIEWER' });
});

describe('archiveProject', () => {
  test('refuses every write, lets every read go on, and can be taken back', async () => {
    const { ada, bob, bug } = w.f;
    const task = (await w.mutate('createTask', { projectId: id, title: 'Kept' })).task;
    const label = (await w.mutate('createLabel', { projectId: id, name: 'kept' })).label;
    const can = async () =>
      (await w.read('query($id: ID!) { task(id: $id) { viewerCanUpdate viewerCanDelete } }', { id: task.id })).task;
    expect(await can()).toEqual({ viewerCanUpdate: true, viewerCanDelete: true });

    expect((await w.mutate('archiveProject', { id })).project.archivedAt).toEqual(expect.any(String));
    expect(await read(bob.id)).toMatchObject({
      name: 'A project',
      archivedAt: expect.any(String),
      viewerRole: 'MEMBER',
    });
    expect(await can()).toEqual({ viewerCanUpdate: false, viewerCanDelete: false });
    const writes: [string, Record<string, unknown>, ...string[]][] = [
      ['createTask', { projectId: id, title: 'No' }, 'projectId'],
      ['updateTask', { id: task.id, title: 'No' }, 'id'],
      ['deleteTask', { id: task.id }, 'id'],
      ['moveTask', { id: task.id, projectId: w.f.ops.id }, 'id'],
      ['addLabels', { taskId: task.id, labelIds: [label.id] }, 'taskId'],
      ['createLabel', { projectId: id, name: 'no' }, 'projectId'],
      ['updateLabel', { id: label.id, name: 'no' }, 'id'],
      ['deleteLabel', { id: label.id }, 'id'],
      ['createComment', { taskId: task.id, body: 'No' }, 'taskId'],
      ['updateProject', { id, name: 'No' }, 'id'],
    ];
    for (const [name, input, ...path] of writes) {
      const refused = await w.mutate(name, input, { as: ada.id, on: w.there });
      expectRefusal(refused, 'PermissionError', ...path);
      expect(refused.errors[0].message).toContain('archived');
    }
    const many = await w.mutate('updateTasks', { ids: [task.id, w.f.opsTasks[0]?.id], labelIds: [bug.id] });
    expect(many.results).toEqual([{ errors: [{ __typename: 'PermissionError' }] }, { errors: [] }]);

    expect((await w.mutate('archiveProject', { id, archived: false })).project.archivedAt).toBeNull();
    expect(await can()).toEqual({ viewerCanUpdate: true, viewerCanDelete: true });
    expect((await w.mutate('updateTask', { id: task.id, title: 'Yes' })).errors).toEqual([]);
  });

  test('twice changes nothing', async () => {
    const { archivedAt } = (await w.mutate('archiveProject', { id })).project;
    w.here.reset();
    expect((await w.mutate('archiveProject', { id })).project.archivedAt).toBe(archivedAt);
    expect(w.here.counts.fences).toBe(0);
  });

  test('once it has answered, no write that was under way is committed any more', async () => {
    const query = 'query($id: ID!) { project(id: $id) { tasks { totalCount } } }';
    const writes = Array.from({ length: 12 }, (_, i) =>
      w.mutate('createTask', { projectId: id, title: `T${i}` }, { on: i % 2 === 0 ? w.here : w.there }),
    );
    await w.mutate('archiveProject', { id });
    const { totalCount } = (await w.read(query, { id })).project.tasks;
    const ended = await Promise.all(writes);
    expect((await w.read(query, { id })).project.tasks.totalCount).toBe(totalCount);
    expect(ended.filter(({ task }) => task !== null)).toHaveLength(totalCount);
  });
});

describe('addMember', () => {
  test('lets the new member in, with their role, on every process at once', async () => {
    const { eve } = w.f;
    expect(await read(eve.id)).toBeNull();
    const { memberEdge, errors } = await w.mutate('addMember', { projectId: id, userId: eve.id, role: 'VIEWER' });
    expect(errors).toEqual([]);
    expect(memberEdge).toMatchObject({ role: 'VIEWER', node: { handle: 'eve' } });
    const seen = await read(eve.id);
    expect(seen).toMatchObject({ viewerRole: 'VIEWER', members: { totalCount: 4 } });
    expect(seen.members.edges).toContainEqual(memberEdge);
    const create = { projectId: id, title: 'Mine' };
    expectRefusal(await w.mutate('createTask', create, { as: eve.id, on: w.there }), 'PermissionError', 'projectId');
    await w.mutate('updateMember', { projectId: id, userId: eve.id, role: 'MEMBER' });
    expect(rolesOf(await read())).toEqual({ ada: 'OWNER', bob: 'MEMBER', vic: 'VIEWER', eve: 'MEMBER' });
    expect((await read(eve.id)).viewerRole).toBe('MEMBER');
    expect((await w.mutate('createTask', create, { as: eve.id, on: w.there })).errors).toEqual([]);
  });

  test('with the role that the member has changes nothing', async () => {
    w.here.reset();
    expect((await w.mutate('addMember', { projectId: id, userId: w.f.bob.id, role: 'MEMBER' })).errors).toEqual([]);
    expect(w.here.counts.fences).toBe(0);
  });

  test('refuses who is no user', async () => {
    const input = { projectId: id, role: 'MEMBER' };
    expectRefusal(await w.mutate('addMember', { ...input, userId: newId('user') }), 'NotFoundError', 'userId');
    expectRefusal(await w.mutate('addMember', { ...input, userId: 'eve' }), 'ValidationError', 'userId');
  });

  test('refuses another role for a member, and names updateMember', async () => {
    const refused = await w.mutate('addMember', { projectId: id, userId: w.f.bob.id, role: 'OWNER' });
    expectRefusal(refused, 'ConflictError', 'role');
    expect(refused.errors[0].message).toContain('updateMember');
    expect(rolesOf(await read())).toMatchObject({ bob: 'MEMBER' });
  });
});

describe('updateMember', () => {
  test('is for OWNERs and for members; the role that the member has changes nothing', async () => {
    const { bob, vic, eve } = w.f;
    const input = { projectId: id, userId: vic.id, role: 'MEMBER' };
    expectRefusal(await w.mutate('updateMember', input, { as: bob.id }), 'PermissionError', 'projectId');
    expectRefusal(await w.mutate('updateMember', input, { as: eve.id }), 'NotFoundError', 'projectId');
    expectRefusal(await w.mutate('updateMember', { ...input, userId: eve.id }), 'NotFoundError', 'userId');
    w.here.reset();
    const { memberEdge } = await w.mutate('updateMember', { ...input, role: 'VIEWER' });
    expect(memberEdge).toMatchObject({ role: 'VIEWER', node: { handle: 'vic' } });
    expect(w.here.counts.fences).toBe(0);
    expect(rolesOf(await read())).toEqual({ ada: 'OWNER', bob: 'MEMBER', vic: 'VIEWER' });
  });

  test('the last OWNER keeps the role; of two, one may give it up', async () => {
    const demote = { projectId: id, userId: w.f.ada.id, role: 'MEMBER' };
    expectRefusal(await w.mutate('updateMember', demote), 'ConflictError', 'role');
    await w.mutate('updateMember', { projectId: id, userId: w.f.bob.id, role: 'OWNER' });
    expect((await w.mutate('updateMember', demote)).project.viewerRole).toBe('MEMBER');
    expect(rolesOf(await read())).toMatchObject({ ada: 'MEMBER', bob: 'OWNER' });
  });

  test('of two OWNERs who demote or remove each other at once, one stays', async () => {
    const { ada, bob } = w.f;
    const owners = async () => Object.values(rolesOf(await read(w.f.vic.id))).filter((role) => role === 'OWNER');
    await w.mutate('updateMember', { projectId: id, userId: bob.id, role: 'OWNER' });
    await Promise.all([
      w.mutate('updateMember', { projectId: id, userId: bob.id, role: 'VIEWER' }, { as: ada.id }),
      w.mutate('removeMember', { projectId: id, userId: ada.id }, { as: bob.id, on: w.there }),
    ]);
    expect(await owners()).toEqual(['OWNER']);
  });
});

describe('removeMember', () => {
  const MINE = '{ viewer { assignedTasks(first: 100) { nodes { id } } } projects { nodes { id } } }';

  test('shuts the member out and takes their tasks of this project, on every process at once', async () => {
    const { ops, bob } = w.f;
    const task = (await w.mutate('createTask', { projectId: id, title: 'Theirs', assigneeId: bob.id })).task;
    const elsewhere = (await w.mutate('createTask', { projectId: ops.id, title: 'Stays', assigneeId: bob.id })).task;
    const ASSIGNEE = 'query($id: ID!) { task(id: $id) { version assignee { handle } } }';
    expect((await w.read(ASSIGNEE, { id: task.id })).task).toEqual({ version: 1, assignee: { handle: 'bob' } });
    expect((await w.read(MINE, {}, bob.id)).projects.nodes).toContainEqual({ id });

    const removed = await w.mutate('removeMember', { projectId: id, userId: bob.id });
    expect(removed).toMatchObject({ removedUserId: bob.id, project: { id }, errors: [] });
    expect((await w.read(ASSIGNEE, { id: task.id })).task).toEqual({ version: 2, assignee: null });
    expect((await w.read(ASSIGNEE, { id: elsewhere.id })).task).toEqual({ version: 1, assignee: { handle: 'bob' } });
    expect(rolesOf(await read())).toEqual({ ada: 'OWNER', vic: 'VIEWER' });
    expect(await read(bob.id)).toBeNull();
    const mine = await w.read(MINE, {}, bob.id);
    expect(mine.projects.nodes).not.toContainEqual({ id });
    expect(mine.viewer.assignedTasks.nodes).not.toContainEqual({ id: task.id });
    expect(mine.viewer.assignedTasks.nodes).toContainEqual({ id: elsewhere.id });
    const create = { projectId: id, title: 'Too late' };
    expectRefusal(await w.mutate('createTask', create, { as: bob.id, on: w.there }), 'NotFoundError', 'projectId');
    expectRefusal(await w.mutate('removeMember', { projectId: id, userId: bob.id }), 'NotFoundError', 'userId');
  });

  test('lets everybody leave, also an archived project, and shows them nothing of it any more', async () => {
    const { vic, bob } = w.f;
    await w.mutate('archiveProject', { id });
    for (const { id: userId } of [vic, bob]) {
      const left = await w.mutate('removeMember', { projectId: id, userId }, { as: userId });
      expect(left).toEqual({ removedUserId: userId, project: null, errors: [] });
      expect(await read(userId)).toBeNull();
    }
  });

  test('of others is for OWNERs; a stranger finds nothing', async () => {
    const input = { projectId: id, userId: w.f.ada.id };
    expectRefusal(await w.mutate('removeMember', input, { as: w.f.bob.id }), 'PermissionError', 'projectId');
    expectRefusal(await w.mutate('removeMember', input, { as: w.f.vic.id }), 'PermissionError', 'projectId');
    expectRefusal(await w.mutate('removeMember', input, { as: w.f.eve.id }), 'NotFoundError', 'projectId');
    expectRefusal(await w.mutate('removeMember', { ...input, userId: 'ada' }), 'ValidationError', 'userId');
    expect(rolesOf(await read())).toEqual({ ada: 'OWNER', bob: 'MEMBER', vic: 'VIEWER' });
  });

  test('the last OWNER can neither be removed nor leave', async () => {
    const { ada, bob } = w.f;
    expectRefusal(await w.mutate('removeMember', { projectId: id, userId: ada.id }), 'ConflictError', 'userId');
    await w.mutate('updateMember', { projectId: id, userId: bob.id, role: 'OWNER' });
    expect((await w.mutate('removeMember', { projectId: id, userId: ada.id })).errors).toEqual([]);
    expectRefusal(
      await w.mutate('removeMember', { projectId: id, userId: bob.id }, { as: bob.id }),
      'ConflictError',
      'userId',
    );
  });

  test('while tasks are given to the member leaves none assigned, and nobody waits for good', async () => {
    const { ops, bob } = w.f;
    const ids: string[] = [];
    for (let i = 0; i < 4; i++) ids.push((await w.mutate('createTask', { projectId: id, title: `T${i}` })).task.id);
    const assigning = ids.flatMap((task, i) => [
      w.mutate('assignTask', { id: task, assigneeId: bob.id }, { on: i % 2 === 0 ? w.here : w.there }),
      w.mutate('updateTasks', { ids: [...ids].reverse(), assigneeId: bob.id }, { as: bob.id, on: w.there }),
    ]);
    await Promise.all([...assigning, w.mutate('removeMember', { projectId: id, userId: bob.id })]);
    const query = `query($p: ID!, $u: ID!) { tasks(filter: { project: { id: { eq: $p } }, assignee: { id: { eq: $u } } }) { totalCount } }`;
    expect((await w.read(query, { p: id, u: bob.id })).tasks.totalCount).toBe(0);
    expect((await w.read(query, { p: ops.id, u: bob.id })).tasks.totalCount).toBeGreaterThan(0);
  });
});

test('a role changed around the API is seen and enforced by the next write', async () => {
  const { bob } = w.f;
  await w.here.transactor.transact((tx) =>
    tx
      .update(projectMembers)
      .set({ role: 'VIEWER' })
      .where(and(eq(projectMembers.projectId, id), eq(projectMembers.userId, bob.id))),
  );
  expect((await read(bob.id)).viewerRole).toBe('VIEWER');
  const refused = await w.mutate('createTask', { projectId: id, title: 'No' }, { as: bob.id });
  expectRefusal(refused, 'PermissionError', 'projectId');
});

interface MembersPage {
  readonly edges: { role: string; node: { handle: string } }[];
  readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string };
  readonly totalCount: number;
}

test('members are paged by their cursors, with roles', async () => {
  const query = `query($id: ID!, $after: String) { project(id: $id) { members(first: 1, after: $after) {
    edges { cursor role node { handle } } pageInfo { hasNextPage endCursor } totalCount } } }`;
  const roles: Record<string, string> = {};
  let after: string | null = null;
  do {
    const page: MembersPage = (await w.read(query, { id, after })).project.members;
    const { edges, pageInfo, totalCount } = page;
    expect(totalCount).toBe(3);
    expect(edges).toHaveLength(1);
    Object.assign(roles, rolesOf({ members: { edges } }));
    after = pageInfo.hasNextPage ? pageInfo.endCursor : null;
  } while (after !== null);
  expect(roles).toEqual({ ada: 'OWNER', bob: 'MEMBER', vic: 'VIEWER' });
});
