/**
 * A Redis that answers and refuses writes, for every reason that Redis has: reads are never stale, writes commit without a fence once the
 * outage is known, and later writes do not wait for what earlier ones have learnt.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { describe, expect, test } from 'vitest';
import { openStore } from '../../src/core.js';
import { toUuid, type UserId } from '../../src/db/ids.js';
import { freePort } from '../../src/development/embedded/child.js';
import { installHint, startRedis } from '../../src/development/embedded/redis.js';
import { Cache, CacheError, LEASE_MS, tableTag } from '../../src/engine/cache/index.js';
import type { Outbox } from '../../src/engine/postgres/outbox.js';
import { Relay } from '../../src/engine/postgres/relay.js';
import { RedisStore } from '../../src/engine/redis/index.js';
import { MINUTE } from '../../src/std/time.js';
import { dataOf, eventually, type TestApp, type TestAppOptions } from '../support/app.js';
import { readableLog } from '../support/log.js';
import { ownRedis } from './own-redis.js';
import { rename, served, taskOf, type World, world } from './world.js';

/** One way in which a real server refuses writes. */
interface Refusal {
  readonly name: string;
  /** Of redis-server. */
  readonly args?: () => Promise<readonly string[]>;
  /** Makes the server what the API needs. */
  readonly prepare?: (redis: Redis) => Promise<unknown>;
  readonly begin: (redis: Redis, dir: string) => Promise<unknown>;
  readonly end: (redis: Redis) => Promise<unknown>;
  /** Other writes are still taken, so a lease goes on: until it has been applied, a write without a fence is seen by some and not by others. */
  readonly partial?: true;
}

/** A user of the test's own: what the default user may not do must not stop the test. */
const TESTER = 'tester';

const REFUSALS: readonly Refusal[] = [
  {
    name: 'OOM: full, with nothing that may be evicted',
    begin: async (redis) => {
      await redis.config('SET', 'maxmemory-policy', 'noeviction');
      await redis.config('SET', 'maxmemory', '1');
    },
    end: (redis) => redis.config('SET', 'maxmemory', '0'),
  },
  {
    name: 'READONLY: made a replica',
    begin: (redis) => redis.replicaof('127.0.0.1', 1),
    end: (redis) => redis.replicaof('NO', 'ONE'),
  },
  {
    name: 'NOREPLICAS: fewer replicas than min-replicas-to-write',
    begin: (redis) => redis.config('SET', 'min-replicas-to-write', '1'),
    end: (redis) => redis.config('SET', 'min-replicas-to-write', '0'),
  },
  {
    name: 'MISCONF: its snapshot cannot be written',
    args: async () => ['--dbfilename', 'snapshot'],
    begin: async (redis, dir) => {
      await mkdir(join(dir, 'snapshot')); // a folder: the file cannot take its place, whoever runs the server
      await redis.config('SET', 'save', '3600 1');
      await redis.bgsave();
      await eventually(async () => expect(await redis.info('persistence')).toContain('rdb_last_bgsave_status:err'));
    },
    end: (redis) => redis.config('SET', 'save', ''),
  },
  {
    name: 'NOPERM: its user has lost the right to write',
    begin: (redis) => redis.acl('SETUSER', 'default', '-@write'),
    end: (redis) => redis.acl('SETUSER', 'default', '+@all'),
  },
  {
    name: 'NOPERM: its user may not use the one command that only a fence needs',
    partial: true,
    begin: (redis) => redis.acl('SETUSER', 'default', '-mset'),
    end: (redis) => redis.acl('SETUSER', 'default', '+@all'),
  },
  {
    name: 'NOAUTH: a password that the API does not have',
    begin: async (redis) => {
      await redis.acl('SETUSER', 'default', 'resetpass', '>secret');
      await redis.call('CLIENT', 'KILL', 'USER', 'default');
    },
    end: (redis) => redis.acl('SETUSER', 'default', 'nopass'),
  },
  {
    name: 'CLUSTERDOWN: slots that no node has',
    args: async () => ['--cluster-enabled', 'yes', '--cluster-port', String(await freePort())],
    prepare: async (redis) => {
      await redis.call('CLUSTER', 'ADDSLOTSRANGE', 0, 16_383);
      await eventually(async () => expect(await redis.call('CLUSTER', 'INFO')).toContain('cluster_state:ok'));
    },
    begin: async (redis) => {
      await redis.call('CLUSTER', 'DELSLOTSRANGE', 0, 16_383);
      await eventually(async () => expect(await redis.call('CLUSTER', 'INFO')).toContain('cluster_state:fail'));
    },
    end: (redis) => redis.call('CLUSTER', 'ADDSLOTSRANGE', 0, 16_383),
  },
];

