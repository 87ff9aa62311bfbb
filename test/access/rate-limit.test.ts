/** Rate limits: by viewer and by address, exact over processes, and what they cost a request. */
import { GraphQLSchema } from 'graphql';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newId, type UserId } from '../../src/db/ids.js';
import { type EmbeddedRedis, startRedis } from '../../src/development/embedded/redis.js';
import { readConfig } from '../../src/platform/config.js';
import {
  OperationGate,
  type OperationGateOptions,
  operationPlugin,
} from '../../src/server/operations/operation-plugin.js';
import { callerOf, type PointGrant, type PointSource, RateLimits } from '../../src/server/rate-limit/rate-limit.js';
import { RatePoints } from '../../src/server/rate-limit/rate-points.js';
import { emptyOutcome } from '../../src/server/request-context.js';
import { SECOND } from '../../src/std/time.js';
import { dataOf, type TestApp, type TestAppOptions, testApp } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { liveApp } from '../support/live.js';
import { redisUrl } from '../support/servers.js';

const group = () => `test-${newId('task').slice(5)}`;

/** Time that a test moves. */
function handClock() {
  let ms = 1_000_000;
  return { nowMs: () => ms, monotonicMs: () => ms, sleep: async () => {}, pass: (by: number) => (ms += by) };
}

/** Counts as Redis would, in order, and how often it was asked. */
function counting(clock: { monotonicMs(): number }) {
  const windows = new Map<string, { consumed: number; endsAtMs: number }>();
  const source = {
    trips: 0,
    async take(
      key: string,
      points: number,
      { limit, seconds }: { limit: number; seconds: number },
    ): Promise<PointGrant> {
      source.trips++;
      const nowMs = clock.monotonicMs();
      const known = windows.get(key);
      const window = known && known.endsAtMs > nowMs ? known : { consumed: 0, endsAtMs: nowMs + seconds * SECOND };
      windows.set(key, window);
      window.consumed += points;
      return {
        granted: Math.max(0, points - Math.max(0, window.consumed - limit)),
        remaining: Math.max(0, limit - window.consumed),
        resetMs: window.endsAtMs - nowMs,
      };
    },
  } satisfies PointSource & { trips: number };
  return source;
}

const outcome = (spending: Promise<unknown>) =>
  spending.then(
    () => 'granted',
    (error: { extensions: { code: string } }) => error.extensions.code,
  );
async function spendMany(limits: RateLimits, times: number, cost = 1, caller = 'viewer:a') {
  const outcomes = await Promise.all(Array.from({ length: times }, () => outcome(limits.consume(caller, cost))));
  return outcomes.filter((one) => one === 'granted').length;
}

