/** The cache's decisions: what is served, loaded, joined and stored, and what a broken store does to whom. */
import { describe, expect, test } from 'vitest';
import {
  Cache,
  CacheError,
  type CacheEvents,
  type CacheOptions,
  LEASE_MS,
  MemoryStore,
  type Outcome,
  type Policy,
  type Source,
  type Store,
} from '../../src/engine/cache/index.js';
import type { Fill } from '../../src/engine/cache/store.js';
import { HOUR, MINUTE } from '../../src/std/time.js';
import { Gates } from '../support/barrier.js';
import { counted, gated, intercepted, type StoreCounts, type StoreStep } from '../support/stores.js';
import { FakeClock, heldLoad, keyOfText, loading, quiet, tagOf, tick, write } from './world.js';

const tags = (id: number) => [tagOf(id)];
const POLICY: Policy<number> = { name: 'Task', shape: '1', ttlMs: HOUR, scope: 'public', tags };

interface World {
  readonly cache: Cache;
  readonly memory: MemoryStore;
  readonly clock: FakeClock;
  readonly counts: StoreCounts;
  readonly fills: Fill[];
  readonly outcomes: Outcome[];
  /** What the events told besides outcomes, in words. */
  readonly told: string[];
  /** Steps of the store that fail from now on. */
  readonly broken: Set<StoreStep>;
  /** `hit`, `miss absent`, …: how the calls since the last ask ended. */
  ends(): string[];
}

interface WorldOptions extends Partial<CacheOptions> {
  readonly leased?: boolean;
  readonly wrap?: (store: Store) => Store;
}

/** A cache over memory, leased for as long as its clock stands still. */
async function world({ leased = true, wrap = (store) => store, ...options }: WorldOptions = {}): Promise<World> {
  const clock = new FakeClock();
  const memory = new MemoryStore(clock);
  if (leased) await tick(memory);
  const counts: StoreCounts = { reads: 0, fills: 0, fences: 0, releases: 0 };
  const fills: Fill[] = [];
  const outcomes: Outcome[] = [];
  const told: string[] = [];
  const broken = new Set<StoreStep>();
  const events: CacheEvents = {
    outcome: (outcome) => outcomes.push(outcome),
    fenceSeen: (tag, fence) => told.push(`fence ${fence} on ${tag}`),
    storeFailed: (what, error) => told.push(`${what} failed: ${(error as CacheError).code}`),
    unfenced: (xid) => told.push(`${xid} unfenced`),
  };
  const faulty = intercepted(wrap(memory), (step) => {
    if (broken.has(step)) throw new CacheError('STORE_UNAVAILABLE', 'broken by the test');
  });
  const store: Store = {
    ...faulty,
    fill: (given) => {
      fills.push(...given);
      return faulty.fill(given);
    },
  };
  return {
    cache: new Cache({ store: counted(store, counts), clock, events, random: () => 0, ...options }),
    memory,
    clock,
    counts,
    fills,
    outcomes,
    told,
    broken,
    ends: () => outcomes.splice(0).map(({ kind, reason }) => (reason === undefined ? kind : `${kind} ${reason}`)),
  };
}

