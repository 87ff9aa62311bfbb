/** JSON Patches of answers: what they make of the answer before is the answer after, in time that grows with the lists. */
import { applyPatch, createPatch } from 'rfc6902';
import { describe, expect, test } from 'vitest';
import { digest } from '../../src/engine/cache/index.js';
import { patchedAnswers } from '../../src/server/live/answer-form.js';
import { diffLists } from '../../src/server/live/list-diff.js';
import { Patches } from '../../src/server/live/patches.js';
import { type Random, randomOf } from '../chaos/random.js';

type Json = unknown;

function patched(before: Json, after: Json): { data: Json; operations: number } {
  const operations = createPatch(before, after, diffLists);
  const holder = { data: structuredClone(before) };
  const rooted = operations.map((operation) => ({ ...operation, path: `/data${operation.path}` }));
  expect(applyPatch(holder, structuredClone(rooted))).toEqual(operations.map(() => null));
  return { data: holder.data, operations: operations.length };
}

const items = (...ids: string[]) => ids.map((id) => ({ id, title: `Task ${id}` }));

describe('a list of objects with ids', () => {
  test.each([
    ['added at the beginning', items('b', 'c'), items('a', 'b', 'c'), 1],
    ['added at the end', items('a'), items('a', 'b'), 1],
    ['removed', items('a', 'b', 'c'), items('a', 'c'), 1],
    ['moved', items('a', 'b', 'c', 'd'), items('b', 'c', 'd', 'a'), 2],
    [
      'changed',
      items('a', 'b'),
      [
        { id: 'a', title: 'Task a' },
        { id: 'b', title: 'Other' },
      ],
      1,
    ],
    ['all others', items('a', 'b'), items('c', 'd'), 4],
    ['none', items('a', 'b'), [], 2],
    [
      'edges',
      [{ cursor: '1', node: { id: 'a' } }],
      [
        { cursor: '0', node: { id: 'b' } },
        { cursor: '2', node: { id: 'a' } },
      ],
      2,
    ],
  ])('%s', (_, before, after, operations) => {
    expect(patched({ list: before }, { list: after })).toEqual({ data: { list: after }, operations });
  });
});

describe('a list of other values', () => {
  test.each([
    ['added at the beginning', ['b', 'c'], ['a', 'b', 'c'], 1],
    ['removed in the middle', [1, 2, 3], [1, 3], 1],
    ['changed', [[1], [2]], [[1], [3]], 1],
    ['two of one id', [{ id: 'a' }, { id: 'a' }], [{ id: 'a' }], 1],
    ['nulls', [null, { id: 'a' }], [{ id: 'a' }, null], 2],
  ])('%s', (_, before, after, operations) => {
    expect(patched({ list: before }, { list: after })).toEqual({ data: { list: after }, operations });
  });
});

test.each(Array.from({ length: 300 }, (_, seed) => seed))('values at random, seed %i', (seed) => {
  const random = randomOf(seed);
  const before = anyValue(random, 4);
  const after = random.chance(0.2) ? anyValue(random, 4) : changed(random, before);
  expect(patched(before, after).data).toEqual(after);
});

function anyValue(random: Random, depth: number): Json {
  const size = random.integer(6);
  switch (random.integer(depth > 0 ? 5 : 3)) {
    case 0:
      return random.pick(['', 'a', 'b/c', 'd~e', '0']);
    case 1:
      return random.pick([0, 1, null, true]);
    case 2:
      return random.integer(3);
    case 3:
      return Array.from({ length: size }, () => anyValue(random, depth - 1));
    default:
      return Object.fromEntries(
        Array.from({ length: size }, () => [random.pick(['id', 'node', 'a', 'x/y', '~']), anyValue(random, depth - 1)]),
      );
  }
}

