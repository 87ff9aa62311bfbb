/** `tasks migrate`: migrates the schema of DATABASE_URL to this build. */

import { checkDriver, namingDatabaseUrl } from '../database-check.js';
import { migrateDatabase } from '../db/migrate.js';
import { ConfigError } from '../platform/config-error.js';

export async function migrate(): Promise<void> {
  await checkDriver();
  const url = process.env['DATABASE_URL'];
  if (url === undefined || url === '') throw new ConfigError('DATABASE_URL: expected the database to migrate');
  try {
    await namingDatabaseUrl(() => migrateDatabase(url));
    console.error('The schema is up to date.');
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    console.error(error); // with all that Postgres says of a statement that failed
    process.exitCode = 1;
  }
}
