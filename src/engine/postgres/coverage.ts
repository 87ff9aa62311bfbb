/**
 * Checks that tags cover what is read. In development and tests every cached load runs inside `around`, and each of its
 * statements may read only tables and columns that its tags follow. A statement that reads more would be cached and not
 * invalidated, so it fails.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { type DescribedLoad, rowSetName, type Tag, tableTag } from '../cache/index.js';
import type { RowSetSpec, TableRowSets } from './row-sets.js';

export class UncoveredRead extends Error {
  override readonly name = 'UncoveredRead';
  readonly code = 'UNCOVERED_READ';
}

/**
 * The part of a statement behind this comment, up to the next one, reads rows of `table` that the load brings along.
 * They are kept under their own tags, and those must cover it.
 */
export function brings(table: string): string {
  return `/* brings along ${table} */`;
}

const BRINGS = /\/\* brings along (\w+) \*\//;

interface RunningLoad extends DescribedLoad {
  /** What follows `brings` in the load's statements. */
  readonly bringing: { readonly table: string; readonly part: string }[];
}

export class Coverage {
  readonly #load = new AsyncLocalStorage<RunningLoad>();
  readonly #tables: readonly TableRowSets[];

  constructor(tables: readonly TableRowSets[]) {
    this.#tables = tables;
  }

  readonly around = async <T>(load: DescribedLoad, run: () => Promise<T>): Promise<T> => {
    const bringing: { table: string; part: string }[] = [];
    const result = await this.#load.run({ ...load, bringing }, run);
    for (const { table, part } of bringing) {
      const isKept = load.brought.some((tag) => tag === tableTag(table));
      if (isKept) this.#require(`what ${load.name} brings along`, part, load.brought);
    }
    return result;
  };

  /**
   * @throws UncoveredRead when the statement belongs to a cached load and reads a table or column that the load's tags
   * do not follow
   */
  check(statement: string): void {
    const load = this.#load.getStore();
    if (load === undefined) return;
    const [own = '', ...marked] = statement.split(BRINGS);
    for (let i = 0; i < marked.length; i += 2) {
      load.bringing.push({ table: marked[i] as string, part: marked[i + 1] as string });
    }
    this.#require(load.name, own, load.tags);
  }

  #require(reader: string, statement: string, tags: readonly Tag[]): void {
    for (const table of this.#tables) {
      if (!mentions(statement, table.table)) continue;
      const specs = specsOf(tags, table);
      if (specs.length === 0) {
        throw new UncoveredRead(`${reader} reads ${table.table}, but none of its tags is of that table`);
      }
      const unseen = table.columns.find(
        (column) => !specs.some((spec) => sees(spec, column)) && reads(statement, table, column),
      );
      if (unseen !== undefined) {
        throw new UncoveredRead(`${reader} reads ${table.table}.${unseen}, whose change its tags do not follow`);
      }
    }
  }
}

/**
 * The row sets of the table that the tags name. The tags must include the table's own, which large statements touch.
 */
function specsOf(tags: readonly Tag[], { table, specs }: TableRowSets): RowSetSpec[] {
  if (!tags.includes(tableTag(table))) return [];
  const names = new Set(tags.map((tag) => tag.slice(0, tag.indexOf('='))));
  return specs.filter(({ of, columns, aspect }) => {
    return names.has(`${of?.table ?? table}:${rowSetName({ columns: of?.columns ?? columns, aspect })}`);
  });
}

function sees(spec: RowSetSpec, column: string): boolean {
  return spec.watches === undefined ? spec.ignores?.includes(column) !== true : spec.watches.includes(column);
}

function mentions(statement: string, word: string): boolean {
  return new RegExp(`\\b${word}\\b`).test(statement);
}

/** Drizzle quotes columns, and qualifies them where another table could be meant. */
function reads(statement: string, { table }: TableRowSets, column: string): boolean {
  return new RegExp(`("${table}"\\.|(?<!\\.))"${column}"`).test(statement);
}
