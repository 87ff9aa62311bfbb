/** Checks the database that DATABASE_URL names, before a server or a command starts anything for it. */

import type { MigrationDifference } from './db/migrate.js';
import { migrationDifference } from './db/migrate.js';
import { ConnectionUrlError, DatabaseUnusable, parseConnectionUrl, withDatabase } from './engine/postgres/index.js';
import { ConfigError } from './platform/config.js';
import type { Log } from './platform/log.js';

export interface DatabaseUse {
  /** The caller applies the migrations that are missing. Default: a database that lacks some is refused. */
  readonly migrates?: boolean;
  /** How many connections the caller needs, and why. Default: one. */
  readonly connections?: { readonly min: number; readonly why: string };
}

/** @throws ConfigError with one line that names DATABASE_URL */
export async function checkDatabase(
  url: string,
  log: Log,
  { migrates = false, connections }: DatabaseUse = {},
): Promise<void> {
  await namingDatabaseUrl(async () => {
    const { withoutEffect, maxConnections } = parseConnectionUrl(url);
    if (connections !== undefined && maxConnections !== undefined && maxConnections < connections.min) {
      const { min, why } = connections;
      throw new ConnectionUrlError(`connection_limit is ${maxConnections}, at least ${min} are needed: ${why}`);
    }
    if (withoutEffect.length > 0) log.warn(`DATABASE_URL: without effect here: ${withoutEffect.join(', ')}`);
    const difference = await withDatabase(url, { max: 1 }, migrationDifference);
    const doubt = doubtOf(difference);
    if (doubt !== undefined) log.warn(`DATABASE_URL: ${doubt}`);
    if (!migrates && difference !== undefined) requireAll(difference);
  });
}

/** An older build goes on beside a newer one, which migrates before its servers start. */
function doubtOf(difference: MigrationDifference | undefined): string | undefined {
  if (difference === undefined) {
    return (
      'this role may not read drizzle.__drizzle_migrations, so a database that lacks migrations (npm run migrate) is not noticed: ' +
      'grant usage on schema drizzle and select on that table'
    );
  }
  const { unknown } = difference;
  if (unknown === 0) return undefined;
  return (
    `this database is ahead of this build by ${unknown === 1 ? 'a migration' : `${unknown} migrations`}: ` +
    'a newer build has run npm run migrate, and should replace this one'
  );
}

/** @throws DatabaseUnusable */
function requireAll({ missing }: MigrationDifference): void {
  const [first] = missing;
  if (first === undefined) return;
  const more = missing.length === 1 ? '' : ` and ${missing.length - 1} more`;
  throw new DatabaseUnusable(`this database lacks the migration ${first}${more}: run npm run migrate`);
}

/** Runs what uses DATABASE_URL. @throws ConfigError in place of a fault of the URL or its database */
export async function namingDatabaseUrl<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof DatabaseUnusable || error instanceof ConnectionUrlError)) throw error;
    throw new ConfigError(`DATABASE_URL: ${error.message}`, { cause: error });
  }
}
