/** Users: profiles, who is shown whom, invitations, and users that an operator has deactivated. One process writes, another one is read. */
import { eq } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { UserId } from '../../src/db/ids.js';
import { MAX_OPEN_OF_PROJECT } from '../../src/domain/projects/invitation.service.js';
import { invitations } from '../../src/domain/projects/invitation.table.js';
import { dataOf, eventually } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { type LiveApp, liveApp } from '../support/live.js';
import { LiveSocket } from '../support/live-client.js';
import { expectRefusal } from '../support/mutations.js';
import { connect } from '../support/subscriber.js';

const NEAR = { nearCacheBytes: 16 * 1024 * 1024 };
const FIELDS: Record<string, string> = {
  updateProfile: 'user { handle name avatarUrl email isMe }',
  deactivateUser: 'user { handle active }',
  reactivateUser: 'user { handle active }',
  createProject: 'project { id }',
  addMember: 'project { id }',
  deleteProject: 'deletedProjectId',
  restoreProject: 'project { id }',
  updateMember: 'project { id }',
  removeMember: 'project { id }',
  completeTask: 'task { id }',
  createTask: 'task { id }',
  inviteMember: 'invitation { id createdAt expiresAt } token',
  acceptInvitation: 'project { id } memberEdge { role node { handle } }',
  revokeInvitation: 'revokedInvitationId',
};

let here: LiveApp;
let there: LiveApp;
let f: Fixture;
beforeAll(async () => {
  here = await liveApp(NEAR);
  there = await liveApp({ ...NEAR, databaseUrl: here.databaseUrl, group: here.group });
  f = await fixture(here);
});
afterAll(async () => {
  await there?.close();
  await here?.close();
});

/** A mutation on one process, as ada unless said; with the scope of operators if `admin`. */
async function send(name: string, input: object, { as = f.ada.id, admin = false } = {}) {
  const type = `${name[0]?.toUpperCase()}${name.slice(1)}Input`;
  const document = `mutation($input: ${type}!) { ${name}(input: $input) { ${FIELDS[name]} errors { __typename code message path } } }`;
  const headers = { authorization: `Bearer ${await here.tokenOf(as, ...(admin ? ['cache:admin'] : []))}` };
  return here.ask(document, { headers, variables: { input } });
}
const mutate = async (...args: Parameters<typeof send>) => dataOf(await send(...args))[args[0]];
/** A query on the other process, whose answers are kept. */
const read = async (query: string, as: UserId = f.ada.id, variables = {}) =>
  dataOf(await there.ask(query, { as, variables }));

