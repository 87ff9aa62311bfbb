/** Writes of a response of server-sent events: each is settled, and its bytes are released, however the client leaves. */
import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { type FastifyInstance, fastify } from 'fastify';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { UnreadResponses } from '../../src/server/http/unread-responses.js';
import { EventResponse } from '../../src/server/live/event-response.js';
import { StalledClients } from '../../src/server/live/stalled-clients.js';
import { HOUR } from '../../src/std/time.js';
import { eventually } from '../support/app.js';

const MIB = 1024 * 1024;
const LARGE = 'x'.repeat(32 * MIB); // more than the network keeps
const UNHURRIED = { pingEveryMs: HOUR, stallMs: HOUR, maxWaitMs: HOUR };

let app: FastifyInstance;
let client: Socket;
/** The server's side of the connection. */
let network: Socket;
let unread: UnreadResponses;
let events: EventResponse;
let failures: Error[];

beforeEach(async () => {
  unread = new UnreadResponses({ maxBytes: 1024 * MIB });
  const stalled = new StalledClients({ ...UNHURRIED, unread });
  failures = [];
  app = fastify();
  const begun = new Promise<Socket>((resolve) => {
    app.get('/', (request, reply) => {
      events = new EventResponse(reply, { limits: UNHURRIED, stalled, caller: 'ada' });
      events.begin();
      resolve(request.socket);
      return reply;
    });
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = app.server.address() as AddressInfo;
  client = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  client.on('error', () => {}); // closed by the test
  client.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  network = await begun;
});
afterEach(async () => {
  client.destroy();
  network.destroy();
  await app.close();
});

/** Sends an event. @returns whether the write is settled */
function sent(event: string): { settled: boolean } {
  const write = { settled: false };
  const settle = () => {
    write.settled = true;
  };
  events.sendEvent(event).then(settle, (error: Error) => {
    failures.push(error);
    settle();
  });
  return write;
}

test('an event that is sent after the connection was reset, before it has closed, is settled', async () => {
  let write: { settled: boolean } | undefined;
  network.once('error', () => {
    write = sent('too late');
  });
  client.resetAndDestroy();
  await once(events.signal, 'abort');
  expect(write).toBeDefined();
  await eventually(() => expect([write?.settled, unread.bytes]).toEqual([true, 0]));
});

test('an event that is sent after the client has ended its side is settled when the connection closes', async () => {
  client.pause();
  const large = sent(LARGE);
  client.end();
  await eventually(() => expect(network.writableEnded).toBe(true));
  const late = sent('never written');
  expect([large.settled, late.settled]).toEqual([false, false]);
  client.resume();
  await once(events.signal, 'abort');
  await eventually(() => expect([large.settled, late.settled, unread.bytes]).toEqual([true, true, 0]));
  expect(failures).toEqual([]);
});

test('events that wait when the connection closes are settled, and no listener is added for each', async () => {
  client.pause();
  const before = network.listenerCount('close');
  const writes = [sent(LARGE), ...Array.from({ length: 20 }, () => sent('waits'))];
  expect(network.listenerCount('close')).toBe(before);
  client.destroy();
  await eventually(() => expect(writes.every(({ settled }) => settled)).toBe(true));
  expect(unread.bytes).toBe(0);
});
