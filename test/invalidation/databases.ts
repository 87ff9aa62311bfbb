/** Copies, dumps, restores and replaces whole databases. */
import { randomBytes } from 'node:crypto';
import type { Sql } from 'postgres';
import { migrateDatabase } from '../../src/db/migrate.js';
import { postgresClient } from '../../src/engine/postgres/database.js';

/** All rows by table, as in a dump; those of `cache_identity` are among them. */
export type Dump = ReadonlyMap<string, readonly unknown[]>;

export function nameOf(url: string): string {
  return new URL(url).pathname.slice(1);
}

export function withName(url: string, name: string): string {
  const other = new URL(url);
  other.pathname = `/${name}`;
  return other.href;
}

/** Runs `run` on the server of `url`, connected to a database that is not replaced. */
async function administered<T>(url: string, run: (admin: Sql) => Promise<T>): Promise<T> {
  const admin = postgresClient(withName(url, 'postgres'), { max: 1 });
  try {
    return await run(admin);
  } finally {
    await admin.end({ timeout: 5 });
  }
}

/** Runs `run` while there are no connections to these databases, and none can be made. */
async function alone(admin: Sql, names: readonly string[], run: () => Promise<void>): Promise<void> {
  for (const name of names) await admin`alter database ${admin(name)} allow_connections false`;
  await admin`select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = any(${names as string[]})`;
  await run();
}

const allow = (admin: Sql, name: string) => admin`alter database ${admin(name)} allow_connections true`;

/** @returns where the copy is */
export async function templateCopy(url: string): Promise<string> {
  const name = nameOf(url);
  const copy = `${name}_${randomBytes(4).toString('hex')}`;
  await administered(url, async (admin) => {
    await alone(admin, [name], async () => {
      await admin`create database ${admin(copy)} template ${admin(name)}`;
    });
    await allow(admin, name);
  });
  return withName(url, copy);
}

/** Gives `other` the name of the database at `url`, whatever is connected. @returns where the old one is now */
export async function exchange(url: string, other: string): Promise<string> {
  const [name, taking] = [nameOf(url), nameOf(other)];
  const old = `${name}_${randomBytes(4).toString('hex')}`;
  await administered(url, async (admin) => {
    await alone(admin, [name, taking], async () => {
      await admin`alter database ${admin(name)} rename to ${admin(old)}`;
      await admin`alter database ${admin(taking)} rename to ${admin(name)}`;
    });
    await Promise.all([name, old].map((one) => allow(admin, one)));
  });
  return withName(url, old);
}

/** Drops the database at `url`, whatever is connected, and creates it from `template`. */
export async function dropAndCreate(url: string, template: string): Promise<void> {
  const name = nameOf(url);
  await administered(url, async (admin) => {
    await alone(admin, [name], async () => {
      await admin`drop database ${admin(name)} with (force)`;
      await admin`create database ${admin(name)} template ${admin(nameOf(template))}`;
    });
  });
}

export async function drop(url: string): Promise<void> {
  await administered(url, (admin) => admin`drop database if exists ${admin(nameOf(url))} with (force)`);
}

export async function dumpOf(url: string): Promise<Dump> {
  return connected(url, async (sql) => {
    const dump = new Map<string, unknown[]>();
    for (const table of await tablesOf(sql)) {
      const rows = await sql<{ row: unknown }[]>`select to_jsonb(t) as row from ${sql(table)} t`;
      dump.set(
        table,
        rows.map(({ row }) => row),
      );
    }
    return dump;
  });
}

/**
 * Replaces the rows of these tables (default: all) by those of the dump, as `pg_restore --data-only --disable-triggers` does, in one
 * transaction, and enables the cache's triggers always, as an operator has to.
 */
export async function restore(url: string, dump: Dump, only?: readonly string[]): Promise<void> {
  await connected(url, async (sql) => {
    const tables = [...dump.keys()].filter((table) => only === undefined || only.includes(table));
    await sql.begin(async (tx) => {
      await tx`set local session_replication_role = replica`; // foreign keys
      for (const table of tables) {
        await tx`alter table ${tx(table)} disable trigger all`;
        await tx`delete from ${tx(table)}`;
        const columns = await tx<{ name: string }[]>`
          select column_name as name from information_schema.columns
          where table_schema = 'public' and table_name = ${table} and is_generated = 'NEVER'`;
        const names = tx(columns.map(({ name }) => name));
        await tx`
          insert into ${tx(table)} (${names}) overriding system value
          select ${names} from jsonb_populate_recordset(null::${tx(table)}, ${tx.json(dump.get(table) as never)})`;
        await tx`alter table ${tx(table)} enable trigger all`;
        const [identity] = await tx<{ name: string }[]>`
          select column_name as name from information_schema.columns
          where table_schema = 'public' and table_name = ${table} and is_identity = 'YES'`;
        if (identity !== undefined) {
          await tx`
            select setval(pg_get_serial_sequence(${table}, ${identity.name}), max(${tx(identity.name)})) from ${tx(table)}`;
        }
      }
      const cached = await tx<{ table: string; trigger: string }[]>`
        select t.tgrelid::regclass::text as table, t.tgname as trigger from pg_trigger t
        join pg_proc p on p.oid = t.tgfoid where p.proname = 'cache_name_rows' and t.tgenabled <> 'A'`;
      for (const { table, trigger } of cached) {
        await tx`alter table ${tx(table)} enable always trigger ${tx(trigger)}`;
      }
    });
  });
}

/** A new database with the rows of the dump. @returns where it is */
export async function restoredCopy(url: string, dump: Dump): Promise<string> {
  const copy = withName(url, `${nameOf(url)}_${randomBytes(4).toString('hex')}`);
  await administered(url, (admin) => admin`create database ${admin(nameOf(copy))}`);
  await migrateDatabase(copy);
  await restore(copy, dump);
  return copy;
}

async function tablesOf(sql: Sql): Promise<string[]> {
  const rows = await sql<{ name: string }[]>`
    select table_name as name from information_schema.tables
    where table_schema = 'public' and table_type = 'BASE TABLE' order by table_name`;
  return rows.map(({ name }) => name);
}

export async function connected<T>(url: string, run: (sql: Sql) => Promise<T>): Promise<T> {
  const sql = postgresClient(url, { max: 1 });
  try {
    return await run(sql);
  } finally {
    await sql.end({ timeout: 5 });
  }
}
