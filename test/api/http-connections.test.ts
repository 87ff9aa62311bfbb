/** How many HTTP connections one address and the process may have open, and that a connection on which nothing comes is closed. */
import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { HttpConnectionLimits } from '../../src/platform/http-connection-limits.js';
import { eventually } from '../support/app.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { type LiveApp, liveApp } from '../support/live.js';

let database: TestDatabase;
const apps: LiveApp[] = [];
const sockets: Socket[] = [];

beforeAll(async () => {
  database = await createDatabase();
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await Promise.all(apps.splice(0).map((app) => app.close()));
});
afterAll(() => database?.drop());

async function limited(httpConnections: Partial<HttpConnectionLimits>, trustProxy?: string[]): Promise<LiveApp> {
  const app = await liveApp({ databaseUrl: database.url, app: { httpConnections, trustProxy } });
  apps.push(app);
  return app;
}

const portOf = (app: LiveApp) => (app.server.server.address() as AddressInfo).port;

/** A connection from an address of this machine, all of 127.0.0.0/8, on which nothing is sent. */
function dialled(app: LiveApp, localAddress = '127.0.0.1') {
  const socket = connect({ port: portOf(app), host: '127.0.0.1', localAddress });
  sockets.push(socket);
  let received = '';
  socket.setEncoding('latin1').on('data', (text: string) => {
    received += text;
  });
  socket.on('error', () => {}); // told by its end
  const closed = new Promise<string>((resolve) => socket.on('close', () => resolve(received)));
  /** @returns the status of the answer; `closed`: there was none */
  const ask = async (head = 'GET /healthz HTTP/1.1\r\nHost: api\r\n\r\n'): Promise<string> => {
    socket.write(head);
    await Promise.race([closed, once(socket, 'data')]);
    return received.split(' ')[1] ?? 'closed';
  };
  return { socket, closed, ask };
}

describe('HTTP connections', () => {
  test('of one address are bounded; another address is served, and so is this one when a connection has closed', async () => {
    const app = await limited({ maxConnectionsPerAddress: 3 });
    const held = [1, 2, 3].map(() => dialled(app));
    for (const { ask } of held) expect(await ask()).toBe('200');
    expect(await dialled(app).ask()).toBe('closed');
    expect(await dialled(app, '127.0.0.2').ask()).toBe('200');
    held[0]?.socket.destroy();
    await eventually(async () => expect(await dialled(app).ask()).toBe('200'));
    expect(await held[1]?.ask()).toBe('200');
  });

  test('of trusted proxies are not bounded by address, but count in the process', async () => {
    const app = await limited({ maxConnectionsPerAddress: 1, maxConnections: 4 }, ['127.0.0.1']);
    for (const { ask } of [1, 2, 3].map(() => dialled(app))) expect(await ask()).toBe('200');
    expect(await dialled(app, '127.0.0.2').ask()).toBe('200');
    expect(await dialled(app, '127.0.0.3').ask()).toBe('closed');
    expect(await dialled(app).ask()).toBe('closed');
  });

  test('do not include WebSockets, which have bounds of their own', async () => {
    const app = await limited({ maxConnectionsPerAddress: 1, maxConnections: 1 });
    const upgraded: WebSocket[] = [];
    try {
      for (let n = 0; n < 3; n++) {
        const socket = new WebSocket(app.url.replace(/^http/, 'ws'), 'graphql-transport-ws');
        upgraded.push(socket);
        await once(socket, 'open');
      }
      expect(await dialled(app).ask()).toBe('200');
      expect(await dialled(app).ask()).toBe('closed');
    } finally {
      for (const socket of upgraded) socket.terminate();
    }
  });
});

test('a server that closes does not wait for connections on which nothing was sent, or nothing more', async () => {
  const app = await liveApp({ databaseUrl: database.url });
  const unused = dialled(app);
  await once(unused.socket, 'connect');
  const idle = dialled(app);
  expect(await idle.ask()).toBe('200'); // so the server has accepted both
  await app.close();
  expect(await unused.closed).toBe('');
  expect(await idle.closed).toMatch(/^HTTP\/1\.1 200 /);
});

describe('a connection is closed when its client', () => {
  test.each([
    ['sends nothing', ''],
    ['sends its headers byte by byte', 'POST /graphql HTTP/1.1\r\nHost: a'],
    ['sends a second request that way', 'GET /healthz HTTP/1.1\r\nHost: api\r\n\r\nPOST /graphql HTTP/1.1\r\nHost: a'],
  ])('%s', async (_, head) => {
    const app = await limited({});
    app.server.server.headersTimeout = 50; // 10 s in earnest: read at each check
    const client = dialled(app);
    if (head !== '') client.socket.write(head);
    const dripping = setInterval(() => head !== '' && client.socket.write('a'), 10);
    expect(await client.closed).toMatch(/HTTP\/1\.1 408 Request Timeout[\s\S]*$/);
    clearInterval(dripping);
  });

  test('sends its body byte by byte', async () => {
    const app = await limited({});
    Object.assign(app.server.server, { headersTimeout: 40, requestTimeout: 50 }); // 30 s in earnest
    const client = dialled(app);
    client.socket.write(
      'POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n',
    );
    const dripping = setInterval(() => client.socket.write('a'), 10);
    expect(await client.closed).toMatch(/^HTTP\/1\.1 4\d\d/);
    clearInterval(dripping);
  });

  test('asks nothing more', async () => {
    const app = await limited({});
    app.server.server.keepAliveTimeout = 50;
    const client = dialled(app);
    expect(await client.ask()).toBe('200');
    await client.closed;
  });
});