interface Scene {
  readonly w: World;
  readonly other: TestApp;
  readonly redis: Redis;
  readonly dir: string;
  /** The task that the tests write. */
  readonly id: string;
  readonly unfenced: bigint[];
  close(): Promise<void>;
}

/** Two processes of the API on a Redis of their own, both of which serve the task from their caches. */
async function scene({ args, prepare }: Partial<Refusal> = {}, options: TestAppOptions = {}): Promise<Scene> {
  const dir = await mkdtemp(join(tmpdir(), 'refused-writes-'));
  const server = await startRedis({ args: [...((await args?.()) ?? [])], dir });
  if (server === undefined) throw new Error(installHint());
  const first = new Redis(server.url);
  await first.acl('SETUSER', TESTER, 'on', '>test', '+@all', '~*', '&*');
  first.disconnect();
  const redis = new Redis(server.url, { username: TESTER, password: 'test' });
  await prepare?.(redis);
  const unfenced: bigint[] = [];
  const events = { unfenced: (xid: bigint) => unfenced.push(xid) };
  const nearCacheBytes = 1024 * 1024;
  const w = await world({ redisUrl: server.url, nearCacheBytes, ...options, events });
  const other = await w.second({ nearCacheBytes });
  const id = (w.f.opsTasks[0] as (typeof w.f.opsTasks)[number]).id;
  for (const app of [w.app, other]) await served(app, id, w.f.ada.id);
  return {
    w,
    other,
    redis,
    dir,
    id,
    unfenced,
    async close() {
      await w.close();
      redis.disconnect();
      await server.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

const versionOn = async ({ w, id }: Scene, app: TestApp) => (await taskOf(app, id, w.f.ada.id)).version;

/** Renames, and sees the new version on both processes as soon as the write is acknowledged. */
async function write(at: Scene, title: string): Promise<{ tookMs: number; fences: number }> {
  at.w.app.counts.fences = 0;
  const startedMs = performance.now();
  const version = await rename(at.w.app, { id: at.id, title }, at.w.f.ada.id);
  const tookMs = performance.now() - startedMs;
  expect([await versionOn(at, at.w.app), await versionOn(at, at.other)]).toEqual([version, version]);
  return { tookMs, fences: at.w.app.counts.fences };
}

/** The process knows that the outage has lasted 2 s: a machine that is busy for a second begins to count again. */
async function known({ w }: Scene): Promise<void> {
  await eventually(() => expect(w.app.cache.store.outageMs()).toBeGreaterThanOrEqual(LEASE_MS));
}

/**
 * Writes while the process knows of the outage, until a write makes one attempt: between the check and the write a busy machine may lose
 * the second after which the outage is counted from the beginning.
 * @returns how many writes that took
 */
async function untilOneTriesOnce(at: Scene): Promise<number> {
  for (let writes = 1; writes <= 20; writes++) {
    await known(at);
    const { fences, tookMs } = await write(at, `Write ${writes} of the known outage`);
    expect(tookMs).toBeGreaterThanOrEqual(LEASE_MS); // by then no process can be served the old value
    if (fences === 1) return writes;
  }
  throw new Error('no write of the known outage made only one attempt');
}

/** Reads on both processes until it is stopped: each must show at least what Postgres held when the read began. */
function watch(at: Scene) {
  let stopped = false;
  let reads = 0;
  const loop = async (app: TestApp) => {
    while (!stopped) {
      const [row] = await at.w.sql<{ version: number }[]>`
        select version from tasks where id = ${toUuid(at.id as `task_${string}`)}`;
      expect(await versionOn(at, app)).toBeGreaterThanOrEqual(row?.version as number);
      reads++;
    }
  };
  const loops = Promise.all([loop(at.w.app), loop(at.other)]);
  loops.catch(() => {}); // `stop` rejects
  return {
    async stop() {
      stopped = true;
      await loops;
      expect(reads).toBeGreaterThan(0);
    },
  };
}

describe('Redis refuses writes', () => {
  test.concurrent.each(REFUSALS)(
    '$name: writes commit without a fence and are seen everywhere when they are answered; the next one tries once',
    async (refusal) => {
      const at = await scene(refusal);
      try {
        const watched = refusal.partial ? undefined : watch(at);
        await refusal.begin(at.redis, at.dir);
        const first = await write(at, 'The first write of the outage');
        expect(first.tookMs).toBeGreaterThanOrEqual(LEASE_MS);
        const writes = await untilOneTriesOnce(at);
        expect(at.unfenced).toHaveLength(1 + writes);

        await refusal.end(at.redis);
        for (const app of [at.w.app, at.other]) await served(app, at.id, at.w.f.ada.id);
        await write(at, 'With Redis again');
        expect(at.unfenced).toHaveLength(1 + writes);
        await watched?.stop();
        expect((await served(at.other, at.id, at.w.f.ada.id)).title).toBe('With Redis again');
      } finally {
        await at.close();
      }
    },
    2 * MINUTE,
  );
});

const [FULL] = REFUSALS as [Refusal, ...Refusal[]];
const CREATE = `mutation ($input: CreateTaskInput!) {
  createTask(input: $input) { task { id } errors { message } }
}`;

describe('Redis is full and evicts nothing', () => {
  test.concurrent(
    '120 concurrent creates are all answered, each after one attempt to fence once the outage is known; /readyz and /metrics show it',
    async () => {
      const at = await scene();
      const { app, f } = at.w;
      try {
        await at.w.sql`update project_members set role = 'MEMBER' where user_id = ${toUuid(f.vic.id)}`;
        await FULL.begin(at.redis, at.dir);
        await write(at, 'The write that learns it');
        await known(at);
        app.counts.fences = 0;
        // A viewer may have fifty writes waiting.
        const creators = [f.ada, f.bob, f.vic].map(({ id }) => id);
        const create = (i: number) =>
          app.ask(CREATE, {
            as: creators[i % 3] as UserId,
            variables: { input: { projectId: f.ops.id, title: `Created ${i}` } },
          });
        const answers = await Promise.all(Array.from({ length: 120 }, (_, i) => create(i)));
        for (const answer of answers) expect(dataOf(answer).createTask.errors).toEqual([]);
        expect(new Set(answers.map(({ data }) => data.createTask.task.id)).size).toBe(120);
        // One each; a machine so slow that it learns of the outage again in between needs some more. Without the knowledge it is 40 each.
        expect(app.counts.fences).toBeLessThan(4 * 120);

        const ready = await app.server.inject({ method: 'GET', url: '/readyz' });
        expect([ready.statusCode, ready.json().redis]).toEqual([
          200,
          "refuses writes: OOM command not allowed when used memory > 'maxmemory'.",
        ]);
        const metrics = (await app.server.inject({ method: 'GET', url: '/metrics' })).body;
        expect(Number(/^cache_store_lost_seconds (.+)$/m.exec(metrics)?.[1])).toBeGreaterThanOrEqual(LEASE_MS / 1000);
        expect(Number(/^cache_unfenced_commits_total (.+)$/m.exec(metrics)?.[1])).toBe(121);
      } finally {
        await at.close();
      }
    },
    2 * MINUTE,
  );

  test.concurrent(
    'a transaction that waits for its first fence goes on as soon as another one has learnt that the outage has lasted 2 s',
    async () => {
      const at = await scene();
      try {
        await FULL.begin(at.redis, at.dir);
        await eventually(() => expect(at.w.app.cache.store.outageMs()).toBeGreaterThan(0.9 * LEASE_MS));
        // Its own 2 s would be some 40 attempts.
        expect((await write(at, 'Begun late')).fences).toBeLessThan(10);
        expect(at.unfenced).toHaveLength(1);
      } finally {
        await at.close();
      }
    },
    2 * MINUTE,
  );

  test.concurrent(
    'under FENCE_POLICY=reject a write is refused and changes nothing',
    async () => {
      const at = await scene({}, { app: { fencePolicy: 'reject' } });
      try {
        const before = await taskOf(at.w.app, at.id, at.w.f.ada.id);
        await FULL.begin(at.redis, at.dir);
        const variables = { input: { id: at.id, title: 'Refused' } };
        const answer = await at.w.app.ask(
          'mutation ($input: UpdateTaskInput!) { updateTask(input: $input) { task { id } } }',
          { as: at.w.f.ada.id, variables },
        );
        expect(answer.errors).toMatchObject([
          {
            message: 'the write was refused: Redis cannot be reached, or takes no writes',
            extensions: { code: 'FENCE_REFUSED' },
          },
        ]);
        expect(await taskOf(at.w.app, at.id, at.w.f.ada.id)).toEqual(before);
      } finally {
        await at.close();
      }
    },
    2 * MINUTE,
  );

  test.concurrent(
    'the log says why once when it begins and once when it ends',
    async () => {
      const server = await startRedis();
      const redis = new Redis(server?.url as string);
      const { log, lines } = readableLog();
      const store = await openStore({ url: server?.url as string }, log);
      const cache = new Cache({ store });
      try {
        await FULL.begin(redis, '');
        const fences = [1n, 2n, 3n].map((xid) => cache.fence(xid, [tableTag('tasks')]));
        expect(await Promise.all(fences)).toEqual([false, false, false]);
        expect(await cache.fence(4n, [tableTag('tasks')])).toBe(false);
        await FULL.end(redis);
        expect(await cache.fence(5n, [tableTag('tasks')])).toBe(true);
        expect(lines.map(({ msg }) => msg)).toEqual([
          "Redis refuses writes: OOM command not allowed when used memory > 'maxmemory'.: " +
            'writes commit without a fence and are answered 2 s later',
          'Redis accepts writes again: writes are fenced',
        ]);
      } finally {
        await store.close();
        redis.disconnect();
        await server?.stop();
      }
    },
    2 * MINUTE,
  );

  test('nothing of a refused fence or tick is written, and a purge renews no lease', async () => {
    const server = await startRedis();
    const redis = new Redis(server?.url as string);
    const store = new RedisStore({ url: server?.url as string, waitMs: 5000 });
    const next = { xid: 100n, purge: 'purge' };
    const applied = async (more: object = {}) => {
      const head = await store.head();
      return (await store.apply({ head, next, rows: [], barrier: 100n, grant: 'grant', ...more })).result;
    };
    const dump = async () => {
      const keys = (await redis.keys('*')).filter((key) => !key.startsWith('ok:')).sort();
      return Promise.all(keys.map(async (key) => [key, (await redis.dumpBuffer(key))?.toString('hex')]));
    };
    try {
      await store.ready();
      expect(await applied({ grant: 'hold' })).toBe('applied');
      expect(await applied()).toBe('applied');
      await store.fence(107n, [tableTag('tasks')], { fresh: false });
      await store.release(107n, [tableTag('tasks')]);
      await store.read([], [tableTag('tasks')], { mint: true }); // a token that APPLY of a row takes away
      const { head, before } = { head: await store.head(), before: await dump() };
      expect(head.leaseLeftMs).toBeGreaterThan(0);
      await FULL.begin(redis, '');
      const tick = { head, next, barrier: undefined, grant: 'grant' } as const;
      const purging = { ...tick, rows: [], next: { xid: 100n, purge: 'another' } };
      const refused: (() => Promise<unknown>)[] = [
        () => store.fence(108n, [tableTag('tasks')], { fresh: false }),
        () => store.fence(107n, [tableTag('tasks')], { fresh: true }),
        () => store.apply({ ...tick, rows: [{ xid: 108n, tags: [tableTag('tasks')] }] }),
        () => store.apply({ ...tick, rows: [] }),
        () => store.apply(purging),
      ];
      for (const call of refused) await expect(call()).rejects.toBeInstanceOf(CacheError);
      expect(await dump()).toEqual(before);
      await eventually(async () => expect((await store.head()).refusal).toMatch(/^OOM/)); // asked when the lease is over
      await FULL.end(redis);
      const { leaseLeftMs, refusal } = await store.head();
      expect({ leaseLeftMs, refusal }).toEqual({ leaseLeftMs: 0, refusal: undefined });
    } finally {
      await store.close();
      redis.disconnect();
      await server?.stop();
    }
  });
});

test('a tick that is applied ends the outage, and a read does not: from then on there may be a lease', async () => {
  const server = await startRedis();
  const redis = new Redis(server?.url as string);
  const store = new RedisStore({ url: server?.url as string, waitMs: 5000 });
  try {
    await store.ready();
    const head = await store.head();
    await FULL.begin(redis, '');
    await expect(store.fence(108n, [tableTag('tasks')], { fresh: false })).rejects.toBeInstanceOf(CacheError);
    expect(store.outageMs([])).toBeGreaterThan(0);
    await FULL.end(redis);
    await store.read([], [tableTag('tasks')]);
    expect(store.outageMs([])).toBeGreaterThan(0);
    const next = { xid: 100n, purge: 'purge' };
    expect(await store.apply({ head, next, rows: [], barrier: undefined, grant: 'hold' })).toMatchObject({
      result: 'applied',
    });
    expect(store.outageMs([])).toBe(0);
  } finally {
    await store.close();
    redis.disconnect();
    await server?.stop();
  }
});

test('a write that a server without slots refuses does not end the outage that its refused reads began', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'refused-writes-'));
  const args = ['--cluster-enabled', 'yes', '--cluster-port', String(await freePort())];
  const server = await startRedis({ args, dir });
  const store = new RedisStore({ url: server?.url as string, waitMs: 5000 });
  try {
    await store.ready();
    await expect(store.head()).rejects.toBeInstanceOf(CacheError);
    const lostMs = store.outageMs();
    expect(lostMs).toBeGreaterThan(0);
    await expect(store.release(107n, [tableTag('tasks')])).rejects.toThrow('CLUSTERDOWN');
    expect(store.outageMs()).toBeGreaterThan(lostMs);
  } finally {
    await store.close();
    await server?.stop();
    await rm(dir, { recursive: true, force: true });
  }
});