describe('hits and misses', () => {
  test('what was loaded once is served from then on, by any process', async () => {
    const { cache, memory, clock, ends } = await world();
    const load = loading({ id: 7, at: new Date(5) });
    expect(await cache.read(POLICY, 7, load)).toEqual({ id: 7, at: new Date(5) });
    await quiet();
    expect(await cache.read(POLICY, 7, load)).toEqual({ id: 7, at: new Date(5) });
    expect(await new Cache({ store: memory, clock }).read(POLICY, 7, load)).toEqual({ id: 7, at: new Date(5) });
    expect(load.runs).toBe(1);
    expect(ends()).toEqual(['miss absent', 'hit']);
  });

  test('two readers never share one object', async () => {
    const { cache } = await world();
    await cache.read(POLICY, 7, async () => ({ list: [1] }));
    await quiet();
    const first = await cache.read(POLICY, 7, loading({ list: [0] }));
    first.list.push(2);
    expect(await cache.read(POLICY, 7, loading({ list: [0] }))).toEqual({ list: [1] });
  });

  test('arguments, names and shapes keep values apart', async () => {
    const { cache } = await world();
    const policies = [POLICY, { ...POLICY, name: 'Other' }, { ...POLICY, shape: '2' }];
    for (const [i, policy] of policies.entries()) {
      expect(await cache.read(policy, 7, loading(i))).toBe(i);
      await quiet();
      expect(await cache.read(policy, 7, loading(-1))).toBe(i);
    }
    expect(await cache.read(POLICY, 8, loading('eight'))).toBe('eight');
  });

  test('the key of a policy says which arguments tell one call from another', async () => {
    const { cache } = await world();
    const policy: Policy<{ id: number; trace: string }> = { ...POLICY, tags: () => [], key: ({ id }) => id };
    await cache.read(policy, { id: 1, trace: 'a' }, loading('one'));
    await quiet();
    expect(await cache.read(policy, { id: 1, trace: 'b' }, loading('two'))).toBe('one');
  });

  test('an entry is served until its time to live is over, and a tick keeps the lease', async () => {
    const { cache, memory, clock, ends } = await world();
    await cache.read({ ...POLICY, ttlMs: 10 * MINUTE }, 7, loading('one'));
    await quiet();
    clock.advance(10 * MINUTE - 1);
    await tick(memory);
    expect(await cache.read(POLICY, 7, loading('two'))).toBe('one');
    clock.advance(1);
    expect(await cache.read(POLICY, 7, loading('two'))).toBe('two');
    expect(ends()).toEqual(['miss absent', 'hit', 'miss absent']);
  });

  test('what does not exist is remembered, too, for its own time', async () => {
    const { cache, fills, ends } = await world();
    const policy = { ...POLICY, negativeTtlMs: 5 * MINUTE };
    for (const [id, nothing] of [null, undefined].entries()) {
      expect(await cache.read(policy, id, loading(nothing))).toBe(nothing);
      await quiet();
      expect(await cache.read(policy, id, loading('something'))).toBe(nothing);
    }
    expect(fills.map(({ ttlMs }) => ttlMs)).toEqual([5 * MINUTE, 5 * MINUTE]);
    expect(ends()).toEqual(['miss absent', 'hit', 'miss absent', 'hit']);
  });

  test('times to live are spread over their last tenth', async () => {
    for (const [random, ttlMs] of [
      [0, HOUR],
      [0.5, 0.95 * HOUR],
      [0.999, 0.9001 * HOUR],
    ] as const) {
      const { cache, fills } = await world({ random: () => random });
      await cache.read(POLICY, 7, loading(1));
      await quiet();
      expect(fills[0]?.ttlMs).toBe(ttlMs);
    }
  });

  test('a write makes a miss of what carries its tag, and of nothing else', async () => {
    const { cache, ends } = await world();
    for (const id of [7, 8]) await cache.read(POLICY, id, loading('old'));
    await quiet();
    await write(cache, 200n, tagOf(7));
    expect(await cache.read(POLICY, 7, loading('new'))).toBe('new');
    expect(await cache.read(POLICY, 8, loading('new'))).toBe('old');
    expect(ends().slice(2)).toEqual(['miss invalid', 'hit']);
  });

  test('any one of several tags invalidates', async () => {
    const { cache } = await world();
    const policy: Policy<number> = { ...POLICY, tags: () => [tagOf('a'), tagOf('b'), tagOf('c')] };
    for (const [i, tag] of policy.tags(0).entries()) {
      await cache.read(policy, 7, loading(i));
      await quiet();
      await write(cache, 200n + BigInt(i), tag);
      expect(await cache.read(policy, 7, loading(`after ${i}`))).toBe(`after ${i}`);
      await quiet();
      await write(cache, 300n + BigInt(i), tag);
    }
  });

  test('a purge makes every entry a miss', async () => {
    const { cache, memory, ends } = await world();
    await cache.read(POLICY, 7, loading('old'));
    await quiet();
    await tick(memory, { next: { xid: 100n, purge: 'another' } });
    expect(await cache.read(POLICY, 7, loading('new'))).toBe('new');
    expect(ends()).toEqual(['miss absent', 'miss invalid']);
  });

  test('a damaged entry is a miss, and is replaced', async () => {
    const { cache, memory, outcomes, fills, ends } = await world();
    await cache.read(POLICY, 7, loading('good'));
    await quiet();
    const key = (outcomes[0] as Outcome).key;
    const text = `${fills[0]?.text.split('|j|')[0]}|j|{"a`;
    await memory.fill([{ key, text, ttlMs: HOUR }]);
    expect(await cache.read(POLICY, 7, loading('loaded'))).toBe('loaded');
    await quiet();
    expect(await cache.read(POLICY, 7, loading('again'))).toBe('loaded');
    expect(ends()).toEqual(['miss absent', 'miss damaged', 'hit']);
  });

  test('an outcome tells the call, its cost, and what the entry is', async () => {
    const { cache, clock, outcomes, fills } = await world();
    await cache.read(POLICY, 7, loading('one'));
    await quiet();
    clock.advance(1500);
    await cache.read(POLICY, 7, loading('two'));
    const call = { name: 'Task', arg: 7, key: keyOfText('Task:1::7'), tags: [tagOf(7)], ms: expect.any(Number) };
    expect(outcomes).toEqual([
      { ...call, kind: 'miss', reason: 'absent', roundTrips: [1] },
      {
        ...call,
        kind: 'hit',
        ageMs: 1500,
        ttlLeftMs: HOUR - 1500,
        chars: fills[0]?.text.length,
        roundTrips: [2],
      },
    ]);
  });
});

