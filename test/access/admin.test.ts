/** The operators' part of the API: who may, and what it does. */
import { eq } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { dayOf } from '../../src/cache/index.js';
import { toUuid, type UserId } from '../../src/db/ids.js';
import { projects } from '../../src/projects/project.table.js';
import type { VerifiedToken } from '../../src/tokens.js';
import { dataOf, eventually, type TestApp, testApp } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';

let app: TestApp;
let other: TestApp;
let f: Fixture;

/** Signatures are another test's: here a token is a user's id and scopes. */
const verifyToken = async (token: string): Promise<VerifiedToken> => {
  const [subject = '', ...scopes] = token.split(' ');
  return { subject, scopes, expiresAtMs: Date.now() + 60_000, profile: {} };
};
const token = (as: UserId, ...scopes: string[]) => ({
  headers: { authorization: `Bearer ${[as, ...scopes].join(' ')}` },
});
const admin = () => token(f.eve.id, 'other', 'cache:admin');
const INVALIDATE = 'mutation ($tags: [String!]!) { invalidateCache(input: { tags: $tags }) { invalidated } }';
const STATISTICS = `query ($day: Date) { cacheStatistics(day: $day) {
  name coordinates nearHits hits stale joined misses bypasses errors hitRate } }`;

beforeAll(async () => {
  app = await testApp({ app: { verifyToken, production: true } });
  other = await testApp({
    databaseUrl: app.databaseUrl,
    group: app.group,
    nearCacheBytes: 1024 * 1024,
    app: { verifyToken, production: true },
  });
  f = await fixture(app);
});
afterAll(async () => {
  await other?.close();
  await app?.close();
});

test.each([
  ['invalidateCache', INVALIDATE, { tags: ['tasks'] }],
  ['cacheStatistics', STATISTICS, {}],
])('%s is refused to everyone without the scope, with FORBIDDEN', async (_, document, variables) => {
  for (const options of [token(f.ada.id), token(f.ada.id, 'cache:trace', 'cache:administrator')]) {
    const answer = await app.ask(document, { ...options, variables });
    expect(answer.errors).toMatchObject([
      { message: 'This needs a token with the scope cache:admin.', extensions: { code: 'FORBIDDEN' } },
    ]);
    expect(answer.data).toBeNull();
  }
  expect((await app.ask(document, { variables })).status).toBe(401);
});

test('what the cache did is told, in either form, to those with the scope cache:trace alone', async () => {
  const told = async (...scopes: string[]) => {
    const headers = { ...token(f.ada.id, ...scopes).headers, 'apollo-cache-debugging': 'true' };
    const { cache, debugging } = await app.ask('{ projects { nodes { name } } }', { headers, trace: true });
    return [cache !== undefined, debugging !== undefined];
  };
  expect(await told('cache:admin', 'cache:traces')).toEqual([false, false]);
  expect(await told('cache:trace')).toEqual([true, true]);
});

describe('invalidateCache', () => {
  const name = async (of: TestApp) =>
    dataOf(await of.ask('{ project(key: "OPS") { name } }', token(f.ada.id))).project.name;

  test('has what is under a tag read anew, at once, on every process and from its memory', async () => {
    // A change that no trigger saw, as after a mistaken repair: only then is this of use.
    await eventually(async () => {
      for (const one of [app, other]) {
        one.reset();
        await name(one);
        await one.settled();
        expect(one.counts.statements).toEqual([]);
      }
    });
    await app.db.write.transaction(async (tx) => {
      await tx.execute('alter table projects disable trigger cache_update');
      await tx.update(projects).set({ name: 'Repaired' }).where(eq(projects.id, f.ops.id));
      await tx.execute('alter table projects enable always trigger cache_update');
    });
    expect([await name(app), await name(other)]).toEqual(['Operations', 'Operations']);
    const tags = [`projects:id=${toUuid(f.ops.id)}`];
    expect(dataOf(await app.ask(INVALIDATE, { ...admin(), variables: { tags } }))).toEqual({
      invalidateCache: { invalidated: tags },
    });
    expect([await name(app), await name(other)]).toEqual(['Repaired', 'Repaired']);
  });

  test.each([
    [['nothing:id=1'], 'input.tags[0]'],
    [['tasks', 'tasks:title=x'], 'input.tags[1]'],
    [[''], 'input.tags[0]'],
    [[`tasks:id=${'x'.repeat(600)}`], 'input.tags[0]'],
    [Array.from({ length: 101 }, () => 'tasks'), 'input.tags'],
  ])('%j is refused', async (tags, argument) => {
    const { errors } = await app.ask(INVALIDATE, { ...admin(), variables: { tags } });
    expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', argument } }]);
  });
});

describe('cacheStatistics', () => {
  test('tells how calls ended, by what was cached and where it shows', async () => {
    const counted = await testApp({ app: { verifyToken } });
    try {
      const g = await fixture(counted);
      const second = await testApp({ databaseUrl: counted.databaseUrl, group: counted.group, app: { verifyToken } });
      const query = '{ task(identifier: "OPS-1") { assignee { handle } } }';
      await second.ask(query, token(g.ada.id));
      await second.settled();
      await second.ask(query, token(g.ada.id));
      await second.close(); // hands over its counts
      const lines = dataOf(await counted.ask(STATISTICS, token(g.ada.id, 'cache:admin'))).cacheStatistics;
      const user = lines.find((line: { name: string }) => line.name === 'User');
      expect(user).toEqual({
        name: 'User',
        coordinates: expect.arrayContaining(['Task.assignee', 'Comment.author']),
        nearHits: 0,
        hits: 1,
        stale: 0,
        joined: 0,
        misses: 1,
        bypasses: 0,
        errors: 0,
        hitRate: 0.5,
      });
      const yesterday = dayOf(Date.now() - 48 * 60 * 60 * 1000);
      expect(
        dataOf(await counted.ask(STATISTICS, { ...token(g.ada.id, 'cache:admin'), variables: { day: yesterday } })),
      ).toEqual({ cacheStatistics: [] });
    } finally {
      await counted.close();
    }
  });
});
