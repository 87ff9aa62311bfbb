/** A Redis for tests that kill it, stop it or empty it: it can be started again where it was. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { freePort } from '../../src/development/embedded/child.js';
import { findRedisServer, installHint } from '../../src/development/embedded/redis.js';

export interface OwnRedis {
  readonly url: string;
  /** At the same address as before, with what its folder holds; resolves when that is loaded. `args`: of redis-server. */
  start(args?: readonly string[]): Promise<void>;
  /** SIGKILL: connections are reset, everything in it is lost. */
  kill(): Promise<void>;
  /** SIGSTOP: connections stay and nobody answers, as when the network or the host hangs. */
  pause(): void;
  resume(): void;
}

/** `dir`: where a snapshot is written and found. Default: none is. */
export async function ownRedis({ dir = '/' }: { dir?: string } = {}): Promise<OwnRedis> {
  const file = findRedisServer();
  if (file === undefined) throw new Error(installHint());
  const port = await freePort();
  let server: ChildProcess | undefined;
  const killAtExit = () => server?.kill('SIGKILL');
  process.once('exit', killAtExit);
  const redis: OwnRedis = {
    url: `redis://127.0.0.1:${port}`,
    async start(more = []) {
      const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--logfile', ''];
      server = spawn(file, [...args, ...more], { stdio: ['ignore', 'pipe', 'inherit'], cwd: dir });
      const lines = createInterface({ input: server.stdout as NodeJS.ReadableStream });
      for await (const line of lines) if (/ready to accept connections/i.test(line)) break;
      server.stdout?.resume();
      if (server.exitCode !== null) throw new Error('redis-server did not start');
    },
    async kill() {
      const killed = server;
      server = undefined;
      if (killed === undefined || killed.exitCode !== null || killed.signalCode !== null) return;
      const gone = once(killed, 'exit');
      killed.kill('SIGKILL');
      await gone;
    },
    pause() {
      server?.kill('SIGSTOP');
    },
    resume() {
      server?.kill('SIGCONT');
    },
  };
  await redis.start();
  return redis;
}
