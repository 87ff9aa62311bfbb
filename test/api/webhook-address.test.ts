/** Where webhooks may lead: many forms of addresses of the own network, as URLs and as what a name leads to. */
import { createSocket, type Socket } from 'node:dgram';
import type { LookupAddress } from 'node:dns';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { describe, expect, test } from 'vitest';
import { askNameServers, type Resolve } from '../../src/domain/webhooks/resolve-name.js';
import { checkedLookup, isPublic, readWebhookUrl } from '../../src/domain/webhooks/webhook-address.js';
import { isDelivered, sendMessage } from '../../src/domain/webhooks/webhook-request.js';
import { Receiver } from '../support/receiver.js';

const PRIVATE = [
  ...['127.0.0.1', '127.255.255.254', '0.0.0.0', '10.1.2.3', '172.16.0.1', '172.31.255.255', '192.168.1.1'],
  ...['169.254.169.254', '100.64.0.1', '100.127.255.255', '224.0.0.1', '255.255.255.255', '198.18.0.1', '240.0.0.1'],
  ...['::', '::1', 'fe80::1', 'fc00::1', 'fd00:ec2::254', 'ff02::1', 'fec0::1', '::ffff:10.0.0.1', '::127.0.0.1'],
  ...['168.63.129.16', '::ffff:168.63.129.16', '64:ff9b::a00:1', '2002:7f00:1::', '2001::1', '2001:db8::1', '4000::1'],
];

test.each(PRIVATE)('%s is not public', (address) => {
  expect(isPublic(address)).toBe(false);
});

test.each(['8.8.8.8', '1.1.1.1', '172.32.0.1', '100.128.0.1', '2606:4700:4700::1111', '::ffff:8.8.8.8'])(
  '%s is public',
  (address) => {
    expect(isPublic(address)).toBe(true);
  },
);

test.each([
  ...['http://localhost/', 'http://LOCALHOST.:8080/', 'http://a.localhost/', 'http://127.1/', 'http://0x7f.0.0.1/'],
  ...['http://2130706433/', 'http://017700000001/', 'http://127.0.0.1./', 'http://①②⑦.0.0.1/', 'http://0/'],
  ...['http://[::1]/', 'http://[::ffff:127.0.0.1]/', 'http://[::ffff:7f00:1]/', 'http://[fd00::1]/'],
  ...['http://169.254.169.254/latest/meta-data', 'https://192.168.0.1/'],
])('the URL %s is refused, unless private addresses are allowed', (url) => {
  expect(readWebhookUrl(url, false)).toHaveProperty('fault');
  expect(readWebhookUrl(url, true)).toHaveProperty('url');
});

test.each([
  ...['ftp://example.com/', 'file:///etc/passwd', 'https://user@example.com/', 'https://:secret@example.com/'],
  ...['example.com', '', 'https://', `https://example.com/${'ü'.repeat(500)}`, 'http://[fe80::1%25eth0]/'],
])('the URL %j is refused always', (url) => {
  expect(readWebhookUrl(url, true)).toHaveProperty('fault');
});

test('a URL is kept in normal form, without a fragment', () => {
  expect(readWebhookUrl('HTTPS://Example.com:443/a b?c#d', false)).toEqual({ url: 'https://example.com/a%20b?c' });
});

