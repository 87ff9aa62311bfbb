/** Large bodies that are being sent are bounded for each viewer, so that one client cannot make the process hold any number of them. */
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { UserId } from '../../src/db/ids.js';
import { MAX_BODY_BYTES } from '../../src/graphql/limits.js';
import { eventually, headersFor, type TestApp, testApp } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';

/** Of the largest size, for one viewer. */
const AT_ONCE = 8;

let app: TestApp;
let f: Fixture;
const sockets: Socket[] = [];
beforeAll(async () => {
  app = await testApp();
  f = await fixture(app);
  await app.server.listen({ host: '127.0.0.1', port: 0 });
});
afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  await app?.close();
});

/** Sends the head of a request, and its body but for the last byte. @returns what the server has answered so far */
async function begin(as: UserId): Promise<{ socket: Socket; answer: () => string; finish: () => void }> {
  const query = JSON.stringify({ query: '{ viewer { handle } }' });
  const body = `${' '.repeat(MAX_BODY_BYTES - query.length)}${query}`;
  const headers = { ...(await headersFor({ as })), 'content-type': 'application/json', 'content-length': body.length };
  const head = Object.entries({ host: 'localhost', ...headers }).map(([name, value]) => `${name}: ${value}`);
  const { port } = app.server.server.address() as AddressInfo;
  const socket = connect(port, '127.0.0.1');
  sockets.push(socket);
  let answered = '';
  socket.on('data', (data) => (answered += data));
  socket.on('error', () => {}); // the test ends it
  socket.write(`POST /graphql HTTP/1.1\r\n${head.join('\r\n')}\r\n\r\n${body.slice(0, -1)}`);
  return { socket, answer: () => answered, finish: () => socket.write(body.slice(-1)) };
}

test('a viewer who sends more large bodies at once than may arrive is refused, another viewer is not, and places come back', async () => {
  const begun = await Promise.all(Array.from({ length: AT_ONCE + 1 }, () => begin(f.ada.id)));
  const refused = () => begun.filter(({ answer }) => answer() !== '');
  await eventually(() => expect(refused()).toHaveLength(1));
  const refusal = refused()[0]?.answer();
  for (const part of ['HTTP/1.1 503 ', 'retry-after: 2', 'TOO_MANY_REQUEST_BODIES']) expect(refusal).toContain(part);

  const other = await begin(f.bob.id);
  other.finish();
  await eventually(() => expect(other.answer()).toContain('"handle":"bob"'));

  const [first, second] = begun.filter(({ answer }) => answer() === '');
  first?.finish();
  await eventually(() => expect(first?.answer()).toContain('"handle":"ada"'));
  second?.socket.destroy();
  await eventually(async () => {
    const again = await begin(f.ada.id);
    again.finish();
    await eventually(() => expect(again.answer()).not.toBe(''));
    expect(again.answer()).toContain('"handle":"ada"');
  });
});
