/** The runner's side of an API process: started, asked by GraphQL, asked what it counted. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { Agent } from 'node:http';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Reaper } from '../chaos/reaper.js';
import { until } from '../chaos/wait.js';
import { PRODUCTION_FLAGS } from '../support/production-flags.js';
import type { ApiOptions, Counts, FromApi, ToApi, Usage } from './api-options.js';
import { postForData } from './post.js';

/** As this file: compiled or not. */
const FILE = fileURLToPath(new URL(`./api${extname(fileURLToPath(import.meta.url))}`, import.meta.url));
const READY_WITHIN_MS = 30_000;
const COUNT_WITHIN_MS = 10_000;
/** A connection for every reader of a process. */
const MAX_SOCKETS = 1000;
/** A connection that is idle for longer is not used again: the server is about to close it. */
const IDLE_MS = 30_000;

const NOTHING: Counts = {
  statements: 0,
  taskSelects: 0,
  outcomes: {},
  unfenced: 0,
  loadsPeak: 0,
  failures: {},
  stallMs: 0,
};

export class ApiProcess {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: MAX_SOCKETS, timeout: IDLE_MS });
  readonly #process: ChildProcess;
  #port = 0;
  #counts = NOTHING;
  #answers = 0;
  #loadsPeak = 0;
  #usage: Usage = { cpuMs: 0, memoryBytes: 0 };
  #usages = 0;
  /** It ended, and nobody had asked it to. */
  died = false;

  private constructor(started: ChildProcess) {
    this.#process = started;
  }

  static start(options: ApiOptions, reaper: Reaper): Promise<ApiProcess> {
    return ApiProcess.startProgram(FILE, { LOAD_API: JSON.stringify(options) }, reaper);
  }

  /** Another server that says the same of itself, in the environment of this process and `env`. */
  static async startProgram(file: string, env: NodeJS.ProcessEnv, reaper: Reaper): Promise<ApiProcess> {
    const started = fork(file, {
      // As in `npm start`.
      execArgv: ['--expose-gc', ...PRODUCTION_FLAGS, ...(extname(file) === '.ts' ? ['--import', 'tsx'] : [])],
      env: { ...process.env, ...env },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      detached: true, // a Ctrl-C in the terminal is for us
    });
    const pid = started.pid as number;
    reaper.watch(pid);
    const api = new ApiProcess(started);
    started.once('exit', () => {
      reaper.forget(pid);
      api.died = true;
    });
    started.on('message', (message: FromApi) => {
      if (message.kind === 'ready') {
        api.#port = message.port;
        return;
      }
      if (message.kind === 'usage') {
        api.#usage = message;
        api.#usages++;
        return;
      }
      api.#counts = message.counts;
      api.#loadsPeak = Math.max(api.#loadsPeak, message.loadsPeak);
      if (message.asked) api.#answers++;
    });
    await until('the API process is ready', () => api.died || api.#port !== 0, { withinMs: READY_WITHIN_MS });
    if (api.died) throw new Error('the API process ended before it was ready');
    return api;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}/graphql`;
  }

  /** As it told last: some 100 ms old. */
  get recent(): Counts {
    return this.#counts;
  }

  /** Most loads that ran at once since this was last asked. */
  takeLoadsPeak(): number {
    const peak = this.#loadsPeak;
    this.#loadsPeak = 0;
    return peak;
  }

  /** As they are now. */
  async count(): Promise<Counts> {
    const before = this.#answers;
    this.#process.send({ kind: 'count' } satisfies ToApi);
    await until('the API process has counted', () => this.#answers > before, { withinMs: COUNT_WITHIN_MS, everyMs: 5 });
    return this.#counts;
  }

  async usage(): Promise<Usage> {
    const before = this.#usages;
    this.#process.send({ kind: 'usage' } satisfies ToApi);
    await until('the API process has measured itself', () => this.#usages > before, {
      withinMs: COUNT_WITHIN_MS,
      everyMs: 5,
    });
    return this.#usage;
  }

  /** The data of an answer without errors. @throws everything else */
  ask<Data>(body: string, headers: Readonly<Record<string, string>>): Promise<Data> {
    return postForData(body, { url: this.url, agent: this.#agent, headers });
  }

  async stop(): Promise<void> {
    this.#agent.destroy();
    if (this.died) return;
    const gone = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await gone;
  }
}
