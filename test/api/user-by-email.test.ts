/** Users are found by a verified e-mail address, by OWNERs alone. One process writes, another one reads. */
import { eq } from 'drizzle-orm';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { UserId } from '../../src/db/ids.js';
import { createUser } from '../../src/domain/projects/create-user.js';
import { setVerifiedEmail } from '../../src/domain/users/email.js';
import { type UserRow, users } from '../../src/domain/users/user.table.js';
import { setUserState } from '../../src/domain/users/user-state.js';
import { postgresClient } from '../../src/engine/postgres/database.js';
import { dataOf, eventually, type TestApp, uncachedApp } from '../support/app.js';
import { expectRefusal, type TwoProcesses, twoProcesses } from '../support/mutations.js';

const USER = 'query($email: String) { user(email: $email) { handle } }';
const BOB = 'bob@example.com';
const UNKNOWN = 'dot@example.com'; // of the same length

let p: TwoProcesses;
/** A third process on the same database, without a cache. */
let uncached: TestApp;
let sql: ReturnType<typeof postgresClient>;
beforeAll(async () => {
  p = await twoProcesses({
    updateProfile: 'user { email emailVerified }',
    createProject: 'project { id }',
    deleteProject: 'deletedProjectId',
    addMember: 'memberEdge { role node { handle email emailVerified } }',
    removeMember: 'removedUserId',
  });
  uncached = await uncachedApp(p.here.databaseUrl);
  sql = postgresClient(p.here.databaseUrl, { max: 1 });
});
afterAll(async () => {
  await sql?.end();
  await uncached?.close();
  await p?.close();
});

const write = (values: Partial<UserRow>, who = p.f.bob.id) =>
  p.here.transactor.transact((tx) => tx.update(users).set(values).where(eq(users.id, who)));
const verify = (handle: string, email: string | null) =>
  p.here.transactor.transact((tx) => setVerifiedEmail(tx, handle, email));
const setState = (state: UserRow['state']) =>
  p.here.transactor.transact((tx) => setUserState(tx, { handle: 'bob' }, state));
beforeEach(async () => {
  await setState('ACTIVE');
  await verify('bob', BOB);
});

/** The handle of the user with this address, which the process without a cache must find, too. */
async function find(email: string, as: UserId = p.f.ada.id): Promise<string | null> {
  const { user } = await p.read(USER, { email }, as);
  expect(dataOf(await uncached.ask(USER, { as, variables: { email } })).user).toEqual(user);
  return user?.handle ?? null;
}

/** What a look-up reads, and whether from the cache. */
async function readsOf(email: string, as: UserId) {
  p.there.reset();
  await p.there.ask(USER, { as, variables: { email } });
  await p.there.settled();
  const { reads, fills, statements } = p.there.counts;
  return { outcomes: p.there.outcomes.map(({ name, kind }) => [name, kind]), reads, fills, statements };
}

