/**
 * A private Redis for development and tests: the installed redis-server or valkey-server as a child process, on a free
 * port of 127.0.0.1, in memory only. Its memory is bounded like a production cache; a lost entry only costs a miss.
 */
import { spawnSync } from 'node:child_process';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { SECOND } from '../../std/time.js';
import { EmbeddedError, freePort, startServer } from './child.js';

export interface RedisOptions {
  /** Command line arguments, `['--maxmemory', '1mb']`. They override the defaults, except for address and log. */
  args?: string[];
  /** Working directory, for files that `args` name. Defaults to the directory for temporary files. */
  dir?: string;
}

export interface EmbeddedRedis {
  url: string;
  port: number;
  pid: number;
  stop(): Promise<void>;
}

const PONG_WITHIN_MS = 5 * SECOND;
const DEFAULTS = '--appendonly no --maxmemory 256mb --maxmemory-policy volatile-lfu'.split(' ');

/**
 * Undefined if no Redis is installed: see `installHint`.
 * @throws EmbeddedError START_FAILED
 */
export async function startRedis({ args = [], dir }: RedisOptions = {}): Promise<EmbeddedRedis | undefined> {
  const file = findRedisServer();
  if (file === undefined) return undefined;
  const port = await freePort();
  // Redis uses the last of two equal arguments. This module reads the log, so it must be written to stdout.
  const fixed = [
    '--bind',
    '127.0.0.1',
    '--port',
    String(port),
    '--loglevel',
    'notice',
    '--logfile',
    '',
    '--daemonize',
    'no',
  ];
  // In a shared directory a dump.rdb belongs to another Redis, which this one would load and answer from.
  const place = dir === undefined ? ['--dir', tmpdir(), '--dbfilename', `tasks-redis-${port}.rdb`] : ['--dir', dir];
  const server = await startServer({
    name: 'Redis',
    file,
    args: ['--save', '', ...DEFAULTS, ...place, ...args, ...fixed],
    readyLine: /ready to accept connections/i,
    stopSignal: 'SIGTERM',
  });
  try {
    await ping(port);
  } catch (cause) {
    await server.stop();
    throw new EmbeddedError('START_FAILED', `Redis started on port ${port}, but does not answer PING`, { cause });
  }
  return { url: `redis://127.0.0.1:${port}`, port, ...server };
}

/** The path of redis-server, else of valkey-server, on this process's PATH. */
export function findRedisServer(): string | undefined {
  const found = spawnSync('/bin/sh', ['-c', 'command -v redis-server || command -v valkey-server'], {
    encoding: 'utf8',
  });
  return found.status === 0 ? found.stdout.trim() : undefined;
}

/** One line that says what to install. */
export function installHint(): string {
  switch (process.platform) {
    case 'darwin':
      return 'no redis-server on PATH: brew install redis';
    case 'win32':
      return 'no redis-server on PATH: run inside WSL, and there sudo apt-get install redis-server';
    default:
      return 'no redis-server on PATH: sudo apt-get install redis-server (Fedora: dnf install valkey, Alpine: apk add redis)';
  }
}

/** Uses a plain socket, because only the cache's store contains a Redis client. */
function ping(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host: '127.0.0.1', port }, () => socket.write('PING\r\n'));
    socket.setTimeout(PONG_WITHIN_MS, () => socket.destroy(new Error(`no answer within ${PONG_WITHIN_MS} ms`)));
    socket.once('error', reject);
    socket.once('data', (answer) => {
      socket.destroy();
      if (answer.toString().startsWith('+PONG')) resolve();
      else reject(new Error(`expected +PONG, got ${answer.toString().trim()}`));
    });
  });
}
