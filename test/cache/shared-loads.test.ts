/** `Source.shared`: what several callers miss in one event-loop tick is one load. */
import { describe, expect, test } from 'vitest';
import {
  Cache,
  type CacheOptions,
  MemoryStore,
  type Outcome,
  type Policy,
  type Source,
} from '../../src/engine/cache/index.js';
import { HOUR } from '../../src/std/time.js';
import { Gate } from '../support/barrier.js';
import { FakeClock, heldLoad, quiet, tagOf, tick } from './world.js';

const POLICY: Policy<number> = { name: 'Task', shape: '1', ttlMs: HOUR, scope: 'public', tags: (id) => [tagOf(id)] };
const GONE = new Error('gone');
const MAX_TOGETHER = 100; // as in flights.ts

async function world(options: Partial<CacheOptions> = {}) {
  const clock = new FakeClock();
  const store = new MemoryStore(clock);
  await tick(store);
  const outcomes: Outcome[] = [];
  const events = { outcome: (outcome: Outcome) => void outcomes.push(outcome) };
  return {
    clock,
    cache: new Cache({ store, clock, events, random: () => 0, ...options }),
    /** Another process, with the same store. */
    other: new Cache({ store, clock, random: () => 0 }),
    ends: () => outcomes.map(({ arg, kind }) => `${arg} ${kind}`).toSorted(),
  };
}

const textOf = (arg: number) => `value ${arg}`;

/** A load that lists the arguments and the signal of each call. */
function recorded(load: Source<number, string>['load'] = async (args) => args.map(textOf)) {
  const calls: number[][] = [];
  const signals: AbortSignal[] = [];
  const recording = (args: readonly number[], signal: AbortSignal) => {
    calls.push([...args]);
    signals.push(signal);
    return load(args, signal);
  };
  /** Each call makes another source, whose loads are shared with the others. */
  const by = {};
  const source = (when: (arg: number) => boolean = () => true): Source<number, string> => ({
    ...POLICY,
    load: recording,
    shared: { by, when },
  });
  return { calls, signals, load: recording, source };
}

/** A load that waits for `gate` and fails if it has been aborted by then. */
function gatedLoad() {
  const gate = new Gate();
  const load = async (args: readonly number[], signal: AbortSignal) => {
    await gate.pass();
    signal.throwIfAborted();
    return args.map(textOf);
  };
  return { gate, ...recorded(load) };
}

/** A load that fails for all if one argument is 13. */
function unlucky() {
  return recorded(async (args) => {
    if (args.includes(13)) throw new Error('13 of all numbers');
    return args.map(textOf);
  });
}

