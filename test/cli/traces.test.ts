/** The server sends traces and metrics by itself where the environment names a collector, whatever the collector does. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { MINUTE } from '../../src/std/time.js';
import { eventually } from '../support/app.js';
import { built } from '../support/built.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { startCollector } from '../support/otlp.js';
import { redisUrl } from '../support/servers.js';
import { started } from '../support/started.js';

const MODULES = fileURLToPath(new URL('../../node_modules', import.meta.url));

interface Api {
  readonly ended: Promise<number | null>;
  readonly lines: readonly string[];
  ask(): Promise<number>;
  stop(): Promise<number | null>;
}

let database: TestDatabase;
let cwd: string;
let dist: string;
const children: ChildProcess[] = [];

beforeAll(async () => {
  dist = join(await built(), 'dist');
  database = await createDatabase();
  cwd = await mkdtemp(join(tmpdir(), 'tasks-traces-'));
}, 2 * MINUTE);
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await database?.drop();
  await rm(cwd, { recursive: true, force: true });
});

function run(main: string, env: Record<string, string>): ChildProcess {
  const own = { PATH: process.env['PATH'] ?? '', JWT_SECRET: 'x'.repeat(32), PORT: '0' };
  const child = spawn(process.execPath, [main], { cwd, env: { ...own, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  return child;
}

function linesOf(child: ChildProcess): string[] {
  const lines: string[] = [];
  child.stderr?.on('data', (data) => lines.push(...String(data).split('\n').filter(Boolean)));
  return lines;
}

async function startApi(env: Record<string, string>): Promise<Api> {
  const group = `traces-${process.pid}-${children.length}`;
  const places = { DATABASE_URL: database.url, REDIS_URL: redisUrl(), REDIS_GROUP: group };
  const child = run(join(dist, 'main.js'), { ...places, ...env });
  const lines = linesOf(child);
  const ended = once(child, 'close').then(([code]) => code as number | null);
  const printed = await started(child);
  const headers = { authorization: `Bearer ${printed['Token']}`, 'content-type': 'application/json' };
  const body = JSON.stringify({ query: 'query WhoAmI { viewer { handle } }' });
  return {
    ended,
    lines,
    ask: async () => (await fetch(printed['API'] as string, { method: 'POST', headers, body })).status,
    stop() {
      child.kill('SIGTERM');
      return ended;
    },
  };
}

async function listening(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('a server that is given a collector sends its spans and metrics there, the last ones when it stops', async () => {
  const collector = await startCollector();
  const never = String(10 * MINUTE);
  const seldom = { OTEL_BSP_SCHEDULE_DELAY: never, OTEL_METRIC_EXPORT_INTERVAL: never };
  const api = await startApi({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint, ...seldom });
  expect(await api.ask()).toBe(200);
  expect(collector.requests).toEqual([]);
  expect(await api.stop()).toBe(0);
  const sent = (path: string) => collector.requests.filter((request) => request.path === path);
  const type = 'application/x-protobuf';
  expect(sent('/v1/traces')).toMatchObject([{ type }]);
  expect(sent('/v1/metrics')).toMatchObject([{ type }]);
  for (const text of ['tasks-api', 'query WhoAmI', 'redis READ']) {
    expect(String(sent('/v1/traces')[0]?.body)).toContain(text);
  }
  for (const text of ['tasks-api', 'service.instance.id', 'http.server.request.duration', 'WhoAmI', 'cache.calls']) {
    expect(String(sent('/v1/metrics')[0]?.body)).toContain(text);
  }
  await collector.close();
});

test('a collector that refuses spans is logged once by its host, and once more when it takes them again; requests go on', async () => {
  let refusing = true;
  let exports = 0;
  const server = createServer((request, response) => {
    exports++;
    request.resume();
    response.writeHead(refusing ? 400 : 200).end();
  });
  const place = await listening(server);
  const url = `${place.replace('://', '://user:secret@')}/key-secret/v1/traces?api-key=secret`;
  const env = { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: url, OTEL_BSP_SCHEDULE_DELAY: '10' };
  const api = await startApi(env);
  const exportedAfter = async (count: number) => {
    await eventually(async () => {
      expect(await api.ask()).toBe(200);
      expect(exports).toBeGreaterThan(count);
    });
  };
  await exportedAfter(3);
  refusing = false;
  await exportedAfter(exports + 2);
  expect(await api.stop()).toBe(0);
  const about = api.lines.filter((line) => line.includes('traces')).map((line) => JSON.parse(line).msg);
  expect(about).toEqual([
    expect.stringMatching(/^traces cannot be delivered to 127\.0\.0\.1:\d+: .*400/),
    expect.stringMatching(/^traces are delivered to 127\.0\.0\.1:\d+ again$/),
  ]);
  expect(api.lines.join('\n')).not.toContain('secret');
  server.closeAllConnections();
  server.close();
});

test('a collector that never answers keeps no request waiting, and no process from ending well in time', async () => {
  const server = createServer(() => {});
  const env = {
    OTEL_EXPORTER_OTLP_ENDPOINT: await listening(server),
    OTEL_BSP_SCHEDULE_DELAY: '10',
    SHUTDOWN_TIMEOUT_MS: '300', // less than what the last spans have
  };
  const api = await startApi(env);
  const asked = once(server, 'request');
  for (let time = 0; time < 5; time++) expect(await api.ask()).toBe(200);
  await asked;
  expect(await api.stop()).toBe(0);
  expect(api.lines.join('\n')).not.toContain('does not stop');
  server.closeAllConnections();
  server.close();
});

test('without the packages of the SDK a server that is given a collector says in one line what to install', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tasks-no-sdk-'));
  const modules = join(folder, 'node_modules');
  await mkdir(join(modules, '@opentelemetry'), { recursive: true });
  for (const name of await readdir(MODULES)) {
    if (name === '@opentelemetry' || name.startsWith('.')) continue;
    await symlink(join(MODULES, name), join(modules, name));
  }
  await symlink(join(MODULES, '@opentelemetry/api'), join(modules, '@opentelemetry/api'));
  for (const name of ['package.json', 'dist']) {
    await cp(join(dist, '..', name), join(folder, name), { recursive: true }); // not linked: modules are found from there
  }
  const child = run(join(folder, 'dist/main.js'), { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:4318' });
  const lines = linesOf(child);
  expect(await once(child, 'close')).toEqual([1, null]);
  expect(lines).toEqual([
    expect.stringMatching(
      /^OTEL_\*: traces and metrics need packages that are not installed: npm install @opentelemetry\/sdk/,
    ),
  ]);
  await rm(folder, { recursive: true, force: true });
});
