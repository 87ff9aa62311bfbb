/** What the tests play on: the API with its demo data, a network that can be cut, the built board, and a browser. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { type Browser, chromium } from 'playwright-core';
import postgres, { type Sql } from 'postgres';
import { preview } from 'vite';
import { apiDir } from '../api.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const OWNER = 'ada';
const PLACES = [process.env['CHROMIUM_PATH'], '/usr/bin/chromium', '/usr/bin/google-chrome'];

/** Undefined: the tests are skipped, and `needsChromium` in their name says why. */
export const chromiumPath = PLACES.find((path) => path !== undefined && existsSync(path));
export const needsChromium = chromiumPath === undefined ? ': skipped, no Chromium found; set CHROMIUM_PATH' : '';

export interface Stage {
  /** Address of the board. */
  readonly url: string;
  /** Address of the API, past the network that can be cut. */
  readonly apiUrl: string;
  readonly network: Network;
  /** A connection like psql's, around the API. */
  readonly sql: Sql;
  readonly browser: Browser;
  /** Two members of the project OPS; the first one owns it. */
  readonly ada: Viewer;
  readonly bob: Viewer;
  stop(): Promise<void>;
}

export interface Viewer {
  readonly handle: string;
  readonly token: string;
}

export async function openStage(): Promise<Stage> {
  const stops: (() => unknown)[] = [];
  const stop = async () => {
    for (const one of stops.reverse()) await one();
  };
  try {
    const directory = await temporaryDirectory();
    stops.push(() => rm(directory, { recursive: true, force: true }));
    const { server, apiUrl, token } = await startApi(directory);
    stops.push(() => ended(server));
    const sql = postgres(await databaseUrlOf(directory, server), { max: 1, onnotice: () => {} });
    stops.push(() => sql.end());
    const network = await openNetwork(Number(new URL(apiUrl).port));
    stops.push(() => network.close());
    const handle = await anotherMember(sql);
    const bob = { handle, token: (await command(directory, 'token', handle)).trim() };
    const board = await serveBoard(join(directory, 'board'), `http://localhost:${network.port}/graphql`);
    stops.push(() => board.close());
    const browser = await launchChromium();
    stops.push(() => browser.close());
    return { url: board.url, apiUrl, network, sql, browser, ada: { handle: OWNER, token }, bob, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'tasks-board-'));
  await chmod(directory, 0o755); // as root the database runs as another user, who has to find its data here
  return directory;
}

function run(file: string, ...args: string[]): string[] {
  const tsx = pathToFileURL(createRequire(join(apiDir, 'package.json')).resolve('tsx')).href;
  return ['--import', tsx, join(apiDir, file), ...args];
}

function options(cwd: string) {
  const { DATABASE_URL: _, REDIS_URL: __, ...inherited } = process.env;
  const TSX_TSCONFIG_PATH = join(apiDir, 'tsconfig.json');
  return { cwd, env: { ...inherited, NODE_ENV: 'development', PORT: '0', TSX_TSCONFIG_PATH } };
}

/** As `npm start` does, with a private PostgreSQL in the directory and a private Redis. */
async function startApi(directory: string): Promise<{ server: ChildProcess; apiUrl: string; token: string }> {
  const server = spawn(process.execPath, run('src/main.ts'), {
    ...options(directory),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = new Map<string, string>();
  for await (const line of createInterface({ input: server.stdout })) {
    const [, name = '', value = ''] = /^(\w+) +(.*)$/.exec(line) ?? [];
    lines.set(name, value);
    if (name === 'Token') return { server, apiUrl: lines.get('API') as string, token: value };
  }
  throw new Error(`the API in ${apiDir} ended before it had started`);
}

async function ended(server: ChildProcess): Promise<void> {
  server.kill('SIGTERM');
  if (server.exitCode === null) await once(server, 'close');
}

async function command(directory: string, ...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, run('src/cli/tasks.ts', ...args), options(directory));
  return stdout;
}

/** The server notes it for the commands. */
async function databaseUrlOf(directory: string, { pid }: ChildProcess): Promise<string> {
  const note = await readFile(join(directory, '.data', 'running', `${pid}.json`), 'utf8');
  return (JSON.parse(note) as { databaseUrl: string }).databaseUrl;
}

async function anotherMember(sql: Sql): Promise<string> {
  const [member] = await sql<{ handle: string }[]>`
    select handle from users join project_members on user_id = users.id join projects on projects.id = project_id
    where key = 'OPS' and handle <> ${OWNER} order by handle limit 1`;
  return member?.handle as string;
}

export interface Network {
  readonly port: number;
  /** Ends all connections, and accepts none until `mend`. */
  cut(): void;
  /** Lets nothing through, without an end that either side sees, until `mend`. */
  freeze(): void;
  mend(): void;
  close(): void;
}

/** A proxy in front of the API. */
async function openNetwork(target: number): Promise<Network> {
  const sockets = new Set<Socket>();
  let isCut = false;
  const server = createServer((client) => {
    if (isCut) return client.destroy();
    const upstream = connect(target, '127.0.0.1');
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
    return undefined;
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const end = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    cut() {
      isCut = true;
      end();
    },
    freeze() {
      for (const socket of sockets) socket.unpipe().pause();
    },
    mend() {
      isCut = false;
    },
    close() {
      end();
      server.close();
    },
  };
}

/** Built as `npm run build` does, but for the types. */
async function serveBoard(outDir: string, apiUrl: string): Promise<{ url: string; close(): Promise<void> }> {
  const vite = join(ROOT, 'node_modules', 'vite', 'bin', 'vite.js');
  const env = { ...process.env, NODE_ENV: 'production', VITE_API_URL: apiUrl };
  await promisify(execFile)(process.execPath, [vite, 'build', '--outDir', outDir, '--emptyOutDir'], { cwd: ROOT, env });
  const server = await preview({ root: ROOT, build: { outDir }, preview: { port: 0, host: 'localhost' } });
  return { url: `http://localhost:${(server.httpServer.address() as AddressInfo).port}/`, close: () => server.close() };
}

function launchChromium(): Promise<Browser> {
  const args = ['--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update'];
  return chromium.launch({
    args: [...args, '--no-sandbox'], // as root, as in a container, there is no other way
    ...(chromiumPath !== undefined && { executablePath: chromiumPath }),
  });
}
