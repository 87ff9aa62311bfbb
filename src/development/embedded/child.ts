/**
 * A server of another program (PostgreSQL, Redis) as our child. It is ready when it says so, is stopped in order,
 * and does not outlive a normal end of this process. It has a process group of its own: a Ctrl-C in the terminal
 * reaches us and not it, so that we can finish our requests before its service ends.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createServer, Socket } from 'node:net';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { SECOND } from '../../std/time.js';

export interface ServerCommand {
  /** For messages: `PostgreSQL`. */
  name: string;
  file: string;
  args: string[];
  /** The line of its log by which it says that it accepts connections. */
  readyLine: RegExp;
  /** The signal that means: finish quickly, but in order. */
  stopSignal: NodeJS.Signals;
  account?: Account | undefined;
  onLog?: ((line: string) => void) | undefined;
}

/** A user of this computer other than ourselves; only root may give one. */
export interface Account {
  uid: number;
  gid: number;
}

export interface RunningServer {
  pid: number;
  /** Resolves when the process is gone; never rejects, and may be called twice. */
  stop(): Promise<void>;
}

export type EmbeddedErrorCode = 'UNSUPPORTED_PLATFORM' | 'NO_ACCOUNT' | 'FOREIGN_DIRECTORY' | 'IN_USE' | 'START_FAILED';

export class EmbeddedError extends Error {
  override readonly name = 'EmbeddedError';
  constructor(
    readonly code: EmbeddedErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

// A cold disk takes a few seconds; recovery after a crash may take some more.
const READY_WITHIN_MS = 30 * SECOND;
const STOP_WITHIN_MS = 10 * SECOND;
const KEPT_LOG_LINES = 20;

/**
 * No variable of ours (PGDATA, TZ, LC_MESSAGES, LD_LIBRARY_PATH) may change what the server does or the words it says.
 */
export const PLAIN_ENV = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LC_ALL: 'C',
  TZ: 'UTC',
};

/** @throws EmbeddedError START_FAILED, with the last lines of its log */
export async function startServer(command: ServerCommand): Promise<RunningServer> {
  const child = spawn(command.file, command.args, {
    ...command.account,
    // Ours may be a directory that the account cannot enter.
    cwd: '/',
    detached: true,
    env: PLAIN_ENV,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const killAtExit = () => child.kill(command.stopSignal);
  process.once('exit', killAtExit);
  const gone = whenGone(child).finally(() => process.off('exit', killAtExit));
  const stop = once(() => stopChild(child, gone, command.stopSignal));

  const lastLines: string[] = [];
  const ready = whenLogged(child, command.readyLine, (line) => {
    command.onLog?.(line);
    lastLines.push(line);
    if (lastLines.length > KEPT_LOG_LINES) lastLines.shift();
  });
  const failure = await Promise.race([ready, gone, after(READY_WITHIN_MS)]);
  if (failure !== undefined || child.pid === undefined) {
    await stop();
    const message = [`${command.name} did not start: ${failure}`, ...lastLines].join('\n  ');
    throw new EmbeddedError('START_FAILED', message);
  }
  letUsEnd(child);
  return { pid: child.pid, stop };
}

/** A port of 127.0.0.1 that was free a moment ago. */
export async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve, reject) => probe.once('error', reject).listen(0, '127.0.0.1', resolve));
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  if (address === null || typeof address === 'string') throw new TypeError('expected the address of a TCP socket');
  return address.port;
}

/** How the process ended, in words. */
function whenGone(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (exitCode, signal) => resolve(signal ? `ended by ${signal}` : `exit code ${exitCode}`));
  });
}

function whenLogged(child: ChildProcess, readyLine: RegExp, onLine: (line: string) => void): Promise<undefined> {
  return new Promise((resolve) => {
    for (const input of pipesOf(child)) {
      createInterface({ input }).on('line', (line) => {
        onLine(line);
        if (readyLine.test(line)) resolve(undefined);
      });
    }
  });
}

/** A bound, not a pause: the timer does not keep the process alive. */
function after(limitMs: number): Promise<string> {
  return new Promise((resolve) => {
    setTimeout(() => resolve(`not ready within ${limitMs} ms`), limitMs).unref();
  });
}

async function stopChild(child: ChildProcess, gone: Promise<string>, signal: NodeJS.Signals): Promise<void> {
  child.ref();
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS);
  await gone;
  clearTimeout(timer);
}

/** A script that forgets stop() ends all the same, and the exit hook stops the server. */
function letUsEnd(child: ChildProcess): void {
  child.unref();
  for (const pipe of pipesOf(child)) if (pipe instanceof Socket) pipe.unref();
}

function pipesOf(child: ChildProcess): Readable[] {
  return [child.stdout, child.stderr].filter((pipe) => pipe !== null);
}

function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