describe('without proof of freshness', () => {
  test('under a fence every read loads, stores nothing, joins nobody and reports the fence', async () => {
    const { cache, counts, told, ends } = await world();
    await cache.read(POLICY, 7, loading('old'));
    await quiet();
    await cache.fence(200n, [tagOf(7)]);
    counts.fills = 0;
    const [first, second] = [heldLoad<string>(), heldLoad<string>()];
    const reads = [cache.read(POLICY, 7, first), cache.read(POLICY, 7, second)];
    await Promise.all([first.started, second.started]);
    first.give('one');
    second.give('two');
    expect(await Promise.all(reads)).toEqual(['one', 'two']);
    await quiet();
    expect(counts.fills).toBe(0);
    expect(ends().slice(1)).toEqual(['bypass fenced', 'bypass fenced']);
    expect(told).toEqual(Array(2).fill(`fence !,200, on ${tagOf(7)}`));
  });

  test('a fence on one of its tags bypasses a call, not its neighbours', async () => {
    const { cache, ends } = await world();
    await cache.fence(200n, [tagOf(7)]);
    await Promise.all([cache.read(POLICY, 7, loading(7)), cache.read(POLICY, 8, loading(8))]);
    expect(ends().sort()).toEqual(['bypass fenced', 'miss absent']);
  });

  test('without a lease every read loads and stores nothing', async () => {
    const { cache, clock, counts, ends } = await world();
    await cache.read(POLICY, 7, loading('old'));
    await quiet();
    clock.advance(LEASE_MS);
    expect(await cache.read(POLICY, 7, loading('new'))).toBe('new');
    await quiet();
    expect(counts).toMatchObject({ fills: 1 });
    expect(ends()).toEqual(['miss absent', 'bypass no-lease']);
  });

  test('a value that is too large is given, and never stored', async () => {
    const { cache, fills, ends } = await world();
    const policy = { ...POLICY, maxChars: 100 };
    for (let i = 0; i < 2; i++) {
      expect(await cache.read(policy, 7, loading('x'.repeat(100)))).toHaveLength(100);
      await quiet();
    }
    expect(fills).toEqual([]);
    expect(ends()).toEqual(['miss too-large', 'miss too-large']);
  });

  test('a value that text cannot hold is given as it is, and never stored', async () => {
    const { cache, fills, ends } = await world();
    const map = new Map([[1, 2]]);
    for (let i = 0; i < 2; i++) {
      expect(await cache.read(POLICY, 7, loading(map))).toBe(map);
      await quiet();
    }
    expect(fills).toEqual([]);
    expect(ends()).toEqual(['miss unencodable', 'miss unencodable']);
  });
});

