/** When workers are replaced, and how their metrics become those of one process. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { GatheredMetrics } from '../src/platform/gathered-metrics.js';
import { WorkerRestarts } from '../src/platform/worker-restarts.js';
import { HOUR, SECOND } from '../src/std/time.js';
import { readPage } from './docs/markdown.js';
import { idleMetrics } from './support/metrics.js';

/** The pauses of workers that die together as soon as they are started, until they are given up. */
function pausesOf(workers: number, serving = 0): (number | undefined)[] {
  const restarts = new WorkerRestarts();
  const pauses: (number | undefined)[] = [];
  let nowMs = 1000;
  for (let round = 0; round < 50; round++) {
    const ends = Array.from({ length: workers }, () => restarts.pauseAfter(SECOND, serving, nowMs));
    expect(new Set(ends).size).toBe(1);
    pauses.push(ends[0]);
    if (ends[0] === undefined) break;
    nowMs += ends[0];
  }
  return pauses;
}

test('a worker that served for a while is replaced at once', () => {
  const restarts = new WorkerRestarts();
  expect(restarts.pauseAfter(HOUR, 0, 0)).toBe(0);
  expect(restarts.pauseAfter(HOUR, 1, 0)).toBe(0);
});

test.each([1, 2, 64])('%s workers that die at once are replaced after pauses to 10 s, and given up after 40 s', (n) => {
  expect(pausesOf(n)).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000, undefined]);
});

test('workers that die at once at different times are not given up before 40 s', () => {
  const restarts = new WorkerRestarts();
  const startMs = 1000;
  let nowMs = startMs;
  while (restarts.pauseAfter(0, 0, nowMs) !== undefined) nowMs += 7;
  expect(nowMs - startMs).toBeGreaterThan(40 * SECOND);
});

test('while another worker serves, none is given up', () => {
  expect(pausesOf(2, 1).at(-1)).toBe(10_000);
});

test('a worker that served for a while ends the growth of pauses', () => {
  const restarts = new WorkerRestarts();
  for (let i = 0; i < 5; i++) restarts.pauseAfter(0, 0, i * HOUR);
  restarts.pauseAfter(HOUR, 0, 5 * HOUR);
  expect(restarts.pauseAfter(0, 0, 5 * HOUR)).toBe(100);
});

/** A process that has counted `n` requests of one second, and has that many entries. */
function samplesOf(n: number) {
  const registers = [new Registry()];
  const [registry] = registers as [Registry];
  new Counter({ name: 'requests_total', help: 'h', labelNames: ['kind'], registers }).inc({ kind: 'a' }, n);
  const durations = new Histogram({ name: 'seconds', help: 'h', buckets: [0.5, 2], registers });
  for (let i = 0; i < n; i++) durations.observe(1);
  new Gauge({ name: 'entries', help: 'h', registers }).set(n);
  new Gauge({ name: 'lost_seconds', help: 'h', registers, aggregator: 'max' }).set(n);
  return registry.getMetricsAsJSON();
}

test('counters, histograms and gauges of processes are summed, and those of which one value counts are not', async () => {
  const gathered = new GatheredMetrics();
  gathered.note(1, await samplesOf(2));
  gathered.note(2, await samplesOf(3));
  const lines = (await gathered.text()).split('\n');
  expect(lines).toEqual(
    expect.arrayContaining([
      'requests_total{kind="a"} 5',
      'seconds_bucket{le="0.5"} 0',
      'seconds_bucket{le="2"} 5',
      'seconds_count 5',
      'entries 5',
      'lost_seconds 3',
    ]),
  );
});

test('what ended processes have counted stays, at each moment, and what they held does not', async () => {
  const gathered = new GatheredMetrics();
  for (let process = 1; process <= 20; process++) {
    gathered.note(process, await samplesOf(1));
    gathered.end(process);
    const lines = (await gathered.text()).split('\n');
    expect(lines).toContain(`requests_total{kind="a"} ${process}`);
    expect(lines).toContain(`seconds_count ${process}`);
    expect(lines.some((line) => line.startsWith('entries '))).toBe(false);
  }
});

test('one worker whose event loop lags is seen beside others that do not', async () => {
  const gathered = new GatheredMetrics();
  const lags = ['_seconds', '_mean_seconds', '_p50_seconds', '_p99_seconds', '_max_seconds'];
  const names = lags.map((lag) => `nodejs_eventloop_lag${lag}`);
  for (const [process, value] of [0.01, 0.9, 0.01].entries()) {
    const samples = await idleMetrics().samples();
    gathered.note(
      process,
      samples.map((sample) =>
        names.includes(String(sample.name)) ? { ...sample, values: [{ labels: {}, value }] } : sample,
      ),
    );
  }
  const lines = (await gathered.text()).split('\n');
  expect(lines).toEqual(expect.arrayContaining(names.map((name) => `${name} 0.9`)));
});

test('docs/operations.md names every gauge of several processes that is not summed', async () => {
  const [, row = ''] =
    /^\| `\/metrics` \| (of all workers together.*)$/m.exec(readPage('docs/operations.md').text) ?? [];
  const samples = (await idleMetrics().samples()) as unknown as { name: string; type: string; aggregator: string }[];
  const others = samples.filter(({ type, aggregator }) => type === 'gauge' && aggregator !== 'sum');
  const named = ({ name }: { name: string }) =>
    row.includes(`\`${name}\``) ||
    (name.startsWith('nodejs_eventloop_lag_') && row.includes('`nodejs_eventloop_lag_…`'));
  expect(others.length).toBeGreaterThan(3);
  expect(others.filter((gauge) => !named(gauge)).map(({ name }) => name)).toEqual([]);
});
