/** The table of mutants is true to the code: each changes what is there, and names a test that exists. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { killerOf, MUTANTS, mutated } from './mutants.js';

const read = (file: string) => readFileSync(fileURLToPath(new URL(`../../${file}`, import.meta.url)), 'utf8');

test('no mutant is named twice', () => {
  const names = MUTANTS.map(({ name }) => name);
  expect(names).toEqual([...new Set(names)]);
});

describe.each(MUTANTS.flatMap((mutant) => ('absent' in mutant ? [] : [mutant])))('$name', (mutant) => {
  test('changes text that its files have exactly once', () => {
    for (const [file, changed] of mutated(mutant, read)) expect(changed).not.toBe(read(file));
  });

  test('is killed by a test that exists', () => {
    const { file, title } = killerOf(mutant);
    const titles = [...read(file).matchAll(/\b(?:test|it)(?:\.each[\s\S]*?\))?\(\s*(['"])(.*?)\1,/g)].map(
      ([, , one]) => one,
    );
    expect(titles.filter((one) => one?.includes(title))).toHaveLength(1);
  });
});
