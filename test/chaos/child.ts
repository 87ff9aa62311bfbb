/** The runner's side of an API process: started, asked, hurt, started again; and when it was not there to answer. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ChildOptions, FromChild, ToChild } from './child-options.js';
import type { ChaosProxy } from './proxy.js';
import type { Reaper } from './reaper.js';
import { sleep, until } from './wait.js';

/** `.ts`, or `.js` where this is compiled. */
const KIND = extname(fileURLToPath(import.meta.url));
const FILE = fileURLToPath(new URL(`./api-child${KIND}`, import.meta.url));
/** On a machine that does much else. */
const READY_WITHIN_MS = 120_000;
/** Above every pause and hang of a run: who waits longer waits for ever. */
const REQUEST_WITHIN_MS = 10_000;
const MAX_SOCKETS = 16;
/** Of its log, in the report of a crash. */
const CRASH_LINES = 12;

export class RequestFailed extends Error {
  override readonly name = 'RequestFailed';
}

export class ApiChild {
  readonly number: number;
  readonly redisProxies: readonly ChaosProxy[];
  readonly postgresProxy: ChaosProxy;
  readonly #options: ChildOptions;
  readonly #reaper: Reaper;
  readonly #logFile: string;
  #process: ChildProcess | undefined;
  #agent = new Agent({ keepAlive: true, maxSockets: MAX_SOCKETS });
  #port: number | undefined;
  #reached = new Set<string>();
  /** That it dies is our doing. */
  #doomed = false;
  /** When it last began not to be there, and when it was there again. */
  #downSinceMs = 0;
  #upSinceMs = Number.POSITIVE_INFINITY;
  #counts: Extract<FromChild, { kind: 'counts' }> = { kind: 'counts', outcomes: {}, unfenced: 0 };
  readonly #past: Record<string, number> = {};
  readonly #onCrash: (report: string) => void;

  constructor(options: {
    number: number;
    child: ChildOptions;
    redisProxies: readonly ChaosProxy[];
    postgresProxy: ChaosProxy;
    reaper: Reaper;
    logDir: string;
    /** It died, and nobody killed it. It is started again. */
    onCrash: (report: string) => void;
  }) {
    this.number = options.number;
    this.redisProxies = options.redisProxies;
    this.postgresProxy = options.postgresProxy;
    this.#options = options.child;
    this.#reaper = options.reaper;
    this.#onCrash = options.onCrash;
    this.#logFile = join(options.logDir, `api-${options.number}.log`);
  }

  get up(): boolean {
    return this.#port !== undefined;
  }

  /** Undefined: it is down. */
  get port(): number | undefined {
    return this.#port;
  }

  /** Whether it was dead, or not yet started, at some time since then. */
  wasDownSince(ms: number): boolean {
    return !this.up || this.#upSinceMs >= ms || this.#downSinceMs >= ms;
  }

