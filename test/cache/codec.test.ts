/** The codec: what goes in comes out, or is refused; damaged text is a SyntaxError and never a value. */
import { deepStrictEqual } from 'node:assert/strict';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decode, encode, type Form } from '../../src/engine/cache/codec.js';
import { CacheError } from '../../src/engine/cache/index.js';

const roundTrip = (value: unknown) => decode(encode(value));

class Money {
  constructor(readonly cents: number) {}
}

describe('round trip', () => {
  test('JSON, dates, bigints, undefined in arrays and numbers that JSON lacks come back as they were', () => {
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.string({ unit: 'binary' }),
        fc.double().map((number) => (Object.is(number, -0) ? 0 : number)),
        fc.boolean(),
        fc.constant(null),
        fc.bigInt(),
        fc.date({ noInvalidDate: true }),
        fc.array(fc.option(tie('value'), { nil: undefined }), { maxLength: 4 }),
        fc.dictionary(
          fc.oneof(
            fc.string().filter((name) => name !== '$cache'),
            fc.constantFrom('__proto__', 'constructor', 'text', ''),
          ),
          tie('value'),
          { maxKeys: 4, noNullPrototype: true },
        ),
      ),
    }));
    fc.assert(
      fc.property(value, (given) => deepStrictEqual(roundTrip(given), given)),
      { numRuns: 2000 },
    );
  });

  test('only values that need marks pay for them', () => {
    expect(encode({ id: 1, name: 'ada', list: [null, true] }).form).toBe('j');
    for (const value of [new Date(0), 1n, undefined, Number.NaN, [undefined], new Array(1)]) {
      expect(encode(value).form).toBe('m');
    }
  });

  test('a large text is compressed, a small one is not, and both come back', () => {
    const large = { list: Array.from({ length: 1000 }, (_, id) => ({ id, title: `task ${id}` })) };
    expect(encode(large).form).toBe('J');
    expect(encode({ ...large, at: new Date(5) }).form).toBe('M');
    expect(encode(large).text.length).toBeLessThan(JSON.stringify(large).length / 2);
    expect(roundTrip(large)).toEqual(large);
    expect(roundTrip({ ...large, at: new Date(5) })).toEqual({ ...large, at: new Date(5) });
  });

  test('a value that is nothing at all comes back as that', () => {
    expect(roundTrip(undefined)).toBe(undefined);
    expect(roundTrip(null)).toBe(null);
  });

  test('a date that is none stays one that is none', () => {
    expect(roundTrip(new Date(Number.NaN))).toEqual(new Date(Number.NaN));
  });

  test('members that are undefined are left out, as JSON does', () => {
    expect(Object.keys(roundTrip({ a: undefined, b: 1 }) as object)).toEqual(['b']);
  });

  test('text that looks like a mark is text', () => {
    const value = ['{"$cache":"date","text":"0"}', new Date(1)];
    expect(roundTrip(value)).toEqual(value);
  });
});

describe('what JSON would change in silence is refused', () => {
  test.each<[string, unknown]>([
    ['a Map', new Map()],
    ['a Set', new Set([1])],
    ['a class instance', new Money(1)],
    ['bytes', new Uint8Array(2)],
    ['a Buffer, though it has toJSON', Buffer.from('a')],
    ['a function', () => 1],
    ['a symbol', Symbol('s')],
    ['an error', new Error('e')],
    ['a boxed number', Object(1)],
    ['an object with a member $cache', { $cache: 'date', text: '0' }],
    ['an object with toJSON', { toJSON: () => 1 }],
  ])('%s, at the top and deep inside', (_, value) => {
    for (const given of [value, { a: [{ b: value }] }]) {
      expect(() => encode(given)).toThrow(expect.objectContaining({ code: 'UNENCODABLE' }));
      expect(() => encode(given)).toThrow(CacheError);
    }
  });

  test('a circle', () => {
    const circle: { self?: unknown } = {};
    circle.self = circle;
    expect(() => encode(circle)).toThrow();
  });
});

test.each<[string, string, Form]>([
  ['cut off', '{"a":1', 'j'],
  ['empty', '', 'j'],
  ['not JSON', 'undefined', 'j'],
  ['cut off, marked', '{"$cache":"date","text":"0"', 'm'],
  ['with an unknown mark', '{"$cache":"regexp","text":"a"}', 'm'],
  ['with a bigint of letters', '[{"$cache":"bigint","text":"x"}]', 'm'],
])('text that is %s is a SyntaxError', (_, text, form) => {
  expect(() => decode({ text, form })).toThrow(SyntaxError);
});
