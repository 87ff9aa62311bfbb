/** What parsed documents and variables take in memory: the estimates, and the bound of the store that rests on them. */
import { type DocumentNode, parse } from 'graphql';
import { describe, expect, test } from 'vitest';
import { MAX_STORED_DOCUMENT_BYTES } from '../../src/graphql/limits.js';
import { documentBytes, valueBytes } from '../../src/server/operations/document-size.js';
import { DocumentStore } from '../../src/server/operations/document-store.js';
import { heapBytes } from '../support/heap.js';

const times = (n: number, text: string) => Array.from({ length: n }, () => text).join(' ');

/** Each makes another document for each `i`, most of them with nearly the maximum of tokens. */
const DOCUMENTS: [string, (i: number) => string][] = [
  ['short fields', (i) => `query Q${i} { ${times(1900, 'a')} }`],
  ['long fields', (i) => `query Q${i} { ${times(1900, '__typename')} }`],
  ['selections', (i) => `query Q${i} { ${times(450, 'a { b }')} }`],
  ['arguments', (i) => `query Q${i} { ${times(300, 'a(b: 1)')} }`],
  ['empty lists', (i) => `query Q${i} { a(b: [${times(900, '[]')}]) }`],
  ['enums', (i) => `query Q${i} { a(b: [${times(1900, 'A')}]) }`],
  ['spreads', (i) => `query Q${i} { ${times(900, '...F')} }`],
  ['directives', (i) => `query Q${i} { a ${times(900, '@b')} }`],
  ['operations', (i) => times(380, `query Q${i} { a }`)],
  ['comments', (i) => `query Q${i} { a ${times(5000, '#\n')} }`],
  ['a long text', (i) => `query Q${i} { a(b: "${'ж'.repeat(200_000)}") }`],
];
const COUNT = 20;

// What earlier tests of the process have left may be freed while one of these measures: a wrong estimate fails each time.
describe('the estimate of memory', { retry: 2 }, () => {
  test.each(DOCUMENTS)('is right within a factor of two for a document of %s', (_, text) => {
    const before = heapBytes();
    const documents = Array.from({ length: COUNT }, (_, i) => parse(Buffer.from(text(i)).toString()));
    const bytes = (heapBytes() - before) / COUNT;
    const estimate = documentBytes(documents[0] as DocumentNode);
    expect(estimate / bytes).toBeGreaterThan(0.5);
    expect(estimate / bytes).toBeLessThan(2);
  });

  test.each([
    ['empty objects', `[${times(4000, '{},')}{}]`],
    ['empty lists', `[${times(4000, '[],')}[]]`],
    ['texts', `[${times(1000, '"0198f1b2-7c1e-7abc-8def-012345678901",')}""]`],
    ['a text', `"${'ж'.repeat(30_000)}"`],
  ])('is more than half of what variables of %s take', (_, json) => {
    const before = heapBytes();
    const values = Array.from({ length: 100 }, () => JSON.parse(json) as unknown);
    expect(valueBytes(values[0])).toBeGreaterThan((heapBytes() - before) / 100 / 2);
  });
});

test.each(DOCUMENTS.slice(0, 2))('a store full of documents of %s takes at most twice its bound', (_, text) => {
  const store = new DocumentStore();
  const before = heapBytes();
  for (let i = 0; i < 200; i++) store.add(text(i), parse(text(i)));
  expect(heapBytes() - before).toBeLessThan(2 * MAX_STORED_DOCUMENT_BYTES);
  expect(store.find(text(199))).toBeDefined();
  expect(store.find(text(0))).toBeUndefined();
});
