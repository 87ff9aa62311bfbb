/** Whom a valid token speaks for: users by id, users by what an identity provider calls them, and tokens of nobody. */
import type { AddressInfo } from 'node:net';
import { eq } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AppOptions } from '../../src/app.js';
import { newId } from '../../src/db/ids.js';
import { users } from '../../src/domain/users/user.table.js';
import { postgresClient } from '../../src/engine/postgres/database.js';
import type { VerifiedToken } from '../../src/graphql/identity.js';
import { dataOf, eventually, type TestApp, testApp } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';

let refusing: TestApp;
let creating: TestApp;
let other: TestApp;
let f: Fixture;

/** Signatures are another test's: here a token is what it claims. */
const verifyToken = async (token: string): Promise<VerifiedToken> => ({
  scopes: [],
  expiresAtMs: Date.now() + 60_000,
  profile: {},
  ...JSON.parse(Buffer.from(token, 'base64url').toString()),
});
const headers = (subject: string, profile = {}) => ({
  authorization: `Bearer ${Buffer.from(JSON.stringify({ subject, profile })).toString('base64url')}`,
});
const viewer = (app: TestApp, subject: string, profile = {}) =>
  app.ask('{ viewer { id handle name } }', { headers: headers(subject, profile) });
const usersOf = (subject: string) => refusing.db.read.select().from(users).where(eq(users.subject, subject));

beforeAll(async () => {
  refusing = await testApp({ app: { verifyToken } });
  const shared = { databaseUrl: refusing.databaseUrl, group: refusing.group };
  creating = await testApp({ ...shared, app: { verifyToken, unknownUsers: 'create' } });
  other = await testApp({ ...shared, app: { verifyToken, unknownUsers: 'create' } });
  f = await fixture(refusing);
});
afterAll(async () => {
  await creating?.close();
  await other?.close();
  await refusing?.close();
});

describe('refuse', () => {
  test.each([['auth0|nobody'], [newId('user')], ['ada'], [''], ['x'.repeat(256)], ['auth0|é'], ['a\0b']])(
    'a token of nobody, %s, is refused and makes no user',
    async (subject) => {
      const before = (await refusing.db.read.select().from(users)).length;
      const answer = await viewer(refusing, subject);
      expect([answer.status, answer.errors]).toMatchObject([401, [{ extensions: { code: 'UNAUTHENTICATED' } }]]);
      expect(await refusing.db.read.select().from(users)).toHaveLength(before);
    },
  );

  test('a subject that a user bears is that user, from the next request on, also where it was asked for before', async () => {
    expect((await viewer(refusing, 'auth0|ada')).status).toBe(401);
    await refusing.transactor.transact((tx) =>
      tx.update(users).set({ subject: 'auth0|ada' }).where(eq(users.id, f.ada.id)),
    );
    expect(dataOf(await viewer(refusing, 'auth0|ada')).viewer.handle).toBe('ada');
    await refusing.settled();
    refusing.reset();
    expect(dataOf(await viewer(refusing, 'auth0|ada')).viewer.handle).toBe('ada');
    expect(refusing.counts.statements).toEqual([]); // from the cache
    await refusing.transactor.transact((tx) => tx.update(users).set({ subject: null }).where(eq(users.id, f.ada.id)));
    expect((await viewer(refusing, 'auth0|ada')).status).toBe(401);
  });

  test('a handle is no subject', async () => {
    expect((await viewer(refusing, f.bob.handle)).status).toBe(401);
  });
});

