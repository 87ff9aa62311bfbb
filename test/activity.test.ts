/** Counting for watchers: what is counted is right, and everything has a bound. */
import { describe, expect, test, vi } from 'vitest';
import { Cache, MemoryStore, type Outcome, type Tag } from '../src/engine/cache/index.js';
import { Activity } from '../src/platform/activity/activity.js';
import { type ActivityMessage, countsOf } from '../src/platform/activity/activity-message.js';
import { IntervalCounts } from '../src/platform/activity/interval-counts.js';
import { InvalidationFeed } from '../src/platform/activity/invalidation-feed.js';
import { addLatency, type Latencies, percentile } from '../src/platform/activity/latencies.js';
import { readSample, type Sample, sampleText } from '../src/platform/activity/sample.js';
import type { AnsweredRequest } from '../src/platform/request-metrics.js';
import { randomOf } from './chaos/random.js';

const request = (more: Partial<AnsweredRequest> = {}): AnsweredRequest => ({
  ...{
    id: 'x',
    operation: 'Named',
    caller: 'viewer:1',
    as: 'known',
    status: 200,
    ms: 1,
    from: 'memory',
    policiesSaved: 2,
  },
  ...more,
});

const miss = (i: number): Outcome => ({
  ...{ name: 'Task', arg: 'a'.repeat(1000), key: `Task:x::${i}` as Outcome['key'], tags: [], kind: 'miss' },
  ...{ reason: 'absent', ms: 2, roundTrips: [] },
});

describe('percentiles', () => {
  test('are within 8 % of the exact ones', () => {
    const seed = Date.now() % 1_000_000;
    const random = randomOf(seed);
    const latencies: Latencies = new Map();
    const exact = Array.from({ length: 5000 }, () => 0.1 * 10 ** (4 * random.next()));
    for (const ms of exact) addLatency(latencies, ms);
    exact.sort((a, b) => a - b);
    for (const share of [0.5, 0.95]) {
      const wanted = exact[Math.ceil(share * exact.length) - 1] as number;
      expect(Math.abs(percentile(latencies, share) / wanted - 1), `seed ${seed}, ${share}`).toBeLessThan(0.08);
    }
  });

  test('of nothing are 0, and latencies beyond all buckets are in the last', () => {
    const latencies: Latencies = new Map();
    expect(percentile(latencies, 0.5)).toBe(0);
    addLatency(latencies, 3_600_000);
    expect(percentile(latencies, 0.5)).toBeGreaterThan(50_000);
    expect(latencies.size).toBe(1);
  });
});

describe('what one process counts in an interval', () => {
  test('names of operations are bounded, and long and further ones are counted together', () => {
    const counts = new IntervalCounts(() => {});
    for (let i = 0; i < 300; i++) counts.answered(request({ operation: `Operation${i}`, caller: `viewer:${i}` }));
    counts.answered(request({ operation: 'x'.repeat(65) }));
    const names = counts.operations.map(({ name }) => name);
    expect(names.length).toBeLessThanOrEqual(101);
    expect(names).toContain('(other)');
    const total = counts.operations.reduce((sum, { answered }) => sum + (answered.memory ?? 0), 0);
    expect(total).toBe(301);
  });

  test('one caller brings at most 40 names of operations, so that those of others are still counted by name', () => {
    const counts = new IntervalCounts(() => {});
    for (let i = 0; i < 300; i++) counts.answered(request({ operation: `Many${i}`, caller: 'viewer:many' }));
    counts.answered(request({ operation: 'Board', caller: 'viewer:other' }));
    const names = counts.operations.map(({ name }) => name);
    expect(names).toContain('Board');
    expect(names.filter((name) => name.startsWith('Many'))).toHaveLength(40);
  });

  test('a request that ran no operation is no operation, and refused callers are counted once each', () => {
    const counts = new IntervalCounts(() => {});
    for (const caller of ['viewer:1', 'viewer:1', 'viewer:2']) {
      counts.answered(request({ caller, status: 429, from: undefined }));
    }
    expect([counts.operations, counts.rateLimitedCallers]).toEqual([[], 2]);
  });

  test('misses are all counted and the last 20 are kept, cut after 300 characters', () => {
    const told: unknown[] = [];
    const counts = new IntervalCounts((one) => told.push(one));
    for (let i = 0; i < 500; i++) counts.outcome(miss(i));
    expect(counts.policies).toEqual([
      { name: 'Task', outcomes: { miss: 500 }, reasons: { absent: 500 }, missMs: 1000, servedChars: 0 },
    ]);
    expect(counts.misses).toHaveLength(20);
    expect(counts.misses[0]?.argument).toHaveLength(300);
    expect(told.length).toBeLessThanOrEqual(200); // more in one second are only counted
  });
});

