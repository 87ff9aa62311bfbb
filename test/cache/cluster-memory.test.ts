/** A shard's old primary that still answers may be believed for 2 s. What memory kept of it must not be believed for longer. */
import { expect, test } from 'vitest';
import {
  Cache,
  LEASE_MS,
  MemoryStore,
  type Outcome,
  type Policy,
  type Store,
  type Tag,
} from '../../src/cache/index.js';
import type { View } from '../../src/cache/store.js';
import { HOUR } from '../../src/time.js';
import { intercepted } from '../support/stores.js';
import { FakeClock, quiet, tagOf, tick } from './world.js';

const TASK = tagOf(7);
const OTHER = tagOf(8);
const policy = (name: string, tag: Tag): Policy<string> => ({
  name,
  shape: '1',
  ttlMs: HOUR,
  scope: 'public',
  tags: () => [tag],
});

test('memory of what an old primary of another shard said', async () => {
  const clock = new FakeClock();
  const memory = new MemoryStore(clock);
  await tick(memory);
  let old: View | undefined; // of group 1's old primary, with its lease
  const store: Store = {
    ...intercepted(memory, () => {}),
    groups: 2, // HOME with the log, and group 1 with all entries and tags
    groupOf: () => 1,
    read: async (keys, tags, options = {}) => {
      const view = await memory.read(keys, tags, options);
      const of = (old !== undefined && keys.some((key) => old?.entries.has(key)) && old) || view;
      return { ...view, leases: [view.leases[0], of.leases[0]], entries: of.entries, tokens: of.tokens };
    },
  };
  const outcomes: Outcome[] = [];
  const cache = new Cache({
    store,
    clock,
    near: {},
    random: () => 0,
    events: { outcome: (outcome) => outcomes.push(outcome) },
  });
  const writer = new Cache({ store: memory, clock });
  let row = 1;
  const task = { ...policy('Task', TASK), leaf: true, load: async () => [row] };
  const other = { ...policy('Other', OTHER), leaf: true, load: async () => [0] };
  const read = async (source: typeof task) => (await cache.readMany(source, ['7'], { session: cache.session() }))[0];

  for (let round = 0; round < 2; round++) {
    await read(other);
    await quiet();
  }
  await writer.readMany(task, ['7']); // another process has stored it
  await quiet();
  const key = [...((writer as unknown as { store: MemoryStore }).store === memory ? ['Task:1::"7"'] : [])] as never[];
  const before = await memory.read(key, [TASK]);
  expect(before.entries.size).toBe(1);

  // The shard fails over. A write fences on the new primary, logs on HOME, commits, is acknowledged.
  await writer.fence(300n, [TASK]);
  row = 2;
  writer.release(300n, [TASK]);
  await quiet();
  await read(other); // this process has seen the record
  // It still reaches the old primary, whose lease runs on: within 2 s, so allowed.
  old = before;
  expect(await read(task)).toBe(1);
  old = undefined;

  for (let i = 0; i < 10; i++) {
    clock.advance(LEASE_MS / 2);
    await tick(memory);
  }
  outcomes.length = 0;
  const value = await read(task);
  expect({ value, kind: outcomes.at(-1)?.kind, afterMs: 10 * (LEASE_MS / 2) }).toMatchObject({ value: 2 });
});
