/** What a bench runs on, all of it private: Postgres with the data, with our triggers and without, Redis, the contenders compiled. */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { cp, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import postgres, { type Sql } from 'postgres';
import { migrateDatabase } from '../src/db/migrate.js';
import { startPostgres } from '../src/development/embedded/postgres.js';
import { signToken, type TokenOptions } from '../src/server/auth/tokens.js';
import { type Reaper, startReaper } from '../test/chaos/reaper.js';
import { type Dataset, datasetOf, fillDatabase, viewerId } from './dataset.js';
import { findNodes, type Nodes } from './nodes.js';
import { type RedisServers, startRedisCluster, startRedisServer } from './redis-servers.js';

const BENCH = fileURLToPath(new URL('.', import.meta.url));
const ROOT = join(BENCH, '..');
/** Read at run time by what is compiled. */
const ASSETS = new Set(['.lua', '.sql', '.json']);
// synchronous_commit stays on; that a commit reaches the disk is left out, for all alike: it would measure the disk.
const POSTGRES_FLAGS = [
  'fsync=off',
  'synchronous_commit=on',
  'full_page_writes=off',
  'max_connections=200',
  'shared_buffers=512MB',
  'max_wal_size=4GB',
];

export const JWT_SECRET = 'only-for-the-bench-only-for-the-bench';
const TOKENS: TokenOptions = {
  tokens: { kind: 'secret', secret: JWT_SECRET },
  issuer: 'tasks-api',
  audience: 'tasks-api',
};

/** Twice, since packages are looked for from where a file is: the server with the packages of the repository, its peers with those of the bench. */
export interface Compiled {
  readonly server: string;
  readonly peers: string;
}

/** A database with the data, and what asks it. */
export interface Tasks {
  readonly data: Dataset;
  readonly url: string;
  readonly sql: Sql;
  /** By team: its viewer's, from 1 on. */
  readonly tokens: readonly string[];
}

export interface World {
  readonly nodes: Nodes;
  readonly redis: RedisServers;
  /** Started by the first call. */
  cluster(): Promise<RedisServers>;
  /** Where all that a contender's process runs is compiled to. */
  readonly compiled: Compiled;
  readonly reaper: Reaper;
  /** A database filled with at least so many tasks. */
  tasks(count: number, migrate?: (url: string) => Promise<void>): Promise<Tasks>;
  /** A copy in which triggers are disabled: those whose names begin with `prefix`. Default: all. */
  withoutTriggers(tasks: Tasks, prefix?: string): Promise<Tasks>;
  drop(tasks: Tasks): Promise<void>;
  stop(): Promise<void>;
}

/** On the server of TEST_DATABASE_URL, else on a private one. */
export async function startWorld(): Promise<World> {
  const nodes = findNodes(process.env);
  const reaper = startReaper();
  const compiled = await compile(reaper);
  const server = await databaseServer(reaper);
  const redis = await startRedisServer(reaper);
  const databases = new Databases(server.url);
  let cluster: Promise<RedisServers> | undefined;
  return {
    nodes,
    redis,
    cluster() {
      cluster ??= startRedisCluster(reaper);
      return cluster;
    },
    compiled,
    reaper,
    tasks: (count, migrate = migrateDatabase) => databases.create(count, migrate),
    withoutTriggers: (tasks, prefix = '') => databases.copyWithoutTriggers(tasks, prefix),
    drop: (tasks) => databases.drop(tasks),
    async stop() {
      await databases.close();
      const folders = Object.values(compiled).map((folder) => rm(folder, { recursive: true, force: true }));
      await Promise.all([redis.stop(), (await cluster)?.stop(), server.stop(), ...folders]);
    },
  };
}

/** The databases of one bench on one server. */
class Databases {
  readonly #server: string;
  readonly #admin: Sql;
  readonly #made = new Set<string>();

  constructor(server: string) {
    this.#server = server;
    this.#admin = connect(server);
  }

  async create(count: number, migrate: (url: string) => Promise<void>): Promise<Tasks> {
    const name = newName();
    await this.#admin.unsafe(`create database ${name}`);
    const tasks = await this.#opened(name, datasetOf(count));
    await migrate(tasks.url);
    await fillDatabase(tasks.sql, tasks.data);
    return tasks;
  }

  async copyWithoutTriggers(tasks: Tasks, prefix: string): Promise<Tasks> {
    const name = newName();
    await tasks.sql.end(); // a template must have no connections
    await this.#admin.unsafe(`create database ${name} template ${nameIn(tasks.url)}`);
    Object.assign(tasks, { sql: connect(tasks.url) });
    const copy = await this.#opened(name, tasks.data);
    for (const trigger of await copy.sql<{ table: string; name: string }[]>`
      select tgrelid::regclass::text as table, tgname as name from pg_trigger
      where not tgisinternal and starts_with(tgname, ${prefix})`) {
      await copy.sql.unsafe(`alter table ${trigger.table} disable trigger ${trigger.name}`);
    }
    await copy.sql.unsafe('analyze');
    return copy;
  }

  async drop({ sql, url }: Tasks): Promise<void> {
    await sql.end({ timeout: 2 });
    await this.#admin.unsafe(`drop database if exists ${nameIn(url)} with (force)`);
    this.#made.delete(nameIn(url));
  }

  async close(): Promise<void> {
    for (const name of this.#made) await this.#admin.unsafe(`drop database if exists ${name} with (force)`);
    await this.#admin.end({ timeout: 2 });
  }

  async #opened(name: string, data: Dataset): Promise<Tasks> {
    this.#made.add(name);
    const url = new URL(this.#server);
    url.pathname = `/${name}`;
    const teams = Array.from({ length: data.teams }, (_, i) => signToken(TOKENS, viewerId(i + 1), '12h'));
    return { data, url: url.href, sql: connect(url.href), tokens: ['', ...(await Promise.all(teams))] };
  }
}

const newName = () => `bench_${randomBytes(4).toString('hex')}`;
const nameIn = (url: string) => new URL(url).pathname.slice(1);

function connect(url: string): Sql {
  return postgres(url, { max: 1, onnotice: () => {}, connection: { application_name: 'bench', statement_timeout: 0 } });
}

async function databaseServer(reaper: Reaper): Promise<{ url: string; stop(): Promise<void> }> {
  const given = process.env['TEST_DATABASE_URL'];
  if (given) return { url: given, stop: async () => {} };
  const dataDir = await mkdtemp(join(tmpdir(), 'tasks-bench-postgres-'));
  reaper.removes(dataDir);
  const server = await startPostgres({ dataDir, flags: POSTGRES_FLAGS });
  reaper.watch(server.pid);
  reaper.removes(server.dataDir);
  return server;
}

/** As production runs it, compiled once: what runs TypeScript as it is names every function when it is made, which costs a hot path a good deal. */
async function compile(reaper: Reaper): Promise<Compiled> {
  const server = await withinModules(ROOT, reaper);
  const peers = await withinModules(BENCH, reaper);
  const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc');
  const args = [tsc, '--project', join(BENCH, 'tsconfig.build.json'), '--outDir', server];
  const { status, stdout } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`the contenders do not compile:\n${stdout}`);
  await writeFile(join(server, 'package.json'), '{"type":"module"}\n');
  await cp(join(ROOT, 'src'), join(server, 'src'), {
    recursive: true,
    filter: async (path) => (await stat(path)).isDirectory() || ASSETS.has(extname(path)),
  });
  await cp(server, peers, { recursive: true });
  return { server, peers };
}

/** A new folder from which the packages of `directory` are found. */
async function withinModules(directory: string, reaper: Reaper): Promise<string> {
  const cache = join(directory, 'node_modules/.cache');
  await mkdir(cache, { recursive: true });
  const made = await mkdtemp(join(cache, 'bench-'));
  reaper.removes(made);
  return made;
}
