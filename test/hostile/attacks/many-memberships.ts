/** Lists over as many projects as one viewer may be a member of, never the same one twice. */
import { sql } from 'drizzle-orm';
import { toUuid } from '../../../src/db/ids.js';
import { MAX_ADDED, MAX_CREATED } from '../../../src/domain/projects/memberships.js';
import { type Attack, outcomeOf, pause, repeat, send } from '../attack.js';

const LANES = 4;
const PROJECTS = MAX_ADDED + MAX_CREATED;
/** Within its limits: it sends no more than what its points are enough for. */
const PAUSE_MS = 1000;

const attack: Attack = {
  name: `lists the tasks of ${PROJECTS} projects, another list each time, on ${LANES} connections`,
  prepare: async ({ db }, { userId, projectId }) => {
    const key = sql`'Q' || substr(md5(${projectId}), 1, 3) || to_char(n, 'FM00000')`;
    const numbers = sql`generate_series(1, ${PROJECTS}::int) as n`;
    await db.write.execute(
      sql`insert into projects (id, key, name) select gen_random_uuid(), upper(${key}), 'Many ' || n from ${numbers}`,
    );
    const made = sql`(select id from projects join ${numbers} on key = upper(${key})) as made`;
    await db.write.execute(sql`
      insert into project_members (project_id, user_id, role) select id, ${toUuid(userId)}, 'OWNER' from ${made}`);
    await db.write.execute(sql`
      insert into tasks (id, project_id, number, title, creator_id)
      select gen_random_uuid(), id, n, 'Task ' || n, ${toUuid(userId)} from ${made}, generate_series(1, 3) as n`);
    return null;
  },
  run: (target, tally, signal) =>
    repeat({ lanes: LANES, tally, signal }, async (n) => {
      tally.add('sent');
      const query = 'query ($f: TaskFilter) { tasks(first: 1, filter: $f) { totalCount nodes { id } } }';
      const body = { query, variables: { f: { number: { gt: -n } } } };
      const outcome = outcomeOf(await send(target, { body, signal }));
      if (outcome.startsWith('429') || outcome.includes('RATE_LIMITED')) await pause(PAUSE_MS, signal);
      return outcome;
    }),
};
export default attack;
