/** Where Redis is, and who connects: one server, the primary that Sentinels name, or a Cluster. */
import type { ClusterOptions, RedisOptions } from 'ioredis';

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Who connects, and how. `tls`: options of Node's `tls.connect`; absent: no TLS. */
export type Access = Pick<RedisOptions, 'username' | 'password' | 'tls'>;

/** Where to reach the servers that Sentinels and Clusters name, by `host:port`, if not there. */
export type NatMap = NonNullable<RedisOptions['natMap']>;

/**
 * `url` gives user, password, TLS and, but for a Cluster, the database; of one server also its address. `access`: what
 * the URL does not say.
 */
export type RedisPlace =
  | { readonly url: string; readonly access?: Access }
  /** Options of ioredis that say where a server is and who connects: see client-place.ts. */
  | { readonly server: RedisOptions }
  | {
      readonly sentinels: readonly Address[];
      readonly master: string;
      /** Default: no user, no password, database 0, no TLS. */
      readonly url?: string;
      readonly access?: Access;
      /** To the Sentinels themselves. Default: no password, no TLS. */
      readonly sentinelAccess?: Access;
      readonly natMap?: NatMap;
    }
  | {
      readonly cluster: readonly Address[];
      readonly url?: string;
      readonly access?: Access;
      readonly natMap?: NatMap;
      /** As of ioredis. Default: with TLS a name is kept, since the certificate has it; else it is resolved. */
      readonly dnsLookup?: ClusterOptions['dnsLookup'];
    };

export type ClusterPlace = Extract<RedisPlace, { cluster: unknown }>;
export type SinglePlace = Exclude<RedisPlace, ClusterPlace>;

/** Options of ioredis that lead to the server, or to the Sentinels that name it. */
export function serverOptions(place: SinglePlace): RedisOptions {
  if ('server' in place) return place.server;
  const login = { ...accessOf(place), db: databaseIn(place.url) };
  if (!('sentinels' in place)) return login;
  const { username, password, tls } = place.sentinelAccess ?? {};
  return {
    ...login,
    sentinels: [...place.sentinels],
    name: place.master,
    enableTLSForSentinelMode: true, // without it ioredis speaks to the primary in the clear, whatever `tls` says
    ...(username && { sentinelUsername: username }),
    ...(password && { sentinelPassword: password }),
    ...(tls && { sentinelTLS: tls }),
    ...(place.natMap && { natMap: place.natMap }),
  };
}

export function isBehindSentinels(place: SinglePlace): boolean {
  return 'sentinels' in place || ('server' in place && place.server.sentinels !== undefined);
}

export function accessOf({ url, access = {} }: { readonly url?: string; readonly access?: Access }): Access {
  return { ...(url !== undefined && loginIn(url)), ...access };
}

/** The URL without user and password: ioredis prefers an empty password in it to any other. */
export function withoutLogin(url: string): string {
  const bare = new URL(url);
  bare.username = '';
  bare.password = '';
  return bare.href;
}

/** @throws URIError for a % that begins no code of a character */
export function loginIn(url: string): Access {
  const { protocol, username, password } = new URL(url);
  return {
    ...(username && { username: decodeURIComponent(username) }),
    ...(password && { password: decodeURIComponent(password) }),
    ...(protocol === 'rediss:' && { tls: {} }),
  };
}

/**
 * The number of the database that a URL names, as ioredis reads it: `/1`, else `?db=1`, else 0.
 * @throws RangeError for what is no number
 */
export function databaseIn(url: string | undefined): number {
  if (url === undefined) return 0;
  const { pathname, searchParams } = new URL(url);
  const text = pathname.slice(1) || (searchParams.get('db') ?? '');
  if (/^\d{0,6}$/.test(text)) return Number(text);
  throw new RangeError(`expected a database number, as in redis://host:6379/1, got ${JSON.stringify(text)}`);
}

/** The address of a server, after the map. */
export function mapped(name: string, natMap: NatMap | undefined): string {
  const found = typeof natMap === 'function' ? natMap(name) : natMap?.[name];
  return found ? `${found.host}:${found.port}` : name;
}
