/**
 * Rule 7 of process memory: what a load reads through the cache is not older than the tokens that the load's own result is stored
 * under. Those tokens may be read after the request's log read: in a second trip, from another shard, or without the log group's answer.
 */
import { describe, expect, test } from 'vitest';
import {
  Cache,
  type CacheOptions,
  type Key,
  MemoryStore,
  type Outcome,
  type Policy,
  type ReadSet,
  type Store,
  type Tag,
  tableTag,
} from '../../src/engine/cache/index.js';
import type { StoreReadOptions, View } from '../../src/engine/cache/store.js';
import { Tracer } from '../../src/engine/graphql/cache-trace.js';
import type { Database } from '../../src/engine/postgres/executor.js';
import { Loads } from '../../src/graphql/context.js';
import { HOUR } from '../../src/std/time.js';
import { Gate } from '../support/barrier.js';
import { intercepted } from '../support/stores.js';
import { FakeClock, keyOfText, quiet, tagOf, tick } from './world.js';

const TASK = tagOf(7);
const tags = (): Tag[] => [TASK, tableTag('tasks')];
const policy = (name: string): Policy<string> => ({ name, shape: '1', ttlMs: HOUR, scope: 'public', tags });

type Read = (keys: readonly Key[], tags: readonly Tag[], options: StoreReadOptions) => Promise<View>;

/** A row that a cached method reads through the cache, in the memory of this process; another process writes it. */
async function world(options: Partial<CacheOptions> = {}) {
  const clock = new FakeClock();
  const memory = new MemoryStore(clock);
  await tick(memory);
  let next: Read | undefined;
  let loglessly = false;
  let trips = 0;
  const store: Store = {
    ...intercepted(memory, () => {}),
    read: async (keys, tags, options = {}) => {
      trips++;
      const read = next ?? memory.read.bind(memory);
      next = undefined;
      const view = await read(keys, tags, options);
      return loglessly ? { ...view, log: undefined } : view;
    },
  };
  const outcomes: Outcome[] = [];
  const events = { outcome: (outcome: Outcome) => outcomes.push(outcome) };
  const cache = new Cache({ store, clock, events, random: () => 0, near: {}, ...options });
  const writer = new Cache({ store: memory, clock });
  let row = 1;
  let loads = 0;
  const source = {
    ...policy('Inner'),
    reentrant: false,
    load: async (ids: readonly string[]) => {
      loads++;
      return ids.map(() => row);
    },
  };
  const made = {
    cache,
    memory,
    source,
    writer,
    trips: () => trips,
    loads: () => loads,
    kinds: (name: string) => outcomes.filter((outcome) => outcome.name === name).map(({ kind }) => kind),
    /** How the next trip to the store goes. */
    nextRead: (read: Read) => {
      next = read;
    },
    /** From now on the log group is not reached. */
    losesTheLog() {
      loglessly = true;
    },
    findsTheLog() {
      loglessly = false;
    },
    /**
     * As RedisStore does where a token was lost: entries and the log first, the token in a second trip. Between the two, the test acts.
     * The entry that is asked for is not there.
     */
    mintsInASecondTrip() {
      const found = new Gate();
      made.nextRead(async (keys, tags, options) => {
        const view = await memory.read(keys, tags, options);
        await found.pass();
        const { tokens } = await memory.read([], tags, { mint: true });
        return { ...view, entries: new Map(), tokens };
      });
      return found;
    },
    inner: async (readSet: ReadSet, by = cache) => (await by.readMany(source, ['7'], { readSet }))[0] as number,
    /** A cached method that reads the row inside its load. */
    method: (readSet: ReadSet, by = cache) =>
      by.read(policy('Outer'), '7', async () => 10 * (await made.inner(readSet, by)), { readSet }),
    async write(value: number) {
      await writer.fence(300n, [TASK]);
      row = value;
      writer.release(300n, [TASK]);
      await quiet();
    },
    /** What the method gives from now on, here and in a process without memory. */
    async settles(value: number) {
      await quiet();
      expect(await made.method(cache.readSet())).toBe(value);
      expect(await made.method(writer.readSet(), writer)).toBe(value);
    },
  };
  for (let round = 0; round < 3; round++) {
    await made.inner(cache.readSet());
    await quiet();
  }
  expect(made.kinds('Inner')).toEqual(['miss', 'hit', 'near-hit']);
  return made;
}

