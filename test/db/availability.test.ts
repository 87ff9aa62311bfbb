/** Waiting for a Postgres that is away. */
import { expect, test } from 'vitest';
import { Availability } from '../../src/engine/postgres/availability.js';
import { SECOND } from '../../src/std/time.js';

/** Time that passes only while somebody sleeps. */
function sleepingClock() {
  let ms = 0;
  const clock = {
    nowMs: () => ms,
    monotonicMs: () => ms,
    async sleep(by: number) {
      ms += by;
    },
  };
  return clock;
}

const away = () => Promise.reject(Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }));
const waited = new AbortController().signal;

test('work that failed because Postgres was away runs again when a probe has succeeded, and all who wait share the probes', async () => {
  let probes = 0;
  let isBack = false;
  const probe = async () => {
    probes++;
    if (probes < 4) return away();
    isBack = true;
  };
  const availability = new Availability({ probe, clock: sleepingClock() });
  const work = async () => (isBack ? 'read' : away());
  const results = await Promise.all(Array.from({ length: 100 }, () => availability.retrying(work, waited)));
  expect(new Set(results)).toEqual(new Set(['read']));
  expect(probes).toBe(4);
});

test('work that fails for a reason of its own does not run again', async () => {
  let runs = 0;
  const availability = new Availability({ probe: async () => {}, clock: sleepingClock() });
  const failing = availability.retrying(async () => {
    runs++;
    throw new Error('its own');
  }, waited);
  await expect(failing).rejects.toThrow('its own');
  expect(runs).toBe(1);
});

test('waiting is given up after its bound, and when the caller has gone', async () => {
  const clock = sleepingClock();
  const availability = new Availability({ probe: away, clock, maxWaitMs: 10 * SECOND });
  await expect(availability.retrying(away, waited)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  expect(clock.monotonicMs()).toBeGreaterThanOrEqual(10 * SECOND);
  const gone = AbortSignal.abort();
  const before = clock.monotonicMs();
  await expect(availability.retrying(away, gone)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  expect(clock.monotonicMs()).toBe(before);
});
