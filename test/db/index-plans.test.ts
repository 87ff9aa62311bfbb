/** What each write looks up is found by an index, also by a session whose plans are from a time when the tables were empty. */
import { randomUUID } from 'node:crypto';
import type { Sql, TransactionSql } from 'postgres';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { postgresClient } from '../../src/engine/postgres/database.js';
import { createDatabase, type TestDatabase } from '../support/database.js';

const GROWING = ['cache_outbox', 'history_entries', 'task_documents'];
const TASKS = 50;

let database: TestDatabase;
let sql: Sql;
beforeAll(async () => {
  database = await createDatabase();
  sql = postgresClient(database.url, { max: 1 });
});
afterAll(async () => {
  await sql?.end({ timeout: 5 });
  await database?.drop();
});

/** As a mutation does: a write, and what it has touched. */
async function write(tx: TransactionSql, task: string): Promise<void> {
  await tx`update tasks set title = title || '.' where id = ${task}`;
  const [touched] = await tx`select tags from cache_touched(pg_current_xact_id(), 20000, 2000, 10)`;
  expect(touched?.['tags']).toContain(`tasks:id=${task}`);
}

/** Rows that this session has read by walking through all of a table, as far as it has not reported them yet. */
async function walked(tx: TransactionSql): Promise<Record<string, number>> {
  const rows = await tx<{ relname: string; seq_tup_read: string }[]>`
    select relname, seq_tup_read from pg_stat_xact_user_tables where relname = any(${GROWING}) order by relname`;
  return Object.fromEntries(rows.map((row) => [row.relname, Number(row.seq_tup_read)]));
}

test('a write walks through no table that grows with writes', async () => {
  const [user, project] = [randomUUID(), randomUUID()];
  const tasks = Array.from({ length: TASKS }, () => randomUUID());
  await sql`insert into users (id, handle, name) values (${user}, 'planner', 'Planner')`;
  await sql`insert into projects (id, key, name) values (${project}, 'PLAN', 'Plans')`;
  await sql`insert into tasks (id, project_id, number, title, creator_id)
    select id, ${project}, n, 'Task', ${user} from unnest(${tasks}::uuid[]) with ordinality as t(id, n)`;
  // The outbox last: the others' triggers write to it.
  for (const table of [...GROWING].reverse()) await sql.unsafe(`truncate ${table}; analyze ${table}`);
  // The control is planned as any statement is.
  await sql`prepare control as select count(*) from cache_outbox where xid = pg_current_xact_id()`;
  await sql.begin(async (tx) => {
    await write(tx, tasks[0] as string);
    await tx`execute control`;
  });
  for (const task of tasks) await sql.begin((tx) => write(tx, task));

  await sql.begin(async (tx) => {
    const before = await walked(tx);
    await write(tx, tasks[1] as string);
    expect(await walked(tx)).toEqual(before);
    await tx`execute control`;
    expect((await walked(tx))['cache_outbox']).toBeGreaterThan((before['cache_outbox'] ?? 0) + TASKS);
  });
});
