import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseConnectionUrl } from '../src/engine/postgres/index.js';
import { readConfig } from '../src/platform/config.js';
import { ConfigError } from '../src/platform/config-error.js';
import { configInWords } from '../src/platform/config-words.js';
import { type Certificates, certificates } from './support/certificates.js';

const PRODUCTION = {
  NODE_ENV: 'production',
  DATABASE_URL: 'postgres://db/tasks',
  REDIS_URL: 'redis://cache:6379',
  JWT_SECRET: 'x'.repeat(32),
};

function faults(env: Record<string, string>): string {
  try {
    readConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
  }
  return '';
}

test('a laptop needs no variable at all', () => {
  expect(readConfig({})).toEqual({
    environment: 'development',
    historyDays: 0,
    host: '127.0.0.1',
    port: 4000,
    workers: 1,
    logLevel: 'warn',
    loggedRequests: 0,
    shutdown: { delayMs: 0, timeoutMs: 20_000 },
    databaseUrl: undefined,
    migrationDatabaseUrl: undefined,
    pools: { reads: 10, writes: 5 },
    redis: undefined,
    redisGroup: 'tasks',
    fencePolicy: 'available',
    nearCacheBytes: 64 * 1024 * 1024,
    maxLoads: 10,
    maxResponseBytes: 4 * 1024 * 1024,
    maxUnreadBytes: 64 * 1024 * 1024,
    trashDays: 30,
    webhookAllowPrivate: true,
    compression: true,
    knownOperations: true,
    introspection: true,
    console: true,
    persistedDocuments: undefined,
    tokens: undefined,
    issuer: 'tasks-api',
    audience: 'tasks-api',
    access: {
      algorithms: undefined,
      unknownUsers: 'refuse',
      corsOrigins: ['https://studio.apollographql.com'],
      trustProxy: undefined,
      httpConnections: { maxConnections: 10_000, maxConnectionsPerAddress: 1000 },
      timeLimits: false,
      rateLimit: undefined,
    },
    subscriptionLimits: {},
    telemetry: undefined,
    metricsAddress: undefined,
    slowOperationMs: 1000,
    slowStatementMs: 500,
  });
});

test('metrics have an address of their own where METRICS_PORT is set, by default on the host of the API', () => {
  expect(readConfig({ METRICS_PORT: '9464', HOST: '::' }).metricsAddress).toEqual({ host: '::', port: 9464 });
  expect(readConfig({ METRICS_PORT: '0', METRICS_HOST: '10.0.0.1' }).metricsAddress).toEqual({
    host: '10.0.0.1',
    port: 0,
  });
  expect(readConfig({ METRICS_HOST: '10.0.0.1' }).metricsAddress).toBeUndefined();
  for (const port of ['-1', '65536', 'http', '1.5']) {
    expect(faults({ METRICS_PORT: port })).toContain('METRICS_PORT: expected a port, 0 to 65535');
  }
  expect(faults({ METRICS_PORT: '4000' })).toContain('METRICS_PORT: expected another port than PORT');
  expect(faults({ METRICS_PORT: '4000', METRICS_HOST: '10.0.0.1' })).toBe('');
});

test('what counts as slow is a whole number of ms, and 0 is for none', () => {
  expect(readConfig({ SLOW_OPERATION_MS: '0', SLOW_STATEMENT_MS: '20' })).toMatchObject({
    slowOperationMs: 0,
    slowStatementMs: 20,
  });
  for (const name of ['SLOW_OPERATION_MS', 'SLOW_STATEMENT_MS']) {
    for (const value of ['-1', '0.5', 'slow']) {
      expect(faults({ [name]: value })).toContain(`${name}: expected a whole number of ms, 0 for none`);
    }
  }
});

