/** The private Redis, really started: bounded, alone on its port, and gone when we are. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, expect, test, vi } from 'vitest';
import {
  type EmbeddedRedis,
  findRedisServer,
  installHint,
  type RedisOptions,
  startRedis,
} from '../../src/development/embedded/redis.js';
import { isAlive, isListening } from './observe.js';

const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  vi.unstubAllEnvs();
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

test('it answers, evicts like the cache in production, and writes nothing to disk', async () => {
  const { url } = await start();
  const client = connect(url);
  expect(await client.ping()).toBe('PONG');
  const settings = ['maxmemory', 'maxmemory-policy', 'appendonly', 'save', 'bind'].map((name) =>
    client.config('GET', name),
  );
  expect((await Promise.all(settings)).flat()).toEqual([
    ...['maxmemory', String(256 * 1024 * 1024)],
    ...['maxmemory-policy', 'volatile-lfu'],
    ...['appendonly', 'no'],
    ...['save', ''],
    ...['bind', '127.0.0.1'],
  ]);
});

test('it does not load a dump that another Redis left in the directory for temporary files', async () => {
  const dir = await freshDir();
  vi.stubEnv('TMPDIR', dir);
  const other = await start({ dir });
  const client = connect(other.url);
  await client.set('key', 'of another');
  await client.save();
  await other.stop();
  const { url } = await start();
  expect(await connect(url).dbsize()).toBe(0);
});

test('arguments of the caller win', async () => {
  const { url } = await start({ args: ['--maxmemory', '2mb', '--maxmemory-policy', 'noeviction'] });
  const client = connect(url);
  expect(await client.config('GET', 'maxmemory')).toEqual(['maxmemory', String(2 * 1024 * 1024)]);
  expect(await client.config('GET', 'maxmemory-policy')).toEqual(['maxmemory-policy', 'noeviction']);
});

test('two run side by side and share nothing', async () => {
  const [one, two] = await Promise.all([start(), start()]);
  await connect(one.url).set('seen', 'yes');
  expect(await connect(two.url).get('seen')).toBeNull();
});

test('stop ends it, and may be called twice', async () => {
  const server = await start();
  await Promise.all([server.stop(), server.stop()]);
  expect(isAlive(server.pid)).toBe(false);
});

test('an argument that it does not understand is told with its own words', async () => {
  await expect(start({ args: ['--maxmemory-policy', 'nonsense'] })).rejects.toMatchObject({
    code: 'START_FAILED',
    message: expect.stringContaining('maxmemory-policy'),
  });
});

test('a run that ends without stop takes it along', async () => {
  const script = `
    const { startRedis } = await import(${JSON.stringify(new URL('../../src/development/embedded/redis.ts', import.meta.url))});
    console.log((await startRedis()).port);
  `;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const printed: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => printed.push(chunk));
  expect(await new Promise((resolve) => child.once('close', resolve))).toBe(0);
  const port = Number(Buffer.concat(printed).toString());
  expect(port).toBeGreaterThan(0);
  await vi.waitFor(async () => expect(await isListening(port)).toBe(false), { timeout: 5_000, interval: 10 });
});

test('Valkey does where there is no Redis', async () => {
  const binDir = await freshDir();
  const valkey = join(binDir, 'valkey-server');
  await symlink(findRedisServer() ?? '', valkey);
  vi.stubEnv('PATH', binDir);
  expect(findRedisServer()).toBe(valkey);
  expect(await connect((await start()).url).ping()).toBe('PONG');
});

test('without either there is none, and one line tells what to install', async () => {
  vi.stubEnv('PATH', await freshDir());
  expect(findRedisServer()).toBeUndefined();
  expect(await startRedis()).toBeUndefined();
  expect(installHint()).toMatch(/^no redis-server on PATH: .+$/);
});

async function start(options: RedisOptions = {}): Promise<EmbeddedRedis> {
  const server = await startRedis(options);
  if (server === undefined) throw new Error(installHint());
  cleanups.push(server.stop);
  return server;
}

function connect(url: string): Redis {
  const client = new Redis(url);
  cleanups.push(() => client.disconnect());
  return client;
}

async function freshDir(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'embedded-redis-test-'));
  cleanups.push(() => rm(dir, { recursive: true, force: true }));
  return dir;
}
