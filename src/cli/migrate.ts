/**
 * `npm run migrate`: migrates the schema of DATABASE_URL to this build. Deployments run it once before they start
 * servers.
 */

import { checkDriver, namingDatabaseUrl } from '../database-check.js';
import { migrateDatabase } from '../db/migrate.js';
import { ConfigError } from '../platform/config.js';

try {
  await checkDriver();
  const url = process.env['DATABASE_URL'];
  if (url === undefined || url === '') throw new ConfigError('DATABASE_URL: expected the database to migrate');
  await namingDatabaseUrl(() => migrateDatabase(url));
  console.error('The schema is up to date.');
} catch (error) {
  console.error(error instanceof ConfigError ? error.message : error);
  process.exitCode = 1;
}
