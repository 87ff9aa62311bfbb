/** The CLOCK map: what it lets go of, and that number and size stay within their bounds. */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ClockMap, type Sized } from '../../src/engine/cache/clock-map.js';

interface Entry extends Sized {
  readonly name: string;
}

const entry = (name: string, size = 1): Entry => ({ name, size });

/** A map with these entries, each of size 1. */
function mapOf(bounds: { max?: number; maxSize?: number }, ...names: string[]) {
  const map = new ClockMap<string, Entry>({ max: 100, maxSize: 100, ...bounds });
  for (const name of names) map.set(name, entry(name));
  return map;
}

/** Which of these keys it holds. */
function held(map: ClockMap<string, Entry>, keys: Iterable<string> = 'abcdefgh'): string {
  return [...keys].filter((key) => map.peek(key) !== undefined).join('');
}

describe('what is let go of', () => {
  test('the oldest entry goes when the number is over its bound and no entry was used', () => {
    const map = mapOf({ max: 3 }, 'a', 'b', 'c');
    expect(held(map)).toBe('abc');
    map.set('d', entry('d'));
    expect(held(map)).toBe('bcd');
    expect(map.count).toBe(3);
  });

  test('entries go until the size is within its bound, and no more of them', () => {
    const map = mapOf({ maxSize: 10 });
    for (const name of 'abc') map.set(name, entry(name, 3));
    map.set('d', entry('d', 6));
    expect(held(map)).toBe('cd');
    expect(map.size).toBe(9);
    map.set('e', entry('e', 1));
    expect(held(map)).toBe('cde');
    expect(map.size).toBe(10);
  });

  test('an entry that was used since the hand came by is spared once; one that was not goes', () => {
    const map = mapOf({ max: 3 }, 'a', 'b', 'c', 'd'); // the hand came by all of them and is at b
    expect(map.get('b')?.name).toBe('b');
    map.set('e', entry('e'));
    expect(held(map)).toBe('bde');
    map.set('f', entry('f'));
    expect(held(map)).toBe('bef'); // the hand goes on where it stopped, at d
    map.set('g', entry('g'));
    expect(held(map)).toBe('efg'); // b was not used again
  });

  test('an entry that was used after the hand came by is spared when it comes again', () => {
    const map = mapOf({ max: 3 }, 'a', 'b', 'c', 'd'); // the hand is at b
    map.get('b');
    map.set('e', entry('e')); // the hand has passed b and is at d
    map.get('b');
    for (const name of 'fg') map.set(name, entry(name));
    expect(held(map)).toBe('bfg');
  });

  test('an entry that was set since the hand came by is spared once', () => {
    const map = mapOf({ max: 3 }, 'a', 'b', 'c', 'd');
    map.get('b');
    map.set('e', entry('e'));
    map.set('f', entry('f'));
    expect(held(map)).toBe('bef'); // the hand is at e
    map.set('g', entry('g'));
    expect(held(map)).toBe('efg');
  });

  test('`peek` does not count as a use: the entry is not spared', () => {
    const map = mapOf({ max: 3 }, 'a', 'b', 'c', 'd');
    expect(map.peek('b')?.name).toBe('b');
    map.set('e', entry('e'));
    expect(held(map)).toBe('cde');
  });
});

describe('an entry that is larger than the map', () => {
  test('is not kept and pushes no other out', () => {
    const map = mapOf({ maxSize: 10 }, 'a', 'b');
    map.set('c', entry('c', 11));
    expect(held(map)).toBe('ab');
    expect([map.count, map.size]).toEqual([2, 2]);
  });

  test('leaves no former entry under its key', () => {
    const map = mapOf({ maxSize: 10 }, 'a', 'b');
    map.set('a', entry('a', 11));
    expect(map.get('a')).toBeUndefined();
    expect([map.count, map.size]).toEqual([1, 1]);
  });

  test('is kept if it is as large as the map', () => {
    const map = mapOf({ maxSize: 10 }, 'a', 'b');
    map.set('c', entry('c', 10));
    expect(held(map)).toBe('c');
    expect(map.size).toBe(10);
  });
});

