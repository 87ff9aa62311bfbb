/**
 * Values that a load brings along: the rules of brought-values.ts. The load is that of a list, which brings the rows that it lists; the
 * writer is another process. No token was read for these rows, so each test lets a write pass where only a note or a record tells of it.
 */
import { describe, expect, test } from 'vitest';
import {
  Cache,
  type CacheOptions,
  MemoryStore,
  type Outcome,
  type Policy,
  type ReadOptions,
  type Source,
  type Store,
  type Tag,
  tableTag,
} from '../../src/engine/cache/index.js';
import { MAX_NOTES_PER_READ, type StoreReadOptions, type View } from '../../src/engine/cache/store.js';
import { HOUR } from '../../src/std/time.js';
import { intercepted } from '../support/stores.js';
import { FakeClock, quiet, tagOf, tick } from './world.js';

const TABLE = tableTag('tasks');
const PARTS = tableTag('parts');
const ROW: Policy<number> = {
  name: 'Row',
  shape: '1',
  ttlMs: HOUR,
  scope: 'public',
  tags: (id) => [tagOf(id), TABLE, PARTS],
};
const LISTED = [1, 2, 3];

interface Moments {
  /** A statement has been executed, and its answer is on the way. */
  loaded?: () => Promise<void>;
}

async function world(options: Partial<CacheOptions> & { readonly over?: (store: MemoryStore) => Store } = {}) {
  const { over, ...rest } = options;
  const clock = new FakeClock();
  const memory = new MemoryStore(clock);
  await tick(memory);
  const moments: Moments = {};
  const asked: StoreReadOptions[] = [];
  const store: Store = {
    ...intercepted(over?.(memory) ?? memory, () => {}),
    read: async (keys, tags, how = {}): Promise<View> => {
      asked.push(how);
      return (over?.(memory) ?? memory).read(keys, tags, how);
    },
  };
  const outcomes: Outcome[] = [];
  const events = { outcome: (outcome: Outcome) => outcomes.push(outcome) };
  const cache = new Cache({ store, clock, events, random: () => 0, near: {}, ...rest });
  const writer = new Cache({ store: memory, clock });
  const rows = new Map(LISTED.map((id) => [id, { id, text: 'old' }]));
  const loads: (readonly number[])[] = [];
  let xid = 200n;

  const row: Source<number, { readonly text: string } | undefined> = {
    ...ROW,
    reentrant: false,
    load: async (ids) => {
      loads.push(ids);
      return ids.map((id) => rows.get(id));
    },
  };
  const list: Source<string, readonly number[]> = {
    name: 'List',
    shape: '1',
    ttlMs: HOUR,
    scope: 'public',
    tags: () => [tagOf('list'), TABLE],
    reentrant: false,
    brings: true,
    load: async (args, _, bring) => {
      const found = [...rows.values()];
      await moments.loaded?.();
      for (const one of found) bring?.(ROW, one.id, { ...one });
      return args.map(() => found.map(({ id }) => id));
    },
  };
  return {
    ...{ cache, clock, memory, rows, moments, loads, outcomes, asked, row, list },
    /** Reads the list, then its rows, as one request. */
    async show(how: ReadOptions = { readSet: cache.readSet({ answer: true }) }) {
      const ids = (await cache.readMany(list, ['all'], how))[0] as readonly number[];
      const values = await cache.readMany(row, ids, how);
      await cache.flush();
      return values.map((value) => value?.text);
    },
    /** This process has read the log once. Before that it keeps nothing. */
    meets: () => cache.read({ ...ROW, name: 'Other' }, 99, async () => 'x'),
    /** A write whose COMMIT the test makes: FENCE, and what is left to do. */
    async fence(...tags: Tag[]) {
      const id = xid++;
      expect(await writer.fence(id, tags)).toBe(true);
      return {
        commit: (one: number) => rows.set(one, { id: one, text: 'new' }),
        release: async () => {
          writer.release(id, tags);
          await quiet();
        },
      };
    },
  };
}

