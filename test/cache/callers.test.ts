/** A load is given up when the last of those who wait for it has left, and not sooner. */
import { expect, test } from 'vitest';
import { Cache, loadSignal, MemoryStore, type Policy } from '../../src/engine/cache/index.js';
import { HOUR } from '../../src/std/time.js';
import { Gate } from '../support/barrier.js';
import { FakeClock, heldLoad, loading, quiet, tagOf, tick } from './world.js';

const POLICY: Policy<number> = { name: 'Task', shape: '1', ttlMs: HOUR, scope: 'public', tags: (id) => [tagOf(id)] };
const GONE = new Error('gone');

async function world(options: { maxLoads?: number } = {}) {
  const clock = new FakeClock();
  const store = new MemoryStore(clock);
  await tick(store);
  return new Cache({ store, clock, random: () => 0, ...options });
}

/** A batch that waits until it is told, and tells by its signal whether it was given up. */
function heldBatch() {
  const gate = new Gate();
  let signal: AbortSignal | undefined;
  const load = async (args: readonly number[]) => {
    signal = loadSignal();
    await gate.pass();
    return args.map((arg) => `value ${arg}`);
  };
  return { load, gate, givenUp: () => signal?.aborted };
}

function caller() {
  const leaving = new AbortController();
  return { signal: leaving.signal, leave: () => leaving.abort(GONE) };
}

test('who leaves gets his reason at once; his load is given up', async () => {
  const cache = await world();
  const { load, gate, givenUp } = heldBatch();
  const me = caller();
  const reading = cache.readMany({ ...POLICY, load }, [1], me);
  await gate.arrived;
  expect(givenUp()).toBe(false);
  me.leave();
  await expect(reading).rejects.toBe(GONE);
  expect(givenUp()).toBe(true);
  gate.open();
});

test('whoever began it: the last who leaves ends it', async () => {
  const cache = await world();
  const { load, gate, givenUp } = heldBatch();
  const callers = [caller(), caller(), caller()];
  const source = { ...POLICY, load };
  const first = cache.readMany(source, [1, 2], callers[0]);
  await gate.arrived;
  // Of a load of several values they wait for one each.
  const others = [cache.readMany(source, [2], callers[1]), cache.readMany(source, [1], callers[2])];
  await quiet();
  for (const [i, reading] of [first, ...others].entries()) {
    expect(givenUp()).toBe(false);
    callers[i]?.leave();
    await expect(reading).rejects.toBe(GONE);
  }
  expect(givenUp()).toBe(true);
  gate.open();
});

test.each([
  ['that cannot leave', undefined],
  ['that stays', caller().signal],
])('with one %s it goes on, answers and is stored', async (_, signal) => {
  const cache = await world();
  const { load, gate, givenUp } = heldBatch();
  const me = caller();
  const source = { ...POLICY, load };
  const first = cache.readMany(source, [1], me);
  await gate.arrived;
  const second = cache.readMany(source, [1], { signal });
  await quiet();
  me.leave();
  await expect(first).rejects.toBe(GONE);
  expect(givenUp()).toBe(false);
  gate.open();
  expect(await second).toEqual(['value 1']);
  await cache.flush();
  const again = loading('another');
  expect(await cache.read(POLICY, 1, again)).toBe('value 1');
});

test('a load that was given up is joined by nobody', async () => {
  const cache = await world();
  const { load, gate } = heldBatch();
  const me = caller();
  const reading = cache.readMany({ ...POLICY, load }, [1], me);
  await gate.arrived;
  const left = expect(reading).rejects.toBe(GONE);
  me.leave();
  const own = loading('own');
  expect(await cache.read(POLICY, 1, own)).toBe('own');
  expect(own.runs).toBe(1);
  await left;
  gate.open();
});

test('what waits in line for its turn is left, and never runs', async () => {
  const cache = await world({ maxLoads: 1 });
  const running = heldLoad<string>();
  const first = cache.read(POLICY, 1, running);
  await running.started;
  const me = caller();
  const load = loading('never');
  const second = cache.read(POLICY, 2, load, me);
  await quiet();
  expect(cache.state.loads).toMatchObject({ running: 1, waiting: 1 });
  me.leave();
  await expect(second).rejects.toBe(GONE);
  expect(cache.state.loads).toMatchObject({ running: 1, waiting: 0 });
  const third = cache.read(POLICY, 2, loading('anew'));
  running.give('first');
  expect(await Promise.all([first, third])).toEqual(['first', 'anew']);
  expect(load.runs).toBe(0);
  expect(cache.state.loads).toMatchObject({ running: 0, waiting: 0 });
});

test('who has left before begins nothing', async () => {
  const cache = await world();
  const me = caller();
  me.leave();
  const load = loading('never');
  await expect(cache.read(POLICY, 1, load, me)).rejects.toBe(GONE);
  expect(load.runs).toBe(0);
});

test('what a load reads in turn is waited for by those who wait for the load', async () => {
  const cache = await world();
  const me = caller();
  const inner = heldBatch();
  const outer = async () => (await cache.readMany({ ...POLICY, load: inner.load }, [2], me))[0];
  const first = cache.read(POLICY, 1, outer, me);
  await inner.gate.arrived;
  const second = cache.read(POLICY, 1, outer);
  await quiet();
  me.leave();
  await expect(first).rejects.toBe(GONE);
  expect(inner.givenUp()).toBe(false);
  inner.gate.open();
  expect(await second).toBe('value 2');
});
