/** Who connects to Redis and to Sentinels, by which rights, at which kind of address, and to which versions. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { openStore } from '../../src/core.js';
import { freePort } from '../../src/development/embedded/child.js';
import { type EmbeddedRedis, installHint, startRedis } from '../../src/development/embedded/redis.js';
import { MAX_TEXTS } from '../../src/engine/cache/store.js';
import { type RedisPlace, RedisStore } from '../../src/engine/redis/index.js';
import { readConfig } from '../../src/platform/config.js';
import { ConfigError } from '../../src/platform/config-error.js';
import { createLog } from '../../src/platform/log.js';
import type { Environment } from '../../src/platform/secret-files.js';
import { RatePoints } from '../../src/server/rate-limit/rate-points.js';
import { keyOfText, tagOf } from '../cache/world.js';
import { startReaper } from '../chaos/reaper.js';
import { RedisNode } from '../chaos/redis-node.js';
import { eventually, type TestApp, testApp } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { type OlderRedis, olderRedis } from '../support/older-redis.js';
import { lastOutcome, rename, taskOf } from './world.js';

const log = createLog('silent');
const PASSWORD = 'p@ss/w#rd%';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tasks-access-'));
});
afterAll(() => rm(dir, { recursive: true }));

async function started(args: string[] = []): Promise<EmbeddedRedis> {
  const server = await startRedis({ args });
  if (server === undefined) throw new Error(installHint());
  return server;
}

async function outcomeOf(environment: Environment): Promise<string> {
  const store = await openStore(readConfig(environment).redis, log);
  try {
    return await store.head().then(
      () => 'connected',
      (error: Error) => error.message,
    );
  } finally {
    await store.close();
  }
}

describe('Sentinels that want a password', () => {
  let primary: RedisNode;
  let sentinel: RedisNode;
  let place: Environment;
  const rights = ['&*', '+subscribe', '+sentinel|get-master-addr-by-name', '+sentinel|sentinels'];
  beforeAll(async () => {
    const reaper = startReaper();
    primary = await RedisNode.create({ dir, role: 'data', reaper, lines: [] });
    await primary.start();
    const lines = [`sentinel monitor ours 127.0.0.1 ${primary.port} 1`];
    sentinel = await RedisNode.create({ dir, role: 'sentinel', reaper, lines });
    await sentinel.start();
    await sentinel.command('ACL', 'SETUSER', 'cache', 'on', `>${PASSWORD}`, ...rights);
    await sentinel.command('ACL', 'SETUSER', 'default', 'resetpass', '>of-default');
    place = { REDIS_SENTINELS: `127.0.0.1:${sentinel.port}`, REDIS_SENTINEL_MASTER: 'ours' };
  });
  afterAll(async () => {
    await sentinel?.kill();
    await primary?.kill();
  });

  test.each<[string, Environment, RegExp]>([
    ['get it', { REDIS_SENTINEL_PASSWORD: 'of-default' }, /^connected$/],
    ['get it from a user with few rights', sentinelUser(PASSWORD), /^connected$/],
    ['say that it is missing', {}, /no Sentinel answers: .* because NOAUTH Authentication required/],
    ['say that it is wrong', sentinelUser('other'), /no Sentinel answers: .* because WRONGPASS/],
  ])('%s', async (_, access, outcome) => {
    await eventually(async () => expect(await outcomeOf({ ...place, ...access })).toMatch(outcome));
  });

  test('are passed over without a word on stderr while one of them is down', async () => {
    const printed = vi.spyOn(console, 'error');
    try {
      const sentinels = `${place['REDIS_SENTINELS']},127.0.0.1:1`;
      const environment = { ...place, REDIS_SENTINELS: sentinels, REDIS_SENTINEL_PASSWORD: 'of-default' };
      for (let i = 0; i < 3; i++) expect(await outcomeOf(environment)).toBe('connected');
      expect(printed).not.toHaveBeenCalled();
    } finally {
      printed.mockRestore();
    }
  });

  test('are passed over while they hang', async () => {
    const reaper = startReaper();
    const lines = [`sentinel monitor ours 127.0.0.1 ${primary.port} 1`];
    const hanging = await RedisNode.create({ dir, role: 'sentinel', reaper, lines });
    await hanging.start();
    hanging.pause();
    try {
      const sentinels = `127.0.0.1:${hanging.port},${place['REDIS_SENTINELS']}`;
      const { redis } = readConfig({ ...place, REDIS_SENTINELS: sentinels, REDIS_SENTINEL_PASSWORD: 'of-default' });
      const store = await openStore(redis, log);
      await eventually(() => store.head());
      await store.close();
    } finally {
      await hanging.kill();
    }
  });
});

function sentinelUser(password: string): Environment {
  return { REDIS_SENTINEL_USERNAME: 'cache', REDIS_SENTINEL_PASSWORD: password };
}

describe('a user with a password of any characters', () => {
  let server: EmbeddedRedis;
  beforeAll(async () => {
    server = await started();
    const admin = new Redis(server.url);
    await admin.call('ACL', 'SETUSER', 'app', 'on', `>${PASSWORD}`, '~*', '&*', '+@all');
    await admin.call('ACL', 'SETUSER', 'default', 'resetpass', `>${PASSWORD}`);
    admin.disconnect();
  });
  afterAll(() => server?.stop());
  const withUser = () => server.url.replace('redis://', 'redis://app@');

  test.each<[string, () => Environment]>([
    ['both beside the URL', () => ({ REDIS_URL: server.url, REDIS_USERNAME: 'app', REDIS_PASSWORD: PASSWORD })],
    ['the user in the URL', () => ({ REDIS_URL: withUser(), REDIS_PASSWORD: PASSWORD })],
    ['no user, with a database', () => ({ REDIS_URL: `${server.url}/3`, REDIS_PASSWORD: PASSWORD })],
    [
      'both in the URL, with codes',
      () => ({ REDIS_URL: server.url.replace('//', `//app:${encodeURIComponent(PASSWORD)}@`) }),
    ],
  ])('%s', async (_, environment) => {
    await eventually(async () => expect(await outcomeOf(environment())).toBe('connected'));
  });
});

describe('an IPv6 address', () => {
  let server: EmbeddedRedis;
  beforeAll(async () => {
    server = await started(['--protected-mode', 'no']);
    const admin = new Redis(server.url);
    await admin.config('SET', 'bind', '127.0.0.1 ::1');
    admin.disconnect();
  });
  afterAll(() => server?.stop());

  test('of one server is in brackets in the URL', async () => {
    await eventually(async () =>
      expect(await outcomeOf({ REDIS_URL: `redis://[::1]:${server.port}` })).toBe('connected'),
    );
  });

  test('of a Sentinel is in brackets, too, and what it names may be elsewhere', async () => {
    const lines = [`sentinel monitor mymaster 127.0.0.1 1 1`, 'bind 127.0.0.1 ::1'];
    const sentinel = await RedisNode.create({ dir, role: 'sentinel', reaper: startReaper(), lines });
    await sentinel.start();
    try {
      const environment = {
        REDIS_SENTINELS: `[::1]:${sentinel.port}`,
        REDIS_NAT_MAP: `127.0.0.1:1=[::1]:${server.port}`,
      };
      await eventually(async () => expect(await outcomeOf(environment)).toBe('connected'));
    } finally {
      await sentinel.kill();
    }
  });

  test('of the nodes of a Cluster is what the Cluster names them by', async () => {
    const lines = ['cluster-enabled yes', 'bind 127.0.0.1 ::1', `cluster-port ${await freePort()}`];
    const announced = [...lines, 'cluster-announce-ip ::1'];
    const node = await RedisNode.create({ dir, role: 'data', reaper: startReaper(), lines: announced });
    await node.start();
    try {
      await node.command('CLUSTER', 'ADDSLOTSRANGE', 0, 16_383);
      const environment = { REDIS_CLUSTER_NODES: `[::1]:${node.port}` };
      await eventually(async () => expect(await outcomeOf(environment)).toBe('connected'));
    } finally {
      await node.kill();
    }
  });
});

describe('a Redis that is too old', () => {
  /** A server starts without Redis when that does not answer in time, and these machines are slow at times. */
  const WAITING = { waitMs: 5000 };
  const TOO_OLD = /Redis 7\.0 or newer is needed, or Valkey; this is 6\./;
  let server: EmbeddedRedis;
  let way: OlderRedis;
  let url: string;
  beforeAll(async () => {
    server = await started();
    way = await olderRedis(server.port);
    url = `redis://127.0.0.1:${way.port}`;
  });
  afterAll(async () => {
    way?.close();
    await server?.stop();
  });

  test('stops the start, in one line', async () => {
    const opening = openStore({ url }, log, WAITING);
    await expect(opening).rejects.toThrow(ConfigError);
    await expect(opening).rejects.toThrow(TOO_OLD);
  });

  test('stops the start as a node of a Cluster, too', async () => {
    const lines = ['cluster-enabled yes', 'cluster-announce-ip 127.0.0.1', `cluster-port ${await freePort()}`];
    const node = await RedisNode.create({ dir, role: 'data', reaper: startReaper(), lines });
    await node.start();
    const toNode = await olderRedis(node.port);
    try {
      await node.command('CLUSTER', 'ADDSLOTSRANGE', 0, 16_383);
      const through = { host: '127.0.0.1', port: toNode.port };
      const place = { cluster: [through], natMap: { [`127.0.0.1:${node.port}`]: through } };
      const opening = openStore(place, log, WAITING);
      await expect(opening).rejects.toThrow(TOO_OLD);
    } finally {
      toNode.close();
      await node.kill();
    }
  });

  test('is not used in the place of another, until that is back', async () => {
    way.old = false;
    const told: string[] = [];
    const store = new RedisStore({ url, ...WAITING, onLimit: (text) => told.push(text) });
    try {
      await store.ready();
      await eventually(() => store.head());
      way.old = true;
      way.hangUp();
      await eventually(() => expect(store.head()).rejects.toThrow(TOO_OLD));
      await expect(store.fence(1n, [tagOf(1)], { fresh: false })).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
      expect(told).toEqual([expect.stringMatching(TOO_OLD)]);
      way.old = false;
      way.hangUp();
      await eventually(() => store.head());
    } finally {
      await store.close();
    }
  });

  test('is the reason that /readyz gives', async () => {
    way.old = false;
    const app = await testApp({ redisUrl: url });
    try {
      way.old = true;
      way.hangUp();
      await eventually(async () => {
        expect((await app.server.inject('/readyz')).json().redis).toBe('down: it is older than Redis 7.0');
      });
    } finally {
      await app.close();
    }
  });
});

