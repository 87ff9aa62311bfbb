/** Rows for attacks, written past the API. */
import { sql } from 'drizzle-orm';
import { fromUuid, type TaskId, toUuid } from '../../src/db/ids.js';
import type { Attacker, World } from './world.js';

/** How many tasks of an attacker's project get their ids told. */
const MAX_IDS = 100;

/** In one statement: each has a time-out. */
const BATCH = 10_000;

/** Tasks in the attacker's project, each with a description of some 1400 characters. @returns the ids of the first 100 */
export async function writeTasks(
  { db, sql: client }: World,
  { projectId, userId }: Attacker,
  count: number,
): Promise<TaskId[]> {
  const ids: TaskId[] = [];
  for (let from = 0; from < count; from += BATCH) {
    const rows = await db.write.execute<{ id: string }>(sql`
      insert into tasks (id, project_id, number, title, description, creator_id)
      select gen_random_uuid(), ${toUuid(projectId)}, 1000 + n, 'Written ' || n,
        'word ' || n % 100 || repeat(' lorem ipsum dolor sit amet', 50), ${toUuid(userId)}
      from generate_series(${from + 1}::int, ${Math.min(from + BATCH, count)}::int) as n
      returning id`);
    if (ids.length < MAX_IDS) ids.push(...rows.slice(0, MAX_IDS).map(({ id }) => fromUuid('task', id)));
  }
  await client`vacuum analyze tasks`;
  return ids;
}
