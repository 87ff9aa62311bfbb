/** The profile `observability` of docker-compose.yml, as far as it can be checked without Docker. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { ROOT } from '../docs/markdown.js';

interface Service {
  readonly profiles?: readonly string[];
  readonly environment?: Readonly<Record<string, string | number>>;
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
}

const read = (path: string) => parse(readFileSync(join(ROOT, path), 'utf8'), { merge: true });
const services: Readonly<Record<string, Service>> = read('docker-compose.yml').services;
const profiled = Object.entries(services).filter(([, { profiles }]) => profiles !== undefined);

test('a plain start of Docker Compose leaves out Prometheus, Grafana and Jaeger, and nothing else', () => {
  expect(profiled.map(([name, { profiles }]) => [name, profiles])).toEqual([
    ['prometheus', ['observability']],
    ['grafana', ['observability']],
    ['jaeger', ['observability']],
  ]);
});

test('they mount what the repository has, and are reached from this machine only', () => {
  for (const [, { volumes = [], ports = [] }] of profiled) {
    for (const volume of volumes) {
      const [source = '', , mode] = volume.split(':');
      expect([source, existsSync(join(ROOT, source)), mode]).toEqual([source, true, 'ro']);
    }
    for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:(\d+):\1$/);
  }
});

test('Prometheus reads the port on which the server shows its metrics, under the name that the alerts expect', () => {
  const { scrape_configs: scraped } = read('ops/prometheus/prometheus.yml');
  const [, port] = /^\$\{METRICS_PORT:-(\d+)\}$/.exec(String(services['api']?.environment?.['METRICS_PORT'])) ?? [];
  expect(scraped).toEqual([{ job_name: 'tasks-api', static_configs: [{ targets: [`api:${port}`] }] }]);
});

test('the sources of Grafana are services of the file', () => {
  const { datasources } = read('ops/grafana/provisioning/datasources/datasources.yml');
  const hosts = datasources.map(({ url }: { url: string }) => new URL(url).hostname);
  expect(hosts).toEqual(['prometheus', 'jaeger']);
  expect(Object.keys(services)).toEqual(expect.arrayContaining(hosts));
});

test('Grafana finds the dashboard where its provider looks for it', () => {
  const { providers } = read('ops/grafana/provisioning/dashboards/dashboards.yml');
  const { volumes = [], environment } = services['grafana'] ?? {};
  const targets = volumes.map((volume) => volume.split(':')[1]);
  expect(targets).toContain(`${providers[0].options.path}/dashboard.json`);
  expect(targets).toContain(environment?.['GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH']);
});