describe('points', () => {
  test.each([
    [100, 1],
    [100, 7],
    [1000, 13],
    [10, 10],
    [1, 1],
  ])('of %d, at %d a request, exactly as many requests pass as there are points for', async (points, cost) => {
    const clock = handClock();
    const limits = new RateLimits({ points, seconds: 60, source: counting(clock), clock });
    expect(await spendMany(limits, points + 5, cost)).toBe(Math.floor(points / cost));
    expect(await outcome(limits.consume('viewer:b', cost))).toBe('granted'); // everyone has their own
  });

  test('come back when the window ends', async () => {
    const clock = handClock();
    const limits = new RateLimits({ points: 10, seconds: 60, source: counting(clock), clock });
    expect(await spendMany(limits, 20)).toBe(10);
    clock.pass(59_999);
    expect(await spendMany(limits, 20)).toBe(0);
    clock.pass(1);
    expect(await spendMany(limits, 20)).toBe(10);
  });

  test('of several processes are never more than the limit, and at most an advance of each is lost', async () => {
    const clock = handClock();
    const source = counting(clock);
    const processes = Array.from({ length: 3 }, () => new RateLimits({ points: 1000, seconds: 60, source, clock }));
    const granted = await Promise.all(processes.map((limits) => spendMany(limits, 1000)));
    const sum = granted.reduce((a, b) => a + b);
    expect(sum).toBeLessThanOrEqual(1000);
    expect(sum).toBeGreaterThanOrEqual(1000 - 3 * 20);
  });

  test('are taken in advances: a thousand requests ask the common count a few times, and who is over does not ask at all', async () => {
    const clock = handClock();
    const source = counting(clock);
    const limits = new RateLimits({ points: 10_000, seconds: 60, source, clock });
    for (let i = 0; i < 1000; i++) await limits.consume('viewer:a', 1);
    expect(source.trips).toBeLessThanOrEqual(11);
    await spendMany(limits, 10_000);
    const { trips } = source;
    expect(await spendMany(limits, 1000)).toBe(0);
    expect(source.trips).toBe(trips);
  });

  test('a request that costs more than there is takes nothing from those that cost less', async () => {
    const clock = handClock();
    const limits = new RateLimits({ points: 100, seconds: 60, source: counting(clock), clock });
    expect(await outcome(limits.consume('viewer:a', 101))).toBe('RATE_LIMITED');
    await limits.consume('viewer:a', 90);
    expect(await outcome(limits.consume('viewer:a', 11))).toBe('RATE_LIMITED');
    expect(await spendMany(limits, 20)).toBe(10);
  });

  test('an IPv6 network is one address, an IPv4 address is itself in either form', () => {
    const anonymous = (address: string) => callerOf({ userId: undefined }, address);
    expect(anonymous('2001:db8:1:2::1')).toBe(anonymous('2001:db8:1:2:ffff:1:2:3'));
    expect(anonymous('2001:db8:1:2::1')).not.toBe(anonymous('2001:db8:1:3::1'));
    expect(anonymous('::1')).toBe('anonymous:::/64');
    expect(anonymous('2001:DB8::1')).toBe(anonymous('2001:db8:0:0:1::'));
    expect(anonymous('::ffff:192.0.2.1')).toBe(anonymous('192.0.2.1'));
    expect(anonymous('::ffff:c000:201')).toBe(anonymous('192.0.2.1'));
    expect(anonymous('no:address')).toBe('anonymous:no:address');
    expect(anonymous('192.0.2.1')).not.toBe(anonymous('192.0.2.2'));
  });
});

test('an operation pays what it costs, at least a point, before it runs', async () => {
  const clock = handClock();
  const limits = new RateLimits({ points: 20, seconds: 60, source: counting(clock), clock });
  const pay = (cost: number | Promise<number>) => limits.charge('viewer:a', cost);
  expect(await pay(12)).toMatchObject({ limit: 20, cost: 12, remaining: 8 });
  expect(await pay(Promise.reject(new Error('no cost')))).toMatchObject({ cost: 1, remaining: 7 });
  expect(await pay(0)).toMatchObject({ cost: 1, remaining: 6 });
  expect(await pay(2.5)).toMatchObject({ cost: 3, remaining: 3 });
  expect(await pay(Promise.resolve(2))).toMatchObject({ cost: 2, remaining: 1 });
  await expect(pay(4)).rejects.toMatchObject({ extensions: { code: 'RATE_LIMITED', remaining: 1 } });
});

test('an operation that is refused before its cost is known costs a point, and its response says what is left', async () => {
  const clock = handClock();
  const limits = new RateLimits({ points: 20, seconds: 60, source: counting(clock), clock });
  const decide = async (contextValue: object) => {
    const options = { schema: new GraphQLSchema({}), rateLimits: limits } as unknown as OperationGateOptions;
    const hooks = await operationPlugin(new OperationGate(options)).requestDidStart?.({} as never);
    await hooks?.didResolveOperation?.({ operation: undefined, request: {}, contextValue } as never);
  };
  const outcome = emptyOutcome();
  const refusal = { extensions: { code: 'OPERATION_RESOLUTION_FAILURE' } };
  await expect(decide({ sender: { caller: 'viewer:a' }, outcome })).rejects.toMatchObject(refusal);
  expect(outcome).toMatchObject({ operation: undefined, rateLimit: { cost: 1, remaining: 19 } });
  await limits.consume('viewer:a', 19);
  await expect(decide({ sender: { caller: 'viewer:a' }, outcome: emptyOutcome() })).rejects.toMatchObject(refusal);
});

