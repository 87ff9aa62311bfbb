/** Where webhooks may lead: many forms of addresses of the own network, as URLs and as what a name leads to. */
import { describe, expect, test } from 'vitest';
import { isPublic, publicLookup, type Resolve, readWebhookUrl } from '../../src/domain/webhooks/webhook-address.js';
import { isDelivered, sendMessage } from '../../src/domain/webhooks/webhook-request.js';
import { Receiver } from '../support/receiver.js';

const PRIVATE = [
  ...['127.0.0.1', '127.255.255.254', '0.0.0.0', '10.1.2.3', '172.16.0.1', '172.31.255.255', '192.168.1.1'],
  ...['169.254.169.254', '100.64.0.1', '100.127.255.255', '224.0.0.1', '255.255.255.255', '198.18.0.1', '240.0.0.1'],
  ...['::', '::1', 'fe80::1', 'fc00::1', 'fd00:ec2::254', 'ff02::1', 'fec0::1', '::ffff:10.0.0.1', '::127.0.0.1'],
  ...['64:ff9b::a00:1', '2002:7f00:1::', '2001::1', '2001:db8::1', '4000::1'],
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
  type Addresses = Parameters<Parameters<Resolve>[2]>[1];
  const to =
    (addresses: Addresses): Resolve =>
    (_name, _options, done) =>
      done(null, addresses);
  const resolved = (addresses: Addresses) => (all: boolean) =>
    new Promise((resolve) => {
      publicLookup(to(addresses))('example.com', { all }, (error, address, family) =>
        resolve(error?.message ?? [address, family]),
      );
    });

  test('of which one address is private is refused: a connection would try them all', async () => {
    const mixed = [
      { address: '8.8.8.8', family: 4 },
      { address: '::ffff:10.0.0.1', family: 6 },
    ];
    expect(await resolved(mixed)(true)).toMatch('not public');
    expect(await resolved(mixed)(false)).toMatch('not public');
    expect(await resolved([])(true)).toBe('example.com has no address');
  });

  test('that is public gives the addresses that were checked', async () => {
    const one = [{ address: '8.8.8.8', family: 4 }];
    expect(await resolved(one)(true)).toEqual([one, undefined]);
    expect(await resolved(one)(false)).toEqual(['8.8.8.8', 4]);
  });

  test('that leads to this machine when a message is sent gets none, whatever it led to before', async () => {
    const receiver = await new Receiver().listen();
    const request = { headers: {}, body: '{}', signal: new AbortController().signal };
    const url = receiver.url.replace('127.0.0.1', 'example.com');
    const resolve = to([{ address: '127.0.0.1', family: 4 }]);
    const refused = await sendMessage({ ...request, url, resolve, allowPrivate: false });
    expect(refused).toMatchObject({ status: null, error: expect.stringMatching('not public') });
    expect(await sendMessage({ ...request, url: receiver.url, allowPrivate: false })).toMatchObject(refused);
    expect(receiver.received).toEqual([]);
    expect(isDelivered(await sendMessage({ ...request, url: receiver.url, allowPrivate: true }))).toBe(true);
    await receiver.close();
  });
});
