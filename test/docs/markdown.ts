/** The documentation as its tests read it: pages, their code blocks, links and tables. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface Page {
  /** Relative to the root, with slashes. */
  readonly path: string;
  readonly text: string;
}

/** A fenced code block. */
export interface Snippet {
  readonly page: string;
  /** Of the line that opens it, from 1. */
  readonly line: number;
  readonly language: string;
  readonly code: string;
}

export function readPage(path: string): Page {
  return { path, text: readFileSync(`${ROOT}/${path}`, 'utf8') };
}

/** What these tests hold to its word. */
export const PAGES: readonly Page[] = [
  ...['README.md', 'CAVEATS.md', 'bench/README.md', 'examples/frontend/README.md', 'examples/board/README.md'],
  ...readdirSync(`${ROOT}/docs`)
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
].map(readPage);

export function snippetsOf({ path, text }: Page): Snippet[] {
  return [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(({ 1: language = '', 2: code = '', index }) => ({
    page: path,
    line: text.slice(0, index).split('\n').length,
    language,
    code,
  }));
}

export const SNIPPETS = PAGES.flatMap(snippetsOf);

export function named({ page, line }: Snippet): string {
  return `${page}:${line}`;
}

/** The text without its code blocks. */
export function proseOf({ text }: Page): string {
  return text.replace(/^```[\s\S]*?^```$/gm, '');
}

/** Targets of links and images, but for other sites. */
export function linksOf(page: Page): string[] {
  return [...proseOf(page).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = '']) => target)
    .filter((target) => !/^[a-z]+:/.test(target));
}

/** The anchors of a page's headings, as GitHub makes them. */
export function anchorsOf(page: Page): string[] {
  return [...proseOf(page).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

/** The cells of all rows of tables, those of headers among them. */
export function rowsOf(text: string): string[][] {
  return [...text.matchAll(/^\| (.*) \|$/gm)].map(([, row = '']) => row.split(/ ?(?<!\\)\| ?/));
}

/** What a cell has in backticks. */
export function codesIn(cell = ''): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code);
}
