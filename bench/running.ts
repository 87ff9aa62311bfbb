/** A contender's process as the bench sees it. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { until } from '../test/chaos/wait.js';
import { PRODUCTION_FLAGS } from '../test/support/production-flags.js';
import type { Contender } from './contender.js';
import type { ChildOptions, FromChild, ToChild, Usage } from './contenders/child.js';
import { nodeOf } from './nodes.js';
import { JWT_SECRET, type World } from './world.js';

const READY_WITHIN_MS = 30_000;

export class Running {
  readonly #process: ChildProcess;
  #port = 0;
  #usage: ((usage: Usage) => void) | undefined;
  #profiled: (() => void) | undefined;
  #died = false;

  private constructor(started: ChildProcess) {
    this.#process = started;
  }

  static async start(
    contender: Contender,
    world: World,
    given: Pick<ChildOptions, 'databaseUrl' | 'redisUrl' | 'clusterNodes' | 'answers'>,
  ): Promise<Running> {
    const { file, mode, kind } = contender;
    const options: ChildOptions = { ...given, mode, jwtSecret: JWT_SECRET };
    const compiled = kind === 'peer' ? world.compiled.peers : world.compiled.server;
    const started = fork(join(compiled, 'bench/contenders', `${file}.js`), {
      execPath: nodeOf(contender, world.nodes)?.file,
      execArgv: [...PRODUCTION_FLAGS], // they make none of them dearer
      env: { PATH: process.env['PATH'], NODE_ENV: 'production', BENCH_CHILD: JSON.stringify(options) },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      detached: true, // a Ctrl-C in the terminal is for us
    });
    const pid = started.pid as number;
    world.reaper.watch(pid);
    const running = new Running(started);
    started.once('exit', () => {
      world.reaper.forget(pid);
      running.#died = true;
    });
    started.on('message', (message: FromChild) => {
      if (message.kind === 'ready') running.#port = message.port;
      else if (message.kind === 'usage') running.#usage?.(message);
      else running.#profiled?.();
    });
    const what = `${file} (${mode}) is ready`;
    await until(what, () => running.#died || running.#port !== 0, { withinMs: READY_WITHIN_MS, everyMs: 10 });
    if (running.#died) throw new Error(`${file} (${mode}) ended before it was ready`);
    return running;
  }

  get origin(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Since it began. */
  usage(): Promise<Usage> {
    return new Promise((resolve, reject) => {
      if (this.#died) return reject(new Error('the contender has ended'));
      this.#usage = resolve;
      this.#tell({ kind: 'usage' });
    });
  }

  /** Begins a profile of its CPU, or ends it and writes it to `file`. */
  profile(file: string): Promise<void> {
    return new Promise((resolve) => {
      this.#profiled = resolve;
      this.#tell({ kind: 'profile', file });
    });
  }

  #tell(message: ToChild): void {
    this.#process.send(message);
  }

  async stop(): Promise<void> {
    if (this.#died) return;
    const gone = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await gone;
  }
}
