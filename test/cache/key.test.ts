/** Keys: equal calls have equal names, different calls never. */
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonical, digest } from '../../src/engine/cache/index.js';
import { keyOf } from '../../src/engine/cache/key.js';

const key = (args: unknown, viewer?: string) => keyOf({ name: 'Task.list', shape: '1', viewer, args });

describe('the canonical text', () => {
  test.each<[string, unknown, string]>([
    ['a string', 'a"b', '"a\\"b"'],
    ['a number', 1.5, '1.5'],
    ['minus zero, which is zero', -0, '0'],
    ['not a number', Number.NaN, 'NaN'],
    ['infinity', -Infinity, '-Infinity'],
    ['a bigint, which is no number', 1n, '1n'],
    ['nothing', undefined, 'undefined'],
    ['null', null, 'null'],
    ['a boolean', true, 'true'],
    ['a date, which is no string and no number', new Date(5), '@5'],
    ['a list', [1, undefined, '2'], '[1,undefined,"2"]'],
    [
      'members, sorted, without those that are undefined',
      { b: 1, a: { d: 2, c: [3] }, e: undefined },
      '{"a":{"c":[3],"d":2},"b":1}',
    ],
    ['an object without a prototype', Object.assign(Object.create(null), { a: 1 }), '{"a":1}'],
  ])('of %s', (_, value, text) => {
    expect(canonical(value)).toBe(text);
  });

  test('the order of members does not matter, the order of items does', () => {
    expect(canonical({ a: 1, b: 2 })).toBe(canonical({ b: 2, a: 1 }));
    expect(canonical([1, 2])).not.toBe(canonical([2, 1]));
  });

  class Money {
    constructor(readonly cents: number) {}
  }
  test.each<[string, unknown]>([
    ['a function', () => 1],
    ['a symbol', Symbol('s')],
    ['a class instance', new Money(1)],
    ['a Map', new Map([[1, 2]])],
    ['a Set, deep inside', { a: [{ b: new Set() }] }],
  ])('is refused for %s', (_, value) => {
    expect(() => canonical(value)).toThrow(TypeError);
  });

  test('a hole in an array is not an absent item', () => {
    expect(canonical(new Array(1))).not.toBe(canonical([]));
    expect(canonical(new Array(2))).not.toBe(canonical(new Array(1)));
  });

  test('distinct values have distinct texts, equal values the same', () => {
    // A small alphabet of texts that look like other values: random ones would hardly ever come near each other.
    const confusing = [
      '',
      '0',
      '1',
      '1n',
      '@0',
      'null',
      'undefined',
      'NaN',
      '[]',
      '{}',
      '"',
      '","',
      ':',
      '\\',
      'a',
      '__proto__',
    ];
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 3 },
        fc.constantFrom<unknown>(...confusing),
        fc.constantFrom<unknown>(
          0,
          -0,
          1,
          10,
          Number.NaN,
          Infinity,
          0n,
          1n,
          null,
          undefined,
          true,
          new Date(0),
          new Date(1),
        ),
        fc.array(tie('value'), { maxLength: 3 }),
        fc.dictionary(fc.constantFrom(...confusing), tie('value'), { maxKeys: 3 }),
      ),
    }));
    fc.assert(
      fc.property(value, value, (a, b) => {
        expect(canonical(a) === canonical(b)).toBe(isDeepStrictEqual(normal(a), normal(b)));
        expect(canonical(normal(a))).toBe(canonical(a));
      }),
      { numRuns: 5000 },
    );
  });
});

/** The value that two equal arguments have in common: no `-0`, no members that are undefined. */
function normal(value: unknown): unknown {
  if (Object.is(value, -0)) return 0;
  if (Array.isArray(value)) return value.map(normal);
  if (typeof value !== 'object' || value === null || value instanceof Date) return value;
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  return Object.fromEntries(members.map(([name, member]) => [name, normal(member)]));
}

describe('the key', () => {
  test('names the call: name, shape, viewer, arguments', () => {
    expect(key({ id: 7 })).toBe('Task.list:1::{"id":7}');
    expect(key({ id: 7 }, 'ada')).toBe('Task.list:1:ada:{"id":7}');
  });

  test('long arguments are named by their digest, and still apart', () => {
    const long = (last: string) => ({ text: 'x'.repeat(200) + last });
    expect(key(long('a'))).toBe(`Task.list:1::sha256-${digest(canonical(long('a')))}`);
    expect(key(long('a'))).toBe(key(long('a')));
    expect(key(long('a'))).not.toBe(key(long('b')));
    expect(key(long('a')).length).toBeLessThan(80);
  });

  test('160 characters are named in full, one more is not', () => {
    const quoted = (chars: number) => 'x'.repeat(chars - 2);
    expect(key(quoted(160))).toBe(`Task.list:1::"${quoted(160)}"`);
    expect(key(quoted(161))).toMatch(/^Task\.list:1::sha256-[\w-]{43}$/);
  });

  test('no argument looks like a digest, and no viewer like an argument', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.json({ maxDepth: 1 }), fc.json({ maxDepth: 1 }), (v, w, a, b) => {
        const same = v === w && canonical(JSON.parse(a)) === canonical(JSON.parse(b));
        expect(key(JSON.parse(a), v) === key(JSON.parse(b), w)).toBe(same);
      }),
    );
    expect(key(`sha256-${digest('"x"')}`)).toContain('"sha256-');
  });
});