describe('updateProfile', () => {
  const USER = 'query($id: ID!) { user(id: $id) { handle name avatarUrl email isMe active } }';

  test('changes the viewer alone, and every process shows it at once', async () => {
    const { ada, bob } = f;
    const before = { handle: 'bob', name: 'BOB', avatarUrl: null, email: null, active: true };
    expect((await read(USER, bob.id, { id: bob.id })).user).toEqual({ ...before, isMe: true });
    expect((await read(USER, ada.id, { id: bob.id })).user).toEqual({ ...before, isMe: false });
    const input = {
      name: ' Bob  B. ',
      handle: 'bobby',
      avatarUrl: 'https://Example.com/ü.png',
      email: ' Bob@Example.COM ',
    };
    const { user, errors } = await mutate('updateProfile', input, { as: bob.id });
    expect(errors).toEqual([]);
    const after = {
      handle: 'bobby',
      name: 'Bob  B.',
      avatarUrl: 'https://example.com/%C3%BC.png',
      email: 'bob@example.com',
    };
    expect(user).toEqual({ ...after, isMe: true });
    const toOthers = { ...after, email: null, isMe: false, active: true };
    expect((await read(USER, ada.id, { id: bob.id })).user).toEqual(toOthers);
    expect(
      (await read('{ tasks(filter: { assignee: { handle: { eq: "bob" } } }) { totalCount } }')).tasks.totalCount,
    ).toBe(0);
    const cleared = { name: 'BOB', handle: 'bob', avatarUrl: null, email: null };
    expect((await mutate('updateProfile', cleared, { as: bob.id })).user).toEqual({ ...cleared, isMe: true });
  });

  test('without a change writes nothing', async () => {
    here.reset();
    expect((await mutate('updateProfile', { name: 'ADA' })).errors).toEqual([]);
    expect(here.counts.fences).toBe(0);
  });

  test.each<[string, object]>([
    ['name', { name: ' ' }],
    ['name', { name: null }],
    ['handle', { handle: 'with space' }],
    ['handle', { handle: 'bob' }], // another user's
    ['email', { email: 'not an address' }],
    ['email', { email: `${'x'.repeat(250)}@example.com` }],
    ['avatarUrl', { avatarUrl: 'http://example.com/a.png' }],
    ['avatarUrl', { avatarUrl: 'https://user:pass@example.com/a.png' }],
    ['avatarUrl', { avatarUrl: 'javascript:alert(1)' }],
    ['avatarUrl', { avatarUrl: `https://example.com/${'ü'.repeat(1000)}` }],
  ])('refuses a bad %s: %j', async (field, input) => {
    const { user, errors } = await mutate('updateProfile', input);
    expect(user).toBeNull();
    expect(errors).toMatchObject([{ path: ['input', field] }]);
  });

  test('shows the e-mail address to its user and to OWNERs of a project that the user joined itself, as memberships change', async () => {
    const { ada, bob, vic, ops } = f;
    const EMAIL = 'query($id: ID!) { user(id: $id) { email } node(id: $id) { ... on User { email } } }';
    await mutate('updateProfile', { email: 'vic@example.com' }, { as: vic.id });
    const shown = { user: { email: 'vic@example.com' }, node: { email: 'vic@example.com' } };
    const hidden = { user: { email: null }, node: { email: null } };
    expect(await read(EMAIL, vic.id, { id: vic.id })).toEqual(shown);
    expect(await read(EMAIL, ada.id, { id: vic.id })).toEqual(hidden); // an imported member
    await mutate('removeMember', { projectId: ops.id, userId: vic.id });
    expect(await read(EMAIL, ada.id, { id: vic.id })).toEqual({ user: null, node: null });
    const invitation = { projectId: ops.id, email: 'vic@example.com', role: 'VIEWER' };
    const { token } = await mutate('inviteMember', invitation);
    expect((await mutate('acceptInvitation', { token }, { as: vic.id })).errors).toEqual([]);
    expect(await read(EMAIL, ada.id, { id: vic.id })).toEqual(shown);
    expect(await read(EMAIL, bob.id, { id: vic.id })).toEqual(hidden);
    // An OWNER of another project sees no more.
    await mutate('createProject', { key: 'BOBS', name: 'Of Bob' }, { as: bob.id });
    expect(await read(EMAIL, bob.id, { id: vic.id })).toEqual(hidden);
    await mutate('removeMember', { projectId: ops.id, userId: vic.id });
    await mutate('addMember', { projectId: ops.id, userId: vic.id, role: 'VIEWER' });
    expect(await read(EMAIL, ada.id, { id: vic.id })).toEqual(hidden);
  });

  test('hides the e-mail address from an OWNER who added the user by handle', async () => {
    const { bob, eve } = f;
    await mutate('updateProfile', { email: 'bob@example.com' }, { as: bob.id });
    const { project } = await mutate('createProject', { key: 'EVES', name: 'Of Eve' }, { as: eve.id });
    const input = { projectId: project.id, handle: 'bob', role: 'OWNER' };
    const document = `mutation($input: AddMemberInput!) { addMember(input: $input) {
      memberEdge { node { email } } errors { code } } }`;
    const added = dataOf(await here.ask(document, { as: eve.id, variables: { input } })).addMember;
    expect(added).toEqual({ memberEdge: { node: { email: null } }, errors: [] });
    const MEMBERS = 'query($id: ID!) { project(id: $id) { members { nodes { handle email } } } }';
    const emails = async (as: UserId) =>
      (await read(MEMBERS, as, { id: project.id })).project.members.nodes.map((one: { email: string }) => one.email);
    expect(await emails(eve.id)).toEqual([null, null]);
    // The creator's membership is its own act.
    await mutate('updateProfile', { email: 'eve@example.com' }, { as: eve.id });
    expect(await emails(bob.id)).toEqual(['bob@example.com', 'eve@example.com']);
    await mutate('deleteProject', { id: project.id, key: 'EVES' }, { as: eve.id });
  });
});

