/**
 * A private Redis for laptops and tests: the redis-server or valkey-server of this computer as our child, on a free port
 * of 127.0.0.1, in memory only. Bounded like the cache in production; an entry lost here costs a miss and no more.
 */
import { spawnSync } from 'node:child_process';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { SECOND } from '../../std/time.js';
import { EmbeddedError, freePort, startServer } from './child.js';

export interface RedisOptions {
  /** As on its command line, `['--maxmemory', '1mb']`; they win over ours, but not over address and log. */
  args?: string[];
  /** Its working directory, for files that `args` ask for; default: the one for temporary files. */
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
 * Undefined when this computer has no Redis: see `installHint`.
 * @throws EmbeddedError START_FAILED
 */
export async function startRedis({ args = [], dir }: RedisOptions = {}): Promise<EmbeddedRedis | undefined> {
  const file = findRedisServer();
  if (file === undefined) return undefined;
  const port = await freePort();
  // Of two equal arguments the last one counts. We read its log, so it must speak, and to us.
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
  // In a directory that others use, a dump.rdb is theirs: Redis would load it and answer with their keys.
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

/** One line: what to install here. */
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

/** By a bare socket: only the cache's own store knows a client of Redis. */
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
