/** Live queries over WebSockets: what a client is sent, when, and when it no longer is. */
import type { Sql } from 'postgres';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { toUuid, type UserId } from '../../src/db/ids.js';
import { postgresClient } from '../../src/engine/postgres/database.js';
import { dataOf, eventually } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { type LiveApp, liveApp } from '../support/live.js';
import { LiveSocket, type Operation, post, type Received } from '../support/live-client.js';

const BOARD = `query Board($key: String!) @live {
  project(key: $key) { name tasks(first: 50) { nodes { id title status assignee { name } } } }
}`;
const NEAR = { nearCacheBytes: 16 * 1024 * 1024 };

let app: LiveApp;
/** Another process, which writes. */
let other: LiveApp;
let sql: Sql;
let f: Fixture;
const sockets: LiveSocket[] = [];

beforeAll(async () => {
  app = await liveApp(NEAR);
  other = await liveApp({ ...NEAR, databaseUrl: app.databaseUrl, group: app.group });
  sql = postgresClient(app.databaseUrl, { max: 2 });
  f = await fixture(app);
});
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.close();
});
afterAll(async () => {
  await sql?.end();
  await other?.close();
  await app?.close();
});

const board: Operation = { query: BOARD, variables: { key: 'OPS' } };
const task = (i: number) => (f.opsTasks[i] as Fixture['opsTasks'][number]).id;

async function connected(as: UserId = f.ada.id, token?: string): Promise<LiveSocket> {
  const socket = await LiveSocket.open(app, as, token);
  sockets.push(socket);
  return socket;
}

async function rename(i: number, title: string, by = other): Promise<void> {
  const document = 'mutation($input: UpdateTaskInput!) { updateTask(input: $input) { errors { message } } }';
  const answer = await by.ask(document, { as: f.ada.id, variables: { input: { id: task(i), title } } });
  expect(dataOf(answer).updateTask.errors).toEqual([]);
}

/** Waits until the last answer is that of a POST. */
async function current({ answers }: Received, operation: Operation = board, as = f.ada.id): Promise<void> {
  const { text } = await post(app, as, operation);
  await eventually(() => expect(answers.at(-1)).toBe(text));
}

describe('a live query', () => {
  test('is answered as by POST, byte for byte, and again after each change', async () => {
    const live = (await connected()).subscribe(board);
    await current(live);
    expect(live.answers).toHaveLength(1);
    await rename(0, 'By this process', app);
    await current(live);
    expect(live.answers.at(-1)).toContain('By this process');
    await rename(1, 'By another process');
    await current(live);
    expect(live.answers.at(-1)).toContain('By another process');
    await sql`update tasks set title = 'By psql' where id = ${toUuid(task(2))}`;
    await eventually(() => expect(live.answers.at(-1)).toContain('By psql'));
    await current(live);
    expect(live.answers).toHaveLength(4);
    expect(live).toMatchObject({ errors: [], completed: false });
  });
});
