/**
 * The services that a development machine lacks: a private PostgreSQL, a private Redis, a secret for tokens.
 * `ownServices` starts those that the environment does not name; `joinServices` uses those of a server running on the
 * same data. Never used in production.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { RedisPlace } from '../engine/redis/index.js';
import type { Config } from '../platform/config.js';
import { ConfigError } from '../platform/config-error.js';
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
  /** Migrates, in place of `databaseUrl`. */
  readonly migrationUrl?: string | undefined;
  /** The data of the private PostgreSQL, if this process started it. */
  readonly postgresDir?: string;
  /** Absent: the store is in this process. */
  readonly redis: RedisPlace | undefined;
  readonly redisGroup: string;
  readonly tokens: TokenConfig;
  /** Descriptions of the services for people. */
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
    migrationUrl: config.migrationDatabaseUrl,
    ...(postgres && { postgresDir: postgres.dataDir }),
    redis: place,
    redisGroup,
    tokens: config.tokens ?? (await ownSecret()),
    described: {
      postgres: postgres ? `private, port ${postgres.port}, data in ${postgres.dataDir}` : 'DATABASE_URL',
      redis: redis
        ? `private, port ${redis.port}`
        : place
          ? 'configured in the environment'
          : `none, cache in this process (${installHint()})`,
    },
    async stop() {
      await forget();
      await redis?.stop();
      await postgres?.stop();
    },
  };
}

/** For commands: the services of the running server, or a PostgreSQL for the duration of the command. */
export async function joinServices(config: Config): Promise<Services> {
  // An environment that names both servers is complete. A server on the same database shares its Redis, so that it
  // shows a command's writes immediately.
  const named = config.databaseUrl !== undefined && config.redis !== undefined;
  const running = named ? undefined : await findRunning(runningDir(), config.databaseUrl);
  const postgres = config.databaseUrl === undefined && running === undefined ? await privatePostgres() : undefined;
  return {
    databaseUrl: config.databaseUrl ?? running?.databaseUrl ?? (postgres as { url: string }).url,
    migrationUrl: config.migrationDatabaseUrl,
    ...(postgres && { postgresDir: postgres.dataDir }),
    redis: redisOf(config, running),
    redisGroup: running?.redisGroup ?? config.redisGroup,
    tokens: config.tokens ?? (await ownSecret()),
    described: { postgres: 'shared with the running server', redis: 'shared with the running server' },
    stop: async () => postgres?.stop(),
  };
}

/**
 * For commands that need only Redis: the Redis of the environment or of the running server, and the prefix of its keys.
 */
export async function joinRedis(config: Config): Promise<{ redis: RedisPlace | undefined; redisGroup: string }> {
  const running = config.redis === undefined ? await findRunning(runningDir()) : undefined;
  return { redis: redisOf(config, running), redisGroup: running?.redisGroup ?? config.redisGroup };
}

function redisOf({ redis }: Config, running: Running | undefined): RedisPlace | undefined {
  return redis ?? running?.redis;
}

/** @throws ConfigError for faults that the user can fix */
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
  // `wx`: if a server and a command start at once, the second reads what the first wrote.
  await writeFile(file, made, { mode: 0o600, flag: 'wx' }).catch(() => {});
  return { kind: 'secret', secret: await readFile(file, 'utf8') };
}
