/** The metrics that a collector of OpenTelemetry receives: those of /metrics, by the names of the conventions. */
import { context, propagation, trace } from '@opentelemetry/api';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createLog } from '../../src/platform/log.js';
import { CONVENTIONS, LEFT_OUT } from '../../src/platform/otlp-metrics.js';
import { startTelemetry } from '../../src/platform/telemetry.js';
import { codesIn, readPage, rowsOf } from '../docs/markdown.js';
import { eventually, headersFor } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { type LiveApp, liveApp } from '../support/live.js';
import { type Collector, type ReceivedMetric, startCollector } from '../support/otlp.js';

let collector: Collector;
let app: LiveApp;
let f: Fixture;
let telemetry: Awaited<ReturnType<typeof startTelemetry>>;

beforeAll(async () => {
  collector = await startCollector();
  const metrics = { url: `${collector.endpoint}/v1/metrics`, everyMs: 100 };
  const resource = { 'service.name': 'tasks-api', 'service.instance.id': 'one' };
  const config = { tracesUrl: undefined, metrics, protocol: 'http/json', headers: {}, resource } as const;
  telemetry = await startTelemetry(config, createLog('silent'));
  app = await liveApp();
  telemetry.sendMetrics(app.metrics.samples);
  f = await fixture(app);
});
afterAll(async () => {
  await app?.close();
  await telemetry?.stop();
  await collector?.close();
  for (const api of [trace, context, propagation]) api.disable();
});

async function ask(query: string): Promise<void> {
  const headers = { ...(await headersFor({ as: f.ada.id })), 'content-type': 'application/json' };
  const response = await fetch(app.url, { method: 'POST', headers, body: JSON.stringify({ query }) });
  expect(response.status).toBe(200);
  await response.text();
}

const received = (name: string) => collector.metrics.get(name) as ReceivedMetric;

test('requests, trips to Redis and connections to Postgres have the names and attributes of the conventions', async () => {
  for (let time = 0; time < 3; time++) await ask('query Counted { viewer { handle } }');
  const ofCounted = () =>
    received('http.server.request.duration').points.filter(
      ({ attributes }) => attributes['graphql.operation.name'] === 'Counted',
    );
  await eventually(() => expect(ofCounted().reduce((sum, { value }) => sum + value, 0)).toBe(3));
  const [request] = ofCounted();
  expect(request?.attributes).toEqual({
    'http.route': '/graphql',
    'http.response.status_code': 200,
    'tasks.answered': expect.stringMatching(/^(apollo|known|kept)$/),
    'graphql.operation.name': 'Counted',
  });
  expect(request?.counts).toHaveLength((request?.bounds.length ?? 0) + 1);
  expect(request?.counts.reduce((sum, count) => sum + count, 0)).toBe(request?.value);
  expect(request?.bounds).toEqual([...(request?.bounds ?? [])].sort((a, b) => a - b));
  expect(received('http.server.request.duration')).toMatchObject({
    ...{ kind: 'histogram', unit: 's', resource: { 'service.name': 'tasks-api', 'service.instance.id': 'one' } },
  });
  const connections = received('db.client.connection.count');
  expect(connections).toMatchObject({ kind: 'sum', isMonotonic: false, unit: '{connection}' });
  expect(connections.points.map(({ attributes }) => attributes)).toEqual(
    ['read', 'write'].map((pool) => ({
      'db.system.name': 'postgresql',
      'db.client.connection.pool.name': pool,
      'db.client.connection.state': 'used',
    })),
  );
  expect(received('process.cpu.time').points.map(({ attributes }) => attributes['cpu.mode'])).toEqual([
    'user',
    'system',
  ]);
});

test('every other family of /metrics has its own name, without the suffixes of Prometheus', async () => {
  await ask('query Counted { viewer { handle } }');
  await eventually(() => expect(collector.metrics.size).toBeGreaterThan(0));
  const families = (await app.metrics.samples()).map(({ name }) => name);
  const own = families.filter((name) => !(name in CONVENTIONS) && !LEFT_OUT.has(name));
  expect(own.length).toBeGreaterThan(20);
  for (const name of own) {
    const sent = name
      .replace(/_total$/, '')
      .replace(/_(seconds|bytes)$/, '')
      .replace('_', '.');
    expect([...collector.metrics.keys()], name).toContain(sent);
  }
  expect(received('cache.calls')).toMatchObject({ kind: 'sum', isMonotonic: true, unit: '' });
  expect(received('cache.unleased')).toMatchObject({ kind: 'sum', isMonotonic: true, unit: 's' });
  expect(received('cache.near')).toMatchObject({ kind: 'gauge', unit: 'By' });
  const names = new Set(families.flatMap((name) => CONVENTIONS[name]?.name ?? []));
  expect(collector.metrics.size).toBe(own.length + names.size);
});

test('docs/operations.md lists every family that has another name for a collector', () => {
  const [, section = ''] =
    /\n### Metrics for a collector\n([\s\S]*?)\n### /.exec(readPage('docs/operations.md').text) ?? [];
  const documented = rowsOf(section).flatMap(([name, families]) =>
    codesIn(families).map((family) => [family, codesIn(name)[0]] as const),
  );
  const isFigure = (family: string) => /^nodejs_eventloop_lag_(?!p99)/.test(family);
  const named = Object.entries(CONVENTIONS).filter(([family]) => !isFigure(family));
  expect(Object.fromEntries(documented.slice(1))).toEqual(
    Object.fromEntries(named.map(([family, { name }]) => [family, name])),
  );
});
