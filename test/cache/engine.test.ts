/** What stands around a read: stale values, loads in line, the monitor, leases by hand, statistics, builds side by side. */
import { describe, expect, test } from 'vitest';
import {
  Cache,
  type CacheEvents,
  type CacheOptions,
  dayOf,
  MemoryStore,
  type Outcome,
  type Policy,
  rowSetTag,
  Statistics,
  type Store,
  statisticsOf,
} from '../../src/engine/cache/index.js';
import { HOUR, MINUTE } from '../../src/std/time.js';
import { FakeClock, heldLoad, loading, quiet, tagOf, tick, write } from './world.js';

const POLICY: Policy<number> = { name: 'Task', shape: '1', ttlMs: HOUR, scope: 'public', tags: (id) => [tagOf(id)] };

async function world(options: Partial<CacheOptions> = {}, around: (store: Store) => Store = (store) => store) {
  const clock = new FakeClock();
  const memory = new MemoryStore(clock);
  await tick(memory);
  const outcomes: Outcome[] = [];
  const checked: string[] = [];
  const events: CacheEvents = {
    outcome: (outcome) => outcomes.push(outcome),
    checked: (result) => checked.push(result),
  };
  const open = (more: Partial<CacheOptions> = {}) =>
    new Cache({ store: around(memory), clock, events, random: () => 0, ...options, ...more });
  const ends = () => outcomes.splice(0).map(({ kind, reason }) => (reason === undefined ? kind : `${kind} ${reason}`));
  /** The lease stands as long as the clock does: here it is moved, and the lease with it. */
  const later = async (ms: number) => {
    clock.advance(ms);
    await tick(memory, {});
  };
  return { cache: open(), open, memory, clock, outcomes, checked, ends, later };
}

describe('a value that depends on the time', () => {
  const OVERDUE: Policy<number> = { ...POLICY, name: 'overdue', ttlMs: MINUTE, timeDependent: true, staleMs: MINUTE };

  test('is served stale once its time is over, while one process loads it anew', async () => {
    const { cache, open, ends, later } = await world();
    const load = loading('first');
    await cache.read(OVERDUE, 1, load);
    await quiet();
    await later(MINUTE + 1);
    const anew = heldLoad<string>();
    expect(await cache.read(OVERDUE, 1, anew)).toBe('first');
    expect(await open().read(OVERDUE, 1, anew)).toBe('first');
    await anew.started;
    await quiet();
    expect(anew.runs).toBe(1);
    anew.give('second');
    await cache.flush();
    expect(await cache.read(OVERDUE, 1, anew)).toBe('second');
    expect(ends()).toEqual(['miss absent', 'stale', 'stale', 'hit']);
  });

  test('is not served beyond that', async () => {
    const { cache, later } = await world();
    await cache.read(OVERDUE, 1, loading('first'));
    await quiet();
    await later(2 * MINUTE + 1);
    expect(await cache.read(OVERDUE, 1, loading('second'))).toBe('second');
  });

  test('is not served stale after a write to its tags, nor in a snapshot', async () => {
    const { cache, later } = await world();
    for (const id of [1, 2]) await cache.read(OVERDUE, id, loading('first'));
    await quiet();
    await later(MINUTE + 1);
    await write(cache, 200n, tagOf(1));
    expect(await cache.read(OVERDUE, 1, loading('second'))).toBe('second');
    const readSet = cache.readSet({ snapshot: true });
    expect(await cache.read(OVERDUE, 2, loading('second'), { readSet })).toBe('second');
  });
});

