/** When a client that reads slowly is ended: the bytes that the network takes decide, in one write as in many. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { UnreadResponses } from '../../src/server/http/unread-responses.js';
import { StalledClients, type UnsentMessages } from '../../src/server/live/stalled-clients.js';
import { MINUTE, SECOND } from '../../src/std/time.js';
import { eventually } from '../support/app.js';

const MIB = 1024 * 1024;
const LARGE = Buffer.alloc(32 * MIB); // more than the network keeps

let server: Server;
let network: Socket;
let client: Socket;
let nowMs: number;
let ended: number;
let read: number;
let readUntil: number;
let unread: UnreadResponses;
let stalled: StalledClients;
let messages: UnsentMessages;

beforeEach(async () => {
  server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection');
  client = connect((server.address() as AddressInfo).port, '127.0.0.1').pause();
  [network] = (await accepted) as [Socket];
  network.on('error', () => {}); // closed by the test
  [nowMs, ended, read] = [0, 0, 0];
  readUntil = 0;
  client.on('data', ({ length }) => {
    read += length;
    if (read >= readUntil) client.pause();
  });
  unread = new UnreadResponses();
  stalled = new StalledClients({ unread, stallMs: 20 * SECOND, maxWaitMs: 2 * MINUTE, nowMs: () => nowMs });
  messages = stalled.watch({ network, caller: () => 'ada', end: () => ended++ });
});
afterEach(() => {
  client.destroy();
  network.destroy();
  server.close();
});

function write(bytes: Buffer): void {
  const taken = messages.add(bytes.length);
  network.write(bytes, taken);
}

/** The client reads `bytes`, and little more. */
async function reads(bytes: number): Promise<void> {
  readUntil = read + bytes;
  client.resume();
  await eventually(() => expect(read).toBeGreaterThanOrEqual(readUntil));
}

/** Lets `ms` pass, and checks once. */
function pass(ms: number): number {
  nowMs += ms;
  stalled.check();
  return ended;
}

/** Until the network takes nothing more by itself. */
async function settled(): Promise<void> {
  let last = -1;
  await eventually(() => {
    const before = last;
    last = bytesInHandle();
    expect(last).toBe(before);
  });
}

function bytesInHandle(): number {
  return Reflect.get(Reflect.get(network, '_handle'), 'writeQueueSize');
}

test('a client is ended when the network has taken nothing for 20 s', async () => {
  write(LARGE);
  await settled();
  expect(pass(5 * SECOND)).toBe(0); // what the network took at first
  expect(pass(19 * SECOND)).toBe(0);
  expect(pass(SECOND)).toBe(1);
});

test('a client that sends and does not read is ended as well', async () => {
  write(LARGE);
  await settled();
  network.resume();
  pass(SECOND);
  client.write('I am here');
  await eventually(() => expect(network.bytesRead).toBeGreaterThan(0));
  expect(pass(20 * SECOND)).toBe(1);
});

test('a client that reads on is not ended within one large write', async () => {
  write(LARGE);
  for (let i = 0; i < 5; i++) {
    await settled();
    pass(SECOND);
    const before = bytesInHandle();
    expect(pass(19 * SECOND)).toBe(0);
    await reads(3 * MIB);
    await eventually(() => expect(bytesInHandle()).toBeLessThan(before));
  }
  expect(messages.any).toBe(true); // nothing of it was reported as written yet
});

test('a message that waits for more than 2 minutes ends its client, however steadily it reads', async () => {
  write(LARGE);
  for (let i = 0; i < 6; i++) {
    await settled();
    expect(pass(19 * SECOND)).toBe(0);
    await reads(3 * MIB);
  }
  expect(nowMs).toBe(114 * SECOND);
  expect(pass(6 * SECOND)).toBe(1);
});

test('the wait of a message begins with it, and not with the first one that waits', async () => {
  const small = Buffer.alloc(4 * MIB);
  write(LARGE);
  await settled();
  pass(100 * SECOND);
  ended = 0;
  write(small);
  await reads(LARGE.length - 1);
  await eventually(() => expect(unread.bytes).toBeLessThan(LARGE.length));
  expect(pass(100 * SECOND)).toBe(0);
});

test('a connection on which nothing waits is not checked, and its bytes are not counted', async () => {
  write(Buffer.alloc(10));
  expect(unread.bytes).toBe(10);
  await eventually(() => expect(messages.any).toBe(false));
  expect([unread.bytes, pass(10 * MINUTE)]).toEqual([0, 0]);
});

test('messages that were delayed are remembered for a while', async () => {
  write(LARGE);
  pass(SECOND);
  await reads(LARGE.length);
  await eventually(() => expect(messages.any).toBe(false));
  expect([messages.anyWithin(2 * SECOND), pass(2 * SECOND), messages.anyWithin(2 * SECOND)]).toEqual([true, 0, false]);
});
