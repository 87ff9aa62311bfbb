import { expect, test } from 'vitest';
import { GenerationalCache } from '../src/engine/cache/generational-cache.js';

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);

test('knows the last that were used, and at most twice as many', () => {
  const recent = new GenerationalCache<number, number>(10);
  for (const n of upTo(1000)) {
    recent.set(n, n * 2);
    for (const m of upTo(10)) if (n - m >= 0) expect(recent.get(n - m)).toBe((n - m) * 2);
  }
  expect(upTo(1000).filter((n) => recent.get(n) !== undefined).length).toBeLessThanOrEqual(20);
});

test('what is asked for again and again is never forgotten', () => {
  const recent = new GenerationalCache<string, string>(10);
  recent.set('kept', 'yes');
  for (const n of upTo(1000)) {
    expect(recent.get('kept')).toBe('yes');
    recent.set(`other ${n}`, '');
  }
});

test('the newest value counts', () => {
  const recent = new GenerationalCache<string, number>(2);
  recent.set('a', 1);
  recent.set('b', 1);
  recent.set('a', 2);
  expect(recent.get('a')).toBe(2);
});
