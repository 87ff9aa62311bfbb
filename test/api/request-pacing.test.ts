/** Requests that wait for a busy process: new connections are accepted first, and addresses take turns. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { NewConnections } from '../../src/server/http/new-connections.js';
import { paceRequests } from '../../src/server/http/request-pacing.js';

const WORK_MS = 3;
const CONNECTIONS = 200;

const servers: Server[] = [];
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const server of servers.splice(0)) server.close();
});

function block(ms: number): void {
  const untilMs = performance.now() + ms;
  while (performance.now() < untilMs);
}

/** Each request keeps the process busy. @returns what happened, in order */
async function busyServer({ paced }: { paced: boolean }) {
  const events: string[] = [];
  const server = createServer(async (request, response) => {
    await null; // its work is in a promise, as the API's
    events.push(request.headers['x-address'] as string);
    block(WORK_MS);
    response.end('done');
  });
  servers.push(server);
  server.on('connection', () => events.push('accepted'));
  if (paced) {
    const addressOf = (request: IncomingMessage) => request.headers['x-address'] as string;
    paceRequests(server, { connections: new NewConnections(server), addressOf });
  }
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { events, port: (server.address() as AddressInfo).port };
}

/** Sends a request on a connection of its own. Resolves when it is answered. */
function ask(port: number, address: string): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  sockets.push(socket);
  socket.write(`GET / HTTP/1.1\r\nhost: x\r\nx-address: ${address}\r\n\r\n`);
  return new Promise((resolve) => socket.once('data', () => resolve()));
}

/** How many requests were started before the last of many connections was accepted. All of them are answered. */
async function startedBefore(options: { paced: boolean }): Promise<number> {
  const { events, port } = await busyServer(options);
  await Promise.all(Array.from({ length: CONNECTIONS }, () => ask(port, 'a')));
  expect(events).toHaveLength(2 * CONNECTIONS);
  return events.lastIndexOf('accepted') + 1 - CONNECTIONS;
}

test('connections that wait are accepted before most of the requests on earlier ones start', async () => {
  const [paced, unpaced] = [await startedBefore({ paced: true }), await startedBefore({ paced: false })];
  expect(unpaced).toBeGreaterThan(CONNECTIONS / 2);
  expect(paced).toBeLessThan(unpaced / 2);
});

test('a request of one address does not wait for all of another', async () => {
  const { events, port } = await busyServer({ paced: true });
  const flood = Array.from({ length: CONNECTIONS }, () => ask(port, 'flood'));
  await Promise.race(flood);
  await Promise.all([ask(port, 'other'), ...flood]);
  const started = events.filter((event) => event !== 'accepted');
  expect(started).toHaveLength(CONNECTIONS + 1);
  expect(started.indexOf('other')).toBeLessThan(CONNECTIONS / 2);
});

test('a connection on which very many requests wait is closed, and others are answered', async () => {
  const { events, port } = await busyServer({ paced: true });
  const flood = connect(port, '127.0.0.1');
  sockets.push(flood);
  const closed = new Promise((resolve) => flood.once('close', resolve));
  flood.on('error', () => {}); // told by its end
  flood.resume();
  flood.write('GET / HTTP/1.1\r\nhost: x\r\nx-address: flood\r\n\r\n'.repeat(20_000));
  await Promise.all([closed, ask(port, 'other')]);
  expect(events.filter((event) => event === 'flood').length).toBeLessThan(1000);
});

test('a request to a process that is not busy starts in the tick in which it arrives', async () => {
  const { events, port } = await busyServer({ paced: true });
  const socket = connect(port, '127.0.0.1');
  sockets.push(socket);
  await once(socket, 'connect');
  servers.at(-1)?.once('request', () => {
    events.push('arrived');
    setImmediate(() => events.push('next tick'));
  });
  socket.write('GET / HTTP/1.1\r\nhost: x\r\nx-address: a\r\n\r\n');
  await once(socket, 'data');
  expect(events.indexOf('a')).toBeLessThan(events.indexOf('next tick'));
});
