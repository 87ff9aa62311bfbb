/**
 * What can go wrong, one entry each. A fault is done when it is healed: `run` hurts, waits, heals, and returns when everything
 * is whole again; what it may break meanwhile it says beside it.
 */
import { copyFile, readdir, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { SECOND } from '../../src/std/time.js';
import { anotherDatabase } from './another-database.js';
import type { ApiChild } from './child.js';
import { HOOKS } from './child-options.js';
import type { Weather } from './proxy.js';
import type { Random } from './random.js';
import { REPLICATION_USER, type RedisNode } from './redis-node.js';
import { TOPOLOGIES, type TopologyKind } from './topology.js';
import { sleep, until } from './wait.js';
import type { Workload } from './workload.js';
import { type World, whole } from './world.js';

export interface Fault {
  readonly name: string;
  readonly topologies: readonly TopologyKind[];
  /** Some process may lose a Redis that another still has, or Redis may lose a fence and live: within 2 s is what is promised. */
  readonly partition?: true;
  /** Readers may get errors that are Postgres's own. */
  readonly hurtsPostgres?: true;
  /** Every write of the API is answered with success, however late: Redis is what fails, and Postgres has the truth. */
  readonly writesSucceed?: true;
  /** What it did, when that says more than its name: `not reached`. */
  run(world: World, workload: Workload, random: Random): Promise<string | undefined>;
}

const HOOK_WITHIN_MS = 4000;
const FAILOVER_WITHIN_MS = 20_000;
const WITH_REPLICAS: readonly TopologyKind[] = ['sentinel', 'cluster'];

export const FAULTS: readonly Fault[] = [
  ...HOOKS.flatMap((hook): Fault[] => [
    {
      name: `API: SIGKILL ${hook}`,
      topologies: TOPOLOGIES,
      async run({ children }, _, random) {
        const child = random.pick(children);
        if (!(await child.strikeAt(hook, 'SIGKILL', HOOK_WITHIN_MS))) return 'not reached';
        await child.startAgain();
        return undefined;
      },
    },
    {
      name: `API: SIGSTOP ${hook}`,
      topologies: TOPOLOGIES,
      async run({ children }, _, random) {
        const child = random.pick(children);
        if (!(await child.strikeAt(hook, 'SIGSTOP', HOOK_WITHIN_MS))) return 'not reached';
        await sleep(random.between(300, 3000));
        child.resume();
        await sleep(100);
        return undefined;
      },
    },
  ]),
  {
    name: 'Redis: SIGKILL, restart empty',
    topologies: TOPOLOGIES,
    async run(world, _, random) {
      const node = random.pick(await world.topology.primaries());
      await node.kill();
      await node.forget();
      await sleep(random.between(0, 600)); // below the time after which a replica takes over
      await node.start();
      await whole(world);
      return undefined;
    },
  },
  {
    name: 'Redis: SIGKILL, restart with its RDB',
    topologies: TOPOLOGIES,
    async run(world, _, random) {
      const node = random.pick(await world.topology.primaries());
      await node.command('SAVE');
      await sleep(random.between(0, 200)); // what is acknowledged now is lost
      await node.kill();
      await sleep(random.between(0, 600));
      await node.start();
      await whole(world);
      await node.forget();
      return undefined;
    },
  },
  {
    name: 'Redis: SIGKILL, restart with its AOF, its end lost',
    topologies: TOPOLOGIES,
    async run(world, _, random) {
      const node = random.pick(await world.topology.primaries());
      await node.command('CONFIG', 'SET', 'appendonly', 'yes');
      await until('the append-only file is written', async () => {
        const info = await node.info('persistence');
        return info.get('aof_rewrite_in_progress') === '0' && info.get('aof_rewrite_scheduled') === '0';
      });
      await sleep(random.between(200, 1000));
      await node.kill();
      await cutAof(node, random.between(0.5, 1));
      await node.start(['--appendonly', 'yes']);
      await whole(world);
      await node.command('CONFIG', 'SET', 'appendonly', 'no');
      await node.forget();
      return undefined;
    },
  },
  {
    name: 'Redis: an old RDB restored',
    topologies: TOPOLOGIES,
    async run(world, _, random) {
      const node = random.pick(await world.topology.primaries());
      await node.command('SAVE');
      await copyFile(join(node.dir, 'dump.rdb'), join(node.dir, 'old.rdb'));
      await sleep(random.between(1000, 3000));
      await node.kill();
      await copyFile(join(node.dir, 'old.rdb'), join(node.dir, 'dump.rdb'));
      await node.start();
      await whole(world);
      await node.forget();
      return undefined;
    },
  },
  {
    name: 'Redis: SIGSTOP',
    topologies: ['standalone'],
    run: (world, _, random) => pauseRedis(world, random.between(500, 3000), random),
  },
  {
    name: 'Redis: SIGSTOP, too short for a failover',
    topologies: WITH_REPLICAS,
    run: (world, _, random) => pauseRedis(world, random.between(300, 800), random),
  },
  {
    name: 'Redis: SIGSTOP, failover, then the old primary wakes',
    topologies: WITH_REPLICAS,
    partition: true, // whoever is still connected to the old one meets it awake before it learns that it is none
    async run(world, _, random) {
      const old = random.pick(await world.topology.primaries());
      old.pause();
      try {
        await failedOver(world, old);
        await sleep(random.between(0, 500));
      } finally {
        old.resume();
      }
      await follow(world, old);
      await whole(world);
      return undefined;
    },
  },
  {
    name: 'Redis: SIGSTOP, failover, writes, the old primary wakes: read at once and 5 s later',
    topologies: ['cluster'],
    partition: true, // as above, for the first 2 s
    async run(world, workload, random) {
      const old = random.pick(await world.topology.primaries());
      old.pause();
      try {
        await failedOver(world, old); // which takes longer than the node time-out
        await workload.writeEvery();
      } finally {
        old.resume();
      }
      await workload.readEvery();
      world.history.partitionEnds();
      await sleep(5 * SECOND);
      await workload.readEvery(); // no process may still have what the old primary said
      await whole(world);
      return undefined;
    },
  },
  {
    name: 'a load in line while Redis goes',
    topologies: TOPOLOGIES,
    async run(world, workload, random) {
      const slow = world.children.map(({ postgresProxy }) => postgresProxy);
      for (const proxy of slow) proxy.set({ kind: 'delay', ms: random.between(50, 150) });
      const node = random.pick(await world.topology.primaries());
      // Too short for a failover, where there may be one.
      const pauseMs = world.kind === 'standalone' ? random.between(300, 1500) : random.between(300, 800);
      await node.command('FLUSHALL'); // so that there is something to load
      const loading = workload.readManyAtOnce();
      await sleep(random.between(20, 150));
      node.pause();
      const joining = workload.readManyAtOnce();
      await sleep(pauseMs);
      node.resume();
      await Promise.all([loading, joining]);
      for (const proxy of slow) proxy.heal();
      await whole(world);
      await workload.readManyAtOnce(); // what was stored meanwhile
      return undefined;
    },
  },
  {
    name: 'Redis: failover, replication cut before',
    topologies: WITH_REPLICAS,
    async run(world, _, random) {
      const old = random.pick(await world.topology.primaries());
      await old.command('ACL', 'SETUSER', REPLICATION_USER, 'off');
      await old.command('CLIENT', 'KILL', 'TYPE', 'replica');
      await sleep(random.between(50, 500)); // what is acknowledged now is lost for certain
      await old.kill();
      await failedOver(world, old);
      await sleep(random.between(0, 1000));
      await old.start();
      await follow(world, old);
      await whole(world);
      return undefined;
    },
  },
  {
    name: 'Redis: DEBUG SLEEP',
    topologies: TOPOLOGIES,
    async run(world, _, random) {
      const node = random.pick(await world.topology.primaries());
      // A hang that leads to no failover.
      const sleepMs = world.kind === 'standalone' ? random.between(300, 3000) : random.between(200, 800);
      await node.command('DEBUG', 'SLEEP', (sleepMs / 1000).toFixed(3));
      await whole(world);
      return undefined;
    },
  },
  {
    name: 'Redis: FLUSHALL',
    topologies: TOPOLOGIES,
    async run(world, _, random) {
      for (let times = random.integer(3); times >= 0; times--) {
        for (const node of await world.topology.primaries()) await node.command('FLUSHALL');
        await sleep(random.between(0, 300));
      }
      return undefined;
    },
  },
  {
    name: 'Redis: full, volatile-lfu',
    topologies: TOPOLOGIES,
    partition: true, // a fence that finds no room is a Redis lost to its writer alone
    run: (world, _, random) => fillUp(world, 'volatile-lfu', random),
  },
  {
    name: 'Redis: full, allkeys-lru',
    topologies: TOPOLOGIES,
    partition: true, // fences are evicted
    run: (world, _, random) => fillUp(world, 'allkeys-lru', random),
  },
  {
    name: 'Redis: full, noeviction',
    topologies: TOPOLOGIES,
    partition: true, // while it fills up it takes one write and refuses the next: a Redis lost to some writers alone
    writesSucceed: true,
    run: (world, _, random) => fillUp(world, 'noeviction', random),
  },
  {
    name: 'Redis: refuses all writes, full',
    topologies: TOPOLOGIES,
    writesSucceed: true,
    run: (world, _, random) =>
      refuseWrites(world, random, {
        begin: async (node) => {
          await node.command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
          await node.command('CONFIG', 'SET', 'maxmemory', 1);
        },
        end: roomAgain,
      }),
  },
  {
    name: 'Redis: refuses all writes, READONLY',
    topologies: ['standalone'], // Sentinels and a cluster would make it what it was
    writesSucceed: true,
    run: (world, _, random) =>
      refuseWrites(world, random, {
        begin: (node) => node.command('REPLICAOF', '127.0.0.1', 1),
        end: (node) => node.command('REPLICAOF', 'NO', 'ONE'),
      }),
  },
  {
    name: 'Redis: refuses all writes, too few replicas',
    topologies: WITH_REPLICAS,
    writesSucceed: true,
    run: (world, _, random) =>
      refuseWrites(world, random, {
        begin: (node) => node.command('CONFIG', 'SET', 'min-replicas-to-write', 5),
        end: (node) => node.command('CONFIG', 'SET', 'min-replicas-to-write', 0),
      }),
  },
  {
    name: 'Postgres: backends terminated',
    topologies: TOPOLOGIES,
    hurtsPostgres: true,
    async run({ sql, database }, _, random) {
      for (let times = random.integer(3); times >= 0; times--) {
        await sql`select pg_terminate_backend(pid) from pg_stat_activity
          where datname = ${database} and application_name = 'tasks-api'`;
        await sleep(random.between(100, 500));
      }
      return undefined;
    },
  },
  {
    name: 'Postgres: COMMIT hangs, its backend is killed',
    topologies: TOPOLOGIES,
    async run({ sql, database }, _, random) {
      await sql.unsafe(`alter system set synchronous_standby_names = 'nobody'`);
      await sql`select pg_reload_conf()`;
      let killed = 0;
      try {
        await sleep(random.between(500, 2500));
        const found = await sql`select pg_terminate_backend(pid) from pg_stat_activity
          where datname = ${database} and wait_event = 'SyncRep'`;
        killed = found.length;
        await sleep(random.between(0, 500));
      } finally {
        await sql.unsafe('alter system reset synchronous_standby_names');
        await sql`select pg_reload_conf()`;
      }
      await sleep(100);
      return killed > 0 ? undefined : 'not reached';
    },
  },
  {
    name: 'Postgres: a backend crashes, the server recovers',
    topologies: TOPOLOGIES,
    hurtsPostgres: true,
    async run(world) {
      const [backend] = await world.sql<{ pid: number }[]>`select pid from pg_stat_activity
        where datname = ${world.database} and application_name = 'tasks-api' limit 1`;
      if (backend === undefined) return 'not reached';
      process.kill(backend.pid, 'SIGKILL');
      await sleep(50);
      await whole(world);
      return undefined;
    },
  },
  {
    name: 'Postgres: another database behind the same address',
    topologies: TOPOLOGIES,
    hurtsPostgres: true,
    run: anotherDatabase,
  },
  {
    name: 'SQL around the API, in bursts',
    topologies: TOPOLOGIES,
    async run(_, workload, random) {
      for (let i = 0; i < 40; i++) {
        await Promise.all([workload.writeRaw(1 + random.integer(20)), workload.writeRaw(1)]);
        await sleep(random.between(0, 40));
      }
      return undefined;
    },
  },
  ...(['Redis', 'Postgres'] as const).flatMap((service) => [
    proxyFault(service, 'delay', (random) => ({ kind: 'delay', ms: random.between(20, 400) })),
    proxyFault(service, 'half-open', () => ({ kind: 'halfOpen' })),
    proxyFault(service, 'requests lost', () => ({ kind: 'cut', lost: 'toServer' })),
    proxyFault(service, 'answers lost', () => ({ kind: 'cut', lost: 'toClient' })),
    proxyFault(service, 'refused', () => ({ kind: 'refuse' })),
    dropFault(service),
  ]),
];

/** A network that is bad for one process, two, or all. */
function proxyFault(service: 'Redis' | 'Postgres', name: string, weatherOf: (random: Random) => Weather): Fault {
  return {
    name: `network to ${service}: ${name}`,
    topologies: TOPOLOGIES,
    ...(service === 'Redis' ? { partition: true as const } : name !== 'delay' && { hurtsPostgres: true as const }),
    async run(world, _, random) {
      const weather = weatherOf(random);
      const proxies = some(world.children, random).flatMap((child) => frontsOf(child, service));
      for (const proxy of proxies) proxy.set(weather);
      await sleep(random.between(500, 3000));
      for (const proxy of proxies) proxy.heal();
      await sleep(100);
      return undefined;
    },
  };
}

/** Connections are reset and may be made again at once: nobody has lost anything for long. */
function dropFault(service: 'Redis' | 'Postgres'): Fault {
  return {
    name: `network to ${service}: connections reset`,
    topologies: TOPOLOGIES,
    ...(service === 'Postgres' && { hurtsPostgres: true as const }),
    async run(world, _, random) {
      for (let times = random.integer(6); times >= 0; times--) {
        for (const child of some(world.children, random)) for (const proxy of frontsOf(child, service)) proxy.drop();
        await sleep(random.between(20, 400));
      }
      return undefined;
    },
  };
}

function some(children: readonly ApiChild[], random: Random): readonly ApiChild[] {
  return random.shuffled(children).slice(0, 1 + random.integer(children.length));
}

function frontsOf(child: ApiChild, service: 'Redis' | 'Postgres') {
  return service === 'Redis' ? child.redisProxies : [child.postgresProxy];
}

async function pauseRedis(world: World, pauseMs: number, random: Random): Promise<undefined> {
  const node = random.pick(await world.topology.primaries());
  node.pause();
  await sleep(pauseMs);
  node.resume();
  await whole(world);
  return undefined;
}

/** Resolves when another node has taken the place of `old`. */
async function failedOver(world: World, old: RedisNode): Promise<void> {
  const shards = world.kind === 'cluster' ? 3 : 1;
  await until(
    'a replica takes over',
    async () => {
      const primaries = await world.topology.primaries();
      if (primaries.length !== shards || primaries.includes(old)) return false;
      for (const primary of primaries) if ((await primary.info('replication')).get('role') !== 'master') return false;
      return true;
    },
    { withinMs: FAILOVER_WITHIN_MS, everyMs: 100 },
  );
}

/** Sentinel takes 10 s and more to tell an old primary; a cluster tells it by itself. */
async function follow(world: World, old: RedisNode): Promise<void> {
  if (world.kind !== 'sentinel') return;
  const [primary] = await world.topology.primaries();
  await old.command('REPLICAOF', '127.0.0.1', (primary as RedisNode).port);
}

/** Some or all primaries answer and take no writes, for less or more than a lease. */
async function refuseWrites(
  world: World,
  random: Random,
  { begin, end }: Record<'begin' | 'end', (node: RedisNode) => Promise<unknown>>,
): Promise<undefined> {
  const primaries = random.shuffled(await world.topology.primaries());
  const refusing = primaries.slice(0, 1 + random.integer(primaries.length));
  try {
    for (const node of refusing) {
      await begin(node);
      await sleep(random.between(0, 300));
    }
    await sleep(random.between(500, 6000));
  } finally {
    for (const node of refusing) await end(node);
  }
  await whole(world);
  return undefined;
}

async function roomAgain(node: RedisNode): Promise<void> {
  await node.command('CONFIG', 'SET', 'maxmemory', 256 * 1024 * 1024);
  await node.command('CONFIG', 'SET', 'maxmemory-policy', 'volatile-lfu');
}

const JUNK_KEYS = 4000;
const JUNK_BYTES = 1000;

/** Less memory than there are data, and more data all the time. */
async function fillUp(
  world: World,
  policy: 'volatile-lfu' | 'allkeys-lru' | 'noeviction',
  random: Random,
): Promise<undefined> {
  const primaries = await world.topology.primaries();
  const script = `for i = 1, ARGV[1] do redis.call('SET', KEYS[1] .. ARGV[3] .. i, string.rep('x', ARGV[2]), 'PX', 60000) end`;
  for (const node of primaries) {
    const keyOf = await junkKeyOf(world, node);
    const junk = (count: number, name: string) => node.command('EVAL', script, 1, keyOf, count, JUNK_BYTES, name);
    try {
      await junk(JUNK_KEYS, 'old');
      const used = Number((await node.info('memory')).get('used_memory'));
      await node.command('CONFIG', 'SET', 'maxmemory-policy', policy);
      // Where nothing is evicted a little room is left, which is used up under load.
      const roomFor = policy === 'noeviction' ? 500 : -JUNK_KEYS / 2;
      await node.command('CONFIG', 'SET', 'maxmemory', used + roomFor * JUNK_BYTES);
      for (let i = 0; i < 20; i++) {
        await junk(200, `new${i}-`).catch(() => {}); // no room: that is the point
        await sleep(random.between(20, 120));
      }
      if (policy === 'noeviction') await sleep(random.between(0, 4000));
    } finally {
      await roomAgain(node);
    }
  }
  return undefined;
}

/** In a cluster, a key that is this node's to hold: hash tags are tried until one is. */
async function junkKeyOf(world: World, node: RedisNode): Promise<string> {
  if (world.kind !== 'cluster') return 'junk:';
  for (let i = 0; ; i++) {
    const key = `junk:{${i}}:`;
    const held = await node.command('GET', key).then(
      () => true,
      () => false,
    );
    if (held) return key;
  }
}

/** What a machine that stops loses of a file that is synced once a second; here a share of it. */
async function cutAof(node: RedisNode, share: number): Promise<void> {
  const dir = join(node.dir, 'appendonlydir');
  const name = (await readdir(dir)).filter((file) => file.endsWith('.incr.aof')).at(-1);
  if (name === undefined) return;
  const { size } = await stat(join(dir, name));
  await truncate(join(dir, name), Math.floor(size * share));
}
