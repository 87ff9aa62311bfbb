/** The API for all tests, started as its README says, on an empty directory: with a private PostgreSQL, a Redis of its own, and the demo's users. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import type { TestProject } from 'vitest/node';
import { apiDir } from '../api.js';
import { ask, type Viewer } from './ask.js';

declare module 'vitest' {
  export interface ProvidedContext {
    url: string;
    /** Tokens of two users. */
    tokens: { readonly ada: string; readonly bob: string };
    /** Of the second one. */
    bobsHandle: string;
  }
}

export default async function startServer({ provide }: TestProject): Promise<() => Promise<void>> {
  const directory = await mkdtemp(join(tmpdir(), 'tasks-frontend-'));
  await chmod(directory, 0o755); // as root the database runs as another user, who has to find its data here
  const tsx = pathToFileURL(createRequire(join(apiDir, 'package.json')).resolve('tsx')).href;
  const run = (file: string, ...args: string[]) => ['--import', tsx, join(apiDir, file), ...args];
  const { DATABASE_URL: _, REDIS_URL: __, ...inherited } = process.env;
  const options = {
    cwd: directory,
    env: { ...inherited, NODE_ENV: 'development', PORT: '0', TSX_TSCONFIG_PATH: join(apiDir, 'tsconfig.json') },
  };
  const server = spawn(process.execPath, run('src/main.ts'), { ...options, stdio: ['ignore', 'pipe', 'inherit'] });
  const stop = async () => {
    server.kill('SIGTERM');
    if (server.exitCode === null) await once(server, 'close');
    await rm(directory, { recursive: true, force: true });
  };
  try {
    const { url, ada } = await printed(server);
    const bobsHandle = await anotherMember({ url, token: ada });
    const { stdout } = await promisify(execFile)(
      process.execPath,
      run('src/cli/tasks.ts', 'token', bobsHandle),
      options,
    );
    provide('url', url);
    provide('tokens', { ada, bob: stdout.trim() });
    provide('bobsHandle', bobsHandle);
  } catch (error) {
    await stop();
    throw error;
  }
  return stop;
}

/** What the server prints when it has started. */
async function printed(server: ChildProcess): Promise<{ url: string; ada: string }> {
  const lines = new Map<string, string>();
  for await (const line of createInterface({ input: server.stdout as NodeJS.ReadableStream })) {
    const [, name = '', value = ''] = /^(\w+) +(.*)$/.exec(line) ?? [];
    lines.set(name, value);
    if (name === 'Token') return { url: lines.get('API') as string, ada: value };
  }
  throw new Error(`the API in ${apiDir} ended before it had started`);
}

/** The handle of somebody in the demo's data who is not ada. */
async function anotherMember(viewer: Viewer): Promise<string> {
  const { projects } = await ask<{ projects: { nodes: { members: { nodes: { handle: string }[] } }[] } }>(
    viewer,
    '{ projects(first: 1) { nodes { members(first: 2) { nodes { handle } } } } }',
  );
  const handles = projects.nodes.flatMap(({ members }) => members.nodes.map(({ handle }) => handle));
  return handles.find((handle) => handle !== 'ada') as string;
}
