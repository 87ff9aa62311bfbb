/** A database of its own for each test file that wants one. */

import { randomBytes } from 'node:crypto';
import { migrateDatabase } from '../../src/db/migrate.js';
import { postgresClient } from '../../src/engine/postgres/database.js';
import { withDatabase } from '../../src/engine/postgres/requirements.js';
import { databaseUrl, migratedTemplate } from './servers.js';

export interface TestDatabase {
  readonly name: string;
  readonly url: string;
  drop(): Promise<void>;
}

export interface TestDatabaseOptions {
  /** What follows `create database NAME`: template, encoding, locale. */
  readonly clause?: string;
  /** Settings of the database, by name: each session on it begins with them. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Default: the server of all tests. */
  readonly serverUrl?: string;
}

/** A migrated database: by default a copy of one, which takes a third of the time. */
export async function createDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const template = Object.keys(options).length === 0 ? migratedTemplate() : undefined;
  if (template !== undefined) return createEmptyDatabase({ clause: `template ${template}` });
  const database = await createEmptyDatabase(options);
  await migrateDatabase(database.url);
  return database;
}

export async function createEmptyDatabase({
  clause = '',
  settings = {},
  serverUrl = databaseUrl(),
}: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const name = `test_${randomBytes(6).toString('hex')}`;
  await administer(serverUrl, `create database ${name} ${clause}`);
  for (const [setting, value] of Object.entries(settings)) {
    await administer(serverUrl, `alter database ${name} set ${setting} = ${value}`);
  }
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return { name, url: url.href, drop: () => administer(serverUrl, `drop database if exists ${name} with (force)`) };
}

async function administer(url: string, statement: string): Promise<void> {
  const sql = postgresClient(url, { max: 1 });
  try {
    await sql.unsafe(statement);
  } finally {
    await sql.end();
  }
}

/** The checks alone that a server and a command begin with. @throws DatabaseUnusable, ConnectionUrlError */
export function requireDatabase(url: string): Promise<void> {
  return withDatabase(url, { max: 1 }, async () => {});
}
