/**
 * Checks, before anything else starts, that this application can work with a database: reachability, version, encoding,
 * rules for capitals, session settings. A fault is one line for the operator.
 */
import type { Sql } from 'postgres';
import { connectionFailure, MIN_VERSION } from './connection-failure.js';
import { parseConnectionUrl } from './connection-url.js';
import { type ClientOptions, postgresClient } from './database.js';
import { SELECT_SETTINGS, unusableSetting } from './session-settings.js';

/** The database cannot be used or reached. The message is one line for the operator. */
export class DatabaseUnusable extends Error {
  override readonly name = 'DatabaseUnusable';
  readonly code = 'DATABASE_UNUSABLE';
}

/**
 * Checks the database, then runs `run` with a client of its own.
 * @throws DatabaseUnusable, also when the server cannot be reached; ConnectionUrlError; what `run` throws
 */
export async function withDatabase<T>(url: string, options: ClientOptions, run: (sql: Sql) => Promise<T>): Promise<T> {
  const connection = parseConnectionUrl(url);
  const sql = postgresClient(url, options);
  try {
    await requireUsable(sql, connection.pooled).catch((error: unknown) => {
      const words = connectionFailure(error, connection);
      throw words === undefined ? error : new DatabaseUnusable(words, { cause: error });
    });
    return await run(sql);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

async function requireUsable(sql: Sql, pooled: boolean): Promise<void> {
  const [server] = await sql<{ version: number; encoding: string; standby: boolean; database: string; role: string }[]>`
    select current_setting('server_version_num')::int / 10000 as version, current_setting('server_encoding') as encoding,
      pg_is_in_recovery() as standby, current_database() as database, current_user as role`;
  const { version, encoding, standby, database, role } = server as NonNullable<typeof server>;
  if (version < MIN_VERSION) unusable(`PostgreSQL ${MIN_VERSION} or newer is needed, this is ${version}`);
  if (standby) unusable('the primary is needed, this server is a standby');
  if (encoding !== 'UTF8') unusable(`UTF8 is needed, the encoding of this database is ${encoding}: ${CREATE}`);
  await requireCapitals(sql);
  const settings = await sql.unsafe<{ name: string; value: string }[]>(SELECT_SETTINGS);
  const fault = unusableSetting(settings, { statementTimeout: pooled });
  if (fault === undefined) return;
  const { setting, value } = fault;
  unusable(
    `${setting.name} is ${JSON.stringify(value)}, but ${setting.why}: ` +
      `alter role ${quoted(role)} in database ${quoted(database)} set ${setting.name} = ${setting.fix ?? setting.value}`,
  );
}

const CREATE = "create it with template template0 encoding 'UTF8' locale 'C.UTF-8'";

/** `contains`, `startsWith` and the search ignore case. The database's LC_CTYPE decides which letters are capitals. */
async function requireCapitals(sql: Sql): Promise<void> {
  const [found] = await sql<{ equal: boolean; ctype: string }[]>`
    select lower('ÀŁЖΩ') = 'àłжω' as equal, datctype as ctype from pg_database where datname = current_database()`;
  if (found?.equal) return;
  unusable(
    `LC_CTYPE of this database is ${found?.ctype}, which knows no capitals beyond ASCII (É and é would be different letters): ${CREATE}`,
  );
}

function quoted(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`;
}

function unusable(message: string): never {
  throw new DatabaseUnusable(message);
}
