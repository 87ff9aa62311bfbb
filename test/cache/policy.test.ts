/** Policies: wrong ones are refused by name and field before anything is cached, times to live are bounded. */
import { describe, expect, test } from 'vitest';
import { checkPolicy, type Policy } from '../../src/engine/cache/index.js';
import { entryTtlMs } from '../../src/engine/cache/policy.js';
import { HOUR, MINUTE } from '../../src/std/time.js';

const good: Policy<number> = { name: 'Task.stats', shape: '1', ttlMs: HOUR, scope: 'public', tags: () => [] };

test('a good policy is accepted, with all options', () => {
  checkPolicy(good);
  checkPolicy({ ...good, scope: 'viewer', negativeTtlMs: 1, maxChars: 1, key: (id) => id });
});

// What no type lets through may still come from JavaScript, from JSON or from a cast.
test.each<[keyof Policy<number>, unknown]>([
  ['name', ''],
  ['name', 'Task stats'],
  ['name', 'Task:stats'],
  ['shape', ''],
  ['ttlMs', 0],
  ['ttlMs', Number.NaN],
  ['ttlMs', Infinity],
  ['ttlMs', undefined],
  ['ttlMs', '1000'],
  ['negativeTtlMs', 0],
  ['maxChars', -1],
  ['scope', 'private'],
  ['scope', undefined],
  ['tags', undefined],
  ['tags', ['tasks']],
])('%s: %o is refused, and the error names policy and field', (field, value) => {
  const policy = { ...good, [field]: value } as Policy<number>;
  const name = field === 'name' ? '' : 'policy Task.stats: ';
  expect(() => checkPolicy(policy)).toThrow(
    expect.objectContaining({ code: 'POLICY', message: expect.stringContaining(`${name}${field} must be`) }),
  );
});

describe('the time to live of an entry', () => {
  test('is at most a tenth shorter than declared, and never longer', () => {
    expect(entryTtlMs(good, 1, 0)).toBe(HOUR);
    expect(entryTtlMs(good, 1, 0.5)).toBe(0.95 * HOUR);
    expect(entryTtlMs(good, 1, 1 - Number.EPSILON)).toBeGreaterThanOrEqual(0.9 * HOUR);
  });

  test('is a whole number of at least 1, as Redis wants it', () => {
    expect(entryTtlMs({ ...good, ttlMs: 1 }, 1, 0.99)).toBe(1);
    expect(entryTtlMs({ ...good, ttlMs: 1000.7 }, 1, 0)).toBe(1000);
  });

  test.each([null, undefined])('of %o is the negative one: declared, or ten minutes at most', (nothing) => {
    expect(entryTtlMs(good, nothing, 0)).toBe(10 * MINUTE);
    expect(entryTtlMs({ ...good, ttlMs: MINUTE }, nothing, 0)).toBe(MINUTE);
    expect(entryTtlMs({ ...good, negativeTtlMs: 2 * HOUR }, nothing, 0)).toBe(2 * HOUR);
  });

  test.each([0, '', false, [], {}])('of %o is the usual one: it is something', (something) => {
    expect(entryTtlMs({ ...good, negativeTtlMs: 1 }, something, 0)).toBe(HOUR);
  });
});
