/** What an operator sees of a running server: metrics of its connections and limits, and the log of what is slow. */
import type { Sql } from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { postgresClient } from '../../src/engine/postgres/database.js';
import { createMetricsServer } from '../../src/server/metrics-server.js';
import { type Answer, dataOf, eventually, headersFor, type TestApp, testApp } from '../support/app.js';
import { Gate } from '../support/barrier.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { type LiveApp, liveApp } from '../support/live.js';
import { readableLog } from '../support/log.js';
import { ownFamilies } from '../support/metrics.js';
import { checkMetrics, needsPromtool, promtoolPath } from '../support/promtool.js';
import { connect } from '../support/subscriber.js';

const { log, lines } = readableLog();

let app: LiveApp;
let f: Fixture;
let sql: Sql;
beforeAll(async () => {
  app = await liveApp({ app: { log, slowOperationMs: 200, slowStatementMs: 200 } });
  f = await fixture(app);
  sql = postgresClient(app.databaseUrl, { max: 2 });
});
afterAll(async () => {
  await sql?.end();
  await app?.close();
});

async function samples(of: TestApp = app): Promise<ReadonlyMap<string, number>> {
  const families = ownFamilies(await of.metrics.text());
  return new Map(families.flatMap((family) => [...family.samples]));
}

/** The samples of these names that are not 0. */
async function counted(prefix: string, of: TestApp = app): Promise<Record<string, number>> {
  const found = [...(await samples(of))].filter(([name, value]) => name.startsWith(prefix) && value !== 0);
  return Object.fromEntries(found.map(([name, value]) => [name.slice(prefix.length), value]));
}

/** Runs while no one can use the table. */
async function whileLocked(table: string, run: () => Promise<void>): Promise<void> {
  const gate = new Gate();
  const locked = sql.begin(async (tx) => {
    await tx.unsafe(`lock table ${table} in access exclusive mode`);
    await gate.pass();
  });
  await gate.arrived;
  try {
    await run();
  } finally {
    gate.open();
    await locked;
  }
}

/** Statements that have waited for a lock for so long. */
async function waitingFor(ms: number): Promise<number> {
  const [row] = await sql`select count(*)::int as n from pg_stat_activity where datname = current_database()
    and wait_event_type = 'Lock' and clock_timestamp() - query_start > ${ms} * interval '1 ms'`;
  return row?.['n'];
}

test('every policy has its samples before its first call', async () => {
  const found = await samples();
  for (const name of ['Comment', 'Project.burndown', 'TaskPageRelativeHeavy']) {
    expect([name, found.get(`cache_violations_total{name="${name}"}`)]).toEqual([name, 0]);
    expect([name, found.get(`cache_calls_total{name="${name}",outcome="near-hit"}`)]).toEqual([name, 0]);
    expect([name, found.get(`cache_load_duration_seconds_count{name="${name}"}`)]).toEqual([name, 0]);
  }
});

test('loads are timed by policy, trips to Redis by kind', async () => {
  const before = await samples();
  dataOf(await app.ask('{ project(key: "WEB") { id tasks { nodes { title } } } }', { as: f.ada.id }));
  await app.ask(`mutation { updateProject(input: { id: "${f.web.id}", name: "Web" }) { project { id } } }`, {
    as: f.ada.id,
  });
  const after = await samples();
  const grown = (name: string) => (after.get(name) ?? 0) - (before.get(name) ?? 0);
  expect(grown('cache_load_duration_seconds_count{name="ProjectKey"}')).toBe(1);
  expect(grown('cache_load_duration_seconds_sum{name="ProjectKey"}')).toBeGreaterThan(0);
  expect(grown('cache_load_duration_seconds_bucket{le="+Inf",name="ProjectKey"}')).toBe(1);
  expect(grown('cache_redis_trip_duration_seconds_count{kind="read"}')).toBeGreaterThan(0);
  expect(grown('cache_redis_trip_duration_seconds_count{kind="fence"}')).toBe(1);
  expect(after.get('cache_redis_up')).toBe(1);
  expect(await counted('cache_redis_reconnects_total')).toEqual({});
});

