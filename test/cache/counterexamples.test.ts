/**
 * Counterexamples of the protocol's model as tests of the engine: each shows what happens to a reader when one rule is missing,
 * and fails when that rule is taken out (test/mutants/mutants.ts names which). Only those that no other test shows.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import { installHint, startRedis } from '../../src/development/embedded/redis.js';
import { Cache, type Head, MemoryStore, type Policy, type Tick } from '../../src/engine/cache/index.js';
import { RedisStore } from '../../src/engine/redis/index.js';
import { HOUR } from '../../src/std/time.js';
import { redisUrl } from '../support/servers.js';
import { FakeClock, quiet, tagOf, tick, write } from './world.js';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const POLICY: Policy<number> = { name: 'Task', shape: '1', ttlMs: HOUR, scope: 'public', tags: (id) => [tagOf(id)] };
const groupName = () => `test-${randomBytes(6).toString('hex')}`;

test('a tag whose token is lost never has one again that an entry was stamped with', async () => {
  const group = groupName();
  const store = new RedisStore({ url: redisUrl(), group, waitMs: 5000 });
  cleanups.push(() => store.close());
  await store.ready();
  const client = new Redis(redisUrl());
  cleanups.push(() => client.disconnect());
  const cache = new Cache({ store });
  const list: Policy<number> = { ...POLICY, name: 'List' };
  let database = 'old';
  const read = async (policy: Policy<number>) => {
    const value = await cache.read(policy, 7, async () => database);
    await cache.flush();
    return value;
  };
  await tick(store);
  for (const policy of [POLICY, list]) expect(await read(policy)).toBe('old');
  expect(await cache.fence(200n, [tagOf(7)])).toBe(true);
  database = 'new';
  cache.release(200n, [tagOf(7)]);
  await cache.flush();
  expect(await client.get(`t:{${group}}:${tagOf(7)}`)).toBeNull(); // as if it had been evicted
  await tick(store);
  for (const policy of [POLICY, list]) expect([policy.name, await read(policy)]).toEqual([policy.name, 'new']);
});

describe('a snapshot', () => {
  /** Tasks in a database, each the number of its last write. */
  async function world(near: boolean) {
    const clock = new FakeClock();
    const store = new MemoryStore(clock);
    await tick(store);
    const cache = new Cache({ store, clock, ...(near && { near: {} }) });
    const writer = new Cache({ store, clock });
    const database = new Map<number, string>();
    const readSet = () => cache.readSet({ snapshot: true });
    const read = async (id: number, of?: ReturnType<typeof readSet>) => {
      const value = await cache.read(POLICY, id, async () => database.get(id) ?? 'old', { readSet: of });
      await quiet();
      return value;
    };
    return { cache, writer, database, readSet, read };
  }

  test('does not hold when a write came between its reads', async () => {
    const { cache, writer, database, readSet, read } = await world(false);
    const torn = readSet();
    expect(await read(1, torn)).toBe('old');
    await writer.fence(200n, [tagOf(1), tagOf(2)]);
    database.set(1, 'new').set(2, 'new');
    writer.release(200n, [tagOf(1), tagOf(2)]);
    await quiet();
    expect(await read(2, torn)).toBe('new');
    expect(await cache.validate(torn)).toBe(false);
    const whole = readSet();
    expect([await read(1, whole), await read(2, whole)]).toEqual(['new', 'new']);
    expect(await cache.validate(whole)).toBe(true);
  });

  test('that memory served unasked does not hold when the store knows better, and its next run does', async () => {
    const { cache, writer, database, readSet, read } = await world(true);
    for (let i = 0; i < 3; i++) await read(1);
    database.set(1, 'new').set(2, 'new');
    await write(writer, 200n, tagOf(1), tagOf(2));
    const torn = readSet();
    expect([await read(1, torn), await read(2, torn)]).toEqual(['old', 'new']);
    expect(await cache.validate(torn)).toBe(false);
    const whole = readSet();
    expect([await read(1, whole), await read(2, whole)]).toEqual(['new', 'new']);
    expect(await cache.validate(whole)).toBe(true);
  });

  test('does not hold with what was read under a fence', async () => {
    const { cache, writer, database, readSet, read } = await world(false);
    await writer.fence(200n, [tagOf(1), tagOf(2)]);
    const torn = readSet();
    expect(await read(1, torn)).toBe('old');
    database.set(1, 'new').set(2, 'new');
    writer.release(200n, [tagOf(1), tagOf(2)]);
    await quiet();
    expect(await read(2, torn)).toBe('new');
    expect(await cache.validate(torn)).toBe(false);
  });
});

