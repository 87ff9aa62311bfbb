/** The log of a server in production, from its start to its end, and its metrics on a port of their own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { MINUTE } from '../../src/std/time.js';
import { eventually } from '../support/app.js';
import { built } from '../support/built.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { redisUrl } from '../support/servers.js';

const FATAL = 60;
const SECRET = 'a-secret-of-this-test-0123456789';

type Line = Readonly<Record<string, unknown>> & { readonly msg: string };

let database: TestDatabase;
let cwd: string;
let main: string;
const children: ChildProcess[] = [];

beforeAll(async () => {
  main = join(await built(), 'dist', 'main.js');
  database = await createDatabase();
  cwd = await mkdtemp(join(tmpdir(), 'tasks-production-'));
}, 2 * MINUTE);
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await database?.drop();
  await rm(cwd, { recursive: true, force: true });
});

/** A server in production, with the lines that it has logged so far: each must be JSON. */
function serve(env: Record<string, string>, args: readonly string[] = []) {
  const all = {
    NODE_ENV: 'production',
    PATH: process.env['PATH'] ?? '',
    PORT: '0',
    DATABASE_URL: database.url,
    REDIS_URL: redisUrl(),
    REDIS_GROUP: `production-log-${process.pid}`,
    JWT_SECRET: SECRET,
    SHUTDOWN_DELAY_MS: '0',
  };
  const child = spawn(process.execPath, [...args, main], {
    cwd,
    env: { ...all, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => (stdout += chunk));
  child.stderr.on('data', (chunk) => (stderr += chunk));
  const lines = (): Line[] =>
    stderr
      .slice(0, stderr.lastIndexOf('\n') + 1)
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));
  const ended = once(child, 'close').then(([code]) => ({ code, stdout }));
  const line = async (msg: string): Promise<Line> => {
    await eventually(() => expect(lines().map((one) => one.msg)).toContain(msg));
    return lines().find((one) => one.msg === msg) as Line;
  };
  return { child, lines, line, ended, stderr: () => stderr };
}

test(
  'it says how it is configured, where it listens, and why and how fast it has stopped; metrics need no token on their port',
  async () => {
    const server = serve({ METRICS_PORT: '0', METRICS_HOST: '127.0.0.1', RATE_LIMIT_POINTS: '500' });
    const { url, metricsUrl } = await server.line('listening');
    expect(await server.line('starting')).toMatchObject({
      level: 30,
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
      api: '127.0.0.1:any',
      metrics: '127.0.0.1:any',
      rateLimit: '500 points in 60 s',
      tokens: 'a secret, of the issuer tasks-api',
    });
    expect((await fetch(`${url}/metrics`)).status).toBe(401);
    const metrics = await fetch(`${metricsUrl}/metrics`);
    expect([metrics.status, await metrics.text()]).toEqual([200, expect.stringContaining('\ncache_redis_up 1\n')]);
    server.child.kill('SIGTERM');
    expect(await server.ended).toEqual({ code: 0, stdout: '' });
    expect(server.lines().at(-1)).toMatchObject({
      msg: 'stopped',
      reason: 'SIGTERM',
      ms: expect.any(Number),
      upSeconds: expect.any(Number),
    });
    const { password } = new URL(database.url);
    expect(server.stderr()).not.toContain(SECRET);
    if (password !== '') expect(server.stderr()).not.toContain(password);
    await expect(fetch(`${metricsUrl}/healthz`)).rejects.toThrow();
  },
  MINUTE,
);

test('a port for metrics that is in use is named at once, in one line, also where LOG_LEVEL=silent', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  try {
    const server = serve({ METRICS_PORT: String(port), LOG_LEVEL: 'silent', DATABASE_URL: 'postgres://127.0.0.1:1/x' });
    expect(await server.ended).toEqual({ code: 1, stdout: '' });
    const msg = `METRICS_PORT: expected a free port, but ${port} is in use on 127.0.0.1`;
    expect(server.lines()).toEqual([expect.objectContaining({ level: FATAL, code: 'CONFIG', msg })]);
  } finally {
    other.close();
  }
});

test('variables that are wrong are one line, without their values', async () => {
  const server = serve({ METRICS_PORT: 'http', JWT_SECRET: 'too-short', DATABASE_URL: 'postgres://u:hidden@h/d?x=1' });
  expect(await server.ended).toEqual({ code: 1, stdout: '' });
  const [line, ...others] = server.lines();
  expect([line?.['level'], others]).toEqual([FATAL, []]);
  for (const name of ['METRICS_PORT: ', 'JWT_SECRET: ', 'DATABASE_URL: ']) expect(line?.msg).toContain(name);
  expect(line?.msg).not.toMatch(/too-short|hidden/);
});

test('an exception that nothing catches is one line, and ends the process with 1', async () => {
  const throwing = `data:text/javascript,process.on('SIGUSR2', () => { throw new Error('of a bug'); })`;
  const server = serve({}, ['--import', throwing]);
  await server.line('listening');
  server.child.kill('SIGUSR2');
  expect(await server.ended).toEqual({ code: 1, stdout: '' });
  expect(server.lines().at(-1)).toMatchObject({
    level: FATAL,
    msg: 'uncaught exception',
    err: { message: 'of a bug' },
  });
});
