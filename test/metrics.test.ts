/** The metrics of server and engine are named as Prometheus wants it, and each has its samples from the start. */
import { describe, expect, test, vi } from 'vitest';
import { type Cache, Durations } from '../src/engine/cache/index.js';
import { ERROR_CODES } from '../src/graphql/errors.js';
import { idleMetrics, ownFamilies } from './support/metrics.js';
import { checkMetrics, needsPromtool, promtoolPath } from './support/promtool.js';

const POLICIES = ['Task', 'Project.stats'];
const KINDS = ['read', 'fence'];
const trips = new Map(KINDS.map((kind) => [kind, new Durations()]));

/** As of a server with Redis that has not been asked for anything. */
function untouched(declared = POLICIES) {
  const cache = {
    state: { loads: { running: 0, waiting: 0 } },
    store: { outageMs: () => 0, connections: { up: true, reconnects: new Map([['closed', 0]]), trips } },
    declared: new Set(declared),
  } as unknown as Cache;
  return idleMetrics({ cache: () => cache, errorCodes: ERROR_CODES });
}

const metrics = untouched();
const text = await metrics.text();
const families = ownFamilies(text);

const UNITS = ['seconds', 'bytes'];
const ABBREVIATED = /_(ms|s|secs?|msecs?|mb|kb|pct|percent|num|avg)(_|$)/;

describe.for(families.map((family) => ({ ...family })))('$name', ({ name, help, type, samples }) => {
  test('has a help text of one sentence', () => {
    expect(help).toMatch(/^[A-Z].{10,}\.$/);
  });

  test('is named by the conventions: snake case, base units as suffix, _total for counters alone, no type', () => {
    expect(name).toMatch(/^[a-z]+(_[a-z]+)+$/);
    expect(name).not.toMatch(ABBREVIATED);
    expect(name).not.toMatch(/counter|gauge|histogram|summary|_(count|sum|bucket)$/);
    expect(name.endsWith('_total')).toBe(type === 'counter');
    if (type === 'histogram') expect(name).toMatch(/_duration_seconds$/);
    const [unit] = UNITS.filter((one) => name.split('_').includes(one));
    if (unit !== undefined) expect(name.replace(/_total$/, '')).toMatch(new RegExp(`_${unit}$`));
  });

  test('has labels in snake case', () => {
    for (const sample of samples.keys()) {
      for (const [, label] of sample.matchAll(/[{,](\w+)="/g)) expect(label).toMatch(/^[a-z]+(_[a-z]+)*$/);
    }
  });

  // Clients choose the names of operations.
  test.skipIf(name === 'tasks_request_duration_seconds')('has its samples from the start', () => {
    expect(samples.size).toBeGreaterThan(0);
    if (type === 'gauge') return;
    expect(new Set(samples.values())).toEqual(new Set([0]));
  });
});

test('every outcome of every policy that is known has a sample of 0, and so have violations and loads', () => {
  const named = (family: string) => [...(families.find(({ name }) => name === family)?.samples.keys() ?? [])];
  for (const policy of POLICIES) {
    expect(named('cache_calls_total').filter((sample) => sample.includes(`name="${policy}"`))).toHaveLength(7);
    expect(named('cache_violations_total')).toContain(`cache_violations_total{name="${policy}"}`);
    expect(named('cache_load_duration_seconds')).toContain(`cache_load_duration_seconds_count{name="${policy}"}`);
  }
});

test('a first violation is an increase of a sample that was there before', async () => {
  const own = untouched();
  const of = async () => {
    const shown = ownFamilies(await own.text()).find(({ name }) => name === 'cache_violations_total');
    return Object.fromEntries(shown?.samples ?? []);
  };
  const [task, stats] = POLICIES.map((name) => `cache_violations_total{name="${name}"}`) as [string, string];
  expect(await of()).toEqual({ [task]: 0, [stats]: 0 });
  own.events.checked?.('violation', { name: 'Task', key: 'any' as never });
  expect(await of()).toEqual({ [task]: 1, [stats]: 0 });
});

test('a load is counted in the buckets that are as long as it was, or longer', async () => {
  const own = untouched();
  for (const ms of [2, 40, 40, 20_000]) own.events.loaded?.({ name: 'Task', ms });
  const shown = ownFamilies(await own.text()).find(({ name }) => name === 'cache_load_duration_seconds');
  const of = (what: string, le = '') => shown?.samples.get(`cache_load_duration_seconds_${what}{${le}name="Task"}`);
  const bucket = (le: string) => of('bucket', `le="${le}",`);
  expect([bucket('0.001'), bucket('0.0025'), bucket('0.025'), bucket('0.05')]).toEqual([0, 1, 1, 3]);
  expect([bucket('10'), bucket('+Inf'), of('count')]).toEqual([3, 4, 4]);
  expect(of('sum')).toBeCloseTo(20.082);
});

test('names that an application makes up get samples up to a bound, and are counted together beyond it', async () => {
  const own = untouched([]);
  for (let n = 0; n < 3000; n++) {
    own.events.outcome?.({ name: `made.up.${n}`, kind: 'miss' } as never);
    own.events.loaded?.({ name: `made.up.${n}`, ms: 1 });
  }
  const shown = ownFamilies(await own.text());
  const namesOf = (family: string) => {
    const samples = [...(shown.find(({ name }) => name === family)?.samples.keys() ?? [])];
    return new Set(samples.map((sample) => /name="([^"]*)"/.exec(sample)?.[1]));
  };
  for (const family of ['cache_calls_total', 'cache_load_duration_seconds', 'cache_violations_total']) {
    expect([family, namesOf(family).size <= 1001, namesOf(family).has('(other)')]).toEqual([family, true, true]);
  }
});

describe('the size of the outbox', () => {
  const shown = async (own: ReturnType<typeof idleMetrics>) =>
    ownFamilies(await own.text())
      .filter(({ name }) => name.startsWith('cache_outbox_'))
      .flatMap(({ samples }) => [...samples]);

  test('is measured once, however often and by however many it is read in half a minute', async () => {
    const outbox = vi.fn(async () => ({ rows: 7, bytes: 8192 }));
    const own = idleMetrics({ outbox });
    for (let time = 0; time < 3; time++) {
      const both = await Promise.all([shown(own), own.samples()]);
      expect(both[0]).toEqual([
        ['cache_outbox_rows', 7],
        ['cache_outbox_bytes', 8192],
      ]);
    }
    expect(outbox).toHaveBeenCalledTimes(1);
  });

  test.each([
    ['fails', () => Promise.reject(new Error('no Postgres'))],
    ['does not answer', () => new Promise<never>(() => {})],
  ])('has no sample while Postgres %s, and keeps no other metric waiting', async (_, outbox) => {
    const own = idleMetrics({ outbox });
    expect(await shown(own)).toEqual([]);
    expect(await own.text()).toContain('cache_near_bytes');
  });
});

test.skipIf(promtoolPath === undefined)(`promtool finds nothing wrong with them${needsPromtool}`, () => {
  const own = text.split(/\n(?=# HELP )/).filter((block) => /^# HELP (cache|graphql|tasks)_/.test(block));
  expect(own).toHaveLength(families.length);
  expect(checkMetrics(`${own.join('\n').trim()}\n`)).toBe('');
  expect(checkMetrics('# HELP tasks_wrong_ms Wrong.\n# TYPE tasks_wrong_ms counter\ntasks_wrong_ms 1\n')).toContain(
    'tasks_wrong_ms',
  );
});
