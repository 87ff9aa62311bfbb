import { expect, test } from 'vitest';
import { CacheError } from '../src/engine/cache/errors.js';
import { postgresClient } from '../src/engine/postgres/database.js';
import { createLog } from '../src/platform/log.js';

const TOKEN = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c2VyIn0.c2lnbmF0dXJlc2lnbmF0dXJl';

function logged(write: (log: ReturnType<typeof createLog>) => void): string {
  let text = '';
  write(createLog('info', { write: (line: string) => (text += line) }));
  expect(() =>
    text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)),
  ).not.toThrow();
  return text;
}

test('no token and no password gets into the log, wherever it stands', () => {
  const cause = new Error(`connect postgres://tasks:pa55-word@db:5432/tasks and redis://:pa55-word@cache failed`);
  const error = Object.assign(new Error(`refused Authorization: Bearer ${TOKEN}, and ${TOKEN} alone`, { cause }), {
    command: { name: 'auth', args: ['tasks', 'pa55-word'] },
    parameters: ['pa55-word'],
    address: 'rediss://tasks:p%40pa55-word@cache:6379',
  });
  const text = logged((log) => {
    log.error({ err: error, headers: { authorization: `Bearer ${TOKEN}`, cookie: 'pa55-word' } }, `at ${TOKEN}`);
    log.warn({ request: { headers: { authorization: 'pa55-word' } }, password: 'pa55-word', token: TOKEN });
    log.info('postgresql:///tasks?host=/run/pg&password=pa55-word&sslpassword=pa55-word');
    log.info(`Basic ${Buffer.from('tasks:pa55-word').toString('base64')} postgres://tasks:pa55-word@db/tasks`);
  });
  expect(text).not.toContain('pa55-word');
  expect(text).not.toContain('eyJ');
  expect(text).not.toContain(Buffer.from('tasks:pa55-word').toString('base64'));
  // What helps to find the fault stays.
  for (const kept of ['postgres://tasks:[hidden]@db:5432/tasks', '@cache', 'refused Authorization']) {
    expect(text).toContain(kept);
  }
});

test('an error whose message says that of its cause says it once, and what its causes add is kept', () => {
  const oom = "OOM command not allowed when used memory > 'maxmemory'.";
  const cause = new Error(`${oom} script: ${'75e9be7a'.repeat(5)}, on @user_script:13.`);
  const store = new CacheError('STORE_UNAVAILABLE', `Redis: ${cause.message}`, { cause });
  const refused = new CacheError('FENCE_REFUSED', 'the write was refused', { cause: store });
  const circle = new Error('begins', { cause: new Error('goes on') });
  (circle.cause as Error).cause = circle;
  const text = logged((log) => {
    for (const err of [store, refused, circle]) log.warn({ err }, 'failed');
  });
  const messages = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).err.message);
  expect(messages).toEqual([store.message, `the write was refused: ${store.message}`, 'begins: goes on']);
});

test('what users wrote does not get into the log with the statement that failed', async () => {
  const { drizzle } = await import('drizzle-orm/postgres-js');
  const { sql } = await import('drizzle-orm');
  const client = postgresClient('postgres://nobody:pa55-word@127.0.0.1:1/none', { max: 1 });
  const failed: unknown = await drizzle(client)
    .execute(sql`select ${'a private\nremark'} as one, ${2} as two`)
    .catch((error: unknown) => error);
  await client.end();
  expect(String(failed)).toContain('a private');
  const text = logged((log) => log.error({ err: failed }, 'a request failed'));
  expect(text).not.toContain('private');
  expect(text).not.toContain('remark');
  expect(text).toContain('select $1 as one');
  expect(text).toContain('ECONNREFUSED');
});
