/** The SQL of docs/operations.md makes a role that owns nothing, and the server does all of its work by it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Sql } from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkDatabase } from '../../src/database-check.js';
import { migrateDatabase } from '../../src/db/migrate.js';
import { type EmbeddedPostgres, startPostgres } from '../../src/development/embedded/postgres.js';
import { githubFile } from '../../src/domain/import/github-issues.js';
import { runImport } from '../../src/domain/import/import.service.js';
import { createUser } from '../../src/domain/projects/create-user.js';
import { postgresClient } from '../../src/engine/postgres/index.js';
import { withSecrets } from '../../src/platform/database-passwords.js';
import { readPage, snippetsOf } from '../docs/markdown.js';
import { eventually, type TestApp, testApp } from '../support/app.js';
import { readableLog } from '../support/log.js';

const [ROLES, GRANTS, EXISTING] = snippetsOf(readPage('docs/operations.md'))
  .filter(({ language }) => language === 'sql')
  .map(({ code }) => code) as [string, string, string];
/** The passwords of the page, but with characters that a URL reserves. */
const OWNER_PASSWORD = 'p@ss/w#o:r?d%20&=+';
const APP_PASSWORD = '#%@:/? ä';
const ISSUE = {
  number: 1,
  title: 'Imported',
  body: 'Body',
  state: 'OPEN',
  labels: [{ name: 'design', color: '1d76db', description: '' }],
  assignees: [{ login: 'octocat' }],
  author: { login: 'hubot' },
  comments: [{ author: { login: 'octocat' }, body: 'A comment', createdAt: '2026-01-02T00:00:00Z' }],
  createdAt: '2026-01-01T00:00:00Z',
  updatedAt: '2026-01-01T00:00:00Z',
  closedAt: null,
  url: 'https://github.com/acme/shop/issues/1',
};

let dataDir: string;
let postgres: EmbeddedPostgres;
let admin: Sql;
let ownerUrl: string;
let appUrl: string;

function urlOf(user: string, password: string): string {
  const DATABASE_URL = `postgres://${user}@127.0.0.1:${postgres.port}/tasks`;
  return withSecrets({ DATABASE_URL, DATABASE_PASSWORD: password }).given['DATABASE_URL'] as string;
}

async function run(sql: Sql, statements: string): Promise<void> {
  for (const statement of statements.split(';\n').filter((text) => text.trim() !== '')) await sql.unsafe(statement);
}

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'tasks-roles-'));
  postgres = await startPostgres({ dataDir, flags: ['fsync=off', 'full_page_writes=off'] });
  const url = new URL(postgres.url);
  url.pathname = '/postgres';
  const first = postgresClient(url.href, { max: 1 });
  await first`drop database if exists tasks`; // the one that a private PostgreSQL has
  await run(first, ROLES.replace("'one'", `'${OWNER_PASSWORD}'`).replace("'another'", `'${APP_PASSWORD}'`));
  await first.end();
  url.pathname = '/tasks';
  admin = postgresClient(url.href, { max: 1 });
  await run(admin, GRANTS);
  ownerUrl = urlOf('tasks_owner', OWNER_PASSWORD);
  appUrl = urlOf('tasks_app', APP_PASSWORD);
  await migrateDatabase(ownerUrl);
});
afterAll(async () => {
  await admin?.end();
  await postgres?.stop();
  for (const dir of [dataDir, postgres?.dataDir ?? dataDir]) await rm(dir, { recursive: true, force: true });
});

test('a wrong password is refused, so the characters of the right one have arrived', async () => {
  await expect(migrateDatabase(urlOf('tasks_owner', `${OWNER_PASSWORD}x`))).rejects.toThrow(/password of the user/);
});

test('the role of the servers owns nothing, and its start has no doubts', async () => {
  const owned = await admin`
    select relname from pg_class where relowner = 'tasks_app'::regrole
    union all select proname from pg_proc where proowner = 'tasks_app'::regrole`;
  expect([...owned]).toEqual([]);
  const { log, lines } = readableLog();
  await checkDatabase(appUrl, log);
  expect(lines).toEqual([]);
});

test.each([
  'create table mine (id int)',
  'truncate comments',
  'alter table tasks disable trigger all',
  'drop table task_events',
  "insert into drizzle.__drizzle_migrations (hash, created_at) values ('mine', 1)",
])('the role of the servers cannot: %s', async (statement) => {
  const sql = postgresClient(appUrl, { max: 1 });
  await expect(sql.unsafe(statement)).rejects.toMatchObject({ code: '42501' });
  await sql.end();
});

test('for a database that exists, the grants of the page have the same effect', async () => {
  const rights = () => admin`
    select table_schema, table_name, privilege_type from information_schema.role_table_grants
    where grantee = 'tasks_app' order by 1, 2, 3`;
  const before = [...(await rights())];
  await admin`revoke all on all tables in schema public, drizzle from tasks_app`;
  await run(admin, EXISTING);
  expect([...(await rights())]).toEqual(before);
});

describe('the server by that role', () => {
  let app: TestApp;
  beforeAll(async () => {
    // Older than the retention: trimmed when the server starts.
    await admin`insert into cache_outbox (tags, written_at) values ('{users:id=old}', '2000-01-01')`;
    app = await testApp({ databaseUrl: appUrl });
  });
  afterAll(() => app?.close());

  test('reads, writes, imports, invalidates what others write, tells events, and trims the outbox', async () => {
    const user = { handle: 'ada', name: 'Ada', subject: undefined, ownerOf: 'OPS' };
    const { value } = await app.transactor.transact((tx) => createUser(tx, user));
    const as = value.id;
    const text = JSON.stringify([ISSUE]);
    const imported = await runImport({
      file: githubFile(text),
      projectKey: 'SHOP',
      ownerId: as,
      transactor: app.transactor,
    });
    expect(imported).toMatchObject({ projectKey: 'SHOP', tasks: { created: 1 } });

    const { data } = await app.ask('{ task(identifier: "SHOP-1") { id title comments { nodes { body } } } }', { as });
    expect(data.task).toMatchObject({ title: 'Imported', comments: { nodes: [{ body: 'A comment' }] } });
    const cursor = await app.ask('{ taskChangesSince(first: 1) { cursor } }', { as });
    expect(cursor.errors).toBeUndefined();
    const updated = await app.ask(
      `mutation { updateTask(input: { id: "${data.task.id}", title: "Written" }) { task { title } errors { code } } }`,
      { as },
    );
    expect(updated.data.updateTask).toEqual({ task: { title: 'Written' }, errors: [] });
    const title = async () => (await app.ask('{ task(identifier: "SHOP-1") { title } }', { as })).data.task.title;
    expect(await title()).toBe('Written');
    await admin`update tasks set title = 'By psql' where title = 'Written'`;
    await eventually(async () => expect(await title()).toBe('By psql'));
    await eventually(async () =>
      expect(await admin`select 1 from cache_outbox where written_at < '2001-01-01'`).toHaveLength(0),
    );
    expect(await admin`select 1 from task_events`).not.toHaveLength(0);
    expect((await app.server.inject('/readyz')).json()).toMatchObject({ postgres: 'up', redis: 'up' });
  });
});
