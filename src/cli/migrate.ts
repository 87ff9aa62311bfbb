/** `npm run migrate`: brings the schema of DATABASE_URL up to this build's. What deployments run once before the servers. */
import { migrateDatabase } from '../db/migrate.js';

const url = process.env['DATABASE_URL'];
if (url === undefined || url === '') {
  console.error('DATABASE_URL: expected the database to migrate');
  process.exitCode = 1;
} else {
  await migrateDatabase(url);
  console.error('The schema is up to date.');
}
