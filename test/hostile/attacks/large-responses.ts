/** Responses of half a gigabyte for 1 300 selected objects: long comments, of characters that JSON writes in six bytes, again and again. */
import { type Attack, repeat, send } from '../attack.js';
import { writeComments } from '../world.js';

const LANES = 5;
const COMMENTS = 98;
const BODY = '\u0007'.repeat(65_536);
/** How often the task is in the response: 13 times its comments are 501 MB. */
const REPETITIONS = [13, 1, 1, 1];

const attack: Attack = {
  name: 'asks for responses of up to half a gigabyte on 5 connections',
  prepare: (world, attacker) => writeComments(world, attacker, { count: COMMENTS, body: BODY }),
  run: (target, tally, signal) =>
    repeat({ lanes: LANES, tally, signal }, (n) => {
      const ids = Array(REPETITIONS[n % REPETITIONS.length]).fill(target.attacker.taskIds[0]);
      const query = `query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Task { comments(first: ${COMMENTS}) { nodes { body } } } } }`;
      return send(target, { body: { query, variables: { ids } }, signal });
    }),
};
export default attack;
