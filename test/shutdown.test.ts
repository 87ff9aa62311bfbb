/** A process ends in bounded time, in reverse order of its start, however many signals arrive. */
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { CUT_MS, Interrupted, Shutdown } from '../src/platform/shutdown.js';

const silent = pino({ level: 'silent' });
const done: string[] = [];

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  done.length = 0;
});

const shutdownOf = (delayMs: number, timeoutMs: number) => new Shutdown({ delayMs, timeoutMs }, silent);
const named = (name: string, ms = 0) => ({
  stop: async () => {
    await new Promise((resolve) => setTimeout(resolve, ms));
    done.push(name);
  },
});

test('what was started last stops first, after the delay, in which it is only drained', async () => {
  const shutdown = shutdownOf(1000, 500);
  shutdown.add(named('postgres'));
  shutdown.add(named('store'));
  shutdown.add({ ...named('app'), drain: () => void done.push('drain') });
  const ended = shutdown.end();
  await vi.advanceTimersByTimeAsync(999);
  expect(done).toEqual(['drain']);
  await vi.advanceTimersByTimeAsync(10);
  expect(await ended).toBe(true);
  expect(done).toEqual(['drain', 'app', 'store', 'postgres']);
});

test('a second signal skips the delay, and stops nothing before what needs it', async () => {
  const shutdown = shutdownOf(60_000, 500);
  shutdown.add(named('store'));
  shutdown.add({ ...named('app', 100), drain: () => {} });
  const all = [shutdown.end(), shutdown.end(), shutdown.end()];
  await vi.advanceTimersByTimeAsync(200);
  expect(done).toEqual(['app', 'store']);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(await Promise.all(all)).toEqual([true, true, true]);
});

test('what does not end in time is cut off; what hangs even then is left', async () => {
  const shutdown = shutdownOf(0, 500);
  let release = () => {};
  const cut = new Promise<void>((resolve) => {
    release = resolve;
  });
  shutdown.add(named('store'));
  shutdown.add({ stop: () => new Promise(() => {}), cut: () => void done.push('in vain') });
  shutdown.add({
    stop: () => cut,
    cut: () => {
      done.push('cut');
      release();
    },
  });
  const ended = shutdown.end();
  await vi.advanceTimersByTimeAsync(499);
  expect(done).toEqual([]);
  await vi.advanceTimersByTimeAsync(10); // the next one has no time of its own
  expect(done).toEqual(['cut', 'in vain']);
  await vi.advanceTimersByTimeAsync(CUT_MS);
  expect(done).toEqual(['cut', 'in vain', 'store']);
  expect(await ended).toBe(false);
});

test('all steps together have the time limit, but for those with a time of their own', async () => {
  const shutdown = shutdownOf(0, 500);
  shutdown.add({ ...named('telemetry', 2900), ownMs: 3000 });
  shutdown.add({ ...named('slow', 400), cut: () => void done.push('cut slow') });
  shutdown.add({ ...named('app', 300), cut: () => void done.push('cut app') });
  const ended = shutdown.end();
  await vi.advanceTimersByTimeAsync(699);
  expect(done).toEqual(['app', 'cut slow']);
  await vi.advanceTimersByTimeAsync(10);
  expect(done).toEqual(['app', 'cut slow', 'slow']);
  await vi.advanceTimersByTimeAsync(2900);
  expect(done).toEqual(['app', 'cut slow', 'slow', 'telemetry']);
  expect(await ended).toBe(true);
});

test('what fails to stop does not keep the others', async () => {
  const shutdown = shutdownOf(0, 500);
  shutdown.add(named('store'));
  shutdown.add({ stop: () => Promise.reject(new Error('broken')) });
  const ended = shutdown.end();
  await vi.advanceTimersByTimeAsync(10);
  expect([await ended, done]).toEqual([true, ['store']]);
});

test('a start during which a signal has arrived ends with what it started last', async () => {
  const shutdown = shutdownOf(1000, 500);
  shutdown.add(named('store'));
  const first = shutdown.end();
  await vi.advanceTimersByTimeAsync(10);
  expect(() => shutdown.add(named('app'))).toThrow(Interrupted);
  const second = shutdown.end();
  await vi.advanceTimersByTimeAsync(10);
  expect(await Promise.all([first, second])).toEqual([true, true]);
  expect(done).toEqual(['store', 'app']);
});
