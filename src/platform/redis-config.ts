/** The settings of the environment that say where Redis is, and who connects to it. Read by config.ts. */
import { z } from 'zod';
import { type Access, type Address, databaseIn, loginIn, type RedisPlace } from '../engine/redis/index.js';
import type { Environment } from './secret-files.js';
import { isKeyOf, tlsCertificates, tlsKey } from './tls-files.js';

const HOST_PORT = String.raw`(?:\[[0-9A-Fa-f:.%\w]+\]|[^\s,:=[\]]+):\d{1,5}`;
const ADDRESSES = new RegExp(`^${HOST_PORT}(,${HOST_PORT})*$`);
const NAT_MAP = new RegExp(`^${HOST_PORT}=${HOST_PORT}(,${HOST_PORT}=${HOST_PORT})*$`);

const addresses = z
  .string()
  .regex(ADDRESSES, 'expected host:port,host:port,… with IPv6 addresses in brackets: [::1]:6379')
  .transform((text) => text.split(',').map(addressOf));

const natMap = z
  .string()
  .regex(NAT_MAP, 'expected host:port=host:port,… what Redis names, and where that is reached')
  .transform((text) => {
    const pairs = text.split(',').map((pair) => pair.split('=') as [string, string]);
    return Object.fromEntries(pairs.map(([named, reached]) => [nameOf(addressOf(named)), addressOf(reached)]));
  });

const text = z.string().min(1).optional();

export const redisVariables = {
  REDIS_URL: z
    .url({
      protocol: /^rediss?$/,
      error: 'expected a URL like redis://host:port/…; a password with @ / or # may be in REDIS_PASSWORD',
    })
    .optional(),
  REDIS_CLUSTER_NODES: addresses.optional(),
  REDIS_SENTINELS: addresses.optional(),
  REDIS_SENTINEL_MASTER: z.string().min(1).default('mymaster'),
  REDIS_NAT_MAP: natMap.optional(),
  REDIS_USERNAME: text,
  REDIS_PASSWORD: text,
  REDIS_TLS_CA: tlsCertificates.optional(),
  REDIS_TLS_CERT: tlsCertificates.optional(),
  REDIS_TLS_KEY: tlsKey.optional(),
  REDIS_TLS_SERVERNAME: text,
  REDIS_SENTINEL_USERNAME: text,
  REDIS_SENTINEL_PASSWORD: text,
  REDIS_SENTINEL_TLS: z.enum(['on', 'off'], 'expected on or off').optional(),
  REDIS_GROUP: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,64}$/, 'expected 1 to 64 letters, digits, - or _')
    .default('tasks'),
};

const variables = z.object(redisVariables);
type Variables = z.output<typeof variables>;

const PLACES = ['REDIS_URL', 'REDIS_CLUSTER_NODES', 'REDIS_SENTINELS'] as const;
const TLS = ['REDIS_TLS_CA', 'REDIS_TLS_CERT', 'REDIS_TLS_KEY', 'REDIS_TLS_SERVERNAME'] as const;
const OF_SENTINELS = ['REDIS_SENTINEL_USERNAME', 'REDIS_SENTINEL_PASSWORD', 'REDIS_SENTINEL_TLS'] as const;

/**
 * Undefined: no Redis is named. With cluster nodes or Sentinels, REDIS_URL says who connects to what they name; if it
 * begins with redis://, certificates are for Sentinels alone.
 */
export function redisPlace(v: Variables): RedisPlace | undefined {
  const url = v.REDIS_URL;
  const tls = tlsOf(v);
  const access: Access = {
    ...(v.REDIS_USERNAME && { username: v.REDIS_USERNAME }),
    ...(v.REDIS_PASSWORD && { password: v.REDIS_PASSWORD }),
    ...(Object.keys(tls).length > 0 && url?.startsWith('redis:') !== true && { tls }),
  };
  const login = { ...(url !== undefined && { url }), ...(Object.keys(access).length > 0 && { access }) };
  const mapped = v.REDIS_NAT_MAP && { natMap: v.REDIS_NAT_MAP };
  if (v.REDIS_CLUSTER_NODES) return { cluster: v.REDIS_CLUSTER_NODES, ...login, ...mapped };
  if (v.REDIS_SENTINELS) {
    const sentinelAccess = accessOfSentinels(v, tls);
    const ofSentinels = Object.keys(sentinelAccess).length > 0 && { sentinelAccess };
    return { sentinels: v.REDIS_SENTINELS, master: v.REDIS_SENTINEL_MASTER, ...login, ...ofSentinels, ...mapped };
  }
  return url === undefined ? undefined : { ...login, url };
}

