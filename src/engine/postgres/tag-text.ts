/**
 * The text of a column's value in a tag. Triggers write Postgres's own text of the value, so this must be the same for
 * every value that Postgres takes as equal: a UUID in capitals, or an id that a client sent as "07", would otherwise
 * name a tag that no write ever touches.
 */
import type { PgColumn } from 'drizzle-orm/pg-core';
import { CacheError } from '../cache/index.js';

type Text = (value: unknown) => string;

const INTEGER = /^(smallint|integer|bigint|smallserial|serial|bigserial|int[248]?)$/;
const UUID = /^[0-9a-f]{32}$/;
const PRINTED_UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const DATE = /^(\d{4}-\d\d-\d\d)(T[\d:.]+Z)?$/;

/** @throws TypeError for a type whose equal values have several texts */
export function tagText(name: string, column: PgColumn): Text {
  const text = textOfType(column);
  if (text === undefined) {
    throw new TypeError(
      `row set ${name}: ${column.name} is of type ${column.getSQLType()}; expected an integer, uuid, text, varchar, boolean, date or enum, ` +
        'whose equal values have one text',
    );
  }
  return (value) => {
    const driven = column.mapToDriverValue(value);
    const found = text(driven);
    if (found === undefined) {
      throw new CacheError('POLICY', `row set ${name}: ${JSON.stringify(String(value))} is no ${column.getSQLType()}`);
    }
    return found;
  };
}

function textOfType(column: PgColumn): ((value: unknown) => string | undefined) | undefined {
  const type = column.getSQLType();
  if (INTEGER.test(type)) return integerText;
  if (type === 'uuid') return uuidText;
  if (type === 'date') return (value) => DATE.exec(String(value))?.[1];
  if (type === 'boolean') return (value) => (typeof value === 'boolean' ? String(value) : undefined);
  if (/^(text|varchar(\(\d+\))?|xid8)$/.test(type) || column.columnType.startsWith('PgEnum')) return String;
  return undefined;
}

function integerText(value: unknown): string | undefined {
  try {
    return String(BigInt(value as string | number | bigint));
  } catch {
    return undefined;
  }
}

/** As Postgres prints it: it also reads capitals, braces, and hyphens elsewhere or not at all. */
function uuidText(value: unknown): string | undefined {
  if (typeof value === 'string' && PRINTED_UUID.test(value)) return value;
  const digits = String(value).toLowerCase().replace(/[{}-]/g, '');
  return UUID.test(digits) ? digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-') : undefined;
}
