/** The runner's side of the process of clients. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Reaper } from '../../chaos/reaper.js';
import type { ClientConnection, ClientKind, ClientReport, FromClients, ToClients } from './protocol.js';

/** As this file: compiled or not. */
const KIND = extname(fileURLToPath(import.meta.url));
const FILE = fileURLToPath(new URL(`./clients${KIND}`, import.meta.url));
const COMPARE_WITHIN_MS = 20_000;

export class ClientProcess {
  readonly #process: ChildProcess;
  readonly #ended: Promise<never>;

  private constructor(started: ChildProcess) {
    this.#process = started;
    this.#ended = once(started, 'exit').then(([code]) => {
      throw new Error(`the process of the clients ended with ${code}`);
    });
    this.#ended.catch(() => {}); // `stop` ends it, too
  }

  static start(reaper: Reaper): ClientProcess {
    const started = fork(FILE, {
      execArgv: KIND === '.ts' ? ['--import', 'tsx'] : [],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      serialization: 'advanced',
      detached: true, // a Ctrl-C in the terminal is for us
    });
    const pid = started.pid as number;
    reaper.watch(pid);
    started.once('exit', () => reaper.forget(pid));
    return new ClientProcess(started);
  }

  async connect(as: ClientKind, connections: readonly ClientConnection[]): Promise<void> {
    await this.#do({ kind: 'connect', as, connections });
  }

  async begin(): Promise<void> {
    await this.#do({ kind: 'begin' });
  }

  async reset(): Promise<void> {
    await this.#do({ kind: 'reset' });
  }

  /** Since `reset`. */
  async report(): Promise<ClientReport> {
    const answer = await this.#do({ kind: 'report' });
    if (answer.done !== 'report') throw new Error(`expected a report, got ${answer.done}`);
    return answer.report;
  }

  async compare(): Promise<{ readonly different: number; readonly example: string | undefined }> {
    const answer = await this.#do({ kind: 'compare', withinMs: COMPARE_WITHIN_MS });
    if (answer.done !== 'compare') throw new Error(`expected a comparison, got ${answer.done}`);
    return answer;
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const gone = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await gone;
  }

  /** One at a time. @throws when the process ends first */
  async #do(message: ToClients): Promise<FromClients> {
    const answered = once(this.#process, 'message') as Promise<[FromClients]>;
    this.#process.send(message);
    const [answer] = await Promise.race([answered, this.#ended]);
    return answer;
  }
}
