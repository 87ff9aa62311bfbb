/** Clients that leave at any moment: while they send, while what they asked for is loaded, while they are answered. */
import { connect } from 'node:net';
import { type Attack, pause, repeat, type Target } from '../attack.js';

const LANES = 8;
const MAX_STAY_MS = 40;
/** Below the limits: 600 requests a minute. */
const EVERY_MS = 100;

const attack: Attack = {
  name: 'leaves at any moment, by reset and by end, on 8 connections',
  run: (target, tally, signal) =>
    repeat({ lanes: LANES, tally, signal }, async (n) => {
      await askAndLeave(target, n);
      await pause(EVERY_MS * Math.random() * 2, signal);
      return 'left';
    }),
};
export default attack;

function askAndLeave({ port, attacker }: Target, n: number): Promise<void> {
  const body = JSON.stringify({ query: queryOf(attacker.taskIds[0] as string, n) });
  const head = [
    'POST /graphql HTTP/1.1',
    'host: x',
    'content-type: application/json',
    `authorization: Bearer ${attacker.token}`,
    `x-forwarded-for: ${attacker.address}`,
    `content-length: ${Buffer.byteLength(body)}`,
    ...(n % 7 === 0 ? ['x-consistency: snapshot'] : []),
  ];
  const text = `${head.join('\r\n')}\r\n\r\n${body}`;
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    socket.once('close', () => resolve());
    socket.write(n % 5 === 0 ? text.slice(0, Math.floor(Math.random() * text.length)) : text);
    setTimeout(() => leave(n), Math.random() * MAX_STAY_MS);
    const leave = (by: number) => {
      if (by % 3 === 0) socket.resetAndDestroy();
      else if (by % 3 === 1) socket.destroy();
      else socket.end(() => setTimeout(() => socket.destroy(), MAX_STAY_MS)); // half closed, for a while
    };
  });
}

function queryOf(taskId: string, n: number): string {
  if (n % 4 === 0)
    return `mutation { updateTask(input: { id: "${taskId}", title: "Left ${n}" }) { task { id title } } }`;
  if (n % 4 === 1) return '{ projects { nodes { name stats { total } } } }';
  return `{ tasks(first: 5, filter: { number: { gt: -${n} } }) { nodes { title project { name } comments(first: 3) { nodes { body } } } } }`;
}
