/** The runner's side of an API process: started, asked by GraphQL, asked what it counted. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { fileURLToPath } from 'node:url';
import type { Reaper } from '../chaos/reaper.js';
import { until } from '../chaos/wait.js';
import type { ApiOptions, Counts, FromApi, ToApi } from './api-options.js';

const FILE = fileURLToPath(new URL('./api.ts', import.meta.url));
const READY_WITHIN_MS = 30_000;
const COUNT_WITHIN_MS = 10_000;
/** Above all that an outage may cost a write: who waits longer gets an error. */
const REQUEST_WITHIN_MS = 30_000;
/** A connection for every reader of a process. */
const MAX_SOCKETS = 1000;

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
  readonly #agent = new Agent({ keepAlive: true, maxSockets: MAX_SOCKETS });
  readonly #process: ChildProcess;
  #port = 0;
  #counts = NOTHING;
  #answers = 0;
  #loadsPeak = 0;
  /** It ended, and nobody had asked it to. */
  died = false;

  private constructor(started: ChildProcess) {
    this.#process = started;
  }

  static async start(options: ApiOptions, reaper: Reaper): Promise<ApiProcess> {
    const started = fork(FILE, {
      execArgv: ['--import', 'tsx'],
      env: { ...process.env, LOAD_API: JSON.stringify(options) },
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
      api.#counts = message.counts;
      api.#loadsPeak = Math.max(api.#loadsPeak, message.loadsPeak);
      if (message.asked) api.#answers++;
    });
    await until('the API process is ready', () => api.died || api.#port !== 0, { withinMs: READY_WITHIN_MS });
    if (api.died) throw new Error('the API process ended before it was ready');
    return api;
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

  /** The data of an answer without errors. @throws everything else */
  ask<Data>(body: string, headers: Readonly<Record<string, string>>): Promise<Data> {
    return new Promise((resolve, reject) => {
      const sent = request(
        {
          host: '127.0.0.1',
          port: this.#port,
          path: '/graphql',
          method: 'POST',
          agent: this.#agent,
          headers: { ...headers, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', reject);
          response.on('end', () => {
            const text = Buffer.concat(chunks).toString();
            try {
              if (response.statusCode !== 200) throw new Error(`HTTP ${response.statusCode}: ${text.slice(0, 300)}`);
              const { data, errors } = JSON.parse(text) as { data?: Data | null; errors?: unknown };
              if (errors !== undefined || !data) throw new Error(`an answer with errors: ${text.slice(0, 300)}`);
              resolve(data);
            } catch (error) {
              reject(error);
            }
          });
        },
      );
      sent.setTimeout(REQUEST_WITHIN_MS, () => sent.destroy(new Error(`no answer within ${REQUEST_WITHIN_MS} ms`)));
      sent.on('error', reject);
      sent.end(body);
    });
  }

  async stop(): Promise<void> {
    this.#agent.destroy();
    if (this.died) return;
    const gone = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await gone;
  }
}
