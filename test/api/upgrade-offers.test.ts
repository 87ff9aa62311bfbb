/** Requests that offer another protocol: all but a WebSocket are answered as if they had offered nothing. */
import { execFile, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { type Fixture, fixture } from '../support/fixture.js';
import { type LiveApp, liveApp } from '../support/live.js';

let app: LiveApp;
let f: Fixture;
let token: string;

beforeAll(async () => {
  app = await liveApp();
  f = await fixture(app);
  token = await app.tokenOf(f.ada.id);
});
afterAll(() => app?.close());

/** As curl and Java's HttpClient send it. */
const H2C = ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA'];
const QUERY = JSON.stringify({ query: '{ viewer { handle } }' });

interface Reply {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

/** Sends bytes and reads one answer at a time, so that the connection can be used again. */
async function dialled() {
  const socket: Socket = connect((app.server.server.address() as AddressInfo).port, '127.0.0.1');
  await once(socket, 'connect');
  let received = '';
  let ended = false;
  let wake = () => {};
  socket.setEncoding('latin1');
  socket.on('data', (text: string) => {
    received += text;
    wake();
  });
  socket.on('close', () => {
    ended = true;
    wake();
  });
  socket.on('error', () => {});
  const more = () => new Promise<void>((resolve) => (wake = resolve));
  return {
    socket,
    write: (text: string) => socket.write(text),
    async reply(): Promise<Reply> {
      for (;;) {
        const [head = '', rest] = received.split(/\r\n\r\n([\s\S]*)/);
        const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
        if (rest !== undefined && rest.length >= length) {
          received = rest.slice(length);
          return { status: Number(head.split(' ')[1]), head, body: rest.slice(0, length) };
        }
        if (ended) throw new Error(`the connection has ended after ${JSON.stringify(received)}`);
        await more();
      }
    },
  };
}

function post(body: string, headers: readonly string[], framing = [`Content-Length: ${body.length}`]): string {
  const own = ['Host: api', `Authorization: Bearer ${token}`, 'Content-Type: application/json'];
  return `POST /graphql HTTP/1.1\r\n${[...own, ...headers, ...framing].join('\r\n')}\r\n\r\n${body}`;
}

function get(path: string, headers: readonly string[]): string {
  return `GET ${path} HTTP/1.1\r\n${['Host: api', `Authorization: Bearer ${token}`, ...headers].join('\r\n')}\r\n\r\n`;
}

const GET_QUERY = `/graphql?query=${encodeURIComponent('{viewer{handle}}')}`;
const ANSWER = { data: { viewer: { handle: 'ada' } } };

describe('a request that offers h2c is answered in HTTP/1.1, and its connection serves the next request', () => {
  test('a POST whose body comes with its headers', async () => {
    const client = await dialled();
    for (let n = 0; n < 3; n++) {
      client.write(post(QUERY, H2C));
      const { status, body } = await client.reply();
      expect({ status, body: JSON.parse(body) }).toEqual({ status: 200, body: ANSWER });
    }
    client.socket.destroy();
  });

  test('a POST whose body comes later, in parts', async () => {
    const client = await dialled();
    for (let n = 0; n < 2; n++) {
      const text = post(QUERY, H2C);
      const cut = text.length - QUERY.length;
      for (const part of [text.slice(0, cut), text.slice(cut, cut + 10), text.slice(cut + 10)]) {
        client.write(part);
        await new Promise((resolve) => setImmediate(resolve));
      }
      const { status, body } = await client.reply();
      expect({ status, body: JSON.parse(body) }).toEqual({ status: 200, body: ANSWER });
    }
    client.socket.destroy();
  });

  test('a POST in chunks', async () => {
    const client = await dialled();
    for (let n = 0; n < 2; n++) {
      const chunks = `${QUERY.length.toString(16)}\r\n${QUERY}\r\n0\r\n\r\n`;
      client.write(post(chunks, H2C, ['Transfer-Encoding: chunked']));
      expect(JSON.parse((await client.reply()).body)).toEqual(ANSWER);
    }
    client.socket.destroy();
  });

  test('a GET, then requests without an offer', async () => {
    const client = await dialled();
    client.write(get(GET_QUERY, H2C));
    expect(JSON.parse((await client.reply()).body)).toEqual(ANSWER);
    client.write(get('/healthz', []));
    expect(await client.reply()).toMatchObject({ status: 200, body: '{"status":"ok"}' });
    client.write(post(QUERY, []));
    expect(JSON.parse((await client.reply()).body)).toEqual(ANSWER);
    client.socket.destroy();
  });

  test('a GET of another path', async () => {
    const client = await dialled();
    client.write(get('/healthz', H2C));
    expect(await client.reply()).toMatchObject({ status: 200, body: '{"status":"ok"}' });
    client.write(get('/nothing', H2C));
    expect(await client.reply()).toMatchObject({ status: 404 });
    client.socket.destroy();
  });
});

test.each([
  ['an offer of TLS', ['Connection: Upgrade', 'Upgrade: TLS/1.2']],
  ['an offer of several protocols', ['Connection: Upgrade', 'Upgrade: h2c, foo/1']],
  ['an offer that its Connection header does not name', ['Upgrade: websocket']],
  ['a POST that offers a WebSocket', ['Connection: Upgrade', 'Upgrade: websocket']],
])('%s is ignored, and the query answered', async (_, headers) => {
  const client = await dialled();
  client.write(post(QUERY, headers));
  expect(JSON.parse((await client.reply()).body)).toEqual(ANSWER);
  client.socket.destroy();
});

test('a WebSocket offered at another path than that of the API is refused with 404', async () => {
  const client = await dialled();
  client.write(get('/healthz', ['Connection: Upgrade', 'Upgrade: websocket']));
  expect(await client.reply()).toMatchObject({ status: 404 });
  client.socket.destroy();
});

test.each(['websocket', 'WebSocket'])('an offer of %s at the path of the API is taken', async (name) => {
  const client = await dialled();
  const key = ['Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='];
  const protocol = 'Sec-WebSocket-Protocol: graphql-transport-ws';
  client.write(get('/graphql', ['Connection: Upgrade', `Upgrade: ${name}`, ...key, protocol]));
  expect(await client.reply()).toMatchObject({ status: 101 });
  client.socket.destroy();
});

test('a WebSocket opens after a connection that offered h2c', async () => {
  const client = await dialled();
  client.write(post(QUERY, H2C));
  await client.reply();
  const socket = new WebSocket(app.url.replace(/^http/, 'ws'), 'graphql-transport-ws');
  await once(socket, 'open');
  socket.terminate();
  client.socket.destroy();
});

const curl = spawnSync('curl', ['--version'], { encoding: 'utf8' }).stdout ?? '';
test.runIf(curl.includes('HTTP2'))('curl --http2 gets its answer, by GET and by POST', async () => {
  const common = ['--silent', '--show-error', '--http2', '--max-time', '20', '-H', `authorization: Bearer ${token}`];
  const type = ['-H', 'content-type: application/json', '-H', 'apollo-require-preflight: 1'];
  const posted = await run('curl', [...common, ...type, '-d', QUERY, app.url]);
  expect(JSON.parse(posted)).toEqual(ANSWER);
  expect(JSON.parse(await run('curl', [...common, ...type, app.origin + GET_QUERY]))).toEqual(ANSWER);
});

async function run(command: string, args: readonly string[]): Promise<string> {
  return (await promisify(execFile)(command, [...args])).stdout;
}