describe('loads', () => {
  test('no more than the bound run at once, the others in their order', async () => {
    const { cache } = await world({ maxLoads: 2 });
    const loads = [1, 2, 3, 4].map(() => heldLoad<number>());
    const reads = loads.map((load, id) => cache.read(POLICY, id, load));
    await quiet();
    expect(loads.map(({ runs }) => runs)).toEqual([1, 1, 0, 0]);
    expect(cache.state.loads).toMatchObject({ running: 2, waiting: 2 });
    loads[1]?.give(1);
    await quiet();
    expect(loads.map(({ runs }) => runs)).toEqual([1, 1, 1, 0]);
    for (const [id, load] of loads.entries()) load.give(id);
    expect(await Promise.all(reads)).toEqual([0, 1, 2, 3]);
    expect(cache.state.loads).toMatchObject({ running: 0, waiting: 0, peak: 2 });
  });

  test('whoever needs what still waits in line takes part in it, also without a lease', async () => {
    const { cache, clock } = await world({ maxLoads: 1 });
    clock.advance(HOUR);
    const [first, second, third] = [heldLoad<string>(), heldLoad<string>(), heldLoad<string>()];
    const reads = [cache.read(POLICY, 1, first)];
    await quiet();
    reads.push(cache.read(POLICY, 2, second));
    await quiet();
    reads.push(cache.read(POLICY, 2, third));
    await quiet();
    first.give('one');
    second.give('two');
    expect(await Promise.all(reads)).toEqual(['one', 'two', 'two']);
    expect(third.runs).toBe(0);
  });

  test('nobody joins one that has started without stamps', async () => {
    const { cache, clock } = await world();
    clock.advance(HOUR);
    const [first, second] = [heldLoad<string>(), heldLoad<string>()];
    const reads = [cache.read(POLICY, 1, first)];
    await quiet();
    reads.push(cache.read(POLICY, 1, second));
    await quiet();
    first.give('old');
    second.give('new');
    expect(await Promise.all(reads)).toEqual(['old', 'new']);
  });

  test('one that reads through the cache itself does not wait for its own place', async () => {
    const { cache } = await world({ maxLoads: 1 });
    const inner: Policy<number> = { ...POLICY, name: 'inner' };
    expect(await cache.read(POLICY, 1, () => cache.read(inner, 1, async () => 'inner'))).toBe('inner');
  });

  test('of one viewer take at most half of the slots, and another viewer waits for none of them', async () => {
    const { cache } = await world({ maxLoads: 4 });
    const loads = [1, 2, 3, 4, 5].map(() => heldLoad<number>());
    const reads = loads.map((load, id) => cache.read(POLICY, id, load, { viewer: id < 4 ? 'ada' : 'bob' }));
    await quiet();
    expect(loads.map(({ runs }) => runs)).toEqual([1, 1, 0, 0, 1]);
    for (const [id, load] of loads.entries()) load.give(id);
    expect(await Promise.all(reads)).toEqual([0, 1, 2, 3, 4]);
  });

  test('one in line that another viewer joins begins with the turn of whichever of them is served first', async () => {
    const { cache } = await world({ maxLoads: 2 });
    const loads = [1, 2, 3].map(() => heldLoad<number>());
    const reads = loads.map((load, id) => cache.read(POLICY, id, load, { viewer: 'ada' }));
    await quiet();
    expect(loads.map(({ runs }) => runs)).toEqual([1, 0, 0]);
    const joining = heldLoad<number>();
    reads.push(cache.read(POLICY, 2, joining, { viewer: 'bob' }));
    await quiet();
    expect(loads.map(({ runs }) => runs)).toEqual([1, 0, 1]);
    for (const [id, load] of loads.entries()) load.give(id);
    expect(await Promise.all(reads)).toEqual([0, 1, 2, 2]);
    expect(joining.runs).toBe(0);
  });

  test('past the cache take slots as well, but not inside of a load', async () => {
    const { cache } = await world({ maxLoads: 2 });
    const held = heldLoad<string>();
    const first = cache.loadPast({ viewer: 'ada' }, held);
    const second = cache.loadPast({ viewer: 'ada' }, loading('second'));
    await quiet();
    expect(cache.state.loads).toMatchObject({ running: 1, waiting: 1 });
    const nested = cache.read(POLICY, 1, () => cache.loadPast({ viewer: 'bob' }, loading('nested')), { viewer: 'bob' });
    expect(await nested).toBe('nested');
    held.give('first');
    expect(await Promise.all([first, second])).toEqual(['first', 'second']);
  });

  test('one that fails gives its place back', async () => {
    const { cache } = await world({ maxLoads: 1 });
    await expect(cache.read(POLICY, 1, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(await cache.read(POLICY, 2, loading('two'))).toBe('two');
  });
});

test('a value under more tags than are worth proving is loaded each time and never stored, the others of its batch as usual', async () => {
  const { cache } = await world();
  const wide: Policy<number> = {
    ...POLICY,
    name: 'wide',
    tags: (count) => Array.from({ length: count }, (_, i) => rowSetTag('rows', ['id'], [String(i)])),
  };
  const batches: (readonly number[])[] = [];
  const load = async (counts: readonly number[]) => {
    batches.push(counts);
    return counts;
  };
  for (let i = 0; i < 2; i++) {
    expect(await cache.readMany({ ...wide, load }, [200, 201])).toEqual([200, 201]);
    await cache.flush();
  }
  expect(batches).toEqual([[200, 201], [201]]);
});

describe('the monitor', () => {
  const always = { monitorShare: 1 };

  test('finds a value that was served old, and nothing else', async () => {
    const { cache, checked } = await world(always);
    let database = 'one';
    const read = () => cache.read(POLICY, 1, async () => database);
    await read();
    await quiet();
    await read();
    await cache.flush();
    expect(checked).toEqual(['same']);
    database = 'two'; // and nobody tells: what must never be
    await read();
    await cache.flush();
    // The sleep of the monitor moves the clock beyond the lease: without proof it accuses nobody.
    expect(checked).toEqual(['same', 'changed']);
  });

  test('calls it a violation only when the tags hold after every write must have been applied', async () => {
    const found = await world(always);
    const clock = new (class extends FakeClock {
      override async sleep(ms: number) {
        await found.later(ms);
      }
    })();
    const cache = found.open({ clock });
    let database = 'one';
    const read = () => cache.read(POLICY, 1, async () => database);
    await read();
    await quiet();
    database = 'two';
    await read();
    await cache.flush();
    expect(found.checked).toEqual(['violation']);
  });

  test('takes a write in between for what it is, and leaves alone what depends on the time', async () => {
    const { cache, checked } = await world(always);
    let database = 'one';
    let loads = 0;
    const read = () =>
      cache.read(POLICY, 1, async () => {
        if (++loads === 2) {
          await write(cache, 200n, tagOf(1));
          database = 'two';
        }
        return database;
      });
    await read();
    await quiet();
    await read();
    await cache.flush();
    expect(checked).toEqual(['changed']);
    const clocked: Policy<number> = { ...POLICY, name: 'clocked', timeDependent: true };
    for (let i = 0; i < 3; i++) await cache.read(clocked, 1, loading(i));
    await cache.flush();
    expect(checked).toEqual(['changed']);
  });
});

test('statistics of all processes add up, by day and name', async () => {
  const { memory, clock } = await world();
  const [here, there] = [new Statistics({ store: memory, clock }), new Statistics({ store: memory, clock })];
  for (const kind of ['hit', 'hit', 'miss'] as const) here.note({ name: 'Task', kind });
  there.note({ name: 'Task', kind: 'hit' });
  there.note({ name: 'Project.stats', kind: 'stale' });
  await Promise.all([here.flush(), there.flush(), here.flush()]);
  expect(await statisticsOf(memory, dayOf(clock.nowMs()))).toEqual([
    { name: 'Project.stats', counts: { stale: 1 } },
    { name: 'Task', counts: { hit: 3, miss: 1 } },
  ]);
});

test('two builds with another shape never read each other, and obey the same invalidations', async () => {
  const { open, ends } = await world();
  const [before, after] = [open(), open()];
  const old = POLICY;
  const grown = { ...POLICY, shape: '2' };
  await before.read(old, 1, loading({ title: 'one' }));
  await quiet();
  expect(await after.read(grown, 1, loading({ title: 'one', points: 3 }))).toEqual({ title: 'one', points: 3 });
  await quiet();
  expect(await before.read(old, 1, loading('no'))).toEqual({ title: 'one' });
  expect(ends()).toEqual(['miss absent', 'miss absent', 'hit']);
  await write(after, 200n, tagOf(1)); // by the new build
  expect(await before.read(old, 1, loading({ title: 'two' }))).toEqual({ title: 'two' });
  expect(await after.read(grown, 1, loading({ title: 'two', points: 4 }))).toEqual({ title: 'two', points: 4 });
  expect(ends()).toEqual(['miss invalid', 'miss invalid']);
});
