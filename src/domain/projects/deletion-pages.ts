/** Lists of what was deleted, latest deletion first: pages and counts of the rows with one value in a column. */
import { type SQL, sql } from 'drizzle-orm';
import type { AnyPgColumn, PgTable } from 'drizzle-orm/pg-core';
import { isInstant, isoText } from '../../db/columns.js';
import { fromUuid, type Id, isId, toUuid } from '../../db/ids.js';
import { behindSql, orderBySql, placeSql, reversed, type SortColumn, selectPages } from '../../db/page-sql.js';
import { ROW_TTL_MS, type Source } from '../../db/sources.js';
import type { Policy } from '../../engine/cache/index.js';
import { type Page, type PageQuery, type SortValues, toPage } from '../../graphql/page.js';

/** A page of the deletions of one parent: a project or a viewer. */
export interface DeletionPage<P extends Id> extends PageQuery {
  readonly parentId: P;
}

interface Deletions<P extends Id, Prefix extends string> extends Pick<Policy<P>, 'scope' | 'tags'> {
  /** Names the sources: `<name>Page` and `<name>Count`. */
  readonly name: string;
  /** Of the ids in the list. */
  readonly prefix: Prefix;
  readonly table: PgTable;
  readonly parent: AnyPgColumn;
  readonly id: AnyPgColumn;
  readonly deletedAt: AnyPgColumn;
  /** A condition on the rows; default: none. */
  readonly where?: SQL;
}

/** The sources of a list of deletions. An index on parent, time and id must give its pages. */
export function deletionSources<P extends Id, Prefix extends string>(of: Deletions<P, Prefix>) {
  const { name, prefix, scope, tags } = of;
  const pages: Source<DeletionPage<P>, Page<Id<Prefix>>> = {
    name: `${name}Page`,
    shape: 'page',
    ttlMs: ROW_TTL_MS,
    scope,
    tags: ({ parentId }) => tags(parentId),
    load: async (queries, db) => {
      const found = await selectPages(
        db.read,
        queries.map((query) => pageSql(of, query)),
      );
      return queries.map((query, i) =>
        toPage(
          (found[i] ?? []).map(({ id, sort }) => ({ id: fromUuid(prefix, id), sort })),
          query,
        ),
      );
    },
  };
  const counts: Source<P, number> = {
    name: `${name}Count`,
    shape: 'count',
    ttlMs: ROW_TTL_MS,
    scope,
    tags,
    load: async (parentIds, db) => {
      const parts = parentIds.map((id) => sql`(select count(*)::int from ${of.table} where ${rowsOf(of, id)})`);
      const [row] = await db.read.execute<{ counts: number[] }>(
        sql`select array[${sql.join(parts, sql`, `)}] as counts`,
      );
      return parentIds.map((_, i) => row?.counts[i] ?? 0);
    },
  };
  return { pages, counts };
}

/** Whether values from a cursor are a position in a list of deletions. */
export function isDeletionPlace(prefix: string): (place: SortValues) => boolean {
  return (place) => place.length === 2 && isInstant(place[0] ?? '') && isId(prefix, place[1] ?? '');
}

function rowsOf<P extends Id>({ parent, where }: Deletions<P, string>, parentId: P): SQL {
  const own = sql`${parent} = ${toUuid(parentId)}::uuid`;
  return where === undefined ? own : sql`${own} and ${where}`;
}

function pageSql<P extends Id>(
  of: Deletions<P, string>,
  { parentId, limit, backward, after, before }: DeletionPage<P>,
) {
  const at: SortColumn = {
    column: sql`${of.deletedAt}`,
    type: 'timestamptz',
    descending: true,
    text: isoText(sql`${of.deletedAt}`),
  };
  const latestFirst = [at, { column: sql`${of.id}`, type: 'uuid', descending: true }];
  const columns = backward ? reversed(latestFirst) : latestFirst;
  const place = ([deletedAt, id]: SortValues) => [deletedAt ?? null, toUuid(id as Id)];
  const between = [
    ...(after === null ? [] : [sql` and ${behindSql(latestFirst, place(after))}`]),
    ...(before === null ? [] : [sql` and ${behindSql(reversed(latestFirst), place(before))}`]),
  ];
  const sorted = orderBySql(columns);
  return sql`
    select ${of.id} as id, ${placeSql([at])} as sort, row_number() over (order by ${sorted}) as place
    from ${of.table} where ${rowsOf(of, parentId)}${sql.join(between)} order by ${sorted} limit ${limit + 1}`;
}