describe('user(email:)', () => {
  test('finds a user by the verified address, in any case, for an OWNER of any project, through the cache', async () => {
    expect(await find(BOB)).toBe('bob');
    expect(await find(' Bob@EXAMPLE.com ')).toBe('bob');
    expect((await readsOf(BOB, p.f.ada.id)).statements).toEqual([]);
    for (const other of [UNKNOWN, 'bob', '', 'bob@example', `${'x'.repeat(300)}@example.com`, 'b\0b@example.com']) {
      expect(await find(other)).toBeNull();
    }
  });

  test('finds no one else for a viewer who owns no project, and reads nothing that depends on the address', async () => {
    const { bob, vic, eve } = p.f;
    await verify('ada', 'ada@example.com');
    for (const as of [bob.id, vic.id, eve.id]) {
      expect(await find('ada@example.com', as)).toBeNull();
      expect(await find('eda@example.com', as)).toBeNull();
      const known = await readsOf('ada@example.com', as);
      expect(await readsOf('eda@example.com', as)).toEqual(known);
      expect(known.outcomes.map(([name]) => name)).not.toContain('UserVerifiedEmail');
    }
    await verify('ada', null);
  });

  test('an address that is not verified, or of a deactivated user, is looked up as an unknown one is', async () => {
    const { ada, vic } = p.f;
    await p.mutate('updateProfile', { email: 'vic@example.com' }, { as: vic.id });
    await find(UNKNOWN); // the viewer and the memberships are cached now
    const unknown = await readsOf('eve@example.com', ada.id);
    expect(unknown.outcomes).toContainEqual(['UserVerifiedEmail', 'miss']);
    expect(await readsOf('vic@example.com', ada.id)).toEqual(unknown);
    await setState('DEACTIVATED');
    expect(await readsOf(BOB, ada.id)).toEqual(unknown);
    expect(await find('vic@example.com')).toBeNull();
    expect(await find(BOB)).toBeNull();
    await setState('ACTIVE');
    expect(await find(BOB)).toBe('bob');
  });

  test('a user who is deactivated during the look-up is not found', async () => {
    const ACTIVE = 'query($email: String) { user(email: $email) { active } }';
    for (let round = 0; round < 40; round++) {
      const deactivated = setState('DEACTIVATED');
      const found = await Promise.all(
        [BOB, BOB.toUpperCase(), `${BOB} `].map((email) => p.read(ACTIVE, { email }, p.f.ada.id)),
      );
      await deactivated;
      expect(found.filter(({ user }) => user?.active === false)).toEqual([]);
      await setState('ACTIVE');
    }
  });

  test('finds the viewer by its own address, verified or not', async () => {
    const { vic, bob } = p.f;
    await p.mutate('updateProfile', { email: 'vic@example.com' }, { as: vic.id });
    expect(await find('VIC@example.com', vic.id)).toBe('vic');
    expect(await find(BOB, bob.id)).toBe('bob');
    await p.mutate('updateProfile', { email: null }, { as: vic.id });
    expect(await find('vic@example.com', vic.id)).toBeNull();
  });

  test('finds no one for the owner of a deleted project alone', async () => {
    const { eve } = p.f;
    const { project } = await p.mutate('createProject', { key: 'EVES', name: 'Of Eve' }, { as: eve.id });
    expect(await find(BOB, eve.id)).toBe('bob');
    await p.mutate('deleteProject', { id: project.id, key: 'EVES' }, { as: eve.id });
    expect(await find(BOB, eve.id)).toBeNull();
  });

  test.each(['', '(id: "x", email: "a@example.com")', '(handle: "bob", email: "bob@example.com")'])(
    'user%s is refused: exactly one argument is expected',
    async (args) => {
      const { errors } = await p.there.ask(`{ user${args} { handle } }`, { as: p.f.ada.id });
      expect(errors).toMatchObject([
        {
          message: expect.stringContaining('expected exactly one of id, handle and email'),
          extensions: { code: 'BAD_USER_INPUT' },
        },
      ]);
    },
  );
});

