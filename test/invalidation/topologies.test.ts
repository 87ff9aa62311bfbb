/** The same API on a Cluster and behind Sentinels, and on a Redis that offers less; what each structure in Redis is used for. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newId } from '../../src/db/ids.js';
import { installHint, startRedis } from '../../src/development/embedded/redis.js';
import { taskRows } from '../../src/domain/tasks/task.table.js';
import { databaseOf, type StoreEvent } from '../../src/engine/cache/index.js';
import { RedisStore } from '../../src/engine/redis/index.js';
import type { ActivityMessage } from '../../src/platform/activity/index.js';
import { keyOfText, tagOf, tick } from '../cache/world.js';
import { type Reaper, startReaper } from '../chaos/reaper.js';
import { startTopology, type Topology } from '../chaos/topology.js';
import { dataOf, eventually, type TestApp, testApp } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';
import * as servers from '../support/servers.js';
import { drop, templateCopy } from './databases.js';
import { lastOutcome, rename, taskOf } from './world.js';

describe.each(['cluster', 'sentinel'] as const)('on a %s', (kind) => {
  let reaper: Reaper;
  let topology: Topology;
  let app: TestApp;
  let other: TestApp;
  let f: Fixture;
  beforeAll(async () => {
    reaper = startReaper();
    topology = await startTopology(kind, { children: 1, reaper });
    app = await testApp({ place: topology.addressFor(0) });
    f = await fixture(app, 5);
    other = await testApp({ place: topology.addressFor(0), databaseUrl: app.databaseUrl, group: app.group });
  });
  afterAll(async () => {
    await other?.close();
    await app?.close();
    await topology?.stop();
  });

  test('what one process writes is what another reads, at once, and then from the cache', async () => {
    for (const { id } of f.opsTasks.slice(0, 5)) {
      for (let i = 0; i < 3; i++) {
        const version = await rename(app, { id, title: `Title ${i}` }, f.ada.id);
        expect(await taskOf(other, id, f.ada.id)).toEqual({ title: `Title ${i}`, version });
      }
      await eventually(async () => {
        await taskOf(other, id, f.ada.id);
        expect(lastOutcome(other, 'Task')).toEqual({ kind: 'hit' });
      });
    }
  });

  test('what one process writes is told to the other as soon as the caches know', async () => {
    const heard: StoreEvent[] = [];
    const stop = other.cache.store.subscribe((news) => heard.push(news));
    try {
      await eventually(() => expect(heard).toContainEqual({ kind: 'disconnected' }));
      const { id } = f.opsTasks[0] as Fixture['opsTasks'][number];
      for (let i = 0; i < 3; i++) await rename(app, { id, title: `Told ${i}` }, f.ada.id);
      const told = () => heard.filter((news) => news.kind === 'released' && news.tags.includes(taskRows.byId(id)[0]));
      await eventually(() => expect(told()).toHaveLength(3));
    } finally {
      stop();
    }
  });

  test('a watcher sees both processes, the lease of every group, and what is held for tags of any group', async () => {
    const messages: ActivityMessage[] = [];
    const stop = app.activity.watch((message) => messages.push(message));
    try {
      await eventually(() => expect(messages.at(-1)?.processes).toHaveLength(2));
      const groups = messages.at(-1)?.groups ?? [];
      expect(new Set(groups.map(({ name }) => name)).size).toBe(app.cache.store.groups);
      for (const { leaseLeftMs } of groups) expect(leaseLeftMs).toBeGreaterThan(0);
      const { id } = f.opsTasks[1] as Fixture['opsTasks'][number];
      await rename(other, { id, title: 'Watched' }, f.ada.id);
      const [byId] = taskRows.byId(id);
      const told = () =>
        messages.flatMap(({ invalidations }) => invalidations).filter(({ tags }) => tags.includes(byId));
      await eventually(() => expect(told()).toMatchObject([{ by: 'writer' }]));
      await eventually(async () => {
        await taskOf(app, id, f.ada.id);
        await app.settled();
        const held = await app.cache.store.inspection.heldTags(taskRows.byId(id));
        expect([...held.keys()].sort()).toEqual([...taskRows.byId(id)].sort());
        for (const { ttlMs } of held.values()) expect(ttlMs).toBeGreaterThan(0);
      });
    } finally {
      stop();
    }
  });

  test('another database with the same group is refused in all of its groups of keys, and takes all once the first is gone', async () => {
    const groups = Array.from({ length: app.cache.store.groups }, (_, i) => i);
    const group = `test-${randomBytes(6).toString('hex')}`;
    const one = await testApp({ place: topology.addressFor(0), group });
    const ids = await fixture(one, 3);
    const purges = async () => Promise.all(groups.map(async (i) => (await one.cache.store.head(i)).position?.purge));
    const before = await purges();
    const url = await templateCopy(one.databaseUrl);
    const two = await testApp({ place: topology.addressFor(0), group, databaseUrl: url, lease: false });
    try {
      const { id } = ids.opsTasks[0] as Fixture['opsTasks'][number];
      const version = await rename(one, { id, title: 'Written to the first' }, ids.ada.id);
      for (let i = 0; i < 3; i++) {
        expect(await taskOf(two, id, ids.ada.id)).toMatchObject({ title: `Task 1` });
        expect(lastOutcome(two, 'Task')).toEqual({ kind: 'bypass', reason: 'no-lease' });
        await eventually(async () => {
          expect(await taskOf(one, id, ids.ada.id)).toEqual({ title: 'Written to the first', version });
          expect(lastOutcome(one, 'Task')).toEqual({ kind: 'hit' });
        });
      }
      expect(await purges()).toEqual(before);
      await one.close();
      await eventually(async () => {
        expect(await taskOf(two, id, ids.ada.id)).toMatchObject({ title: `Task 1` });
        expect(lastOutcome(two, 'Task')).toEqual({ kind: 'hit' });
      }, 30_000);
      const heads = await Promise.all(groups.map((i) => two.cache.store.head(i)));
      const owners = new Set(heads.map(({ position }) => databaseOf(position?.purge ?? '')));
      expect(owners.size).toBe(1);
      expect(owners).not.toContain(databaseOf(before[0] ?? ''));
    } finally {
      await two.close();
      await drop(url);
    }
  });

  test('two installations with a group each never disturb one another', async () => {
    const place = topology.addressFor(0);
    const groups = ['blue', 'green'].map((name) => `${name}-${randomBytes(6).toString('hex')}`);
    const [blue, green] = (await Promise.all(groups.map((group) => testApp({ place, group })))) as [TestApp, TestApp];
    try {
      const [ofBlue, ofGreen] = await Promise.all([fixture(blue, 5), fixture(green, 5)]);
      const readAll = async (app: TestApp, { opsTasks, ada }: Fixture) => {
        for (const { id } of opsTasks) {
          await taskOf(app, id, ada.id);
          expect(lastOutcome(app, 'Task')).toEqual({ kind: 'hit' });
        }
      };
      await eventually(() => readAll(green, ofGreen));
      const heard: StoreEvent[] = [];
      const stop = green.cache.store.subscribe((news) => heard.push(news));
      await eventually(() => expect(heard).toContainEqual({ kind: 'disconnected' }));
      green.reset();
      for (const { id } of ofBlue.opsTasks) {
        const version = await rename(blue, { id, title: 'Written by blue' }, ofBlue.ada.id);
        await readAll(green, ofGreen);
        expect(await taskOf(blue, id, ofBlue.ada.id)).toEqual({ title: 'Written by blue', version });
      }
      // The same tags in both: what is invalidated in one group stays in the other.
      const tags = ofGreen.opsTasks.flatMap(({ id }) => taskRows.byId(id));
      await blue.cache.store.invalidate(tags);
      await readAll(green, ofGreen);
      expect(green.counts.statements).toEqual([]);
      expect(heard.filter(({ kind }) => kind === 'released')).toEqual([]);
      stop();
    } finally {
      await Promise.all([blue.close(), green.close()]);
    }
  });

  test('its keys are spread over all primaries', async () => {
    // A write leaves no tokens of its tags. Each of these reads has some of its own, be there such a task or not.
    const ids = Array.from({ length: 100 }, () => newId('task'));
    dataOf(await app.ask('query($ids: [ID!]!) { nodes(ids: $ids) { id } }', { as: f.ada.id, variables: { ids } }));
    await app.settled();
    const primaries = await topology.primaries();
    const held = await Promise.all(
      primaries.map(async ({ port }) => {
        const client = new Redis(port);
        const keys = await client.keys(`t:{${app.group}*`);
        client.disconnect();
        return keys.length;
      }),
    );
    expect(held).toHaveLength(kind === 'cluster' ? 3 : 1);
    expect(Math.min(...held)).toBeGreaterThan(0);
  });
});

test('a Redis that keeps INFO from scripts and clients is used all the same, and what follows is told', async () => {
  const url = new URL(servers.redisUrl());
  const admin = new Redis(url.href);
  const user = `limited-${randomBytes(4).toString('hex')}`;
  await admin.acl('SETUSER', user, 'on', '>secret', '~*', '&*', '+@all', '-info');
  url.username = user;
  url.password = 'secret';
  const limits: string[] = [];
  const group = `test-${randomBytes(6).toString('hex')}`;
  const store = new RedisStore({ url: url.href, group, waitMs: 5000, onLimit: (text) => limits.push(text) });
  await store.ready();
  try {
    const head = await store.head();
    expect(await tick(store, { head, grant: 'hold' })).toBe('applied');
    expect(await tick(store)).toBe('applied');
    expect((await store.read([], [])).leases[0]).toBeDefined();
    expect(limits).toEqual([expect.stringContaining('INFO')]);
    // A tick that began on another connection may have begun on another server.
    const begun = await store.head();
    expect(await tick(store, { head: { ...begun, link: (begun.link as number) - 1 } })).toBe('moved');
  } finally {
    await store.close();
    await admin.acl('DELUSER', user);
    admin.disconnect();
  }
});

test('every key and channel of an installation carries the name of its group, and none is another’s', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'tasks-group-'));
  const server = await startRedis({ dir });
  if (server === undefined) throw new Error(installHint());
  const group = `ours-${randomBytes(6).toString('hex')}`;
  const client = new Redis(server.url);
  const app = await testApp({
    redisUrl: server.url,
    group,
    app: { rateLimit: { points: 1000, seconds: 60, redis: { url: server.url }, group } },
  });
  try {
    const f = await fixture(app, 3);
    const { id } = f.opsTasks[0] as Fixture['opsTasks'][number];
    await taskOf(app, id, f.ada.id);
    await rename(app, { id, title: 'Another' }, f.ada.id);
    const { store } = app.cache;
    await store.setText('apq:any', 'text', 60_000);
    await store.tryLockRefresh(keyOfText('any'), 60_000);
    await store.addCounters('2026-01-01', new Map([['Task hit', 1]]));
    await store.fence(999_999_999n, [tagOf('noted')], { fresh: false });
    await store.release(999_999_998n, [tagOf('released')]); // an id that no tick trims, since no position reaches it
    await app.settled();
    const stopListening = store.subscribe(() => {});
    await eventually(async () => expect(await client.pubsub('CHANNELS', '*')).toEqual([`inv:{${group}}`]));
    stopListening();
    const keys = await client.keys('*');
    expect(new Set(keys.map((key) => key.slice(0, key.indexOf(':'))))).toEqual(
      new Set(['e1', 't', 'pos', 'ok', 'rel', 'fen', 'log', 'stat', 'q', 'qi', 'r', 'rate']),
    );
    expect(keys.filter((key) => !key.includes(`:{${group}}`) && !key.startsWith(`rate:${group}:`))).toEqual([]);
  } finally {
    await app.close();
    client.disconnect();
    await server.stop();
    await rm(dir, { recursive: true });
  }
});

test('each structure of Redis is in use: strings, sorted sets, a stream, a hash, pub/sub', async () => {
  const app = await testApp();
  const f = await fixture(app, 3);
  const client = new Redis(servers.redisUrl());
  const told: string[] = [];
  const subscriber = new Redis(servers.redisUrl());
  subscriber.on('message', (_, text: string) => told.push(text));
  await subscriber.subscribe(`inv:{${app.group}}`);
  const { id } = f.opsTasks[0] as Fixture['opsTasks'][number];
  await taskOf(app, id, f.ada.id);
  await rename(app, { id, title: 'Another' }, f.ada.id);
  await app.settled();
  await app.cache.store.fence(999_999_999n, [tagOf('noted')], { fresh: false });
  await app.cache.store.release(999_999_998n, []);
  await app.cache.store.addCounters('2026-01-01', new Map([['Task hit', 1]]));
  const used = new Map<string, Set<string>>();
  for (const key of await client.keys(`*{${app.group}}*`)) {
    const prefix = key.slice(0, key.indexOf(':'));
    used.set(prefix, (used.get(prefix) ?? new Set()).add(await client.type(key)));
  }
  expect(Object.fromEntries([...used].map(([prefix, types]) => [prefix, [...types].join()]))).toMatchObject({
    e1: 'string',
    t: 'string',
    pos: 'string',
    ok: 'string',
    rel: 'zset',
    fen: 'zset',
    log: 'stream',
    stat: 'hash',
  });
  await eventually(() => expect(told.some((text) => text.includes('tasks:id='))).toBe(true));
  client.disconnect();
  subscriber.disconnect();
  await app.close();
});
