/** The pages that describe the code name what exists: paths, functions, tests, mutants, anchors. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { killerOf, MUTANTS } from '../mutants/mutants.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PAGES = ['ARCHITECTURE.md', 'docs/decisions.md', 'src/engine/PROTOCOL.md'];
/** Folders at the root whose paths the pages name. */
const FOLDERS = readdirSync(ROOT, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
  .map(({ name }) => name);

const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const codeIn = (text: string) => [...text.matchAll(/`([^`\n]+)`/g)].map(([, code]) => code as string);
const withoutBlocks = (page: string) => page.replace(/^```[\s\S]*?^```$/gm, '');

/** Code that is a path from the root: it begins with a folder of the root, or is a file there. */
function pathsIn(text: string): string[] {
  return codeIn(text).filter((code) => {
    if (!/^[\w./*-]+$/.test(code)) return false;
    return (
      FOLDERS.some((folder) => code === folder || code.startsWith(`${folder}/`)) || /^[\w.-]+\.(md|json)$/.test(code)
    );
  });
}

/** `*` stands for any part of one name. */
function exists(path: string): boolean {
  if (!path.includes('*')) return existsSync(join(ROOT, path));
  const folder = dirname(path);
  const name = new RegExp(`^${posix.basename(path).replaceAll('.', '\\.').replaceAll('*', '.*')}$`);
  return (
    !folder.includes('*') &&
    existsSync(join(ROOT, folder)) &&
    readdirSync(join(ROOT, folder)).some((one) => name.test(one))
  );
}

/** The cells of each row of the tables that have these columns, in the order of `columns`. */
function rowsOf(page: string, columns: readonly string[]): string[][] {
  const rows: string[][] = [];
  let places: number[] | undefined;
  for (const line of page.split('\n')) {
    if (!line.startsWith('|')) places = undefined;
    else if (places === undefined) places = columns.map((column) => cellsOf(line).indexOf(column));
    else if (!places.includes(-1) && !/^\|[-:|]+\|$/.test(line)) {
      const cells = cellsOf(line);
      rows.push(places.map((place) => cells[place] ?? ''));
    }
  }
  return rows;
}

function cellsOf(line: string): string[] {
  return line
    .split(/(?<!\\)\|/)
    .slice(1, -1)
    .map((cell) => cell.trim());
}

/** As GitHub makes them. */
function anchorsOf(page: string): string[] {
  return [...page.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );
}

describe.each(PAGES)('%s', (name) => {
  const page = withoutBlocks(read(name));

  test('names paths that exist', () => {
    const paths = pathsIn(page);
    expect(paths.length).toBeGreaterThan(10);
    expect(paths.filter((path) => !exists(path))).toEqual([]);
  });

  test('names, beside a file, functions that the file has', () => {
    const missing = rowsOf(page, ['file', 'functions']).flatMap(([file = '', functions = '']) => {
      const source = codeIn(file).map(read).join('\n');
      const names = codeIn(functions).map((code) => code.split(/[.#]/).at(-1) as string);
      return names.filter((one) => !new RegExp(`\\b${one}\\b`).test(source)).map((one) => `${file} ${one}`);
    });
    expect(missing).toEqual([]);
  });

  test('names, in parentheses behind a file, what the file has', () => {
    const missing = [...page.matchAll(/`([\w./-]+\.\w+)`(?::)?\s+\(((?:`[^`]+`(?:,\s+)?)+)\)/g)].flatMap(
      ([, file = '', names = '']) =>
        codeIn(names)
          .map((code) => code.replace('#', ''))
          .filter((one) => !read(file).includes(one))
          .map((one) => `${file} ${one}`),
    );
    expect(missing).toEqual([]);
  });

  test('has links to pages and headings that exist', () => {
    const broken = [...page.matchAll(/\]\(([^)]+)\)/g)]
      .map(([, target]) => target as string)
      .filter((target) => {
        const [path = '', anchor] = target.split('#');
        const file = path === '' ? name : posix.join(posix.dirname(name), path);
        return !exists(file) || (anchor !== undefined && !anchorsOf(read(file)).includes(anchor));
      });
    expect(broken).toEqual([]);
  });
});

describe('src/engine/PROTOCOL.md', () => {
  const page = read('src/engine/PROTOCOL.md');

  test('names for each mutant of the protocol the test that kills it', () => {
    const expected = MUTANTS.flatMap((mutant) => {
      if ('absent' in mutant) return [];
      const { file, title } = killerOf(mutant);
      return [[`\`${mutant.name}\``, `\`${file}\` > ${title}`]];
    });
    const found = rowsOf(page, ['mutant', 'test']);
    expect(found.sort()).toEqual(expected.sort());
  });

  test('names each mutant that the code has no place for', () => {
    const expected = MUTANTS.flatMap((mutant) => ('absent' in mutant ? [`\`${mutant.name}\``] : []));
    expect(rowsOf(page, ['what cannot happen', 'mutant']).map(([, mutant]) => mutant)).toEqual(expected);
  });
});

test('every test that ARCHITECTURE.md names for an invariant is a test file', () => {
  const rows = rowsOf(read('ARCHITECTURE.md'), ['invariant', 'test']);
  expect(rows.length).toBeGreaterThan(40);
  const without = rows.filter(
    ([, tests = '']) => !tests.startsWith('the constants') && !/`[\w./-]+\.test\.tsx?`/.test(tests),
  );
  expect(without).toEqual([]);
});