/** By default Sentinels speak TLS if what they name does. */
function accessOfSentinels(v: Variables, tls: NonNullable<Access['tls']>): Access {
  const secured = Object.keys(tls).length > 0 || v.REDIS_URL?.startsWith('rediss:') === true;
  const on = v.REDIS_SENTINEL_TLS === undefined ? secured : v.REDIS_SENTINEL_TLS === 'on';
  return {
    ...(v.REDIS_SENTINEL_USERNAME && { username: v.REDIS_SENTINEL_USERNAME }),
    ...(v.REDIS_SENTINEL_PASSWORD && { password: v.REDIS_SENTINEL_PASSWORD }),
    ...(on && { tls }),
  };
}

function tlsOf(v: Variables): NonNullable<Access['tls']> {
  return {
    ...(v.REDIS_TLS_CA && { ca: v.REDIS_TLS_CA }),
    ...(v.REDIS_TLS_CERT && { cert: v.REDIS_TLS_CERT }),
    ...(v.REDIS_TLS_KEY && { key: v.REDIS_TLS_KEY }),
    ...(v.REDIS_TLS_SERVERNAME && { servername: v.REDIS_TLS_SERVERNAME }),
  };
}

/** @returns the key does not belong to the certificate */
export function keyFaults({ REDIS_TLS_CERT: cert, REDIS_TLS_KEY: key }: Variables): string[] {
  if (cert === undefined || key === undefined || isKeyOf(key, cert)) return [];
  return ['REDIS_TLS_KEY: expected the key of the certificate in REDIS_TLS_CERT'];
}

/** Checks that involve several variables. @param given the environment, whose variables may each be invalid */
export function redisFaults(given: Environment): string[] {
  const set = (names: readonly string[]) => names.filter((name) => given[name] !== undefined);
  const faults: string[] = [];
  if (set(PLACES).length === 0) {
    for (const name of set(['REDIS_USERNAME', 'REDIS_PASSWORD', ...TLS])) {
      faults.push(`${name}: expected together with ${PLACES.join(', ')}`);
    }
  }
  if (given['REDIS_SENTINELS'] === undefined) {
    for (const name of set(OF_SENTINELS)) faults.push(`${name}: expected together with REDIS_SENTINELS`);
    if (set(['REDIS_CLUSTER_NODES']).length === 0 && given['REDIS_NAT_MAP'] !== undefined) {
      faults.push('REDIS_NAT_MAP: expected together with REDIS_CLUSTER_NODES or REDIS_SENTINELS');
    }
  }
  if (set(['REDIS_TLS_CERT', 'REDIS_TLS_KEY']).length === 1) {
    faults.push('REDIS_TLS_CERT, REDIS_TLS_KEY: expected both or neither');
  }
  const url = given['REDIS_URL'];
  return url === undefined || !URL.canParse(url) ? faults : [...faults, ...urlFaults(url, given)];
}

function urlFaults(url: string, given: Environment): string[] {
  const faults: string[] = [];
  try {
    const { username, password } = loginIn(url);
    if (username && given['REDIS_USERNAME']) faults.push('REDIS_USERNAME, REDIS_URL: expected a user in one of them');
    if (password && given['REDIS_PASSWORD']) {
      faults.push('REDIS_PASSWORD, REDIS_URL: expected a password in one of them');
    }
  } catch {
    faults.push('REDIS_URL: expected % in user and password to be %25');
  }
  const sentinels = given['REDIS_SENTINELS'] !== undefined;
  // docker-compose.yml names a redis:// by itself unless a CA is given: only beside a CA is it an operator's word.
  const ofSentinelsAlone = sentinels && given['REDIS_SENTINEL_TLS'] === 'on' && given['REDIS_TLS_CA'] !== undefined;
  if (url.startsWith('redis:') && !ofSentinelsAlone) {
    const other = sentinels ? ', or REDIS_SENTINEL_TLS=on and REDIS_TLS_CA' : '';
    for (const name of TLS.filter((name) => given[name] !== undefined)) {
      faults.push(`${name}: expected REDIS_URL to begin with rediss://${other}`);
    }
  }
  return [...faults, ...databaseFaults(url, given['REDIS_CLUSTER_NODES'] !== undefined)];
}

/** The path of REDIS_URL must be a number; in a Cluster it must be 0, the only database there. */
function databaseFaults(url: string, cluster: boolean): string[] {
  try {
    const number = databaseIn(url);
    return cluster && number > 0 ? ['REDIS_URL: expected database 0, the only one of a Cluster'] : [];
  } catch (error) {
    return [`REDIS_URL: ${(error as RangeError).message}`];
  }
}

/** `host:port`, as Redis names its servers: without brackets. */
function nameOf({ host, port }: Address): string {
  return `${host}:${port}`;
}

function addressOf(text: string): Address {
  const colon = text.lastIndexOf(':');
  return { host: text.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(text.slice(colon + 1)) };
}