describe('the configuration in words', () => {
  const wordsOf = (env: Record<string, string>) => configInWords(readConfig({ ...PRODUCTION, ...env }));

  test('says where everything is and what is on', () => {
    expect(
      wordsOf({ METRICS_PORT: '9464', HOST: '::', NEAR_CACHE_MB: '0', PERSISTED_DOCUMENTS: 'x.json' }),
    ).toMatchObject({
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
      environment: 'production',
      api: '[::]:4000',
      metrics: '[::]:9464',
      postgres: 'db:5432/tasks with TLS where it offers that',
      redis: 'cache:6379',
      tokens: 'a secret, of the issuer tasks-api',
      nearCache: 'off',
      rateLimit: '30000 points in 60 s',
      persistedDocuments: 'warn',
      logged: 'info; 0 % of requests, slow operations from 1000 ms, slow statements from 500 ms',
    });
    expect(wordsOf({ REDIS_URL: 'rediss://cache:6380/2' })['redis']).toBe('cache:6380/2 with TLS');
    expect(wordsOf({ REDIS_URL: '', REDIS_CLUSTER_NODES: 'a:1,b:2' })['redis']).toBe('a Cluster: a:1, b:2');
    expect(wordsOf({ REDIS_URL: '', REDIS_SENTINELS: 'a:1' })['redis']).toBe('mymaster of the Sentinels a:1');
    expect(wordsOf({ JWT_SECRET: '', JWKS_URL: 'https://id.example/keys?key=hidden' })['tokens']).toBe(
      'keys of https://id.example, of the issuer tasks-api',
    );
  });

  test('has no password, no secret and no user name', () => {
    const hidden = 'q7W/hidden@word';
    const words = wordsOf({
      DATABASE_URL: `postgres://owner:${encodeURIComponent(hidden)}@db/tasks`,
      REDIS_URL: `redis://owner:${encodeURIComponent(hidden)}@cache:6379`,
      JWT_SECRET: hidden.repeat(4),
      JWT_PREVIOUS_SECRETS: hidden.repeat(3),
    });
    const text = JSON.stringify(words);
    expect(text).not.toMatch(/hidden|q7W|owner/);
    expect(text).toContain('a secret, and 1 of before');
  });
});

test('bounds of WebSockets and subscriptions are taken where they are set, and must be positive', () => {
  const env = { MAX_WEBSOCKETS_PER_ADDRESS: '7', MAX_SUBSCRIPTIONS_PER_VIEWER: '3' };
  expect(readConfig(env).subscriptionLimits).toEqual({ maxConnectionsPerAddress: 7, maxSubscriptionsPerViewer: 3 });
  expect(faults({ MAX_WEBSOCKETS: '0' })).toContain('MAX_WEBSOCKETS: expected a whole number, at least 1');
});

test('in production a server is still reachable for some seconds when it stops, unless that is set', () => {
  expect(readConfig(PRODUCTION).shutdown).toEqual({ delayMs: 5000, timeoutMs: 20_000 });
  const chosen = { SHUTDOWN_DELAY_MS: '0', SHUTDOWN_TIMEOUT_MS: '1500' };
  expect(readConfig({ ...PRODUCTION, ...chosen }).shutdown).toEqual({ delayMs: 0, timeoutMs: 1500 });
  expect(faults({ SHUTDOWN_DELAY_MS: '5s' })).toContain('SHUTDOWN_DELAY_MS: expected a whole number of ms, 0 or more');
});

test('production with all it needs starts', () => {
  expect(readConfig(PRODUCTION)).toMatchObject({
    environment: 'production',
    logLevel: 'info',
    introspection: false,
    tokens: { kind: 'secret' },
  });
  expect(readConfig({ ...PRODUCTION, INTROSPECTION: 'on' }).introspection).toBe(true);
  expect(readConfig(PRODUCTION).console).toBe(false);
  expect(readConfig({ ...PRODUCTION, CONSOLE: 'on' }).console).toBe(true);
  const { JWT_SECRET: _, ...rest } = PRODUCTION;
  expect(readConfig({ ...rest, JWKS_URL: 'https://id.example/keys' }).tokens).toEqual({
    kind: 'jwks',
    url: 'https://id.example/keys',
  });
});

test('Redis may be one server, a Cluster, or what Sentinels name', () => {
  const login = 'redis://user:secret@cache:6379/2';
  expect(readConfig({ REDIS_URL: login }).redis).toEqual({ url: login });
  expect(readConfig({ REDIS_CLUSTER_NODES: 'a:7000,b:7001', REDIS_URL: 'redis://user:secret@any' }).redis).toEqual({
    cluster: [
      { host: 'a', port: 7000 },
      { host: 'b', port: 7001 },
    ],
    url: 'redis://user:secret@any',
  });
  expect(readConfig({ REDIS_SENTINELS: 's1:26379', REDIS_SENTINEL_MASTER: 'cache' }).redis).toEqual({
    sentinels: [{ host: 's1', port: 26379 }],
    master: 'cache',
  });
  expect(faults({ REDIS_SENTINELS: 's1:26379', REDIS_CLUSTER_NODES: 'a:7000' })).toContain('only one of them');
});

