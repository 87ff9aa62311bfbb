/**
 * Where an application's own client of ioredis leads. The cache opens connections of its own there: it relies on
 * commands that are never queued and never sent twice, and on knowing which server each connection leads to. The client
 * itself is not used, and stays the application's.
 */
import type { ClusterOptions } from 'ioredis';
import type { Address, RedisPlace } from './place.js';

/** A `Redis` or a `Cluster` of ioredis, of whatever version. */
export interface RedisClient {
  readonly options: object;
  readonly isCluster?: boolean;
  /** A method. Its type differs between the two. */
  readonly on: object;
}

/**
 * The options that say where a server is and who connects to it. Others say how a client behaves, which the cache
 * decides itself.
 */
const WHERE = [
  ...['host', 'port', 'path', 'family', 'username', 'password', 'db', 'tls', 'natMap', 'connectionName', 'keepAlive'],
  ...[
    'sentinels',
    'name',
    'sentinelUsername',
    'sentinelPassword',
    'sentinelTLS',
    'enableTLSForSentinelMode',
    'preferredSlaves',
  ],
] as const;

interface ClusterClient extends RedisClient {
  readonly startupNodes: readonly (string | number | { host?: string; port?: number })[];
  readonly options: Pick<ClusterOptions, 'redisOptions' | 'natMap' | 'dnsLookup'>;
}

/** @throws TypeError when it is no client of ioredis */
export function placeOf(client: RedisClient): RedisPlace {
  if (isCluster(client)) {
    const { redisOptions: { username, password, tls } = {}, natMap, dnsLookup } = client.options;
    return {
      cluster: client.startupNodes.map(addressOf),
      access: { ...(username && { username }), ...(password && { password }), ...(tls && { tls }) },
      ...(natMap && { natMap }),
      ...(dnsLookup && { dnsLookup }),
    };
  }
  const { options } = client as { options?: Record<string, unknown> };
  if (typeof options !== 'object' || !('port' in options) || !('on' in client)) {
    throw new TypeError('expected a URL, or a Redis or Cluster of ioredis');
  }
  return {
    server: Object.fromEntries(WHERE.flatMap((name) => (options[name] == null ? [] : [[name, options[name]]]))),
  };
}

function isCluster(client: RedisClient): client is ClusterClient {
  return client.isCluster === true && Array.isArray((client as Partial<ClusterClient>).startupNodes);
}

function addressOf(node: ClusterClient['startupNodes'][number]): Address {
  if (typeof node === 'number') return { host: '127.0.0.1', port: node };
  if (typeof node === 'object') return { host: node.host ?? '127.0.0.1', port: node.port ?? 6379 };
  const { hostname, port } = new URL(node.includes('://') ? node : `redis://${node}`);
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 6379) };
}
