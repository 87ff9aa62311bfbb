/** Documents to be kept for all processes, another one each time: with a token, and without one. */
import { createHash } from 'node:crypto';
import { type Attack, repeat, send } from '../attack.js';

const LANES = 8;
const CHARS = { withToken: 10_000, without: 60_000 };

const attack: Attack = {
  name: 'registers persisted documents of 10 and 60 KB without end on 8 connections',
  run: (target, tally, signal) =>
    repeat({ lanes: LANES, tally, signal }, (n) => {
      const withToken = n % 2 === 0;
      const chars = withToken ? CHARS.withToken : CHARS.without;
      const query = `{ ${withToken ? 'viewer { id }' : '__typename'} } # ${n} `.padEnd(chars, 'x');
      const sha256Hash = createHash('sha256').update(query).digest('hex');
      const body = { query, extensions: { persistedQuery: { version: 1, sha256Hash } } };
      return send(target, { body, ...(!withToken && { headers: { authorization: undefined } }), signal });
    }),
};
export default attack;
