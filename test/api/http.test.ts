/** The server as HTTP clients meet it: who gets in, what errors look like, the pages beside the API. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newId } from '../../src/db/ids.js';
import { migrateDatabase } from '../../src/db/migrate.js';
import { startPostgres } from '../../src/development/embedded/postgres.js';
import { type EmbeddedRedis, startRedis } from '../../src/development/embedded/redis.js';
import { postgresClient } from '../../src/engine/postgres/database.js';
import { dataOf, type TestApp, testApp } from '../support/app.js';
import { createDatabase } from '../support/database.js';
import { type Fixture, fixture } from '../support/fixture.js';

let app: TestApp;
let f: Fixture;

beforeAll(async () => {
  app = await testApp({
    explorer: { token: 'a.demo.token', document: '{ viewer { handle } } # </script>' },
    app: { corsOrigins: ['https://studio.apollographql.com'] },
  });
  f = await fixture(app);
});
afterAll(() => app?.close());

describe('tokens', () => {
  const secret = new TextEncoder().encode('only-for-tests-only-for-tests-only');
  const claims = (change: Record<string, unknown> = {}) => ({
    sub: f.ada.id,
    iss: 'tasks-api',
    aud: 'tasks-api',
    exp: Math.floor(Date.now() / 1000) + 60,
    ...change,
  });
  const sign = (payload: Record<string, unknown>, key = secret, alg = 'HS256') =>
    new SignJWT(payload).setProtectedHeader({ alg }).sign(key);

  test('a good one names the viewer', async () => {
    const { data } = await app.ask('{ viewer { handle } }', {
      headers: { authorization: `Bearer ${await sign(claims())}` },
    });
    expect(data).toEqual({ viewer: { handle: 'ada' } });
  });

  test.each([
    ['none', async () => undefined],
    ['nonsense', async () => 'nonsense'],
    ['an expired one', () => sign(claims({ exp: 1 }))],
    ['one that never expires', () => sign(claims({ exp: undefined }))],
    ['of another issuer', () => sign(claims({ iss: 'someone' }))],
    ['for another audience', () => sign(claims({ aud: 'someone' }))],
    ['signed with another secret', () => sign(claims(), new TextEncoder().encode('x'.repeat(32)))],
    ['of another algorithm', () => sign(claims(), new TextEncoder().encode('x'.repeat(64)), 'HS512')],
    ['for something that is no user', () => sign(claims({ sub: 'ada' }))],
  ])('%s is answered with 401 and UNAUTHENTICATED', async (_, make) => {
    const token = await make();
    const answer = await app.ask(
      '{ viewer { handle } }',
      token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } },
    );
    expect(answer.status).toBe(401);
    expect(answer.errors).toMatchObject([{ extensions: { code: 'UNAUTHENTICATED' } }]);
  });

  test.each([
    ['a query', '{ viewer { handle } }'],
    ['a mutation', 'mutation { createProject(input: { key: "XX", name: "X" }) { errors { code } } }'],
    [
      'a mutation that a write would prove',
      'mutation($id: ID!) { completeTask(input: { id: $id }) { errors { code } } }',
    ],
    [
      'both of them',
      `mutation($id: ID!) {
        completeTask(input: { id: $id }) { errors { code } }
        createProject(input: { key: "XX", name: "X" }) { errors { code } }
      }`,
    ],
  ])('a user who does not exist is nobody: %s', async (_, query) => {
    const [{ id }] = f.opsTasks as [Fixture['opsTasks'][number]];
    for (const known of [false, true]) {
      const answer = await app.ask(query, { as: newId('user'), variables: { id } });
      expect([known, answer]).toMatchObject([
        known,
        { status: 401, errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] },
      ]);
      expect(answer.data ?? null).toBeNull();
    }
  });

  test('introspection needs none, anything beside it does', async () => {
    expect(dataOf(await app.ask('{ __schema { queryType { name } } }'))).toEqual({
      __schema: { queryType: { name: 'Query' } },
    });
    expect((await app.ask('{ __typename viewer { handle } }')).status).toBe(401);
    expect((await app.ask('query { ...F } fragment F on Query { viewer { handle } }')).status).toBe(401);
  });
});

describe('errors', () => {
  test('of ours are masked, with an id to ask with', async () => {
    const broken = await testApp({ databaseUrl: app.databaseUrl });
    try {
      await broken.db.close();
      const answer = await broken.ask('{ projects { nodes { key } } }', { as: f.ada.id });
      expect(answer.errors).toEqual([
        expect.objectContaining({
          message: 'Something went wrong on our side.',
          extensions: { code: 'INTERNAL_SERVER_ERROR', requestId: expect.stringMatching(/^[0-9a-f-]{36}$/) },
        }),
      ]);
    } finally {
      await broken.close();
    }
  });

  test.each([
    ['{ viewer { nothing } }', 'GRAPHQL_VALIDATION_FAILED'],
    ['{ viewer {', 'GRAPHQL_PARSE_FAILED'],
    ['{ task { title } }', 'BAD_USER_INPUT'],
    ['{ task(id: "x", identifier: "OPS-1") { title } }', 'BAD_USER_INPUT'],
    ['{ task(identifier: "ops 1") { title } }', 'BAD_USER_INPUT'],
    ['{ node(id: "x") { id } }', 'BAD_USER_INPUT'],
    ['{ node(id: "task_00000000000000000000000001") { id } }', 'BAD_USER_INPUT'],
    ['{ task(id: "") { id } }', 'BAD_USER_INPUT'],
    ['{ project(id: "") { id } }', 'BAD_USER_INPUT'],
    ['{ tasks(filter: { assignee: { id: { eq: "" } } }) { nodes { id } } }', 'BAD_USER_INPUT'],
    ['{ tasks(filter: { assignee: { id: { eq: null } } }) { nodes { id } } }', 'BAD_USER_INPUT'],
    ['{ tasks(filter: { status: { in: null } }) { nodes { id } } }', 'BAD_USER_INPUT'],
  ])('of the client are told: %s', async (document, code) => {
    const { errors } = await app.ask(document, { as: f.ada.id });
    expect(errors).toMatchObject([{ extensions: { code } }]);
  });
});

test('a variable that is not acceptable is named; a literal is shown where it stands', async () => {
  const list = 'query($filter: TaskFilter) { tasks(filter: $filter) { nodes { id } } }';
  for (const filter of [{ createdAt: { gt: 'yesterday' } }, { status: { eq: 'NEVER' } }, { nothing: 1 }]) {
    const { status, errors } = await app.ask(list, { as: f.ada.id, variables: { filter } });
    expect([status, errors]).toMatchObject([400, [{ extensions: { code: 'BAD_USER_INPUT', argument: 'filter' } }]]);
  }
  const written = '{ tasks(filter: { createdAt: { gt: "yesterday" } }) { nodes { id } } }';
  const { errors } = await app.ask(written, { as: f.ada.id });
  expect(errors).toMatchObject([
    { locations: [{ line: 1, column: 36 }], extensions: { code: 'GRAPHQL_VALIDATION_FAILED' } },
  ]);
});

test('a key of any length or kind that is no key finds no project, and leaves nothing in Redis', async () => {
  await app.ask('{ viewer { id } }', { as: f.ada.id });
  await app.settled();
  for (const key of ['', 'ops', 'A\0', 'x'.repeat(100_000)]) {
    app.reset();
    const answer = await app.ask('query($key: String!) { project(key: $key) { name } }', {
      as: f.ada.id,
      variables: { key },
    });
    expect(dataOf(answer)).toEqual({ project: null });
    expect(app.counts).toMatchObject({ reads: 1, fills: 0 }); // the viewer's row
  }
});

test('a server does not start on a database whose triggers name too little', async () => {
  const database = await createDatabase();
  const sql = postgresClient(database.url, { max: 1 });
  try {
    await sql`alter table tasks disable trigger cache_update`;
    await expect(testApp({ databaseUrl: database.url })).rejects.toThrow('cache_update on tasks');
  } finally {
    await sql.end();
    await database.drop();
  }
});

describe('pages', () => {
  const get = (url: string) => app.server.inject({ method: 'GET', url });

  test('/healthz says that the process lives', async () => {
    expect((await get('/healthz')).json()).toEqual({ status: 'ok' });
  });

  test('/readyz asks Postgres, and tells of Redis', async () => {
    const { statusCode, json } = await get('/readyz').then((response) => ({
      statusCode: response.statusCode,
      json: response.json(),
    }));
    expect([statusCode, json]).toEqual([200, { postgres: 'up', redis: 'up' }]);
  });

  test('/readyz fails without Postgres, and not without Redis', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'tasks-readyz-'));
    const postgres = await startPostgres({ dataDir: directory, flags: ['fsync=off'] });
    const redis = (await startRedis()) as EmbeddedRedis;
    await migrateDatabase(postgres.url);
    const fragile = await testApp({ databaseUrl: postgres.url, redisUrl: redis.url });
    try {
      const ready = async () => {
        const response = await fragile.server.inject({ method: 'GET', url: '/readyz' });
        return [response.statusCode, response.json()];
      };
      expect(await ready()).toEqual([200, { postgres: 'up', redis: 'up' }]);
      await redis.stop();
      expect(await ready()).toEqual([200, { postgres: 'up', redis: expect.stringMatching(/^down: /) }]);
      await postgres.stop();
      expect(await ready()).toEqual([503, { postgres: 'down', redis: expect.stringMatching(/^down: /) }]);
    } finally {
      await fragile.close();
      await Promise.all([redis.stop(), postgres.stop()]);
      await rm(directory, { recursive: true, force: true });
    }
  });

  test('/readyz is one check for all that ask while it runs', async () => {
    const together = await Promise.all(Array.from({ length: 100 }, () => app.readiness())); // as the route asks
    expect(new Set(together)).toEqual(new Set([{ postgres: true, redis: 'up', stopping: false }]));
    expect(await app.readiness()).not.toBe(together[0]);
  });

  test('/ is Sandbox with token and query filled in, falling back to a page that needs no network', async () => {
    const { body, headers } = await get('/');
    expect(headers['content-type']).toContain('text/html');
    expect(body).toContain('embeddable-sandbox');
    expect(body).toContain('a.demo.token');
    expect(body).toContain('/explorer');
    expect(body.match(/<\/script>/g)).toHaveLength(3); // the example query cannot end the script
    const offline = await get('/explorer');
    expect(offline.statusCode).toBe(200);
    expect(offline.body).toContain('a.demo.token');
    expect(offline.body).not.toMatch(/(src|href)="https?:/);
  });

  test('Sandbox at its own address may call the API', async () => {
    const headers = { origin: 'https://studio.apollographql.com', 'access-control-request-method': 'POST' };
    const { headers: answered } = await app.server.inject({ method: 'OPTIONS', url: '/graphql', headers });
    expect(answered['access-control-allow-origin']).toBe('https://studio.apollographql.com');
  });
});
