/** Keyset pages in SQL: many pages, each with its own filter and order, by one statement. */
import { type SQL, sql } from 'drizzle-orm';
import type { ReadPool } from './database.js';

/** A page as SQL: ids and sort values in the page's order, one row more than its limit. */
export interface PageSql {
  /** Selects `id`, `sort` (text array) and `place` (its rank in the page). */
  readonly select: SQL;
}

export interface PageRow {
  readonly id: string;
  readonly sort: readonly string[];
}

/**
 * The rows of each page, in the order of `pages`. UNION ALL promises no order of its own, so every row brings the number of its
 * page and its place in it.
 */
export async function selectPages(db: ReadPool, pages: readonly PageSql[]): Promise<PageRow[][]> {
  const parts = pages.map(
    ({ select }, page) => sql`(select ${sql.raw(String(page))} as page, p.* from (${select}) as p)`,
  );
  const rows = await db.execute<{ page: number; id: string; sort: string[] }>(
    sql`${sql.join(parts, sql` union all `)} order by page, place`,
  );
  const byPage: PageRow[][] = pages.map(() => []);
  for (const { page, id, sort } of rows) byPage[page]?.push({ id, sort });
  return byPage;
}
