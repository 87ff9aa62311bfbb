/** Keys of the manual order. */
import { generateKeyBetween } from 'fractional-indexing';
import { expect, test } from 'vitest';
import {
  defaultSortOrder,
  isSortKey,
  isStorableKey,
  keyBetween,
  keysBetween,
  numberBefore,
} from '../../src/domain/tasks/sort-key.js';

test('the key of a number is the integer that the library counts to', () => {
  let key = defaultSortOrder(0);
  expect(key).toBe('a0');
  for (let number = 1; number <= 250_000; number++) {
    key = generateKeyBetween(key, null);
    if (key !== defaultSortOrder(number)) expect(defaultSortOrder(number)).toBe(key);
  }
});

test.each([15_018_569, 931_151_401])('the key of %i is followed by that of the next number', (number) => {
  expect(generateKeyBetween(defaultSortOrder(number), null)).toBe(defaultSortOrder(number + 1));
});

test.each([0, 1, 61, 62, 3905, 3906, 250_000, 931_151_401])(
  'a key at or after that of %i and before that of the next number comes after this number',
  (number) => {
    const key = defaultSortOrder(number);
    for (const after of [key, `${key}V`, `${key}zzz`]) expect(numberBefore(after)).toBe(number);
    expect(numberBefore('Zz')).toBe(0);
  },
);

test('a key can be stored if others can be made beside it and no task number is too large for it', () => {
  for (const key of ['Zz', 'a0', 'a3V', 'b0bV', defaultSortOrder(999_999_999)]) expect(isStorableKey(key)).toBe(true);
  for (const key of ['', 'a', 'a10', 'b1', 'ab_', `a0${'V'.repeat(199)}`, defaultSortOrder(1_000_000_000)]) {
    expect(isStorableKey(key)).toBe(false);
  }
});

test('a key between two others is never that of a number', () => {
  const number = (n: number) => defaultSortOrder(n);
  expect(keyBetween({ after: null, before: number(100_000) })).toBe('Zz');
  expect(keyBetween({ after: null, before: 'Zz' })).toBe('Zy');
  expect(keyBetween({ after: number(3), before: number(4) })).toBe('a3V');
  expect(keyBetween({ after: number(3), before: number(9) })).toBe('a3V');
  expect(keyBetween({ after: 'a3V', before: number(9) })).toBe('a3l');
  expect(keyBetween({ after: number(61), before: number(70) })).toBe('azV');
});

test('many keys are in rising order within their gap, and none is that of a number', () => {
  for (const gap of [
    { after: null, before: 'a1' },
    { after: null, before: 'c123' },
    { after: 'a3', before: 'b50' },
    { after: 'a3', before: 'a3V' },
  ]) {
    const keys = keysBetween(gap, 100);
    expect([gap.after ?? '', ...keys, gap.before]).toEqual([gap.after ?? '', ...keys, gap.before].sort());
    expect(new Set(keys).size).toBe(100);
    expect(keys.every(isSortKey)).toBe(true);
    expect(keys.filter((key) => /^(a.|b..|c...)$/.test(key))).toEqual([]);
  }
});