describe('create', () => {
  test('a new subject becomes a user, with handle and name as its issuer tells', async () => {
    const { id, ...user } = dataOf(
      await viewer(creating, 'auth0|5f7c8ec7c33c6c004bbafe82', { handle: 'grace', name: 'Grace H.' }),
    ).viewer;
    expect(user).toEqual({ handle: 'grace', name: 'Grace H.' });
    for (const app of [creating, other, refusing]) {
      expect(dataOf(await viewer(app, 'auth0|5f7c8ec7c33c6c004bbafe82', { handle: 'changed' })).viewer.id).toBe(id);
    }
  });

  test('a user’s id that does not exist becomes that user', async () => {
    const id = newId('user');
    expect(dataOf(await viewer(creating, id)).viewer).toEqual({
      id,
      handle: `user-${id.slice(5)}`,
      name: `user-${id.slice(5)}`,
    });
    const [row] = await creating.db.read.select().from(users).where(eq(users.id, id));
    expect(row?.subject).toBeNull();
  });

  test('a handle that is taken stays with its owner; the newcomer is someone else with a handle like it', async () => {
    const { viewer: newcomer } = dataOf(await viewer(creating, 'auth0|other-ada', { handle: 'ada' }));
    expect(newcomer.id).not.toBe(f.ada.id);
    expect(newcomer.handle).toMatch(/^ada-[0-9a-z]{6}$/);
    expect(
      dataOf(await creating.ask('{ projects { nodes { key } } }', { headers: headers('auth0|other-ada') })),
    ).toEqual({ projects: { nodes: [] } });
  });

  const addressOf = async (subject: string) => {
    const [row] = await usersOf(subject);
    return [row?.email, row?.verifiedEmail];
  };

  test('a new subject has the address that its issuer has verified; later tokens do not change it', async () => {
    await viewer(creating, 'auth0|mail', { handle: 'mail', email: 'Mail@Example.com' });
    expect(await addressOf('auth0|mail')).toEqual(['mail@example.com', 'mail@example.com']);
    await viewer(creating, 'auth0|mail', { handle: 'mail', email: 'other@example.com' });
    expect(await addressOf('auth0|mail')).toEqual(['mail@example.com', 'mail@example.com']);
    // The last one begins with the Kelvin sign, which is the letter k in lower case.
    for (const [i, email] of ['no address', '', '\u212aim@example.com'].entries()) {
      await viewer(creating, `auth0|no-mail-${i}`, { handle: 'no-mail', email });
      expect(await addressOf(`auth0|no-mail-${i}`)).toEqual([null, null]);
    }
  });

  test('an address that is verified for another user stays with it, whichever handles are free', async () => {
    const subjects = ['auth0|same-1', 'auth0|same-2', 'auth0|same-3'];
    for (const subject of subjects) {
      const { viewer: user } = dataOf(await viewer(creating, subject, { handle: 'same', email: 'same@example.com' }));
      expect(user.handle).toMatch(/^same(-[0-9a-z]{6})?$/);
    }
    expect(await Promise.all(subjects.map(addressOf))).toEqual([
      ['same@example.com', 'same@example.com'],
      [null, null],
      [null, null],
    ]);
  });

  test('an address that another user has as verified no longer goes to one of several new users', async () => {
    await viewer(creating, 'auth0|former', { handle: 'former', email: 'shared@example.com' });
    await creating.transactor.transact((tx) =>
      tx.update(users).set({ email: 'former@example.com' }).where(eq(users.subject, 'auth0|former')),
    );
    const subjects = Array.from({ length: 8 }, (_, i) => `auth0|shared-${i}`);
    const answers = await Promise.all(
      subjects.map((subject, i) => viewer(i % 2 === 0 ? creating : other, subject, { email: 'shared@example.com' })),
    );
    expect(answers.map(({ errors }) => errors)).toEqual(subjects.map(() => undefined));
    const addresses = (await Promise.all(subjects.map(addressOf))).map(([, verified]) => verified);
    expect(addresses.filter((address) => address !== null)).toEqual(['shared@example.com']);
  });

  test.each([
    ['with spaces in it\u0085', 'with-spaces-in-it'],
    ['x'.repeat(300), 'x'.repeat(57)],
  ])('a handle that is none, %j, is made one', async (handle, expected) => {
    const { viewer: user } = dataOf(
      await viewer(creating, `auth0|${handle.length}`, { handle, name: 'n'.repeat(500) }),
    );
    expect(user).toMatchObject({ handle: expected, name: 'n'.repeat(100) });
  });

  test.each([
    ['🔥'.repeat(80), '🔥'.repeat(57)], // not cut through a character
    [`${'x'.repeat(56)}🔥🔥`, `${'x'.repeat(56)}🔥`],
    ['Zoe\u0308', 'Zoë'],
    ['a\ud83db', 'a-b'],
    ['gra\u200bcie\u3164\u202e', 'gracie'],
    [`z${'\u0301'.repeat(2000)}`, `ź${'\u0301'.repeat(29)}`],
  ])('a handle %j becomes %j', async (handle, expected) => {
    const subject = `auth0|handle-${handle.length}-${expected.length}`;
    const { viewer: user } = dataOf(await viewer(creating, subject, { handle, name: handle }));
    expect(user.handle).toBe(expected);
    expect((await usersOf(subject)).map((row) => row.handle)).toEqual([expected]);
  });

  test.each(['', ' ', '\u200b', '\u3164', '\u202e', '\u0001', '\ud800', '\u2060\u00ad'])(
    'a handle and a name in which nothing is visible, %j, are replaced',
    async (blank) => {
      const subject = `auth0|blank-${[...blank].map((char) => char.codePointAt(0)).join('-')}`;
      const { viewer: user } = dataOf(await viewer(creating, subject, { handle: blank, name: blank }));
      expect(user.handle).toBe(`user-${user.id.slice(5)}`);
      expect(user.name).toBe(user.handle);
    },
  );

  test('a name is cut between characters, and has no line breaks or controls', async () => {
    const profile = { handle: 'longname', name: `a\nb\u001b ${'😀'.repeat(200)}` };
    const { viewer: user } = dataOf(await viewer(creating, 'auth0|long-name', profile));
    expect(user.name).toBe(`a b  ${'😀'.repeat(95)}`);
  });

  test('many requests on two processes that meet a subject first make one user', async () => {
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => viewer(i % 2 === 0 ? creating : other, 'auth0|crowd', { handle: 'crowd' })),
    );
    const ids = new Set(answers.map((answer) => dataOf(answer).viewer.id));
    expect(ids.size).toBe(1);
    expect(await usersOf('auth0|crowd')).toHaveLength(1);
  });

  test('many subjects that want one handle all become users', async () => {
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, i) =>
        viewer(i % 2 === 0 ? creating : other, `auth0|twin-${i}`, { handle: 'twin' }),
      ),
    );
    expect(new Set(answers.map((answer) => dataOf(answer).viewer.handle)).size).toBe(8);
  });

  test('the first request may be a mutation', async () => {
    const document =
      'mutation { createProject(input: { key: "NEW", name: "New" }) { project { key } errors { code } } }';
    const answer = await creating.ask(document, { headers: headers('auth0|founder') });
    expect(dataOf(answer).createProject).toEqual({ project: { key: 'NEW' }, errors: [] });
  });

  test('the subject is shown to nobody', async () => {
    const text = JSON.stringify(
      await creating.ask('{ viewer { id handle name } projects { nodes { members { nodes { id handle name } } } } }', {
        headers: headers('auth0|founder'),
      }),
    );
    expect(text).not.toContain('auth0');
  });
});