describe('number and size', () => {
  test('a replaced entry no longer counts', () => {
    const map = mapOf({ max: 2, maxSize: 10 }, 'a', 'b');
    map.set('a', entry('second', 9));
    expect([map.count, map.size]).toEqual([2, 10]);
    expect(map.get('a')?.name).toBe('second');
    map.set('a', entry('third', 2));
    expect([map.count, map.size]).toEqual([2, 3]);
  });

  test('a deleted entry no longer counts; a key that is not there changes nothing', () => {
    const map = mapOf({}, 'a', 'b');
    map.set('c', entry('c', 5));
    map.delete('c');
    map.delete('c');
    map.delete('d');
    expect([map.count, map.size, held(map)]).toEqual([2, 2, 'ab']);
    expect(map.get('c')).toBeUndefined();
  });

  test('an emptied map takes as much as a new one', () => {
    const map = mapOf({ max: 3, maxSize: 6 }, 'a', 'b', 'c', 'd');
    map.clear();
    expect([map.count, map.size, held(map)]).toEqual([0, 0, '']);
    for (const name of 'efg') map.set(name, entry(name, 2));
    expect([map.count, map.size, held(map)]).toEqual([3, 6, 'efg']);
    map.set('h', entry('h', 2));
    expect(held(map)).toBe('fgh');
  });
});

type Step = readonly [what: 'get' | 'peek' | 'delete' | 'clear', key: string] | readonly [what: 'set', Entry];

const KEYS = 'abcdefgh';
const key = fc.constantFrom(...KEYS);
const steps = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.tuple(fc.constant('set' as const), fc.record({ name: key, size: fc.nat(7) })) },
    { weight: 3, arbitrary: fc.tuple(fc.constantFrom('get' as const, 'peek' as const, 'delete' as const), key) },
    { weight: 1, arbitrary: fc.tuple(fc.constant('clear' as const), key) },
  ) as fc.Arbitrary<Step>,
  { maxLength: 60 },
);

/** Takes a step in a map without bounds. */
function follow(model: Map<string, Entry>, [what, on]: Step): void {
  if (what === 'clear') model.clear();
  else if (what === 'delete') model.delete(on);
  else if (what === 'set') model.set(on.name, on);
}

const sizeOf = (entries: Iterable<Entry>) => [...entries].reduce((sum, { size }) => sum + size, 0);

describe('whatever is done with it', () => {
  const bounds = fc.record({ max: fc.integer({ min: 1, max: 6 }), maxSize: fc.integer({ min: 1, max: 20 }) });

  test('it holds what was set last or nothing, within its bounds, and lets go of entries only for want of room', () => {
    const check = ({ max, maxSize }: { max: number; maxSize: number }, taken: readonly Step[]) => {
      const map = new ClockMap<string, Entry>({ max, maxSize });
      const model = new Map<string, Entry>(); // what may be held
      for (const given of taken) {
        const step: Step = given[0] === 'set' ? ['set', { ...given[1] }] : given;
        follow(model, step);
        const fits = model.size <= max && sizeOf(model.values()) <= maxSize;
        const [what, on] = step;
        if (what === 'set') map.set(on.name, on);
        else if (what === 'get' || what === 'peek') expect(map[what](on)).toBe(model.get(on));
        else if (what === 'delete') map.delete(on);
        else map.clear();
        for (const [name, last] of model) {
          const found = map.peek(name);
          if (found === undefined && !fits) model.delete(name);
          else expect(found).toBe(last);
        }
        expect([map.count, map.size]).toEqual([model.size, sizeOf(model.values())]);
        expect(map.count).toBeLessThanOrEqual(max);
        expect(map.size).toBeLessThanOrEqual(maxSize);
      }
    };
    fc.assert(fc.property(bounds, steps, check), { numRuns: 2000 });
  });
});

test('what was replaced, below the bounds, is not held', () => {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  const map = new ClockMap<number, { size: number; text: string[] }>({ max: 10_000, maxSize: 1e9 });
  const fill = () => {
    for (let key = 0; key < 1000; key++) map.set(key, { size: 1, text: new Array(100).fill(String(key)) });
    gc();
    return process.memoryUsage().heapUsed;
  };
  const before = fill();
  for (let round = 0; round < 50; round++) fill();
  expect(fill() - before).toBeLessThan(5_000_000); // some 800 KB a round if they were
});
