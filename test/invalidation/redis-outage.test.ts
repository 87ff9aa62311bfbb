/** Redis away, hanging, and back, empty or with what it held: queries answer throughout, writes happen, nothing old is shown. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { LEASE_MS } from '../../src/engine/cache/index.js';
import { MINUTE } from '../../src/std/time.js';
import type { TestApp } from '../support/app.js';
import { type OwnRedis, ownRedis } from './own-redis.js';
import { lastOutcome, rename, served, taskOf, type World, world } from './world.js';

let redis: OwnRedis;
let w: World;
let other: TestApp;
let id: string;
const WAIT_MS = 300;

beforeEach(async () => {
  redis = await ownRedis();
  w = await world({ redisUrl: redis.url, waitMs: WAIT_MS });
  other = await w.second({ waitMs: WAIT_MS });
  id = (w.f.opsTasks[0] as (typeof w.f.opsTasks)[number]).id;
  await served(w.app, id, w.f.ada.id);
  await served(other, id, w.f.ada.id);
});
afterEach(async () => {
  redis.resume();
  await w?.close();
  await redis?.kill();
});

const versionOn = async (app: TestApp) => (await taskOf(app, id, w.f.ada.id)).version;

/** Reads on both until told to stop; each must show at least what was acknowledged, or shown, when it began. */
function watch() {
  let acknowledged = 0;
  let reads = 0;
  let stopped = false;
  const loop = async (app: TestApp) => {
    while (!stopped) {
      const floor = acknowledged;
      const version = await versionOn(app);
      expect(version).toBeGreaterThanOrEqual(floor);
      acknowledged = Math.max(acknowledged, version);
      reads++;
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const loops = Promise.all([loop(w.app), loop(other)]);
  loops.catch(() => {}); // told by `stop`
  return {
    acknowledge(version: number) {
      acknowledged = Math.max(acknowledged, version);
    },
    async stop() {
      stopped = true;
      await loops;
      expect(reads).toBeGreaterThan(0);
    },
  };
}

async function write(title: string, watched: ReturnType<typeof watch>): Promise<number> {
  const version = await rename(w.app, { id, title }, w.f.ada.id);
  watched.acknowledge(version);
  expect([await versionOn(w.app), await versionOn(other)]).toEqual([version, version]);
  return version;
}

/** Both serve this from the cache again, and a write is exact again. */
async function recovered(version: number, watched: ReturnType<typeof watch>): Promise<void> {
  expect((await served(w.app, id, w.f.ada.id)).version).toBe(version);
  expect((await served(other, id, w.f.ada.id)).version).toBe(version);
  const next = await write('With Redis again', watched);
  await watched.stop();
  expect((await served(other, id, w.f.ada.id)).version).toBe(next);
}

describe('Redis killed', () => {
  test(
    'queries answer throughout, a write happens after it could harm no reader, and caching resumes',
    async () => {
      const watched = watch();
      await redis.kill();
      await versionOn(w.app);
      expect(lastOutcome(w.app, 'Task')).toEqual({ kind: 'error', reason: 'store-unavailable' });
      const startedMs = performance.now();
      await write('Without Redis', watched);
      // Unfenced: whoever might still have been served the old value has stopped before the writer was told.
      expect(performance.now() - startedMs).toBeGreaterThanOrEqual(LEASE_MS);
      const version = await write('Without Redis, again', watched);
      await redis.start();
      await recovered(version, watched);
    },
    2 * MINUTE,
  );

  test(
    'between two reads, and started again at once, empty: nothing is lost but time',
    async () => {
      const watched = watch();
      await redis.kill();
      await redis.start();
      const version = await write('In the middle of it', watched);
      await recovered(version, watched);
    },
    2 * MINUTE,
  );
});

describe('Redis hanging', () => {
  test(
    'holds old entries, and serves none of them when it goes on',
    async () => {
      const watched = watch();
      redis.pause();
      const version = await write('While it hung', watched);
      redis.resume();
      expect([await versionOn(w.app), await versionOn(other)]).toEqual([version, version]);
      await recovered(version, watched);
    },
    2 * MINUTE,
  );
});