describe('the filter isMe', () => {
  const list = (condition: string) => `{ tasks(filter: { ${condition} }) { totalCount } }`;

  test('selects by the viewer, for each viewer its own tasks', async () => {
    const { ada, bob } = f;
    for (const as of [ada.id, bob.id, ada.id]) {
      const mine = await read(list('assignee: { isMe: { eq: true } }'), as);
      expect(mine).toEqual(await read(list(`assignee: { id: { eq: "${as}" } }`), as));
      expect(mine.tasks.totalCount).toBe(as === ada.id ? 4 : 3);
    }
    await mutate('createTask', { projectId: f.ops.id, title: 'Unassigned' });
    expect((await read(list('assignee: { isMe: { eq: false } }'))).tasks.totalCount).toBe(4);
    expect((await read(list('assignee: { isMe: { neq: true }, null: false }'))).tasks.totalCount).toBe(3);
    expect((await read(list('assignee: { isMe: { eq: true, neq: true } }'))).tasks.totalCount).toBe(0);
    expect((await read(list('creator: { isMe: { eq: true } }'), bob.id)).tasks.totalCount).toBe(0);
  });
});

describe('users', () => {
  const USERS = `query($search: String, $first: Int, $after: String) {
    users(search: $search, first: $first, after: $after) { totalCount nodes { handle } pageInfo { hasNextPage endCursor } } }`;
  const handles = async (as: UserId, variables = {}): Promise<string[]> =>
    (await read(USERS, as, variables)).users.nodes.map(({ handle }: { handle: string }) => handle);

  test('lists the viewer and everyone who shares a project, by name, as it is after each write', async () => {
    const { ada, bob, vic, eve, ops } = f;
    expect(await handles(ada.id)).toEqual(['ada', 'bob', 'vic']);
    expect(await handles(eve.id)).toEqual(['eve']);
    await mutate('addMember', { projectId: ops.id, userId: eve.id, role: 'VIEWER' });
    expect(await handles(eve.id)).toEqual(['ada', 'bob', 'eve', 'vic']);
    await mutate('updateProfile', { name: 'zed' }, { as: ada.id });
    expect(await handles(vic.id)).toEqual(['bob', 'eve', 'vic', 'ada']);
    await mutate('updateProfile', { name: 'ADA' }, { as: ada.id });
    await mutate('removeMember', { projectId: ops.id, userId: eve.id });
    expect(await handles(bob.id)).toEqual(['ada', 'bob', 'vic']);
    expect(await handles(eve.id)).toEqual(['eve']);
  });

  test('search matches the beginning of handle or name in any case, and its special characters as they are', async () => {
    const { ada, bob } = f;
    await mutate('updateProfile', { name: 'Ronald %_' }, { as: bob.id });
    expect(await handles(ada.id, { search: 'BO' })).toEqual(['bob']);
    expect(await handles(ada.id, { search: ' rON' })).toEqual(['bob']);
    expect(await handles(ada.id, { search: 'ronald %_' })).toEqual(['bob']);
    expect(await handles(ada.id, { search: '%' })).toEqual([]);
    expect(await handles(ada.id, { search: 'nald' })).toEqual([]);
    expect(await handles(ada.id, { search: 'eve' })).toEqual([]);
    expect((await there.ask(USERS, { as: ada.id, variables: { search: 'x'.repeat(101) } })).errors).toMatchObject([
      { extensions: { code: 'BAD_USER_INPUT', argument: 'search' } },
    ]);
    await mutate('updateProfile', { name: 'BOB' }, { as: bob.id });
  });

  test('pages from each user to the next, and counts all of them', async () => {
    const seen: string[] = [];
    let after: string | null = null;
    do {
      const page: {
        totalCount: number;
        nodes: { handle: string }[];
        pageInfo: { hasNextPage: boolean; endCursor: string };
      } = (await read(USERS, f.ada.id, { first: 1, after })).users;
      expect(page.totalCount).toBe(3);
      seen.push(...page.nodes.map(({ handle }) => handle));
      after = page.pageInfo.hasNextPage ? page.pageInfo.endCursor : null;
    } while (after !== null);
    expect(seen).toEqual(['ada', 'bob', 'vic']);
  });

  test('one user is found by id or handle among these; an OWNER of any project finds everyone by exact handle', async () => {
    const { ada, vic, eve } = f;
    const BY = 'query($id: ID, $handle: String) { user(id: $id, handle: $handle) { handle } }';
    const find = async (as: UserId, variables: object) => (await read(BY, as, variables)).user?.handle ?? null;
    expect(await find(vic.id, { id: ada.id })).toBe('ada');
    expect(await find(vic.id, { handle: 'ada' })).toBe('ada');
    for (const variables of [{ id: eve.id }, { handle: 'eve' }, { handle: 'none' }]) {
      expect(await find(vic.id, variables)).toBeNull();
    }
    expect(await find(ada.id, { handle: 'eve' })).toBe('eve');
    expect(await find(ada.id, { handle: 'EVE' })).toBeNull();
    expect(await find(ada.id, { id: eve.id })).toBeNull();
    expect((await there.ask('{ user { handle } }', { as: ada.id })).errors).toMatchObject([
      { extensions: { code: 'BAD_USER_INPUT' } },
    ]);
  });
});

