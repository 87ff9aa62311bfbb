/**
 * Runs a server program (PostgreSQL, Redis) as a child process. It is ready when its log says so, is stopped in order,
 * and does not outlive a normal end of this process. It has its own process group: Ctrl-C in the terminal reaches this
 * process only, which can finish its requests before the service ends.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { createServer, Socket } from 'node:net';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { once } from '../../std/once.js';
import { SECOND } from '../../std/time.js';

export interface ServerCommand {
  /** Used in messages: `PostgreSQL`. */
  name: string;
  file: string;
  args: string[];
  /** The log line that reports that it accepts connections. */
  readyLine: RegExp;
  /** The signal for a fast but orderly shutdown. */
  stopSignal: NodeJS.Signals;
  account?: Account | undefined;
  onLog?: ((line: string) => void) | undefined;
}

/** A user of this computer other than the current one; only root can use one. */
export interface Account {
  uid: number;
  gid: number;
}

export interface RunningServer {
  pid: number;
  /** Resolves when the process has ended. Never rejects and can be called twice. */
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

// A cold disk takes a few seconds; recovery after a crash may take a few more.
const READY_WITHIN_MS = 30 * SECOND;
const STOP_WITHIN_MS = 10 * SECOND;
const KEPT_LOG_LINES = 20;
// The last lines of a server may arrive after its end. A process that it has started may keep the pipes open for good.
const LAST_LINES_WITHIN_MS = SECOND;

/**
 * No inherited variable (PGDATA, TZ, LC_MESSAGES, LD_LIBRARY_PATH) may change the server's behavior or its messages.
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
    // The account may be unable to enter the current directory.
    cwd: '/',
    detached: true,
    env: PLAIN_ENV,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const killAtExit = () => child.kill(command.stopSignal);
  process.once('exit', killAtExit);
  const gone = whenGone(child).finally(() => process.off('exit', killAtExit));
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
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
    await Promise.race([closed, after(LAST_LINES_WITHIN_MS)]);
    const message = [`${command.name} did not start: ${failure}`, ...lastLines].join('\n  ');
    throw new EmbeddedError('START_FAILED', message);
  }
  letUsEnd(child);
  return { pid: child.pid, stop };
}

/**
 * Below 32 768, from where on Linux chooses ports for outgoing connections, one of which could take the port meanwhile;
 * by 10 000, since a Redis Cluster's node also listens at its port plus 10 000.
 */
const PORTS = { from: 10_240, to: 22_768 };
const MAX_PORTS_TRIED = 100;

/** A TCP port that nothing on this machine listened at a moment ago. */
export async function freePort(): Promise<number> {
  for (let tried = 1; ; tried++) {
    const port = randomInt(PORTS.from, PORTS.to);
    const probe = createServer();
    const failure = await new Promise<unknown>((resolve) =>
      probe.once('error', resolve).listen(port, '127.0.0.1', () => resolve(undefined)),
    );
    if (failure === undefined) {
      await new Promise((resolve) => probe.close(resolve));
      return port;
    }
    if (tried === MAX_PORTS_TRIED) throw failure;
  }
}

/** Resolves with a description of how the process ended. */
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

/** A time limit, not a pause: the timer does not keep the process alive. */
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

/** A script that forgets stop() still ends, and the exit hook stops the server. */
function letUsEnd(child: ChildProcess): void {
  child.unref();
  for (const pipe of pipesOf(child)) if (pipe instanceof Socket) pipe.unref();
}

function pipesOf(child: ChildProcess): Readable[] {
  return [child.stdout, child.stderr].filter((pipe) => pipe !== null);
}
