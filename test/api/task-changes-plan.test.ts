/** How Postgres finds the rows of `taskChangesSince` among the events of many projects: by index, those since the cursor and no others. */
import { type SQL, sql } from 'drizzle-orm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fromUuid, type ProjectId } from '../../src/db/ids.js';
import type { Snapshot } from '../../src/domain/tasks/task-change.cursor.js';
import { taskChangesSince } from '../../src/domain/tasks/task-changes-since.js';
import { type MainDatabase, openDatabase } from '../../src/engine/postgres/database.js';
import type { Database } from '../../src/engine/postgres/executor.js';
import { createDatabase, type TestDatabase } from '../support/database.js';

const PROJECTS = 200;
const EVENTS = 100_000;
const RECENT = 2000;

let database: TestDatabase;
let db: MainDatabase;

const project = (n: number): ProjectId => fromUuid('project', uuid(n));
const uuid = (n: number) => `00000000-0000-7000-8001-${String(n).padStart(12, '0')}`;
const projects = (count: number) => Array.from({ length: count }, (_, i) => project(i));
const at = (xid: number) => `${xid}:${xid}:` as Snapshot;

beforeAll(async () => {
  database = await createDatabase();
  db = openDatabase({ url: database.url });
  // One event for each transaction; every tenth is of a task that has moved.
  await db.write.execute(
    sql.raw(`
    insert into task_events (xid, type, task_id, project_id, from_project_id, version)
    select n::text::xid8, 'UPDATED', gen_random_uuid(), ('00000000-0000-7000-8001-' || lpad((n % ${PROJECTS})::text, 12, '0'))::uuid,
      case when n % 10 = 0 then ('00000000-0000-7000-8001-' || lpad(((n + 1) % ${PROJECTS})::text, 12, '0'))::uuid end, 1
    from generate_series(1, ${EVENTS}) n`),
  );
  await db.write.execute(sql.raw('vacuum analyze task_events'));
});
afterAll(async () => {
  await db?.close();
  await database?.drop();
});

/** The scans of the table in the plan, with what each finds its rows by. */
async function scansOf(projectIds: readonly ProjectId[], rest?: { until: Snapshot; after: number }): Promise<Scan[]> {
  let plan: unknown;
  const read = new Proxy(db.read, {
    get: (target, name) => (name === 'execute' ? explain : Reflect.get(target, name)),
  });
  const explain = async (statement: SQL) => {
    const [row] = await db.read.execute<{ 'QUERY PLAN': unknown }>(
      sql`explain (analyze, format json, timing off, costs off) ${statement}`,
    );
    plan = row?.['QUERY PLAN'];
    return [{ snapshot: at(EVENTS), below: '0', count: 0, rows: null }];
  };
  const explaining: Database = { ...db, read, until: () => explaining };
  const cursor = { since: at(EVENTS - RECENT), ...(rest && { rest }) };
  await taskChangesSince([{ cursor, projectIds, first: 100 }], explaining);
  return scansIn(plan);
}

interface Scan {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Index Name'?: string;
  readonly 'Index Cond'?: string;
  readonly 'Rows Removed by Filter'?: number;
  readonly 'Rows Removed by Index Recheck'?: number;
}

function scansIn(plan: unknown): Scan[] {
  if (typeof plan !== 'object' || plan === null) return [];
  const below = Object.values(plan).flatMap(scansIn);
  const node = plan as Scan;
  const isScan = node['Relation Name'] === 'task_events' || node['Index Name']?.startsWith('task_events') === true;
  return isScan && node['Node Type'] !== undefined ? [node, ...below] : below;
}

test.each([
  ['one project', 1],
  ['20 projects', 20],
])('the changes of %s are found by the indexes of projects, from the cursor on', async (_, count) => {
  for (const rest of [undefined, { until: at(EVENTS - 1), after: 5 }]) {
    const scans = await scansOf(projects(count), rest);
    const indexes = scans.flatMap((scan) => scan['Index Name'] ?? []);
    expect(new Set(indexes)).toEqual(new Set(['task_events_project', 'task_events_from_project']));
    expect(scans.map((scan) => scan['Node Type'])).not.toContain('Seq Scan');
    for (const scan of scans) {
      if (scan['Index Name'] !== undefined) expect(scan['Index Cond']).toMatch(/project_id.*xid >= /);
      expect(scan['Rows Removed by Filter'] ?? 0).toBeLessThanOrEqual(RECENT + 1);
    }
  }
});

test('the changes of all projects are found without reading those before the cursor', async () => {
  const scans = await scansOf(projects(PROJECTS));
  expect(scans.length).toBeGreaterThan(0);
  expect(scans.map((scan) => scan['Node Type'])).not.toContain('Seq Scan');
  for (const scan of scans) expect(scan['Rows Removed by Filter'] ?? 0).toBeLessThanOrEqual(RECENT + 1);
});
