/** The packed engine, installed into folders of their own as an application would: nothing there sees this repository. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const INSTALL = ['install', '--prefer-offline', '--no-audit', '--no-fund', '--no-package-lock'];

export interface Installed {
  readonly dir: string;
  /** Runs a command there. @throws with what it printed */
  run(command: string, args: readonly string[], env?: NodeJS.ProcessEnv): Promise<string>;
  install(...packages: string[]): Promise<void>;
  remove(): Promise<void>;
}

/** A copy of `from`, or an empty folder. */
export async function folder(from?: string): Promise<Installed> {
  const dir = await mkdtemp(join(tmpdir(), 'tagfence-app-'));
  if (from !== undefined) await cp(join(ROOT, from), dir, { recursive: true });
  const run: Installed['run'] = async (command, args, env = {}) => {
    const options = { cwd: dir, env: { ...process.env, ...env }, maxBuffer: 2 ** 26 };
    try {
      return (await promisify(execFile)(command, [...args], options)).stdout;
    } catch (error) {
      const { stdout, stderr } = error as { stdout: string; stderr: string };
      throw new Error(`${command} ${args.join(' ')}\n${stdout}\n${stderr}`, { cause: error });
    }
  };
  return {
    dir,
    run,
    install: async (...packages) => void (await run('npm', [...INSTALL, ...packages])),
    remove: () => rm(dir, { recursive: true, force: true }),
  };
}

export interface Server {
  readonly url: string;
  stop(): Promise<void>;
}

/** Starts a script that prints its URL once it listens. */
export async function started(dir: string, script: string, env: NodeJS.ProcessEnv): Promise<Server> {
  const child = spawn(process.execPath, ['--import', 'tsx', script], {
    cwd: dir,
    env: { ...process.env, NODE_ENV: 'development', PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  return {
    url: await printedUrl(child),
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

function printedUrl(child: ChildProcess): Promise<string> {
  let printed = '';
  return new Promise((resolve, reject) => {
    child.once('close', () => reject(new Error(`the server ended: ${printed}`)));
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (data) => {
        printed += data;
        const url = /https?:\/\/\S+/.exec(printed)?.[0];
        if (url !== undefined) resolve(url);
      });
    }
  });
}

export interface Traced {
  // biome-ignore lint/suspicious/noExplicitAny: as the query says
  readonly data: any;
  readonly outcomes: readonly string[];
  readonly sqlStatements: number;
}

/** @throws when the answer has errors */
export async function ask(url: string, query: string): Promise<Traced> {
  const headers = { 'content-type': 'application/json', 'x-cache-trace': '1' };
  const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ query }) });
  const { data, errors, extensions } = await answer.json();
  if (errors !== undefined) throw new Error(JSON.stringify(errors));
  const { calls, totals } = extensions.cache;
  return {
    data,
    outcomes: calls.map((call: { name: string; outcome: string }) => `${call.name} ${call.outcome}`),
    sqlStatements: totals.sqlStatements,
  };
}
