/**
 * The services of a run, private and on free ports: PostgreSQL, and Redis in one of three topologies. Each API process sees each
 * Redis node, and Postgres, through a proxy of its own, so that one process can be cut off from what the others still have.
 * Replication, Sentinels and the cluster's bus go direct.
 */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../src/development/embedded/child.js';
import { type EmbeddedPostgres, startPostgres } from '../../src/development/embedded/postgres.js';
import { type ChaosProxy, chaosProxy, type Target } from './proxy.js';
import type { Reaper } from './reaper.js';
import { REPLICATION_USER, RedisNode } from './redis-node.js';
import { until } from './wait.js';

export type TopologyKind = 'standalone' | 'sentinel' | 'cluster';
export const TOPOLOGIES: readonly TopologyKind[] = ['standalone', 'sentinel', 'cluster'];

type NatMap = Record<string, Target>;

/** Where a store finds its Redis: the options of RedisStore that name it. */
export type StoreAddress =
  | { readonly url: string }
  | { readonly sentinels: Target[]; readonly master: string; readonly natMap: NatMap }
  | { readonly cluster: Target[]; readonly natMap: NatMap };

export interface Topology {
  readonly kind: TopologyKind;
  readonly nodes: readonly RedisNode[];
  /** For the API process of this number. */
  addressFor(child: number): StoreAddress;
  /** In front of all Redis nodes, for this process. */
  proxiesOf(child: number): readonly ChaosProxy[];
  /** In the order of the shards. */
  primaries(): Promise<RedisNode[]>;
  replicasOf(primary: RedisNode): Promise<RedisNode[]>;
  /** Resolves when all nodes are up and agree on who is what. */
  whole(): Promise<void>;
  stop(): Promise<void>;
}

const MASTER = 'tasks';
const SHARDS = 3;
const SLOTS = 16_384;
const POSTGRES_FLAGS = ['fsync=off', 'synchronous_commit=on', 'full_page_writes=off', 'max_connections=200'];

export async function startDatabase(reaper: Reaper): Promise<EmbeddedPostgres> {
  const dataDir = await mkdtemp(join(tmpdir(), 'tasks-chaos-postgres-'));
  reaper.removes(dataDir);
  const server = await startPostgres({ dataDir, flags: POSTGRES_FLAGS });
  reaper.watch(server.pid);
  reaper.removes(server.dataDir);
  return server;
}

/** `tls`: lines of redis.conf for a port with TLS, to which clients, replicas and Sentinels then come. */
export async function startTopology(
  kind: TopologyKind,
  { children, reaper, tls }: { children: number; reaper: Reaper; tls?: readonly string[] },
): Promise<Topology> {
  const dir = await mkdtemp(join(tmpdir(), 'tasks-chaos-redis-'));
  reaper.removes(dir);
  const make = (role: 'data' | 'sentinel', lines: readonly string[]) =>
    RedisNode.create({ dir, role, reaper, lines, tls });
  switch (kind) {
    case 'standalone':
      return await standalone(make, children);
    case 'sentinel':
      return await sentinel(make, children);
    case 'cluster':
      return await cluster(make, children);
  }
}

type Make = (role: 'data' | 'sentinel', lines: readonly string[]) => Promise<RedisNode>;

async function standalone(make: Make, children: number): Promise<Topology> {
  const node = await make('data', []);
  await node.start();
  const fronts = await frontsOf([node], children);
  return {
    kind: 'standalone',
    nodes: [node],
    addressFor: (child) => ({ url: `redis://127.0.0.1:${(fronts.of(child)[0] as ChaosProxy).port}` }),
    proxiesOf: fronts.of,
    primaries: async () => [node],
    replicasOf: async () => [],
    whole: () => until('Redis answers', async () => (await node.command('PING')) === 'PONG'),
    stop: () => stopAll([node], fronts),
  };
}

