/** `tasks migrate`: migrates a database to the schema of this build, or shows what is missing. */

import { checkDriver, namingDatabaseUrl } from '../database-check.js';
import { migrateDatabase, migrationStates } from '../db/migrate.js';
import { ConfigError } from '../platform/config-error.js';
import { withSecrets } from '../platform/database-passwords.js';

/** The exit code of `--status` if a migration is pending. */
const PENDING = 2;

export async function migrate(): Promise<void> {
  await onDatabase(async (url) => {
    await migrateDatabase(url);
    console.error('The schema is up to date.');
  });
}

/** Prints each migration with `applied` or `pending`, and changes nothing. */
export async function migrationStatus(): Promise<void> {
  await onDatabase(async (url) => {
    const states = await migrationStates(url);
    for (const { name, applied } of states) {
      console.log(`${applied ? 'applied' : 'pending'}  ${name ?? '(of a newer build)'}`);
    }
    if (states.some(({ applied }) => !applied)) process.exitCode = PENDING;
  });
}

/** @throws ConfigError, one line */
async function onDatabase(run: (url: string) => Promise<void>): Promise<void> {
  await checkDriver();
  const { given, faults } = withSecrets(process.env);
  const [fault] = faults.filter((text) => /^(MIGRATION_)?DATABASE_/.test(text));
  if (fault !== undefined) throw new ConfigError(fault);
  const name = given['MIGRATION_DATABASE_URL'] === undefined ? 'DATABASE_URL' : 'MIGRATION_DATABASE_URL';
  const url = given[name];
  if (url === undefined) throw new ConfigError('DATABASE_URL: expected the database to migrate');
  try {
    await namingDatabaseUrl(() => run(url), name);
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    console.error(error); // with all that Postgres says of a statement that failed
    process.exitCode = 1;
  }
}
