/**
 * Another database behind the same address: a copy that is some seconds old replaces the database under running processes, as a restore
 * does. The writes since the copy are gone, and no answer may show them after the promised 2 seconds.
 */
import { drop, exchange, templateCopy } from '../invalidation/databases.js';
import type { Random } from './random.js';
import { sleep, until } from './wait.js';
import { type RawRow, seenInPostgres, type Workload } from './workload.js';
import { type World, whole } from './world.js';

/** The promise for changes around the API, and what measuring adds. */
const SEEN_WITHIN_MS = 2250;

export async function anotherDatabase(world: World, workload: Workload, random: Random): Promise<undefined> {
  const { history, databaseUrl } = world;
  const copy = await templateCopy(databaseUrl);
  await sleep(random.between(1000, 3000)); // what is written now is lost
  history.pause();
  const gone = await exchange(databaseUrl, copy);
  await until('Postgres answers', async () => (await world.sql`select 1 as one`).length === 1);
  await sleep(SEEN_WITHIN_MS);
  await workload.withoutWrites(async () => {
    const rows = await world.sql<RawRow[]>`select id, version, status from tasks`;
    history.restart(rows.map(seenInPostgres));
  });
  await drop(gone);
  await whole(world);
  return undefined;
}