test('addresses of Redis may be IPv6, and may be mapped', () => {
  const NAT = '[fd00::5]:6379=[::1]:7001,10.0.0.5:6379=here:7002';
  expect(readConfig({ REDIS_CLUSTER_NODES: '[::1]:7000,b:7001', REDIS_NAT_MAP: NAT }).redis).toEqual({
    cluster: [
      { host: '::1', port: 7000 },
      { host: 'b', port: 7001 },
    ],
    natMap: { 'fd00::5:6379': { host: '::1', port: 7001 }, '10.0.0.5:6379': { host: 'here', port: 7002 } },
  });
  expect(faults({ REDIS_CLUSTER_NODES: '::1:7000' })).toContain('IPv6 addresses in brackets');
  expect(faults({ REDIS_CLUSTER_NODES: 'a:1', REDIS_NAT_MAP: 'a:1' })).toContain('REDIS_NAT_MAP: expected host:port=');
  expect(faults({ REDIS_URL: 'redis://a', REDIS_NAT_MAP: 'a:1=b:2' })).toContain('REDIS_NAT_MAP: expected together');
});

test('user and password of Redis may be beside its URL, and in one place only', () => {
  const REDIS_PASSWORD = 'p@ss/w#rd%';
  expect(readConfig({ REDIS_URL: 'redis://app@cache', REDIS_PASSWORD }).redis).toEqual({
    url: 'redis://app@cache',
    access: { password: REDIS_PASSWORD },
  });
  const sentinels = { REDIS_SENTINELS: 's:1', REDIS_SENTINEL_USERNAME: 'other', REDIS_SENTINEL_PASSWORD: 'theirs' };
  expect(readConfig({ ...sentinels, REDIS_USERNAME: 'app', REDIS_PASSWORD }).redis).toEqual({
    sentinels: [{ host: 's', port: 1 }],
    master: 'mymaster',
    access: { username: 'app', password: REDIS_PASSWORD },
    sentinelAccess: { username: 'other', password: 'theirs' },
  });
  const REDIS_URL = 'redis://app:secret@cache';
  expect(faults({ REDIS_URL, REDIS_PASSWORD })).toContain('REDIS_PASSWORD, REDIS_URL: expected a password in one');
  expect(faults({ REDIS_URL, REDIS_USERNAME: 'a' })).toContain('REDIS_USERNAME, REDIS_URL: expected a user in one');
  expect(faults({ REDIS_URL: 'redis://:100%@cache' })).toContain(
    'REDIS_URL: expected % in user and password to be %25',
  );
  expect(faults({ REDIS_URL: 'redis://:p/w@cache' })).toContain('REDIS_PASSWORD');
  expect(faults({ REDIS_PASSWORD })).toContain('REDIS_PASSWORD: expected together with REDIS_URL');
  expect(faults({ REDIS_URL, REDIS_SENTINEL_PASSWORD: 'x' })).toContain('REDIS_SENTINEL_PASSWORD: expected together');
});

