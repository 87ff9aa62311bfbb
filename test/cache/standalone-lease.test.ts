/** The lease of a cache without a database: who serves, and what a lost, restored or foreign store does to it. */

import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import { startRedis } from '../../src/development/embedded/redis.js';
import { Cache, LEASE_MS, MemoryStore, type Outcome, type Store } from '../../src/engine/cache/index.js';
import { StandaloneLease } from '../../src/engine/cache/standalone-lease.js';
import { RedisStore } from '../../src/engine/redis/index.js';
import { redisUrl } from '../support/servers.js';
import { FakeClock, tick } from './world.js';

const SILENT = { debug() {}, info() {}, warn() {} };
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A process: a cache over the store, with a function that counts its runs. */
function opened(store: Store) {
  const outcomes: Outcome[] = [];
  const cache = new Cache({ store, events: { outcome: (outcome) => outcomes.push(outcome) } });
  let runs = 0;
  const fetch = cache.memoize('rate', async (from: string, to: string) => `${from}${to}${++runs}`, { ttlMs: 60_000 });
  const ends = () => outcomes.splice(0).map(({ kind, reason }) => (reason === undefined ? kind : `${kind} ${reason}`));
  return { cache, fetch, ends, lease: new StandaloneLease({ store, log: SILENT }) };
}

async function onRedis(url: string, group = `test-${randomBytes(6).toString('hex')}`) {
  const store = new RedisStore({ url, group, waitMs: 5000 });
  cleanups.push(() => store.close());
  await store.ready();
  return { group, store, ...opened(store) };
}

async function ownRedis(args: string[], dir: string) {
  const server = await startRedis({ args, dir });
  if (server === undefined) throw new Error('no redis-server');
  cleanups.push(() => server.stop());
  return server;
}

async function folder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'standalone-'));
  cleanups.push(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

const stores: [string, () => Promise<ReturnType<typeof opened>>][] = [
  ['memory', async () => opened(new MemoryStore())],
  ['Redis', () => onRedis(redisUrl())],
];

describe.each(stores)('on %s', (_name, open) => {
  test('a started lease caches at once, and what was invalidated is computed again', async () => {
    const { cache, fetch, ends, lease } = await open();
    await lease.start();
    cleanups.push(() => lease.stop());
    expect(await fetch('EUR', 'USD')).toBe('EURUSD1');
    await cache.flush();
    expect(await fetch('EUR', 'USD')).toBe('EURUSD1');
    await fetch.invalidate('EUR', 'USD');
    expect(await fetch('EUR', 'USD')).toBe('EURUSD2');
    expect(ends()).toEqual(['miss absent', 'hit', 'miss invalid']);
  });

  test('without a lease nothing is cached', async () => {
    const { fetch, ends } = await open();
    await fetch('EUR', 'USD');
    expect(ends()).toEqual(['bypass no-lease']);
  });
});

test('a lease that ended while no process ran comes back with all entries', async () => {
  const clock = new FakeClock();
  const store = new MemoryStore(clock);
  const { cache, fetch, ends, lease } = opened(store);
  await lease.tick();
  await fetch('EUR', 'USD');
  await cache.flush();
  clock.advance(LEASE_MS + 1);
  await fetch('EUR', 'USD');
  expect(await lease.tick()).toBe('renewed');
  await fetch('EUR', 'USD');
  expect(ends()).toEqual(['miss absent', 'bypass no-lease', 'hit']);
});

test('all processes share one lease: one that another has just renewed is left alone', async () => {
  const first = await onRedis(redisUrl());
  const second = await onRedis(redisUrl(), first.group);
  expect(await first.lease.tick()).toBe('renewed');
  expect(await second.lease.tick()).toBe('recent');
  await first.fetch('EUR', 'USD');
  await first.cache.flush();
  expect(await second.fetch('EUR', 'USD')).toBe('EURUSD1');
  expect(second.ends()).toEqual(['hit']);
});

test('a server that starts again without an acknowledged invalidation serves nothing of before', async () => {
  const dir = await folder();
  const server = await ownRedis(['--dbfilename', 'dump.rdb'], dir);
  const before = await onRedis(server.url);
  await before.lease.tick();
  await before.fetch('EUR', 'USD');
  await before.cache.flush();
  const client = new Redis(server.url);
  await client.save();
  await before.fetch.invalidate('EUR', 'USD'); // after the snapshot
  client.disconnect();
  await server.stop();

  const again = await ownRedis(['--dbfilename', 'dump.rdb'], dir);
  const after = await onRedis(again.url, before.group);
  expect(await after.store.head()).toMatchObject({ leaseLeftMs: 0, position: { xid: 1n } });
  expect(await after.lease.tick()).toBe('renewed');
  await after.fetch('EUR', 'USD');
  expect(after.ends()).toEqual(['miss invalid']);
});

test('a replica that is promoted without an acknowledged invalidation serves nothing of before', async () => {
  const dir = await folder();
  const primary = await ownRedis(['--repl-diskless-sync-delay', '0', '--dbfilename', 'primary.rdb'], dir);
  const replica = await ownRedis(['--repl-diskless-sync-delay', '0', '--dbfilename', 'replica.rdb'], dir);
  const before = await onRedis(primary.url);
  await before.lease.tick();
  await before.fetch('EUR', 'USD');
  await before.cache.flush();

  const client = new Redis(replica.url);
  cleanups.push(() => client.disconnect());
  await client.replicaof('127.0.0.1', primary.port);
  await expect.poll(() => client.info('replication')).toContain('master_link_status:up');
  await expect.poll(() => client.exists(`pos:{${before.group}}`)).toBe(1);
  const runOf = async () => /run_id:(\w+)/.exec(await client.info('server'))?.[1];
  const run = await runOf();
  await client.replicaof('NO', 'ONE');
  await before.fetch.invalidate('EUR', 'USD'); // which the promoted one does not get
  // The worst case: as if the copied lease were one of this server's own.
  const lease = await client.get(`pos:{${before.group}}`);
  await client.set(`ok:{${before.group}}:${run}`, `copied:${lease?.split(':')[1]}`, 'PX', 60_000);

  const after = await onRedis(replica.url, before.group);
  expect(await after.lease.tick()).toBe('renewed');
  await after.fetch('EUR', 'USD');
  expect(after.ends()).toEqual(['miss invalid']);
});

test('the keys of a cache with a database are left to it', async () => {
  const store = new MemoryStore();
  await tick(store, { next: { xid: 100n, purge: 'database.1' }, grant: 'hold' });
  await tick(store, { next: { xid: 100n, purge: 'database.1' } });
  const { fetch, ends, lease } = opened(store);
  expect(await lease.tick()).toBe('foreign');
  await fetch('EUR', 'USD');
  expect(ends()).toEqual(['bypass no-lease']);
  expect((await store.head()).position?.purge).toBe('database.1');
});
