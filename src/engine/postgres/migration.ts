/**
 * The migration that a database needs before rows of it are cached: tables and functions of the cache, and the triggers
 * of the cached tables.
 */
import { readFileSync } from 'node:fs';
import type { TableRowSets } from './row-sets.js';
import { triggersSql } from './triggers.js';

const FUNCTIONS = new URL('./cache-functions.sql', import.meta.url);
/** Drizzle's migrator splits files here; for psql it is a comment. */
const BREAKPOINT = '--> statement-breakpoint\n';

/**
 * SQL that can be run again, also over an earlier version of itself: whenever a row set is added or changed, a new
 * migration holds the whole text. Triggers of tables that are no longer declared stay; they cost their writes and do no
 * harm.
 * @throws TypeError when two declarations are of one table
 */
export function migrationSql(declared: readonly TableRowSets[]): string {
  const names = declared.map(({ schema, table }) => `${schema}.${table}`);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined)
    throw new TypeError(`row sets of ${twice} are declared twice: one declaration names all of them`);
  const triggers = declared
    .flatMap((rows) => triggersSql(rows).split(';\n'))
    .map((statement) => statement.replace(/;$/, ''));
  return (
    [`${readFileSync(FUNCTIONS, 'utf8').trim()}`, ...triggers.map((statement) => `${statement};`)].join(BREAKPOINT) +
    '\n'
  );
}

/** Whether a module's export is what `rowSets` returned. */
export function isRowSets(value: unknown): value is TableRowSets {
  return typeof value === 'object' && value !== null && 'specs' in value && 'definition' in value && 'table' in value;
}
