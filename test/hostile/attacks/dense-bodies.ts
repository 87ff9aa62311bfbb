/** Bodies of many small objects: 10 MB/s of them are all the time of a process, for a point each. With a token, and shorter ones without. */
import { type Attack, pause, repeat, send } from '../attack.js';

const LANES = 4;
const EVERY_MS = 100;
const OBJECTS = { withToken: 80_000, without: 6000 };

const bodyOf = (count: number) => {
  const objects = Array.from({ length: count }, (_, i) => `{"${i.toString(36)}":0}`);
  return `{"query":"{ viewer { id } }","ignored":[${objects}]}`;
};
const WITH_TOKEN = bodyOf(OBJECTS.withToken);
const WITHOUT = bodyOf(OBJECTS.without);

const attack: Attack = {
  name: 'sends bodies of many small objects on 4 connections, with a token and without',
  run: (target, tally, signal) =>
    repeat({ lanes: LANES, tally, signal }, async (n) => {
      await pause(EVERY_MS, signal);
      if (n % 2 === 0) return send(target, { body: WITH_TOKEN, signal });
      return send(target, { body: WITHOUT, headers: { authorization: undefined }, signal });
    }),
};
export default attack;