describe('a user with the rights that docs/redis-layout.md names does all that the server does, and needs each', () => {
  test('on one server', async () => {
    const server = await started();
    const admin = new Redis(server.url);
    try {
      const rules = await documentedRules('one server');
      expect(await unusedRights(admin, { REDIS_URL: server.url }, rules)).toEqual([]);
    } finally {
      admin.disconnect();
      await server.stop();
    }
  });

  test('in a Cluster', async () => {
    const lines = ['cluster-enabled yes', 'cluster-announce-ip 127.0.0.1', `cluster-port ${await freePort()}`];
    const node = await RedisNode.create({ dir, role: 'data', reaper: startReaper(), lines });
    await node.start();
    const admin = new Redis(node.port);
    try {
      await node.command('CLUSTER', 'ADDSLOTSRANGE', 0, 16_383);
      const rules = await documentedRules('Cluster');
      expect(await unusedRights(admin, { REDIS_CLUSTER_NODES: `127.0.0.1:${node.port}` }, rules)).toEqual([]);
    } finally {
      admin.disconnect();
      await node.kill();
    }
  });
});

test('a user who may not read samples is named in the log once, and all else goes on', async () => {
  const server = await started();
  const admin = new Redis(server.url);
  await admin.call('ACL', 'SETUSER', 'default', 'resetkeys', '~e*', '~t:*', '%W~smp:*');
  admin.disconnect();
  const told: string[] = [];
  const store = new RedisStore({ url: server.url, waitMs: 5000, onLimit: (text) => told.push(text) });
  try {
    await store.ready();
    for (let i = 0; i < 5; i++) {
      await store.samples.add('sample');
      await expect(store.samples.since('0-0')).rejects.toThrow(/NOPERM/);
      expect([store.outageMs(), store.inspection.openBreakers]).toEqual([0, 0]);
    }
    expect(await store.inspection.heldTags([tagOf('any')])).toEqual(new Map());
    expect(told).toEqual([expect.stringMatching(/^it refuses READ SAMPLES: NOPERM/)]);
  } finally {
    await store.close();
    await server.stop();
  }
});

