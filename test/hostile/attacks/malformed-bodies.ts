/** Bodies as large as they may be that are no JSON at their very end, without a token and with one. */
import { type Attack, pause, repeat, send } from '../attack.js';

const LANES = 4;
const BODY = `{"query": "${'x'.repeat(1_000_000)}"`;
/** 10 MB/s each: what a network may bring. */
const EVERY_MS = 100;

const attack: Attack = {
  name: 'sends bodies of 1 MB that are no JSON on 4 connections',
  run: (target, tally, signal) =>
    repeat({ lanes: LANES, tally, signal }, async (n) => {
      await pause(EVERY_MS, signal);
      return send(target, { body: BODY, ...(n % 2 === 0 && { headers: { authorization: undefined } }), signal });
    }),
};
export default attack;
