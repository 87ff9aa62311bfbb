/** Keyset pages in SQL: many pages, each with its own filter and order, by one statement. */
import { type SQL, sql } from 'drizzle-orm';
import type { Executor } from './database.js';

export interface PageRow {
  readonly id: string;
  readonly sort: readonly string[];
}

/**
 * The rows of each page, in the order of `pages`. Each is a SELECT of `id`, `sort` (text array) and `place` (its rank), one row
 * more than the page's limit. UNION ALL promises no order of its own, so every row brings the number of its
 * page and its place in it.
 */
export async function selectPages(db: Executor, pages: readonly SQL[]): Promise<PageRow[][]> {
  const parts = pages.map((select, page) => sql`(select ${sql.raw(String(page))} as page, p.* from (${select}) as p)`);
  const rows = await db.execute<{ page: number; id: string; sort: string[] }>(
    sql`${sql.join(parts, sql` union all `)} order by page, place`,
  );
  const byPage: PageRow[][] = pages.map(() => []);
  for (const { page, id, sort } of rows) byPage[page]?.push({ id, sort });
  return byPage;
}
