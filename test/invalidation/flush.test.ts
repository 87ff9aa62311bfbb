/** Losing every key of Redis, at any moment, costs misses and nothing else. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { MINUTE } from '../../src/std/time.js';
import { eventually, type TestApp } from '../support/app.js';
import { type OwnRedis, ownRedis } from './own-redis.js';
import { Points, pointed } from './points.js';
import { lastOutcome, relayed, rename, served, taskOf, ticked, type World, world } from './world.js';

let redis: OwnRedis;
let w: World;
let writer: TestApp;
const points = new Points();
const writerPoints = new Points();

beforeAll(async () => {
  redis = await ownRedis();
  w = await world({ redisUrl: redis.url, wrap: (store) => pointed(store, points) });
  writer = await w.second({ wrap: (store) => pointed(store, writerPoints) });
});
afterAll(async () => {
  await w?.close();
  await redis?.kill();
});

const task = (i: number) => (w.f.opsTasks[i] as (typeof w.f.opsTasks)[number]).id;
const versionOn = async (app: TestApp, id: string) => (await taskOf(app, id, w.f.ada.id)).version;
const flush = () => w.redis.client.flushall();

test(
  'readers and writers go on while everything is flushed again and again, and no read is older than what was told before it',
  async () => {
    const ids = [task(0), task(1)];
    const told = new Map<string, number>(ids.map((id) => [id, 0]));
    const begun = new Map<string, number>(ids.map((id) => [id, 1]));
    const raise = (of: Map<string, number>, id: string, version: number) =>
      of.set(id, Math.max(of.get(id) ?? 0, version));
    let over = false;
    let titles = 0;
    let reads = 0;
    const reader = async (app: TestApp, id: string) => {
      while (!over) {
        const floor = told.get(id) ?? 0;
        const version = await versionOn(app, id);
        expect(version).toBeGreaterThanOrEqual(floor);
        expect(version).toBeLessThanOrEqual(begun.get(id) ?? 0);
        raise(told, id, version);
        reads++;
      }
    };
    const write = async (app: TestApp, id: string, count: number) => {
      for (let i = 0; i < count; i++) {
        // More may have begun than committed: then the ceiling is only higher than need be.
        begun.set(id, (begun.get(id) ?? 0) + 1);
        raise(told, id, await rename(app, { id, title: `Write ${++titles}` }, w.f.ada.id));
      }
    };
    const readers = ids.flatMap((id) => [reader(w.app, id), reader(writer, id), reader(w.app, id)]);
    const all = Promise.all(readers);
    all.catch(() => {}); // told below
    const flushes = (async () => {
      for (let i = 0; i < 12; i++) {
        const until = reads + 30;
        await Promise.race([eventually(() => expect(reads).toBeGreaterThan(until)), all]);
        await flush();
      }
    })();
    const writes = Promise.all(ids.flatMap((id) => [write(w.app, id, 30), write(writer, id, 30)]));
    await Promise.all([flushes, writes]);
    over = true;
    await all;
    for (const id of ids) {
      expect((await served(w.app, id, w.f.ada.id)).version).toBe(61);
      expect((await served(writer, id, w.f.ada.id)).version).toBe(61);
    }
  },
  2 * MINUTE,
);

test(
  'a fence flushed away before its commit lets nobody store the old value',
  async () => {
    const id = task(2);
    const before = await served(w.app, id, w.f.ada.id);
    const fenced = writerPoints.hold('after fence');
    const renaming = rename(writer, { id, title: 'Fence lost' }, w.f.ada.id);
    await fenced.arrived;
    await flush();
    // Relays run all the while: each finds that a transaction older than its own is not over, and grants nothing.
    await eventually(async () => expect(await w.redis.barrier()).not.toBeNull());
    await ticked(w.app);
    expect(await w.redis.lease()).toBeNull();
    expect(await versionOn(w.app, id)).toBe(before.version);
    expect(lastOutcome(w.app, 'Task')).toEqual({ kind: 'bypass', reason: 'no-lease' });
    const unreleased = writerPoints.hold('before release');
    fenced.open();
    const version = await renaming;
    expect(await versionOn(w.app, id)).toBe(version);
    unreleased.open();
    expect((await served(w.app, id, w.f.ada.id)).version).toBe(version);
  },
  2 * MINUTE,
);

test(
  'a value loaded before a flush and stored after it is not served',
  async () => {
    const id = task(3);
    const before = await served(w.app, id, w.f.ada.id);
    await w.redis.client.del((await w.redis.client.keys('*')).filter((key) => key.includes(id)));
    const fill = points.hold('before fill', id);
    expect(await versionOn(w.app, id)).toBe(before.version);
    await fill.arrived;
    await flush();
    const version = await rename(writer, { id, title: 'Flushed in between' }, w.f.ada.id);
    await relayed(w);
    fill.open();
    expect(await versionOn(w.app, id)).toBe(version);
    expect((await served(w.app, id, w.f.ada.id)).version).toBe(version);
  },
  2 * MINUTE,
);

test(
  'two flushes within one tick do not make it grant a lease over a fence that the second took',
  async () => {
    const id = task(4);
    const before = await served(w.app, id, w.f.ada.id);
    await Promise.all([w.app.relay.stop(), writer.relay.stop()]);
    await flush();
    // This tick sees nothing there, and takes a transaction id of its own; then the writer fences, with a later one.
    const apply = points.hold('before apply');
    const tick = w.app.relay.tick();
    await apply.arrived;
    const fenced = writerPoints.hold('after fence');
    const unreleased = writerPoints.hold('before release');
    const renaming = rename(writer, { id, title: 'Fenced in between' }, w.f.ada.id);
    await fenced.arrived;
    await flush();
    apply.open();
    await tick;
    // Stored now, if it can be, by the only lease there could be.
    expect(await versionOn(w.app, id)).toBe(before.version);
    expect(await versionOn(w.app, id)).toBe(before.version);
    fenced.open();
    const version = await renaming;
    const seen = await versionOn(w.app, id);
    unreleased.open();
    await Promise.all([w.app.relay.start(), writer.relay.start()]);
    expect(seen).toBe(version);
  },
  2 * MINUTE,
);
