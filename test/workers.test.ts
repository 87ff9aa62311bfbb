/** When workers are replaced, and how their metrics become those of one process. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { GatheredMetrics } from '../src/platform/gathered-metrics.js';
import { WorkerRestarts } from '../src/platform/worker-restarts.js';
import { HOUR, SECOND } from '../src/std/time.js';

test('a worker that served for a while is replaced at once', () => {
  const restarts = new WorkerRestarts();
  expect(restarts.pauseAfter(HOUR, 0)).toBe(0);
  expect(restarts.pauseAfter(HOUR, 1)).toBe(0);
});

test('workers that die at once are replaced after pauses that grow to 10 s, and given up when none serves', () => {
  const restarts = new WorkerRestarts();
  const pauses = Array.from({ length: 11 }, () => restarts.pauseAfter(0, 0));
  expect(pauses).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000, undefined]);
});

test('while another worker serves, none is given up', () => {
  const restarts = new WorkerRestarts();
  const pauses = Array.from({ length: 50 }, () => restarts.pauseAfter(SECOND, 1));
  expect(pauses.at(-1)).toBe(10_000);
});

test('a worker that served for a while ends the growth of pauses', () => {
  const restarts = new WorkerRestarts();
  for (let i = 0; i < 5; i++) restarts.pauseAfter(0, 0);
  restarts.pauseAfter(HOUR, 0);
  expect(restarts.pauseAfter(0, 0)).toBe(100);
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