describe('loads that are shared', () => {
  test('a read joins a load under way if it saw the same tokens', async () => {
    const { cache, counts, ends } = await world();
    const load = heldLoad<string>();
    const first = cache.read(POLICY, 7, load);
    await load.started;
    const second = cache.read(POLICY, 7, loading('mine'));
    await quiet();
    load.give('theirs');
    expect(await Promise.all([first, second])).toEqual(['theirs', 'theirs']);
    await quiet();
    expect(counts.fills).toBe(1);
    expect(ends().toSorted()).toEqual(['joined absent', 'miss absent']);
  });

  test('a read that saw newer tokens never joins an older load, and the older one stores nothing that is served', async () => {
    const { cache, ends } = await world();
    const older = heldLoad<string>();
    const first = cache.read(POLICY, 7, older);
    await older.started;
    await write(cache, 200n, tagOf(7));
    const newer = heldLoad<string>();
    const second = cache.read(POLICY, 7, newer);
    await newer.started;
    older.give('old');
    expect(await first).toBe('old');
    newer.give('new');
    expect(await second).toBe('new');
    await quiet();
    expect(await cache.read(POLICY, 7, loading('loaded'))).toBe('new');
    expect(ends()).toEqual(['miss absent', 'miss absent', 'hit']);
  });

  test('an older load that ends last costs a miss, and is never served', async () => {
    const { cache } = await world();
    const older = heldLoad<string>();
    const first = cache.read(POLICY, 7, older);
    await older.started;
    await write(cache, 200n, tagOf(7));
    await cache.read(POLICY, 7, loading('new'));
    await quiet();
    older.give('old');
    expect(await first).toBe('old');
    await quiet();
    expect(await cache.read(POLICY, 7, loading('new'))).toBe('new');
  });

  test('a read under another purge does not join', async () => {
    const { cache, memory } = await world();
    const older = heldLoad<string>();
    const first = cache.read(POLICY, 7, older);
    await older.started;
    await tick(memory, { next: { xid: 100n, purge: 'another' } });
    expect(await cache.read(POLICY, 7, loading('new'))).toBe('new');
    older.give('old');
    await first;
  });

  test('an error of a load reaches everyone who waits for it, and is never stored', async () => {
    const { cache, counts } = await world();
    const load = heldLoad<string>();
    const reads = [cache.read(POLICY, 7, load), cache.read(POLICY, 7, load)];
    await load.started;
    reads.push(cache.read(POLICY, 7, load));
    await quiet();
    load.give(new Error('no database'));
    for (const read of reads) await expect(read).rejects.toThrow('no database');
    expect(load.runs).toBe(1);
    await quiet();
    expect(counts.fills).toBe(0);
    expect(await cache.read(POLICY, 7, loading('well again'))).toBe('well again');
  });

  test('a load that throws before it gives a promise is such an error, too', async () => {
    const { cache } = await world();
    const bad = () => {
      throw new Error('at once');
    };
    await expect(cache.read(POLICY, 7, bad)).rejects.toThrow('at once');
    expect(await cache.read(POLICY, 7, loading('well again'))).toBe('well again');
  });
});

describe('viewers', () => {
  const mine: Policy<number> = { ...POLICY, scope: 'viewer' };

  test("what is a viewer's own is never another's", async () => {
    const { cache } = await world();
    for (const viewer of ['ada', 'bob']) {
      expect(await cache.read(mine, 7, loading(viewer), { viewer })).toBe(viewer);
      await quiet();
    }
    expect(await cache.read(mine, 7, loading('?'), { viewer: 'ada' })).toBe('ada');
    expect(await cache.read(mine, 7, loading('?'), { viewer: 'bob' })).toBe('bob');
  });

  test('a read without a viewer is refused before anything is asked or loaded', async () => {
    const { cache, counts } = await world();
    const load = loading(1);
    await expect(cache.read(mine, 7, load)).rejects.toMatchObject({ code: 'POLICY' });
    await expect(cache.read(mine, 7, load, { viewer: undefined })).rejects.toMatchObject({ code: 'POLICY' });
    expect(load.runs).toBe(0);
    expect(counts.reads).toBe(0);
  });

  test('what is public is shared, whoever asks', async () => {
    const { cache } = await world();
    await cache.read(POLICY, 7, loading('shared'), { viewer: 'ada' });
    await quiet();
    expect(await cache.read(POLICY, 7, loading('?'), { viewer: 'bob' })).toBe('shared');
    expect(await cache.read(POLICY, 7, loading('?'))).toBe('shared');
  });
});

