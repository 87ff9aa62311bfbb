/**
 * Parses cache tags as a person writes them, with the ids that the API shows; tags in the store contain the text of the
 * column. Only tags that a trigger can write are accepted. Any other tag would be a key that nothing reads, and
 * invalidating it would have no effect.
 */
import { getTableColumns } from 'drizzle-orm';
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core';
import { type Id, idPrefix, toUuid } from '../../db/ids.js';
import { rowSetName, rowSetTag, type Tag, tableTag } from '../../engine/cache/index.js';
import type { RowSetSpec, TableRowSets } from '../../engine/postgres/index.js';

/** The limit of tag.ts. */
const MAX_TAG_CHARS = 512;
const MAX_CHARS_SHOWN = 100;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const MAX_INTEGER = 2 ** 31 - 1;
/** Up to 20 digits, more than any integer has. */
const INTEGER = /^-?\d{1,20}$/;

const NIL_UUID = '00000000-0000-0000-0000-000000000000';

/** The type of a column, which decides how its values are written in a tag. */
export type ColumnType =
  /** UUIDs, which the API shows as TypeIDs with this prefix. */
  { readonly kind: 'id'; readonly prefix: string } | { readonly kind: 'uuid' | 'integer' | 'text' };

/** A row set, by its name in tags: `project_id/any`. */
interface Named {
  readonly columns: readonly string[];
  readonly aspect: string | undefined;
}

/** @returns the tag, or with `expected` what the text should be */
export function readTag(
  text: string,
  tables: readonly TableRowSets[],
): { readonly tag: Tag } | { readonly expected: string } {
  if (text.length > MAX_TAG_CHARS) return { expected: `at most ${MAX_TAG_CHARS} characters, not ${text.length}` };
  const [, tableName = '', rest] = /^([^:]*)(?::(.*))?$/s.exec(text) ?? [];
  const table = tables.find((one) => one.table === tableName);
  if (table === undefined) {
    const names = tables.map((one) => one.table).join(', ');
    return { expected: `a table or rows of one, such as tasks or tasks:id=task_…, of ${names}, not ${shown(text)}` };
  }
  if (rest === undefined) return { tag: tableTag(table.table) };
  const sets = rowSetsOf(table.table, tables);
  const equals = rest.indexOf('=');
  const rowSet = sets.get(rest.slice(0, equals));
  if (equals === -1 || rowSet === undefined) {
    return { expected: `rows of ${table.table} by ${[...sets.keys()].join(', ')}, not ${shown(text)}` };
  }
  return readValues(text, rest.slice(equals + 1), table, rowSet);
}

function readValues(
  text: string,
  valuesText: string,
  { table, definition }: TableRowSets,
  { columns, aspect }: Named,
): { readonly tag: Tag } | { readonly expected: string } {
  // A single value may contain commas.
  const given = columns.length === 1 ? [valuesText] : valuesText.split(',');
  if (given.length !== columns.length) {
    return { expected: `${columns.length} values (${columns.join(',')}), separated by commas, in ${shown(text)}` };
  }
  const values: string[] = [];
  for (const [i, column] of columns.entries()) {
    const type = columnType(definition, column);
    const value = readValue(given[i] as string, type);
    if (value === undefined) return { expected: `for ${column} ${described(type)}, in ${shown(text)}` };
    values.push(value);
  }
  return { tag: rowSetTag(table, columns, values, aspect) };
}

/** The row sets of a table, by name. Some are declared with another table whose rows are a part of these rows. */
function rowSetsOf(table: string, tables: readonly TableRowSets[]): ReadonlyMap<string, Named> {
  const sets = tables.flatMap((declared) =>
    declared.specs.map(({ columns, of, aspect }: RowSetSpec) => ({
      ...(of ?? { table: declared.table, columns }),
      aspect,
    })),
  );
  return new Map(sets.filter((set) => set.table === table).map((set) => [rowSetName(set), set]));
}

/** The value as Postgres writes it; undefined when the column cannot hold it. */
function readValue(text: string, type: ColumnType): string | undefined {
  switch (type.kind) {
    case 'id':
      return idPrefix(text) === type.prefix ? toUuid(text as Id) : readValue(text, { kind: 'uuid' });
    case 'uuid':
      return UUID.test(text) ? text.toLowerCase() : undefined;
    case 'integer':
      return INTEGER.test(text) && Math.abs(Number(text)) <= MAX_INTEGER ? String(Number(text)) : undefined;
    case 'text':
      return text.includes('\0') ? undefined : text;
  }
}

/** The type of a column named by a row-set. */
export function columnType(table: PgTable, name: string): ColumnType {
  const column = Object.values(getTableColumns(table)).find((one) => one.name === name);
  return typeOf(column as PgColumn);
}

function typeOf(column: PgColumn): ColumnType {
  switch (column.getSQLType()) {
    case 'uuid': {
      // The column type exposes the prefix only in the ids that it makes.
      const prefix = idPrefix(String(column.mapFromDriverValue(NIL_UUID)));
      return prefix === undefined ? { kind: 'uuid' } : { kind: 'id', prefix };
    }
    case 'integer':
    case 'serial':
      return { kind: 'integer' };
    default:
      return { kind: 'text' };
  }
}

function described(type: ColumnType): string {
  switch (type.kind) {
    case 'id':
      return `an id like ${type.prefix}_… or its UUID`;
    case 'uuid':
      return 'a UUID';
    case 'integer':
      return 'an integer';
    case 'text':
      return 'a text without NUL';
  }
}

function shown(text: string): string {
  return JSON.stringify(text.length <= MAX_CHARS_SHOWN ? text : `${text.slice(0, MAX_CHARS_SHOWN)}…`);
}
