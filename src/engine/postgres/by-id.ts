/** Cached rows by one of their columns that is unique: the source that every table has. */
import { getTableColumns, getTableName, type InferSelectModel, inArray, type SQL } from 'drizzle-orm';
import { getTableConfig, type PgColumn, type PgTable } from 'drizzle-orm/pg-core';
import { checkPolicy, digest, type Policy, type Tag } from '../cache/index.js';
import { HOUR } from '../cache/time.js';
import type { TableRowSets } from './row-sets.js';
import { tagText } from './tag-text.js';

/** What sources load from: the application's own Drizzle. */
export interface SourceDatabase {
  readonly read: Selecting;
  until(signal: AbortSignal): SourceDatabase;
}

/** What is used of Drizzle, whatever its driver. */
export interface Selecting {
  select(): { from(table: PgTable): { where(condition: SQL): PromiseLike<unknown[]> } };
}

/** A policy with the batch that loads what is missing: one value for every argument, in their order. */
export interface RowSource<A, V> extends Policy<A> {
  load(args: readonly A[], db: SourceDatabase): Promise<readonly V[]>;
  /** What several requests miss in one event-loop tick may be one statement. */
  readonly together?: boolean;
}

export interface ByIdOptions {
  /** How long a row is kept, ms. Writes invalidate exactly, so this only bounds memory. Default 12 hours. */
  readonly ttlMs?: number;
  /** The name in keys and traces. Default: that of the table. */
  readonly name?: string;
}

type RowsOf<T extends PgTable> = TableRowSets & { readonly definition: T; byId(...values: never[]): readonly Tag[] };
type IdOf<R> = R extends { byId(id: infer I): unknown } ? I : never;

/** By declaration: asked for twice, a source is the same, so that requests load its rows together. */
const known = new WeakMap<object, RowSource<never, unknown>>();

/**
 * The rows of a table by the column of its row set `byId`; null for an id that no row has. One source per declaration:
 * the options of the first call count.
 * @throws TypeError when that row set has several columns, or follows only some columns of the row
 */
export function byId<T extends PgTable, R extends RowsOf<T>>(
  rows: R & { readonly definition: T },
  { ttlMs = 12 * HOUR, name }: ByIdOptions = {},
): RowSource<IdOf<R>, InferSelectModel<T> | null> {
  type Id = IdOf<R>;
  type Row = InferSelectModel<T>;
  const made = known.get(rows) as RowSource<Id, Row | null> | undefined;
  if (made !== undefined) return made;
  const table: T = rows.definition;
  const [property, column] = idOf(rows);
  const text = tagText(`${getTableName(table)}.byId`, column);
  const tags = rows.byId as (id: Id) => readonly Tag[];
  const source: RowSource<Id, Row | null> = {
    name: name ?? policyName(table),
    shape: shapeOf(table),
    ttlMs,
    scope: 'public',
    tags,
    key: (id) => text(id),
    together: true,
    async load(ids, db) {
      const found = (await db.read
        .select()
        .from(table)
        .where(inArray(column, ids as unknown[]))) as Row[];
      const byText = new Map(found.map((row) => [text((row as Record<string, unknown>)[property]), row]));
      return ids.map((id) => byText.get(text(id)) ?? null);
    },
  };
  checkPolicy(source);
  known.set(rows, source as RowSource<never, unknown>);
  return source;
}

function idOf(rows: RowsOf<PgTable>): [property: string, column: PgColumn] {
  const name = rows.table;
  const spec = rows.specs[rows.names.indexOf('byId')];
  if (spec === undefined || spec.columns.length !== 1)
    throw new TypeError(`byId of ${name}: expected a row set byId of one column`);
  if (spec.watches !== undefined || spec.ignores !== undefined || spec.of !== undefined) {
    throw new TypeError(`byId of ${name}: its row set byId must follow the whole row, without watches, ignores or of`);
  }
  const columns = Object.entries(getTableColumns(rows.definition)) as [string, PgColumn][];
  return columns.find(([, column]) => column.name === spec.columns[0]) as [string, PgColumn];
}

function policyName(table: PgTable): string {
  const { schema, name } = getTableConfig(table);
  return [schema, name]
    .filter(Boolean)
    .join('.')
    .replace(/[^\w.]/g, '_');
}

/** Names the form of a table's rows: another set of columns or types is another shape. */
export function shapeOf(table: PgTable): string {
  const columns = Object.entries(getTableColumns(table)).map(([name, column]) => [
    name,
    column.getSQLType(),
    column.notNull,
  ]);
  return digest(JSON.stringify(columns)).slice(0, 8);
}
