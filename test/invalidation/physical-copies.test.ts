/**
 * Copies of a whole Postgres server have its system identifier, its databases and its ids, and continue its transaction ids. A copy that
 * replaces the original is another state of its history.
 */
import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { migrateDatabase } from '../../src/db/migrate.js';
import { type EmbeddedPostgres, startPostgres } from '../../src/development/embedded/postgres.js';
import { postgresClient } from '../../src/engine/postgres/database.js';
import { readIdentity } from '../../src/engine/postgres/database-identity.js';
import { MINUTE } from '../../src/std/time.js';
import { eventually, type TestApp, testApp } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { redisUrl } from '../support/servers.js';
import { GroupKeys, lastOutcome, rename, served, taskOf } from './world.js';

const FLAGS = ['fsync=off', 'full_page_writes=off', 'max_connections=50'];

const directories: string[] = [];
let original: string;
let group: string;
let f: Fixture;
let id: string;
let keys: GroupKeys;
/** The last transaction id that the store knows of the original. */
let lastXid: bigint;
let server: EmbeddedPostgres | undefined;

async function newDirectory(): Promise<string> {
  const directory = join(await mkdtemp(join(tmpdir(), 'tasks-copy-')), 'data');
  directories.push(directory);
  return directory;
}

function copied(from: string, to: string): void {
  expect(spawnSync('cp', ['-a', from, to], { encoding: 'utf8' })).toMatchObject({ status: 0 });
}

/** Copies the files of a stopped server. */
async function copyOf(directory: string): Promise<string> {
  const copy = `${directory}-${directories.length}`;
  copied(directory, copy);
  directories.push(copy);
  return copy;
}

const started = (url: string, options = {}) => testApp({ databaseUrl: url, group, lease: false, ...options });

beforeAll(async () => {
  const first = await startPostgres({ dataDir: await newDirectory(), flags: FLAGS });
  server = first;
  directories.push(first.dataDir);
  await migrateDatabase(first.url);
  let app: TestApp = await testApp({ databaseUrl: first.url });
  ({ group } = app);
  f = await fixture(app);
  id = (f.opsTasks[0] as Fixture['opsTasks'][number]).id;
  await app.close();
  await first.stop();
  original = await copyOf(first.dataDir);

  server = await startPostgres({ dataDir: first.dataDir, flags: FLAGS });
  app = await started(server.url);
  await rename(app, { id, title: 'Written after the copy' }, f.ada.id);
  await served(app, id, f.ada.id);
  keys = new GroupKeys(redisUrl(), group);
  lastXid = (await keys.position())?.xid ?? 0n;
  await app.close();
  await server.stop();
  server = undefined;
}, 2 * MINUTE);

afterAll(async () => {
  await server?.stop();
  await keys?.close();
  await Promise.all(directories.map((directory) => rm(directory, { recursive: true, force: true })));
});

/** Uses up transaction ids of the copy until they are above all that the store knows, so that their order shows nothing. */
async function goBeyond(url: string): Promise<void> {
  const sql = postgresClient(url, { max: 1 });
  try {
    const [now] = await sql<{ xid: string }[]>`select pg_current_xact_id()::text as xid`;
    const missing = Number(lastXid - BigInt(now?.xid ?? 0)) + 200;
    await sql.unsafe(`do $$ begin for i in 1..${Math.max(missing, 1)} loop
      perform pg_current_xact_id(); commit;
    end loop; end $$`);
  } finally {
    await sql.end();
  }
}

/** Starts the files as a standby, checks that it has no identity, and promotes it. */
async function startPromoted(directory: string): Promise<EmbeddedPostgres> {
  const cluster = join(directory, 'cluster');
  await rm(join(cluster, 'postmaster.pid'), { force: true });
  await signalFile(directory, 'standby.signal');
  const starting = startPostgres({ dataDir: directory, flags: FLAGS });
  const password = (await readFile(join(directory, 'password'), 'utf8')).trim();
  await eventually(async () => {
    const port = Number((await readFile(join(cluster, 'postmaster.pid'), 'utf8')).split('\n')[3]);
    const sql = postgresClient(`postgres://postgres:${password}@127.0.0.1:${port}/tasks`, { max: 1 });
    try {
      await expect(readIdentity(sql)).rejects.toThrow('standby');
      await sql`select pg_promote()`;
    } finally {
      await sql.end();
    }
  });
  return starting;
}

async function signalFile(directory: string, name: string): Promise<void> {
  const file = join(directory, 'cluster', name);
  await writeFile(file, '');
  spawnSync('chown', [`--reference=${join(directory, 'cluster', 'PG_VERSION')}`, file]);
}

const WAYS: Record<string, (directory: string) => Promise<EmbeddedPostgres>> = {
  'a copy of its files': (dataDir) => startPostgres({ dataDir, flags: FLAGS }),
  'a recovery to a point in time': async (dataDir) => {
    await signalFile(dataDir, 'recovery.signal');
    return startPostgres({ dataDir, flags: [...FLAGS, 'restore_command=false'] });
  },
  'a standby that was promoted': startPromoted,
};

test.each(Object.entries(WAYS))(
  'what is cached of a server is not served when %s has taken its place',
  async (_, start) => {
    server = await start(await copyOf(original));
    await goBeyond(server.url);
    const app = await started(server.url);
    try {
      expect((await taskOf(app, id, f.ada.id)).title).toBe('Task 1');
      expect(lastOutcome(app, 'Task')).not.toMatchObject({ kind: 'hit' });
      // The original had been started again after the copy: the copy does not know the id that it had then, so it waits for longer.
      await eventually(async () => expect(await served(app, id, f.ada.id)).toMatchObject({ title: 'Task 1' }), MINUTE);
      const version = await rename(app, { id, title: 'Written after the copy' }, f.ada.id);
      expect(await served(app, id, f.ada.id)).toMatchObject({ version });
    } finally {
      await app.close();
      await server.stop();
      server = undefined;
    }
  },
  2 * MINUTE,
);

test(
  'a server that is started again is another state of history, since a crash may have given transaction ids again',
  async () => {
    const dataDir = await copyOf(original);
    const identities = [];
    for (let i = 0; i < 2; i++) {
      server = await startPostgres({ dataDir, flags: FLAGS });
      const sql = postgresClient(server.url, { max: 1 });
      identities.push(await readIdentity(sql), await readIdentity(sql));
      await sql.end();
      await server.stop();
      server = undefined;
    }
    const [first, firstAgain, second, secondAgain] = identities;
    expect(firstAgain).toEqual(first);
    expect(secondAgain).toEqual(second);
    expect(second?.id).not.toBe(first?.id);
    expect(second?.previous).toBe(first?.id);
  },
  2 * MINUTE,
);
