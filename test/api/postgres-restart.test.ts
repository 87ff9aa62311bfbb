/** Subscriptions and reads while Postgres is away and when it is back: events wait and are told in order. */
import type { Sql } from 'postgres';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { toUuid } from '../../src/db/ids.js';
import { postgresClient } from '../../src/engine/postgres/database.js';
import { MINUTE } from '../../src/std/time.js';
import { dataOf, eventually } from '../support/app.js';
import { Gate } from '../support/barrier.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { type LiveApp, liveApp } from '../support/live.js';
import { type RestartablePostgres, restartablePostgres } from '../support/restartable-postgres.js';
import { intercepted } from '../support/stores.js';
import { type Connection, connect, type Subscription } from '../support/subscriber.js';

let postgres: RestartablePostgres;
let app: LiveApp;
let sql: Sql;
let f: Fixture;
/** As when the connection to Redis was lost: every subscription reads its viewer's memberships. */
let loseNews = () => {};
const connections: Connection[] = [];

beforeAll(async () => {
  postgres = await restartablePostgres();
  app = await liveApp({
    databaseUrl: postgres.url,
    wrap: (store) => ({
      ...intercepted(store, () => {}),
      subscribe: (hear) => {
        loseNews = () => hear({ kind: 'disconnected' });
        return store.subscribe(hear);
      },
    }),
  });
  sql = postgresClient(postgres.url, { max: 1 });
  f = await fixture(app);
});
afterEach(async () => {
  await Promise.all(connections.splice(0).map((connection) => connection.close()));
  await eventually(() => expect(app.taskEvents.subscribers).toBe(0));
});
afterAll(async () => {
  await sql?.end();
  await app?.close();
  await postgres?.close();
});

function connected(): Connection {
  const connection = connect(app, f.ada.id);
  connections.push(connection);
  return connection;
}

const task = (i: number) => (f.opsTasks[i] as Fixture['opsTasks'][number]).id;
const rename = (i: number, title: string) =>
  sql`update tasks set title = ${title}, version = version + 1 where id = ${toUuid(task(i))}`;

/** Repeats what only reads or may be repeated, until Postgres takes it. */
async function persist<T>(work: () => PromiseLike<T>): Promise<T> {
  let result: T | undefined;
  await eventually(async () => {
    result = await work();
  });
  return result as T;
}

function toldBy({ changes }: Subscription) {
  return changes.map(({ taskId, version }) => [taskId, version]);
}

function titlesOf({ changes }: Subscription) {
  return changes.map(({ task }) => task?.title);
}

describe('a subscription', () => {
  test(
    'that is told of a commit before Postgres goes tells it, complete, when Postgres is back, and goes on in order',
    async () => {
      const connection = connected();
      const one = await connection.subscribe({ taskId: task(0) });
      const all = await connection.subscribe();
      await rename(0, 'Before');
      await eventually(() => expect([one, all].map(titlesOf)).toEqual([['Before'], ['Before']]));
      // Committed, and Postgres goes before anything has been read of it.
      await rename(0, 'Last before the end');
      await postgres.stop();
      // Without a lease nothing answers from the cache.
      await eventually(async () => expect((await app.cache.store.head()).leaseLeftMs).toBe(0));
      app.reset();
      loseNews();
      // It has been asked more than once whether it is back.
      await eventually(() =>
        expect(app.counts.statements.filter((text) => text === 'select 1').length).toBeGreaterThan(1),
      );
      expect([one.ended, all.ended, connection.socket().readyState]).toEqual([false, false, WebSocket.OPEN]);
      await postgres.start();
      await persist(() => rename(1, 'First after the beginning'));
      await persist(() => rename(0, 'Second after the beginning'));
      const expected: [string, number][] = [
        [task(0), 2],
        [task(0), 3],
        [task(1), 2],
        [task(0), 4],
      ];
      await eventually(() => expect(toldBy(all)).toEqual(expected));
      await eventually(() => expect(toldBy(one)).toEqual(expected.filter(([id]) => id === task(0))));
      for (const change of [...one.changes, ...all.changes]) {
        expect(change.task?.version).toBeGreaterThanOrEqual(change.version);
      }
      expect([...one.errors, ...all.errors, one.ended, all.ended]).toEqual([false, false]);
    },
    2 * MINUTE,
  );

  test(
    'whose event is being executed when Postgres goes executes it again when Postgres is back',
    async () => {
      const document = `subscription($taskId: ID) {
      taskChanged(taskId: $taskId) { version task { title version comments { totalCount } } }
    }`;
      const connection = connected();
      const before = app.taskEvents.subscribers;
      const told = connection.send(document, { taskId: task(2) });
      await eventually(() => expect(app.taskEvents.subscribers).toBe(before + 1));
      // A lock keeps the count of comments, which nothing has cached, until Postgres goes.
      const locked = new Gate();
      const holding = sql
        .begin(async (tx) => {
          await tx`lock table comments in access exclusive mode`;
          await locked.pass();
        })
        .catch(() => {}); // ends with its connection
      await locked.arrived;
      const other = postgresClient(postgres.url, { max: 1 });
      await other`update tasks set title = 'Held', version = version + 1 where id = ${toUuid(task(2))}`;
      await eventually(async () => {
        const waiting =
          await other`select from pg_stat_activity where wait_event_type = 'Lock' and query like '%comments%'`;
        expect(waiting).toHaveLength(1);
      });
      await postgres.stop();
      locked.open();
      await holding;
      expect(told.changes).toEqual([]);
      await postgres.start();
      await eventually(() =>
        expect(told.changes).toMatchObject([{ task: { title: 'Held', comments: { totalCount: 1 } } }]),
      );
      expect([told.errors, told.ended]).toEqual([[], false]);
      await other.end();
    },
    2 * MINUTE,
  );

  test(
    'that is asked for while Postgres is away begins when it is back',
    async () => {
      const connection = connected();
      await connection.subscribe(); // so that the token's user is known
      await postgres.stop();
      const told = connection.send('subscription { taskChanged { task { title } } }');
      await rename(3, 'Never written').catch(() => {});
      expect(told.errors).toEqual([]);
      await postgres.start();
      await eventually(() => expect(app.taskEvents.subscribers).toBe(2));
      await persist(() => rename(3, 'After that'));
      await eventually(() => expect(titlesOf(told)).toEqual(['After that']));
      expect(told.errors).toEqual([]);
    },
    2 * MINUTE,
  );
});

test('a query whose statement is under way when connections die is answered', async () => {
  const locked = new Gate();
  const holding = sql.begin(async (tx) => {
    await tx`lock table comments in access exclusive mode`;
    await locked.pass();
  });
  await locked.arrived;
  const other = postgresClient(postgres.url, { max: 1 });
  const document = 'query($id: ID!) { task(id: $id) { comments(first: 3) { nodes { body } } } }';
  // With a trace it runs once; without, a query that failed is run again as a whole.
  const asking = app.ask(document, { as: f.ada.id, variables: { id: task(4) }, trace: true });
  await eventually(async () => {
    const killed = await other`
      select pg_terminate_backend(pid) from pg_stat_activity where wait_event_type = 'Lock' and query like '%comments%'`;
    expect(killed).toHaveLength(1);
  });
  locked.open();
  await holding;
  expect(dataOf(await asking).task.comments.nodes).toEqual([{ body: 'Noted.' }]);
  await other.end();
});
