/** WORKERS: several processes share a port, are replaced when they die, count together, and end together. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { Agent, createServer, request } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { freePort } from '../../src/development/embedded/child.js';
import { postgresClient, type Sql } from '../../src/engine/postgres/index.js';
import { MINUTE } from '../../src/std/time.js';
import { eventually } from '../support/app.js';
import { built } from '../support/built.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { redisUrl } from '../support/servers.js';
import { started } from '../support/started.js';

interface Served {
  readonly child: ChildProcess;
  readonly url: URL;
  readonly token: string;
  readonly log: Record<string, unknown>[];
  readonly ended: Promise<[code: number | null, signal: string | null]>;
}

/**
 * Loaded into a process before its own code: from SIGUSR2 on, time passes ten times as fast in the primary process. Its
 * workers have their own.
 */
const HASTE = `data:text/javascript,${encodeURIComponent(`
if (process.env.NODE_UNIQUE_ID === undefined) process.once('SIGUSR2', () => {
  const wait = setTimeout;
  const now = performance.now.bind(performance);
  const fromMs = now();
  globalThis.setTimeout = (run, ms, ...args) => wait(run, ms / 10, ...args);
  performance.now = () => fromMs + 10 * (now() - fromMs);
  console.error('{"msg":"time passes faster"}');
});
`)}`;

/** Of pino. */
const FATAL = 60;
/** A connection that comes while the last worker closes may be left unanswered: a poll gives it up, and makes another. */
const POLL_MS = 5000;

let database: TestDatabase;
let cwd: string;
let main: string;
let running: ChildProcess[] = [];

beforeAll(async () => {
  main = join(await built(), 'dist', 'main.js');
  database = await createDatabase();
  cwd = await mkdtemp(join(tmpdir(), 'tasks-workers-'));
  await chmod(cwd, 0o755); // as root the database runs as another user, who shall find its data here
}, 2 * MINUTE);
afterEach(() => {
  for (const child of running) child.kill('SIGKILL');
  running = [];
});
afterAll(async () => {
  await database?.drop();
  await rm(cwd, { recursive: true, force: true });
});

function spawned(env: Record<string, string>): ChildProcess {
  const child = spawn(process.execPath, ['--import', HASTE, main], {
    cwd,
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', WORKERS: '2', PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.push(child);
  return child;
}

/** On the servers of the tests; `LOG_LEVEL` info. */
async function serving(env: Record<string, string> = {}): Promise<Served> {
  const child = spawned({
    DATABASE_URL: database.url,
    REDIS_URL: redisUrl(),
    REDIS_GROUP: `workers-${process.pid}`,
    LOG_LEVEL: 'info',
    ...env,
  });
  const log: Record<string, unknown>[] = [];
  createInterface({ input: child.stderr as NodeJS.ReadableStream }).on('line', (line) => log.push(lineOf(line)));
  const ended = once(child, 'close') as Served['ended'];
  const printed = await started(child);
  return { child, url: new URL(printed['API'] as string), token: printed['Token'] as string, log, ended };
}

function lineOf(line: string): Record<string, unknown> {
  return line.startsWith('{') ? JSON.parse(line) : { msg: line };
}

/** The workers of a process, as Linux lists its children. */
async function workersOf({ child: { pid } }: Served): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return text.trim().split(' ').filter(Boolean).map(Number);
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

interface AskOptions {
  readonly agent?: Agent | false;
  /** Gives the request up. */
  readonly signal?: AbortSignal;
}

/** A connection of its own for each request, so that they are spread, unless an agent is given. */
function ask({ url, token }: Served, query: string, { agent = false, signal }: AskOptions = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const sent = request(url, { method: 'POST', agent, headers, ...(signal && { signal }) }, async (response) => {
      try {
        let body = '';
        for await (const chunk of response) body += chunk;
        resolve({ status: response.statusCode as number, body });
      } catch (error) {
        reject(error);
      }
    });
    sent.once('error', reject);
    sent.end(JSON.stringify({ query }));
  });
}

async function metricsOf({ url }: Served): Promise<string> {
  return (await fetch(new URL('/metrics', url))).text();
}

async function requestsCounted(api: Served, operation: string): Promise<number> {
  const pattern = new RegExp(`^tasks_request_duration_seconds_count{operation="${operation}".* (\\d+)$`, 'gm');
  return [...(await metricsOf(api)).matchAll(pattern)].reduce((sum, [, count]) => sum + Number(count), 0);
}

