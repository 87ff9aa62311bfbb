/** Checks the driver and the database of DATABASE_URL before a server or a command starts anything else. */

import type { MigrationDifference } from './db/migrate.js';
import { MIGRATE_COMMAND, migrationDifference } from './db/migrate.js';
import {
  ConnectionUrlError,
  DatabaseUnusable,
  installedDriverFault,
  parseConnectionUrl,
  withDatabase,
} from './engine/postgres/index.js';
import { ConfigError } from './platform/config-error.js';
import type { Log } from './platform/log.js';

/** @throws ConfigError, one line, where `patches/` is not applied to the driver */
export async function checkDriver(): Promise<void> {
  const fault = await installedDriverFault();
  if (fault === undefined) return;
  throw new ConfigError(
    `The installed driver "postgres" lacks the patch of this repository and ${fault}: run npx patch-package`,
  );
}

export interface DatabaseUse {
  /** Whether the caller applies missing migrations. By default a database without all migrations is refused. */
  readonly migrates?: boolean;
  /** The number of connections the caller needs, and the reason. Defaults to one. */
  readonly connections?: { readonly min: number; readonly why: string };
}

/** @throws ConfigError, one line that names DATABASE_URL */
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
    if (withoutEffect.length > 0) log.warn(`DATABASE_URL: parameters without effect: ${withoutEffect.join(', ')}`);
    const difference = await withDatabase(url, { max: 1 }, migrationDifference);
    const doubt = doubtOf(difference);
    if (doubt !== undefined) log.warn(`DATABASE_URL: ${doubt}`);
    if (!migrates && difference !== undefined) requireAll(difference);
  });
}

/** An older build keeps running beside a newer one, which migrates before its servers start. */
function doubtOf(difference: MigrationDifference | undefined): string | undefined {
  if (difference === undefined) {
    return (
      'this role may not read drizzle.__drizzle_migrations, so missing migrations (tasks migrate) are not detected: ' +
      'grant usage on schema drizzle and select on that table'
    );
  }
  const { unknown } = difference;
  if (unknown === 0) return undefined;
  return (
    `this database is ahead of this build by ${unknown === 1 ? 'a migration' : `${unknown} migrations`}: ` +
    'a newer build has run tasks migrate, and should replace this one'
  );
}

/** @throws DatabaseUnusable */
function requireAll({ missing }: MigrationDifference): void {
  const [first] = missing;
  if (first === undefined) return;
  const more = missing.length === 1 ? '' : ` and ${missing.length - 1} more`;
  throw new DatabaseUnusable(`this database lacks the migration ${first}${more}: run ${MIGRATE_COMMAND}`);
}

/**
 * Runs code that uses DATABASE_URL, or the variable of another name.
 * @throws ConfigError instead of an error about the URL or its database
 */
export async function namingDatabaseUrl<T>(run: () => Promise<T>, variable = 'DATABASE_URL'): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof DatabaseUnusable || error instanceof ConnectionUrlError)) throw error;
    throw new ConfigError(`${variable}: ${error.message}`, { cause: error });
  }
}
