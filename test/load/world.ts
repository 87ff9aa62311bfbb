/** What is put under load: a database with tasks, a Redis that can be killed, API processes; all of them private. */
import { randomBytes } from 'node:crypto';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import postgres, { type Sql } from 'postgres';
import { migrateDatabase } from '../../src/db/migrate.js';
import { openDatabase } from '../../src/engine/postgres/database.js';
import type { Transaction } from '../../src/engine/postgres/executor.js';
import { signToken, type TokenOptions } from '../../src/server/auth/tokens.js';
import type { Reaper } from '../chaos/reaper.js';
import { RedisNode } from '../chaos/redis-node.js';
import { startDatabase } from '../chaos/topology.js';
import { type Fixture, writeFixture } from '../support/fixture.js';
import type { ApiOptions } from './api-options.js';
import { ApiProcess } from './api-process.js';

export const PROCESSES = 4;
/** As in production by default. */
export const MAX_LOADS = 10;
/** Of one API process: 10 for reads, 5 for writes, one for fences, one for the relay. */
export const CONNECTIONS_PER_PROCESS = 17;
export const NEAR_CACHE_BYTES = 64 * 1024 * 1024;
const TASKS = 1000;

export const TOKENS: TokenOptions = {
  tokens: { kind: 'secret', secret: 'only-for-tests-only-for-tests-only' },
  issuer: 'tasks-api',
  audience: 'tasks-api',
};

export interface World {
  readonly apis: readonly ApiProcess[];
  /** One more, if asked for, that nobody reads from: what a write takes there is not what a thousand readers leave of a process. */
  readonly writing: ApiProcess | undefined;
  readonly redis: RedisNode;
  readonly fixture: Fixture;
  /** Of the database under load: not as `tasks-api`. */
  readonly sql: Sql;
  /** Of ada, who sees everything. */
  readonly headers: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

export interface Servers {
  /** Of a server on which databases may be made. */
  readonly databaseUrl: string;
  stop(): Promise<void>;
}

/** The server of TEST_DATABASE_URL, else a private one. */
export async function startServers(reaper: Reaper): Promise<Servers> {
  const given = process.env['TEST_DATABASE_URL'];
  if (given) return { databaseUrl: given, stop: async () => {} };
  const server = await startDatabase(reaper);
  return { databaseUrl: server.url, stop: () => server.stop() };
}

export async function startWorld(options: {
  databaseUrl: string;
  nearCacheBytes: number;
  writingApart: boolean;
  reaper: Reaper;
}): Promise<World> {
  const { nearCacheBytes, writingApart, reaper } = options;
  const backends = await startBackends({ ...options, fill: (tx) => writeFixture(tx, TASKS) });
  const api = { ...backends.api, nearCacheBytes };
  const start = () => ApiProcess.start(api, reaper);
  const apis = await Promise.all(Array.from({ length: PROCESSES }, start));
  const writing = writingApart ? await start() : undefined;
  const { redis, sql, filled: fixture } = backends;
  return {
    apis,
    writing,
    redis,
    fixture,
    sql,
    headers: { authorization: `Bearer ${await signToken(TOKENS, fixture.ada.id, '12h')}` },
    async stop() {
      await Promise.all([...apis, ...(writing ? [writing] : [])].map((one) => one.stop()));
      await backends.stop();
    },
  };
}

export interface Backends<Filled> {
  /** For API processes on them, but for the size of their memory. */
  readonly api: Omit<ApiOptions, 'nearCacheBytes'>;
  readonly redis: RedisNode;
  readonly sql: Sql;
  readonly filled: Filled;
  stop(): Promise<void>;
}

/** A database of its own with what `fill` puts there, and a Redis. */
export async function startBackends<Filled>(options: {
  databaseUrl: string;
  fill: (tx: Transaction) => Promise<Filled>;
  reaper: Reaper;
}): Promise<Backends<Filled>> {
  const { fill, reaper } = options;
  const admin = connect(options.databaseUrl);
  const name = `load_${randomBytes(4).toString('hex')}`;
  await admin.unsafe(`create database ${name}`);
  const url = new URL(options.databaseUrl);
  url.pathname = `/${name}`;
  const databaseUrl = url.href;
  await migrateDatabase(databaseUrl);
  const database = openDatabase({ url: databaseUrl });
  const filled = await database.write.transaction(fill);
  await database.close();
  const sql = connect(databaseUrl);
  await sql`analyze`;

  const dir = await mkdtemp(join(tmpdir(), 'tasks-load-redis-'));
  reaper.removes(dir);
  const redis = await RedisNode.create({ dir, role: 'data', reaper, lines: [] });
  await redis.start();
  const redisUrl = `redis://127.0.0.1:${redis.port}`;
  return {
    api: { databaseUrl, redisUrl, tokens: TOKENS, maxLoads: MAX_LOADS },
    redis,
    sql,
    filled,
    async stop() {
      await Promise.all([redis.kill(), sql.end({ timeout: 2 })]);
      await admin.unsafe(`drop database if exists ${name} with (force)`);
      await admin.end({ timeout: 2 });
    },
  };
}

function connect(url: string): Sql {
  return postgres(url, { max: 1, onnotice: () => {}, connection: { application_name: 'load' } });
}
