/** The Redis servers of a bench, all of them private: one alone, or a Cluster of three shards with a replica each. */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import type { Reaper } from '../test/chaos/reaper.js';
import { RedisNode } from '../test/chaos/redis-node.js';
import { startTopology } from '../test/chaos/topology.js';
import { type RedisUsage, redisUsage, together } from './redis-meter.js';

export interface RedisServers {
  /** Of one server; of a Cluster, that of its first shard. */
  readonly url: string;
  /** Of a Cluster: its shards, as REDIS_CLUSTER_NODES lists them. */
  readonly clusterNodes: string | undefined;
  /** Of one server; of a Cluster, to its first shard. */
  readonly client: Redis;
  clear(): Promise<void>;
  /** Of all servers together, since they began. */
  usage(): Promise<RedisUsage>;
  version(): Promise<string>;
  stop(): Promise<void>;
}

export async function startRedisServer(reaper: Reaper): Promise<RedisServers> {
  const dir = await mkdtemp(join(tmpdir(), 'tasks-bench-redis-'));
  reaper.removes(dir);
  const node = await RedisNode.create({ dir, role: 'data', reaper, lines: [] });
  await node.start();
  return serversAt([node.port], { isCluster: false, stop: () => node.kill() });
}

export async function startRedisCluster(reaper: Reaper): Promise<RedisServers> {
  const topology = await startTopology('cluster', { children: 0, reaper }); // no proxies
  const primaries = await topology.primaries();
  const ports = primaries.map(({ port }) => port);
  return serversAt(ports, { isCluster: true, stop: () => topology.stop() });
}

function serversAt(
  ports: readonly number[],
  { isCluster, stop }: { isCluster: boolean; stop: () => Promise<void> },
): RedisServers {
  const clients = ports.map((port) => new Redis({ host: '127.0.0.1', port }));
  return {
    url: `redis://127.0.0.1:${ports[0]}`,
    clusterNodes: isCluster ? ports.map((port) => `127.0.0.1:${port}`).join() : undefined,
    client: clients[0] as Redis,
    async clear() {
      await Promise.all(clients.map((client) => client.flushall()));
    },
    async usage() {
      return together(await Promise.all(clients.map(redisUsage)));
    },
    async version() {
      return /redis_version:(\S+)/.exec(await (clients[0] as Redis).info('server'))?.[1] ?? '?';
    },
    async stop() {
      for (const client of clients) client.disconnect();
      await stop();
    },
  };
}
