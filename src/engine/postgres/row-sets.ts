/**
 * Row sets: the rows of a table whose columns equal given values, which cached values may depend on. They are declared
 * beside the table, installed as triggers (triggers.ts) and used as tags. One declaration serves both, so no query can
 * depend on a row set that no trigger names.
 */
import { getTableColumns, getTableName } from 'drizzle-orm';
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core';
import { rowSetTag, type Tag, tableTag } from '../cache/index.js';

export interface RowSetDeclaration {
  /** Tells row sets of the same columns apart that watch different columns. */
  readonly aspect?: string;
  /** The columns whose equality defines the rows. */
  readonly columns: readonly PgColumn[];
  /**
   * The corresponding columns of another table, if these rows are parts of its rows. A reader of a row with its parts
   * needs one tag for both.
   */
  readonly of?: readonly PgColumn[];
  /** An UPDATE of these columns alone does not touch the set: nothing that depends on the set depends on them. */
  readonly ignores?: readonly PgColumn[];
  /** Instead of `ignores`: the only columns whose UPDATE touches the set. Inserts and deletes always touch it. */
  readonly watches?: readonly PgColumn[];
}

/** Both the row-set's tag and the table's own, which TRUNCATE and very large statements bump instead. */
type RowSetTags<D extends RowSetDeclaration> = (...values: ValuesOf<D['columns']>) => readonly [Tag, Tag];
type ValuesOf<C extends readonly PgColumn[]> = {
  -readonly [I in keyof C]: C[I] extends PgColumn ? NonNullable<C[I]['_']['data']> : never;
};

/** The argument of the trigger function: one object per row set. */
export interface RowSetSpec {
  readonly columns: readonly string[];
  readonly of?: { readonly table: string; readonly columns: readonly string[] };
  readonly aspect?: string;
  readonly ignores?: readonly string[];
  readonly watches?: readonly string[];
}

export interface TableRowSets {
  readonly table: string;
  readonly columns: readonly string[];
  readonly specs: readonly RowSetSpec[];
  readonly definition: PgTable;
}

/**
 * Declares the row-sets of a table. Each becomes a function from the columns' values to the tags of those rows:
 * `taskRows.byProject(projectId)`.
 */
export function rowSets<const D extends Record<string, RowSetDeclaration>>(table: PgTable, declared: D) {
  const name = getTableName(table);
  const columnNames = new Set(Object.values(getTableColumns(table)).map((column) => column.name));
  const specs: RowSetSpec[] = [];
  const functions: Record<string, (...values: unknown[]) => readonly [Tag, Tag]> = {};
  const whole = tableTag(name);
  for (const [setName, declaration] of Object.entries<RowSetDeclaration>(declared)) {
    const spec = specOf(declaration);
    checkSpec(`${name}.${setName}`, spec, columnNames);
    for (const column of declaration.columns) checkText(`${name}.${setName}`, column);
    specs.push(spec);
    functions[setName] = (...values) => {
      const texts = declaration.columns.map((column, i) => String(column.mapToDriverValue(values[i])));
      return [rowSetTag(spec.of?.table ?? name, (spec.of ?? spec).columns, texts, spec.aspect), whole];
    };
  }
  return {
    table: name,
    columns: [...columnNames],
    specs,
    definition: table,
    ...(functions as { [K in keyof D]: RowSetTags<D[K]> }),
  };
}

function specOf({ columns, of, aspect, ignores, watches }: RowSetDeclaration): RowSetSpec {
  const names = (list: readonly PgColumn[]) => list.map((column) => column.name);
  return {
    columns: names(columns),
    ...(of && { of: { table: getTableName((of[0] as PgColumn).table), columns: names(of) } }),
    ...(aspect !== undefined && { aspect }),
    ...(ignores && { ignores: names(ignores) }),
    ...(watches && { watches: names(watches) }),
  };
}

/** A tag is made of the value's text here and in Postgres, so only types whose text is one and the same will do. */
function checkText(name: string, column: PgColumn): void {
  if (/^(timestamp|time|interval|json|numeric|real|double|bytea)\b/.test(column.getSQLType())) {
    throw new TypeError(`row-set ${name}: ${column.name} is of type ${column.getSQLType()}, which has several texts`);
  }
}

function checkSpec(name: string, spec: RowSetSpec, columnNames: ReadonlySet<string>): void {
  if (spec.columns.length === 0) throw new TypeError(`row-set ${name}: at least one column is expected`);
  if (spec.of !== undefined && spec.of.columns.length !== spec.columns.length) {
    throw new TypeError(`row-set ${name}: of must name a column for each of its own`);
  }
  if (spec.ignores && spec.watches) throw new TypeError(`row-set ${name}: either ignores or watches, not both`);
  for (const column of [...spec.columns, ...(spec.ignores ?? []), ...(spec.watches ?? [])]) {
    if (!columnNames.has(column)) throw new TypeError(`row-set ${name}: ${column} is no column of the table`);
  }
  const own = spec.columns.find((column) => spec.ignores?.includes(column) || spec.watches?.includes(column) === false);
  if (own !== undefined) throw new TypeError(`row-set ${name}: a change of its own column ${own} must touch it`);
}
