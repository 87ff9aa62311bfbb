/** Checks the database that DATABASE_URL names, before a server or a command starts anything for it. */

import { ConnectionUrlError, DatabaseUnusable, parseConnectionUrl, requireDatabase } from './engine/postgres/index.js';
import { ConfigError } from './platform/config.js';
import type { Log } from './platform/log.js';

/** @throws ConfigError with one line that names DATABASE_URL */
export async function checkDatabase(url: string, log: Log): Promise<void> {
  await namingDatabaseUrl(async () => {
    const { withoutEffect } = parseConnectionUrl(url);
    if (withoutEffect.length > 0) log.warn(`DATABASE_URL: without effect here: ${withoutEffect.join(', ')}`);
    await requireDatabase(url);
  });
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