/** All ways by which a load may come to what memory holds. */
const DOORS: Record<string, (w: Awaited<ReturnType<typeof world>>, readSet: ReadSet) => Promise<number>> = {
  'by readMany': (w, readSet) => w.method(readSet),
  'by now': (w, readSet) =>
    w.cache.read(policy('Outer'), '7', async () => {
      const found = w.cache.peek(w.source, '7', { readSet });
      return 10 * (found?.value ?? (await w.inner(readSet)));
    }),
  'by a memoized function': (w, readSet) => {
    const memoized = w.cache.memoize('memoized', () => w.inner(readSet), { ttlMs: HOUR, tags });
    return w.cache.read(policy('Outer'), '7', async () => 10 * (await memoized()));
  },
  'by a nested cached method': (w, readSet) =>
    w.cache.read(
      policy('Outer'),
      '7',
      async () => 10 * (await w.cache.read(policy('Middle'), '7', () => w.inner(readSet))),
    ),
  'by a known answer': (w, readSet) =>
    w.cache.read(policy('Outer'), '7', async () => {
      const answer = (await w.cache.findAnswer(readSet, ANSWER)) as { value: number } | undefined;
      return 10 * (answer?.value ?? (await w.inner(readSet)));
    }),
  'by a second cache over the same store': (w, readSet) => {
    const second = new Cache({ store: w.memory });
    return second.read(policy('Outer'), '7', async () => 10 * (await w.inner(readSet)));
  },
};
const ANSWER = keyOfText('Answer');

describe('what a load reads through the cache', () => {
  test('is not older than tokens that came in a second trip', async () => {
    const w = await world();
    const readSet = w.cache.readSet();
    await w.inner(readSet); // its log read is known from now on
    const found = w.mintsInASecondTrip();
    const reading = w.method(readSet);
    await found.arrived;
    await w.write(2);
    found.open();
    expect(await reading).toBe(20);
    await w.settles(20);
  });

  test.each(Object.keys(DOORS))(
    'is not taken from memory while the group that keeps the log is not reached (Cluster): %s',
    async (door) => {
      const w = await world();
      const answered = w.cache.readSet({ answer: true });
      w.cache.storeAnswer(answered, ANSWER, { value: await w.inner(answered) }, 10);
      const readSet = w.cache.readSet();
      await w.inner(readSet);
      await w.write(2);
      w.losesTheLog();
      expect(await (DOORS[door] as (typeof DOORS)[string])(w, readSet)).toBe(20);
      w.findsTheLog();
      await w.settles(20);
    },
  );

  test('is current when the load runs, for a caller that joined it in line and could not reach the store', async () => {
    const w = await world({ maxLoads: 1 });
    const busy = new Gate();
    const holding = w.cache.read({ ...policy('Busy'), tags: () => [tagOf(8)] }, '8', () => busy.pass());
    await busy.arrived;
    const before = w.method(w.cache.readSet());
    await quiet(); // waits in line
    await w.write(2);
    w.nextRead(() => Promise.reject(new Error('away')));
    const after = w.method(w.cache.readSet());
    await quiet();
    busy.open();
    await Promise.all([holding, before]);
    expect(await after).toBe(20);
    await w.settles(20);
  });

  test('is not taken from memory unasked for a snapshot, whose validation at the end does not see inside a joined load', async () => {
    const w = await world();
    const first = w.cache.readSet({ snapshot: true });
    const second = w.cache.readSet({ snapshot: true });
    const found = w.mintsInASecondTrip();
    const reading = w.method(first);
    await found.arrived;
    await w.write(2);
    found.open();
    const joining = w.method(second);
    const [value, joined] = await Promise.all([reading, joining]);
    expect([value, await w.cache.validate(first)]).toEqual([20, true]);
    expect([joined, await w.cache.validate(second)]).toEqual([20, true]);
    await w.settles(20);
  });

  test('comes from memory on a log read that the load sends: one trip more, and no load', async () => {
    const w = await world();
    const readSet = w.cache.readSet();
    await w.inner(readSet);
    const [trips, loads] = [w.trips(), w.loads()];
    expect(await w.method(readSet)).toBe(10);
    expect(w.trips() - trips).toBe(2); // the method's own, and the load's
    expect(w.loads()).toBe(loads);
    expect(w.kinds('Inner').at(-1)).toBe('near-hit');
  });
});

test("a cached method reads through loaders of its own, not from what the request's loaders gave before", async () => {
  const w = await world();
  const db = { until: () => db } as unknown as Database;
  const readSet = w.cache.readSet();
  const loads = new Loads({ cache: w.cache, db, viewer: '', tracer: new Tracer(false), readSet });
  const source = { ...policy('Inner'), load: w.source.load };
  const memoized = { ...policy('Loaded'), load: w.source.load };
  expect([await loads.load(source, '7'), await loads.load(memoized, '7')]).toEqual([1, 1]); // of memory, of a loader
  await w.write(2);
  const method = () =>
    loads.read(policy('Outer'), '7', async () => `${await loads.load(source, '7')} ${await loads.load(memoized, '7')}`);
  expect(await method()).toBe('2 2');
  // The rest of the request keeps what it has seen.
  expect([await loads.load(source, '7'), await loads.load(memoized, '7')]).toEqual([1, 1]);
});