describe('a cluster', () => {
  /** One node with all slots: what matters here is that groups are told one by one. */
  async function cluster() {
    const dir = await mkdtemp(join(tmpdir(), 'counterexamples-test-'));
    cleanups.push(() => rm(dir, { recursive: true, force: true }));
    const node = await startRedis({ args: ['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1'], dir });
    if (node === undefined) throw new Error(installHint());
    cleanups.push(() => node.stop());
    const client = new Redis(node.url);
    cleanups.push(() => client.disconnect());
    await client.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383');
    await expect
      .poll(async () => String(await client.call('CLUSTER', 'INFO')), { timeout: 10_000 })
      .toContain('cluster_state:ok');
    const group = groupName();
    const store = new RedisStore({ cluster: [{ host: '127.0.0.1', port: node.port }], group, waitMs: 5000 });
    cleanups.push(() => store.close());
    const groups = Array.from({ length: store.groups }, (_, i) => i);
    const generations: (string | undefined)[] = groups.map(() => undefined);
    return {
      store,
      client,
      /** A tag of a group that does not keep the log. */
      id: Array.from({ length: 99 }, (_, i) => i).find((i) => store.groupOf(tagOf(i)) !== 0) as number,
      hashTag: (index: number) => `{${group}-${index}}`,
      /** TICK as the relay does it: each group has its APPLY, the log group last. */
      async tick(rows: Tick['rows'] = [], only: (index: number) => boolean = () => true) {
        for (const index of groups.filter(only).reverse()) {
          const head: Head = await store.head(index);
          const next = head.position ?? { xid: 100n, purge: 'purge' };
          const others = { generations, unreleased: new Set<string>() };
          const reply = await store.apply({ head, next, rows, barrier: 100n, grant: 'grant', others }, index);
          expect(reply.result).toBe('applied');
          generations[index] = index === 0 ? undefined : reply.generation;
        }
      },
    };
  }

  test('learns of a write from the log only when every fence is set', async () => {
    const { store, client, id, hashTag } = await cluster();
    const log = `log:${hashTag(0)}`;
    const working = () => store.invalidate([]);
    await expect.poll(working, { timeout: 10_000 }).toBeUndefined();
    const before = await client.xlen(log);
    // No sorted set: this fence cannot be noted.
    await client.set(`fen:${hashTag(store.groupOf(tagOf(id)))}`, 'damaged');
    await expect(store.fence(200n, [tagOf(id)], { fresh: false })).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(await client.xlen(log)).toBe(before);
  });

  test('whose groups apply an unfenced write one by one, the log group last: when all have, no memory serves what it made old', async () => {
    const { store, id, tick } = await cluster();
    await store.ready();
    const cache = new Cache({ store, near: {} });
    let database = 'old';
    const read = async () => {
      const value = await cache.read(POLICY, id, async () => database);
      await cache.flush();
      return value;
    };
    await tick();
    for (let i = 0; i < 3; i++) expect(await read()).toBe('old');
    expect(cache.state.near?.entries).toBe(1);
    database = 'new'; // by psql
    const rows = [{ xid: 300n, tags: [tagOf(id)] }];
    await tick(rows, (index) => index !== 0);
    await read(); // From memory: the log has not told yet, within LEASE_MS.
    await tick(rows, (index) => index === 0);
    expect(await read()).toBe('new');
  });

  test('logs in the log group, when a transaction is over, that another group has lost its fence or its note', async () => {
    const { store, client, id, hashTag } = await cluster();
    await store.ready();
    await expect.poll(() => store.invalidate([]), { timeout: 10_000 }).toBeUndefined();
    const records = () => client.xlen(`log:${hashTag(0)}`);
    const elsewhere = hashTag(store.groupOf(tagOf(id)));
    const lost = [[], [`t:${elsewhere}:${tagOf(id)}`], [`fen:${elsewhere}`]];
    const logged = [];
    for (const [i, keys] of lost.entries()) {
      const xid = 500n + BigInt(i);
      await store.fence(xid, [tagOf(id)], { fresh: false });
      const before = await records();
      if (keys.length > 0) expect(await client.del(keys)).toBe(1);
      await store.release(xid, [tagOf(id)]);
      logged.push((await records()) - before);
    }
    expect(logged).toEqual([0, 1, 1]);
  });

  test("stores in the log group's lease the generations of the other groups' leases, as their APPLY replied", async () => {
    const { store, client, id, hashTag, tick } = await cluster();
    await store.ready();
    await expect.poll(() => store.invalidate([]), { timeout: 10_000 }).toBeUndefined();
    const keyOf = async (index: number) => (await client.keys(`ok:${hashTag(index)}:*`))[0] as string;
    await tick();
    const others = Array.from({ length: store.groups - 1 }, (_, i) => i + 1);
    const generations = await Promise.all(others.map(async (i) => (await client.get(await keyOf(i)))?.split(':')[0]));
    expect(new Set(generations).size).toBe(others.length);
    expect((await client.get(await keyOf(0)))?.split(':').slice(2)).toEqual([`,${generations.join(',')}`]);
    // A group whose lease was granted anew is named by its new generation.
    const group = store.groupOf(tagOf(id));
    await client.del(await keyOf(group));
    await tick();
    const renewed = (await client.get(await keyOf(0)))?.split(':')[2]?.split(',');
    expect(renewed?.[group]).toBe((await client.get(await keyOf(group)))?.split(':')[0]);
    expect(renewed?.filter((generation, i) => generation !== ['', ...generations][i])).toHaveLength(1);
  });

  test('logs in the log group what another group had not released, though the log group had', async () => {
    const { store, client, id, hashTag } = await cluster();
    await store.ready();
    await expect.poll(() => store.invalidate([]), { timeout: 10_000 }).toBeUndefined();
    const group = store.groupOf(tagOf(id));
    const rows = [{ xid: 600n, tags: [tagOf(id)] }];
    const apply = async (index: number, others?: Tick['others']) => {
      const head = await store.head(index);
      const next = head.position ?? { xid: 100n, purge: 'purge' };
      const tick: Tick = { head, next, rows, barrier: 100n, grant: 'grant', ...(others && { others }) };
      return store.apply(tick, index);
    };
    await store.release(600n, [tagOf(id)]); // and the group's memory of it is lost
    await client.del(`rel:${hashTag(group)}`);
    const { unreleased } = await apply(group);
    expect(unreleased).toEqual(['600']);
    expect((await apply(group === 1 ? 2 : 1)).unreleased).toEqual([]); // of a group without tags of it
    const before = await client.xlen(`log:${hashTag(0)}`);
    await apply(0, { generations: [], unreleased: new Set(unreleased) });
    expect(await client.xlen(`log:${hashTag(0)}`)).toBe(before + 1);
    await apply(0);
    expect(await client.xlen(`log:${hashTag(0)}`)).toBe(before + 1);
  });
});
