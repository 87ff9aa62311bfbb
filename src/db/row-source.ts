/** The sources that every feature has one of: the rows of its table by id. */
import type { Tag } from '../engine/cache/index.js';
import type { BatchLoad as BatchLoadFrom, Source as SourceFrom } from '../engine/graphql/index.js';
import type { Database } from '../engine/postgres/index.js';
import { HOUR } from '../std/time.js';
import { type RowOf, rowsById, shapeOf, type TableWithId } from './by-id.js';
import type { Id } from './ids.js';

export type BatchLoad<A, V> = BatchLoadFrom<A, V, Database>;
export type Source<A, V> = SourceFrom<A, V, Database>;

/** Writes invalidate exactly, so this only bounds what nobody reads any more. */
export const ROW_TTL_MS = 12 * HOUR;

/** Rows are shared by everyone: whether the viewer may see one is asked above the cache, by `access.ts`. */
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
