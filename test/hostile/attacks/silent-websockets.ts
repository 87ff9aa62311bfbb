/** WebSockets that never say who they are, as many as can be had. */
import { once } from 'node:events';
import { WebSocket } from 'ws';
import { type Attack, repeat } from '../attack.js';

const LANES = 50;
/** Of those that opened, kept by this side at most. */
const MAX_HELD = 6000;

const attack: Attack = {
  name: 'opens WebSockets without end and says nothing on them',
  async run({ port, attacker }, tally, signal) {
    const held: WebSocket[] = [];
    const headers = { 'x-forwarded-for': attacker.address };
    await repeat({ lanes: LANES, tally, signal }, async () => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}/graphql`, 'graphql-transport-ws', { headers });
      socket.on('error', () => {}); // told by its status
      const opened = once(socket, 'open').then(
        () => 101,
        () => 0,
      );
      const refused = new Promise<number>((resolve) => {
        socket.on('unexpected-response', (_, response) => resolve(response.statusCode ?? 0));
      });
      const status = await Promise.race([opened, refused]);
      if (status === 101 && held.length < MAX_HELD) held.push(socket);
      else socket.terminate();
      return `upgrade ${status}`;
    });
    for (const socket of held) socket.terminate();
  },
};
export default attack;