  async start(): Promise<void> {
    const log = openSync(this.#logFile, 'a');
    const started = fork(FILE, {
      execArgv: KIND === '.ts' ? ['--import', 'tsx'] : [],
      env: { ...process.env, CHAOS_CHILD: JSON.stringify(this.#options) },
      stdio: ['ignore', 'pipe', log, 'ipc'],
      detached: true, // a Ctrl-C in the terminal is for us
    });
    closeSync(log);
    this.#process = started;
    this.#doomed = false;
    this.#reached = new Set();
    const pid = started.pid as number;
    this.#reaper.watch(pid);
    started.stdout?.on('data', (text: Buffer) => {
      for (const [, hook] of text.toString().matchAll(/^reached (.+)$/gm)) this.#reached.add(hook as string);
    });
    const ready = new Promise<number>((resolve, reject) => {
      started.on('message', (message: FromChild) => {
        if (message.kind === 'ready') resolve(message.port);
        else this.#counts = message;
      });
      started.once('exit', (code, signal) => {
        this.#reaper.forget(pid);
        if (this.#process === started) this.#isDown();
        if (!this.#doomed && this.#process === started) this.#crashed(`${signal ?? `exit code ${code}`}`);
        reject(new Error(`the API process ended: ${signal ?? code}; its log: ${this.#logFile}`));
      });
    });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error('the API process is not ready in time')), READY_WITHIN_MS);
    });
    try {
      this.#port = await Promise.race([ready, late]);
    } finally {
      clearTimeout(timer);
    }
    this.#upSinceMs = performance.now();
  }

  /** Asks it to hurt itself at that step, and waits until it has. @returns false when it did not come there in time */
  async strikeAt(hook: string, signal: 'SIGKILL' | 'SIGSTOP', withinMs: number): Promise<boolean> {
    this.#reached.delete(hook);
    this.#doomed = signal === 'SIGKILL';
    this.#send({ kind: 'arm', hook, signal });
    const deadlineMs = performance.now() + withinMs;
    while (!this.#reached.has(hook) && performance.now() < deadlineMs) await sleep(2);
    if (this.#reached.has(hook)) return true;
    this.#send({ kind: 'disarm' });
    await sleep(20);
    this.#doomed = this.#reached.has(hook) && signal === 'SIGKILL';
    return this.#reached.has(hook);
  }

  /** Starts it again when it has died; awaits its death first if that is under way. */
  async startAgain(): Promise<void> {
    await until('the killed API process is gone', () => !this.up, { withinMs: 5000, everyMs: 2 });
    await this.start();
  }

  async kill(): Promise<void> {
    const killed = this.#process;
    this.#doomed = true;
    this.#isDown();
    if (killed === undefined || killed.exitCode !== null || killed.signalCode !== null) return;
    const gone = once(killed, 'exit');
    killed.kill('SIGKILL');
    await gone;
  }

  pause(): void {
    this.#process?.kill('SIGSTOP');
  }

  resume(): void {
    this.#process?.kill('SIGCONT');
  }

  /** Cached calls by how they ended, over all lives of the process; `answer`: reads served as known; `unfenced`: commits without a fence. */
  counts(): Readonly<Record<string, number>> {
    const sum = { ...this.#past };
    for (const [name, count] of Object.entries(this.#flat())) sum[name] = (sum[name] ?? 0) + count;
    return sum;
  }

  /** The parsed answer. @throws RequestFailed */
  post(path: string, body: object, headers: Readonly<Record<string, string>>): Promise<unknown> {
    const port = this.#port;
    if (port === undefined) return Promise.reject(new RequestFailed('the process is down'));
    const text = JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const sent = request(
        {
          host: '127.0.0.1',
          port,
          path,
          method: 'POST',
          agent: this.#agent,
          headers: { ...headers, 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) },
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', (error) => fail(error.message));
          response.on('end', () => {
            clearTimeout(timer);
            const answer = Buffer.concat(chunks).toString();
            if (response.statusCode !== 200) return fail(`HTTP ${response.statusCode}: ${answer.slice(0, 300)}`);
            try {
              resolve(JSON.parse(answer));
            } catch {
              fail(`no JSON: ${answer.slice(0, 300)}`);
            }
          });
        },
      );
      const fail = (message: string) => {
        clearTimeout(timer);
        reject(new RequestFailed(message));
      };
      const timer = setTimeout(() => {
        fail(`no answer within ${REQUEST_WITHIN_MS} ms`);
        sent.destroy();
      }, REQUEST_WITHIN_MS);
      sent.on('error', (error) => fail(error.message));
      sent.end(text);
    });
  }

  #crashed(how: string): void {
    const lines = readFileSync(this.#logFile, 'utf8').trimEnd().split('\n').slice(-CRASH_LINES);
    this.#onCrash(`API ${this.number} died by itself, ${how}; ${this.#logFile}:\n  ${lines.join('\n  ')}`);
    this.start().catch((error) => this.#onCrash(`API ${this.number} does not start again: ${error}`));
  }

  #send(message: ToChild): void {
    if (this.#process?.connected) this.#process.send(message, () => {}); // it may have died just now
  }

  #flat(): Record<string, number> {
    return { ...this.#counts.outcomes, unfenced: this.#counts.unfenced };
  }

  #isDown(): void {
    if (this.#port === undefined) return;
    this.#downSinceMs = performance.now();
    this.#upSinceMs = Number.POSITIVE_INFINITY;
    this.#port = undefined;
    Object.assign(this.#past, this.counts());
    this.#counts = { kind: 'counts', outcomes: {}, unfenced: 0 };
    this.#agent.destroy();
    this.#agent = new Agent({ keepAlive: true, maxSockets: MAX_SOCKETS });
  }
}
