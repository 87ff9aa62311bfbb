/** Results with JSON that was written before are the bytes of `JSON.stringify`. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { JsonText, noteTexts, stringifyResult, writeJson } from '../../src/server/operations/json-text.js';

/** A value, and the same with some of its parts as text. */
interface Pair {
  readonly plain: unknown;
  readonly written: unknown;
}

const asText = ({ plain }: Pair): Pair => ({ plain, written: new JsonText(JSON.stringify(plain)) });
const listOf = (items: readonly Pair[]): Pair => ({
  plain: items.map(({ plain }) => plain),
  written: items.map(({ written }) => written),
});
const objectOf = (members: Record<string, Pair>): Pair => ({
  plain: Object.fromEntries(Object.entries(members).map(([name, { plain }]) => [name, plain])),
  written: Object.fromEntries(Object.entries(members).map(([name, { written }]) => [name, written])),
});
const leaf = fc
  .oneof(
    fc.string({ unit: 'binary' }),
    fc.double(),
    fc.constantFrom<unknown>(null, undefined, true, -0, new Date(0), { toJSON: () => 'x' }, Object.create(null)),
  )
  .map((plain): Pair => ({ plain, written: plain }));
const { tree } = fc.letrec<{ tree: Pair; object: Pair }>((tie) => ({
  object: fc.dictionary(fc.string(), tie('tree'), { maxKeys: 4 }).map(objectOf),
  tree: fc.oneof(
    { maxDepth: 4 },
    leaf,
    tie('object'),
    tie('object').map(asText),
    fc.array(tie('tree'), { maxLength: 4 }).map(listOf),
  ),
}));

test('any value with texts in it is written as without', () => {
  fc.assert(
    fc.property(tree, ({ plain, written }) => {
      expect(writeJson(written)).toBe(JSON.stringify(plain));
    }),
    { numRuns: 3000 },
  );
});

test('a result is written with the texts of its data, and by others too', () => {
  const data = { tasks: [new JsonText('{"title":"\\u00e9"}'), { title: 'b' }] };
  const expected = '{"data":{"tasks":[{"title":"é"},{"title":"b"}]}}';
  expect(JSON.stringify({ data })).toBe(expected);
  noteTexts(data);
  expect(stringifyResult({ data })).toBe('{"data":{"tasks":[{"title":"\\u00e9"},{"title":"b"}]}}');
  expect(stringifyResult({ data: null })).toBe('{"data":null}');
});