test('connections to Postgres in use and waiting are counted in both pools', async () => {
  const pools = async () => {
    const { read: _, ...found } = await counted('tasks_postgres_pool_');
    return found;
  };
  const idle = { 'connections{pool="read"}': 10, 'connections{pool="write"}': 5 };
  await eventually(async () => expect(await pools()).toEqual(idle));
  const answers: Promise<Answer>[] = [];
  await whileLocked('tasks', async () => {
    for (const { id } of f.opsTasks.slice(0, 3)) {
      const document = `mutation { updateTask(input: { id: "${id}", title: "x" }) { task { id } } }`;
      answers.push(app.ask(document, { as: f.ada.id }));
    }
    answers.push(app.ask('{ tasks(first: 3) { totalCount } }', { as: f.bob.id }));
    // One viewer has two of the five connections for writes; its third write waits.
    await eventually(async () =>
      expect(await pools()).toEqual({
        ...idle,
        'in_use{pool="read"}': 1,
        'in_use{pool="write"}': 2,
        'waiting{pool="write"}': 1,
      }),
    );
  });
  for (const answer of answers) expect((await answer).errors).toBeUndefined();
  await eventually(async () => expect(await pools()).toEqual(idle));
});

test('WebSockets and subscriptions that are open are counted', async () => {
  const open = async () => [await counted('tasks_websockets_open'), await counted('tasks_subscriptions_open')];
  expect(await open()).toEqual([{}, {}]);
  const connection = connect(app, f.ada.id);
  const one = await connection.subscribe();
  await connection.subscribe();
  expect(await open()).toEqual([{ '': 1 }, { '': 2 }]);
  one.stop();
  await eventually(async () => expect(await open()).toEqual([{ '': 1 }, { '': 1 }]));
  await connection.close();
  await eventually(async () => expect(await open()).toEqual([{}, {}]));
});

describe('refusals of callers over a limit', () => {
  const QUERY = '{ viewer { handle } }';

  async function limited(points: number, run: (limited: LiveApp) => Promise<void>): Promise<void> {
    const other = await liveApp({
      databaseUrl: app.databaseUrl,
      nearCacheBytes: 16 * 1024 * 1024,
      app: { rateLimit: { points, seconds: 3600 } },
    });
    try {
      await run(other);
    } finally {
      await other.close();
    }
  }

  test('are counted once each, by limit, however the request was about to be answered', async () => {
    await limited(10, async (other) => {
      expect(await counted('tasks_rate_limited_total', other)).toEqual({});
      let refused = 0;
      for (let i = 0; i < 20; i++) if ((await other.ask(QUERY, { as: f.ada.id })).status === 429) refused++;
      expect(refused).toBeGreaterThan(5);
      expect(await counted('tasks_rate_limited_total', other)).toEqual({ '{limit="viewer"}': refused });
      expect(await counted('tasks_errors_total', other)).toEqual({ '{code="RATE_LIMITED"}': refused });
    });
  });

  test('name the address, too', async () => {
    await limited(1, async (other) => {
      for (let i = 0; i < 22; i++) await other.ask(QUERY, { as: f.ada.id });
      const found = await counted('tasks_rate_limited_total', other);
      expect(found).toEqual({ '{limit="viewer"}': expect.any(Number), '{limit="address"}': 2 });
    });
  });
});