describe('certificates for Redis', () => {
  let dir: string;
  let made: Certificates;
  const REDIS_URL = 'rediss://cache';
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'tasks-certificates-'));
    made = await certificates(dir, 'DNS:cache');
  });
  afterAll(() => rm(dir, { recursive: true }));

  test('are read from their files, for servers and Sentinels', async () => {
    const { cert, key } = made.client;
    const env = { REDIS_TLS_CA: made.ca, REDIS_TLS_CERT: cert, REDIS_TLS_KEY: key, REDIS_TLS_SERVERNAME: 'cache' };
    const [ca, certificate, secret] = await Promise.all([made.ca, cert, key].map((path) => readFile(path, 'utf8')));
    const tls = { ca, cert: certificate, key: secret, servername: 'cache' };
    expect(readConfig({ REDIS_URL, ...env }).redis).toEqual({ url: REDIS_URL, access: { tls } });
    const REDIS_SENTINELS = 's:1';
    const sentinels = { sentinels: [{ host: 's', port: 1 }], master: 'mymaster', access: { tls } };
    expect(readConfig({ REDIS_SENTINELS, ...env }).redis).toEqual({ ...sentinels, sentinelAccess: { tls } });
    expect(readConfig({ REDIS_SENTINELS, REDIS_SENTINEL_TLS: 'off', ...env }).redis).toEqual(sentinels);
    expect(readConfig({ REDIS_SENTINELS, REDIS_URL }).redis).toMatchObject({ sentinelAccess: { tls: {} } });
  });

  test('are for Sentinels alone where these speak TLS and the URL of the primary says that it does not', async () => {
    const ca = await readFile(made.ca, 'utf8');
    const url = 'redis://app@any';
    const env = { REDIS_SENTINELS: 's:1', REDIS_SENTINEL_TLS: 'on', REDIS_URL: url, REDIS_TLS_CA: made.ca };
    expect(readConfig(env).redis).toEqual({
      sentinels: [{ host: 's', port: 1 }],
      master: 'mymaster',
      url,
      sentinelAccess: { tls: { ca } },
    });
    const { REDIS_URL: _, ...withoutUrl } = env;
    expect(readConfig(withoutUrl).redis).toMatchObject({ access: { tls: { ca } }, sentinelAccess: { tls: { ca } } });
  });

  test.each<[string, () => Record<string, string>, string]>([
    [
      'a file that is not there',
      () => ({ REDIS_TLS_CA: '/none' }),
      'REDIS_TLS_CA: expected a file that can be read (ENOENT)',
    ],
    ['a key for authorities', () => ({ REDIS_TLS_CA: made.caKey }), 'REDIS_TLS_CA: expected certificates in PEM'],
    [
      'a certificate as key',
      () => ({ REDIS_TLS_CERT: made.client.cert, REDIS_TLS_KEY: made.client.cert }),
      'REDIS_TLS_KEY: expected a private key in PEM',
    ],
    [
      'a certificate without its key',
      () => ({ REDIS_TLS_CERT: made.client.cert }),
      'REDIS_TLS_CERT, REDIS_TLS_KEY: expected both or neither',
    ],
    [
      'the key of another certificate',
      () => ({ REDIS_TLS_CERT: made.client.cert, REDIS_TLS_KEY: made.server.key }),
      'REDIS_TLS_KEY: expected the key of the certificate in REDIS_TLS_CERT',
    ],
    [
      'with a URL without TLS',
      () => ({ REDIS_URL: 'redis://cache', REDIS_TLS_CA: made.ca }),
      'REDIS_TLS_CA: expected REDIS_URL to begin with rediss://',
    ],
    [
      'for Sentinels, which do as their servers unless REDIS_SENTINEL_TLS is on',
      () => ({ REDIS_SENTINELS: 's:1', REDIS_URL: 'redis://cache', REDIS_TLS_CA: made.ca }),
      'REDIS_TLS_CA: expected REDIS_URL to begin with rediss://, or REDIS_SENTINEL_TLS=on and REDIS_TLS_CA',
    ],
    [
      'without a Redis',
      () => ({ REDIS_URL: '', REDIS_TLS_CA: made.ca }),
      'REDIS_TLS_CA: expected together with REDIS_URL',
    ],
  ])('are refused in one line that names the variable: %s', (_, env, line) => {
    const message = faults({ REDIS_URL, ...env() });
    expect(message.split('\n').slice(1)).toEqual([expect.stringContaining(line)]);
  });
});

test('processes are counted, or as many as there are cores', () => {
  expect(readConfig({ WORKERS: '3' }).workers).toBe(3);
  expect(readConfig({ WORKERS: 'auto' }).workers).toBe(Math.min(availableParallelism(), 64));
  for (const WORKERS of ['0', '65', '1.5', 'all']) {
    expect(faults({ WORKERS })).toContain('WORKERS: expected a number of processes, 1 to 64, or auto');
  }
});

test('a password of a database may be beside its URL, with any characters, and not in both', () => {
  const password = 'p@ss/w#o:r?d%20&=+';
  const env = { DATABASE_URL: 'postgres://app@db/tasks?sslmode=require', DATABASE_PASSWORD: password };
  expect(parseConnectionUrl(readConfig(env).databaseUrl as string)).toMatchObject({ user: 'app', password });
  const owner = { MIGRATION_DATABASE_URL: 'postgres://owner@db/tasks', MIGRATION_DATABASE_PASSWORD: password };
  const { migrationDatabaseUrl } = readConfig({ ...env, ...owner });
  expect(parseConnectionUrl(migrationDatabaseUrl as string)).toMatchObject({ user: 'owner', password });
  expect(faults({ ...env, DATABASE_URL: 'postgres://app:one@db/tasks' })).toContain(
    'DATABASE_URL, DATABASE_PASSWORD: expected a password in only one of them',
  );
  expect(faults({ DATABASE_PASSWORD: password })).toContain('DATABASE_PASSWORD: expected DATABASE_URL beside it');
  expect(faults({ MIGRATION_DATABASE_URL: 'postgres://owner@db/tasks' })).toContain(
    'MIGRATION_DATABASE_URL: expected DATABASE_URL beside it',
  );
});