describe('a verified address', () => {
  test('is verified no longer once updateProfile changes it, also back, and is not found at once', async () => {
    const { bob } = p.f;
    expect(await find(BOB)).toBe('bob');
    const same = await p.mutate('updateProfile', { email: BOB, name: 'Bob' }, { as: bob.id });
    expect(same.user).toEqual({ email: BOB, emailVerified: true });
    const changed = await p.mutate('updateProfile', { email: 'robert@example.com' }, { as: bob.id });
    expect(changed.user).toEqual({ email: 'robert@example.com', emailVerified: false });
    expect([await find(BOB), await find('robert@example.com')]).toEqual([null, null]);
    const back = await p.mutate('updateProfile', { email: BOB }, { as: bob.id });
    expect(back.user).toEqual({ email: BOB, emailVerified: false });
    expect(await find(BOB)).toBeNull();
    expect((await p.mutate('updateProfile', { email: null }, { as: bob.id })).user).toEqual({
      email: null,
      emailVerified: null,
    });
  });

  test('of another user can be stated by anyone, who is not found by it', async () => {
    const { user, errors } = await p.mutate('updateProfile', { email: BOB }, { as: p.f.eve.id });
    expect([user, errors]).toEqual([{ email: BOB, emailVerified: false }, []]);
    expect(await find(BOB)).toBe('bob');
    await verify('bob', null);
    expect(await find(BOB)).toBeNull();
    await p.mutate('updateProfile', { email: null }, { as: p.f.eve.id });
  });

  test('belongs to one user: another one cannot get it from an operator', async () => {
    await expect(verify('eve', BOB)).rejects.toThrow(`the address: "${BOB}" is the verified address of another user`);
    const twin = { handle: 'twin', name: 'Twin', subject: undefined, ownerOf: undefined, email: BOB };
    await expect(p.here.transactor.transact((tx) => createUser(tx, twin))).rejects.toThrow(
      `--email: "${BOB}" is taken by another user`,
    );
    await expect(write({ verifiedEmail: BOB }, p.f.eve.id)).rejects.toThrow();
    await expect(write({ verifiedEmail: 'Eve@example.com' }, p.f.eve.id)).rejects.toThrow();
    expect(await find(BOB)).toBe('bob');
    await verify('bob', 'robert@example.com');
    await verify('eve', BOB);
    expect([await find(BOB), await find('robert@example.com')]).toEqual(['eve', 'bob']);
    await verify('eve', null);
  });

  test('is free once another program has changed the address of its user, who does not get it back', async () => {
    const changeAround = (handle: string, email: string) =>
      sql`update users set email = ${email} where handle = ${handle}`;
    await changeAround('bob', 'robert@example.com');
    await verify('eve', BOB);
    expect(await find(BOB)).toBe('eve');
    await changeAround('eve', 'eva@example.com');
    const next = { handle: 'next', name: 'Next', subject: undefined, ownerOf: undefined, email: BOB };
    await p.here.transactor.transact((tx) => createUser(tx, next));
    expect(await find(BOB)).toBe('next');
    await changeAround('bob', BOB);
    const { viewer } = dataOf(await uncached.ask('{ viewer { email emailVerified } }', { as: p.f.bob.id }));
    expect(viewer).toEqual({ email: BOB, emailVerified: false });
    await verify('next', null);
    await verify('eve', null);
  });

  test('is shown as verified to those who are shown the address', async () => {
    const VERIFIED = 'query($id: ID!) { user(id: $id) { email emailVerified } }';
    const { ada, bob } = p.f;
    expect((await p.read(VERIFIED, { id: bob.id }, bob.id)).user).toEqual({ email: BOB, emailVerified: true });
    expect((await p.read(VERIFIED, { id: bob.id }, ada.id)).user).toEqual({ email: null, emailVerified: null });
    const { viewer } = await p.read('{ viewer { email emailVerified } }', {}, ada.id);
    expect(viewer).toEqual({ email: null, emailVerified: null });
  });

  test('follows what is written around the API', async () => {
    const found = async (email: string, handle: string | null) =>
      eventually(async () => expect((await p.read(USER, { email })).user?.handle ?? null).toBe(handle));
    const steps = [
      [sql`update users set email = 'b@example.com' where handle = 'bob'`, null],
      [sql`update users set email = ${BOB} where handle = 'bob'`, 'bob'],
      [sql`update users set state = 'DEACTIVATED' where handle = 'bob'`, null],
      [sql`update users set state = 'ACTIVE' where handle = 'bob'`, 'bob'],
      [sql`update users set verified_email = null where handle = 'bob'`, null],
      [sql`update users set email = ${BOB}, verified_email = ${BOB} where handle = 'eve'`, 'eve'],
      [sql`update users set email = null, verified_email = null where handle = 'eve'`, null],
      [
        sql`insert into users (id, handle, name, email, verified_email) values (gen_random_uuid(), 'new', 'N', ${BOB}, ${BOB})`,
        'new',
      ],
      [sql`delete from users where handle = 'new'`, null],
    ] as const;
    await found(BOB, 'bob');
    for (const [statement, handle] of steps) {
      await statement;
      await found(BOB, handle);
      expect(await find(BOB)).toBe(handle);
    }
  });
});

describe('addMember', () => {
  test('takes the verified address of an active user', async () => {
    const { web, bob } = p.f;
    const add = (email: string, more = {}) =>
      p.mutate('addMember', { projectId: web.id, email, role: 'MEMBER', ...more });
    await p.mutate('updateProfile', { email: 'eve@example.com' }, { as: p.f.eve.id });
    for (const email of [UNKNOWN, 'eve@example.com']) expectRefusal(await add(email), 'NotFoundError', 'email');
    expectRefusal(await add('no address'), 'ValidationError', 'email');
    expectRefusal(await add(BOB, { handle: 'bob' }), 'ValidationError', 'userId');
    await setState('DEACTIVATED');
    expectRefusal(await add(BOB), 'NotFoundError', 'email');
    await setState('ACTIVE');
    const { memberEdge, errors } = await add(' BOB@example.com');
    expect([memberEdge, errors]).toEqual([
      { role: 'MEMBER', node: { handle: 'bob', email: null, emailVerified: null } },
      [],
    ]);
    await p.mutate('removeMember', { projectId: web.id, userId: bob.id });
    await p.mutate('updateProfile', { email: 'robert@example.com' }, { as: bob.id });
    expectRefusal(await add(BOB), 'NotFoundError', 'email');
  });
});