describe('many at once', () => {
  const source = (loads: number[][]): Source<number, string> => ({
    ...POLICY,
    load: async (ids) => {
      loads.push([...ids]);
      return ids.map((id) => `value ${id}`);
    },
  });
  const ids = Array.from({ length: 100 }, (_, i) => i);

  test('readMany is one read, one load and one fill for all keys; then one read', async () => {
    const { cache, counts } = await world();
    const loads: number[][] = [];
    expect(await cache.readMany(source(loads), ids)).toEqual(ids.map((id) => `value ${id}`));
    await quiet();
    expect(counts).toMatchObject({ reads: 1, fills: 1 });
    expect(loads).toEqual([ids]);
    await cache.readMany(source(loads), ids);
    await quiet();
    expect(counts).toMatchObject({ reads: 2, fills: 1 });
    expect(loads).toHaveLength(1);
  });

  test('readMany loads only what is missing, and answers in the order of its arguments', async () => {
    const { cache, ends } = await world();
    const loads: number[][] = [];
    await cache.readMany(source(loads), [2, 4]);
    await quiet();
    expect(await cache.readMany(source(loads), [5, 4, 3, 2, 1])).toEqual([5, 4, 3, 2, 1].map((id) => `value ${id}`));
    expect(loads[1]).toEqual([5, 3, 1]);
    expect(ends().filter((end) => end === 'hit')).toHaveLength(2);
  });

  test('readMany joins what others load, and loads the rest itself', async () => {
    const { cache } = await world();
    const held = heldLoad<string>();
    const other = cache.read(POLICY, 2, held);
    await held.started;
    const loads: number[][] = [];
    const many = cache.readMany(source(loads), [1, 2, 3]);
    await quiet();
    expect(loads).toEqual([[1, 3]]);
    held.give('theirs');
    expect(await many).toEqual(['value 1', 'theirs', 'value 3']);
    await other;
  });

  test('a load that answers with too few values is a mistake that is told', async () => {
    const { cache } = await world();
    const short: Source<number, number> = { ...POLICY, load: async () => [1] };
    await expect(cache.readMany(short, [1, 2])).rejects.toMatchObject({ code: 'LOAD_SHAPE' });
  });

  test('fifty reads of one turn are one read and one fill, and their loads start in one turn', async () => {
    const { cache, counts, outcomes } = await world();
    let started = 0;
    let startedInFirstTurn = 0;
    const reads = ids.slice(0, 50).map((id) =>
      cache.read(POLICY, id, async () => {
        if (++started === 1) setImmediate(() => (startedInFirstTurn = started));
        return id;
      }),
    );
    expect(await Promise.all(reads)).toEqual(ids.slice(0, 50));
    await quiet();
    expect(startedInFirstTurn).toBe(50);
    expect(counts).toMatchObject({ reads: 1, fills: 1 });
    expect(new Set(outcomes.map(({ roundTrips }) => roundTrips.join()))).toEqual(new Set(['1']));
  });

  test('fifty hits of one turn are one read, and are answered in one turn', async () => {
    const { cache, counts } = await world();
    await Promise.all(ids.slice(0, 50).map((id) => cache.read(POLICY, id, loading(id))));
    await quiet();
    counts.reads = 0;
    let answered = 0;
    let answeredInFirstTurn = 0;
    const reads = ids.slice(0, 50).map(async (id) => {
      await cache.read(POLICY, id, loading(-1));
      if (++answered === 1) setImmediate(() => (answeredInFirstTurn = answered));
    });
    await Promise.all(reads);
    await quiet();
    expect(answeredInFirstTurn).toBe(50);
    expect(counts.reads).toBe(1);
  });

  test('a tag that many calls share is asked for once', async () => {
    const asked: number[] = [];
    const { cache } = await world({
      wrap: (store) => ({
        ...intercepted(store, () => {}),
        read: (keys, wanted, options) => {
          asked.push(wanted.length);
          return store.read(keys, wanted, options);
        },
      }),
    });
    const shared: Policy<number> = { ...POLICY, tags: () => [tagOf('shared')] };
    await Promise.all(ids.map((id) => cache.read(shared, id, loading(id))));
    expect(asked).toEqual([1]);
  });

  test('every load runs inside aroundLoad, with the name and the tags of what it loads', async () => {
    const around: string[] = [];
    const { cache } = await world({
      wrapLoad: async ({ name, tags: covered }, run) => {
        around.push(`${name}: ${covered.join(' ')}`);
        return run();
      },
    });
    await cache.readMany(source([]), [1, 2]);
    await quiet();
    await cache.readMany(source([]), [1, 2]);
    expect(around).toEqual([`Task: ${tagOf(1)} ${tagOf(2)}`]);
  });
});

