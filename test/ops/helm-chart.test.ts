/** The Helm chart: what it renders fits together, and the server accepts it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { parse, parseAllDocuments, stringify } from 'yaml';
import { readConfig, variables } from '../../src/platform/config.js';
import { SECRETS } from '../../src/platform/secret-files.js';
import { primaryLimits } from '../../src/workers.js';
import { ROOT } from '../docs/markdown.js';
import { helmPath, needsHelm, runHelm } from '../support/helm.js';

const CHART = join(ROOT, 'ops/helm/tasks-api');
const SECRET_DIR = '/run/secrets/tasks-api';

/** What the image or the chart sets. */
const FIXED = ['NODE_ENV', 'HOST', 'PORT', 'METRICS_HOST', 'METRICS_PORT'];

const read = (name: string) => readFileSync(join(CHART, name), 'utf8');

// Manifests of many shapes; what a test expects of them it asserts.
// biome-ignore lint/suspicious/noExplicitAny: see above
type Manifest = any;

const dir = mkdtempSync(join(tmpdir(), 'chart-'));
afterAll(() => rmSync(dir, { recursive: true }));

function helm(command: readonly string[], values: object): string {
  const file = join(dir, 'values.yaml');
  writeFileSync(file, stringify(values));
  return runHelm([...command, CHART, '--values', file]);
}

function render(values: object = {}): Record<string, Manifest> {
  const text = helm(['template', 'staging'], { secret: { name: 'tasks-secrets' }, ...values });
  const manifests = parseAllDocuments(text).map((document) => document.toJS());
  return Object.fromEntries(manifests.map((manifest) => [`${manifest.kind} ${manifest.metadata.name}`, manifest]));
}

const ALL = {
  autoscaling: { enabled: true },
  serviceMonitor: { enabled: true },
  networkPolicy: { enabled: true, metricsFrom: [{ namespaceSelector: {} }] },
};

const podOf = (manifest: Manifest) => manifest.spec.template.spec;
const deployment = (values?: object): Manifest => render(values)['Deployment staging-tasks-api'];

const mountedKeys = (manifest: Manifest): string[] =>
  podOf(manifest).volumes[0].secret.items.map(({ key }: { key: string }) => key);

/** What the process finds in its environment. @param secrets by key of the Secret */
function environmentOf(manifest: Manifest, secrets: Record<string, string>): Record<string, string> {
  for (const [key, value] of Object.entries(secrets)) writeFileSync(join(dir, key), value);
  const { env } = podOf(manifest).containers[0] as { env: { name: string; value: string }[] };
  return Object.fromEntries(env.map(({ name, value }) => [name, value.replace(SECRET_DIR, dir)]));
}

test('the schema of the values names every variable of the server, and no other: npm run chart writes it', () => {
  const { config, secret, migration } = JSON.parse(read('values.schema.json')).properties;
  const settable = Object.keys(variables.shape).filter((name) => !FIXED.includes(name));
  const plain: string[] = config.propertyNames.enum;
  const ofServers: string[] = secret.properties.keys.propertyNames.enum;
  const ofMigration: string[] = migration.properties.secretKeys.propertyNames.enum;
  expect([...new Set([...plain, ...ofServers, ...ofMigration])].toSorted()).toEqual(settable.toSorted());
  expect([...new Set([...ofServers, ...ofMigration])].toSorted()).toEqual([...SECRETS].toSorted());
});

test('the templates read every value of values.yaml, and no other', () => {
  const templates = [
    '_helpers.tpl',
    ...['deployment', 'hpa', 'migration', 'networkpolicy', 'pdb', 'service']
      .concat('servicemonitor')
      .map((name) => `${name}.yaml`),
  ].map((name) => read(`templates/${name}`));
  const used = new Set(templates.flatMap((text) => [...text.matchAll(/\.Values\.([\w.]+)/g)].map(([, path]) => path)));
  const values: Record<string, unknown> = parse(read('values.yaml'));
  const inside = (name: string) => [...used].some((path) => path?.startsWith(`${name}.`));
  const leaves = Object.entries(values).flatMap(([name, value]) =>
    inside(name) ? Object.keys(value as object).map((key) => `${name}.${key}`) : [name],
  );
  expect([...used].toSorted()).toEqual(leaves.toSorted());
});

test('the chart installs the version of this build', () => {
  const { appVersion } = parse(read('Chart.yaml'));
  expect(appVersion).toBe(JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).version);
});

