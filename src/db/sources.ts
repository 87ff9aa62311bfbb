/** The sources that most features have: rows by id, ids by a unique text, and the rows that belong to a parent. */
import { and, getTableName, type SQL, sql } from 'drizzle-orm';
import type { AnyPgColumn, PgTable } from 'drizzle-orm/pg-core';
import type { Policy, Tag } from '../engine/cache/index.js';
import type { BatchLoad as BatchLoadFrom, Source as SourceFrom } from '../engine/graphql/index.js';
import { type Database, shapeOf } from '../engine/postgres/index.js';
import { HOUR } from '../std/time.js';
import { grouped, type RowOf, rowsById, type TableWithId } from './by-id.js';
import { type Id, toUuid } from './ids.js';

export type BatchLoad<A, V> = BatchLoadFrom<A, V, Database>;
export type Source<A, V> = SourceFrom<A, V, Database>;

/** Writes invalidate exactly, so this only bounds entries that are not read any longer. */
export const ROW_TTL_MS = 12 * HOUR;

/** Rows are shared by all viewers; `access.ts` checks access above the cache. */
export function rowSource<I extends Id, T extends TableWithId>(
  name: string,
  table: T,
  tags: (id: I) => readonly Tag[],
): Source<I, RowOf<T> | null> {
  return {
    name,
    shape: shapeOf(table),
    ttlMs: ROW_TTL_MS,
    scope: 'public',
    tags,
    together: true,
    load: (ids, db) => rowsById(db, table, ids),
  };
}

interface UniqueText extends Pick<Policy<string>, 'tags'> {
  readonly table: TableWithId;
  readonly column: AnyPgColumn;
  /** Selects some of the rows. The default is all. */
  readonly where?: SQL | undefined;
}

/** The id of the row with a text in a unique column; null if there is none. */
export function idSource<I extends Id>(
  name: string,
  { table, column, where, tags }: UniqueText,
): Source<string, I | null> {
  return {
    name,
    shape: 'id',
    ttlMs: ROW_TTL_MS,
    scope: 'public',
    tags,
    together: true,
    load: async (texts, db) => {
      const statement = db.prepared(`${getTableName(table)}_by_${column.name}`, (read, statementName) =>
        read
          .select({ id: table.id, text: column })
          .from(table as PgTable)
          .where(and(sql`${column} = any(${sql.placeholder('texts')}::text[])`, where))
          .prepare(statementName),
      );
      const found = new Map((await statement.execute({ texts })).map(({ id, text }) => [text, id as I]));
      return texts.map((text) => found.get(text) ?? null);
    },
  };
}

interface ChildrenSource<P extends Id, Row, V> extends Pick<Policy<P>, 'name' | 'shape' | 'scope' | 'tags'> {
  /** For parents of few rows: see `Source`. */
  readonly together?: boolean;
  readonly table: PgTable;
  /** The column that contains the parent's id. */
  readonly parent: AnyPgColumn;
  /** Selects some of the parent's rows. The default is all. */
  readonly where?: SQL;
  readonly columns: { readonly [N in keyof Row]: AnyPgColumn };
  readonly orderBy: SQL;
  readonly toValue: (row: Row) => V;
}

/** The values of a parent's rows, in one order. */
export function childrenSource<P extends Id, Row, V>(of: ChildrenSource<P, Row, V>): Source<P, readonly V[]> {
  const { name, shape, scope, tags, together = false, table, parent, where, columns, orderBy, toValue } = of;
  return {
    name,
    shape,
    ttlMs: ROW_TTL_MS,
    scope,
    tags,
    together,
    load: async (parentIds, db) => {
      const statement = db.prepared(name, (read, statementName) =>
        read
          .select({ parentId: parent, ...columns })
          .from(table)
          .where(and(sql`${parent} = any(${sql.placeholder('ids')}::uuid[])`, where))
          .orderBy(orderBy)
          .prepare(statementName),
      );
      const rows = (await statement.execute({ ids: parentIds.map(toUuid) })) as (Row & { readonly parentId: P })[];
      return grouped(parentIds, rows, ({ parentId }) => parentId).map((children) => children.map(toValue));
    },
  };
}