describe('connections to Postgres and loads', () => {
  const DATABASE_URL = 'postgres://db/tasks';
  const limited = `${DATABASE_URL}?connection_limit=14`;

  test.each([
    [{ MAX_LOADS: '4' }, { reads: 10, writes: 5 }, 4],
    [{ MAX_LOADS: '20' }, { reads: 20, writes: 5 }, 20],
    [{ DATABASE_READ_CONNECTIONS: '4' }, { reads: 4, writes: 5 }, 4],
    [{ DATABASE_READ_CONNECTIONS: '30', MAX_LOADS: '20' }, { reads: 30, writes: 5 }, 20],
    [{ DATABASE_WRITE_CONNECTIONS: '8' }, { reads: 10, writes: 8 }, 10],
    [{ DATABASE_URL: limited }, { reads: 8, writes: 4 }, 8],
    [{ DATABASE_URL: limited, DATABASE_WRITE_CONNECTIONS: '6' }, { reads: 6, writes: 6 }, 6],
    [{ DATABASE_URL: `${DATABASE_URL}?connection_limit=4` }, { reads: 1, writes: 1 }, 1],
    [{ DATABASE_URL: `${DATABASE_URL}?connection_limit=62` }, { reads: 40, writes: 20 }, 10],
  ])('with %j there are %j and %i loads', (env, pools, maxLoads) => {
    expect(readConfig(env)).toMatchObject({ pools, maxLoads });
  });

  test.each([
    [{ DATABASE_READ_CONNECTIONS: '4', MAX_LOADS: '5' }, 'MAX_LOADS: expected at most 4'],
    [{ DATABASE_URL: limited, MAX_LOADS: '9' }, 'MAX_LOADS: expected at most 8'],
    [
      { DATABASE_URL: limited, DATABASE_READ_CONNECTIONS: '10' },
      'DATABASE_READ_CONNECTIONS, DATABASE_WRITE_CONNECTIONS: expected at most 12 together, since connection_limit of ' +
        'DATABASE_URL is 14 and 2 are for invalidation',
    ],
    [{ DATABASE_WRITE_CONNECTIONS: '0' }, 'DATABASE_WRITE_CONNECTIONS: expected a number of connections, 1 to 500'],
  ])('%j is refused', (env, message) => {
    expect(faults(env as Record<string, string>)).toContain(message);
  });
});

test('production names all missing variables at once', () => {
  const message = faults({ NODE_ENV: 'production' });
  for (const name of ['DATABASE_URL', 'REDIS_URL, REDIS_CLUSTER_NODES or REDIS_SENTINELS', 'JWT_SECRET or JWKS_URL'])
    expect(message).toContain(name);
});

test('an empty variable is a missing one', () => {
  expect(faults({ ...PRODUCTION, REDIS_URL: '' })).toMatch(/REDIS_URL.*: required/);
});

test.each([
  ['PORT', 'eighty'],
  ['PORT', '70000'],
  ['DATABASE_URL', 'mysql://db'],
  ['REDIS_URL', 'localhost'],
  ['REDIS_CLUSTER_NODES', 'one two'],
  ['REDIS_SENTINELS', 'host'],
  ['FENCE_POLICY', 'maybe'],
  ['NEAR_CACHE_MB', '-1'],
  ['MAX_LOADS', '0'],
  ['TRASH_DAYS', '0'],
  ['TRASH_DAYS', '1.5'],
  ['WEBHOOK_ALLOW_PRIVATE', 'true'],
  ['INTROSPECTION', 'maybe'],
  ['CONSOLE', 'true'],
  ['JWT_SECRET', 'short'],
  ['JWKS_URL', 'ftp://x'],
  ['LOG_LEVEL', 'loud'],
  ['NODE_ENV', 'staging'],
  ['JWT_ALGORITHMS', 'none'],
  ['JWT_ALGORITHMS', 'HS256,RS1'],
  ['UNKNOWN_USERS', 'maybe'],
  ['CORS_ORIGINS', '*'],
  ['CORS_ORIGINS', 'https://app.example.com/path'],
  ['TRUST_PROXY', '1'],
  ['TRUST_PROXY', 'yes'],
  ['TRUST_PROXY', '10.0.0.0/33'],
  ['MAX_HTTP_CONNECTIONS', '0'],
  ['MAX_HTTP_CONNECTIONS_PER_ADDRESS', 'many'],
  ['RATE_LIMIT_POINTS', '-1'],
  ['RATE_LIMIT_SECONDS', '0'],
  ['TIME_LIMITS', 'maybe'],
])('a bad %s is named, with what was expected', (name, value) => {
  expect(faults({ [name]: value })).toMatch(new RegExp(`${name}: .*expected`, 'i'));
});

