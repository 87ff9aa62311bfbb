/** Lists that cost few points for their objects and much of Postgres: fifty texts, each looked for in every description of 20 000 tasks. */
import { type Attack, outcomeOf, pause, repeat, send } from '../attack.js';
import { writeTasks } from '../rows.js';

const LANES = 12;
const TASKS = 20_000;
const TEXTS = 50;
/** Within its limits: it sends no more than what its points are enough for. */
const PAUSE_MS = 1000;

const attack: Attack = {
  name: `asks for one task whose description contains one of ${TEXTS} texts, of ${TASKS}, on ${LANES} connections`,
  prepare: async (world, attacker) => {
    await writeTasks(world, attacker, TASKS);
    return null;
  },
  run: (target, tally, signal) =>
    repeat({ lanes: LANES, tally, signal }, async (n) => {
      tally.add('sent');
      const query = 'query ($f: TaskFilter) { tasks(first: 1, filter: $f) { nodes { id } } }';
      const contains = (i: number) => ({ description: { contains: `nothing like ${n} ${i}` } });
      const body = { query, variables: { f: { or: Array.from({ length: TEXTS }, (_, i) => contains(i)) } } };
      const outcome = outcomeOf(await send(target, { body, signal }));
      if (outcome.startsWith('429')) await pause(PAUSE_MS, signal);
      return outcome;
    }),
};
export default attack;