async function sentinel(make: Make, children: number): Promise<Topology> {
  const first = await make('data', []);
  await first.start();
  const second = await make('data', [`replicaof 127.0.0.1 ${first.clientPort}`]);
  await second.start();
  const nodes = [first, second];
  const sentinels = await Promise.all(
    [1, 2, 3].map(() =>
      make('sentinel', [
        `sentinel monitor ${MASTER} 127.0.0.1 ${first.clientPort} 2`,
        `sentinel down-after-milliseconds ${MASTER} 1000`,
        `sentinel failover-timeout ${MASTER} 3000`,
      ]),
    ),
  );
  for (const one of sentinels) await one.start();
  const fronts = await frontsOf(nodes, children);
  const primaryBy = async (one: RedisNode) => {
    const [, port] = (await one.command('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', MASTER)) as [string, string];
    return nodes.find((node) => node.clientPort === Number(port)) as RedisNode;
  };
  const topology: Topology = {
    kind: 'sentinel',
    nodes,
    addressFor: (child) => ({
      sentinels: sentinels.map(({ clientPort: port }) => ({ host: '127.0.0.1', port })),
      master: MASTER,
      natMap: fronts.natMapOf(child),
    }),
    proxiesOf: fronts.of,
    primaries: async () => [await primaryBy(sentinels[0] as RedisNode)],
    replicasOf: async (primary) => nodes.filter((node) => node !== primary),
    whole: () =>
      until('the Sentinels agree, and the replica follows the primary', async () => {
        for (const node of nodes) await node.command('ACL', 'SETUSER', REPLICATION_USER, 'on');
        const [primary, ...others] = await Promise.all(sentinels.map(primaryBy));
        if (primary === undefined || others.some((other) => other !== primary)) return false;
        const [replica] = await topology.replicasOf(primary);
        const [role, link] = [await primary.info('replication'), await (replica as RedisNode).info('replication')];
        const states = await Promise.all(
          sentinels.map(async (one) => String(await one.command('SENTINEL', 'REPLICAS', MASTER))),
        );
        const known = states.every((state) => !/s_down|o_down|disconnected/.test(state) && state.includes('slave'));
        return known && role.get('role') === 'master' && link.get('master_link_status') === 'up';
      }),
    stop: () => stopAll([...sentinels, ...nodes], fronts),
  };
  await topology.whole();
  return topology;
}

async function cluster(make: Make, children: number): Promise<Topology> {
  const nodes = await Promise.all(
    Array.from({ length: 2 * SHARDS }, async () =>
      make('data', [
        'cluster-enabled yes',
        // Not 10 000 above the other: that may be no port at all.
        `cluster-port ${await freePort()}`,
        'cluster-node-timeout 1500',
        'cluster-replica-validity-factor 0',
        'cluster-require-full-coverage no',
      ]),
    ),
  );
  for (const node of nodes) await node.start();
  const ids = new Map<RedisNode, string>();
  for (const node of nodes) ids.set(node, String(await node.command('CLUSTER', 'MYID')));
  const busPorts = new Map<RedisNode, string>();
  for (const node of nodes) {
    const [, port] = (await node.command('CONFIG', 'GET', 'cluster-port')) as [string, string];
    busPorts.set(node, port);
  }
  const [meeting, ...others] = nodes as [RedisNode, ...RedisNode[]];
  for (const other of others)
    await meeting.command('CLUSTER', 'MEET', '127.0.0.1', other.clientPort, busPorts.get(other) as string);
  const firsts = nodes.slice(0, SHARDS);
  for (const [shard, node] of firsts.entries()) {
    const from = Math.floor((SLOTS / SHARDS) * shard);
    const to = Math.floor((SLOTS / SHARDS) * (shard + 1)) - 1;
    await node.command('CLUSTER', 'ADDSLOTSRANGE', from, to);
    await node.command('CLUSTER', 'SET-CONFIG-EPOCH', shard + 1).catch(() => {}); // they have found epochs of their own
  }
  for (const [shard, primary] of firsts.entries()) {
    const replica = nodes[SHARDS + shard] as RedisNode;
    await until('a replica finds its primary', async () => {
      await replica.command('CLUSTER', 'REPLICATE', ids.get(primary) as string);
      return true;
    });
  }
  const fronts = await frontsOf(nodes, children);

  /** The cluster as the first node that answers sees it. */
  const seen = async (): Promise<ClusterLine[]> => {
    for (const node of nodes) {
      if (node.pid === undefined) continue;
      const text = await node.command('CLUSTER', 'NODES').catch(() => undefined);
      const lines = text === undefined ? [] : clusterLines(String(text));
      // A node that was paused or restarted may still think that it is what it was.
      if (lines.length === nodes.length && !lines.some(({ own, failed }) => own && failed)) return lines;
    }
    throw new Error('no node of the cluster answers');
  };
  const nodeOf = ({ port }: ClusterLine) => nodes.find((node) => node.port === port) as RedisNode;
  const topology: Topology = {
    kind: 'cluster',
    nodes,
    addressFor: (child) => ({
      // What it is told of the cluster comes through its proxies, too.
      cluster: fronts.of(child).map(({ port }) => ({ host: '127.0.0.1', port })),
      natMap: fronts.natMapOf(child),
    }),
    proxiesOf: fronts.of,
    primaries: async () =>
      (await seen())
        .filter(({ primary, failed, firstSlot }) => primary && !failed && firstSlot !== undefined)
        .sort((a, b) => (a.firstSlot as number) - (b.firstSlot as number))
        .map(nodeOf),
    replicasOf: async (primary) => (await seen()).filter(({ of }) => of === ids.get(primary)).map(nodeOf),
    whole: () =>
      until('all nodes of the cluster agree', async () => {
        const views = await Promise.all(
          nodes.map(async (node) => {
            await node.command('ACL', 'SETUSER', REPLICATION_USER, 'on');
            const state = String(await node.command('CLUSTER', 'INFO'));
            const lines = clusterLines(String(await node.command('CLUSTER', 'NODES')));
            const link = (await node.info('replication')).get('master_link_status');
            const good =
              state.includes('cluster_state:ok') &&
              link !== 'down' &&
              lines.every(({ failed }) => !failed) &&
              lines.filter(({ firstSlot }) => firstSlot !== undefined).length === SHARDS &&
              lines.filter(({ of }) => of !== undefined).length === SHARDS;
            const summary = lines.map(({ port, of, firstSlot }) => `${port} ${of} ${firstSlot}`).sort();
            return good ? summary.join('\n') : undefined;
          }),
        );
        return views[0] !== undefined && views.every((view) => view === views[0]);
      }),
    stop: () => stopAll(nodes, fronts),
  };
  await topology.whole();
  return topology;
}