test.each([
  ['https://tasks.example.com/app/', 'https://tasks.example.com/app'],
  ['https://tasks.example.com/?team=ops', undefined],
  ['https://tasks.example.com/#board', undefined],
  ['https://tasks.example.com/?', undefined],
])('PUBLIC_URL %s is %s: paths are appended to it', (PUBLIC_URL, read) => {
  if (read === undefined) expect(faults({ PUBLIC_URL })).toContain('PUBLIC_URL: expected a URL without ? and #');
  else expect(readConfig({ PUBLIC_URL }).publicUrl).toBe(read);
});

test.each(['abc', '70000', '-1', '1.5'])('a port of %s is refused in the same words', (value) => {
  expect(faults({ PORT: value })).toContain('PORT: expected a port, 0 to 65535');
});

test('every wrong variable is reported, not only the first', () => {
  const message = faults({
    PORT: 'x',
    LOG_LEVEL: 'loud',
    JWT_SECRET: 'x'.repeat(32),
    JWKS_URL: 'https://id.example/keys',
  });
  for (const name of ['PORT', 'LOG_LEVEL']) expect(message).toContain(name);
});

test('algorithms belong to the kind of key, and secrets are long enough for them', () => {
  const JWKS_URL = 'https://id.example/keys';
  expect(faults({ JWKS_URL, JWT_ALGORITHMS: 'RS256,HS256' })).toContain('JWT_ALGORITHMS: expected some of RS256');
  expect(faults({ JWT_ALGORITHMS: 'RS256' })).toContain('JWT_ALGORITHMS: expected some of HS256');
  expect(faults({ JWT_SECRET: 'x'.repeat(32), JWT_ALGORITHMS: 'HS512' })).toContain('at least 64 characters');
  expect(readConfig({ JWKS_URL, JWT_ALGORITHMS: 'ES256, EdDSA' }).access.algorithms).toEqual(['ES256', 'EdDSA']);
  expect(readConfig({ JWT_SECRET: 'x'.repeat(64), JWT_ALGORITHMS: 'HS512' }).access.algorithms).toEqual(['HS512']);
});

test('production lets no page of another origin in, believes no proxy, and limits rates', () => {
  expect(readConfig(PRODUCTION).access).toEqual({
    algorithms: undefined,
    unknownUsers: 'refuse',
    corsOrigins: [],
    trustProxy: undefined,
    httpConnections: { maxConnections: 10_000, maxConnectionsPerAddress: 1000 },
    timeLimits: true,
    rateLimit: { points: 30_000, seconds: 60 },
  });
  const chosen = {
    CORS_ORIGINS: 'https://a.example, http://localhost:3000',
    TRUST_PROXY: '10.0.0.0/8,::1',
    MAX_HTTP_CONNECTIONS: '500',
    MAX_HTTP_CONNECTIONS_PER_ADDRESS: '20',
    RATE_LIMIT_POINTS: '0',
    UNKNOWN_USERS: 'create',
  };
  expect(readConfig({ ...PRODUCTION, ...chosen }).access).toEqual({
    algorithms: undefined,
    unknownUsers: 'create',
    corsOrigins: ['https://a.example', 'http://localhost:3000'],
    trustProxy: ['10.0.0.0/8', '::1'],
    httpConnections: { maxConnections: 500, maxConnectionsPerAddress: 20 },
    timeLimits: true, // without points, too
    rateLimit: undefined,
  });
});

test('time is limited in production, or where it is asked for, whatever the points', () => {
  expect(readConfig({ ...PRODUCTION, TIME_LIMITS: 'off' }).access).toMatchObject({
    timeLimits: false,
    rateLimit: { points: 30_000 },
  });
  expect(readConfig({ TIME_LIMITS: 'on' }).access).toMatchObject({ timeLimits: true, rateLimit: undefined });
});

