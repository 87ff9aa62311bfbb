/** docs/scaling.md shows the figures that were measured, and the model that it draws on reproduces them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { currentShareOf } from '../../bench/known-answers.js';
import { modelCosts, SHARES } from '../../bench/scaling-costs.js';
import { checks } from '../../bench/scaling-fleet.js';
import { type Scenario, simulate } from '../../bench/scaling-model.js';
import { blockOf, measuredTablesOf } from '../../bench/scaling-report.js';
import type { ScalingResults } from '../../bench/scaling-results.js';
import { ROOT, readPage } from './markdown.js';

/** Predicted over measured, or measured over predicted. */
const LOG_READS_FACTOR = 1.25;
const CPU_FACTOR = 2;
/** Of a load at which Redis sleeps between requests. */
const CPU_FACTOR_OF_LIGHT_LOAD = 3.5;
const LIGHT_LOAD = 'hits, 1 × 250';

const results = JSON.parse(readFileSync(join(ROOT, 'bench/results/scaling.json'), 'utf8')) as ScalingResults;
const costs = modelCosts(results.redis, results.loads);
const page = readPage('docs/scaling.md').text;
const factor = (a: number, b: number) => Math.max(a / b, b / a);

test.each(Object.entries(measuredTablesOf(results)))('docs/scaling.md shows the measured table: %s', (name, table) => {
  expect(page).toContain(blockOf(name, table));
});

test('docs/scaling.md states how far the model may be from what was measured', () => {
  expect(page).toContain(`factor of ${LOG_READS_FACTOR} for log reads per request`);
  expect(page).toContain(`factor of ${CPU_FACTOR} for Redis's CPU`);
});

describe('the model of many processes', () => {
  test.each(
    checks(results).map(({ load, ...rest }) => ({
      name: `${load.kind}, ${load.processes} × ${load.rate}`,
      load,
      ...rest,
    })),
  )('is as close as stated to real processes: $name', ({ name, load, predicted, redisBusy }) => {
    expect(factor(predicted.logReadsPerRequest, load.logReadsPerRequest)).toBeLessThanOrEqual(LOG_READS_FACTOR);
    expect(factor(predicted.redisBusy, redisBusy)).toBeLessThanOrEqual(
      name === LIGHT_LOAD ? CPU_FACTOR_OF_LIGHT_LOAD : CPU_FACTOR,
    );
  });

  const quiet: Scenario = {
    ...SHARES.hits,
    processes: 4,
    rate: 20,
    readShare: 1 / 4,
    networkUs: 100,
    balancing: 'random',
    burst: 1,
    seconds: 20,
    seed: 7,
  };

  test('gives the same figures for the same seed, and others for another', () => {
    const first = simulate(quiet, costs);
    expect(simulate(quiet, costs)).toEqual(first);
    expect(simulate({ ...quiet, seed: 8 }, costs).requests).not.toBe(first.requests);
  });

  test('sends a log read for each kept answer of a process that is nearly idle, and fewer the busier it is', () => {
    const at = (rate: number) => simulate({ ...quiet, rate, seconds: 4000 / rate }, costs).logReadsPerRequest;
    expect(at(20)).toBeGreaterThan(0.97);
    expect(at(8000)).toBeLessThan(at(800));
    expect(at(24_000)).toBeLessThan(at(8000));
  });

  test('keeps a smaller share of answers the more processes share the reads of a key', () => {
    const shares = [1, 1 / 10, 1 / 100].map((readShare) => currentShareOf({ ...SHARES.mixed, readShare }));
    expect(shares[0]).toBeCloseTo(0.911, 3);
    expect(shares).toEqual(shares.toSorted((a, b) => b - a));
  });

  test('asks more of Redis than a core has when the log reads alone take more', () => {
    const processes = Math.ceil(3e6 / costs.redis.logReadUs / 100);
    const busy = simulate({ ...quiet, processes, rate: processes * 100, seconds: 0.2 }, costs);
    expect(busy.redisDemand).toBeGreaterThan(1);
    expect(busy.redisBusy).toBeLessThan(busy.redisDemand);
  });
});
