/** Responses are compressed for clients that accept it, whichever way they take, and say the same. */
import { type IncomingMessage, request } from 'node:http';
import { promisify } from 'node:util';
import { brotliDecompress, gunzip } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { headersFor } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { type LiveApp, liveApp } from '../support/live.js';

const DECOMPRESS = { br: promisify(brotliDecompress), gzip: promisify(gunzip) };
const LIST = '{ tasks(first: 50) { nodes { id title identifier project { id name } assignee { name } } } }';
const SMALL = '{ viewer { handle } }';

let app: LiveApp;
let f: Fixture;
beforeAll(async () => {
  app = await liveApp({ nearCacheBytes: 16 * 1024 * 1024 });
  f = await fixture(app);
});
afterAll(() => app?.close());

async function ask(encodings: string | undefined, { query = LIST, to = app, method = 'POST', more = {} } = {}) {
  const body = method === 'POST' ? JSON.stringify({ query }) : '';
  const headers = {
    ...(await headersFor({ as: f.ada.id })),
    ...(body !== '' && { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) }),
    ...(encodings !== undefined && { 'accept-encoding': encodings }),
    ...more,
  };
  const url = method === 'GET' ? `${to.url}?query=${encodeURIComponent(query)}` : to.url;
  // Not fetch, which decompresses by itself.
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request(url, { method, headers, agent: false }, resolve).once('error', reject).end(body);
  });
  const bytes = Buffer.concat(await response.toArray());
  const encoding = response.headers['content-encoding'] as keyof typeof DECOMPRESS | undefined;
  const text = String(encoding === undefined ? bytes : await DECOMPRESS[encoding](bytes));
  return { statusCode: response.statusCode, encoding, bytes: bytes.length, headers: response.headers, text };
}

describe('a response', () => {
  test.each([
    ['br', 'gzip, deflate, br'],
    ['gzip', 'gzip, deflate'],
    ['gzip', 'br;q=0.2, gzip;q=0.9'],
    [undefined, 'identity'],
    [undefined, 'br;q=0, gzip;q=0'],
    ['gzip', '*, br;q=0'],
    ['br', 'BR'],
    [undefined, 'identity;q=1, br;q=0.1'],
    [undefined, undefined],
  ] as const)('is sent as %s to a client that accepts %s, and is the same to the byte', async (expected, accepted) => {
    const plain = await ask(undefined);
    // Of the first ones some go through Apollo, of the last ones all are kept.
    for (let time = 0; time < 6; time++) {
      const { encoding, text, bytes, headers } = await ask(accepted);
      expect([encoding, text]).toEqual([expected, plain.text]);
      expect(Number(headers['content-length'])).toBe(bytes);
      if (expected !== undefined) expect(bytes).toBeLessThan(plain.bytes / 3);
    }
  });

  test('that is small is sent as it is', async () => {
    expect((await ask('br', { query: SMALL })).encoding).toBeUndefined();
  });

  test('whose errors are long is compressed, too', async () => {
    const query = `{ ${Array.from({ length: 30 }, (_, n) => `a${n}: nothing${n}`).join(' ')} }`;
    const { statusCode, encoding, text } = await ask('gzip', { query });
    expect([statusCode, encoding]).toEqual([400, 'gzip']);
    expect(JSON.parse(text).errors.length).toBeGreaterThan(10);
  });

  test('is never compressed where that is switched off', async () => {
    const off = await liveApp({ databaseUrl: app.databaseUrl, group: app.group, app: { compression: false } });
    try {
      for (let time = 0; time < 3; time++) expect((await ask('br', { to: off })).encoding).toBeUndefined();
    } finally {
      await off.close();
    }
  });
});

test('to a GET it has a weak ETag, since its bytes depend on the encoding, and is not sent again to a client that has it', async () => {
  const plain = await ask(undefined, { method: 'GET' });
  const small = await ask('br', { method: 'GET' });
  expect(small.headers.vary).toMatch(/Accept-Encoding/);
  expect([plain.headers.etag, small.headers.etag]).toEqual([plain.headers.etag, `W/${plain.headers.etag}`]);
  const again = await ask('br', { method: 'GET', more: { 'if-none-match': small.headers.etag } });
  expect([again.statusCode, again.bytes, again.encoding]).toEqual([304, 0, undefined]);
});

test('after a write the next one shows it', async () => {
  const [{ id }] = f.opsTasks as [Fixture['opsTasks'][number]];
  for (const title of ['One', 'Two', 'Three']) {
    for (let time = 0; time < 3; time++) await ask('br');
    const input = { id, title: `Renamed ${title}` };
    const mutation = 'mutation($input: UpdateTaskInput!) { updateTask(input: $input) { errors { code } } }';
    await app.ask(mutation, { as: f.ada.id, variables: { input } });
    expect((await ask('br')).text).toContain(`Renamed ${title}`);
  }
});

test.each([
  [undefined, 'br'],
  [false, undefined],
] as const)(
  'the files of the console are compressed as responses are: with compression %s as %s',
  async (compression, encoding) => {
    const bundle = async () => ({ script: '1;'.repeat(2000), style: 'a {}'.repeat(1000) });
    const other = await liveApp({ app: { console: { bundle }, ...(compression === false && { compression }) } });
    const get = (url: string) => other.server.inject({ url, headers: { 'accept-encoding': 'br' } });
    const [, script = ''] = /src="(\/console\/[^"]+)"/.exec((await other.server.inject('/console')).body) ?? [];
    const { headers, statusCode } = await get(script);
    expect([statusCode, headers['content-encoding']]).toEqual([200, encoding]);
    await other.close();
  },
);
