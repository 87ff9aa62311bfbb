/**
 * Reads rows by id, for the entities of every feature. Prepared once per pool; the statement's text does not depend on
 * the number of ids.
 */
import { getTableName, type InferSelectModel, type SQL, sql } from 'drizzle-orm';
import type { AnyPgColumn, PgTable } from 'drizzle-orm/pg-core';
import type { Database } from '../engine/postgres/index.js';
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

/** The ids as one parameter: the statement's text does not depend on their number. */
export function uuids(ids: readonly Id[]): SQL {
  return sql`${`{${ids.map(toUuid).join(',')}}`}::uuid[]`;
}

/** Groups `rows` by key, in the order of `keys`; each group keeps the order of `rows`. */
export function grouped<K, R>(keys: readonly K[], rows: readonly R[], keyOf: (row: R) => K): R[][] {
  const groups = new Map<K, R[]>(keys.map((key) => [key, []]));
  for (const row of rows) groups.get(keyOf(row))?.push(row);
  return keys.map((key) => groups.get(key) as R[]);
}
