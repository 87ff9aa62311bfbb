/** The configuration as a start logs it: in words, and without passwords, secrets and names of users. */
import { createRequire } from 'node:module';
import { parseConnectionUrl } from '../engine/postgres/index.js';
import type { RedisPlace } from '../engine/redis/index.js';
import type { Config } from './config.js';

const MIB = 1024 * 1024;

/** Next to the folder of the sources, and of the build. */
export const { version } = createRequire(import.meta.url)('../../package.json') as { version: string };

export function configInWords(config: Config): Readonly<Record<string, string>> {
  const { metricsAddress: metrics, persistedDocuments: documents } = config;
  const { rateLimit } = config.access;
  return {
    version,
    node: process.version,
    environment: config.environment,
    api: addressOf(config),
    metrics: metrics === undefined ? 'with a token at the address of the API' : addressOf(metrics),
    postgres: config.databaseUrl === undefined ? 'private' : postgresPlace(config.databaseUrl),
    redis: redisPlace(config.redis),
    redisGroup: config.redisGroup,
    writesWithoutRedis: config.fencePolicy === 'reject' ? 'refused' : 'committed, and answered 2 s later',
    tokens: tokensOf(config),
    unknownUsers: config.access.unknownUsers,
    nearCache: config.nearCacheBytes === 0 ? 'off' : `${config.nearCacheBytes / MIB} MiB`,
    loads: `at most ${config.maxLoads} at once`,
    rateLimit: rateLimit === undefined ? 'off' : `${rateLimit.points} points in ${rateLimit.seconds} s`,
    trustedProxies: config.access.trustProxy?.join(', ') ?? 'none',
    console: config.console ? 'on' : 'off',
    persistedDocuments: documents === undefined ? 'off' : documents.mode,
    logged: loggedOf(config),
    traces: sentTo(config.telemetry?.tracesUrl),
    sentMetrics: sentTo(config.telemetry?.metrics?.url),
    shutdown: `${config.shutdown.delayMs} ms of delay, then at most ${config.shutdown.timeoutMs} ms`,
  };
}

function sentTo(url: string | undefined): string {
  return url === undefined ? 'off' : `to ${new URL(url).host}`;
}

/** Port 0 is any free one. */
export function addressOf({ host, port }: { readonly host: string; readonly port: number }): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port === 0 ? 'any' : port}`;
}

function postgresPlace(url: string): string {
  const { host, port, socketPath, database, tls, pooled } = parseConnectionUrl(url);
  const place = socketPath ?? addressOf({ host, port });
  const words = [`${place}/${database ?? ''}`];
  if (tls !== false) words.push(tls === 'prefer' ? 'with TLS where it offers that' : 'with TLS');
  if (pooled) words.push('through a pooler');
  return words.join(' ');
}

function redisPlace(place: RedisPlace | undefined): string {
  if (place === undefined) return 'private, or this process';
  const login = 'url' in place && place.url !== undefined ? new URL(place.url) : undefined;
  const tls =
    login?.protocol === 'rediss:' || ('access' in place && place.access?.tls !== undefined) ? ' with TLS' : '';
  const database = login === undefined || login.pathname.length < 2 ? '' : login.pathname;
  if ('cluster' in place) return `a Cluster: ${place.cluster.map(addressOf).join(', ')}${tls}`;
  if ('sentinels' in place) {
    return `${place.master} of the Sentinels ${place.sentinels.map(addressOf).join(', ')}${database}${tls}`;
  }
  return `${login?.host ?? 'a server'}${database}${tls}`;
}

function tokensOf({ tokens, issuer, access: { algorithms } }: Config): string {
  if (tokens === undefined) return 'a secret of this machine';
  const previous = tokens.kind === 'secret' ? (tokens.previous?.length ?? 0) : 0;
  const kind =
    tokens.kind === 'jwks'
      ? `keys of ${new URL(tokens.url).origin}`
      : `a secret${previous === 0 ? '' : `, and ${previous} of before`}`;
  return `${kind}, of the issuer ${issuer}${algorithms === undefined ? '' : `, by ${algorithms.join(', ')}`}`;
}

function loggedOf({ logLevel, loggedRequests, slowOperationMs, slowStatementMs }: Config): string {
  const from = (ms: number) => (ms === 0 ? 'none' : `from ${ms} ms`);
  const slow = `slow operations ${from(slowOperationMs)}, slow statements ${from(slowStatementMs)}`;
  return `${logLevel}; ${loggedRequests * 100} % of requests, ${slow}`;
}
