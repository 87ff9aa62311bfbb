/** Checks the database of DATABASE_URL before a server or a command starts anything else. */

import { ConnectionUrlError, DatabaseUnusable, parseConnectionUrl, requireDatabase } from './engine/postgres/index.js';
import { ConfigError } from './platform/config.js';
import type { Log } from './platform/log.js';

/** @throws ConfigError, one line that names DATABASE_URL */
export async function checkDatabase(url: string, log: Log): Promise<void> {
  await namingDatabaseUrl(async () => {
    const { withoutEffect } = parseConnectionUrl(url);
    if (withoutEffect.length > 0) log.warn(`DATABASE_URL: parameters without effect: ${withoutEffect.join(', ')}`);
    await requireDatabase(url);
  });
}

/** Runs code that uses DATABASE_URL. @throws ConfigError instead of an error about the URL or its database */
export async function namingDatabaseUrl<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof DatabaseUnusable || error instanceof ConnectionUrlError)) throw error;
    throw new ConfigError(`DATABASE_URL: ${error.message}`, { cause: error });
  }
}