describe('a broken store slows readers and never fails them', () => {
  test('a failed read loads, stores nothing, and is an outcome of its own', async () => {
    const { cache, broken, counts, told, ends } = await world();
    await cache.read(POLICY, 7, loading('old'));
    await quiet();
    broken.add('read');
    expect(await cache.read(POLICY, 7, loading('new'))).toBe('new');
    await quiet();
    expect(counts.fills).toBe(1);
    expect(ends().slice(1)).toEqual(['error store-unavailable']);
    expect(told).toEqual(['read failed: STORE_UNAVAILABLE']);
  });

  test('while the store is away, the error of a load is what its caller sees', async () => {
    const { cache, broken } = await world();
    broken.add('read');
    const failing = async () => {
      throw new Error('no database');
    };
    await expect(cache.read(POLICY, 7, failing)).rejects.toThrow('no database');
  });

  test('where the store can give a tag no token, a read loads and stores nothing', async () => {
    const { cache, counts, ends } = await world({
      wrap: (store) => ({
        ...intercepted(store, () => {}),
        read: (keys, wanted, options) => store.read(keys, wanted, { ...options, mint: false }),
      }),
    });
    expect(await cache.read(POLICY, 7, loading('loaded'))).toBe('loaded');
    await quiet();
    expect(counts.fills).toBe(0);
    expect(ends()).toEqual(['error store-unavailable']);
  });

  test('a failed fill is told to the events alone, and the next read loads', async () => {
    const { cache, broken, told, ends } = await world();
    broken.add('fill');
    expect(await cache.read(POLICY, 7, loading('one'))).toBe('one');
    await quiet();
    expect(told).toEqual(['fill failed: STORE_UNAVAILABLE']);
    broken.clear();
    expect(await cache.read(POLICY, 7, loading('two'))).toBe('two');
    expect(ends()).toEqual(['miss absent', 'miss absent']);
  });

  test('nobody waits for a fill', async () => {
    const gates = new Gates<StoreStep>();
    const { cache } = await world({ wrap: (store) => gated(store, gates) });
    const filling = gates.hold('fill');
    expect(await cache.read(POLICY, 7, loading('one'))).toBe('one');
    await filling.arrived;
    filling.open();
  });

  test('a failed release is told to the events alone', async () => {
    const { cache, broken, told } = await world();
    broken.add('release');
    cache.release(200n, [tagOf(7)]);
    await quiet();
    expect(told).toEqual(['release failed: STORE_UNAVAILABLE']);
  });
});