describe('a name', () => {
  const { signal } = new AbortController();
  const to =
    (addresses: LookupAddress[]): Resolve =>
    async () =>
      addresses;
  const failing =
    (code: string): Resolve =>
    async () => {
      throw Object.assign(new Error(`queryA ${code} example.com`), { code });
    };
  const lookedUp = (resolve: Resolve, all: boolean, allowPrivate = false) =>
    new Promise((done) => {
      checkedLookup({ resolve, allowPrivate, signal })('example.com', { all }, (error, address, family) =>
        done(error?.message ?? [address, family]),
      );
    });
  const resolved = (addresses: LookupAddress[]) => (all: boolean) => lookedUp(to(addresses), all);

  test('of which one address is private is refused: a connection would try them all', async () => {
    const mixed = [
      { address: '8.8.8.8', family: 4 },
      { address: '::ffff:10.0.0.1', family: 6 },
    ];
    expect(await resolved(mixed)(true)).toMatch('not public');
    expect(await resolved(mixed)(false)).toMatch('not public');
    expect(await lookedUp(to(mixed), true, true)).toEqual([mixed, undefined]);
  });

  test('that does not exist fails as one that is private does: an OWNER learns no name of the network', async () => {
    const refused = await resolved([{ address: '10.0.0.1', family: 4 }])(true);
    expect(await lookedUp(failing('ENOTFOUND'), true)).toBe(refused);
    expect(await lookedUp(failing('ENODATA'), true)).toBe(refused);
    expect(await lookedUp(failing('ETIMEOUT'), true)).toMatch('ETIMEOUT');
    expect(await lookedUp(failing('ENOTFOUND'), true, true)).toMatch('ENOTFOUND');
  });

  test('that is public gives the addresses that were checked', async () => {
    const one = [{ address: '8.8.8.8', family: 4 }];
    expect(await resolved(one)(true)).toEqual([one, undefined]);
    expect(await resolved(one)(false)).toEqual(['8.8.8.8', 4]);
  });

  test('that leads to this machine when a message is sent gets none, whatever it led to before', async () => {
    const receiver = await new Receiver().listen();
    const request = { headers: {}, body: '{}', signal };
    const url = receiver.url.replace('127.0.0.1', 'example.com');
    const resolve = to([{ address: '127.0.0.1', family: 4 }]);
    const refused = await sendMessage({ ...request, url, resolve, allowPrivate: false });
    const notPublic = { status: null, error: expect.stringMatching('not public') };
    expect(refused).toMatchObject(notPublic);
    expect(await sendMessage({ ...request, url: receiver.url, allowPrivate: false })).toMatchObject(notPublic);
    expect(receiver.received).toEqual([]);
    expect(isDelivered(await sendMessage({ ...request, url: receiver.url, allowPrivate: true }))).toBe(true);
    await receiver.close();
  });
});

describe('name servers', () => {
  /** Sends queries for AAAA back as answers without an address, and queries for A with this one. */
  const answer = (server: Socket, address: readonly number[]) =>
    server.on('message', (query, { port }) => {
      const end = query.indexOf(0, 12) + 5; // of the question: name, type, class
      const isA = query.readUInt16BE(end - 4) === 1;
      const header = Buffer.from([...query.subarray(0, 2), 0x81, 0x80, 0, 1, 0, isA ? 1 : 0, 0, 0, 0, 0]);
      const record = isA ? [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ...address] : [];
      server.send(Buffer.concat([header, query.subarray(12, end), Buffer.from(record)]), port, '127.0.0.1');
    });
  const listening = async () => {
    const server = createSocket('udp4').bind(0, '127.0.0.1');
    await once(server, 'listening');
    return { server, servers: [`127.0.0.1:${server.address().port}`] };
  };

  test('that answer give the addresses of both families that there are', async () => {
    const { server, servers } = await listening();
    answer(server, [8, 8, 8, 8]);
    const { signal } = new AbortController();
    expect(await askNameServers('example.com', signal, servers)).toEqual([{ address: '8.8.8.8', family: 4 }]);
    server.close();
  });

  test('that never answer are waited for no longer than the attempt', async () => {
    const { server, servers } = await listening();
    const attempt = new AbortController();
    server.once('message', () => attempt.abort());
    await expect(askNameServers('example.com', attempt.signal, servers)).rejects.toThrow('ECANCELLED');
    server.close();
  });
});

describe('an attempt', () => {
  const request = { headers: {}, body: '{}', signal: new AbortController().signal, allowPrivate: true };

  test('reaches a name of the hosts file', async () => {
    const receiver = await new Receiver().listen();
    const url = receiver.url.replace('127.0.0.1', 'localhost');
    expect(await sendMessage({ ...request, url })).toMatchObject({ status: 200, error: null });
    await receiver.close();
  });

  test('fails if the receiver switches to another protocol', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => {}); // the sender ends the connection
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    expect(await sendMessage({ ...request, url })).toMatchObject({
      status: null,
      error: expect.stringMatching('closed'),
    });
    server.close();
  });

  test('says why none of several addresses could be reached', async () => {
    const receiver = await new Receiver().listen();
    const url = receiver.url.replace('127.0.0.1', 'example.com');
    await receiver.close();
    const resolve = async () => ['127.0.0.1', '127.0.0.2'].map((address) => ({ address, family: 4 }));
    expect((await sendMessage({ ...request, url, resolve })).error).toMatch(/ECONNREFUSED.*; .*ECONNREFUSED/);
  });
});