interface ClusterLine {
  readonly port: number;
  /** The line of the node that was asked. */
  readonly own: boolean;
  readonly primary: boolean;
  readonly failed: boolean;
  /** Of a replica: its primary's id. */
  readonly of: string | undefined;
  readonly firstSlot: number | undefined;
}

/** `<id> <ip:port@bus> <flags> <primary or -> <ping> <pong> <epoch> <link> <slots>…` */
function clusterLines(text: string): ClusterLine[] {
  return text
    .trim()
    .split('\n')
    .map((line) => {
      const [, address = '', flags = '', of = '-', , , , , slots] = line.trim().split(' ');
      return {
        port: Number(/:(\d+)/.exec(address)?.[1]),
        own: flags.includes('myself'),
        primary: flags.includes('master'),
        failed: /fail|handshake|noaddr/.test(flags),
        of: of === '-' ? undefined : of,
        firstSlot: slots === undefined ? undefined : Number.parseInt(slots, 10),
      };
    });
}

interface Fronts {
  of(child: number): readonly ChaosProxy[];
  natMapOf(child: number): NatMap;
  close(): Promise<void>;
}

/** A proxy for each process in front of each node. */
async function frontsOf(nodes: readonly RedisNode[], children: number): Promise<Fronts> {
  const proxies = await Promise.all(
    Array.from({ length: children }, () =>
      Promise.all(nodes.map(({ clientPort: port }) => chaosProxy(() => ({ host: '127.0.0.1', port })))),
    ),
  );
  const of = (child: number) => proxies[child] as ChaosProxy[];
  return {
    of,
    natMapOf: (child) =>
      Object.fromEntries(
        nodes.map(({ clientPort: port }, i) => [
          `127.0.0.1:${port}`,
          { host: '127.0.0.1', port: (of(child)[i] as ChaosProxy).port },
        ]),
      ),
    async close() {
      await Promise.all(proxies.flat().map((proxy) => proxy.close()));
    },
  };
}

async function stopAll(nodes: readonly RedisNode[], fronts: Fronts): Promise<void> {
  await fronts.close();
  await Promise.all(nodes.map((node) => node.kill()));
}
