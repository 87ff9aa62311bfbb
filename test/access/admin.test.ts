/** The operators' part of the API: who may, and what it does. */
import { eq } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fromUuid, type TaskId, toUuid, type UserId } from '../../src/db/ids.js';
import { columnType, readTag } from '../../src/domain/admin/tag-text.js';
import { projects } from '../../src/domain/projects/project.table.js';
import { allRowSets } from '../../src/domain/registry.js';
import { dayOf, rowSetName, rowSetTag } from '../../src/engine/cache/index.js';
import type { TableRowSets } from '../../src/engine/postgres/row-sets.js';
import type { VerifiedToken } from '../../src/graphql/identity.js';
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
  ['cachePolicies', '{ cachePolicies { name } }', {}],
  ['cacheTag', '{ cacheTag(text: "tasks") { table } }', {}],
])('%s is refused to everyone without the scope, with FORBIDDEN', async (_, document, variables) => {
  for (const options of [token(f.ada.id), token(f.ada.id, 'cache:trace', 'cache:administrator')]) {
    const answer = await app.ask(document, { ...options, variables });
    expect(answer.errors).toMatchObject([
      { message: 'This requires a token with the scope cache:admin.', extensions: { code: 'FORBIDDEN' } },
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
      await tx.update(projects).set({ name: 'Repaired' }).where(eq(projects.id, f.ops.id));
      await tx.execute('delete from cache_outbox where xid = pg_current_xact_id()');
    });
    expect([await name(app), await name(other)]).toEqual(['Operations', 'Operations']);
    const tags = [`projects:id=${toUuid(f.ops.id)}`];
    expect(dataOf(await app.ask(INVALIDATE, { ...admin(), variables: { tags } }))).toEqual({
      invalidateCache: { invalidated: tags },
    });
    expect([await name(app), await name(other)]).toEqual(['Repaired', 'Repaired']);
  });

  test('takes the ids that the API shows, for every column that holds one, and answers the tags that it invalidated', async () => {
    const [task, bob] = [f.opsTasks[0]?.id as TaskId, f.bob.id];
    const [ops, uuid] = [toUuid(f.ops.id), toUuid(task)];
    const given: Record<string, string> = {
      tasks: 'tasks',
      [`tasks:id=${task}`]: `tasks:id=${uuid}`,
      [`tasks:id=${uuid.toUpperCase()}`]: `tasks:id=${uuid}`,
      [`tasks:project_id=${f.ops.id}`]: `tasks:project_id=${ops}`,
      [`tasks:project_id/any=${f.ops.id}`]: `tasks:project_id/any=${ops}`,
      [`tasks:project_id,number=${f.ops.id},042`]: `tasks:project_id,number=${ops},42`,
      [`tasks:assignee_id=${bob}`]: `tasks:assignee_id=${toUuid(bob)}`,
      [`project_members:user_id=${bob}`]: `project_members:user_id=${toUuid(bob)}`,
      [`task_labels:task_id=${task}`]: `task_labels:task_id=${uuid}`,
      'projects:key=OPS': 'projects:key=OPS',
      'users:handle=ada,bob=eve': 'users:handle=ada,bob=eve',
    };
    const answer = await app.ask(INVALIDATE, { ...admin(), variables: { tags: Object.keys(given) } });
    const invalidated = [...new Set(Object.values(given))];
    expect(dataOf(answer)).toEqual({ invalidateCache: { invalidated } });
  });

  const SHAPE = 'expected a table or rows of one, such as tasks or tasks:id=task_…';
  const UUID = '018f3c4e-0000-7000-8000-000000000000';
  const NO_ID = 'not-an-id';
  test.each([
    [['nothing:id=1'], `input.tags[0]: ${SHAPE}, of users, projects, `],
    [[''], `input.tags[0]: ${SHAPE}`],
    [['tasks:'], 'input.tags[0]: expected rows of tasks by id, project_id,number, project_id, '],
    [['tasks', 'tasks:title=x'], 'input.tags[1]: expected rows of tasks by id, project_id,number, project_id, '],
    [['tasks:id'], 'input.tags[0]: expected rows of tasks by id, '],
    [[`tasks:id=${'x'.repeat(600)}`], 'input.tags[0]: expected at most 512 characters'],
    [[`tasks:id=${NO_ID}`], 'input.tags[0]: expected for id an id like task_… or its UUID, in "tasks:id=not-an-id"'],
    [['tasks:id='], 'input.tags[0]: expected for id an id like task_… or its UUID'],
    [[`tasks:id=${fromUuid('project', UUID)}`], 'input.tags[0]: expected for id an id like task_… or its UUID'],
    [[`tasks:project_id=${fromUuid('task', UUID)}`], 'input.tags[0]: expected for project_id an id like project_…'],
    [[`tasks:assignee_id=${UUID}0`], 'input.tags[0]: expected for assignee_id an id like user_… or its UUID'],
    [[`tasks:project_id,number=${UUID},x`], 'input.tags[0]: expected for number an integer'],
    [[`tasks:project_id,number=${UUID},2147483648`], 'input.tags[0]: expected for number an integer'],
    [[`tasks:project_id,number=${UUID}`], 'input.tags[0]: expected 2 values (project_id,number), separated by commas'],
    [[`tasks:project_id,number=${UUID},1,2`], 'input.tags[0]: expected 2 values (project_id,number)'],
    [['users:handle=a\0b'], 'input.tags[0]: expected for handle a text without NUL'],
    [Array.from({ length: 101 }, () => 'tasks'), 'input.tags: expected at most 100 tags'],
  ])('%j is refused, and says what was expected', async (tags, message) => {
    const { errors } = await app.ask(INVALIDATE, { ...admin(), variables: { tags } });
    const argument = message.slice(0, message.indexOf(':'));
    expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', argument } }]);
    expect(errors?.[0]?.message).toContain(message);
  });

  test('every row-set of every table can be named, by what the API shows of its columns', () => {
    const samples: Record<string, string> = { integer: '7', text: 'some, text=' };
    let named = 0;
    for (const declared of allRowSets) {
      for (const spec of declared.specs) {
        const of = allRowSets.find(({ table }) => table === (spec.of?.table ?? declared.table)) as TableRowSets;
        const columns = spec.of?.columns ?? spec.columns;
        const values = columns.map((column) => {
          const type = columnType(of.definition, column);
          return type.kind === 'id' ? fromUuid(type.prefix, UUID) : (samples[type.kind] as string);
        });
        const stored = values.map((value) => (value.includes('_') ? UUID : value));
        const text = `${of.table}:${rowSetName({ columns, aspect: spec.aspect })}=${values.join(',')}`;
        expect(readTag(text, allRowSets)).toEqual({ tag: rowSetTag(of.table, columns, stored, spec.aspect) });
        named++;
      }
    }
    expect(named).toBeGreaterThan(15);
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