describe('fence', () => {
  /**
   * A store whose fences fail; each attempt is noted as `fresh` or `kept`, and takes `attemptMs` of the clock. By default it
   * is lost since the first of them began.
   */
  async function fenceless({ failures = Infinity, attemptMs = 100, lostForMs, ...options } = {} as Faults) {
    const attempts: string[] = [];
    let left = failures;
    let lostSinceMs: number | undefined;
    const made = await world({
      ...options,
      wrap: (store) => ({
        ...intercepted(store, () => {}),
        outageMs: lostForMs ?? (() => (lostSinceMs === undefined ? 0 : made.clock.monotonicMs() - lostSinceMs)),
        fence: async (xid, fenced, how) => {
          attempts.push(how.fresh ? 'fresh' : 'kept');
          lostSinceMs ??= made.clock.monotonicMs();
          made.clock.advance(attemptMs);
          if (left-- > 0) throw new CacheError('STORE_UNAVAILABLE', 'broken by the test');
          return store.fence(xid, fenced, how);
        },
      }),
    });
    return { ...made, attempts };
  }
  interface Faults {
    failures?: number;
    attemptMs?: number;
    lostForMs?: () => number;
    fencePolicy?: 'available' | 'reject';
  }

  test('that works is one attempt on the connection at hand', async () => {
    const { cache, memory, attempts, told } = await fenceless({ failures: 0 });
    expect(await cache.fence(200n, [tagOf(7)])).toBe(true);
    expect(attempts).toEqual(['kept']);
    expect((await memory.read([], [tagOf(7)])).tokens.get(tagOf(7))).toBe('!,200,');
    expect(told).toEqual([]);
  });

  test.each([
    [0, { kind: 'exact' }],
    [1, true],
  ])('after %d failures, with the expected token there, it is %s', async (failures, outcome) => {
    const { cache, memory } = await fenceless({ failures });
    const token = (await memory.read([], [tagOf(7)], { mint: true })).tokens.get(tagOf(7)) as string;
    expect(await cache.fence(200n, [tagOf(7)], undefined, new Map([[tagOf(7), token]]))).toEqual(
      outcome === true ? true : expect.objectContaining(outcome),
    );
  });

  test("refused under the policy 'reject': the first failure is FENCE_REFUSED, with its cause", async () => {
    const { cache, attempts, told } = await fenceless({ fencePolicy: 'reject' });
    await expect(cache.fence(200n, [tagOf(7)])).rejects.toMatchObject({
      code: 'FENCE_REFUSED',
      cause: { code: 'STORE_UNAVAILABLE' },
    });
    expect(attempts).toEqual(['kept']);
    expect(told).toEqual(['fence failed: STORE_UNAVAILABLE']);
  });

  test('attempts take turns, on the connection at hand and on a new one, until one works', async () => {
    const { cache, attempts, told } = await fenceless({ failures: 3 });
    expect(await cache.fence(200n, [tagOf(7)])).toBe(true);
    expect(attempts).toEqual(['kept', 'fresh', 'kept', 'fresh']);
    expect(told).toEqual(Array(3).fill('fence failed: STORE_UNAVAILABLE'));
  });

  test('one that fails while others are answered is tried for three times LEASE_MS', async () => {
    const { cache, clock, told } = await fenceless({ lostForMs: () => 0 });
    const startedMs = clock.monotonicMs();
    expect(await cache.fence(200n, [tagOf(7)])).toBe(false);
    expect(clock.monotonicMs() - startedMs).toBeGreaterThanOrEqual(3 * LEASE_MS);
    expect(clock.monotonicMs() - startedMs).toBeLessThan(3 * LEASE_MS + 400);
    expect(told.at(-1)).toBe('200 unfenced');
  });

  test('it is given up only after LEASE_MS of attempts, and reported', async () => {
    const { cache, clock, attempts, told } = await fenceless({ attemptMs: 100 });
    const startedMs = clock.monotonicMs();
    expect(await cache.fence(200n, [tagOf(7)])).toBe(false);
    expect(clock.monotonicMs() - startedMs).toBeGreaterThanOrEqual(LEASE_MS);
    expect(clock.monotonicMs() - startedMs).toBeLessThan(LEASE_MS + 400);
    expect(attempts.slice(0, 2)).toEqual(['kept', 'fresh']);
    expect(told.at(-1)).toBe('200 unfenced');
    expect(told.filter((line) => line === '200 unfenced')).toHaveLength(1);
  });

  test('an attempt on the kept connection that hangs for LEASE_MS does not count: one fresh one follows', async () => {
    const { cache, attempts } = await fenceless({ attemptMs: LEASE_MS + 1 });
    expect(await cache.fence(200n, [tagOf(7)])).toBe(false);
    expect(attempts).toEqual(['kept', 'fresh']);
  });

  test('where the store has been lost for LEASE_MS, one fresh attempt is enough', async () => {
    const { cache, attempts, told } = await fenceless({ attemptMs: 1, lostForMs: () => LEASE_MS });
    expect(await cache.fence(200n, [tagOf(7)])).toBe(false);
    expect(attempts).toEqual(['fresh']);
    expect(told).toEqual(['fence failed: STORE_UNAVAILABLE', '200 unfenced']);
  });

  test('under keys of another database counts as none until this process has written to its own for LEASE_MS', async () => {
    const { cache, memory, clock, told } = await world({ leased: false });
    await tick(memory, { next: { xid: 100n, purge: 'before.purge' } });
    expect(await cache.fence(200n, [tagOf(7)], 'after')).toBe(false);
    expect(told).toEqual(['200 unfenced']);
    clock.advance(LEASE_MS - 1);
    expect(await cache.fence(201n, [tagOf(7)], 'after')).toBe(false);
    clock.advance(1);
    expect(await cache.fence(202n, [tagOf(7)], 'after')).toBe(true);
    expect(await cache.fence(203n, [tagOf(7)], 'later')).toBe(false);
    expect(await cache.fence(204n, [tagOf(7)], 'before')).toBe(true);
  });

  test('where it has been lost for less, the first attempt is fresh and more follow', async () => {
    const { cache, attempts } = await fenceless({ failures: 2, attemptMs: 1, lostForMs: () => LEASE_MS - 1 });
    expect(await cache.fence(200n, [tagOf(7)])).toBe(true);
    expect(attempts).toEqual(['fresh', 'kept', 'fresh']);
  });
});
