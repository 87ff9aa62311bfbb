/** Connections that are lost again while ioredis restores them: its own commands fail then, and end no process. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openConnection } from '../../src/engine/redis/connection.js';
import { listenTo } from '../../src/engine/redis/listener.js';
import { eventually } from '../support/app.js';
import { type Reply, type ScriptedRedis, startScripted } from '../support/scripted-redis.js';

const unhandled: unknown[] = [];
const note = (reason: unknown) => unhandled.push(reason);
let redis: ScriptedRedis | undefined;
beforeEach(() => void process.on('unhandledRejection', note));
afterEach(async () => {
  process.off('unhandledRejection', note);
  unhandled.length = 0;
  await redis?.stop();
});

/** A server whose second connection ends with the command of this name. @returns how often that came, by connection */
async function losing(command: string): Promise<Map<number, number>> {
  const seen = new Map<number, number>();
  redis = await startScripted(([name = ''], connection): Reply => {
    if (name === command) {
      seen.set(connection, (seen.get(connection) ?? 0) + 1);
      if (connection === 2) return 'close';
    }
    if (name === 'INFO')
      return `# Server\r\nredis_version:7.2.0\r\nrun_id:${'a'.repeat(40)}\r\nrole:master\r\nloading:0\r\n`;
    if (name === 'SUBSCRIBE') return ['subscribe', 'news', 1];
    return 'OK';
  });
  return seen;
}

test('a listener that is lost while it subscribes again', async () => {
  const seen = await losing('SUBSCRIBE');
  let gaps = 0;
  const stop = listenTo({ url: `redis://127.0.0.1:${redis?.port}` }, 'news', {
    waitMs: 1000,
    heard() {},
    gap: () => gaps++,
  });
  await eventually(() => expect(seen.get(1)).toBe(1));
  redis?.drop();
  await eventually(() => expect(seen.get(3)).toBe(1));
  stop();
  await new Promise(setImmediate);
  expect(unhandled).toEqual([]);
  expect(seen.get(2)).toBe(1);
});

test('a client that is lost while it selects its database again', async () => {
  const seen = await losing('SELECT');
  const connection = openConnection({ url: `redis://127.0.0.1:${redis?.port}/5` }, { waitMs: 1000 });
  await eventually(() => expect(seen.get(1)).toBeGreaterThan(0));
  redis?.drop();
  await eventually(() => expect(seen.get(3)).toBeGreaterThan(0));
  connection.end();
  await new Promise(setImmediate);
  expect(unhandled).toEqual([]);
});
