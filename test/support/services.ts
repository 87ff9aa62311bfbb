/**
 * PostgreSQL and Redis for all tests, real ones: those of TEST_DATABASE_URL and TEST_REDIS_URL, else private ones that
 * end with the run. Tests read their addresses by inject('databaseUrl') and inject('redisUrl').
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { startPostgres } from '../../src/development/embedded/postgres.js';
import { findRedisServer, installHint, startRedis } from '../../src/development/embedded/redis.js';
import { aptInstall } from './apt.js';

declare module 'vitest' {
  export interface ProvidedContext {
    /** A database of a server on which more may be created. */
    databaseUrl: string;
    redisUrl: string;
  }
}

interface Service {
  url: string;
  stop(): Promise<void>;
}

// synchronous_commit stays on: what a test sees after a commit must be what production shows.
const FLAGS = ['fsync=off', 'synchronous_commit=on', 'full_page_writes=off', 'max_connections=200'];

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const redis = given(process.env.TEST_REDIS_URL) ?? (await privateRedis());
  const database = given(process.env.TEST_DATABASE_URL) ?? (await privatePostgres(redis));
  project.provide('redisUrl', redis.url);
  project.provide('databaseUrl', database.url);
  return async () => {
    await Promise.all([redis.stop(), database.stop()]);
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

/** @param redis is stopped when PostgreSQL does not start: no teardown follows a setup that threw */
async function privatePostgres(redis: Service): Promise<Service> {
  const dataDir = await mkdtemp(join(tmpdir(), 'tasks-test-postgres-'));
  const remove = (dir: string) => rm(dir, { recursive: true, force: true });
  try {
    const server = await startPostgres({ dataDir, flags: FLAGS });
    const stop = async () => {
      await server.stop();
      await Promise.all([dataDir, server.dataDir].map(remove));
    };
    return { url: server.url, stop };
  } catch (error) {
    await Promise.all([redis.stop(), remove(dataDir)]);
    throw error;
  }
}
