/** Documents as long as they may be, none of them valid, another one each time, of a viewer with a token. */
import { type Attack, repeat, send } from '../attack.js';

const LANES = 16;
const FIELDS = 600;

const attack: Attack = {
  name: 'sends invalid documents of 1 800 tokens on 16 connections',
  run: (target, tally, signal) =>
    repeat({ lanes: LANES, tally, signal }, (n) => {
      const query = `{ viewer { ${Array.from({ length: FIELDS }, (_, i) => `n${n}x${i}: name`).join(' ')} } }`;
      return send(target, { body: { query }, signal });
    }),
};
export default attack;