describe('deactivateUser', () => {
  const LIST = '{ projects { nodes { key } } tasks(first: 2) { nodes { title } } }';

  test('refuses every request of the user on every process from now on, and reactivateUser admits it again', async () => {
    const { bob, ada, opsTasks } = f;
    const complete = () => send('completeTask', { id: opsTasks[1]?.id }, { as: bob.id });
    expect(await read(LIST, bob.id)).toEqual(await read(LIST, bob.id)); // kept by now
    const { user, errors } = await mutate('deactivateUser', { id: bob.id }, { admin: true });
    expect([user, errors]).toEqual([{ handle: 'bob', active: false }, []]);
    for (const document of [LIST, '{ viewer { handle } }', '{ __typename }', '{ rateLimit { remaining } }']) {
      const answer = await there.ask(document, { as: bob.id });
      expect([answer.status, answer.errors]).toMatchObject([401, [{ extensions: { code: 'UNAUTHENTICATED' } }]]);
    }
    const snapshot = await there.ask(LIST, { as: bob.id, headers: { 'x-consistency': 'snapshot' } });
    expect(snapshot.status).toBe(401);
    expect([
      (await complete()).status,
      (await send('createProject', { key: 'LATE', name: 'L' }, { as: bob.id })).status,
    ]).toEqual([401, 401]);
    const task = await read(
      'query($id: ID!) { node(id: $id) { ... on Task { status assignee { handle active } } } }',
      ada.id,
      { id: opsTasks[1]?.id },
    );
    expect(task.node).toEqual({ status: 'BACKLOG', assignee: { handle: 'bob', active: false } });
    expect((await mutate('reactivateUser', { id: bob.id }, { admin: true })).user).toEqual({
      handle: 'bob',
      active: true,
    });
    expect((await read(LIST, bob.id)).projects.nodes).toContainEqual({ key: 'OPS' });
    expect((await complete()).status).toBe(200);
  });

  test('ends live queries and subscriptions of the user', async () => {
    const { vic } = f;
    const socket = await LiveSocket.open(there, vic.id);
    const live = socket.subscribe({ query: 'query @live { projects { nodes { key } } }' });
    const connection = connect(there, vic.id);
    const subscription = await connection.subscribe();
    await eventually(() => expect(live.answers).toHaveLength(1));
    await mutate('deactivateUser', { id: vic.id }, { admin: true });
    await eventually(() => expect(subscription.ended).toBe(true));
    expect(subscription.errors).toMatchObject([{ extensions: { code: 'UNAUTHENTICATED' } }]);
    expect((await socket.closed).code).toBe(4403);
    const again = connection.send('subscription { taskChanged { taskId } }');
    await eventually(() => expect(again.errors).toMatchObject([{ extensions: { code: 'UNAUTHENTICATED' } }]));
    await connection.close();
    await mutate('reactivateUser', { id: vic.id }, { admin: true });
  });

  test('is for operators, and neither for the operator itself nor for a user who does not exist', async () => {
    const { ada, bob } = f;
    for (const name of ['deactivateUser', 'reactivateUser']) {
      expect((await send(name, { id: bob.id })).errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
    }
    expectRefusal(await mutate('deactivateUser', { id: ada.id }, { admin: true }), 'ValidationError', 'id');
    const missing = { id: 'user_01h455vb4pex5vsknk084sn02q' };
    expectRefusal(await mutate('deactivateUser', missing, { admin: true }), 'NotFoundError', 'id');
    here.reset();
    expect((await mutate('reactivateUser', { id: bob.id }, { admin: true })).errors).toEqual([]);
    expect(here.counts.fences).toBe(0);
  });
});

describe('invitations', () => {
  const LIST =
    '{ project(key: "OPS") { invitations { totalCount nodes { email role expiresAt createdAt invitedBy { handle } } } } }';
  const listed = async (as: UserId = f.ada.id) => (await read(LIST, as)).project.invitations;
  const invite = (email: string, options: { as?: UserId; role?: string } = {}) =>
    mutate(
      'inviteMember',
      { projectId: f.ops.id, email, role: options.role ?? 'MEMBER' },
      { as: options.as ?? f.ada.id },
    );
  const accept = (token: string, as: UserId) => mutate('acceptInvitation', { token }, { as });
  const UNKNOWN = 'A'.repeat(43);

  test('an invitation is accepted once, by any user, and leaves the list of OWNERs on every process', async () => {
    const { bob, eve, vic, ops } = f;
    expect(await listed()).toEqual({ totalCount: 0, nodes: [] });
    const { invitation, token, errors } = await invite(' Eve@Example.com ', { role: 'VIEWER' });
    expect(errors).toEqual([]);
    expect(token).toMatch(/^[\w-]{43}$/);
    expect(await listed()).toMatchObject({
      totalCount: 1,
      nodes: [{ email: 'eve@example.com', role: 'VIEWER', invitedBy: { handle: 'ada' } }],
    });
    expect(Date.parse(invitation.expiresAt) - Date.parse(invitation.createdAt)).toBe(14 * 24 * 3600 * 1000);
    expect(await listed(bob.id)).toEqual({ totalCount: 0, nodes: [] });
    const rows = await here.db.read.select().from(invitations);
    expect(JSON.stringify(rows)).not.toContain(token);

    const joined = await accept(token, eve.id);
    expect(joined).toMatchObject({
      project: { id: ops.id },
      memberEdge: { role: 'VIEWER', node: { handle: 'eve' } },
      errors: [],
    });
    expect((await read('{ projects { nodes { key viewerRole } } }', eve.id)).projects.nodes).toEqual([
      { key: 'OPS', viewerRole: 'VIEWER' },
    ]);
    expect(await listed()).toEqual({ totalCount: 0, nodes: [] });
    expect((await accept(token, eve.id)).errors).toEqual([]); // repeated
    const used = await accept(token, vic.id);
    expect(used.errors).toEqual((await accept(UNKNOWN, vic.id)).errors);
    expectRefusal(used, 'NotFoundError', 'token');
    await mutate('removeMember', { projectId: ops.id, userId: eve.id });
    expect((await accept(token, eve.id)).errors).toEqual(used.errors);
  });

  test('one is accepted only while its inviter is an active OWNER', async () => {
    const { ada, bob, eve } = f;
    const { project } = await mutate('createProject', { key: 'LEFT', name: 'Left by an OWNER' });
    const projectId = project.id;
    await mutate('addMember', { projectId, userId: bob.id, role: 'OWNER' });
    const inviting = { projectId, role: 'OWNER' };
    const own = await mutate('inviteMember', { ...inviting, email: 'back@example.com' }, { as: bob.id });
    const { token } = await mutate('inviteMember', { ...inviting, email: 'eve@example.com' }, { as: bob.id });
    const missing = (await accept(UNKNOWN, eve.id)).errors;
    await mutate('updateMember', { projectId, userId: bob.id, role: 'MEMBER' });
    expect((await accept(token, eve.id)).errors).toEqual(missing);
    await mutate('removeMember', { projectId, userId: bob.id });
    expect((await accept(own.token, bob.id)).errors).toEqual(missing);
    expect((await accept(token, eve.id)).errors).toEqual(missing);
    await mutate('addMember', { projectId, userId: bob.id, role: 'OWNER' });
    await mutate('deactivateUser', { id: bob.id }, { admin: true });
    expect((await accept(token, eve.id)).errors).toEqual(missing);
    await mutate('reactivateUser', { id: bob.id }, { admin: true });
    expect((await accept(token, eve.id)).errors).toEqual([]);
    // Repeating it depends on the inviter no longer.
    await mutate('removeMember', { projectId, userId: bob.id }, { as: ada.id });
    expect((await accept(token, eve.id)).errors).toEqual([]);
    await mutate('removeMember', { projectId, userId: eve.id }, { as: eve.id });
  });

  test('a member who accepts one keeps the present role', async () => {
    const { token } = await invite('bob@example.com', { role: 'OWNER' });
    expect((await accept(token, f.bob.id)).memberEdge.role).toBe('MEMBER');
  });

  test('a revoked or expired one is refused like a token that does not exist, and is not listed', async () => {
    const { bob, eve, vic } = f;
    const { errors: missing } = await accept(UNKNOWN, eve.id);
    const revoked = await invite('first@example.com');
    const { id } = revoked.invitation;
    expectRefusal(await mutate('revokeInvitation', { id }, { as: bob.id }), 'PermissionError', 'id');
    expectRefusal(await mutate('revokeInvitation', { id }, { as: eve.id }), 'NotFoundError', 'id');
    expect(await mutate('revokeInvitation', { id })).toEqual({ revokedInvitationId: id, errors: [] });
    expectRefusal(await mutate('revokeInvitation', { id }), 'NotFoundError', 'id');
    expect((await accept(revoked.token, eve.id)).errors).toEqual(missing);
    const expired = await invite('second@example.com');
    expect((await listed()).totalCount).toBe(1);
    await here.transactor.transact((tx) => tx.update(invitations).set({ expiresAt: '2026-01-01T00:00:00.000Z' }));
    expect(await listed()).toEqual({ totalCount: 0, nodes: [] });
    expect((await accept(expired.token, eve.id)).errors).toEqual(missing);
    expect((await accept('short', vic.id)).errors).toEqual(missing);
    // The next invitation deletes it.
    const { invitation } = await invite('second@example.com');
    expect(await here.db.read.select({ id: invitations.id }).from(invitations)).toEqual([{ id: invitation.id }]);
  });

  test('one to a deleted project is refused until the project is restored', async () => {
    const { eve } = f;
    const { project } = await mutate('createProject', { key: 'GONE', name: 'Deleted' });
    const { token } = await mutate('inviteMember', { projectId: project.id, email: 'e@example.com', role: 'VIEWER' });
    await mutate('deleteProject', { id: project.id, key: 'GONE' });
    expectRefusal(await accept(token, eve.id), 'NotFoundError', 'token');
    await mutate('restoreProject', { id: project.id });
    expect((await accept(token, eve.id)).errors).toEqual([]);
  });

  test('an answer with one is not kept beyond its end', async () => {
    const { invitation } = await invite('soon@example.com');
    const endsAt = Date.now() + 1500;
    await here.transactor.transact((tx) =>
      tx
        .update(invitations)
        .set({ expiresAt: new Date(endsAt).toISOString() })
        .where(eq(invitations.id, invitation.id)),
    );
    const emails = async () => (await listed()).nodes.map(({ email }: { email: string }) => email);
    await emails();
    await eventually(async () => expect(await emails()).not.toContain('soon@example.com'));
    expect(Date.now()).toBeGreaterThanOrEqual(endsAt);
  });

  test('is for OWNERs, of an address, and bounded in number for a project', async () => {
    const { bob, vic, eve, ada, ops } = f;
    for (const as of [bob.id, vic.id])
      expectRefusal(await invite('a@example.com', { as }), 'PermissionError', 'projectId');
    expectRefusal(await invite('a@example.com', { as: eve.id }), 'NotFoundError', 'projectId');
    expectRefusal(await invite('no address'), 'ValidationError', 'email');
    expect((await invite('twice@example.com')).errors).toEqual([]);
    expect((await invite('Twice@example.com')).errors).toMatchObject([{ code: 'TAKEN', path: ['input', 'email'] }]);
    const open = (await listed()).totalCount;
    await here.transactor.transact((tx) =>
      tx.insert(invitations).values(
        Array.from({ length: MAX_OPEN_OF_PROJECT - open }, (_, i) => ({
          ...{ projectId: ops.id, email: `many${i}@example.com`, role: 'MEMBER' as const, invitedBy: ada.id },
          ...{ tokenHash: `hash ${i}`, expiresAt: '2100-01-01T00:00:00.000Z' },
        })),
      ),
    );
    expect((await listed()).totalCount).toBe(MAX_OPEN_OF_PROJECT);
    expect((await invite('more@example.com')).errors).toMatchObject([{ code: 'LIMIT', path: ['input', 'projectId'] }]);
  });
});
