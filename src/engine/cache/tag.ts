/**
 * Tags: names of row-sets. `tasks:project_id=7` is the rows of `tasks` with that project, `tasks` is the whole table.
 * The triggers in Postgres write the same text, so its form is fixed here and held by a test.
 */
import { CacheError } from './errors.js';

declare const tagBrand: unique symbol;
export type Tag = string & { readonly [tagBrand]: true };

/** A tag is a key in Redis: a value that a client can make as long as it likes is no value to name rows by. */
const MAX_TAG_CHARS = 512;

/** The tag of a whole table: every entry that depends on any of its rows carries it too. */
export function tableTag(table: string): Tag {
  if (!/^[\p{L}_][\p{L}\p{N}_$]*$/u.test(table)) {
    throw new CacheError('POLICY', `a table's name is expected, not ${JSON.stringify(table)}`);
  }
  return table as Tag;
}

/**
 * The tag of the rows whose `columns` equal `values`, both in the order in which the table declares the row-set; with an
 * `aspect`: as seen by one that looks at other parts of these rows. Values are Postgres's own text of them (a uuid in lower
 * case, a number in digits).
 */
export function rowSetTag(table: string, columns: readonly string[], values: readonly string[], aspect?: string): Tag {
  const tag = `${tableTag(table)}:${rowSetName({ columns, aspect })}=${values.join(',')}`;
  if (tag.length > MAX_TAG_CHARS) throw new CacheError('POLICY', `a tag of ${table} has ${tag.length} characters`);
  return tag as Tag;
}

/** What stands between the table and the values. */
export function rowSetName({ columns, aspect }: { columns: readonly string[]; aspect?: string | undefined }): string {
  return columns.join(',') + (aspect === undefined ? '' : `/${aspect}`);
}

/** The table a tag speaks of. */
export function tableOf(tag: Tag): string {
  const colon = tag.indexOf(':');
  return colon === -1 ? tag : tag.slice(0, colon);
}
