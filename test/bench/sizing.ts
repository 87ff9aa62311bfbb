/**
 * What a process and its Redis need: the tables of docs/operations.md. A report, not a test: `npm run build`, then
 * `node --import tsx test/bench/sizing.ts` prints Markdown. Linux: memory is read from /proc. BENCH_TASKS (10000): tasks that are read;
 * BENCH_REQUESTS (10000): what each process is asked.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { fromUuid, toUuid } from '../../src/db/ids.js';
import { migrateDatabase } from '../../src/db/migrate.js';
import { freePort } from '../../src/development/embedded/child.js';
import { openDatabase, postgresClient } from '../../src/engine/postgres/database.js';
import { signToken } from '../../src/server/auth/tokens.js';
import { type Fixture, writeFixture } from '../support/fixture.js';
import { PRODUCTION_FLAGS } from '../support/production-flags.js';
import { type StartedServers, startServers } from '../support/services.js';

const TASKS = Number(process.env['BENCH_TASKS'] ?? 10_000);
const REQUESTS = Number(process.env['BENCH_REQUESTS'] ?? 10_000);
const CLIENTS = 16;
const PAGE = 100;
const NEAR_CACHE_MB = [0, 64, 256];
const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
const SECRET = 'x'.repeat(32);

const TASK = 'identifier title status priority version assignee { name } labels(first: 10) { nodes { name } }';
const ONE = `query One($id: ID!) { task(id: $id) { ${TASK} } }`;
const DONE = 'mutation Done($id: ID!) { completeTask(input: { id: $id }) { task { status } } }';
const LIST = `query List($after: String) { tasks(first: ${PAGE}, after: $after) { nodes { ${TASK} } pageInfo { endCursor } } }`;

interface Api {
  readonly child: ChildProcess;
  readonly agent: Agent;
  readonly port: number;
  readonly metricsPort: number;
  /** Of two viewers: one alone gets half of a process's loads and writes. */
  readonly tokens: readonly string[];
}

async function fill(databaseUrl: string): Promise<Fixture> {
  await migrateDatabase(databaseUrl);
  const database = openDatabase({ url: databaseUrl });
  const fixture = await database.write.transaction((tx) => writeFixture(tx, 1));
  await database.close();
  const sql = postgresClient(databaseUrl, { max: 1 });
  const [project, creator] = [toUuid(fixture.ops.id), toUuid(fixture.ada.id)];
  await sql`
    insert into tasks (id, project_id, number, title, description, assignee_id, creator_id)
    select gen_random_uuid(), ${project}, n, 'A task with a title of usual length, number ' || n, repeat('words ', 40), ${creator}, ${creator}
    from generate_series(2, ${TASKS}::int) n`;
  await sql`
    insert into task_labels (project_id, task_id, label_id)
    select t.project_id, t.id, l.id from tasks t join labels l using (project_id) where t.number > 1 and t.project_id = ${project}`;
  await sql`analyze`;
  await sql.end();
  return fixture;
}