/** One in each worker. */
const waitingWrites = (sql: Sql) => sql`
  select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;

const workersThatLogged = ({ log }: Pick<Served, 'log'>, msg: string) =>
  new Set(log.filter((line) => line['msg'] === msg).map((line) => line['worker']));

/** Sends a request, or its beginning, on a connection of its own. */
function connected(port: number, text: string): { closed: boolean } {
  const state = { closed: false };
  const socket = connect(port, '127.0.0.1', () => socket.write(text));
  socket.on('error', () => {}); // 'close' follows
  socket.once('close', () => (state.closed = true)).resume();
  return state;
}

describe('two workers that share a port', () => {
  let api: Served;
  let metricsPort: number;
  beforeAll(async () => {
    metricsPort = await freePort();
    api = await serving({ LOG_REQUESTS: '1', METRICS_PORT: String(metricsPort) });
    running = []; // it runs on from test to test
  });
  afterAll(() => void api?.child.kill('SIGKILL'));
  // A worker that took the place of another may not listen yet.
  beforeEach(async () => {
    const linesBefore = api.log.length;
    await eventually(async () => {
      await ask(api, '{ viewer { handle } }');
      expect(workersThatLogged({ log: api.log.slice(linesBefore) }, 'request').size).toBe(2);
    });
  });

  test('two workers answer at one address, their metrics add up, and the log says which worker answered', async () => {
    expect(await workersOf(api)).toHaveLength(2);
    for (let i = 0; i < 10; i++) expect((await ask(api, 'query Counted { viewer { handle } }')).status).toBe(200);
    expect(await requestsCounted(api, 'Counted')).toBe(10);
    expect([...workersThatLogged(api, 'request')].toSorted()).toEqual([1, 2]);
    const text = await metricsOf(api);
    expect(text).toMatch(/^tasks_build_info{.*} 1$/m);
    expect(text).toMatch(/^cache_store_lost_seconds 0$/m);
  });

  test('a worker that is killed under requests is replaced, and the other one answers meanwhile', async () => {
    for (let i = 0; i < 10; i++) await ask(api, 'query Before { viewer { handle } }');
    expect(await requestsCounted(api, 'Before')).toBe(10);
    const before = await workersOf(api);
    let killed = false;
    let failed = 0;
    let answeredSince = 0;
    let loading = true;
    const client = async () => {
      while (loading) {
        const { status } = await ask(api, '{ viewer { handle } }').catch(() => ({ status: 0 }));
        if (status !== 200) failed++;
        else if (killed) answeredSince++;
      }
    };
    const clients = [client(), client(), client()];
    process.kill(before[0] as number, 'SIGKILL');
    killed = true;
    await eventually(async () => {
      const workers = await workersOf(api);
      expect([workers.length, workers.includes(before[0] as number)]).toEqual([2, false]);
      expect(answeredSince).toBeGreaterThan(20);
    });
    loading = false;
    await Promise.all(clients);
    expect(failed).toBeLessThanOrEqual(clients.length); // those that were under way on the killed one
    expect(api.log).toContainEqual(
      expect.objectContaining({ msg: 'a worker has ended and is replaced', signal: 'SIGKILL' }),
    );
    // Prometheus would take a smaller sum for a restart.
    expect(await requestsCounted(api, 'Before')).toBe(10);
    await eventually(async () => {
      await ask(api, 'query After { viewer { handle } }');
      expect(await requestsCounted(api, 'After')).toBeGreaterThan(0);
    });
  });

  test('connections at each address that a worker was handed before it died are closed', async () => {
    const [dying] = await workersOf(api);
    process.kill(dying as number, 'SIGSTOP');
    const all: { closed: boolean }[] = [];
    for (const port of [Number(api.url.port), metricsPort]) {
      const requests = [1, 2, 3].map(() =>
        connected(port, 'GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'),
      );
      // The stopped worker has been handed one, since workers have turns.
      await eventually(() => expect(requests.filter(({ closed }) => closed)).toHaveLength(2));
      all.push(...requests);
    }
    process.kill(dying as number, 'SIGKILL');
    await eventually(() => expect(all.filter(({ closed }) => !closed)).toEqual([]));
  });

  test('a worker that gets SIGTERM ends what it has begun, and is replaced', async () => {
    const before = await workersOf(api);
    let loading = true;
    const failures: unknown[] = [];
    const client = async () => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      while (loading) {
        const { status } = await ask(api, '{ viewer { handle } }', { agent }).catch((error) => ({ status: error }));
        // A connection that its server closes as the next request is sent is opened again, by clients as by proxies.
        if (status !== 200 && status.code !== 'ECONNRESET') failures.push(status);
      }
      agent.destroy();
    };
    const clients = [client(), client()];
    process.kill(before[0] as number, 'SIGTERM');
    await eventually(async () => {
      const workers = await workersOf(api);
      expect([workers.length, workers.includes(before[0] as number)]).toEqual([2, false]);
    });
    loading = false;
    await Promise.all(clients);
    expect(failures).toEqual([]);
  });

  test('workers end with the primary process, also if that is killed', async () => {
    const workers = await workersOf(api);
    api.child.kill('SIGKILL');
    await eventually(() => {
      for (const pid of workers) expect(() => process.kill(pid, 0)).toThrow('ESRCH');
    });
  });
});

test('SIGTERM ends all workers with exit code 0, and each request that they have accepted is answered', async () => {
  const api = await serving({ SHUTDOWN_DELAY_MS: '500', SHUTDOWN_TIMEOUT_MS: '60000' });
  const before = await workersOf(api);
  const sql = postgresClient(database.url, { max: 2 });
  const { data } = JSON.parse((await ask(api, '{ task(identifier: "OPS-1") { id } }')).body);
  let answers: Promise<Answer>[] = [];
  await sql.begin(async (tx) => {
    await tx`select 1 from tasks where number = 1 for update`;
    answers = Array.from({ length: 2 }, (_, n) =>
      ask(api, `mutation { updateTask(input: { id: "${data.task.id}", title: "Title ${n}" }) { errors { code } } }`),
    );
    await eventually(async () => expect(await waitingWrites(sql)).toHaveLength(2));
    api.child.kill('SIGTERM');
    await eventually(async () => {
      const ready = await fetch(new URL('/readyz', api.url), { signal: AbortSignal.timeout(POLL_MS) });
      expect([ready.status, await ready.json()]).toMatchObject([503, { server: 'stopping' }]);
    });
    await eventually(() =>
      expect(ask(api, '{ viewer { handle } }', { signal: AbortSignal.timeout(POLL_MS) })).rejects.toMatchObject({
        code: 'ECONNREFUSED',
      }),
    );
  });
  await sql.end();
  for (const { status, body } of await Promise.all(answers)) {
    expect([status, JSON.parse(body)]).toEqual([200, { data: { updateTask: { errors: [] } } }]);
  }
  expect(await api.ended).toEqual([0, null]);
  for (const pid of before) expect(() => process.kill(pid, 0)).toThrow('ESRCH');
});

test('a worker that uses up its time for requests, and then that for its last spans, is not killed', async () => {
  const collector = createServer(() => {}); // never answers
  collector.listen(0, '127.0.0.1');
  await once(collector, 'listening');
  const { port } = collector.address() as AddressInfo;
  const api = await serving({
    SHUTDOWN_TIMEOUT_MS: '2000',
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
    OTEL_BSP_SCHEDULE_DELAY: String(10 * MINUTE),
  });
  for (let i = 0; i < 4; i++) expect((await ask(api, '{ viewer { handle } }')).status).toBe(200);
  const headers = 'POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n';
  for (let i = 0; i < 2; i++) connected(Number(api.url.port), headers); // and no body
  for (let i = 0; i < 4; i++) expect((await ask(api, '{ viewer { handle } }')).status).toBe(200);
  api.child.kill('SIGTERM');
  expect(await api.ended).toEqual([0, null]);
  const logged = new Set(api.log.map(({ msg }) => msg));
  expect(logged).toContain('requests that have not ended in time are cut off');
  collector.closeAllConnections();
  collector.close();
});

test('a worker that hangs is killed when the time is over, and the exit code says so', async () => {
  const api = await serving({ SHUTDOWN_TIMEOUT_MS: '0' });
  const [hanging] = await workersOf(api);
  process.kill(hanging as number, 'SIGSTOP');
  api.child.kill('SIGTERM');
  expect(await api.ended).toEqual([1, null]);
  expect(() => process.kill(hanging as number, 0)).toThrow('ESRCH');
});

/** It may have ended since it was listed. */
function killIfAlive(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

test('the primary process gives up on workers that die right after they start, and its exit code says so', async () => {
  const api = await serving();
  api.child.kill('SIGUSR2'); // it gives up after 40 s
  await eventually(() => expect(api.log).toContainEqual({ msg: 'time passes faster' }));
  let ended = false;
  void api.ended.then(() => (ended = true));
  while (!ended) {
    for (const pid of await workersOf(api).catch(() => [])) killIfAlive(pid);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  expect(await api.ended).toEqual([1, null]);
  const ends = api.log.filter(({ msg }) => msg === 'a worker has ended and is replaced');
  expect(ends.length).toBeGreaterThanOrEqual(10);
  expect(api.log).toContainEqual(
    expect.objectContaining({
      msg: 'workers die right after they start, and none serves: giving up',
    }),
  );
});

test('what keeps workers from starting is said once, and the process ends', async () => {
  const child = spawned({
    NODE_ENV: 'production',
    DATABASE_URL: database.url,
    REDIS_URL: `${redisUrl()}/98`,
    JWT_SECRET: 'x'.repeat(32),
  });
  let stderr = '';
  child.stderr?.on('data', (chunk) => (stderr += chunk));
  const [code] = await once(child, 'close');
  expect(code).toBe(1);
  const lines = stderr.trimEnd().split('\n');
  const fatal = lines.map((line) => JSON.parse(line)).filter(({ level }) => level === FATAL);
  expect(fatal).toMatchObject([
    { code: 'CONFIG', msg: expect.stringMatching(/^REDIS_URL: expected a database that this Redis has/) },
    { code: 'WORKER_NOT_STARTED', msg: 'WORKERS: a worker ended before it listened (exit code 1)' },
  ]);
});

test(
  'in development the primary process starts PostgreSQL and Redis, and the workers share them',
  async () => {
    const api = await serving({ DATABASE_URL: '', REDIS_URL: '' });
    const ids = new Set<string>();
    for (let i = 0; i < 4; i++) ids.add((await ask(api, '{ viewer { id handle } }')).body);
    expect([...ids]).toEqual([expect.stringContaining('"handle":"ada"')]);
    api.child.kill('SIGINT');
    expect(await api.ended).toEqual([0, null]);
  },
  3 * MINUTE,
);
