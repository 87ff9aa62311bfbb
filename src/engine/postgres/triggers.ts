/**
 * The triggers that write tags into the outbox: their SQL from the row-sets' declarations (for migrations), and what a
 * database has installed (for the test that holds both to be the same). The function itself stands in a migration.
 */
import type { Sql } from 'postgres';
import type { RowSetSpec, TableRowSets } from './row-sets.js';

/** A statement that changes more rows touches its whole table instead of naming row sets. */
const MAX_ROWS_NAMED = 500;

const EVENTS = [
  { name: 'cache_insert', event: 'insert', referencing: 'referencing new table as new_rows ' },
  { name: 'cache_update', event: 'update', referencing: 'referencing old table as old_rows new table as new_rows ' },
  { name: 'cache_delete', event: 'delete', referencing: 'referencing old table as old_rows ' },
  { name: 'cache_truncate', event: 'truncate', referencing: '' },
] as const;

/** ENABLE ALWAYS: also under `session_replication_role = replica`, which bulk loaders set. */
export function triggersSql({ table, specs }: TableRowSets): string {
  const argument = `'${triggerArgument(specs)}', '${MAX_ROWS_NAMED}'`;
  return EVENTS.map(
    ({ name, event, referencing }) =>
      `drop trigger if exists ${name} on ${table};\n` +
      `create trigger ${name} after ${event} on ${table} ${referencing}` +
      `for each statement execute function cache_name_rows(${argument});\n` +
      `alter table ${table} enable always trigger ${name};`,
  ).join('\n');
}

/** Column names are checked against the table where the row-sets are declared, so nothing here needs quoting. */
function triggerArgument(specs: readonly RowSetSpec[]): string {
  return JSON.stringify(specs);
}

export interface InstalledTrigger {
  readonly table: string;
  readonly name: string;
  readonly argument: string;
  readonly always: boolean;
}

export function expectedTriggers(declared: readonly TableRowSets[]): InstalledTrigger[] {
  return declared.flatMap(({ table, specs }) =>
    EVENTS.map(({ name }) => ({
      table,
      name,
      argument: `${triggerArgument(specs)}\\000${MAX_ROWS_NAMED}\\000`,
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
  for (const { table, specs } of declared) {
    for (const { name } of EVENTS) {
      const trigger = installed.find((found) => found.table === table && found.name === name && found.always);
      const [json] = trigger?.argument.split('\\000') ?? [];
      const named = new Set((JSON.parse(json ?? '[]') as RowSetSpec[]).map((spec) => JSON.stringify(spec)));
      if (specs.some((spec) => !named.has(JSON.stringify(spec)))) {
        throw new TriggersMissing(
          `the trigger ${name} on ${table} is missing, not enabled always, or names fewer row-sets than are cached: run npm run migrate; ` +
            `after a restore, alter table ${table} enable always trigger ${name}`,
        );
      }
    }
  }
}

export async function installedTriggers(sql: Sql): Promise<InstalledTrigger[]> {
  return await sql<InstalledTrigger[]>`
    select c.relname as "table", t.tgname as name, encode(t.tgargs, 'escape') as argument, t.tgenabled = 'A' as always
    from pg_trigger t
    join pg_class c on c.oid = t.tgrelid
    join pg_proc p on p.oid = t.tgfoid
    where p.proname = 'cache_name_rows' and not t.tgisinternal`;
}