async function start(servers: StartedServers, nearCacheMb: number, tokens: readonly string[]): Promise<Api> {
  const [port, metricsPort] = [await freePort(), await freePort()];
  const child = spawn(process.execPath, [...PRODUCTION_FLAGS, MAIN], {
    env: {
      ...{ PATH: process.env['PATH'] ?? '', NODE_ENV: 'production', LOG_LEVEL: 'error', PORT: String(port) },
      ...{ DATABASE_URL: servers.databaseUrl, REDIS_URL: servers.redisUrl, JWT_SECRET: SECRET, SHUTDOWN_DELAY_MS: '0' },
      ...{ NEAR_CACHE_MB: String(nearCacheMb), RATE_LIMIT_POINTS: '0', TIME_LIMITS: 'off' },
      METRICS_PORT: String(metricsPort),
    },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const api = { child, port, metricsPort, tokens, agent: new Agent({ keepAlive: true, maxSockets: CLIENTS }) };
  for (let ready = false; !ready; ) {
    ready = await fetch(`http://127.0.0.1:${port}/readyz`).then(
      async (answer) => ((await answer.json()) as { redis: string }).redis === 'up',
      () => false,
    );
    if (child.exitCode !== null) throw new Error('the server did not start: npm run build first');
  }
  return api;
}

async function stop({ child, agent }: Api): Promise<void> {
  agent.destroy();
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  await gone;
}

async function ask({ port, agent, tokens }: Api, body: object, n = 0): Promise<{ data: Record<string, unknown> }> {
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${tokens[n % tokens.length]}` };
  const sent = request({ port, agent, method: 'POST', path: '/graphql', headers });
  sent.end(JSON.stringify(body));
  const [response] = await once(sent, 'response');
  let text = '';
  for await (const chunk of response) text += chunk;
  const answer = JSON.parse(text);
  if (answer.errors !== undefined) throw new Error(text);
  return answer;
}

async function mibOf({ child }: Api): Promise<number> {
  const status = await readFile(`/proc/${child.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
}

/** Calls `work` with 0, 1, 2 … by all clients, until `isOver`. */
async function byAll(work: (n: number) => Promise<unknown>, isOver: (n: number) => boolean): Promise<void> {
  let next = 0;
  const client = async () => {
    for (let n = next++; !isOver(n); n = next++) await work(n);
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
}

async function measureRedis(api: Api, redis: Redis, ids: readonly string[]): Promise<string[]> {
  const rows: string[] = [];
  const measured = async (what: string, work: () => Promise<void>) => {
    const before = await usage(redis);
    await work();
    const after = await usage(redis);
    const entries = after.entries - before.entries;
    const mb = ((after.bytes - before.bytes) / entries / 1000).toFixed(2);
    rows.push(`| ${what} | ${entries} | ${after.tokens - before.tokens} | ${mb} |`);
  };
  await measured('tasks with their labels', () =>
    byAll(
      (n) => ask(api, { query: ONE, variables: { id: ids[n] } }),
      (n) => n >= ids.length,
    ),
  );
  await measured(`lists of ${PAGE} tasks`, async () => {
    for (let after: unknown = null, pages = 0; pages < ids.length / PAGE; pages++) {
      const { data } = await ask(api, { query: LIST, variables: { after } });
      after = (data['tasks'] as { pageInfo: { endCursor: unknown } }).pageInfo.endCursor;
    }
  });
  return rows;
}

/** Waits for fills that are under way. */
async function usage(redis: Redis) {
  let [entries, tokens] = [-1, -1];
  for (;;) {
    const keys = await redis.keys('*');
    const found = [
      keys.filter((key) => key.startsWith('e1:')).length,
      keys.filter((key) => key.startsWith('t:')).length,
    ];
    if (found[0] === entries && found[1] === tokens) break;
    [entries = 0, tokens = 0] = found;
  }
  return { entries, tokens, bytes: Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1]) };
}

/** A third of the requests are single tasks, the others lists whose responses are kept apart; at the end misses and writes. */
async function measureProcess(api: Api, ids: readonly string[], connections: () => Promise<number>): Promise<string> {
  const idleMib = await mibOf(api);
  let mostMib = 0;
  await byAll(
    async (n) => {
      const list = { query: LIST, variables: { after: null }, extra: n };
      await ask(api, n % 3 === 0 ? { query: ONE, variables: { id: ids[n % ids.length] } } : list);
      if (n % 200 === 0) mostMib = Math.max(mostMib, await mibOf(api));
    },
    (n) => n >= REQUESTS,
  );
  const heldMib = await nearMib(api);
  await byAll(
    (n) => ask(api, { query: n % 2 === 0 ? DONE : ONE, variables: { id: ids[n >> 2] } }, n),
    (n) => n >= Math.min(40 * CLIENTS, ids.length),
  );
  const mib = [idleMib, mostMib, heldMib].map(Math.round);
  return [...mib, await connections()].join(' | ');
}

async function nearMib({ metricsPort }: Api): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
  return Number(/^cache_near_bytes (.*)$/m.exec(text)?.[1]) / 1024 / 1024;
}

const servers = await startServers();
try {
  const fixture = await fill(servers.databaseUrl);
  const options = { tokens: { kind: 'secret', secret: SECRET }, issuer: 'tasks-api', audience: 'tasks-api' } as const;
  const tokens = await Promise.all([fixture.ada, fixture.bob].map(({ id }) => signToken(options, id, '1h')));
  const redis = new Redis(servers.redisUrl);
  const sql = postgresClient(servers.databaseUrl, { max: 1 });
  const rows = await sql<{ id: string }[]>`select id from tasks where number > 1 order by number`;
  const ids = rows.map(({ id }) => fromUuid('task', id));
  const connections = async () => {
    const [row] =
      await sql`select count(*)::int as n from pg_stat_activity where application_name = 'tasks-api' and pid <> pg_backend_pid()`;
    return row?.['n'] as number;
  };
  const [first] = NEAR_CACHE_MB;
  for (const nearCacheMb of NEAR_CACHE_MB) {
    const api = await start(servers, nearCacheMb, tokens);
    if (nearCacheMb === first) {
      console.log('| 1000 entries of | measured with | tokens | MB |\n|---|--:|--:|--:|');
      console.log((await measureRedis(api, redis, ids)).join('\n'));
      console.log(
        '\n| NEAR_CACHE_MB | resident when started, MiB | when busy, at most, MiB | kept in memory, MiB | connections |\n|--:|--:|--:|--:|--:|',
      );
      await stop(api);
    }
    const fresh = nearCacheMb === first ? await start(servers, nearCacheMb, tokens) : api;
    console.log(`| ${nearCacheMb} | ${await measureProcess(fresh, ids, connections)} |`);
    await stop(fresh);
  }
  redis.disconnect();
  await sql.end();
} finally {
  await servers.stop();
}