/** The rights that a server did not use. Fails if it lacked one. */
async function unusedRights(admin: Redis, at: Environment, rules: readonly string[]): Promise<string[]> {
  await admin.call('ACL', 'SETUSER', 'tasks', ...rules);
  await admin.config('RESETSTAT');
  const place = readConfig({ ...at, REDIS_USERNAME: 'tasks', REDIS_PASSWORD: 'secret' }).redis as RedisPlace;
  const app = await testApp({ place, group: 'tasks', nearCacheBytes: 1024 * 1024 });
  const points = new RatePoints({ redis: place, waitMs: 5000 });
  try {
    await used(app);
    await points.ready();
    const limit = { limit: 100, seconds: 60 };
    await points.take('ada', 1, limit);
    await admin.call('PERSIST', 'rate:tasks:100/60:ada'); // as if its expiry had been lost
    await points.take('ada', 1, limit);
    expect((await refused(admin)).filter((name) => name !== 'client|setinfo')).toEqual([]);
  } finally {
    points.close();
    await app.close();
  }
  const sent = new Set([...(await admin.info('commandstats')).matchAll(/cmdstat_([^:]+):/g)].map(([, name]) => name));
  return rules.filter((rule) => rule.startsWith('+') && !sent.has(rule.slice(1)));
}