test('REDIS_GROUP names the keys of an installation', () => {
  expect(readConfig({ REDIS_GROUP: 'staging_2-b' }).redisGroup).toBe('staging_2-b');
  for (const wrong of ['a b', 'a:b', '{a}', 'ä', 'x'.repeat(65)]) {
    expect(faults({ REDIS_GROUP: wrong })).toContain('REDIS_GROUP: expected 1 to 64 letters, digits, - or _');
  }
});

test('REDIS_URL names a database by its number, and none in a Cluster', () => {
  for (const path of ['', '/', '/0', '/15', '?db=15'])
    expect(faults({ REDIS_URL: `redis://cache:6379${path}` })).toBe('');
  for (const path of ['/abc', '/-1', '/1.5', '/1/2', '/1e1', '/99999999', '?db=abc']) {
    expect(faults({ REDIS_URL: `redis://cache:6379${path}` })).toContain('REDIS_URL: expected a database number');
    const sentinels = { REDIS_SENTINELS: 's:26379', REDIS_URL: `redis://cache:6379${path}` };
    expect(faults(sentinels)).toContain('REDIS_URL: expected a database number');
  }
  const cluster = (url: string) => faults({ REDIS_CLUSTER_NODES: 'a:1', REDIS_URL: url });
  expect(cluster('redis://user:password@any/0')).toBe('');
  expect(cluster('redis://any/1')).toContain('REDIS_URL: expected database 0, the only one of a Cluster');
});

describe('secrets in files', () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'tasks-secrets-'));
  });
  afterAll(() => rm(dir, { recursive: true }));

  test('are read, without the line break at their end', async () => {
    const files = {
      DATABASE_URL: 'postgres://db/tasks',
      REDIS_URL: 'redis://redis',
      JWT_SECRET: 's'.repeat(32),
      OTEL_EXPORTER_OTLP_HEADERS: 'api-key=k',
    };
    for (const [name, value] of Object.entries(files)) await writeFile(join(dir, name), `${value}\n`);
    const env = Object.fromEntries(Object.keys(files).map((name) => [`${name}_FILE`, join(dir, name)]));
    expect(readConfig({ NODE_ENV: 'production', OTEL_TRACES_EXPORTER: 'otlp', ...env })).toMatchObject({
      telemetry: { headers: { 'api-key': 'k' } },
      databaseUrl: files.DATABASE_URL,
      redis: { url: files.REDIS_URL },
      tokens: { kind: 'secret', secret: files.JWT_SECRET },
    });
  });

  test('that cannot be read, or are given twice, are named', async () => {
    await writeFile(join(dir, 'short'), 'short');
    expect(faults({ JWT_SECRET_FILE: join(dir, 'none') })).toContain(
      'JWT_SECRET_FILE: expected a file that can be read (ENOENT)',
    );
    expect(faults({ JWT_SECRET_FILE: join(dir, 'short') })).toContain('JWT_SECRET: expected at least 32 characters');
    expect(faults({ REDIS_URL: 'redis://x', REDIS_URL_FILE: join(dir, 'short') })).toContain(
      'REDIS_URL, REDIS_URL_FILE: expected only one of them',
    );
  });
});

test('previous secrets are accepted beside one, and long enough', () => {
  const [JWT_SECRET, one, two] = ['a', 'b', 'c'].map((letter) => letter.repeat(32)) as [string, string, string];
  expect(readConfig({ JWT_SECRET, JWT_PREVIOUS_SECRETS: `${one}\n${two} ` }).tokens).toEqual({
    kind: 'secret',
    secret: JWT_SECRET,
    previous: [one, two],
  });
  expect(faults({ JWT_SECRET, JWT_PREVIOUS_SECRETS: 'short' })).toContain('JWT_PREVIOUS_SECRETS: expected secrets of');
  expect(faults({ JWKS_URL: 'https://x.example/keys', JWT_PREVIOUS_SECRETS: one })).toContain('expected only one');
});

