/** A process that delivers webhooks until it is killed. It says `ready` when it has begun. */
import 'reflect-metadata';
import { createApp } from '../../src/app.js';
import { RedisStore } from '../../src/engine/redis/index.js';
import { createLog } from '../../src/platform/log.js';

const { CHILD_DATABASE_URL = '', CHILD_REDIS_URL = '', CHILD_GROUP = '' } = process.env;
const store = new RedisStore({ url: CHILD_REDIS_URL, group: CHILD_GROUP, waitMs: 5000 });
await store.ready();
await createApp({
  databaseUrl: CHILD_DATABASE_URL,
  store,
  log: createLog('silent'),
  checkCoverage: false,
  production: false,
  webhooks: { deliver: true, allowPrivate: true },
  verifyToken: async () => {
    throw new Error('no request is expected');
  },
});
process.stdout.write('ready\n');
