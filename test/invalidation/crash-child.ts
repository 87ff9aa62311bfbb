/**
 * A process of the API that dies on request: it says `ready`, waits for `go`, runs one mutation, says how far it came and
 * goes no further. Its relay is stopped by then, so that only the others can repair what it leaves behind.
 */
import 'reflect-metadata';
import { createApp } from '../../src/app.js';
import type { UserId } from '../../src/db/ids.js';
import type { Store } from '../../src/engine/cache/index.js';
import { RedisStore } from '../../src/engine/redis/index.js';
import { createLog } from '../../src/platform/log.js';
import { intercepted } from '../support/stores.js';

const { CRASH_DATABASE_URL, CRASH_REDIS_URL, CRASH_GROUP, CRASH_VIEWER, CRASH_AT, CRASH_PAYLOAD } = process.env;
const say = (line: string) => process.stdout.write(`${line}\n`);
const forEver = () => new Promise<never>(() => {});

const redis = new RedisStore({ url: CRASH_REDIS_URL ?? '', group: CRASH_GROUP ?? '', waitMs: 5000 });
await redis.ready();
const plain = intercepted(redis, async (step) => {
  if (step !== 'release') return;
  say('committed');
  await forEver();
});
const store: Store = {
  ...plain,
  async fence(...args) {
    const reply = await plain.fence(...args);
    if (CRASH_AT !== 'fenced') return reply;
    say('fenced');
    return forEver();
  },
};
const app = await createApp({
  databaseUrl: CRASH_DATABASE_URL ?? '',
  store,
  log: createLog('silent'),
  checkCoverage: true,
  production: false,
  verifyToken: async () => ({
    subject: CRASH_VIEWER as UserId,
    scopes: [],
    expiresAtMs: Number.MAX_SAFE_INTEGER,
    profile: {},
  }),
});
await app.relay.stop();
process.stdin.once('data', async () => {
  const { body } = await app.server.inject({
    method: 'POST',
    url: '/graphql',
    headers: { authorization: 'Bearer x', 'content-type': 'application/json' },
    payload: CRASH_PAYLOAD ?? '',
  });
  say(`answered ${body}`);
});
say('ready');
