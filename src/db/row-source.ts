/** The source that every feature has: the rows of its table by id. */
import type { Tag } from '../engine/cache/index.js';
import type { BatchLoad as BatchLoadFrom, Source as SourceFrom } from '../engine/graphql/index.js';
import type { Database } from '../engine/postgres/index.js';
import { HOUR } from '../std/time.js';
import { type RowOf, rowsById, shapeOf, type TableWithId } from './by-id.js';
import type { Id } from './ids.js';

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
    load: (ids, db) => rowsById(db, table, ids),
  };
}
