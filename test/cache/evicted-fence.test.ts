/** `allkeys-*` policies may evict a fence, or the note of it. RELEASE then logs the transaction, so that process memory drops what was read past the fence. */
import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { Cache, type Policy, tableTag } from '../../src/engine/cache/index.js';
import { RedisStore } from '../../src/engine/redis/index.js';
import { HOUR } from '../../src/std/time.js';
import { tagOf, tick } from './world.js';

const TASK = tagOf(7);
const POLICY: Policy<number> = {
  name: 'Task',
  shape: '1',
  ttlMs: HOUR,
  scope: 'public',
  tags: (id) => [tagOf(id), tableTag('tasks')],
};
const WAIT_MS = 5000;

let group: string;
let client: Redis;
let store: RedisStore;
let renewing: NodeJS.Timeout;

beforeEach(async () => {
  group = `test-${randomBytes(6).toString('hex')}`;
  client = new Redis(inject('redisUrl'));
  store = new RedisStore({ url: inject('redisUrl'), group, waitMs: WAIT_MS });
  await store.ready();
  await tick(store);
  await tick(store);
  renewing = setInterval(() => void tick(store).catch(() => {}), 300);
});

afterEach(async () => {
  clearInterval(renewing);
  await store.close();
  client.disconnect();
});

const recordsLogged = () => client.xlen(`log:{${group}}`);
const losesFence = () => client.del(`t:{${group}}:${TASK}`);
const losesNote = () => client.del(`fen:{${group}}`);

describe('a fence that is gone when its transaction is over', () => {
  test('leaves no old value in process memory, which may have kept what was read past it', async () => {
    const cache = new Cache({ store, near: {} });
    let row = 'old';
    const read = async (id: number) => {
      const value = await cache.read(POLICY, id, async () => row, { readSet: cache.readSet() });
      await cache.flush();
      return value;
    };
    for (const id of [1, 2, 3]) await read(id);
    await store.fence(900n, [TASK], { fresh: false });
    expect(await losesFence()).toBe(1);
    await read(4); // this process has seen the record of the fence
    expect(await read(7)).toBe('old'); // nothing is committed yet
    row = 'new';
    await store.release(900n, [TASK]);
    expect(await read(7)).toBe('new');
    expect(await new Cache({ store }).read(POLICY, 7, async () => row)).toBe('new');
  });

  test.each([
    ['the fence', losesFence],
    ['the note of the fence', losesNote],
  ])('makes RELEASE append to the log: %s', async (_, loses) => {
    await store.fence(900n, [TASK, tagOf(8)], { fresh: false });
    const before = await recordsLogged();
    expect(await loses()).toBe(1);
    await store.release(900n, [TASK, tagOf(8)]);
    expect(await recordsLogged()).toBe(before + 1);
  });

  test('was replaced by another one: RELEASE appends to the log, and leaves that one', async () => {
    await store.fence(900n, [TASK], { fresh: false });
    await losesFence();
    await store.fence(901n, [TASK], { fresh: false });
    const before = await recordsLogged();
    await store.release(900n, [TASK]);
    expect(await recordsLogged()).toBe(before + 1);
    expect(await client.get(`t:{${group}}:${TASK}`)).toBe('!901,');
  });
});

test('RELEASE of a write that was not fenced appends one record', async () => {
  const before = await recordsLogged();
  await store.release(900n, [TASK], { unfenced: true });
  expect(await recordsLogged()).toBe(before + 1);
});

test('RELEASE of a fence that is there appends nothing, and neither do RESOLVE and the sweep', async () => {
  await store.fence(900n, [TASK, tagOf(8)], { fresh: false });
  await store.fence(901n, [TASK], { fresh: false });
  await store.fence(902n, [TASK], { fresh: false });
  const before = await recordsLogged();
  await store.release(900n, [TASK, tagOf(8)]);
  await store.releaseFinished(['901'], [TASK]);
  await store.releaseOrphans([{ xid: '902', tags: [TASK] }]);
  expect(await recordsLogged()).toBe(before);
});
