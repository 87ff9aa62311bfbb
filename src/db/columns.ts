/** Column types in the form the application uses: TypeIDs, and instants as ISO text, so that rows are plain JSON. */
import { type SQL, sql } from 'drizzle-orm';
import { customType } from 'drizzle-orm/pg-core';
import { fromUuid, type Id, newId, toUuid } from './ids.js';

const uuidOf = <P extends string>(prefix: P) =>
  customType<{ data: Id<P>; driverData: string }>({
    dataType: () => 'uuid',
    fromDriver: (uuid) => fromUuid(prefix, uuid),
    toDriver: (id) => toUuid(id),
  });

/** A UUID column whose values are TypeIDs with this prefix. */
export const idColumn = <P extends string>(prefix: P, name: string) => uuidOf(prefix)(name);

/** The primary key: a new UUIDv7 unless one is given. */
export const primaryId = <P extends string>(prefix: P) =>
  uuidOf(prefix)()
    .primaryKey()
    .$defaultFn(() => newId(prefix));

/** `2026-11-22T20:31:52.000Z`: UTC with milliseconds, as in GraphQL and in cursors. */
export const instant = customType<{ data: string; driverData: string }>({
  dataType: () => 'timestamp (3) with time zone',
  fromDriver: (text) => fromPrinted(text) ?? new Date(text).toISOString(),
});

/** The usual form, `2026-11-22 20:31:52.12+00`, without a Date, which takes ten times as long. */
function fromPrinted(text: string): string | undefined {
  if (!/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,3})?\+00$/.test(text)) return undefined;
  const ms = text.slice(20, -3).padEnd(3, '0');
  return `${text.slice(0, 10)}T${text.slice(11, 19)}.${ms}Z`;
}

/** Whether a client's text has the form of `isoText`. `Date.parse` alone would read February 30 as March 2. */
export function isInstant(text: string): boolean {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(text) || text < '0001') return false;
  const atMs = Date.parse(text);
  return !Number.isNaN(atMs) && new Date(atMs).toISOString() === text;
}

const ISO_FORMAT = `'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'`;

/** An `instant` as text, made in SQL, for sort values in cursors. */
export const isoText = (at: SQL) => sql`to_char(${at} at time zone 'UTC', ${sql.raw(ISO_FORMAT)})`;

/** `isoText` for statements that Drizzle does not make. @param at trusted SQL, such as the name of a column */
export const isoTextSql = (at: string) => `to_char(${at} at time zone 'UTC', ${ISO_FORMAT})`;

export const createdAt = () => instant('created_at').notNull().default(sql`now()`);
export const updatedAt = () => instant('updated_at').notNull().default(sql`now()`);