/** The commands in the log of the ACL. From Redis 7.2 on ioredis names itself to a Cluster, and goes on if it may not. */
async function refused(admin: Redis): Promise<unknown[]> {
  const entries = (await admin.call('ACL', 'LOG')) as unknown[][];
  return entries.map((entry) => entry[entry.indexOf('object') + 1]);
}

/** Everything for which a server sends Redis a command of its own. */
async function used(app: TestApp): Promise<void> {
  const { store } = app.cache;
  const f = await fixture(app, 5);
  const told: string[] = [];
  const stop = store.subscribe((news) => told.push(news.kind));
  await eventually(() => expect(told).toContain('disconnected'));
  for (const { id } of f.opsTasks) {
    await taskOf(app, id, f.ada.id);
    await rename(app, { id, title: 'Another' }, f.ada.id);
  }
  await eventually(() => expect(told).toContain('released'));
  const sql = postgres(app.databaseUrl, { max: 1 });
  const first = f.opsTasks[0] as Fixture['opsTasks'][number];
  await sql`update tasks set title = 'By another program'`;
  await sql.end();
  await eventually(async () => {
    expect(await taskOf(app, first.id, f.ada.id)).toMatchObject({ title: 'By another program' });
  });
  stop();
  await eventually(async () => {
    await taskOf(app, first.id, f.ada.id);
    expect(['hit', 'near-hit']).toContain(lastOutcome(app, 'Task')?.kind);
  });
  const keys = Array.from({ length: 100 }, (_, i) => keyOfText(`key ${i}`));
  await store.fill(keys.map((key) => ({ key, text: 'text', ttlMs: 60_000 })));
  await store.read(
    keys,
    Array.from({ length: 100 }, (_, i) => tagOf(`tag ${i}`)),
    { mint: true, fenced: true },
  );
  await store.tryLockRefresh(keyOfText('any'), 60_000);
  for (let i = 0; i <= MAX_TEXTS + 200; i++) await store.setText(`apq:${i}`, 'text', 60_000);
  await store.getText('apq:0');
  await store.addCounters('2026-01-01', new Map([['Task hit', 1]]));
  await store.readCounters('2026-01-01');
  await store.samples.want(60_000);
  const { mark } = await store.samples.since(undefined);
  await store.samples.add('sample');
  expect(await store.samples.since(mark)).toMatchObject({ texts: ['sample'] });
  await store.inspection.heldTags([tagOf('any')]);
  // Two writers of one tag, and one of them dies: its fence is found by its note.
  await store.fence(999_999n, [tagOf('noted')], { fresh: false });
  await store.fence(999_998n, [tagOf('noted')], { fresh: true });
  await store.release(999_998n, [tagOf('noted')]);
  await store.releaseFinished(['999999'], [tagOf('noted')]);
  await app.settled();
}

/** What is under a heading or a word of the page, as `ACL SETUSER` takes it. */
async function documentedRules(where: string): Promise<string[]> {
  const page = await readFile('docs/redis-layout.md', 'utf8');
  const found = [...page.matchAll(/^# (.*)\nACL SETUSER tasks ((?:[^\n]*\\\n)*[^\n]*)/gm)].find(
    ([, name]) => name === where,
  );
  if (found === undefined) throw new Error(`docs/redis-layout.md names no rights for ${where}`);
  return (found[2] as string).replaceAll(/\\\n/g, ' ').trim().split(/\s+/);
}
