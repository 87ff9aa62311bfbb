/**
 * Reads rows by id, for the entities of every feature. Prepared once per pool; the statement's text does not depend on
 * the number of ids.
 */
import { getTableColumns, getTableName, type InferSelectModel, type SQL, sql } from 'drizzle-orm';
import type { AnyPgColumn, PgColumn, PgTable } from 'drizzle-orm/pg-core';
import { type Database, MAX_ROWS_NAMED } from '../engine/postgres/index.js';
import { type Id, toUuid } from './ids.js';

export type TableWithId = PgTable & { id: AnyPgColumn };
export type RowOf<T extends PgTable> = InferSelectModel<T>;

/** The rows in the order of `ids`; null for an id without a row. */
export async function rowsById<T extends TableWithId>(
  db: Database,
  table: T,
  ids: readonly Id[],
): Promise<(RowOf<T> | null)[]> {
  const statement = db.prepared(`${getTableName(table)}_by_id`, (read, name) =>
    read
      .select()
      .from(table as PgTable)
      .where(sql`${table.id} = any(${sql.placeholder('ids')}::uuid[])`)
      .prepare(name),
  );
  return byId(ids, (await statement.execute({ ids: ids.map(toUuid) })) as (RowOf<T> & { id: string })[]);
}

/** `rows` in the order of `ids`; null for an id without a row. */
export function byId<R extends { readonly id: string }>(ids: readonly string[], rows: readonly R[]): (R | null)[] {
  const found = new Map(rows.map((row) => [row.id, row]));
  return ids.map((id) => found.get(id) ?? null);
}

/**
 * A row of `table` as a JSON array of texts, for a statement that reads it beside other rows. See `readerOfTexts`.
 * @throws TypeError for a column that the driver returns as something other than text
 */
export function rowAsTexts(table: PgTable): SQL {
  const columns = Object.values(getTableColumns(table)).map((column) => {
    if (!['string', 'custom'].includes(column.dataType)) throw new TypeError(`expected texts: ${column.name} is none`);
    return sql`${column}::text`;
  });
  return sql`json_build_array(${sql.join(columns, sql`, `)})`;
}

/** Makes rows of `table` from what `rowAsTexts` read. */
export function readerOfTexts<T extends PgTable>(table: T): (texts: readonly (string | null)[]) => RowOf<T> {
  const read = rowReader(table);
  return (texts) => read((_, i) => texts[i]) as RowOf<T>;
}

/** Makes rows of `table` from the values that the driver returns for its columns, given by column and its place. */
export function rowReader(table: PgTable) {
  const columns = Object.entries(getTableColumns(table));
  return (driverValue: (column: PgColumn, i: number) => unknown): Record<string, unknown> => {
    const row: Record<string, unknown> = {};
    columns.forEach(([property, column], i) => {
      const value = driverValue(column, i) ?? null;
      row[property] = value === null ? null : column.mapFromDriverValue(value);
    });
    return row;
  };
}

/** The ids as one parameter: the statement's text does not depend on their number. */
export function uuids(ids: readonly Id[]): SQL {
  return sql`${`{${ids.map(toUuid).join(',')}}`}::uuid[]`;
}

/** In parts that one statement changes without invalidating what is cached of the whole table. */
export function batchesOf<T>(items: readonly T[]): T[][] {
  const count = Math.ceil(items.length / MAX_ROWS_NAMED);
  return Array.from({ length: count }, (_, i) => items.slice(i * MAX_ROWS_NAMED, (i + 1) * MAX_ROWS_NAMED));
}

/** Loads together, by one call, the lists of different owners that are paged with equal arguments. */
export async function pagesOfAlike<L extends { readonly of: Id }, P>(
  lists: readonly L[],
  load: (alike: readonly L[]) => Promise<readonly (readonly [L, P])[]>,
): Promise<P[]> {
  const asked = ({ of: _, ...query }: L) => JSON.stringify(query);
  const alike = grouped([...new Set(lists.map(asked))], lists, asked);
  const byList = new Map((await Promise.all(alike.map(load))).flat());
  return lists.map((list) => byList.get(list) as P);
}

/** Groups `rows` by key, in the order of `keys`; each group keeps the order of `rows`. */
export function grouped<K, R>(keys: readonly K[], rows: readonly R[], keyOf: (row: R) => K): R[][] {
  const groups = new Map<K, R[]>(keys.map((key) => [key, []]));
  for (const row of rows) groups.get(keyOf(row))?.push(row);
  return keys.map((key) => groups.get(key) as R[]);
}
