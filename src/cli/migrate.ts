/** `tasks migrate`: migrates the schema of DATABASE_URL to this build. */

import { checkDriver, namingDatabaseUrl } from '../database-check.js';
import { migrateDatabase } from '../db/migrate.js';
import { ConfigError } from '../platform/config-error.js';
import { withSecretFiles } from '../platform/secret-files.js';

export async function migrate(): Promise<void> {
  await checkDriver();
  const { given, faults } = withSecretFiles(process.env);
  const [fault] = faults.filter((text) => text.startsWith('DATABASE_URL'));
  if (fault !== undefined) throw new ConfigError(fault);
  const url = given['DATABASE_URL'];
  if (url === undefined) throw new ConfigError('DATABASE_URL: expected the database to migrate');
  try {
    await namingDatabaseUrl(() => migrateDatabase(url));
    console.error('The schema is up to date.');
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    console.error(error); // with all that Postgres says of a statement that failed
    process.exitCode = 1;
  }
}