describe('counted in Redis', () => {
  test('two processes share one limit', async () => {
    const options = { redis: { url: redisUrl() }, group: group() };
    const sources = [new RatePoints(options), new RatePoints(options)];
    try {
      await expect.poll(() => sources.map((source) => source.connected)).toEqual([true, true]);
      const granted = await Promise.all(
        sources.map((source) => spendMany(new RateLimits({ points: 500, seconds: 60, source }), 500)),
      );
      const sum = granted.reduce((a, b) => a + b);
      expect(sum).toBeLessThanOrEqual(500);
      expect(sum).toBeGreaterThanOrEqual(480);
    } finally {
      for (const source of sources) source.close();
    }
  });

  test('a process counts by itself while the keys in Redis are not to be used', async () => {
    const options = { redis: { url: redisUrl() }, group: group() };
    let owned = false;
    const sources = [new RatePoints(options), new RatePoints({ ...options, owned: () => owned })];
    try {
      await Promise.all(sources.map((source) => source.ready()));
      const limit = { limit: 10, seconds: 60 };
      const taken = async (source: RatePoints | undefined) => (await source?.take('viewer:a', 10, limit))?.granted;
      expect(sources[1]?.connected).toBe(false);
      expect(await taken(sources[1])).toBe(10);
      expect(await taken(sources[0])).toBe(10); // nothing was taken from it
      owned = true;
      expect(sources[1]?.connected).toBe(true);
      expect(await taken(sources[1])).toBe(0);
    } finally {
      for (const source of sources) source.close();
    }
  });

  test('a Redis that is gone, or stands still, is neither an open door nor an outage', async () => {
    const redis = (await startRedis()) as EmbeddedRedis;
    const failures: unknown[] = [];
    let paused = false;
    const source = new RatePoints({
      redis: { url: redis.url },
      group: group(),
      onFailure: (error) => failures.push(error),
    });
    try {
      await expect.poll(() => source.connected).toBe(true);
      paused = process.kill(redis.pid, 'SIGSTOP');
      const startedMs = performance.now();
      const limits = new RateLimits({ points: 100, seconds: 60, source });
      expect(await spendMany(limits, 200)).toBe(100); // this process by itself
      for (let i = 0; i < 50; i++) await limits.consume(`viewer:${i}`, 1);
      // Over fifty callers had to ask: three waited, then one in half a second; the others asked nobody.
      const seconds = (performance.now() - startedMs) / SECOND;
      expect(failures.length).toBeLessThanOrEqual(4 + seconds * 2);
      paused = !process.kill(redis.pid, 'SIGCONT');
      await redis.stop();
      expect(await spendMany(limits, 200, 1, 'viewer:gone')).toBe(100);
    } finally {
      source.close();
      if (paused) process.kill(redis.pid, 'SIGCONT');
      await redis.stop();
    }
  });
});

