/** The console's data: what all processes do, seen by one who may. */
import { Redis } from 'ioredis';
import type { Sql } from 'postgres';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type TaskId, toUuid, type UserId } from '../../src/db/ids.js';
import { postgresClient } from '../../src/engine/postgres/database.js';
import type { VerifiedToken } from '../../src/graphql/identity.js';
import { type AskOptions, dataOf, eventually } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { type LiveApp, liveApp } from '../support/live.js';
import { redisUrl } from '../support/servers.js';
import { type Message, type Watcher, watch } from '../support/watcher.js';

const NEAR_CACHE_BYTES = 16 * 1024 * 1024;

/** Signatures are another test's: here a token is a user's id and scopes. */
const verifyToken = async (token: string): Promise<VerifiedToken> => {
  const [subject = '', ...scopes] = token.split(' ');
  return { subject, scopes, expiresAtMs: Date.now() + 600_000, profile: {} };
};
const bearer = (as: UserId, ...scopes: string[]) => `Bearer ${[as, ...scopes].join(' ')}`;

let app: LiveApp;
/** Another process. */
let other: LiveApp;
let sql: Sql;
let redis: Redis;
let f: Fixture;
const watchers: Watcher[] = [];

beforeAll(async () => {
  const options = { nearCacheBytes: NEAR_CACHE_BYTES, app: { verifyToken, production: true } };
  app = await liveApp(options);
  other = await liveApp({ ...options, databaseUrl: app.databaseUrl, group: app.group });
  sql = postgresClient(app.databaseUrl, { max: 1 });
  redis = new Redis(redisUrl());
  f = await fixture(app);
});
afterEach(async () => {
  await Promise.all(watchers.splice(0).map((watcher) => watcher.stop()));
});
afterAll(async () => {
  redis?.disconnect();
  await sql?.end();
  await other?.close();
  await app?.close();
});

const asAda: AskOptions = {
  headers: {
    get authorization() {
      return bearer(f.ada.id);
    },
  },
};

function watching(of: LiveApp = app): Watcher {
  const watcher = watch(of, bearer(f.eve.id, 'cache:admin'));
  watchers.push(watcher);
  return watcher;
}

/** Waits until both processes send samples. */
async function withBoth(watcher: Watcher): Promise<void> {
  await eventually(() => expect(watcher.messages.at(-1)?.processes).toHaveLength(2));
}

/** A number summed over all messages. */
const sum = (watcher: Watcher, read: (message: Message) => number | undefined) =>
  watcher.messages.reduce((total, message) => total + (read(message) ?? 0), 0);

const ofOperation = (name: string) => (message: Message) =>
  message.operations.find((operation) => operation.name === name)?.count;

