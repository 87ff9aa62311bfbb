/**
 * Tags name row sets: `tasks:project_id=7` is the rows of `tasks` with that project, `tasks` is the whole table.
 * Triggers in Postgres write the same text, so a test fixes its form.
 */
import { CacheError } from './errors.js';

declare const tagBrand: unique symbol;
export type Tag = string & { readonly [tagBrand]: true };

/** A tag is a key in Redis, so its length is bounded: clients choose some values. */
const MAX_TAG_CHARS = 512;

/** The tag of a whole table. Every entry that depends on any of its rows carries it. */
export function tableTag(table: string): Tag {
  if (!/^[\p{L}_][\p{L}\p{N}_$]*$/u.test(table)) {
    throw new CacheError('POLICY', `a table's name is expected, not ${JSON.stringify(table)}`);
  }
  return table as Tag;
}

/**
 * The tag of the rows whose `columns` equal `values`, both in the order in which the table declares the row set.
 * `aspect` tells row sets of the same columns apart. Values are in Postgres's own text form: a uuid in lower case, a
 * number in digits.
 */
export function rowSetTag(table: string, columns: readonly string[], values: readonly string[], aspect?: string): Tag {
  const tag = `${tableTag(table)}:${rowSetName({ columns, aspect })}=${values.join(',')}`;
  if (tag.length > MAX_TAG_CHARS) throw new CacheError('POLICY', `a tag of ${table} has ${tag.length} characters`);
  return tag as Tag;
}

/** The part of a tag between the table and the values. */
export function rowSetName({ columns, aspect }: { columns: readonly string[]; aspect?: string | undefined }): string {
  return columns.join(',') + (aspect === undefined ? '' : `/${aspect}`);
}

/** The table of a tag. */
export function tableOf(tag: Tag): string {
  const colon = tag.indexOf(':');
  return colon === -1 ? tag : tag.slice(0, colon);
}
