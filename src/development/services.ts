/**
 * What a laptop lacks: a private PostgreSQL, a private Redis, a secret for tokens. `ownServices` starts what the
 * environment does not name; `joinServices` uses those of a server that runs on the same data. Never in production.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { RedisPlace } from '../engine/redis/index.js';
import { type Config, ConfigError } from '../platform/config.js';
import type { TokenConfig } from '../platform/token-config.js';
import { EmbeddedError } from './embedded/child.js';
import { type EmbeddedPostgres, startPostgres } from './embedded/postgres.js';
import { installHint, startRedis } from './embedded/redis.js';
import { findRunning, noteRunning, type Running } from './running-services.js';

/** In the working directory. */
const dataDir = () => resolve('.data');
const runningDir = () => join(dataDir(), 'running');

export interface Services {
  readonly databaseUrl: string;
  /** Absent: the store is in this process. */
  readonly redis: RedisPlace | undefined;
  readonly redisGroup: string;
  readonly tokens: TokenConfig;
  /** For people: which they are. */
  readonly described: { readonly postgres: string; readonly redis: string };
  stop(): Promise<void>;
}

export async function ownServices(config: Config): Promise<Services> {
  const postgres = config.databaseUrl === undefined ? await privatePostgres() : undefined;
  const databaseUrl = postgres?.url ?? (config.databaseUrl as string);
  const redis = config.redis === undefined ? await startRedis() : undefined;
  const place = config.redis ?? (redis && { url: redis.url });
  const { redisGroup } = config;
  const forget = await noteRunning(runningDir(), {
    pid: process.pid,
    startedAtMs: Date.now(),
    databaseUrl,
    ownsPostgres: postgres !== undefined,
    ...(place && { redis: place }),
    redisGroup,
  });
  return {
    databaseUrl,
    redis: place,
    redisGroup,
    tokens: config.tokens ?? (await ownSecret()),
    described: {
      postgres: postgres ? `private, port ${postgres.port}, data in ${postgres.dataDir}` : 'DATABASE_URL',
      redis: redis
        ? `private, port ${redis.port}`
        : place
          ? 'as the environment says'
          : `none, cache in this process (${installHint()})`,
    },
    async stop() {
      await forget();
      await redis?.stop();
      await postgres?.stop();
    },
  };
}

/** For a command: the services of the running server, or a PostgreSQL of its own for as long as it runs. */
export async function joinServices(config: Config): Promise<Services> {
  // An environment that names both servers is complete. A server of the same database shares its Redis, so that it shows a command's writes at once.
  const named = config.databaseUrl !== undefined && config.redis !== undefined;
  const running = named ? undefined : await findRunning(runningDir(), config.databaseUrl);
  const postgres = config.databaseUrl === undefined && running === undefined ? await privatePostgres() : undefined;
  return {
    databaseUrl: config.databaseUrl ?? running?.databaseUrl ?? (postgres as { url: string }).url,
    redis: redisOf(config, running),
    redisGroup: running?.redisGroup ?? config.redisGroup,
    tokens: config.tokens ?? (await ownSecret()),
    described: { postgres: 'as the server', redis: 'as the server' },
    stop: async () => postgres?.stop(),
  };
}

/** For a command that needs no more: the Redis of the environment, or of the running server, and the group of its keys. */
export async function joinRedis(config: Config): Promise<{ redis: RedisPlace | undefined; redisGroup: string }> {
  const running = config.redis === undefined ? await findRunning(runningDir()) : undefined;
  return { redis: redisOf(config, running), redisGroup: running?.redisGroup ?? config.redisGroup };
}

function redisOf({ redis }: Config, running: Running | undefined): RedisPlace | undefined {
  return redis ?? running?.redis;
}

/** @throws ConfigError in place of a fault that its user can remove */
async function privatePostgres(): Promise<EmbeddedPostgres> {
  try {
    return await startPostgres({ dataDir: join(dataDir(), 'postgres') });
  } catch (error) {
    if (!(error instanceof EmbeddedError)) throw error;
    throw new ConfigError(`DATABASE_URL is not set, and a private PostgreSQL cannot be started: ${error.message}`, {
      cause: error,
    });
  }
}

async function ownSecret(): Promise<TokenConfig> {
  const file = join(dataDir(), 'jwt-secret');
  const made = randomBytes(32).toString('base64url');
  await mkdir(dataDir(), { recursive: true });
  // `wx`: whoever comes second, a server and a command at once, reads what the first has written.
  await writeFile(file, made, { mode: 0o600, flag: 'wx' }).catch(() => {});
  return { kind: 'secret', secret: await readFile(file, 'utf8') };
}