describe.skipIf(helmPath === undefined)(`helm${needsHelm}`, () => {
  test('finds no fault in the chart', () => {
    const text = helm(['lint', '--strict'], { secret: { name: 'tasks-secrets' }, ...ALL });
    expect(text).toContain('1 chart(s) linted, 0 chart(s) failed');
  });

  test.each([
    ['no Secret', { secret: { name: '' } }, 'secret.name: expected the name of an existing Secret'],
    ['a variable that the server does not have', { config: { NEAR_CACHE_BM: 64 } }, 'NEAR_CACHE_BM'],
    ['a secret among the plain variables', { config: { JWT_SECRET: 'x' } }, 'JWT_SECRET'],
    ['a value that the chart does not have', { replica: 3 }, 'replica'],
  ])('refuses %s', (_, values, named) => {
    expect(() => render(values)).toThrow(named);
  });

  test('renders an environment that the server accepts, also where YAML reads off as false', () => {
    const config = { COMPRESSION: false, RATE_LIMIT_POINTS: 10_000_000, LOG_REQUESTS: 0.01, REDIS_GROUP: 'staging' };
    const env = environmentOf(deployment({ config }), {
      'database-url': 'postgres://app@db/tasks\n',
      'redis-url': 'rediss://cache:6379',
      'jwt-secret': 'x'.repeat(32),
    });
    expect(readConfig({ NODE_ENV: 'production', ...env })).toMatchObject({
      host: '0.0.0.0',
      port: 4000,
      databaseUrl: 'postgres://app@db/tasks',
      redis: { url: 'rediss://cache:6379' },
      tokens: { kind: 'secret', secret: 'x'.repeat(32) },
      compression: false,
      loggedRequests: 0.01,
      redisGroup: 'staging',
      access: { rateLimit: { points: 10_000_000 } },
    });
  });

  test('renders one in which tokens come from an identity provider', () => {
    const config = { JWKS_URL: 'https://issuer.example/keys' };
    const env = environmentOf(deployment({ config, secret: { name: 's', keys: { JWT_SECRET: null } } }), {
      'database-url': 'postgres://app@db/tasks',
      'redis-url': 'redis://cache:6379',
    });
    expect(readConfig({ NODE_ENV: 'production', ...env }).tokens).toEqual({
      kind: 'jwks',
      url: 'https://issuer.example/keys',
    });
  });

  test.each([
    [undefined, undefined],
    [0, 1000],
    [30_000, 120_000],
  ])('gives a server longer than SHUTDOWN_DELAY_MS %s and SHUTDOWN_TIMEOUT_MS %s together', (delay, timeout) => {
    const config = {
      ...(delay !== undefined && { SHUTDOWN_DELAY_MS: delay }),
      ...(timeout !== undefined && { SHUTDOWN_TIMEOUT_MS: timeout }),
    };
    const manifest = deployment({ config });
    const env = environmentOf(manifest, {
      'database-url': 'postgres://app@db/tasks',
      'redis-url': 'redis://cache:6379',
      'jwt-secret': 'x'.repeat(32),
    });
    const { shutdown } = readConfig({ NODE_ENV: 'production', ...env });
    const graceMs = podOf(manifest).terminationGracePeriodSeconds * 1000;
    const { delayMs, timeoutMs } = primaryLimits(shutdown);
    expect(graceMs).toBeGreaterThan(delayMs + timeoutMs); // also several workers have ended, or are killed, by then
    expect(graceMs).toBeLessThanOrEqual(shutdown.delayMs + shutdown.timeoutMs + 11_000);
  });

  test('selects the Pods of the Deployment, and ports that they have, in every other manifest', () => {
    const found = render(ALL);
    const pods = found['Deployment staging-tasks-api'].spec.template;
    const ports = pods.spec.containers[0].ports.map(({ name }: { name: string }) => name);
    const services = ['Service staging-tasks-api', 'Service staging-tasks-api-metrics'].map((name) => found[name]);
    const selectors = [
      found['Deployment staging-tasks-api'].spec.selector.matchLabels,
      found['PodDisruptionBudget staging-tasks-api'].spec.selector.matchLabels,
      found['NetworkPolicy staging-tasks-api'].spec.podSelector.matchLabels,
      ...pods.spec.topologySpreadConstraints.map(({ labelSelector }: Manifest) => labelSelector.matchLabels),
      ...services.map(({ spec }) => spec.selector),
    ];
    for (const selector of selectors) expect(pods.metadata.labels).toMatchObject(selector);
    const used = [
      ...services.flatMap(({ spec }) => spec.ports.map(({ targetPort }: Manifest) => targetPort)),
      ...found['NetworkPolicy staging-tasks-api'].spec.ingress.map(({ ports: [{ port }] }: Manifest) => port),
    ];
    expect(used).toEqual(['http', 'metrics', 'http', 'metrics']);
    expect(ports).toEqual(['http', 'metrics']);
    const monitor = found['ServiceMonitor staging-tasks-api'].spec;
    expect(services[1].metadata.labels).toMatchObject(monitor.selector.matchLabels);
    expect(services[0].metadata.labels).not.toMatchObject(monitor.selector.matchLabels);
    expect(monitor.endpoints[0].port).toBe(services[1].spec.ports[0].name);
    expect(found['HorizontalPodAutoscaler staging-tasks-api'].spec.scaleTargetRef.name).toBe(
      found['Deployment staging-tasks-api'].metadata.name,
    );
    expect(found['Deployment staging-tasks-api'].spec).not.toHaveProperty('replicas');
  });

  test('migrates before an install and an upgrade, with a role of its own if one is named, which servers do not see', () => {
    const migration = { secretKeys: { DATABASE_URL: 'owner-url' } };
    const found = render({ migration });
    const job = found['Job staging-tasks-api-migration'];
    expect(job.metadata.annotations['helm.sh/hook']).toBe('pre-install,pre-upgrade');
    expect(podOf(job).containers[0].command).toEqual(['tasks', 'migrate']);
    expect(environmentOf(job, {})).toEqual({ DATABASE_URL_FILE: join(dir, 'owner-url') });
    expect(mountedKeys(job)).toEqual(['owner-url']);
    const servers = found['Deployment staging-tasks-api'];
    expect(mountedKeys(servers)).toEqual(['database-url', 'jwt-secret', 'redis-url']);
    expect(mountedKeys(render()['Job staging-tasks-api-migration'])).toEqual(['database-url']);
  });

  test('runs without rights: as node, on a root that is read-only', () => {
    const found = render();
    for (const name of ['Deployment staging-tasks-api', 'Job staging-tasks-api-migration']) {
      const pod = podOf(found[name]);
      expect(pod.automountServiceAccountToken).toBe(false);
      expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: 1000 });
      expect(pod.containers[0].securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
    }
  });
});
