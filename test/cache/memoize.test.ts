/** Memoized functions: what is kept, shared, ended and invalidated. */
import { describe, expect, expectTypeOf, test } from 'vitest';
import { Cache, type Memoized, MemoryStore } from '../../src/engine/cache/index.js';
import { HOUR } from '../../src/std/time.js';
import { Gate } from '../support/barrier.js';
import { FakeClock, heldLoad, loading, quiet, tagOf, tick, write } from './world.js';

async function leased(): Promise<Cache> {
  const clock = new FakeClock();
  const store = new MemoryStore(clock);
  await tick(store);
  return new Cache({ store, clock });
}

describe('memoize', () => {
  const HOURLY = { ttlMs: HOUR };

  test('the signature is that of the function, its result a promise', async () => {
    const cache = await leased();
    const asynchronous = cache.memoize(
      'report',
      async (id: number, options?: { deep: boolean }) => `${id} ${options?.deep}`,
      HOURLY,
    );
    expectTypeOf(asynchronous).toEqualTypeOf<Memoized<[id: number, options?: { deep: boolean }], Promise<string>>>();
    expectTypeOf(asynchronous).toExtend<(id: number, options?: { deep: boolean }) => Promise<string>>();
    const synchronous = cache.memoize('count', (...ids: number[]) => ids.length, HOURLY);
    expectTypeOf(synchronous).toExtend<(...ids: number[]) => Promise<number>>();
    // @ts-expect-error an argument of another type
    const wrong = () => asynchronous('7');
    expect(wrong).toBeTypeOf('function');
    expect(await asynchronous(7, { deep: true })).toBe('7 true');
    expect(await synchronous(1, 2, 3)).toBe(3);
  });

  test('a result is kept for its arguments, whatever the order of their members', async () => {
    const cache = await leased();
    const calls: unknown[] = [];
    const report = cache.memoize(
      'report',
      async (filter: { a?: number; b?: number }, page: number) => {
        calls.push([filter, page]);
        return calls.length;
      },
      HOURLY,
    );
    expect(await report({ a: 1, b: 2 }, 1)).toBe(1);
    await quiet();
    expect(await report({ b: 2, a: 1 }, 1)).toBe(1);
    expect(await report({ b: 2, a: 1 }, 2)).toBe(2);
    expect(await report({ b: 2 }, 1)).toBe(3);
    expect(calls).toHaveLength(3);
  });

  test('concurrent equal calls share one run, different ones do not', async () => {
    const cache = await leased();
    const held = heldLoad<string>();
    const report = cache.memoize('report', async (_: number) => held(), HOURLY);
    const calls = [report(1), report(1), report(1), report(2)];
    await held.started;
    await quiet();
    expect(held.runs).toBe(2);
    held.give('done');
    expect(await Promise.all(calls)).toEqual(Array(4).fill('done'));
  });

  test('errors are not kept, thrown ones and rejected ones', async () => {
    const cache = await leased();
    let runs = 0;
    const report = cache.memoize(
      'report',
      (how: 'throws' | 'rejects') => {
        runs++;
        if (how === 'rejects') return Promise.reject(new Error(`${how} ${runs}`));
        throw new Error(`${how} ${runs}`);
      },
      HOURLY,
    );
    await expect(report('throws')).rejects.toThrow('throws 1');
    await expect(report('throws')).rejects.toThrow('throws 2');
    await expect(report('rejects')).rejects.toThrow('rejects 3');
    await expect(report('rejects')).rejects.toThrow('rejects 4');
  });

  test('a write to one of its tags makes it run again', async () => {
    const cache = await leased();
    let runs = 0;
    const report = cache.memoize('report', async (_: number) => ++runs, { ...HOURLY, tags: (id) => [tagOf(id)] });
    expect(await report(1)).toBe(1);
    await quiet();
    await write(cache, 200n, tagOf(1));
    expect(await report(1)).toBe(2);
  });

  test('a wrong policy is refused when it is declared, not when it is called', async () => {
    const cache = await leased();
    expect(() => cache.memoize('report', async () => 1, { ttlMs: 0 })).toThrow(/policy report: ttlMs must be/);
  });

  test('an argument without a canonical form is refused', async () => {
    const cache = await leased();
    const report = cache.memoize('report', async (_: unknown) => 1, HOURLY);
    await expect(report(new Map())).rejects.toThrow(TypeError);
  });

  test("an AbortSignal is no part of the key: it ends its caller's wait, not that of others", async () => {
    const cache = await leased();
    const held = heldLoad<string>();
    const report = cache.memoize('report', async (_: number, __?: AbortSignal) => held(), HOURLY);
    const leaving = new AbortController();
    const left = report(1, leaving.signal);
    const stayed = report(1);
    await held.started;
    leaving.abort(new Error('gone'));
    await expect(left).rejects.toThrow('gone');
    held.give('done');
    expect(await stayed).toBe('done');
    expect(held.runs).toBe(1);
  });

  test('when all callers have left, the run is told by the signal it was given', async () => {
    const cache = await leased();
    const started = new Gate();
    let given: AbortSignal | undefined;
    const report = cache.memoize(
      'report',
      async (_: { id: number; signal: AbortSignal }) => {
        given = _.signal;
        void started.pass();
        return new Promise<string>((_resolve, reject) => {
          _.signal.addEventListener('abort', () => reject(new Error('stopped')));
        });
      },
      HOURLY,
    );
    const callers = [new AbortController(), new AbortController()] as const;
    const calls = callers.map(({ signal }) => report({ id: 1, signal }));
    await started.arrived;
    callers[0].abort(new Error('first'));
    await expect(calls[0]).rejects.toThrow('first');
    expect(given?.aborted).toBe(false);
    callers[1].abort(new Error('second'));
    await expect(calls[1]).rejects.toThrow('second');
    expect(given?.aborted).toBe(true);
  });

  test('a signal that was aborted before ends the call at once', async () => {
    const cache = await leased();
    const run = loading('never');
    const report = cache.memoize('report', async (_: AbortSignal) => run(), HOURLY);
    await expect(report(AbortSignal.abort(new Error('before')))).rejects.toThrow('before');
    expect(run.runs).toBe(0);
  });

  test('invalidate voids the result for these arguments, without arguments all of them', async () => {
    const cache = await leased();
    let runs = 0;
    const report = cache.memoize('report', async (_: number) => ++runs, HOURLY);
    const other = cache.memoize('other', async (_: number) => ++runs, HOURLY);
    for (const call of [() => report(1), () => report(2), () => other(1)]) await call();
    await quiet();
    await report.invalidate(1);
    expect([await report(1), await report(2), await other(1)]).toEqual([4, 2, 3]);
    await quiet();
    await report.invalidate();
    expect([await report(1), await report(2), await other(1)]).toEqual([5, 6, 3]);
  });

  test('a run that began before invalidate is neither kept nor joined after it', async () => {
    const cache = await leased();
    const held = heldLoad<string>();
    let runs = 0;
    const report = cache.memoize('report', async (_: number) => (runs++ === 0 ? held() : 'new'), HOURLY);
    const before = report(1);
    await held.started;
    await report.invalidate(1);
    expect(await report(1)).toBe('new');
    held.give('old');
    expect(await before).toBe('old');
    await quiet();
    expect(await report(1)).toBe('new');
  });

  test('another version has its own results', async () => {
    const cache = await leased();
    const first = cache.memoize('report', async () => 'first form', HOURLY);
    const second = cache.memoize('report', async () => 'second form', { ...HOURLY, version: 2 });
    expect([await first(), await second()]).toEqual(['first form', 'second form']);
  });
});