describe('a user who is created by the request that asks', () => {
  let remembering: TestApp;
  beforeAll(async () => {
    const shared = { databaseUrl: refusing.databaseUrl, group: refusing.group, nearCacheBytes: 16 * 1024 * 1024 };
    remembering = await testApp({ ...shared, app: { verifyToken, unknownUsers: 'create' } });
    await remembering.server.listen({ host: '127.0.0.1', port: 0 });
  });
  afterAll(() => remembering?.close());

  const CREATE = 'mutation($key: String!) { createProject(input: { key: $key, name: "New" }) { errors { code } } }';
  const asking = {
    'by a query': (subject: string) => viewer(remembering, subject),
    'by a mutation': (subject: string, i: number) =>
      remembering.ask(CREATE, { headers: headers(subject), variables: { key: `NEW${i}` } }),
    'over a connection': async (subject: string) => {
      const { port } = remembering.server.server.address() as AddressInfo;
      const response = await fetch(`http://127.0.0.1:${port}/graphql`, {
        method: 'POST',
        headers: { ...headers(subject), 'content-type': 'application/json' },
        body: JSON.stringify({ query: '{ viewer { id } }' }),
      });
      return { status: response.status, ...((await response.json()) as { errors?: object[] }) };
    },
  };

  test.each(Object.entries(asking))(
    'exists for the rest of it, %s, 60 of 60 times, with process memory',
    async (_, ask) => {
      const answers: { status: number; errors?: readonly object[] | undefined }[] = [];
      for (let i = 0; i < 60; i++) answers.push(await ask(newId('user'), i));
      expect(answers.filter(({ status, errors }) => status !== 200 || errors !== undefined)).toEqual([]);
    },
  );

  test('exists for all requests that meet the token at once', async () => {
    const subject = newId('user');
    const answers = await Promise.all(Array.from({ length: 20 }, () => viewer(remembering, subject)));
    expect(answers.filter(({ errors }) => errors !== undefined)).toEqual([]);
  });
});

