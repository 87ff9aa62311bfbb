/** The console's data while Redis refuses the keys of samples, and while it is away. */
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { VerifiedToken } from '../../src/graphql/identity.js';
import { type OwnRedis, ownRedis } from '../invalidation/own-redis.js';
import { dataOf, eventually } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { type LiveApp, liveApp } from '../support/live.js';
import { type Watcher, watch } from '../support/watcher.js';

/** All keys but those of samples. */
const KEYS = ['e1', 't', 'pos', 'rel', 'fen', 'log', 'ok', 'bar', 'r', 'q', 'qi', 'stat', 'rate'].map(
  (name) => `~${name}:*`,
);

const verifyToken = async (token: string): Promise<VerifiedToken> => {
  const [subject = '', ...scopes] = token.split(' ');
  return { subject, scopes, expiresAtMs: Date.now() + 600_000, profile: {} };
};

let redis: OwnRedis;
let app: LiveApp;
let f: Fixture;
let watcher: Watcher;

beforeAll(async () => {
  redis = await ownRedis();
  const admin = new Redis(redis.url);
  await admin.acl('SETUSER', 'limited', 'on', '>secret', '+@all', '&*', ...KEYS);
  admin.disconnect();
  const redisUrl = redis.url.replace('redis://', 'redis://limited:secret@');
  app = await liveApp({ redisUrl, waitMs: 500, app: { verifyToken, production: true } });
  f = await fixture(app);
  watcher = watch(app, `Bearer ${f.eve.id} cache:admin`);
});
afterAll(async () => {
  await watcher?.stop();
  await app?.close();
  await redis?.kill();
});

const ask = () =>
  app.ask('query Poor { task(identifier: "OPS-1") { title } }', { headers: { authorization: `Bearer ${f.ada.id}` } });
const seen = () =>
  watcher.messages.flatMap(({ operations }) => operations).filter(({ name }) => name === 'Poor').length;

test('a Redis user without rights to the keys of samples has its cache, and messages about its own process', async () => {
  await eventually(async () => {
    dataOf(await ask());
    expect(seen()).toBeGreaterThan(0);
  });
  const { processes, groups } = watcher.messages.at(-1) as Watcher['messages'][number];
  expect(processes).toHaveLength(1);
  expect(groups).toMatchObject([{ name: `{${app.group}}`, leaseLeftMs: expect.any(Number) }]);
  expect(groups[0]?.leaseLeftMs).toBeGreaterThan(0);
});

test('while Redis is away the messages go on, and say why', async () => {
  await redis.kill();
  const before = seen();
  await eventually(async () => {
    dataOf(await ask());
    const last = watcher.messages.at(-1);
    expect(last?.health['outageMs']).toBeGreaterThan(0);
    expect(last?.health['outageReason']).toMatch(/^Redis cannot be reached: /);
    expect(last?.groups).toEqual([]);
    expect(seen()).toBeGreaterThan(before);
  });
  expect(watcher.errors).toEqual([]);
});