function caller() {
  const leaving = new AbortController();
  return { signal: leaving.signal, leave: () => leaving.abort(GONE) };
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

describe('what is one load', () => {
  test('misses of several callers in one tick are one load, and each gets its own values in its own order', async () => {
    const { cache, ends } = await world();
    const { calls, source } = recorded();
    const reads = [cache.readMany(source(), [3, 1]), cache.readMany(source(), [4, 2]), cache.readMany(source(), [5])];
    expect(await Promise.all(reads)).toEqual([['value 3', 'value 1'], ['value 4', 'value 2'], ['value 5']]);
    expect(calls).toEqual([[3, 1, 4, 2, 5]]);
    expect(ends()).toEqual(['1 miss', '2 miss', '3 miss', '4 miss', '5 miss']);
  });

  test('the values of all callers of one load are stored', async () => {
    const { cache, other } = await world();
    const { source } = recorded();
    await Promise.all([cache.readMany(source(), [1]), cache.readMany(source(), [2, 3])]);
    await cache.flush();
    const unneeded = recorded();
    expect(await other.readMany(unneeded.source(), [3, 2, 1])).toEqual(['value 3', 'value 2', 'value 1']);
    expect(unneeded.calls).toEqual([]);
  });

  test('the load begins in the tick of its misses', async () => {
    const { cache } = await world();
    const { calls, source } = recorded();
    const begun: number[] = [];
    const first = source(() => {
      setImmediate(() => begun.push(calls.length)); // runs in the next tick
      return true;
    });
    await Promise.all([cache.readMany(first, [1]), cache.readMany(source(), [2])]);
    await quiet();
    expect([begun, calls]).toEqual([[1], [[1, 2]]]);
  });

  test('misses of the next tick are another load, though the first has not ended', async () => {
    const { cache } = await world();
    const { calls, source, gate } = gatedLoad();
    const first = cache.readMany(source(), [1]);
    await gate.arrived;
    const second = cache.readMany(source(), [2]);
    await quiet();
    expect(calls).toEqual([[1], [2]]);
    gate.open();
    expect(await Promise.all([first, second])).toEqual([['value 1'], ['value 2']]);
  });

  test('a second caller of a key in the same tick joins, and its key is loaded once', async () => {
    const { cache, ends } = await world();
    const { calls, source } = recorded();
    const reads = [cache.readMany(source(), [1]), cache.readMany(source(), [2, 1]), cache.readMany(source(), [1])];
    expect(await Promise.all(reads)).toEqual([['value 1'], ['value 2', 'value 1'], ['value 1']]);
    expect(calls).toEqual([[1, 2]]);
    expect(ends()).toEqual(['1 joined', '1 joined', '1 miss', '2 miss']);
  });
});

describe('what is a load of its own', () => {
  test('sources with another `by`, or without `shared`, have loads of their own', async () => {
    const { cache } = await world();
    const { calls, load, source } = recorded();
    const others: Source<number, string>[] = [
      { ...POLICY, load, shared: { by: {}, when: () => true } },
      { ...POLICY, load, shared: undefined },
      { ...POLICY, load },
    ];
    const sources = [source(), ...others, source()];
    const reads = sources.map((each, i) => cache.readMany(each, [i]));
    expect((await Promise.all(reads)).flat()).toEqual(range(0, 5).map(textOf));
    expect(calls.toSorted()).toEqual([[0, 4], [1], [2], [3]]);
  });

  test('an argument for which `when` is false makes the load of its caller its own', async () => {
    const { cache } = await world();
    const { calls, source } = recorded();
    const small = source((arg) => arg < 10);
    const reads = [[1], [2, 30], [40], [5], [60, 7]].map((args) => cache.readMany(small, args));
    expect((await Promise.all(reads)).flat()).toEqual([1, 2, 30, 40, 5, 60, 7].map(textOf));
    expect(calls.toSorted()).toEqual([[1, 5], [2, 30], [40], [60, 7]]);
  });

  test(`more than ${MAX_TOGETHER} misses of several callers are several loads`, async () => {
    const { cache } = await world();
    const { calls, source } = recorded();
    const reads = range(0, 2 * MAX_TOGETHER + 1).map((arg) => cache.readMany(source(), [arg]));
    expect((await Promise.all(reads)).flat()).toEqual(range(0, 2 * MAX_TOGETHER + 1).map(textOf));
    expect(calls.map(({ length }) => length)).toEqual([MAX_TOGETHER, MAX_TOGETHER, 1]);
  });

  test('the misses of one caller are not split, however many they are', async () => {
    const { cache } = await world();
    const { calls, source } = recorded();
    const missed = [range(0, 60), range(100, 141), range(200, 350), range(400, 410)];
    await Promise.all(missed.map((args) => cache.readMany(source(), args)));
    expect(calls.map(({ length }) => length)).toEqual([60, 41, 150, 10]);
  });
});

describe('a load that fails', () => {
  test('fails only the caller whose argument makes it throw, and the callers that joined that one', async () => {
    const { cache, other } = await world();
    const { calls, source } = unlucky();
    const reads = [[1], [13, 2], [3], [13], [1, 4]].map((args) => cache.readMany(source(), args));
    const ended = await Promise.allSettled(reads);
    expect(ended.map((end) => (end.status === 'fulfilled' ? end.value : end.reason.message))).toEqual([
      ['value 1'],
      '13 of all numbers',
      ['value 3'],
      '13 of all numbers',
      ['value 1', 'value 4'],
    ]);
    expect(calls).toEqual([[1, 13, 2, 3, 4], [1], [13, 2], [3], [4]]);
    await cache.flush();
    const absent = recorded();
    await other.readMany(absent.source(), [1, 2, 3, 4, 13]);
    expect(absent.calls).toEqual([[2, 13]]);
  });

  test('is joined by no caller after it has failed', async () => {
    const { cache } = await world();
    const { source } = unlucky();
    await Promise.allSettled([cache.readMany(source(), [1]), cache.readMany(source(), [13])]);
    expect(await cache.readMany(recorded().source(), [13])).toEqual(['value 13']);
  });

  test('gives a caller that joined its own value, though the one that it joined has left', async () => {
    const { cache } = await world();
    const gate = new Gate();
    const { calls, source } = recorded(async (args) => {
      if (args.length > 1) await gate.pass();
      if (args.includes(13)) throw new Error('13 of all numbers');
      return args.map(textOf);
    });
    const first = caller();
    const reads = [cache.readMany(source(), [1], first), ...[13, 1].map((arg) => cache.readMany(source(), [arg]))];
    await gate.arrived;
    first.leave();
    gate.open();
    const ended = await Promise.allSettled(reads);
    expect(ended.map((end) => (end.status === 'fulfilled' ? end.value : end.reason.message))).toEqual([
      'gone',
      '13 of all numbers',
      ['value 1'],
    ]);
    expect(calls.length).toBe(3);
  });

  test('is not tried again a second later: a fault of an argument shows at once', async () => {
    const { cache, clock } = await world();
    const { calls, source } = recorded(async () => {
      clock.advance(1000);
      throw new Error('too slow');
    });
    const reads = [1, 2].map((arg) => cache.readMany(source(), [arg]));
    for (const reading of reads) await expect(reading).rejects.toThrow('too slow');
    expect(calls).toEqual([[1, 2]]);
  });

  test('holds no more misses than its source allows', async () => {
    const { cache } = await world();
    const { calls, load } = recorded();
    const source = { ...POLICY, load, shared: { by: calls, when: () => true, max: 2 } };
    await Promise.all([1, 2, 3].map((arg) => cache.readMany({ ...source }, [arg])));
    expect(calls).toEqual([[1, 2], [3]]);
  });

  test('is not tried again if it had one caller', async () => {
    const { cache } = await world();
    const { calls, source } = unlucky();
    await expect(cache.readMany(source(), [13, 1])).rejects.toThrow('13 of all numbers');
    expect(calls).toEqual([[13, 1]]);
  });

  test('is aborted when all its callers have left, also when it is tried again', async () => {
    const { cache } = await world();
    const again = new Gate();
    const { calls, signals, source } = recorded(async (args) => {
      if (args.length > 1) throw new Error('too much at once');
      await again.pass();
      return args.map(textOf);
    });
    const callers = [caller(), caller()];
    const reads = callers.map((one, i) => cache.readMany(source(), [i], one));
    await again.arrived;
    expect(calls).toEqual([[0, 1], [0], [1]]);
    for (const { leave } of callers) leave();
    for (const reading of reads) await expect(reading).rejects.toBe(GONE);
    expect(signals.map(({ reason }) => reason)).toEqual([GONE, GONE, GONE]);
    again.open();
  });

  test('is not tried again when all its callers have left', async () => {
    const { cache } = await world();
    const failing = heldLoad<readonly string[]>();
    const { calls, source } = recorded(failing);
    const callers = [caller(), caller()];
    const reads = callers.map((one, i) => cache.readMany(source(), [i], one));
    await failing.started;
    for (const { leave } of callers) leave();
    for (const reading of reads) await expect(reading).rejects.toBe(GONE);
    failing.give(new Error('cancelled'));
    await quiet();
    expect(calls).toEqual([[0, 1]]);
  });
});

describe('a caller that leaves', () => {
  test.each([
    ['one that joined', [0, 1, 2]],
    ['one that came second', [0, 2, 1]],
    ['the one that began it', [2, 1, 0]],
  ])('does not abort the load while another waits; the last to leave does: %s', async (_, order) => {
    const { cache } = await world();
    const { calls, signals, source, gate } = gatedLoad();
    const callers = [caller(), caller(), caller()];
    const reads = [1, 2, 1].map((arg, i) => cache.readMany(source(), [arg], callers[i])); // the third one joins
    await gate.arrived;
    for (const i of order) {
      expect(signals.map(({ aborted }) => aborted)).toEqual([false]);
      callers[i]?.leave();
      await expect(reads[i]).rejects.toBe(GONE);
    }
    expect(signals.map(({ reason }) => reason)).toEqual([GONE]);
    expect(calls).toEqual([[1, 2]]);
    gate.open();
  });

  test.each([
    ['began the load', 0],
    ['came second', 1],
  ])('does not take the value from the other, though it %s', async (_, leaving) => {
    const { cache } = await world();
    const { source, gate } = gatedLoad();
    const callers = [caller(), caller()];
    const reads = callers.map((one, i) => cache.readMany(source(), [i], one));
    await gate.arrived;
    callers[leaving]?.leave();
    await expect(reads[leaving]).rejects.toBe(GONE);
    gate.open();
    expect(await reads[1 - leaving]).toEqual([textOf(1 - leaving)]);
  });

  test.each([
    ['another key', 2],
    ['the same key', 1],
  ])('is not joined, before its load began, by a later caller of %s', async (_, arg) => {
    const { cache } = await world();
    const { calls, source } = recorded();
    const first = caller();
    // Called between the misses of the first caller and those of the third.
    const leaving = source(() => {
      first.leave();
      return false;
    });
    const reads = [
      cache.readMany(source(), [1], first),
      cache.readMany(leaving, [0]),
      cache.readMany(source(), [arg]),
      cache.readMany(source(), [3]),
    ];
    await expect(reads[0]).rejects.toBe(GONE);
    expect(await Promise.all(reads.slice(1))).toEqual([['value 0'], [textOf(arg)], ['value 3']]);
    expect(calls.toSorted()).toEqual([[0], [arg, 3]]);
  });
});

describe('inside a load', () => {
  /** One slot, taken by a load that reads `args` of `source` itself once `gate` is open. `asked` has then arrived. */
  async function nested(args: readonly number[], source: Source<number, string>) {
    const { cache } = await world({ maxLoads: 1 });
    const gate = new Gate();
    const asked = new Gate();
    const outer = cache.read({ ...POLICY, name: 'Outer' }, 0, async () => {
      await gate.pass();
      const reading = cache.readMany(source, args);
      void asked.pass();
      return reading;
    });
    await gate.arrived;
    return { cache, outer, gate, asked };
  }

  test.each([
    ['go with', 2],
    ['join', 3],
  ])('a miss does not %s a load that waits for the slot', async (_, arg) => {
    const { calls, source } = recorded();
    const { cache, outer, gate } = await nested([arg], source());
    const outside = cache.readMany(source(), [3]);
    gate.open();
    await quiet();
    expect(calls).toEqual([[arg], [3]]);
    expect(await Promise.all([outer, outside])).toEqual([[textOf(arg)], ['value 3']]);
  });

  test('the load of a miss takes in no misses from outside, which wait for a slot', async () => {
    const { calls, source, gate: inner } = gatedLoad();
    const { cache, outer, gate, asked } = await nested([2], source());
    gate.open();
    await asked.arrived;
    const outside = cache.readMany(source(), [3]);
    await quiet();
    expect(calls).toEqual([[2]]);
    inner.open();
    expect(await Promise.all([outer, outside])).toEqual([['value 2'], ['value 3']]);
  });
});

describe('a load that waits for a slot', () => {
  /** One slot, held, and a long line of loads of the viewer `greedy`. `order`: the loads that began. */
  async function crowded() {
    const { cache } = await world({ maxLoads: 1 });
    const order: string[] = [];
    const held = heldLoad<string>();
    const reads: Promise<unknown>[] = [cache.read(POLICY, 0, held, { viewer: 'greedy' })];
    await held.started;
    for (const arg of range(1, 5)) {
      const load = async () => void order.push(`greedy ${arg}`);
      reads.push(cache.read(POLICY, arg, load, { viewer: 'greedy' }));
    }
    await quiet();
    expect(cache.state.loads).toMatchObject({ running: 1, waiting: 4 });
    const { source } = recorded(async (args) => {
      order.push(`shared ${args}`);
      return args.map(textOf);
    });
    const end = async () => {
      held.give('held');
      await Promise.all(reads);
      return order;
    };
    const read = (viewer: string, arg: number) => void reads.push(cache.readMany(source(), [arg], { viewer }));
    return { read, end };
  }

  test('is in the line of its first viewer alone if no other needs it', async () => {
    const { read, end } = await crowded();
    read('greedy', 10);
    read('greedy', 11);
    await quiet();
    expect(await end()).toEqual(['greedy 1', 'greedy 2', 'greedy 3', 'greedy 4', 'shared 10,11']);
  });

  test.each([
    ['another key in the same tick', 11, 'shared 10,11'],
    ['the same key in the same tick', 10, 'shared 10'],
    ['the same key in a later tick', 10, 'shared 10'],
  ])('is also in the line of a viewer who needs %s', async (when, arg, shared) => {
    const { read, end } = await crowded();
    read('greedy', 10);
    if (when.includes('later')) await quiet();
    read('modest', arg);
    await quiet();
    expect(await end()).toEqual(['greedy 1', shared, 'greedy 2', 'greedy 3', 'greedy 4']);
  });
});
