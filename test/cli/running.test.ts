/** How a command finds the servers that run on its checkout. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { findRunning, noteRunning, type Running } from '../../src/development/running-services.js';
import { joinServices, ownServices } from '../../src/development/services.js';
import { readConfig } from '../../src/platform/config.js';

const FIRST = 'postgres://127.0.0.1:1/first';
const SECOND = 'postgres://127.0.0.1:1/second';

let checkout: string;
let noted: string;
beforeEach(async () => {
  checkout = await mkdtemp(join(tmpdir(), 'tasks-running-'));
  noted = join(checkout, '.data', 'running');
  vi.spyOn(process, 'cwd').mockReturnValue(checkout);
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(checkout, { recursive: true, force: true });
});

/** Two processes that live as long as this test. */
async function twoServers(change: Partial<Running> = {}): Promise<void> {
  const server = { startedAtMs: 1, redisGroup: 'tasks', ownsPostgres: false };
  await noteRunning(noted, { ...server, pid: process.pid, databaseUrl: FIRST, ownsPostgres: true });
  await noteRunning(noted, { ...server, pid: process.ppid, databaseUrl: SECOND, ...change });
}

test('a command without DATABASE_URL finds the server that runs the private PostgreSQL', async () => {
  await twoServers();
  expect((await findRunning(noted))?.databaseUrl).toBe(FIRST);
});

test('a command with DATABASE_URL finds the server of that database, and of no other', async () => {
  await twoServers();
  expect((await findRunning(noted, SECOND))?.pid).toBe(process.ppid);
  expect(await findRunning(noted, 'postgres://127.0.0.1:1/third')).toBeUndefined();
});

test('a command with DATABASE_URL alone uses Redis and group of the server of that database', async () => {
  await twoServers({ redis: { url: 'redis://127.0.0.1:1/3' }, redisGroup: 'second' });
  expect(await joinServices(readConfig({ DATABASE_URL: SECOND }))).toMatchObject({
    databaseUrl: SECOND,
    redis: { url: 'redis://127.0.0.1:1/3' },
    redisGroup: 'second',
  });
});

test('a command with DATABASE_URL and REDIS_URL uses what it is given', async () => {
  await twoServers({ redis: { url: 'redis://127.0.0.1:1/3' }, redisGroup: 'second' });
  const given = { DATABASE_URL: SECOND, REDIS_URL: 'redis://127.0.0.1:2', REDIS_GROUP: 'mine' };
  expect(await joinServices(readConfig(given))).toMatchObject({
    redis: { url: 'redis://127.0.0.1:2' },
    redisGroup: 'mine',
  });
});

test('a server notes the Redis of its environment for commands', async () => {
  const place = { REDIS_SENTINELS: '127.0.0.1:1', REDIS_GROUP: 'mine' };
  const services = await ownServices(readConfig({ DATABASE_URL: FIRST, ...place }));
  try {
    expect(await findRunning(noted)).toMatchObject({
      redis: { sentinels: [{ host: '127.0.0.1', port: 1 }], master: 'mymaster' },
      redisGroup: 'mine',
    });
  } finally {
    await services.stop();
  }
  expect(await findRunning(noted)).toBeUndefined();
});