test(
  'a tick takes no barrier while Redis refuses writes, since a fence refused after it would not be waited for',
  async () => {
    const server = await startRedis();
    const redis = new Redis(server?.url as string);
    const store = new RedisStore({ url: server?.url as string, waitMs: 5000 });
    let barriers = 0;
    const identity = { id: 'fake', previous: undefined };
    const outbox: Outbox = {
      identity: async () => identity,
      read: async () => ({ identity, horizon: 200n, upTo: 200n, rows: [], cut: false, trimmedBelow: 0n }),
      freshTransactionId: async () => BigInt(100 + ++barriers),
      trim: async () => false,
      close: async () => {},
    };
    const relay = new Relay({ store, connect: () => outbox, log: readableLog().log });
    try {
      await store.ready();
      await FULL.begin(redis, '');
      await expect(relay.tick()).rejects.toThrow(
        "Redis refuses writes: OOM command not allowed when used memory > 'maxmemory'.",
      );
      expect(barriers).toBe(0);
      await FULL.end(redis);
      expect((await relay.tick()).result).toBe('applied');
      expect(barriers).toBe(1);
    } finally {
      await store.close();
      redis.disconnect();
      await server?.stop();
    }
  },
  2 * MINUTE,
);

describe('Redis loads its data', () => {
  test.concurrent(
    'writes commit without a fence until it has loaded them, and it then serves nothing old',
    async () => {
      const SLOW = ['--key-load-delay', '2000', '--loading-process-events-interval-bytes', '1024'];
      const dir = await mkdtemp(join(tmpdir(), 'refused-writes-'));
      const own = await ownRedis({ dir });
      const w = await world({ redisUrl: own.url });
      const redis = new Redis(own.url, { retryStrategy: () => 50, enableReadyCheck: false });
      redis.on('error', () => {});
      const loading = async () => expect(await redis.info('persistence')).toContain('loading:1');
      try {
        const task = w.f.opsTasks[0] as (typeof w.f.opsTasks)[number];
        await served(w.app, task.id, w.f.ada.id);
        await redis.eval("for i = 1, 4000 do redis.call('SET', 'junk' .. i, string.rep('x', 100)) end", 0);
        await redis.save();
        await own.kill();
        const started = own.start(SLOW);
        await eventually(loading);
        const version = await rename(w.app, { id: task.id, title: 'While it loads' }, w.f.ada.id);
        await loading();
        expect((await taskOf(w.app, task.id, w.f.ada.id)).version).toBe(version);
        await started;
        expect((await served(w.app, task.id, w.f.ada.id)).title).toBe('While it loads');
      } finally {
        redis.disconnect();
        await w.close();
        await own.kill();
        await rm(dir, { recursive: true, force: true });
      }
    },
    2 * MINUTE,
  );
});

test('a fence that is not placed because the keys belong to another database ends no outage: nothing was written', async () => {
  const server = await startRedis();
  const redis = new Redis(server?.url as string);
  const store = new RedisStore({ url: server?.url as string, waitMs: 5000 });
  const fence = (database: string) => store.fence(108n, [tableTag('tasks')], { fresh: false, database });
  try {
    await store.ready();
    const next = { xid: 100n, purge: 'ours.purge' };
    await store.apply({ head: await store.head(), next, rows: [], barrier: undefined, grant: 'hold' });
    await FULL.begin(redis, '');
    await expect(fence('ours')).rejects.toBeInstanceOf(CacheError);
    expect(await fence('theirs')).toBe('foreign');
    expect(store.outageMs([])).toBeGreaterThan(0);
    await FULL.end(redis);
    expect(await fence('ours')).toBe('fenced');
    expect(store.outageMs([])).toBe(0);
  } finally {
    await store.close();
    redis.disconnect();
    await server?.stop();
  }
});
