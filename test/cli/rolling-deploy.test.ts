/** New processes take the place of old ones under load, behind a proxy that reads /readyz: no request fails. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { MINUTE } from '../../src/std/time.js';
import { eventually } from '../support/app.js';
import { built } from '../support/built.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { redisUrl } from '../support/servers.js';
import { started } from '../support/started.js';

const PROCESSES = 3;
const CLIENTS = 8;
/** Of a client, between two requests: enough come at any moment, and the start of a process has CPU left. */
const PAUSE_MS = 20;
/** The proxy learns within CHECK_MS that a server is stopping. */
const CHECK_MS = 100;
const DELAY_MS = 10 * CHECK_MS;

interface Api {
  readonly child: ChildProcess;
  readonly port: number;
  readonly token: string;
  readonly ended: Promise<number | null>;
  readonly agent: Agent;
  ready: boolean;
  served: number;
}

let database: TestDatabase;
let cwd: string;
let main: string;
const all: Api[] = [];

beforeAll(async () => {
  main = join(await built(), 'dist', 'main.js');
  database = await createDatabase();
  cwd = await mkdtemp(join(tmpdir(), 'tasks-deploy-'));
}, 2 * MINUTE);
afterAll(async () => {
  for (const { child } of all) child.kill('SIGKILL');
  await Promise.all(all.map(({ ended }) => ended));
  await database?.drop();
  await rm(cwd, { recursive: true, force: true });
});

async function startApi(): Promise<Api> {
  const env = { DATABASE_URL: database.url, REDIS_URL: redisUrl(), SHUTDOWN_DELAY_MS: String(DELAY_MS), PORT: '0' };
  const child = spawn(process.execPath, [main], {
    cwd,
    env: { PATH: process.env['PATH'] ?? '', JWT_SECRET: 'x'.repeat(32), REDIS_GROUP: `deploy-${process.pid}`, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'close').then(([code]) => code as number | null);
  const printed = await started(child);
  const port = Number(new URL(printed['API'] as string).port);
  const agent = new Agent({ keepAlive: true });
  const api = { child, port, token: printed['Token'] as string, ended, agent, ready: false, served: 0 };
  all.push(api);
  return api;
}

/** Sends each request to the next ready server, once. */
function startProxy(apis: () => readonly Api[]): Server {
  let next = 0;
  return createServer((incoming, outgoing) => {
    const ready = apis().filter(({ ready }) => ready);
    const api = ready[next++ % ready.length];
    if (api === undefined) return outgoing.writeHead(502).end('no server is ready');
    const { method, url, headers } = incoming;
    const forwarded = request({ port: api.port, agent: api.agent, method, path: url, headers }, (answer) => {
      api.served++;
      outgoing.writeHead(answer.statusCode as number, answer.headers);
      answer.pipe(outgoing);
    });
    forwarded.once('error', (error) => outgoing.headersSent || outgoing.writeHead(502).end(String(error)));
    incoming.pipe(forwarded);
  });
}

async function isReady({ port }: Api): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/readyz`).then(
    ({ status }) => status === 200,
    () => false,
  );
}

test(
  'three processes are replaced one by one, and no request fails',
  async () => {
    const old = await Promise.all(Array.from({ length: PROCESSES }, startApi));
    let loading = true;
    const checking = (async () => {
      while (loading) {
        await Promise.all(all.map(async (api) => (api.ready = await isReady(api))));
        await new Promise((resolve) => setTimeout(resolve, CHECK_MS));
      }
    })();
    const proxy = startProxy(() => all).listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    await eventually(() => expect(old.every(({ ready }) => ready)).toBe(true));

    const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}/graphql`;
    const failures: string[] = [];
    let answered = 0;
    const headers = { authorization: `Bearer ${old[0]?.token}`, 'content-type': 'application/json' };
    const ask = async (query: string) => {
      const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ query }) });
      const body = await response.text();
      if (response.status !== 200 || body.includes('"errors":[{')) failures.push(`${response.status} ${body}`);
      answered++;
      return JSON.parse(body);
    };
    const { data } = await ask('{ task(identifier: "OPS-1") { id } }');
    const client = async (n: number) => {
      for (let i = 0; loading; i++) {
        if (i % 10 === 0) {
          await ask(
            `mutation { updateTask(input: { id: "${data.task.id}", title: "Title ${n} ${i}" }) { errors { code } } }`,
          );
        } else await ask(`{ projects { nodes { key tasks(first: ${1 + (i % 50)}) { nodes { identifier title } } } } }`);
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      }
    };
    const clients = Array.from({ length: CLIENTS }, (_, n) => client(n));
    for (const api of old) {
      const replacement = await startApi();
      await eventually(() => expect([replacement.ready, replacement.served > 0]).toEqual([true, true]));
      api.child.kill('SIGTERM');
      expect(await api.ended).toBe(0);
    }
    loading = false;
    await Promise.all([...clients, checking]);
    proxy.close();
    expect(failures).toEqual([]);
    expect(answered).toBeGreaterThan(100);
    expect(all.every(({ served }) => served > 0)).toBe(true);
  },
  2 * MINUTE,
);
