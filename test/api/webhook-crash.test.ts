/**
 * Processes that are killed with SIGKILL lose no message: one that dies after a commit and before any process has
 * looked at the event, and one that dies while the receiver has the message and has not responded.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Sql } from 'postgres';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { postgresClient } from '../../src/engine/postgres/database.js';
import { dataOf, eventually, type TestApp, testApp } from '../support/app.js';
import { compiledPrograms } from '../support/built.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { Receiver } from '../support/receiver.js';
import { redisUrl } from '../support/servers.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

let app: TestApp;
let f: Fixture;
let sql: Sql;
let receiver: Receiver;
let program: string;
let child: ChildProcess | undefined;

beforeAll(async () => {
  program = join(await compiledPrograms(), 'test', 'api', 'webhook-child.js');
  app = await testApp({ app: { webhooks: { allowPrivate: true } } });
  f = await fixture(app);
  sql = postgresClient(app.databaseUrl, { max: 1 });
  receiver = await new Receiver().listen();
});
afterAll(async () => {
  child?.kill('SIGKILL');
  await receiver?.close();
  await sql?.end();
  await app?.close();
});

/** A process that delivers. */
async function deliverer(): Promise<ChildProcess> {
  const started = spawn(process.execPath, [program], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      ...process.env,
      CHILD_DATABASE_URL: app.databaseUrl,
      CHILD_REDIS_URL: redisUrl(),
      CHILD_GROUP: app.group,
    },
  });
  child = started;
  await once(started.stdout as NonNullable<typeof started.stdout>, 'data');
  return started;
}

async function killed(process: ChildProcess): Promise<void> {
  const ended = once(process, 'exit');
  process.kill('SIGKILL');
  await ended;
}

async function mutate(name: string, input: object) {
  const type = `${name[0]?.toUpperCase()}${name.slice(1)}Input`;
  const document = `mutation($input: ${type}!) { ${name}(input: $input) { errors { message } } }`;
  const answer = await app.ask(document, { as: f.ada.id, variables: { input } });
  expect(dataOf(answer)[name].errors).toEqual([]);
}

test('the next process sends what was committed while none ran, and again what one was sending when it died', async () => {
  await mutate('createWebhook', { projectId: f.ops.id, url: receiver.url });
  const [task] = f.opsTasks;
  const renamed = (title: string) => mutate('updateTask', { id: task?.id, title });
  const versions = () => receiver.received.map(({ json }) => json.data.version);

  // The first process dies with one message at the receiver, which never responds to it.
  receiver.reply = () => {};
  const first = await deliverer();
  await renamed('Sent twice');
  await eventually(() => expect(versions()).toEqual([2]));
  await renamed('Waits for its turn');
  await killed(first);
  await renamed('Committed while no process delivers');
  const [attempt] = await sql`select state, attempts, due_at > now() as leased from webhook_deliveries order by seq`;
  expect(attempt).toEqual({ state: 'PENDING', attempts: 1, leased: true });

  // Its lease ends. A second one finds all of it in Postgres.
  await sql`update webhook_deliveries set due_at = now()`;
  receiver.reply = (_, response) => response.end();
  await deliverer();
  await eventually(() => expect(versions()).toEqual([2, 2, 3, 4]));
  const ids = receiver.received.map(({ headers }) => headers['webhook-id']);
  expect(ids[0]).toBe(ids[1]);
  expect(new Set(ids).size).toBe(3);
});