test('a subscription without the scope cache:admin is refused with FORBIDDEN', async () => {
  const watcher = watch(app, bearer(f.ada.id, 'cache:trace'));
  watchers.push(watcher);
  await eventually(() => expect(watcher.errors).toHaveLength(1));
  expect(watcher.errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
  expect(watcher.messages).toEqual([]);
});

test('a watcher of one process sees what every process has answered, each operation once', async () => {
  const watcher = watching();
  await withBoth(watcher);
  const query = 'query Counted { task(identifier: "OPS-1") { title assignee { name } } }';
  for (const process of [app, other]) {
    for (let i = 0; i < 5; i++) dataOf(await process.ask(query, asAda));
  }
  await eventually(() => expect(sum(watcher, ofOperation('Counted'))).toBe(10));
  const counted = watcher.messages.flatMap(({ operations }) => operations.filter(({ name }) => name === 'Counted'));
  for (const { p50Ms } of counted) expect(p50Ms).toBeGreaterThan(0);
  expect(sum(watcher, ({ work }) => Object.values(work.answered).reduce((a, b) => a + b, 0))).toBe(
    sum(watcher, ({ work }) => work.operations),
  );
  expect(sum(watcher, ({ work }) => work.answered['kept'])).toBeGreaterThan(0);
  expect(sum(watcher, ({ work }) => work.sqlStatementsSaved)).toBeGreaterThan(0);
});

test('an operation counts under the most expensive of its values: from Postgres, Redis or memory, or past the cache', async () => {
  const watcher = watching();
  await withBoth(watcher);
  // What every operation reads of its viewer and project is known to both processes.
  for (const process of [app, other, app, other]) {
    dataOf(await process.ask('query Before { task(identifier: "OPS-4") { title } }', asAda));
    await process.settled();
  }
  const shown = '{ task(identifier: "OPS-3") { title } }';
  dataOf(await app.ask(`query Cold ${shown}`, asAda));
  await app.settled();
  dataOf(await other.ask(`query Stored ${shown}`, asAda));
  dataOf(await other.ask(`query Warm ${shown}`, asAda));
  const write = 'mutation Write ($input: UpdateTaskInput!) { updateTask(input: $input) { errors { message } } }';
  const variables = { input: { id: f.opsTasks[3]?.id, title: 'Past the cache' } };
  dataOf(await other.ask(write, { ...asAda, variables }));
  const placesOf = (name: string) =>
    watcher.messages
      .flatMap(({ operations }) => operations.filter((operation) => operation.name === name))
      .flatMap(({ answered }) => Object.entries(answered).filter(([, count]) => count > 0));
  const places = ['postgres', 'redis', 'memory', 'bypassed'];
  await eventually(() =>
    expect(['Cold', 'Stored', 'Warm', 'Write'].map(placesOf)).toEqual(places.map((place) => [[place, 1]])),
  );
});

test('a watcher sees writes of another process and of psql, and can tell them apart', async () => {
  const watcher = watching();
  await withBoth(watcher);
  const task = f.opsTasks[0]?.id as TaskId;
  const shown = 'query Shown { task(identifier: "OPS-1") { title } }';
  dataOf(await app.ask(shown, asAda));
  await app.settled();
  dataOf(await app.ask(shown, asAda));
  const input = { id: task, title: 'By the API' };
  const update = 'mutation ($input: UpdateTaskInput!) { updateTask(input: $input) { errors { message } } }';
  dataOf(await other.ask(update, { ...asAda, variables: { input } }));
  await sql`update tasks set title = 'By psql', version = version + 1 where id = ${toUuid(task)}`;
  const seen = () => watcher.messages.flatMap(({ invalidations }) => invalidations);
  const tag = `tasks:id=${toUuid(task)}`;
  await eventually(() => {
    const origins = seen()
      .filter(({ tags }) => tags.includes(tag))
      .map(({ origin }) => origin);
    expect(origins).toEqual(['API', 'OUTSIDE']);
  });
  for (const { transactions, tables, knownAfterMs } of seen()) {
    expect(transactions).toEqual([expect.stringMatching(/^\d+$/)]);
    expect(tables).toContain('tasks');
    expect(knownAfterMs).toBeGreaterThanOrEqual(0);
  }
  expect(seen()[0]?.oldEntries).toBeGreaterThan(0);
});

test('nothing is exchanged while no one watches, though every tick of a relay asks', async () => {
  const [samples, wanted] = [`smp:{${app.group}}`, `want:{${app.group}}`];
  const watcher = watching();
  await withBoth(watcher);
  expect(await redis.exists(samples, wanted)).toBe(2);
  await watcher.stop();
  await eventually(async () => expect(await redis.exists(samples, wanted)).toBe(0));
  const monitor = new Redis(redisUrl(), { monitor: true });
  try {
    monitor.on('error', () => undefined); // ioredis takes a line for one when it comes with the reply to MONITOR
    await eventually(() => expect(monitor.status).toBe('monitoring'));
    const commands: string[] = [];
    monitor.on('monitor', (_, [command = '', ...args]: string[]) => {
      if (args.includes(samples) || args.includes(wanted)) commands.push(command.toUpperCase());
    });
    await eventually(() => expect(commands.length).toBeGreaterThan(3));
    expect(new Set(commands)).toEqual(new Set(['EXISTS'])); // inside HEAD
  } finally {
    monitor.disconnect();
  }
});
