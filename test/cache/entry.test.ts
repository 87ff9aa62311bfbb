/** Entries: their exact text, and what each is worth under what one read saw. */
import { describe, expect, test } from 'vitest';
import { entryText, fenceIds, isFence, stampText, stateOf } from '../../src/engine/cache/entry.js';
import { tagOf } from './world.js';

const A = tagOf('a');
const B = tagOf('b');
const stored = (value: unknown, stamps = stampText('purge', ['tokenA', 'tokenB'])) =>
  entryText({ stamps, value, loadedAtMs: 1000, ttlMs: 500 });

// These bytes lie in the Redis of every deployment: to change them, raise ENTRY_FORMAT.
test('the stored text is this, to the byte', () => {
  expect(stored({ id: 7, name: 'Ada' })).toBe('purge|tokenA,tokenB|1000|500|j|{"id":7,"name":"Ada"}');
  expect(stored({ at: new Date(5), n: 1n, list: [undefined, Number.NaN] })).toBe(
    'purge|tokenA,tokenB|1000|500|m|' +
      '{"at":{"$cache":"date","text":"5"},"n":{"$cache":"bigint","text":"1"},' +
      '"list":[{"$cache":"undefined","text":""},{"$cache":"number","text":"NaN"}]}',
  );
  expect(stored(null, stampText('purge', []))).toBe('purge||1000|500|j|null');
});

describe('the state of a key', () => {
  const seen = (over: Partial<Parameters<typeof stateOf>[0]>) =>
    stateOf({ purge: 'purge', text: stored(7), tags: [A, B], tokens: ['tokenA', 'tokenB'], nowMs: 1200, ...over });

  test('fresh: under a lease, with the purge and every token that it was loaded under', () => {
    expect(seen({})).toEqual({
      kind: 'fresh',
      entry: { value: 7, ageMs: 200, ttlMs: 500, chars: stored(7).length },
      stamps: 'purge|tokenA,tokenB|',
    });
  });

  test('fresh without any tag: the purge alone is its proof', () => {
    const text = stored(7, stampText('purge', []));
    expect(seen({ text, tags: [], tokens: [] })).toMatchObject({ kind: 'fresh', entry: { value: 7 } });
  });

  test('ages are never negative, whatever the clocks of two hosts say', () => {
    expect(seen({ nowMs: 900 })).toMatchObject({ kind: 'fresh', entry: { ageMs: 0, ttlMs: 500 } });
    expect(seen({ nowMs: 9000 })).toMatchObject({ kind: 'stale', entry: { ageMs: 8000, ttlMs: 500 } });
  });

  const invalid = { kind: 'missing', cause: 'invalid' };
  const damaged = { kind: 'missing', cause: 'damaged' };
  test.each<[string, Partial<Parameters<typeof stateOf>[0]>, object]>([
    ['unleased without a lease', { purge: undefined }, { kind: 'unleased' }],
    [
      'unleased without a lease, also under a fence',
      { purge: undefined, tokens: ['!7,', 'tokenB'] },
      { kind: 'unleased' },
    ],
    ['fenced where any tag is', { tokens: ['tokenA', '!7,8,'] }, { kind: 'fenced' }],
    ['fenced where another tag has no token', { tokens: [undefined, '!7,'] }, { kind: 'fenced' }],
    ['fenced also without an entry', { text: undefined, tokens: ['!7,', 'x'] }, { kind: 'fenced' }],
    [
      'absent without an entry',
      { text: undefined },
      { kind: 'missing', cause: 'absent', tokens: ['tokenA', 'tokenB'] },
    ],
    ['invalid under another purge', { purge: 'other' }, invalid],
    ['invalid under a purge that its own begins with', { purge: 'pur' }, invalid],
    ['invalid under another token', { tokens: ['tokenA', 'tokenX'] }, { ...invalid, tokens: ['tokenA', 'tokenX'] }],
    ['invalid under tokens in another order', { tokens: ['tokenB', 'tokenA'] }, invalid],
    [
      'invalid where a tag lost its token',
      { tokens: ['tokenA', undefined] },
      { ...invalid, tokens: ['tokenA', undefined] },
    ],
    ['invalid where a tag is missing', { tags: [A], tokens: ['tokenA'] }, invalid],
    ['damaged where it is no JSON', { text: stored(7).replace('|j|7', '|j|{') }, damaged],
    ['damaged where its form is unknown', { text: stored(7).replace('|j|7', '|x|7') }, damaged],
    ['invalid where it is not ours', { text: 'OK' }, invalid],
    ['damaged where it is cut off', { text: 'purge|tokenA,tokenB|10' }, damaged],
  ])('%s', (_, over, state) => {
    expect(seen(over)).toMatchObject(state);
  });
});

test('a fence is told from a token by its first character, and names its transactions', () => {
  expect(isFence('!7,')).toBe(true);
  expect(isFence('7')).toBe(false);
  expect(fenceIds('!7,12,')).toEqual(['7', '12']);
  expect(fenceIds('!,7,12,')).toEqual(['7', '12']);
});
