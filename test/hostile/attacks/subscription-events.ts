/** As many subscriptions as a viewer may have, each of which reads large texts, and a change to the task that all of them are about. */
import { WebSocket } from 'ws';
import { type Attack, outcomeOf, pause, send, type Target } from '../attack.js';
import { writeComments } from '../world.js';

const CONNECTIONS = 4;
const SUBSCRIPTIONS = 50;
const COMMENTS = 94;
const CHANGE_EVERY_MS = 100;
const QUERY = `subscription { taskChanged { task { id comments(first: ${COMMENTS}) { nodes { id body } } } } }`;

const attack: Attack = {
  name: 'changes a task that 200 subscriptions read with 94 large comments each',
  async prepare(world, attacker) {
    await writeComments(world, attacker, { count: COMMENTS, body: '\u0001'.repeat(16 * 1024) });
    return null;
  },
  async run(target, tally, signal) {
    const note = (message: { type: string; payload?: { extensions?: { code?: string } }[] }) => {
      if (message.type === 'next') tally.add('event');
      if (message.type === 'error') tally.add(String(message.payload?.[0]?.extensions?.code));
    };
    const sockets = Array.from({ length: CONNECTIONS }, () => opened(target, note));
    for (let n = 0; !signal.aborted; n++) {
      const input = { id: target.attacker.taskIds[0], title: `Change ${n}` };
      const query = 'mutation($i: UpdateTaskInput!) { updateTask(input: $i) { errors { message } } }';
      const sent = await send(target, { body: { query, variables: { i: input } }, signal }).catch(() => undefined);
      if (sent !== undefined) tally.add(`mutation ${outcomeOf(sent)}`);
      await pause(CHANGE_EVERY_MS, signal);
    }
    for (const socket of sockets) socket.terminate();
  },
};
export default attack;

/** Subscribes as soon as it may, and again when a subscription has ended. */
function opened({ port, attacker }: Target, note: (message: never) => void): WebSocket {
  const headers = { 'x-forwarded-for': attacker.address };
  const socket = new WebSocket(`ws://127.0.0.1:${port}/graphql`, 'graphql-transport-ws', { headers });
  const say = (message: object) => socket.readyState === WebSocket.OPEN && socket.send(JSON.stringify(message));
  socket.on('error', () => {});
  socket.on('open', () => say({ type: 'connection_init', payload: { token: attacker.token } }));
  socket.on('message', (data) => {
    const message = JSON.parse(String(data));
    note(message as never);
    if (message.type !== 'connection_ack') return;
    for (let id = 0; id < SUBSCRIPTIONS; id++) say({ type: 'subscribe', id: String(id), payload: { query: QUERY } });
  });
  return socket;
}
