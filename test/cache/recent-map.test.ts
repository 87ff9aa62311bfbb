/** The map of two generations: what it keeps, and that what it keeps is bounded. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RecentMap } from '../../src/engine/cache/recent-map.js';

type Step = readonly [what: 'get' | 'set', key: number];

/** The map after these steps; `get` of what it no longer has changes nothing. */
function after(max: number, steps: readonly Step[]) {
  const map = new RecentMap<number, string>(max);
  const last = new Map<number, string>();
  const lastUsed = new Set<number>();
  const use = (key: number) => {
    lastUsed.delete(key);
    lastUsed.add(key);
  };
  for (const [i, [what, key]] of steps.entries()) {
    if (what === 'set') {
      map.set(key, `set by step ${i}`);
      last.set(key, `set by step ${i}`);
      use(key);
    } else if (map.get(key) !== undefined) use(key);
  }
  return { map, last, lastUsed: [...lastUsed].toReversed() };
}

const KEYS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
const step = fc.tuple(fc.constantFrom('get' as const, 'set' as const), fc.constantFrom(...KEYS));
const someSteps = fc.array(step, { maxLength: 50 });
const someMax = fc.integer({ min: 1, max: 4 });

/** Each key is looked up in a map of its own, since a hit may change what the map keeps. */
function keptAfter(max: number, steps: readonly Step[]): number[] {
  return KEYS.filter((key) => after(max, steps).map.get(key) !== undefined);
}

test('the `max` entries that were used last are kept', () => {
  fc.assert(
    fc.property(someMax, someSteps, (max, steps) => {
      const { lastUsed } = after(max, steps);
      expect(keptAfter(max, steps)).toEqual(expect.arrayContaining(lastUsed.slice(0, max)));
    }),
    { numRuns: 1000 },
  );
});

test('at most twice `max` entries are kept', () => {
  fc.assert(
    fc.property(someMax, someSteps, (max, steps) => {
      expect(keptAfter(max, steps).length).toBeLessThanOrEqual(2 * max);
    }),
    { numRuns: 1000 },
  );
});

test('a key gives the value that was set last, or none', () => {
  fc.assert(
    fc.property(someMax, someSteps, (max, steps) => {
      for (const key of keptAfter(max, steps)) {
        const { map, last } = after(max, steps);
        expect(map.get(key)).toBe(last.get(key));
      }
    }),
    { numRuns: 1000 },
  );
});

test('the entries of the older generation go when the younger one is full', () => {
  const map = new RecentMap<string, number>(2);
  for (const [value, key] of ['a', 'b', 'c', 'd'].entries()) map.set(key, value);
  map.set('e', 4);
  expect(['a', 'b', 'c', 'd', 'e'].map((key) => map.get(key))).toEqual([undefined, undefined, 2, 3, 4]);
});

test('a hit in the older generation keeps the entry for another generation', () => {
  const map = new RecentMap<string, number>(2);
  for (const [value, key] of ['a', 'b', 'c'].entries()) map.set(key, value); // a and b are the older generation
  expect(map.get('a')).toBe(0);
  map.set('d', 3);
  expect(map.get('b')).toBeUndefined();
  expect(map.get('a')).toBe(0);
});
