/**
 * PostgreSQL and Redis for the tests, real ones: a private pair for each worker, or those of TEST_DATABASE_URL and TEST_REDIS_URL. They
 * end with the run. Tests find the addresses of their worker's in servers.ts.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { migrateDatabase } from '../../src/db/migrate.js';
import { type EmbeddedPostgres, startPostgres } from '../../src/development/embedded/postgres.js';
import { findRedisServer, installHint, startRedis } from '../../src/development/embedded/redis.js';
import { withDatabase } from '../../src/engine/postgres/index.js';
import { aptInstall } from './apt.js';

declare module 'vitest' {
  export interface ProvidedContext {
    /** By worker. */
    servers: readonly Servers[];
    /** An empty folder for built.ts. */
    buildFolder: string;
  }
}

export interface Servers {
  /** A database of a server on which more may be created. */
  readonly databaseUrl: string;
  readonly redisUrl: string;
  /** The name of a migrated database with nothing in it, to which nobody connects. None on a server that is given. */
  readonly template?: string;
}

interface Service {
  url: string;
  template?: string;
  stop(): Promise<void>;
}

// synchronous_commit stays on: what a test sees after a commit must be what production shows.
const FLAGS = ['fsync=off', 'synchronous_commit=on', 'full_page_writes=off', 'max_connections=200'];

export default async function setup({ provide, vitest, config }: TestProject): Promise<() => Promise<void>> {
  const needed = vitest.projects.some(({ name }) => name !== 'unit');
  const started: StartedServers[] = [];
  const buildFolder = await mkdtemp(join(tmpdir(), 'tasks-built-'));
  const stop = async () => {
    await Promise.all(started.map((servers) => servers.stop()));
    await rm(buildFolder, { recursive: true, force: true });
  };
  try {
    await Promise.all(
      Array.from({ length: needed ? config.maxWorkers : 0 }, async (_, i) => {
        started[i] = await startServers();
      }),
    );
  } catch (error) {
    await stop(); // no teardown follows a setup that threw
    throw error;
  }
  provide('buildFolder', buildFolder);
  provide(
    'servers',
    started.map(({ stop: _, ...servers }) => servers),
  );
  return stop;
}

export interface StartedServers extends Servers {
  stop(): Promise<void>;
}

export async function startServers(): Promise<StartedServers> {
  const redis = given(process.env.TEST_REDIS_URL) ?? (await privateRedis());
  const database = given(process.env.TEST_DATABASE_URL) ?? (await privatePostgres(redis));
  return {
    databaseUrl: database.url,
    redisUrl: redis.url,
    ...(database.template !== undefined && { template: database.template }),
    async stop() {
      await Promise.all([redis.stop(), database.stop()]);
    },
  };
}

function given(url: string | undefined): Service | undefined {
  return url ? { url, stop: async () => undefined } : undefined;
}

async function privateRedis(): Promise<Service> {
  const failed = findRedisServer() === undefined ? aptInstall('redis-server') : undefined;
  const redis = await startRedis();
  if (redis === undefined) throw new Error(`${installHint()}; or set TEST_REDIS_URL${failed ? ` (${failed})` : ''}`);
  return redis;
}

/** @param redis is stopped when PostgreSQL does not start */
async function privatePostgres(redis: Service): Promise<Service> {
  const dataDir = await mkdtemp(join(tmpdir(), 'tasks-test-postgres-'));
  const remove = (dir: string) => rm(dir, { recursive: true, force: true });
  let server: EmbeddedPostgres | undefined;
  const stop = async () => {
    await server?.stop();
    await Promise.all([dataDir, server?.dataDir ?? dataDir].map(remove));
  };
  try {
    server = await startPostgres({ dataDir, flags: FLAGS });
    return { url: server.url, template: await makeTemplate(server.url), stop };
  } catch (error) {
    await Promise.all([redis.stop(), stop()]);
    throw error;
  }
}

async function makeTemplate(serverUrl: string): Promise<string> {
  const name = 'migrated';
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  await withDatabase(serverUrl, { max: 1 }, (sql) => sql.unsafe(`create database ${name}`));
  await migrateDatabase(url.href);
  return name;
}
