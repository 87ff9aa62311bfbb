/**
 * The triggers that write tags into the outbox: their SQL from the row sets' declarations (for migrations), and what a
 * database has installed (for the test that holds both to be the same). The function itself is in cache-functions.sql.
 */
import type { Sql } from 'postgres';
import type { RowSetSpec, TableRowSets } from './row-sets.js';

/** A statement that changes more rows touches its whole table instead of naming row sets. */
export const MAX_ROWS_NAMED = 500;

const EVENTS = [
  { name: 'cache_insert', event: 'insert', referencing: 'referencing new table as new_rows ' },
  { name: 'cache_update', event: 'update', referencing: 'referencing old table as old_rows new table as new_rows ' },
  { name: 'cache_delete', event: 'delete', referencing: 'referencing old table as old_rows ' },
  { name: 'cache_truncate', event: 'truncate', referencing: '' },
] as const;

/** ENABLE ALWAYS: also under `session_replication_role = replica`, which bulk loaders set. */
export function triggersSql({ schema, table: name, specs }: TableRowSets): string {
  const table = schema === 'public' ? identifier(name) : `${identifier(schema)}.${identifier(name)}`;
  const argument = `'${triggerArgument(specs).replaceAll("'", "''")}', '${MAX_ROWS_NAMED}'`;
  return EVENTS.map(
    ({ name, event, referencing }) =>
      `drop trigger if exists ${name} on ${table};\n` +
      `create trigger ${name} after ${event} on ${table} ${referencing}` +
      `for each statement execute function cache_name_rows(${argument});\n` +
      `alter table ${table} enable always trigger ${name};`,
  ).join('\n');
}

/** Quoted always: a word may be reserved in some version of Postgres. */
function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Those of arrays come last, where the trigger function looks for them. */
function triggerArgument(specs: readonly RowSetSpec[]): string {
  return JSON.stringify([...specs.filter(({ elements }) => !elements), ...specs.filter(({ elements }) => elements)]);
}

export interface InstalledTrigger {
  readonly schema: string;
  readonly table: string;
  readonly name: string;
  /** The row sets, as JSON. */
  readonly argument: string;
  readonly maxRows: string;
  readonly always: boolean;
}

export function expectedTriggers(declared: readonly TableRowSets[]): InstalledTrigger[] {
  return declared.flatMap(({ schema, table, specs }) =>
    EVENTS.map(({ name }) => ({
      schema,
      table,
      name,
      argument: triggerArgument(specs),
      maxRows: String(MAX_ROWS_NAMED),
      always: true,
    })),
  );
}

export class TriggersMissing extends Error {
  override readonly name = 'TriggersMissing';
  readonly code = 'TRIGGERS_MISSING';
}

/**
 * Checks, before anything is cached, that the database names every row set that this build depends on, for every event,
 * always. More is fine: a newer build, beside which this one still runs, may need it.
 * @throws TriggersMissing
 */
export async function requireTriggers(sql: Sql, declared: readonly TableRowSets[]): Promise<void> {
  const installed = await installedTriggers(sql);
  for (const { schema, table, specs } of declared) {
    for (const { name } of EVENTS) {
      const trigger = installed.find(
        (found) => found.schema === schema && found.table === table && found.name === name && found.always,
      );
      const named = new Set(
        (JSON.parse(trigger?.argument ?? '[]') as RowSetSpec[]).map((spec) => JSON.stringify(spec)),
      );
      if (specs.some((spec) => !named.has(JSON.stringify(spec)))) {
        const on = schema === 'public' ? table : `${schema}.${table}`;
        throw new TriggersMissing(
          `the trigger ${name} on ${on} is missing, not enabled always, or names fewer row sets than are cached: run the migrations; ` +
            `after a restore, alter table ${on} enable always trigger ${name}`,
        );
      }
    }
  }
}

export async function installedTriggers(sql: Sql): Promise<InstalledTrigger[]> {
  return await sql<InstalledTrigger[]>`
    select n.nspname as schema, c.relname as "table", t.tgname as name, t.tgenabled = 'A' as always,
      convert_from(substring(t.tgargs from 1 for first.length - 1), 'UTF8') as argument,
      replace(encode(substring(t.tgargs from first.length + 1), 'escape'), '\\000', '') as "maxRows"
    from pg_trigger t
    cross join lateral (select position('\\x00'::bytea in t.tgargs) as length) as first
    join pg_class c on c.oid = t.tgrelid
    join pg_namespace n on n.oid = c.relnamespace
    join pg_proc p on p.oid = t.tgfoid
    where p.proname = 'cache_name_rows' and not t.tgisinternal`;
}
