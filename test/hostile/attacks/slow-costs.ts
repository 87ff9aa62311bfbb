/** A document that is read once and whose cost takes milliseconds to compute, with other variables each time. It is refused as too expensive. */
import { type Attack, repeat, send } from '../attack.js';

const LANES = 16;
/** Each uses the next one twice: 2 to the power of this. */
const FRAGMENTS = 13;

const fragment = (i: number) => `fragment F${i} on User { __typename ...F${i + 1} ...F${i + 1} }`;
const QUERY = `query($n: Int) { viewer { ...F0 } tasks(first: $n) { pageInfo { hasNextPage } } }
${Array.from({ length: FRAGMENTS }, (_, i) => fragment(i)).join('\n')} fragment F${FRAGMENTS} on User { id }`;

const attack: Attack = {
  name: 'asks for a cost that takes milliseconds to compute, on 16 connections',
  run: (target, tally, signal) =>
    repeat({ lanes: LANES, tally, signal }, (n) => send(target, { body: { query: QUERY, variables: { n } }, signal })),
};
export default attack;
