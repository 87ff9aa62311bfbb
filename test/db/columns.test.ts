/** Column types: the text that Postgres prints of an instant, and the text that the application uses. */
import { pgTable } from 'drizzle-orm/pg-core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { instant } from '../../src/db/columns.js';

const { at } = pgTable('things', { at: instant('at') });
const read = (printed: string): unknown => at.mapFromDriverValue(printed);

/** As Postgres prints it in UTC, with `decimals` digits after the point. */
function printed(atMs: number, decimals: number): string {
  const iso = new Date(atMs).toISOString();
  const fraction = decimals === 0 ? '' : `.${iso.slice(20, 20 + decimals)}`;
  return `${iso.slice(0, 10)} ${iso.slice(11, 19)}${fraction}+00`;
}

const someInstant = fc.integer({
  min: Date.parse('1000-01-01T00:00:00.000Z'),
  max: Date.parse('9999-12-31T23:59:59.999Z'),
});

describe('an instant', () => {
  test('of four-digit years in UTC is read as a Date would read it', () => {
    fc.assert(
      fc.property(someInstant, fc.integer({ min: 0, max: 3 }), (atMs, decimals) => {
        const text = printed(atMs, decimals);
        const step = 10 ** (3 - decimals);
        expect(read(text)).toBe(new Date(text).toISOString());
        expect(read(text)).toBe(new Date(Math.floor(atMs / step) * step).toISOString());
      }),
      { numRuns: 5000 },
    );
  });

  test.each([
    ['2026-11-22 20:31:52+00', '2026-11-22T20:31:52.000Z'],
    ['2026-11-22 20:31:52.1+00', '2026-11-22T20:31:52.100Z'],
    ['2026-11-22 20:31:52.12+00', '2026-11-22T20:31:52.120Z'],
    ['2026-11-22 20:31:52.012+00', '2026-11-22T20:31:52.012Z'],
  ])('%s is %s', (text, iso) => {
    expect(read(text)).toBe(iso);
  });

  test('with another offset is converted to UTC', () => {
    const offset = fc
      .tuple(fc.constantFrom('+', '-'), fc.integer({ min: 0, max: 15 }), fc.constantFrom('', ':00', ':30', ':45'))
      .map(([sign, hours, minutes]) => `${sign}${String(hours).padStart(2, '0')}${minutes}`);
    fc.assert(
      fc.property(someInstant, fc.integer({ min: 0, max: 3 }), offset, (atMs, decimals, other) => {
        const text = printed(atMs, decimals).replace('+00', other);
        expect(read(text)).toBe(new Date(text).toISOString());
      }),
      { numRuns: 2000 },
    );
    expect(read('2026-11-22 20:31:52.5+05:30')).toBe('2026-11-22T15:01:52.500Z');
    expect(read('2026-11-22 20:31:52-03')).toBe('2026-11-22T23:31:52.000Z');
  });

  test('with microseconds is cut to milliseconds', () => {
    expect(read('2026-11-22 20:31:52.123456+00')).toBe('2026-11-22T20:31:52.123Z');
  });

  test('of a five-digit year has the sign and six digits that ISO 8601 wants there', () => {
    expect(read('12026-11-22 20:31:52.5+00')).toBe('+012026-11-22T20:31:52.500Z');
  });

  test('before the year 1 is refused, not taken for one of our era', () => {
    expect(() => read('0044-03-15 12:00:00+00 BC')).toThrow(RangeError);
  });
});