function changed(random: Random, value: Json): Json {
  if (Array.isArray(value)) {
    const kept = value
      .filter(() => !random.chance(0.2))
      .map((item) => (random.chance(0.3) ? changed(random, item) : item));
    if (random.chance(0.5)) kept.splice(random.integer(kept.length + 1), 0, anyValue(random, 2));
    if (random.chance(0.3)) kept.reverse();
    return kept;
  }
  if (typeof value !== 'object' || value === null) return anyValue(random, 1);
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [name, random.chance(0.4) ? changed(random, inner) : inner]),
  );
}

test('100 items that all change and reverse their order take at most 200 operations', () => {
  const before = Array.from({ length: 100 }, (_, i) => ({
    id: String(i),
    title: `Task ${i}`,
    labels: items('x', 'y'),
  }));
  const after = before.map((item) => ({ ...item, title: `${item.title}!` })).reverse();
  const { data, operations } = patched(before, after);
  expect(data).toEqual(after);
  expect(operations).toBeLessThanOrEqual(200); // one keeps its place
});

describe('the answers of a client with patches', () => {
  const text = (data: Json) => JSON.stringify({ data });

  /** A live query, and the messages of a client that is sent each of its answers, or those that it does not miss. */
  function client() {
    const patches = new Patches();
    const form = patchedAnswers();
    let number = 0;
    let before: string | undefined;
    return (answer: string, { missed = false } = {}) => {
      const patched = patches.next('q', { number: ++number, text: answer, digest: digest(answer) });
      if (missed) return '';
      const message = form(patched, before);
      before = patched.digest;
      return message;
    };
  }

  test('are whole where a patch is longer', () => {
    const sent = client();
    const b = 'long enough to be worth a patch, with the path and all that';
    expect(sent(text({ a: 1, b }))).toMatch(/^\{"data":.*"revision":1\}$/);
    expect(sent(text({ a: 2, b }))).toBe('{"patch":[{"op":"replace","path":"/a","value":2}],"revision":2}');
    expect(sent(text({ a: 3 }))).toBe('{"data":{"a":3},"revision":3}');
  });

  test('are whole with errors, and after them', () => {
    const sent = client();
    const data = { a: 'x'.repeat(200), b: 1 };
    sent(text(data));
    const errors = JSON.stringify({ errors: [{ message: 'm' }], data });
    expect(sent(errors)).toBe(`${errors.slice(0, -1)},"revision":2}`);
    expect(sent(text(data))).toBe(`${text(data).slice(0, -1)},"revision":3}`);
    expect(sent(text({ ...data, b: 2 }))).toContain('"patch"');
  });

  test('are whole if they are large', () => {
    const sent = client();
    const data = { a: 'x'.repeat(300_000), b: 1 };
    sent(text(data));
    expect(sent(text({ ...data, b: 2 }))).toBe(`${text({ ...data, b: 2 }).slice(0, -1)},"revision":2}`);
  });

  test('are whole after one that the client missed, and patches of what it was sent', () => {
    const sent = client();
    const data = { a: 'x'.repeat(200), b: 1 };
    sent(text(data));
    sent(text({ ...data, b: 2 }), { missed: true });
    expect(sent(text({ ...data, b: 3 }))).toBe(`${text({ ...data, b: 3 }).slice(0, -1)},"revision":2}`);
    expect(sent(text({ ...data, b: 4 }))).toBe('{"patch":[{"op":"replace","path":"/b","value":4}],"revision":3}');
  });
});

test('an answer is compared once, however many clients it has, and has its patch again when it is made again', () => {
  const patches = new Patches();
  const answer = (b: number) => {
    const text = JSON.stringify({ data: { a: 'x'.repeat(100), b } });
    return { number: b, text, digest: digest(text) };
  };
  patches.next('q', answer(1));
  const first = patches.next('q', answer(2));
  expect(first.patch).toEqual({
    from: answer(1).digest,
    operations: '[{"op":"replace","path":"/b","value":2}]',
  });
  expect(patches.next('q', { ...answer(2), number: 3 }).patch).toBe(first.patch);
  patches.delete('q');
  expect(patches.next('q', answer(3)).patch).toBeUndefined();
});