test.each([50, 299, 301, 900])(
  'who begins to watch %i ms after a second began is shown this process in the first message',
  async (ms) => {
    vi.useFakeTimers({ now: 1_000_000 + ms });
    const pool = { size: 1, inUse: 0, waiting: 0 };
    const cache = new Cache({ store: new MemoryStore() });
    const activity = new Activity({
      version: '0',
      cache: () => cache,
      pools: () => ({ read: pool, write: pool }),
      maxLoads: 1,
      sql: () => (() => Promise.reject(new Error('no Postgres'))) as never,
    });
    const messages: ActivityMessage[] = [];
    activity.watch((message) => messages.push(message));
    await vi.advanceTimersByTimeAsync(2500);
    activity.close();
    vi.useRealTimers();
    expect(messages.length).toBeGreaterThanOrEqual(1);
    expect(messages.map(({ processes }) => processes.map(({ id }) => id))).toEqual(
      messages.map(() => [activity.processId]),
    );
  },
);

test('the counts of several processes add up', () => {
  const sampleOf = (id: string): Sample => {
    const counts = new IntervalCounts(() => {});
    counts.answered(request({ from: 'kept' }));
    counts.answered(request({ from: 'redis' }));
    counts.outcome(miss(1));
    for (const result of ['sent', 'unchanged', 'sent'] as const) {
      counts.liveRun({ result, proved: true, ms: 1, dueMs: result === 'sent' ? 10 : 1000 });
    }
    const { operations, policies, misses, live, sqlStatementsSaved } = counts;
    const work = { sqlStatements: 1, sqlStatementsSaved, redisRoundTrips: 5, redisReads: 1 };
    return { process: { id }, work, live, operations, policies, misses } as unknown as Sample;
  };
  const samples = ['a', 'b'].map((id) => readSample(sampleText(sampleOf(id))) as Sample);
  const { work, live, operations, policies, misses } = countsOf(samples);
  expect(live).toMatchObject({ sent: 4, unchanged: 2, failed: 0 });
  expect(live.p95Ms / 10).toBeCloseTo(1, 0);
  expect(work).toEqual({
    ...{ operations: 4, answered: { kept: 2, memory: 0, redis: 2, postgres: 0, bypassed: 0 } },
    ...{ sqlStatements: 2, sqlStatementsSaved: 8, redisRoundTrips: 10, redisReads: 2, redisReadsSaved: 2 },
  });
  expect(operations).toMatchObject([{ name: 'Named', count: 4 }]);
  expect(policies).toMatchObject([{ name: 'Task', outcomes: { miss: 2 }, missMs: 4 }]);
  expect(misses.map(({ process }) => process)).toEqual(['a', 'b']);
});

test('a sample of another build is left out', () => {
  expect(readSample('{"format":1,"sample":{}}')).toBeUndefined();
  expect(readSample('not JSON')).toBeUndefined();
});

test('one message names at most 100 invalidations with 50 tags each, and counts the others', async () => {
  const store = new MemoryStore();
  const { memory } = new Cache({ store });
  const away = () => {
    throw new Error('Postgres is away');
  };
  const feed = new InvalidationFeed({ store, memory, sql: away });
  const tags = Array.from({ length: 70 }, (_, i) => `tasks:id=${i}` as Tag);
  for (let i = 0; i < 130; i++) await store.release(BigInt(i), tags);
  const { invalidations, invalidationsOmitted } = await feed.take();
  expect([invalidations.length, invalidationsOmitted]).toEqual([100, 30]);
  expect(invalidations[0]).toMatchObject({ transactions: ['0'], by: 'writer', tables: ['tasks'], tagsOmitted: 20 });
  expect(invalidations[0]).toMatchObject({ knownAfterMs: null, oldEntries: null, oldAnswers: null });
  expect(await feed.take()).toEqual({ invalidations: [], invalidationsOmitted: 0 });
  feed.close();
  await store.release(999n, tags);
  expect((await feed.take()).invalidations).toEqual([]);
});
