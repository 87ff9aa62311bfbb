/** The API as it is deployed: the build, in production, with default limits, in a process of its own whose memory is watched. */
import { execFile, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Reaper } from '../chaos/reaper.js';
import { PRODUCTION_FLAGS } from '../support/production-flags.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const READY_WITHIN_MS = 60_000;
const STOP_WITHIN_MS = 10_000;
const SAMPLE_EVERY_MS = 100;

export interface ApiServer {
  readonly port: number;
  readonly pid: number;
  /** What it has logged as an error, or worse. */
  readonly errors: readonly LogLine[];
  /** It ended by itself. */
  readonly died: boolean;
  /** Resident memory now, bytes. */
  rss(): Promise<number>;
  /** Largest since the last call, bytes. */
  takePeakRss(): number;
  stop(): Promise<void>;
}

export interface LogLine {
  readonly level: number;
  readonly msg: string;
  readonly [field: string]: unknown;
}

const ERROR_LEVEL = 50;

/** Once for all servers of this process. */
let building: Promise<unknown> | undefined;

export async function startApiServer(env: Readonly<Record<string, string>>, reaper: Reaper): Promise<ApiServer> {
  building ??= promisify(execFile)(process.execPath, ['scripts/build.mjs'], { cwd: ROOT });
  await building;
  // As in the image; the environment is given whole, so that nothing of a developer's own reaches it.
  const child = spawn(process.execPath, ['--enable-source-maps', ...PRODUCTION_FLAGS, 'dist/main.js'], {
    cwd: ROOT,
    env: { PATH: process.env['PATH'] ?? '', NODE_ENV: 'production', HOST: '127.0.0.1', PORT: '0', ...env },
    stdio: ['ignore', 'inherit', 'pipe'],
    detached: true,
  });
  const pid = child.pid as number;
  reaper.watch(pid);
  const errors: LogLine[] = [];
  const state = { died: false, stopping: false, peak: 0 };
  const gone = new Promise<void>((resolve) => {
    child.once('exit', () => {
      reaper.forget(pid);
      state.died = !state.stopping;
      resolve();
    });
  });
  const port = await new Promise<number>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('the server was not ready in time')), READY_WITHIN_MS);
    child.once('exit', (code) => reject(new Error(`the server ended with ${code} before it was ready`)));
    createInterface({ input: child.stderr }).on('line', (text) => {
      const line = parsed(text);
      if (line === undefined) return process.stderr.write(`server: ${text}\n`);
      if (line.level >= ERROR_LEVEL) errors.push(line);
      if (line.msg !== 'listening') return;
      clearTimeout(timer);
      resolve(Number(new URL(String(line['url'])).port));
    });
  });
  const rss = () => residentBytes(pid);
  const sampling = setInterval(async () => {
    state.peak = Math.max(state.peak, await rss());
  }, SAMPLE_EVERY_MS);
  return {
    port,
    pid,
    errors,
    get died() {
      return state.died;
    },
    rss,
    takePeakRss() {
      const { peak } = state;
      state.peak = 0;
      return peak;
    },
    async stop() {
      state.stopping = true;
      clearInterval(sampling);
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS);
      child.kill('SIGTERM');
      if (child.exitCode === null && child.signalCode === null) await gone;
      clearTimeout(timer);
    },
  };
}

function parsed(text: string): LogLine | undefined {
  try {
    return JSON.parse(text) as LogLine;
  } catch {
    return undefined;
  }
}

/** 0 on systems without /proc. */
async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
}