describe('traces and metrics', () => {
  const telemetryOf = (env: Record<string, string>) => readConfig(env).telemetry;
  const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318/' };

  test('are sent to the path of the endpoint, as tasks-api', () => {
    expect(telemetryOf(endpoint)).toEqual({
      tracesUrl: 'http://collector:4318/v1/traces',
      metrics: { url: 'http://collector:4318/v1/metrics', everyMs: 60_000 },
      protocol: 'http/protobuf',
      headers: {},
      resource: { 'service.name': 'tasks-api' },
    });
  });

  test('take URL, headers and attributes from their variables', () => {
    const env = {
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'https://vendor.example/otlp',
      OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: 'https://vendor.example/m',
      OTEL_METRIC_EXPORT_INTERVAL: '15000',
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      OTEL_EXPORTER_OTLP_HEADERS: 'api-key=a%20b=c, x-team=ops',
      OTEL_RESOURCE_ATTRIBUTES: 'service.name=ignored,deployment.environment.name=staging',
      OTEL_SERVICE_NAME: 'board',
    };
    expect(telemetryOf({ ...endpoint, ...env })).toEqual({
      tracesUrl: 'https://vendor.example/otlp',
      metrics: { url: 'https://vendor.example/m', everyMs: 15_000 },
      protocol: 'http/json',
      headers: { 'api-key': 'a b=c', 'x-team': 'ops' },
      resource: { 'service.name': 'board', 'deployment.environment.name': 'staging' },
    });
  });

  test('are on by the name of their exporter alone, each for itself', () => {
    const tracesUrl = 'http://localhost:4318/v1/traces';
    expect(telemetryOf({ OTEL_TRACES_EXPORTER: 'otlp' })).toMatchObject({ tracesUrl, metrics: undefined });
    const metrics = { url: 'http://localhost:4318/v1/metrics' };
    expect(telemetryOf({ OTEL_METRICS_EXPORTER: 'otlp' })).toMatchObject({ tracesUrl: undefined, metrics });
    const url = { OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: 'http://collector/m' };
    expect(telemetryOf(url)).toMatchObject({ tracesUrl: undefined, metrics: { url: 'http://collector/m' } });
  });

  test('are off by a variable of each, and by one for both', () => {
    expect(telemetryOf({ ...endpoint, OTEL_TRACES_EXPORTER: 'none' })?.tracesUrl).toBeUndefined();
    expect(telemetryOf({ ...endpoint, OTEL_METRICS_EXPORTER: 'none' })?.metrics).toBeUndefined();
    expect(telemetryOf({ ...endpoint, OTEL_METRICS_EXPORTER: 'none' })?.tracesUrl).toBeDefined();
    const neither = { OTEL_TRACES_EXPORTER: 'none', OTEL_METRICS_EXPORTER: 'none' };
    expect(telemetryOf({ ...endpoint, ...neither })).toBeUndefined();
    expect(telemetryOf({ ...endpoint, OTEL_SDK_DISABLED: 'true' })).toBeUndefined();
  });

  test.each<[string, Record<string, string>]>([
    ['OTEL_SDK_DISABLED', { ...endpoint, OTEL_SDK_DISABLED: 'true', OTEL_TRACES_EXPORTER: 'console' }],
    ['their exporters', { ...endpoint, OTEL_TRACES_EXPORTER: 'none', OTEL_METRICS_EXPORTER: 'none' }],
    ['no endpoint', {}],
  ])('that are off by %s leave what a platform sets for other programs unchecked', (_, off) => {
    const others = {
      OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
      OTEL_EXPORTER_OTLP_HEADERS: 'secret',
      OTEL_TRACES_SAMPLER: 'xray',
      OTEL_TRACES_SAMPLER_ARG: 'endpoint=http://localhost:2000',
      OTEL_RESOURCE_ATTRIBUTES: 'team',
    };
    expect(telemetryOf({ ...others, ...off })).toBeUndefined();
  });

  test.each([
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'collector:4318', 'expected a URL like http://host:4318'],
    ['OTEL_EXPORTER_OTLP_PROTOCOL', 'grpc', 'expected http/protobuf or http/json'],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'secret', 'expected name=value,name=value,…'],
    ['OTEL_TRACES_EXPORTER', 'zipkin', 'expected otlp or none'],
    ['OTEL_METRICS_EXPORTER', 'prometheus', 'expected otlp or none'],
    ['OTEL_METRIC_EXPORT_INTERVAL', '1', 'expected milliseconds, at least 100'],
    ['OTEL_TRACES_SAMPLER', 'some', 'expected one of always_on, always_off'],
    ['OTEL_TRACES_SAMPLER_ARG', '2', 'expected a share, 0 to 1'],
    ['OTEL_SDK_DISABLED', 'yes', 'expected true or false'],
  ])('%s=%s is refused with what was expected', (name, value, expected) => {
    expect(faults({ ...endpoint, [name]: value })).toContain(`${name}: ${expected}`);
  });
});
