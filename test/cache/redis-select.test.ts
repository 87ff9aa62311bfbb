/** The number of a database in REDIS_URL: a server that refuses it must not be used, since ioredis would go on in database 0. */
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openStore } from '../../src/core.js';
import { type EmbeddedRedis, installHint, startRedis } from '../../src/development/embedded/redis.js';
import type { Store } from '../../src/engine/cache/index.js';
import { RedisStore, type RedisStoreOptions } from '../../src/engine/redis/index.js';
import { ConfigError } from '../../src/platform/config-error.js';
import { createLog } from '../../src/platform/log.js';
import { RatePoints } from '../../src/server/rate-limit/rate-points.js';
import { startReaper } from '../chaos/reaper.js';
import { startTopology } from '../chaos/topology.js';
import { eventually } from '../support/app.js';
import { keyOfText, tagOf, tick } from './world.js';

const DATABASES = 16;
const log = createLog('silent');
/** A store that does not hear from Redis in time starts without it. */
const PATIENT = { waitMs: 30_000 };

let server: EmbeddedRedis;
let admin: Redis;

beforeAll(async () => {
  const started = await startRedis({ args: ['--databases', String(DATABASES)] });
  if (started === undefined) throw new Error(installHint());
  server = started;
  admin = new Redis(server.url);
});
afterAll(async () => {
  admin?.disconnect();
  await server?.stop();
});

async function used(store: Store): Promise<void> {
  await tick(store);
  await store.fence(1n, [tagOf(1)], { fresh: false });
  await store.fence(1n, [tagOf(1)], { fresh: true });
  await store.fill([{ key: keyOfText('k'), text: 'text', ttlMs: 60_000 }]);
}

describe('a store on a database that the server does not have', () => {
  test.each(['98', '99', '16'])('does not start on /%s', async (database) => {
    const opening = openStore({ url: `${server.url}/${database}` }, log, PATIENT);
    await expect(opening).rejects.toThrow(ConfigError);
    await expect(openStore({ url: `${server.url}/${database}` }, log, PATIENT)).rejects.toThrow(
      new RegExp(`^REDIS_URL: .*refuses ${database}: ERR DB index is out of range`),
    );
  });

  test('never touches database 0, also when it is used without having started', async () => {
    const told: string[] = [];
    const store = new RedisStore({ url: `${server.url}/98`, waitMs: 1000, onLimit: (text) => told.push(text) });
    try {
      // In each turn of the event loop, so also in those between the connection's first moment and the refusal.
      while (told.length === 0) {
        await expect(store.fence(1n, [tagOf(1)], { fresh: false })).rejects.toMatchObject({
          code: 'STORE_UNAVAILABLE',
        });
        await new Promise((resolve) => setImmediate(resolve));
      }
      await expect(store.ready()).rejects.toMatchObject({ code: 'DATABASE_REFUSED' });
      for (const fresh of [false, true]) {
        await expect(store.fence(1n, [tagOf(1)], { fresh })).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
      }
      await expect(store.release(1n, [tagOf(1)])).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
      await expect(store.head()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
      await expect(store.read([keyOfText('k')], [])).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
      expect(await admin.dbsize()).toBe(0);
      expect(told).toEqual([expect.stringContaining('ERR DB index is out of range')]);
    } finally {
      await store.close();
    }
  });

  test('is refused behind Sentinels, too, where REDIS_URL says the database', async () => {
    const topology = await startTopology('sentinel', { children: 1, reaper: startReaper() });
    const store = new RedisStore({
      ...topology.addressFor(0),
      url: 'redis://any/98',
      waitMs: 5000,
    } as RedisStoreOptions);
    try {
      await expect(store.ready()).rejects.toMatchObject({ code: 'DATABASE_REFUSED' });
      await expect(store.head()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    } finally {
      await store.close();
      await topology.stop();
    }
  });

  test('counts no points of rate limits there', async () => {
    const points = new RatePoints({ redis: { url: `${server.url}/98` } });
    try {
      await points.ready();
      expect(await points.take('ada', 3, { limit: 10, seconds: 60 })).toMatchObject({ granted: 3, remaining: 7 });
      expect(points.connected).toBe(false);
      expect(await admin.dbsize()).toBe(0);
    } finally {
      points.close();
    }
  });
});

test.each(['/15', '?db=15', '/15?db=3'])('a store on %s uses that database and no other', async (suffix) => {
  const store = await openStore({ url: `${server.url}${suffix}` }, log);
  const fifteen = new Redis(`${server.url}/15`);
  try {
    await used(store);
    expect(await admin.dbsize()).toBe(0);
    expect(await fifteen.dbsize()).toBeGreaterThan(0);
  } finally {
    await fifteen.flushdb();
    fifteen.disconnect();
    await store.close();
  }
});

test('a database that is refused after a reconnect is not used, and used again once it is not refused', async () => {
  await admin.call('ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '&*', '+@all');
  const url = server.url.replace('redis://', 'redis://app:secret@');
  const store = new RedisStore({ url: `${url}/15`, waitMs: 1000 });
  try {
    await store.ready();
    await used(store);
    const reconnected = async () => {
      await admin.client('KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    };
    await admin.call('ACL', 'SETUSER', 'app', '-select');
    await reconnected();
    await eventually(() =>
      expect(store.head()).rejects.toMatchObject({
        message: expect.stringContaining('NOPERM'),
        code: 'STORE_UNAVAILABLE',
      }),
    );
    await expect(store.fence(2n, [tagOf(2)], { fresh: true })).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    await expect(store.fence(2n, [tagOf(2)], { fresh: false })).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(await admin.dbsize()).toBe(0);
    await admin.call('ACL', 'SETUSER', 'app', '+select');
    await eventually(async () => expect(await store.head()).toMatchObject({ position: expect.anything() }));
  } finally {
    await store.close();
  }
});
