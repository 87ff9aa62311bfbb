/** A backup of Redis put back under running servers: what was written since is not served as it was then. */
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MINUTE } from '../../src/std/time.js';
import type { TestApp } from '../support/app.js';
import { type OwnRedis, ownRedis } from './own-redis.js';
import { rename, renameBySql, served, taskOf, type World, world } from './world.js';

let dir: string;
let redis: OwnRedis;
let w: World;
let other: TestApp;
let ids: string[];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tasks-backup-'));
  redis = await ownRedis({ dir });
  w = await world({ redisUrl: redis.url, waitMs: 300 });
  other = await w.second({ waitMs: 300 });
  ids = w.f.opsTasks.slice(0, 3).map(({ id }) => id);
  for (const id of ids) for (const app of [w.app, other]) await served(app, id, w.f.ada.id);
});
afterEach(async () => {
  await w?.close();
  await redis?.kill();
  await rm(dir, { recursive: true, force: true });
});

async function backUp(): Promise<void> {
  const client = new Redis(redis.url);
  await client.save();
  client.disconnect();
  await copyFile(join(dir, 'dump.rdb'), join(dir, 'backup.rdb'));
}

async function restoreBackup(): Promise<void> {
  await redis.kill();
  await copyFile(join(dir, 'backup.rdb'), join(dir, 'dump.rdb'));
  await redis.start();
}

test(
  'a Redis restored from an older backup serves nothing that was written since: through the API, by SQL, or while it was away',
  async () => {
    const [byApi = '', bySql = '', whileAway = ''] = ids;
    await backUp();
    await rename(w.app, { id: byApi, title: 'By the API' }, w.f.ada.id);
    await renameBySql(w.sql, bySql, 'By SQL');
    await served(other, byApi, w.f.ada.id);
    await redis.kill();
    await rename(w.app, { id: whileAway, title: 'While Redis was away' }, w.f.ada.id);
    await restoreBackup();
    const titles = async (read: typeof taskOf, app: TestApp) =>
      (await Promise.all(ids.map((id) => read(app, id, w.f.ada.id)))).map(({ title }) => title);
    const expected = ['By the API', 'By SQL', 'While Redis was away'];
    for (const app of [w.app, other]) expect(await titles(taskOf, app)).toEqual(expected);
    for (const app of [w.app, other]) expect(await titles(served, app)).toEqual(expected);
    await rename(other, { id: byApi, title: 'After the restore' }, w.f.ada.id);
    expect((await served(w.app, byApi, w.f.ada.id)).title).toBe('After the restore');
  },
  2 * MINUTE,
);
