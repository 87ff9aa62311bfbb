/** `tasks cache stats`: prints the outcomes of cached calls of all processes on a day. */

import { openStore } from '../core.js';
import { checkDriver } from '../database-check.js';
import { joinRedis } from '../development/services.js';
import { dayOf, MemoryStore, type OutcomeKind, statisticsOf } from '../engine/cache/index.js';
import { readConfig } from '../platform/config.js';
import { ConfigError } from '../platform/config-error.js';
import { createLog } from '../platform/log.js';

const KINDS: readonly OutcomeKind[] = ['near-hit', 'hit', 'stale', 'joined', 'miss', 'bypass', 'error'];

/** @param day YYYY-MM-DD in UTC */
export async function printStatistics(day = dayOf(Date.now())): Promise<void> {
  if (!isDay(day)) throw new ConfigError(`expected: stats [YYYY-MM-DD], got ${JSON.stringify(day)}`);

  await checkDriver();
  const config = readConfig(process.env);
  const { redis, redisGroup } = await joinRedis(config);
  const store = await openStore(redis, createLog(config.logLevel), { group: redisGroup });
  try {
    if (store instanceof MemoryStore)
      throw new ConfigError('REDIS_URL: expected the Redis of the servers; no running server was found either');
    console.log(`name,${KINDS.join(',')}`);
    for (const { name, counts } of await statisticsOf(store, day)) {
      console.log(`${name},${KINDS.map((kind) => counts[kind] ?? 0).join(',')}`);
    }
  } finally {
    await store.close();
  }
}

function isDay(text: string): boolean {
  const ms = /^\d{4}-\d\d-\d\d$/.test(text) ? Date.parse(text) : Number.NaN;
  return !Number.isNaN(ms) && dayOf(ms) === text;
}