describe('a row that a list brings along', () => {
  test('is read once: neither the store nor the source is asked for it', async () => {
    const w = await world();
    await w.meets();
    const trips = w.asked.length;
    expect(await w.show()).toEqual(['old', 'old', 'old']);
    expect(w.asked.length).toBe(trips + 1);
    expect(w.loads).toEqual([]);
    expect(w.outcomes.filter(({ name }) => name === 'Row').map(({ kind }) => kind)).toEqual(Array(3).fill('near-hit'));
  });

  test('is dropped with the record of its next write', async () => {
    const w = await world();
    await w.meets();
    await w.show();
    const write = await w.fence(tagOf(2));
    write.commit(2);
    await write.release();
    expect(await w.show()).toEqual(['old', 'new', 'old']);
    expect(w.loads).toEqual([[2]]);
  });

  test('is not kept where its write was logged before the READ and commits after the load', async () => {
    const w = await world();
    const write = await w.fence(tagOf(2));
    await w.meets(); // memory begins behind that record
    await w.show();
    write.commit(2);
    await write.release();
    expect(await w.show()).toEqual(['old', 'new', 'old']);
  });

  test.each([TABLE, PARTS])('is not kept under a note of any of its tags: %s', async (tag) => {
    const w = await world();
    const write = await w.fence(tag);
    await w.meets();
    await w.show();
    write.commit(3);
    await write.release();
    expect(await w.show()).toEqual(['old', 'old', 'new']);
  });

  test('is not kept under the notes of after the load: the write may be over by then', async () => {
    const w = await world();
    const write = await w.fence(tagOf(2));
    await w.meets();
    w.moments.loaded = async () => {
      write.commit(2);
      await write.release();
    };
    await w.show();
    delete w.moments.loaded;
    expect(await w.show()).toEqual(['old', 'new', 'old']);
  });

  test('is not kept if a record since the READ has named it, which another read has processed', async () => {
    const w = await world();
    await w.meets();
    w.moments.loaded = async () => {
      const write = await w.fence(tagOf(2));
      write.commit(2);
      await write.release();
      await w.cache.read({ ...ROW, name: 'Another' }, 98, async () => 'x', { readSet: w.cache.readSet() });
    };
    await w.show();
    delete w.moments.loaded;
    expect(await w.show()).toEqual(['old', 'new', 'old']);
  });

  test('is not brought where there are more notes than are read', async () => {
    const w = await world();
    await w.meets();
    for (let i = 0; i <= MAX_NOTES_PER_READ; i++) await w.fence(tagOf(`other ${i}`));
    await w.show();
    expect(w.loads).toEqual([LISTED]);
  });

  test('is not brought without a lease, nor before memory knows the log', async () => {
    const w = await world();
    await w.show();
    expect(w.loads).toEqual([LISTED]);
    const unleased = await world({
      over: (memory) => ({ ...intercepted(memory, () => {}), read: withoutLease(memory) }),
    });
    await unleased.meets();
    await unleased.show();
    expect(unleased.loads).toEqual([LISTED]);
  });

  test('is not brought without process memory, and no note is read', async () => {
    const w = await world({ near: undefined });
    await w.meets();
    await w.show();
    expect(w.loads).toEqual([LISTED]);
  });
});

describe('such a copy has no stamps', () => {
  test('a snapshot is not given it: it reads the row from the store, and holds', async () => {
    const w = await world();
    await w.meets();
    await w.show();
    const readSet = w.cache.readSet({ snapshot: true });
    await w.show({ readSet });
    expect(w.loads).toEqual([LISTED]);
    expect(await w.cache.validate(readSet)).toBe(true);
  });

  test('a snapshot brings nothing along', async () => {
    const w = await world();
    await w.meets();
    await w.show({ readSet: w.cache.readSet({ snapshot: true }) });
    expect(w.loads).toEqual([LISTED]);
    expect(w.asked.some(({ fenced }) => fenced === true)).toBe(false);
  });

  test('the monitor does not compare it: it could not prove a violation', async () => {
    const checked: string[] = [];
    const w = await world({ monitorShare: 1, events: { checked: (_, { name }) => checked.push(name) } });
    await w.meets();
    await w.show();
    await w.show();
    await quiet();
    expect(checked).not.toContain('Row');
  });

  test('it is not in the store: another process loads the row, and stores it', async () => {
    const w = await world();
    await w.meets();
    await w.show();
    const other = new Cache({ store: w.memory, clock: w.clock });
    expect(await other.readMany(w.row, [1])).toEqual([{ id: 1, text: 'old' }]);
    await other.flush();
    expect(w.loads).toEqual([[1]]);
    expect(await other.readMany(w.row, [1])).toEqual([{ id: 1, text: 'old' }]);
    expect(w.loads).toEqual([[1]]);
  });

  test('a copy that has stamps stays', async () => {
    const w = await world();
    await w.meets();
    await w.cache.readMany(w.row, [1], { readSet: w.cache.readSet() });
    await w.show();
    w.loads.length = 0;
    const readSet = w.cache.readSet({ snapshot: true });
    await w.cache.readMany(w.row, [1], { readSet });
    expect(w.loads).toEqual([]);
    expect(await w.cache.validate(readSet)).toBe(true);
  });
});

function withoutLease(memory: MemoryStore): Store['read'] {
  return async (keys, tags, how) => ({ ...(await memory.read(keys, tags, how)), leases: [undefined] });
}
