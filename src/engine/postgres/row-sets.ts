/**
 * Row sets: the rows of a table whose columns equal given values, which cached values may depend on. They are declared
 * beside the table, installed as triggers (triggers.ts) and used as tags. One declaration serves both, so no query can
 * depend on a row set that no trigger names.
 */
import { getTableColumns, getTableName, is } from 'drizzle-orm';
import { getTableConfig, PgArray, type PgColumn, type PgTable } from 'drizzle-orm/pg-core';
import { rowSetTag, type Tag, tableTag } from '../cache/index.js';
import { tagText } from './tag-text.js';

export interface RowSetDeclaration {
  /** Tells row sets of the same columns apart that watch different columns. */
  readonly aspect?: string;
  /**
   * The columns whose equality defines the rows. One column that is an array: the rows whose array has a given element.
   */
  readonly columns: readonly PgColumn[];
  /**
   * The corresponding columns of another table, if these rows are parts of its rows. A reader of a row with its parts
   * needs one tag for both.
   */
  readonly of?: readonly PgColumn[];
  /** An UPDATE of these columns alone does not touch the set: nothing that depends on the set depends on them. */
  readonly ignores?: readonly PgColumn[];
  /** Instead of `ignores`: the only columns whose UPDATE touches the set. Inserts and deletes touch it in any case. */
  readonly watches?: readonly PgColumn[];
  /**
   * An INSERT does not touch the set. What depends on the set must then depend on another one that the INSERT touches:
   * a set of the same rows, or, of rows that triggers write when rows of another table change, a set of those.
   */
  readonly ignoresInserts?: true;
}

/** The columns alone, or with what else a row set can say. */
export type RowSetColumns = readonly PgColumn[] | RowSetDeclaration;

/** Both the row set's tag and the table's own, which TRUNCATE and very large statements bump instead. */
type RowSetTags<D extends RowSetColumns> = (...values: ValuesOf<ColumnsOf<D>>) => readonly [Tag, Tag];
type ColumnsOf<D extends RowSetColumns> = D extends RowSetDeclaration
  ? D['columns']
  : D extends readonly PgColumn[]
    ? D
    : never;
type ValuesOf<C extends readonly PgColumn[]> = {
  -readonly [I in keyof C]: C[I] extends PgColumn ? ValueOf<NonNullable<C[I]['_']['data']>> : never;
};
/** A value of a column, or an element of one that is an array. */
type ValueOf<Data> = Data extends readonly (infer Element)[] ? Element : Data;

/** The argument of the trigger function: one object per row set. */
export interface RowSetSpec {
  readonly columns: readonly string[];
  /** The one column is an array: a row is in a set for each of its elements. */
  readonly elements?: true;
  readonly of?: { readonly table: string; readonly columns: readonly string[] };
  readonly aspect?: string;
  readonly ignores?: readonly string[];
  readonly watches?: readonly string[];
  readonly ignoresInserts?: true;
}

export interface TableRowSets {
  /**
   * `public` unless the table was declared in another one. Tags do not name it: tables of one name share them, which
   * costs misses only.
   */
  readonly schema: string;
  readonly table: string;
  readonly columns: readonly string[];
  readonly specs: readonly RowSetSpec[];
  /** How the declaration calls them, in the order of `specs`. */
  readonly names: readonly string[];
  readonly definition: PgTable;
}

/**
 * Declares the row sets of a table. Each becomes a function from the columns' values to the tags of those rows:
 * `rowSets(books, { byAuthor: [books.authorId] })` gives `bookRows.byAuthor(7)`. These functions throw CacheError
 * POLICY for a value that is none of the column's type.
 * @throws TypeError for a column whose type has several texts for equal values, and for a declaration that contradicts
 * itself
 */
export function rowSets<T extends PgTable, const D extends Record<string, RowSetColumns>>(table: T, declared: D) {
  const name = getTableName(table);
  const columnNames = new Set(Object.values(getTableColumns(table)).map((column) => column.name));
  const specs: RowSetSpec[] = [];
  const functions: Record<string, (...values: unknown[]) => readonly [Tag, Tag]> = {};
  const whole = tableTag(name);
  for (const [setName, columnsOrMore] of Object.entries<RowSetColumns>(declared)) {
    if (RESERVED.has(setName)) throw new TypeError(`row set ${name}.${setName}: this name is taken`);
    const declaration = 'columns' in columnsOrMore ? columnsOrMore : { columns: columnsOrMore };
    const spec = specOf(declaration);
    checkSpec(`${name}.${setName}`, spec, columnNames);
    const texts = declaration.columns.map((column) => tagText(`${name}.${setName}`, elementOf(column) ?? column));
    specs.push(spec);
    functions[setName] = (...values) => {
      const named = texts.map((text, i) => text(values[i]));
      return [rowSetTag(spec.of?.table ?? name, (spec.of ?? spec).columns, named, spec.aspect), whole];
    };
  }
  return {
    schema: getTableConfig(table).schema ?? 'public',
    table: name,
    columns: [...columnNames],
    specs,
    names: Object.keys(declared),
    definition: table,
    ...(functions as { [K in keyof D]: RowSetTags<D[K]> }),
  };
}

/** The members of every declaration of row-sets. */
const RESERVED: ReadonlySet<string> = new Set<keyof TableRowSets>([
  'schema',
  'table',
  'columns',
  'specs',
  'definition',
]);

function specOf({ columns, of, aspect, ignores, watches, ignoresInserts }: RowSetDeclaration): RowSetSpec {
  const names = (list: readonly PgColumn[]) => list.map((column) => column.name);
  return {
    columns: names(columns),
    ...(columns.some((column) => elementOf(column) !== undefined) && { elements: true as const }),
    ...(of && { of: { table: getTableName((of[0] as PgColumn).table), columns: names(of) } }),
    ...(aspect !== undefined && { aspect }),
    ...(ignores && { ignores: names(ignores) }),
    ...(watches && { watches: names(watches) }),
    ...(ignoresInserts && { ignoresInserts }),
  };
}

/** The column of a single element, if the column is an array. */
function elementOf(column: PgColumn): PgColumn | undefined {
  return is(column, PgArray) ? (column.baseColumn as PgColumn) : undefined;
}

function checkSpec(name: string, spec: RowSetSpec, columnNames: ReadonlySet<string>): void {
  if (spec.columns.length === 0) throw new TypeError(`row set ${name}: at least one column is expected`);
  if (spec.elements && spec.columns.length > 1) {
    throw new TypeError(`row set ${name}: an array is expected to be its only column`);
  }
  if (spec.of !== undefined && spec.of.columns.length !== spec.columns.length) {
    throw new TypeError(`row set ${name}: of must name a column for each of its own`);
  }
  if (spec.ignores && spec.watches) throw new TypeError(`row set ${name}: either ignores or watches, not both`);
  for (const column of [...spec.columns, ...(spec.ignores ?? []), ...(spec.watches ?? [])]) {
    if (!columnNames.has(column)) throw new TypeError(`row set ${name}: ${column} is no column of the table`);
  }
  const own = spec.columns.find((column) => spec.ignores?.includes(column) || spec.watches?.includes(column) === false);
  if (own !== undefined) throw new TypeError(`row set ${name}: a change of its own column ${own} must touch it`);
}
