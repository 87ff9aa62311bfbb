/** One redis-server that can be killed, stopped, and started again where it was, with or without its files. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { freePort } from '../../src/development/embedded/child.js';
import { findRedisServer, installHint } from '../../src/development/embedded/redis.js';
import type { Reaper } from './reaper.js';
import { until } from './wait.js';

const READY_WITHIN_MS = 10_000;
const COMMAND_WITHIN_MS = 5000;
/** Replicas speak to their primary as this user, so that they can be shut out without a proxy between them. */
export const REPLICATION_USER = 'repl';

export type RedisRole = 'data' | 'sentinel';

export class RedisNode {
  /** Without TLS: where tests and the reaper ask it. */
  readonly port: number;
  /** Where its clients, replicas and Sentinels come: with TLS, if it was given. */
  readonly clientPort: number;
  readonly dir: string;
  readonly #role: RedisRole;
  readonly #reaper: Reaper;
  readonly #file: string;
  #process: ChildProcess | undefined;

  private constructor(options: {
    port: number;
    clientPort: number;
    dir: string;
    role: RedisRole;
    reaper: Reaper;
    file: string;
  }) {
    this.port = options.port;
    this.clientPort = options.clientPort;
    this.dir = options.dir;
    this.#role = options.role;
    this.#reaper = options.reaper;
    this.#file = options.file;
  }

  /** Not yet started. `lines`: of its configuration. `tls`: the same, for a port with TLS beside the other. */
  static async create(options: {
    dir: string;
    role: RedisRole;
    reaper: Reaper;
    lines: readonly string[];
    tls?: readonly string[] | undefined;
  }): Promise<RedisNode> {
    const file = findRedisServer();
    if (file === undefined) throw new Error(installHint());
    const port = await freePort();
    const tls = options.tls && { port: await freePort(), lines: options.tls };
    const dir = join(options.dir, `${options.role}-${port}`);
    await mkdir(dir, { recursive: true });
    const data = [
      'save ""',
      'appendonly no',
      'maxmemory 256mb',
      'maxmemory-policy volatile-lfu',
      'repl-diskless-sync-delay 0',
      'enable-debug-command yes',
      `user ${REPLICATION_USER} on nopass +psync +replconf +ping`,
      `masteruser ${REPLICATION_USER}`,
      'masterauth any',
    ];
    const lines = [
      `port ${port}`,
      'bind 127.0.0.1',
      'protected-mode no',
      `dir ${dir}`,
      `logfile ${join(dir, 'log')}`,
      ...(options.role === 'data' ? data : []),
      ...(tls ? [`tls-port ${tls.port}`, ...tls.lines] : []),
      ...options.lines,
    ];
    // Sentinel and CONFIG REWRITE change the file: what a node has learnt outlives a restart.
    await writeFile(join(dir, 'redis.conf'), `${lines.join('\n')}\n`);
    const { role, reaper } = options;
    return new RedisNode({ port, clientPort: tls?.port ?? port, dir, role, reaper, file });
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** `args`: win over the configuration, for this run. */
  async start(args: readonly string[] = []): Promise<void> {
    const mode = this.#role === 'sentinel' ? ['--sentinel'] : [];
    const started = spawn(this.#file, [join(this.dir, 'redis.conf'), ...args, ...mode], {
      stdio: 'ignore',
      detached: true, // a Ctrl-C in the terminal is for us
      cwd: this.dir,
    });
    started.unref();
    this.#process = started;
    if (started.pid !== undefined) this.#reaper.watch(started.pid);
    await until(`redis-server on port ${this.port} answers`, async () => (await this.command('PING')) === 'PONG', {
      withinMs: READY_WITHIN_MS,
      everyMs: 10,
    });
  }

  /** SIGKILL, SIGSTOPped or not. */
  async kill(): Promise<void> {
    const killed = this.#process;
    this.#process = undefined;
    if (killed?.pid === undefined || killed.exitCode !== null || killed.signalCode !== null) return;
    const gone = once(killed, 'exit');
    killed.kill('SIGKILL');
    await gone;
    this.#reaper.forget(killed.pid);
  }

  pause(): void {
    this.#process?.kill('SIGSTOP');
  }

  resume(): void {
    this.#process?.kill('SIGCONT');
  }

  /** The data it would find when it starts. */
  async forget(): Promise<void> {
    for (const name of ['dump.rdb', 'appendonlydir']) await rm(join(this.dir, name), { recursive: true, force: true });
  }

  /** One command on a connection of its own, past all proxies. */
  async command(...[name, ...args]: [string, ...(string | number)[]]): Promise<unknown> {
    const client = new Redis({
      host: '127.0.0.1',
      port: this.port,
      lazyConnect: true,
      retryStrategy: () => null,
      maxRetriesPerRequest: 0,
      connectTimeout: COMMAND_WITHIN_MS,
      commandTimeout: COMMAND_WITHIN_MS,
      enableReadyCheck: false,
    });
    client.on('error', () => {}); // the command rejects
    try {
      await client.connect();
      return await client.call(name, ...args);
    } finally {
      client.disconnect();
    }
  }

  /** Fields of INFO. */
  async info(section: string): Promise<ReadonlyMap<string, string>> {
    const text = String(await this.command('INFO', section));
    return new Map(text.split(/\r?\n/).map((line) => line.split(/:(.*)/s).slice(0, 2) as [string, string]));
  }
}
