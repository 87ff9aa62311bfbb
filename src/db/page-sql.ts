/**
 * Keyset pagination in SQL. A list is sorted by columns of which the last is unique. A page begins after a position,
 * which consists of the values of these columns. Source: M. Winand, "SQL Performance Explained", part 7 (paging through
 * results).
 */
import { getTableName, type SQL, sql } from 'drizzle-orm';
import { type AnyPgColumn, PgDialect } from 'drizzle-orm/pg-core';
import { brings, type Executor } from '../engine/postgres/index.js';

/** A column that a list is sorted by. */
export interface SortColumn {
  readonly column: SQL;
  /** Its Postgres type, to which the text of a position is cast. */
  readonly type: string;
  readonly descending: boolean;
  /** Absent for a column that is never null. */
  readonly nulls?: 'first' | 'last';
  /** The value as text in a position. Defaults to the text of Postgres. */
  readonly text?: SQL;
}

export type Place = readonly (string | null)[];

/** The same columns in reverse order. */
export function reversed(columns: readonly SortColumn[]): SortColumn[] {
  return columns.map(({ descending, nulls, ...column }) => ({
    ...column,
    descending: !descending,
    ...(nulls && { nulls: nulls === 'first' ? ('last' as const) : ('first' as const) }),
  }));
}

export function orderBySql(
  columns: readonly SortColumn[],
  of = (column: SortColumn, _i: number) => column.column,
): SQL {
  const parts = columns.map((column, i) => {
    const { descending, nulls } = column;
    const usual = descending ? 'first' : 'last'; // the default of Postgres and its indexes
    const suffix = nulls === undefined || nulls === usual ? '' : ` nulls ${nulls}`;
    return sql`${of(column, i)} ${sql.raw((descending ? 'desc' : 'asc') + suffix)}`;
  });
  return sql.join(parts, sql`, `);
}

/** A row's position in the list as JSON. An array would not do: the driver reads a null in it as text. */
export function placeSql(columns: readonly SortColumn[]): SQL {
  return sql`to_json(array[${sql.join(
    columns.map(({ column, text }) => text ?? sql`${column}::text`),
    sql`, `,
  )}]::text[])`;
}

/** The rows after `place` in the order of `columns`. */
export function behindSql(columns: readonly SortColumn[], place: Place): SQL {
  const [head] = columns as [SortColumn];
  // One row comparison, which an index on these columns can answer.
  if (columns.every(({ nulls, descending }) => nulls === undefined && descending === head.descending)) {
    const values = columns.map((column, i) => valueSql(column, place[i] ?? null));
    return sql`(${sql.join(
      columns.map(({ column }) => column),
      sql`, `,
    )}) ${sql.raw(head.descending ? '<' : '>')} (${sql.join(values, sql`, `)})`;
  }
  return behindFrom(columns, place, 0);
}

/** After `place` by the column at `i`, or equal in that column and after it by the next ones. */
function behindFrom(columns: readonly SortColumn[], place: Place, i: number): SQL {
  const column = columns[i] as SortColumn;
  const value = place[i] ?? null;
  const further = furtherBy(column, value);
  if (i === columns.length - 1) return further;
  const equal = value === null ? sql`${column.column} is null` : sql`${column.column} = ${valueSql(column, value)}`;
  return sql`(${further} or (${equal} and ${behindFrom(columns, place, i + 1)}))`;
}

function furtherBy(column: SortColumn, value: string | null): SQL {
  if (value === null) return column.nulls === 'first' ? sql`${column.column} is not null` : sql`false`;
  const beyond = sql`${column.column} ${sql.raw(column.descending ? '<' : '>')} ${valueSql(column, value)}`;
  return column.nulls === 'last' ? sql`(${beyond} or ${column.column} is null)` : beyond;
}

function valueSql({ type }: SortColumn, value: string | null): SQL {
  return sql`${value}::${sql.raw(type)}`;
}

export interface PageRow<R = undefined> {
  readonly id: string;
  readonly sort: Place;
  readonly row: R;
}

/** What a page's statement reads besides: the rows with the page's ids. */
export interface JoinedRows<R> {
  /** The column that holds the ids. */
  readonly id: AnyPgColumn;
  /** With the ids, as `id`. */
  readonly columns: SQL;
  /** `columns` as the driver returns them. */
  readonly toRow: (columns: Readonly<Record<string, unknown>>) => R;
  /** Read once, for the rows of all pages: JSON, from the ids of `listed`. */
  readonly beside: SQL;
}

/** A part of a statement that has no parameters, as text: Drizzle would build it again for each statement. */
export function asText(part: SQL): SQL {
  return sql.raw(DIALECT.sqlToQuery(part).sql);
}

const DIALECT = new PgDialect();

interface FoundRow extends Readonly<Record<string, unknown>> {
  readonly page: number;
  readonly id: string;
  readonly sort: (string | null)[];
}

/**
 * The rows of each page, in the order of `pages`. Each page is a SELECT of `id`, `sort` (by `placeSql`) and `place`
 * (its rank), with one row more than the page's limit. UNION ALL guarantees no order, so every row contains the number
 * of its page and its rank.
 */
export async function selectPages(db: Executor, pages: readonly SQL[]): Promise<PageRow[][]> {
  if (pages.length === 0) return [];
  const found = await db.execute<FoundRow>(sql`${listedSql(pages)} order by page, place`);
  return byPage(pages, found, () => undefined);
}

/**
 * The same, the rows of all pages, and what is read beside them. They are to be brought along, so the check of tags does
 * not count them as read by the pages.
 */
export async function selectPagesWithRows<R>(
  db: Executor,
  pages: readonly SQL[],
  { id, columns, toRow, beside }: JoinedRows<R>,
): Promise<{ readonly pages: PageRow<R>[][]; readonly beside: unknown }> {
  if (pages.length === 0) return { pages: [], beside: null };
  const found = await db.execute<FoundRow>(sql`
    with listed as materialized (${listedSql(pages)}) ${sql.raw(brings(getTableName(id.table)))}
    select listed.page, listed.sort, ${columns},
      case when row_number() over (order by listed.page, listed.place) = 1 then ${beside} end as beside
    from listed join ${id.table} on ${id} = listed.id order by listed.page, listed.place`);
  return { pages: byPage(pages, found, toRow), beside: found[0]?.['beside'] ?? null };
}

function listedSql(pages: readonly SQL[]): SQL {
  const parts = pages.map((select, page) => sql`(select ${sql.raw(String(page))} as page, p.* from (${select}) as p)`);
  return sql.join(parts, sql` union all `);
}

function byPage<R>(pages: readonly SQL[], found: readonly FoundRow[], toRow: (row: FoundRow) => R): PageRow<R>[][] {
  const rows: PageRow<R>[][] = pages.map(() => []);
  for (const row of found) rows[row.page]?.push({ id: row.id, sort: row.sort, row: toRow(row) });
  return rows;
}
