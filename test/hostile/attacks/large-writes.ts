/** As many of the largest writes as a client can send at once: each changes 100 tasks and all labels of each. */
import { newId } from '../../../src/db/ids.js';
import { labels } from '../../../src/domain/labels/label.table.js';
import { type Attack, repeat, send } from '../attack.js';
import { writeTasks } from '../rows.js';

const LANES = 40;
const TASKS = 100;
const LABELS = 50;

const attack: Attack = {
  name: `puts ${LABELS} labels on ${TASKS} tasks and takes them away, on ${LANES} connections`,
  prepare: async (world, attacker) => {
    const rows = Array.from({ length: LABELS }, (_, i) => ({
      id: newId('label'),
      projectId: attacker.projectId,
      name: `label ${i}`,
      color: '#112233',
    }));
    await world.db.write.insert(labels).values(rows);
    return { ids: await writeTasks(world, attacker, TASKS), labelIds: rows.map(({ id }) => id) };
  },
  run: (target, tally, signal) => {
    const { ids, labelIds } = target.prepared as { ids: string[]; labelIds: string[] };
    return repeat({ lanes: LANES, tally, signal }, (n) => {
      tally.add('sent');
      const query = 'mutation ($i: UpdateTasksInput!) { updateTasks(input: $i) { errors { code } } }';
      return send(target, {
        body: { query, variables: { i: { ids, labelIds: n % 2 === 0 ? labelIds : [] } } },
        signal,
      });
    });
  },
};
export default attack;
