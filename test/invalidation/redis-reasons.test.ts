/** Why Redis is away is said in words: in errors and so in the log, and on /readyz, there without addresses. */
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openStore } from '../../src/core.js';
import { startRedis } from '../../src/development/embedded/redis.js';
import type { Store } from '../../src/engine/cache/index.js';
import type { RedisPlace } from '../../src/engine/redis/index.js';
import { createLog } from '../../src/platform/log.js';
import { eventually, testApp } from '../support/app.js';

type Server = NonNullable<Awaited<ReturnType<typeof startRedis>>>;

let open: Server;
let locked: Server;
beforeAll(async () => {
  open = (await startRedis()) as Server;
  locked = (await startRedis()) as Server;
  const redis = new Redis(locked.url);
  await redis.config('SET', 'requirepass', 'secret');
  redis.disconnect();
});
afterAll(async () => {
  await open?.stop();
  await locked?.stop();
});

const at = ({ url }: Server, login = '', protocol = 'redis') => {
  const { host } = new URL(url);
  return { url: `${protocol}://${login}${host}` };
};

describe('a store says why there is no connection', () => {
  test.each<[string, () => RedisPlace, RegExp, string]>([
    ['a password is missing', () => at(locked), /NOAUTH Authentication required/, 'no-password'],
    [
      'the password is wrong',
      () => at(locked, ':other@'),
      /WRONGPASS invalid username-password pair/,
      'wrong-password',
    ],
    [
      'a Cluster whose nodes want a password',
      () => ({ cluster: [addressOf(locked)] }),
      /NOAUTH Authentication required/,
      'no-password',
    ],
    ['nothing listens', () => ({ url: 'redis://127.0.0.1:1' }), /connect ECONNREFUSED 127\.0\.0\.1:1/, 'refused'],
    ['no such host', () => ({ url: 'redis://nowhere.invalid:6379' }), /ENOTFOUND|EAI_AGAIN/, 'unknown-host'],
    [
      'no Sentinel is there',
      () => ({ sentinels: [{ host: '127.0.0.1', port: 1 }], master: 'm' }),
      /no Sentinel answers: failed to connect to sentinel 127\.0\.0\.1:1/,
      'no-sentinel',
    ],
  ])('%s, and counts its attempts by that', async (_, place, text, reason) => {
    const store = await openStore(place(), createLog('silent'));
    try {
      await eventually(() => expect(store.head()).rejects.toThrow(text));
      await eventually(() => expect(reconnects(store)).toEqual([reason]));
      expect(store.link?.up).toBe(false);
    } finally {
      await store.close();
    }
  });

  test('and no longer, once there is one', async () => {
    const server = (await startRedis()) as Server;
    const redis = new Redis(server.url);
    await redis.config('SET', 'requirepass', 'secret');
    const store = await openStore(at(server, ':later@'), createLog('silent'));
    try {
      await eventually(() => expect(store.head()).rejects.toThrow(/WRONGPASS/));
      await redis.config('SET', 'requirepass', 'later');
      await eventually(() => store.head());
    } finally {
      redis.disconnect();
      await store.close();
      await server.stop();
    }
  });
});

describe('a connection that ends is counted by why', () => {
  let server: Server;
  let admin: Redis;
  let store: Store;
  beforeEach(async () => {
    server = (await startRedis()) as Server;
    admin = new Redis(server.url);
    store = await openStore({ url: server.url }, createLog('silent'));
    await eventually(() => expect(store.link?.up).toBe(true));
    expect(reconnects(store)).toEqual([]);
  });
  afterEach(async () => {
    admin.disconnect();
    await store.close();
    await server.stop();
  });

  test('the other end closed it', async () => {
    await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    await eventually(() => expect(reconnects(store)).toEqual(['closed']));
    await eventually(() => expect(store.link?.up).toBe(true));
  });

  test('it did not answer in time', async () => {
    await admin.call('CLIENT', 'PAUSE', '1000', 'ALL');
    await expect(store.head()).rejects.toThrow('no answer in time');
    await eventually(() => expect(reconnects(store)).toEqual(['no-answer']));
    await eventually(() => store.head());
  });

  test.each<[string, (store: Store) => Promise<unknown>]>([
    ['a tick', ({ head }) => head.call(store)],
    ['a write', ({ setText }) => setText.call(store, 'name', 'text', 1000).catch(() => {})],
  ])('its server is a replica now, as %s finds', async (_, meet) => {
    await admin.replicaof('127.0.0.1', 1);
    await meet(store);
    await eventually(() => expect(reconnects(store)).toEqual(['failover']));
  });

  test('trips are timed by kind, also those that fail', async () => {
    const count = (kind: string) => store.link?.trips.get(kind)?.cumulative.at(-1);
    const before = count('read') ?? 0;
    await store.head();
    expect(count('read')).toBe(before + 1);
    await admin.call('CLIENT', 'PAUSE', '1000', 'ALL');
    await expect(store.head()).rejects.toThrow('no answer in time');
    expect(count('read')).toBe(before + 2);
    expect(count('fence')).toBe(0);
  });
});

/** The reasons that have been counted. */
function reconnects({ link }: Store): string[] {
  return [...(link?.reconnects ?? [])].filter(([, times]) => times > 0).map(([reason]) => reason);
}

test('/readyz says it, too, but no address', async () => {
  const server = (await startRedis()) as Server;
  const app = await testApp({ redisUrl: server.url });
  try {
    const redis = async () => (await app.server.inject('/readyz')).json().redis;
    expect(await redis()).toBe('up');
    const admin = new Redis(server.url);
    await admin.config('SET', 'requirepass', 'secret');
    await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    await eventually(async () => expect(await redis()).toBe('down: NOAUTH: a password is required'));
    admin.disconnect();
    await server.stop();
    await eventually(async () => expect(await redis()).toBe('down: ECONNREFUSED: nothing listens there'));
  } finally {
    await app.close();
    await server.stop();
  }
});

function addressOf({ url }: Server) {
  const { hostname: host, port } = new URL(url);
  return { host, port: Number(port) };
}
