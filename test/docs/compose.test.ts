/** docker-compose.yml, as far as it can be checked without Docker. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { parseConnectionUrl } from '../../src/engine/postgres/index.js';
import { readConfig, variables } from '../../src/platform/config.js';
import { withSecrets } from '../../src/platform/database-passwords.js';
import { primaryLimits } from '../../src/workers.js';
import { certificates } from '../support/certificates.js';

interface Service {
  readonly image: string;
  readonly stop_grace_period?: string;
  readonly environment?: Readonly<Record<string, string | number>>;
}

const text = await readFile(fileURLToPath(new URL('../../docker-compose.yml', import.meta.url)), 'utf8');
const { services } = parse(text, { merge: true }) as { services: Record<'api' | 'migrate' | 'postgres', Service> };

/** What a service gets, as Compose interpolates `${NAME:-default}` and, in that, `${NAME:+text}`. */
function environmentOf(service: Service, shell: Readonly<Record<string, string>>): Record<string, string> {
  const interpolated = (value: string) =>
    value
      .replaceAll(/\$\{(\w+):\+([^}]*)\}/g, (_, name: string, text: string) => (shell[name] ? text : ''))
      .replaceAll(/\$\{(\w+):-([^}]*)\}/g, (_, name: string, otherwise: string) => shell[name] || otherwise);
  return Object.fromEntries(
    Object.entries(service.environment ?? {}).map(([name, value]) => [name, interpolated(String(value))]),
  );
}

/** Set by the image, or by what the file starts. */
const FIXED = ['NODE_ENV', 'HOST', 'PORT', 'DATABASE_URL', 'DATABASE_PASSWORD', 'REDIS_URL'];
/** A server in production does not migrate, and needs no password of the role that owns the tables. */
const OF_MIGRATE = ['MIGRATION_DATABASE_URL', 'MIGRATION_DATABASE_PASSWORD'];

test('every variable of the server is passed on', () => {
  const names = Object.keys(variables.shape).filter((name) => !FIXED.includes(name));
  const shell = Object.fromEntries(names.map((name) => [name, `of ${name}`]));
  const ofMigrate = Object.entries(environmentOf(services.migrate, shell)).filter(([name]) =>
    OF_MIGRATE.includes(name),
  );
  const given = { ...environmentOf(services.api, shell), ...Object.fromEntries(ofMigrate) };
  expect(Object.fromEntries(names.map((name) => [name, given[name]]))).toEqual(
    Object.fromEntries(names.map((name) => [name, `of ${name}`])),
  );
});

test.each([
  ['a secret', { JWT_SECRET: 'x'.repeat(32) }, { kind: 'secret' }],
  ['a key set', { JWKS_URL: 'https://issuer.example/keys' }, { kind: 'jwks' }],
])('with %s and nothing else, the server accepts what it is given', (_, shell, tokens) => {
  const config = readConfig({ NODE_ENV: 'production', ...environmentOf(services.api, shell) });
  expect(config).toMatchObject({
    tokens,
    databaseUrl: 'postgres://tasks@postgres:5432/tasks?password=tasks',
    redis: { url: 'redis://redis:6379' },
    host: '0.0.0.0',
    redisGroup: 'tasks',
  });
  expect(withSecrets(environmentOf(services.migrate, {})).given['DATABASE_URL']).toBe(config.databaseUrl);
});

test.each([
  ['Sentinels', { REDIS_SENTINELS: 's:26379' }],
  ['a Cluster', { REDIS_CLUSTER_NODES: 'a:7000' }],
])('with the address and the CA of %s, the server speaks TLS to them', async (_, shell) => {
  const dir = await mkdtemp(join(tmpdir(), 'tasks-compose-'));
  const { ca } = await certificates(dir, 'DNS:cache');
  const env = environmentOf(services.api, { JWT_SECRET: 'x'.repeat(32), REDIS_TLS_CA: ca, ...shell });
  const tls = { ca: await readFile(ca, 'utf8') };
  expect(readConfig({ NODE_ENV: 'production', ...env }).redis).toMatchObject({ access: { tls } });
  await rm(dir, { recursive: true });
});

test('where Sentinels speak TLS without a CA, the address that Compose names by itself takes TLS from no primary', () => {
  const sentinels = { REDIS_SENTINELS: 's:26379', REDIS_SENTINEL_TLS: 'on', REDIS_TLS_SERVERNAME: 'cache' };
  const env = environmentOf(services.api, { JWT_SECRET: 'x'.repeat(32), ...sentinels });
  expect(() => readConfig({ NODE_ENV: 'production', ...env })).toThrow(
    'REDIS_TLS_SERVERNAME: expected REDIS_URL to begin with rediss://, or REDIS_SENTINEL_TLS=on and REDIS_TLS_CA',
  );
});

test('the password of Postgres may have any characters', () => {
  const POSTGRES_PASSWORD = 'p@ss/w#o:r?d%20&=+ \u00e4';
  const shell = { POSTGRES_PASSWORD, JWT_SECRET: 'x'.repeat(32) };
  const { databaseUrl } = readConfig({ NODE_ENV: 'production', ...environmentOf(services.api, shell) });
  const migrated = withSecrets(environmentOf(services.migrate, shell)).given['DATABASE_URL'];
  for (const url of [databaseUrl, migrated]) {
    expect(parseConnectionUrl(url as string)).toMatchObject({
      user: 'tasks',
      password: POSTGRES_PASSWORD,
      host: 'postgres',
      database: 'tasks',
    });
  }
  expect(environmentOf(services.postgres, shell)['POSTGRES_PASSWORD']).toBe(POSTGRES_PASSWORD);
});

test('the server, with however many workers, has ended or killed them before Compose kills it', () => {
  const shell = { JWT_SECRET: 'x'.repeat(32) };
  const { shutdown } = readConfig({ NODE_ENV: 'production', ...environmentOf(services.api, shell) });
  const { delayMs, timeoutMs } = primaryLimits(shutdown);
  const [, seconds] = /^(\d+)s$/.exec(services.api.stop_grace_period ?? '') ?? [];
  expect(Number(seconds) * 1000).toBeGreaterThan(delayMs + timeoutMs);
});

test('without either, the server says which variables it needs', () => {
  expect(() => readConfig({ NODE_ENV: 'production', ...environmentOf(services.api, {}) })).toThrow(
    'JWT_SECRET or JWKS_URL: required in production',
  );
});
