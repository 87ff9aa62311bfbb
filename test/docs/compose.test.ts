/** docker-compose.yml, as far as it can be checked without Docker. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { readConfig, variables } from '../../src/platform/config.js';
import { ROOT } from './markdown.js';

interface Service {
  readonly image: string;
  readonly environment?: Readonly<Record<string, string | number>>;
  readonly profiles?: readonly string[];
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
}

type Services = Readonly<Record<'api' | 'migrate', Service>> & Readonly<Record<string, Service>>;

const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const { services } = parse(read('docker-compose.yml'), { merge: true }) as { services: Services };

/** What a service gets, as Compose interpolates `${NAME:-default}`. */
function environmentOf(service: Service, shell: Readonly<Record<string, string>>): Record<string, string> {
  const interpolated = (value: string) =>
    value.replaceAll(/\$\{(\w+):-([^}]*)\}/g, (_, name: string, otherwise: string) => shell[name] || otherwise);
  return Object.fromEntries(
    Object.entries(service.environment ?? {}).map(([name, value]) => [name, interpolated(String(value))]),
  );
}

/** Set by the image, or by what the file starts. */
const FIXED = ['NODE_ENV', 'HOST', 'PORT', 'DATABASE_URL', 'REDIS_URL'];

test('every variable of the server is passed on', () => {
  const names = Object.keys(variables.shape).filter((name) => !FIXED.includes(name));
  const given = environmentOf(services.api, Object.fromEntries(names.map((name) => [name, `of ${name}`])));
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
    databaseUrl: 'postgres://tasks:tasks@postgres:5432/tasks',
    redis: { url: 'redis://redis:6379' },
    host: '0.0.0.0',
    redisGroup: 'tasks',
  });
  expect(environmentOf(services.migrate, {})['DATABASE_URL']).toBe(config.databaseUrl);
});

test('without either, the server says which variables it needs', () => {
  expect(() => readConfig({ NODE_ENV: 'production', ...environmentOf(services.api, {}) })).toThrow(
    'JWT_SECRET or JWKS_URL: required in production',
  );
});

describe('the profile observability', () => {
  const profiled = Object.entries(services).filter(([, { profiles }]) => profiles?.includes('observability'));

  test('is all that a plain start leaves out', () => {
    expect(profiled.map(([name]) => name)).toEqual(['prometheus', 'grafana', 'jaeger']);
    expect(Object.values(services).filter(({ profiles }) => profiles !== undefined)).toHaveLength(3);
  });

  test('mounts what the repository has, and is reached from this machine only', () => {
    for (const [, { volumes = [], ports = [] }] of profiled) {
      for (const volume of volumes) {
        const [source = '', , mode] = volume.split(':');
        expect([source, existsSync(join(ROOT, source)), mode]).toEqual([source, true, 'ro']);
      }
      for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:(\d+):\1$/);
    }
  });

  test('has Prometheus read the port on which the server shows its metrics, under the name that the alerts expect', () => {
    const { scrape_configs: scraped } = parse(read('ops/prometheus/prometheus.yml'));
    const port = environmentOf(services.api, {})['METRICS_PORT'];
    expect(scraped).toEqual([{ job_name: 'tasks-api', static_configs: [{ targets: [`api:${port}`] }] }]);
  });

  test('gives Grafana services of the file as its sources', () => {
    const { datasources } = parse(read('ops/grafana/provisioning/datasources/datasources.yml'));
    const hosts = datasources.map(({ url }: { url: string }) => new URL(url).hostname);
    expect(hosts).toEqual(['prometheus', 'jaeger']);
    expect(Object.keys(services)).toEqual(expect.arrayContaining(hosts));
  });

  test('gives Grafana the dashboard where its provider looks for it', () => {
    const { providers } = parse(read('ops/grafana/provisioning/dashboards/dashboards.yml'));
    const targets = (services['grafana']?.volumes ?? []).map((volume) => volume.split(':')[1]);
    expect(targets).toContain(`${providers[0].options.path}/dashboard.json`);
    expect(targets).toContain(services['grafana']?.environment?.['GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH']);
  });
});