describe('a flood of new users', () => {
  /** With a queue for writes of its own. */
  const own = (more: Partial<AppOptions> = {}) =>
    testApp({
      databaseUrl: refusing.databaseUrl,
      group: refusing.group,
      app: { verifyToken, unknownUsers: 'create', ...more },
    });
  const ask = (app: TestApp, subject: string, remoteAddress = '192.0.2.1') =>
    app.server.inject({
      method: 'POST',
      url: '/graphql',
      remoteAddress,
      headers: headers(subject),
      payload: { query: '{ viewer { id } }' },
    });
  const codeOf = (answer: Awaited<ReturnType<typeof ask>>) => answer.json().errors?.[0].extensions.code;

  test('keeps no user from writing: it has one line, and what is too much for that is refused', async () => {
    const app = await own();
    const sql = postgresClient(app.databaseUrl, { max: 1 });
    const blocking = await sql.reserve();
    try {
      await blocking`begin`;
      await blocking`lock table users in share mode`; // nothing is inserted, all else goes on
      const flood = Array.from({ length: 250 }, (_, i) => ask(app, `flood|${i}`));
      await eventually(() => expect(app.transactor.state).toMatchObject({ running: 2, waiting: 200 }));
      const key = { key: 'CALM' };
      const document =
        'mutation($key: String!) { createProject(input: { key: $key, name: "Calm" }) { errors { code } } }';
      const answer = await app.ask(document, { headers: headers(f.ada.id), variables: key });
      expect(dataOf(answer).createProject.errors).toEqual([]);
      await blocking`rollback`;
      const answers = await Promise.all(flood);
      const refused = answers.filter(({ statusCode }) => statusCode !== 200);
      expect(refused).toHaveLength(48);
      for (const one of refused) {
        expect([one.statusCode, codeOf(one), one.headers['retry-after']]).toEqual([503, 'TOO_MANY_WRITES', '1']);
        expect(one.json().errors[0].extensions.outcome).toBe('NOT_STARTED');
      }
      expect((await ask(app, 'flood|249')).statusCode).toBe(200);
    } finally {
      blocking.release();
      await sql.end();
      await app.close();
    }
  });

  test('of one address is bounded in each window; its users, and other addresses, are served', async () => {
    const app = await own({ rateLimit: { points: 30, seconds: 3600 } }); // 2 users of an address
    try {
      const first = await ask(app, 'rate|0');
      expect(first.statusCode).toBe(200);
      expect((await ask(app, 'rate|1')).statusCode).toBe(200);
      for (const subject of ['rate|2', 'rate|3', newId('user')]) {
        const refused = await ask(app, subject);
        expect([refused.statusCode, codeOf(refused)]).toEqual([429, 'RATE_LIMITED']);
        expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
        expect(await usersOf(subject)).toEqual([]);
      }
      expect((await ask(app, 'rate|0')).json()).toEqual(first.json());
      expect((await ask(app, f.ada.id)).statusCode).toBe(200);
      expect((await ask(app, 'rate|2', '192.0.2.2')).statusCode).toBe(200);
    } finally {
      await app.close();
    }
  });
});

test('a user removed around the API is nobody within the lease', async () => {
  await creating.db.write.insert(users).values({ handle: 'temp', name: 'temp', subject: 'auth0|temp' });
  await eventually(async () => expect((await viewer(refusing, 'auth0|temp')).status).toBe(200));
  await creating.db.write.delete(users).where(eq(users.subject, 'auth0|temp'));
  await eventually(async () => expect((await viewer(refusing, 'auth0|temp')).status).toBe(401));
});
