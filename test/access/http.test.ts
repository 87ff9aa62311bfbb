/** What HTTP adds to the API: what browsers may do, what caches may keep, what is not said. */
import type { IncomingMessage } from 'node:http';
import type { FastifyHttpOptions } from 'fastify';
import { SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { UserId } from '../../src/db/ids.js';
import { users } from '../../src/domain/users/user.table.js';
import { signToken } from '../../src/server/auth/tokens.js';
import { addressOf } from '../../src/server/http/http-security.js';
import { type TestApp, testApp } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';

let app: TestApp;
let f: Fixture;
const OWN_PAGE = 'https://tasks.example.com';

beforeAll(async () => {
  app = await testApp({ app: { corsOrigins: [OWN_PAGE], production: true } });
  f = await fixture(app);
});
afterAll(() => app?.close());

const bearer = async (as: UserId) => {
  const tokens = { kind: 'secret', secret: 'only-for-tests-only-for-tests-only' } as const;
  return `Bearer ${await signToken({ tokens, issuer: 'tasks-api', audience: 'tasks-api' }, as, '1h')}`;
};

async function get(query: string, headers: Record<string, string> = {}, as: UserId | null = f.ada.id) {
  return app.server.inject({
    method: 'GET',
    url: `/graphql?query=${encodeURIComponent(query)}`,
    headers: {
      'apollo-require-preflight': '1',
      ...(as !== null && { authorization: await bearer(as) }),
      ...headers,
    },
  });
}
const post = async (payload: string | object, headers: Record<string, string> = {}) =>
  app.server.inject({
    method: 'POST',
    url: '/graphql',
    headers: { authorization: await bearer(f.ada.id), ...headers },
    payload,
  });

describe('caches', () => {
  const query = '{ viewer { handle } }';

  test('a successful query by GET may be kept and must be asked about: the same answer is "not modified"', async () => {
    const first = await get(query);
    expect(first.headers['cache-control']).toBe('private, no-cache');
    expect(first.headers['vary']).toMatch(/Authorization/);
    const { etag } = first.headers;
    expect(etag).toMatch(/^"[\w-]{43}"$/);
    for (const condition of [etag as string, `W/${etag}`, `"other", ${etag}`, '*']) {
      const again = await get(query, { 'if-none-match': condition });
      expect([again.statusCode, again.body, again.headers.etag]).toEqual([304, '', etag]);
      expect(again.headers['content-type']).toBeUndefined();
    }
    const other = await get(query, { 'if-none-match': '"other"' });
    expect([other.statusCode, other.body]).toEqual([200, first.body]);
  });

  test('another viewer’s answer has another ETag, and so has one that a write changed', async () => {
    const list = '{ task(identifier: "OPS-1") { title } }';
    const { etag } = (await get(query)).headers;
    expect((await get(query, { 'if-none-match': etag as string }, f.bob.id)).statusCode).toBe(200);
    const before = (await get(list)).headers.etag as string;
    await post({
      query: `mutation { updateTask(input: { id: "${f.opsTasks[0]?.id}", title: "Changed" }) { task { id } } }`,
    });
    const after = await get(list, { 'if-none-match': before });
    expect([after.statusCode, after.json().data]).toEqual([200, { task: { title: 'Changed' } }]);
  });

  test.each([
    ['a query by POST', () => post({ query })],
    ['a mutation', () => post({ query: 'mutation { completeTask(input: { id: "x" }) { errors { code } } }' })],
    ['an error', () => get('{ node(id: "x") { id } }')],
    ['half an answer', () => get('{ viewer { handle } node(id: "x") { id } }')],
    ['a refused token', () => get(query, {}, null)],
    ['a malformed token', () => get(query, { authorization: 'Bearer x' }, null)],
    ['a document that is none', () => get('{')],
    ['a request that is none', () => post('nonsense', { 'content-type': 'application/json' })],
  ])('nobody keeps %s', async (_, ask) => {
    const { headers } = await ask();
    expect(headers['cache-control']).toBe('no-store');
    expect(headers.etag).toBeUndefined();
  });

  test('a mutation by GET is refused, not run', async () => {
    const answer = await get(`mutation { deleteTask(input: { id: "${f.opsTasks[5]?.id}" }) { deletedTaskId } }`);
    expect(answer.statusCode).toBe(405);
    expect((await get('{ task(identifier: "OPS-6") { title } }')).json().data.task).not.toBeNull();
  });

  test('every answer says how long it took', async () => {
    for (const answer of [await get(query), await get('{'), await post({ query })]) {
      const [, ms] = /^total;dur=(\d+\.\d+)$/.exec(String(answer.headers['server-timing'])) ?? [];
      expect(Number(ms)).toBeGreaterThan(0);
    }
  });
});

describe('browsers', () => {
  const simple = { query: '{ viewer { handle } }' };

  test.each([
    ['text/plain', JSON.stringify(simple)],
    ['application/x-www-form-urlencoded', 'query=%7Bviewer%7Bhandle%7D%7D'],
    ['multipart/form-data; boundary=x', '--x\r\ncontent-disposition: form-data; name="operations"\r\n\r\n{}\r\n--x--'],
  ])('a form of another site cannot send a request: %s', async (type, body) => {
    const answer = await post(body, { 'content-type': type });
    expect(answer.statusCode).toBeGreaterThanOrEqual(400);
    expect(answer.statusCode).toBeLessThan(500);
    expect(answer.body).not.toContain('ada');
  });

  test('nor a link or an image: a GET must have a header that those cannot send', async () => {
    const get = (headers: Record<string, string>) =>
      app.server.inject({ method: 'GET', url: `/graphql?query=${encodeURIComponent(simple.query)}`, headers });
    const link = await get({ cookie: 'session=1' });
    expect([link.statusCode, link.body]).toEqual([400, expect.stringContaining('CSRF')]);
    expect((await get({ authorization: await bearer(f.ada.id) })).statusCode).toBe(200);
  });

  const preflight = (to: TestApp, origin: string) =>
    to.server.inject({
      method: 'OPTIONS',
      url: '/graphql',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,content-type',
      },
    });

  test('only pages of the configured origins may call, without cookies', async () => {
    const { headers } = await preflight(app, OWN_PAGE);
    expect(headers).toMatchObject({
      'access-control-allow-origin': OWN_PAGE,
      'access-control-allow-headers': 'authorization,content-type',
      'access-control-allow-methods': 'GET, POST',
    });
    expect(headers['access-control-allow-credentials']).toBeUndefined();
    for (const origin of ['https://evil.example', `${OWN_PAGE}.evil.example`, 'null']) {
      expect((await preflight(app, origin)).headers['access-control-allow-origin']).toBeUndefined();
    }
    const answer = await post(simple, { origin: OWN_PAGE });
    expect(answer.headers['access-control-expose-headers']).toMatch(/ETag.*Retry-After/);
  });

  test('none may where none is configured', async () => {
    const closed = await testApp({
      databaseUrl: app.databaseUrl,
      group: app.group,
      app: { corsOrigins: [], production: true },
    });
    try {
      const { headers } = await preflight(closed, OWN_PAGE);
      expect(Object.keys(headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
    } finally {
      await closed.close();
    }
  });

  test('in development any page of this machine may, in production none that is not configured', async () => {
    const open = await testApp({ databaseUrl: app.databaseUrl, group: app.group, app: { corsOrigins: [] } });
    const allowed = async (to: TestApp, origin: string) =>
      (await preflight(to, origin)).headers['access-control-allow-origin'] === origin;
    try {
      for (const origin of [
        'http://localhost:5173',
        'http://127.0.0.1:3000',
        'https://[::1]',
        'http://app.localhost',
      ]) {
        expect([origin, await allowed(open, origin), await allowed(app, origin)]).toEqual([origin, true, false]);
      }
      for (const origin of ['http://localhost.evil.example', 'http://evillocalhost', 'http://10.0.0.1:3000', 'null']) {
        expect([origin, await allowed(open, origin)]).toEqual([origin, false]);
      }
    } finally {
      await open.close();
    }
  });

  test('answers carry what keeps browsers from running them, and nothing about the server', async () => {
    const { headers } = await post(simple);
    expect(headers).toMatchObject({
      'content-security-policy': expect.stringContaining("default-src 'none'"),
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'SAMEORIGIN',
      'referrer-policy': 'no-referrer',
      'strict-transport-security': expect.stringContaining('max-age='),
    });
    expect([headers['x-powered-by'], headers['server']]).toEqual([undefined, undefined]);
  });

  test('the explorer’s pages may run what they are made of, and only they', async () => {
    const open = await testApp({
      databaseUrl: app.databaseUrl,
      group: app.group,
      explorer: { token: 't', document: '{ viewer { handle } }' },
    });
    try {
      const policy = async (url: string) =>
        String((await open.server.inject({ method: 'GET', url })).headers['content-security-policy']);
      expect(await policy('/')).toContain(
        "script-src 'unsafe-inline' https://embeddable-sandbox.cdn.apollographql.com",
      );
      expect(await policy('/')).toContain('frame-src https://sandbox.embed.apollographql.com');
      expect(await policy('/explorer')).toContain("script-src 'self' 'unsafe-inline'");
      expect(await policy('/explorer')).not.toContain('http');
      expect(await policy('/healthz')).not.toContain('unsafe-inline');
      // A laptop has no TLS: a browser must not be told to insist on it.
      const { headers } = await open.server.inject({ method: 'GET', url: '/' });
      expect(headers['strict-transport-security']).toBeUndefined();
      expect(headers['content-security-policy']).not.toContain('upgrade-insecure-requests');
    } finally {
      await open.close();
    }
  });
});

test('a client that sends slowly is not waited for', () => {
  const { server, initialConfig } = app.server;
  expect(server.headersTimeout).toBe(10_000);
  expect(server.requestTimeout).toBe(30_000);
  expect((initialConfig as FastifyHttpOptions<never>).bodyLimit).toBe(1024 * 1024);
});

test('an address told by a proxy is believed of those that are trusted, of nobody else', async () => {
  const toldBy = async (trustProxy: readonly string[] | undefined) => {
    const one = await testApp({ databaseUrl: app.databaseUrl, group: app.group, app: { trustProxy } });
    try {
      let address = '';
      one.server.addHook('onRequest', async (request) => {
        address = request.ip;
      });
      const headers = { 'x-forwarded-for': '203.0.113.7' };
      await one.server.inject({ method: 'GET', url: '/healthz', headers, remoteAddress: '10.1.2.3' });
      const upgrade = { headers, socket: { remoteAddress: '10.1.2.3' } } as unknown as IncomingMessage;
      expect(addressOf({ trustProxy })(upgrade)).toBe(address); // of a WebSocket, the same
      return address;
    } finally {
      await one.close();
    }
  };
  expect(await toldBy(['10.0.0.0/8'])).toBe('203.0.113.7');
  expect(await toldBy(['192.168.0.0/16'])).toBe('10.1.2.3');
  expect(await toldBy(undefined)).toBe('10.1.2.3');
});

describe('a request has an id', () => {
  const query = '{ viewer { handle } }';
  const idOf = async (headers: Record<string, string> = {}) => (await post({ query }, headers)).headers['x-request-id'];

  test('of its own, in the headers of every answer', async () => {
    const ids = [await idOf(), await idOf(), await idOf()]; // the last ones are known operations or kept answers
    for (const id of ids) expect(id).toMatch(/^[0-9a-f-]{36}$/);
    expect(new Set(ids).size).toBe(3);
    for (const url of ['/healthz', '/nowhere', '/metrics']) {
      expect((await app.server.inject({ url })).headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
    }
  });

  test('or that of its proxy, if it can be written into a log and a header', async () => {
    expect(await idOf({ 'x-request-id': 'edge-7f3a' })).toBe('edge-7f3a');
    for (const id of ['', 'a b', 'é', 'x'.repeat(129)])
      expect(await idOf({ 'x-request-id': id })).toMatch(/^[0-9a-f-]{36}$/);
  });
});

describe('a challenge says what is missing (RFC 6750)', () => {
  const challenge = async (headers: Record<string, string>, url = '/graphql') => {
    const { statusCode, headers: given } = await app.server.inject({
      ...(url === '/graphql' ? { method: 'POST', payload: { query: '{ viewer { id } }' } } : { method: 'GET' }),
      url,
      headers,
    });
    return [statusCode, given['www-authenticate']];
  };

  test('a token, a valid token, a scope', async () => {
    for (const url of ['/graphql', '/metrics']) {
      expect(await challenge({}, url)).toEqual([401, 'Bearer']);
      expect(await challenge({ authorization: 'Bearer x' }, url)).toEqual([401, 'Bearer error="invalid_token"']);
    }
    const authorization = await bearer(f.ada.id);
    expect(await challenge({ authorization })).toEqual([200, undefined]);
    expect(await challenge({ authorization }, '/metrics')).toEqual([
      403,
      'Bearer error="insufficient_scope", scope="metrics:read"',
    ]);
  });

  test('a program with the scope reads metrics, is no user and becomes none', async () => {
    const creating = await testApp({
      databaseUrl: app.databaseUrl,
      group: app.group,
      app: { production: true, unknownUsers: 'create' },
    });
    try {
      const payload = { sub: 'prometheus', scope: 'metrics:read', iss: 'tasks-api', aud: 'tasks-api' };
      const token = await new SignJWT(payload)
        .setProtectedHeader({ alg: 'HS256' })
        .setExpirationTime('1h')
        .sign(new TextEncoder().encode('only-for-tests-only-for-tests-only'));
      const before = await creating.db.read.$count(users);
      for (const to of [app, creating]) {
        const { statusCode, body } = await to.server.inject({
          url: '/metrics',
          headers: { authorization: `Bearer ${token}` },
        });
        expect([statusCode, body]).toEqual([200, expect.stringContaining('cache_calls_total')]);
      }
      expect(await creating.db.read.$count(users)).toBe(before);
    } finally {
      await creating.close();
    }
  });
});
