/** What runs of live queries are charged, and what happens without points. */
import { expect, test } from 'vitest';
import { RunLater } from '../../src/engine/cache/index.js';
import { LivePoints } from '../../src/server/live/live-points.js';
import { RateLimits } from '../../src/server/rate-limit/rate-limit.js';

const BOARD = { caller: 'viewer:ada', cost: 1400 };

/** Points by count, of which each has as many. */
function counted(points: number) {
  const spent = new Map<string, number>();
  const source = {
    async take(key: string, wanted: number) {
      const before = spent.get(key) ?? 0;
      const granted = Math.min(wanted, points - before);
      spent.set(key, before + granted);
      return { granted, remaining: points - before - granted, resetMs: 20_000 };
    },
  };
  return { limits: new RateLimits({ points, seconds: 60, source }), spent };
}

async function until(refused: () => Promise<void>): Promise<{ times: number; error: unknown }> {
  for (let times = 0; ; times++) {
    try {
      await refused();
    } catch (error) {
      return { times, error };
    }
  }
}

test('with the default points a board is sent 214 times a minute, and run 428 times', async () => {
  const { limits } = counted(30_000);
  const points = new LivePoints(limits);
  const answers = await until(() => points.payAnswer(BOARD));
  const runs = await until(() => points.payRun(BOARD));
  expect([answers.times, runs.times]).toEqual([214, 428]);
  for (const { error } of [answers, runs]) {
    expect(error).toBeInstanceOf(RunLater);
    const { afterMs } = error as RunLater;
    expect(afterMs).toBeGreaterThan(15_000);
    expect(afterMs).toBeLessThanOrEqual(20_000);
  }
});

test('the points of answers, of runs and of requests are counted apart, and those of each viewer', async () => {
  const { limits } = counted(100);
  const points = new LivePoints(limits);
  await until(() => points.payAnswer(BOARD));
  await until(() => points.payRun({ ...BOARD, cost: 1 }));
  await limits.consume('viewer:ada', 100);
  await points.payRun({ ...BOARD, caller: 'viewer:bob' });
});

test('without rate limits nothing is charged', async () => {
  await new LivePoints(undefined).payRun({ ...BOARD, cost: Number.MAX_SAFE_INTEGER });
});

test('what else fails is thrown as it is', async () => {
  const failure = new Error('no count');
  const source = { take: () => Promise.reject(failure) };
  const points = new LivePoints(new RateLimits({ points: 1000, seconds: 60, source }));
  await expect(points.payAnswer(BOARD)).rejects.toBe(failure);
});