describe('what is slow is logged', () => {
  const slow = (msg: string) => lines.filter((line) => line.msg === msg);

  test('an operation with its name, viewer, time and id, a statement with its text and without its values', async () => {
    const [task] = f.opsTasks;
    lines.length = 0;
    let answer: Promise<Answer> | undefined;
    await whileLocked('comments', async () => {
      answer = app.ask('query Discussion($id: ID!) { task(id: $id) { comments(first: 7) { nodes { body } } } }', {
        as: f.ada.id,
        variables: { id: task?.id },
        headers: { 'x-request-id': 'slow-1' },
      });
      await eventually(async () => expect(await waitingFor(250)).toBe(1));
    });
    expect((await answer)?.errors).toBeUndefined();
    expect(slow('slow operation')).toEqual([
      expect.objectContaining({
        level: 40,
        requestId: 'slow-1',
        operation: 'Discussion',
        viewer: f.ada.id,
        answered: 'apollo',
        status: 200,
        ms: expect.any(Number),
      }),
    ]);
    const [statement, ...others] = slow('slow statement');
    expect(others).toEqual([]);
    expect(statement).toMatchObject({ level: 40, statement: expect.stringContaining('"comments"') });
    expect(Number(statement?.['ms'])).toBeGreaterThanOrEqual(250);
    expect(JSON.stringify(statement)).not.toContain(task?.id as string);
  });

  test('a statement that writes, too', async () => {
    const [task] = f.opsTasks;
    lines.length = 0;
    let answer: Promise<Answer> | undefined;
    await whileLocked('tasks', async () => {
      const document = `mutation { updateTask(input: { id: "${task?.id}", title: "A value" }) { task { id } } }`;
      answer = app.ask(document, { as: f.ada.id });
      await eventually(async () => expect(await waitingFor(250)).toBe(1));
    });
    expect((await answer)?.errors).toBeUndefined();
    const [statement] = slow('slow statement');
    expect(statement).toMatchObject({
      statement: expect.stringContaining('from update_task('),
      ms: expect.any(Number),
    });
    expect(JSON.stringify(lines)).not.toContain('A value');
  });

  test('and nothing is, where the limits are 0', async () => {
    const own = readableLog();
    const quiet = await testApp({
      databaseUrl: app.databaseUrl,
      app: { log: own.log, slowOperationMs: 0, slowStatementMs: 0 },
    });
    try {
      let answer: Promise<Answer> | undefined;
      await whileLocked('comments', async () => {
        const variables = { id: f.opsTasks[1]?.id };
        const document = 'query($id: ID!) { task(id: $id) { comments(first: 7) { nodes { body } } } }';
        answer = quiet.ask(document, { as: f.ada.id, variables });
        await eventually(async () => expect(await waitingFor(250)).toBe(1));
      });
      expect((await answer)?.errors).toBeUndefined();
      expect(own.lines.filter(({ msg }) => msg.startsWith('slow'))).toEqual([]);
    } finally {
      await quiet.close();
    }
  });
});

describe('on an address of their own', () => {
  test('metrics and health need no token in production, and the API is not there', async () => {
    const production = await testApp({ databaseUrl: app.databaseUrl, app: { production: true } });
    const server = createMetricsServer(production);
    const url = await server.listen({ port: 0, host: '127.0.0.1' });
    try {
      expect((await production.server.inject({ url: '/metrics' })).statusCode).toBe(401);
      const metrics = await fetch(`${url}/metrics`);
      expect([metrics.status, metrics.headers.get('content-type')]).toEqual([
        200,
        expect.stringContaining('text/plain'),
      ]);
      expect(await metrics.text()).toContain('\ntasks_build_info{');
      expect(await (await fetch(`${url}/healthz`)).json()).toEqual({ status: 'ok' });
      expect(await (await fetch(`${url}/readyz`)).json()).toEqual({ postgres: 'up', redis: 'up' });
      production.drain();
      expect((await fetch(`${url}/readyz`)).status).toBe(503);
      const headers = { ...(await headersFor({ as: f.ada.id })), 'content-type': 'application/json' };
      const api = await fetch(`${url}/graphql`, { method: 'POST', headers, body: '{"query":"{ viewer { id } }"}' });
      expect(api.status).toBe(404);
    } finally {
      await server.close();
      await production.close();
    }
  });
});

test.skipIf(promtoolPath === undefined)(
  `promtool finds nothing wrong with the metrics of a used server${needsPromtool}`,
  async () => {
    const blocks = (await app.metrics.text()).split(/\n(?=# HELP )/);
    const own = blocks.filter((block) => /^# HELP (cache|graphql|tasks)_/.test(block)).map((block) => block.trim());
    expect(own.length).toBeGreaterThan(20);
    expect(checkMetrics(`${own.join('\n')}\n`)).toBe('');
  },
);
