/** The dearest lists that are not refused, one after the other on many connections: what a filter may cost is spent at once. */
import { type Attack, repeat, send } from '../attack.js';
import { writeTasks } from '../rows.js';

const LANES = 24;
const TASKS = 20_000;

const attack: Attack = {
  name: `counts and sorts ${TASKS} tasks by what no index has, on ${LANES} connections`,
  prepare: async (world, attacker) => {
    await writeTasks(world, attacker, TASKS);
    return null;
  },
  run: (target, tally, signal) =>
    repeat({ lanes: LANES, tally, signal }, (n) => {
      tally.add('sent');
      const query =
        'query ($f: TaskFilter) { tasks(first: 1, filter: $f, orderBy: [{ field: TITLE }]) { totalCount nodes { id } } }';
      const body = { query, variables: { f: { description: { contains: `word ${n}` } } } };
      return send(target, { body, signal });
    }),
};
export default attack;
