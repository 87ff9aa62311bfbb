/** The sources that every feature has one of: the rows of its table by id. */
import type { Tag } from '../engine/cache/index.js';
import { type RowOf, rowsById, shapeOf, type TableWithId } from './by-id.js';
import type { Id } from './ids.js';
import { HOUR } from '../std/time.js';
import type { Source } from '../engine/graphql/request-loaders.js';

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
