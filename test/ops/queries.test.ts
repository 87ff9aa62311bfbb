/** Dashboard and alert rules name nothing but what /metrics of a real server has. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { dataOf, headersFor } from '../support/app.js';
import { fixture } from '../support/fixture.js';
import { type LiveApp, liveApp } from '../support/live.js';
import { namesIn, panels, queries } from './queries.js';

/** What Prometheus itself adds. */
const OF_PROMETHEUS = ['instance', 'job'];

interface Family {
  /** Values by label. */
  readonly labels: Map<string, Set<string>>;
}

let app: LiveApp;
let samples: Map<string, Family>;

beforeAll(async () => {
  app = await liveApp({ nearCacheBytes: 16 * 1024 * 1024 });
  const f = await fixture(app, 3);
  for (let n = 0; n < 4; n++) {
    const headers = { ...(await headersFor({ as: f.ada.id })), 'content-type': 'application/json' };
    for (const extra of [0, n]) {
      const body = JSON.stringify({ query: 'query Board { projects { nodes { key } } }', extra });
      await (await fetch(app.url, { method: 'POST', headers, body })).text();
    }
  }
  const complete = 'mutation Done($id: ID!) { completeTask(input: { id: $id }) { task { status } } }';
  dataOf(await app.ask(complete, { as: f.ada.id, variables: { id: f.opsTasks[0]?.id } }));
  samples = readSamples((await app.server.inject('/metrics')).body);
});
afterAll(() => app?.close());

function readSamples(text: string): Map<string, Family> {
  const found = new Map<string, Family>([['up', { labels: new Map() }]]);
  for (const [, name = '', labels = ''] of text.matchAll(/^([a-z]\w*)(?:\{(.*)\})? [-+\d.eNI]/gm)) {
    const family = found.get(name) ?? { labels: new Map<string, Set<string>>() };
    found.set(name, family);
    for (const [, label = '', value = ''] of labels.matchAll(/(\w+)="([^"]*)"/g)) {
      family.labels.set(label, (family.labels.get(label) ?? new Set()).add(value));
    }
  }
  return found;
}

test('every query of the dashboard and of the alerts names metrics that the server has', () => {
  const named = queries().flatMap(({ name, expr }) => namesIn(expr).selectors.map(({ metric }) => ({ name, metric })));
  expect(named.length).toBeGreaterThan(50);
  expect(named.filter(({ metric }) => !samples.has(metric))).toEqual([]);
});

test('every label that a query groups by, matches or shows is one of its metrics', () => {
  const unknown = queries().flatMap(({ name, expr, shown }) => {
    const { selectors, grouping } = namesIn(expr);
    const has = (metric: string, label: string) =>
      OF_PROMETHEUS.includes(label) || samples.get(metric)?.labels.has(label) === true;
    return [
      ...[...grouping, ...shown].filter((label) => !selectors.some(({ metric }) => has(metric, label))),
      ...selectors.flatMap(({ metric, matchers }) =>
        matchers.filter(({ label }) => !has(metric, label)).map(({ label }) => label),
      ),
    ].map((label) => `${name}: ${label}`);
  });
  expect(unknown).toEqual([]);
});

test('every value that a query looks for is one that its metric can have', () => {
  const unknown = queries().flatMap(({ name, expr }) =>
    namesIn(expr).selectors.flatMap(({ metric, matchers }) =>
      matchers
        .filter(({ label, op }) => !OF_PROMETHEUS.includes(label) && op.startsWith('='))
        .flatMap(({ label, value }) => value.split('|').map((one) => ({ name, metric, label, value: one })))
        .filter(({ label, value }) => samples.get(metric)?.labels.get(label)?.has(value) !== true),
    ),
  );
  expect(unknown).toEqual([]);
});

test('what a query groups by reaches its legend', () => {
  const lost = queries().filter(({ expr, shown }) => {
    const { grouping } = namesIn(expr);
    const aggregates = /^(topk\(\d+, )?(sum|count|histogram_quantile)\b/.test(expr);
    return aggregates && shown.some((label) => !grouping.includes(label));
  });
  expect(lost).toEqual([]);
});

test('the panels of the dashboard have ids of their own and do not overlap', () => {
  const all = panels();
  expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
  const overlaps = all.flatMap(({ title, gridPos: a }, i) =>
    all
      .slice(i + 1)
      .filter(({ gridPos: b }) => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h)
      .map((other) => [title, other.title]),
  );
  expect(overlaps).toEqual([]);
  expect(all.filter(({ gridPos: { x, w } }) => x + w > 24)).toEqual([]);
});