describe('through the API', () => {
  const open: TestApp[] = [];
  let databaseUrl: string;
  let f: Fixture;
  async function limited(points: number, options: TestAppOptions = {}) {
    const app = await testApp({
      databaseUrl,
      ...options,
      app: {
        rateLimit: { points, seconds: 60, redis: { url: redisUrl() }, group: group(), waitMs: 5000 },
        ...options.app,
      },
    });
    open.push(app);
    return app;
  }
  let base: TestApp;
  beforeAll(async () => {
    base = await testApp();
    databaseUrl = base.databaseUrl;
    f = await fixture(base);
  });
  afterAll(async () => {
    for (const app of open) await app.close();
    await base?.close();
  });

  const raw = async (app: TestApp, headers: Record<string, string>, remoteAddress = '192.0.2.1') =>
    app.server.inject({
      method: 'POST',
      url: '/graphql',
      remoteAddress,
      headers,
      payload: { query: '{ __typename }' },
    });

  test('who asks too much is answered with 429, RATE_LIMITED, and when to come back; others are not', async () => {
    const app = await limited(10);
    // Two objects: the viewer and the limit.
    const ask = (as: UserId) => app.ask('{ viewer { handle } rateLimit { limit cost remaining resetAt } }', { as });
    for (let left = 8; left >= 0; left -= 2) {
      const { rateLimit } = dataOf(await ask(f.ada.id));
      expect(rateLimit).toMatchObject({ limit: 10, cost: 2, remaining: left });
      expect(Date.parse(rateLimit.resetAt)).toBeGreaterThan(Date.now());
    }
    const refused = await ask(f.ada.id);
    expect([refused.status, refused.data]).toEqual([429, undefined]);
    expect(refused.errors).toMatchObject([
      { extensions: { code: 'RATE_LIMITED', limit: 10, remaining: 0, resetAt: expect.stringMatching(/Z$/) } },
    ]);
    expect(refused.errors?.[0]?.extensions).not.toHaveProperty('http');
    expect(dataOf(await ask(f.bob.id)).viewer.handle).toBe('bob');
  });

  test('every answer’s headers say where the caller stands', async () => {
    const app = await limited(2);
    const first = await raw(app, {});
    expect(first.headers).toMatchObject({ 'ratelimit-limit': '2', 'ratelimit-remaining': '1' });
    expect(Number(first.headers['ratelimit-reset'])).toBeGreaterThan(50);
    await raw(app, {});
    const refused = await raw(app, {});
    expect(refused.statusCode).toBe(429);
    expect(refused.headers).toMatchObject({ 'ratelimit-remaining': '0', 'cache-control': 'no-store' });
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(50);
    expect((await raw(app, {}, '192.0.2.2')).statusCode).toBe(200); // who is not signed in is counted by address
  });

  test('an address has an outer bound, also for what never becomes an operation', async () => {
    const app = await limited(1);
    const statuses: number[] = [];
    for (let i = 0; i < 22; i++) statuses.push((await raw(app, { authorization: `Bearer nonsense-${i}` })).statusCode);
    expect(statuses).toEqual([...Array(20).fill(401), 429, 429]);
    const refused = await raw(app, {});
    expect(refused.json().errors).toMatchObject([
      { message: expect.stringMatching(/^Too many/), extensions: { code: 'RATE_LIMITED' } },
    ]);
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    expect((await raw(app, {}, '192.0.2.2')).statusCode).toBe(200);
  });

  test('where there is no limit, nothing is told and nothing refused', async () => {
    const answer = await raw(base, {});
    expect(Object.keys(answer.headers).filter((name) => name.startsWith('ratelimit'))).toEqual([]);
    expect(dataOf(await base.ask('{ rateLimit { limit } }', { as: f.ada.id }))).toEqual({ rateLimit: null });
  });

  describe('by default, in production', () => {
    const { rateLimit } = readConfig({
      NODE_ENV: 'production',
      DATABASE_URL: 'postgres://db/tasks',
      REDIS_URL: 'redis://redis',
      JWT_SECRET: 'x'.repeat(32),
    }).access;
    const { points } = rateLimit as { points: number };
    const BOARD = `query Board($id: ID!) {
      project(id: $id) {
        name
        tasks(first: 50) {
          nodes { identifier title status priority dueDate assignee { name } labels { nodes { name color } } commentCount }
          pageInfo { hasNextPage endCursor }
        }
      }
    }`;

    test('a person who looks at a board all the time is not refused; a client that has a hundred boards run is', async () => {
      const redis = { url: redisUrl() };
      const app = await liveApp({
        databaseUrl,
        nearCacheBytes: 16 * 1024 * 1024,
        app: { rateLimit: { points, seconds: 60, redis, group: group(), waitMs: 5000 } },
      });
      open.push(app);
      const [{ id, projectId }] = f.opsTasks as [Fixture['opsTasks'][number]];
      const view = (query: string) => app.ask(query, { as: f.ada.id, variables: { id: projectId } });
      const change = 'mutation($i: UpdateTaskInput!) { updateTask(input: $i) { errors { code } } }';
      // The minute of a person: a view each second, and a change every four.
      for (let n = 0; n < 60; n++) {
        if (n % 4 === 1) await app.ask(change, { as: f.ada.id, variables: { i: { id, title: `Title ${n}` } } });
        expect([n, (await view(BOARD)).status]).toEqual([n, 200]);
      }
      let runs = 0;
      while (runs < 1000 && (await view(`${BOARD} # ${runs}`)).status === 200) runs++;
      expect(runs).toBeLessThan(100);
    });
  });
});
