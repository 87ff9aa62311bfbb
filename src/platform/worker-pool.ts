/**
 * The primary process's side of WORKERS: starts as many processes that serve as there should be, by `node:cluster`, so
 * that they share a port; replaces those that end; gathers their metrics; stops them.
 */
import cluster, { type Worker } from 'node:cluster';
import { once } from 'node:events';
import { systemClock } from '../engine/cache/index.js';
import { shared } from '../std/shared.js';
import { SECOND } from '../std/time.js';
import { GatheredMetrics } from './gathered-metrics.js';
import type { Log } from './log.js';
import type { Samples, ToPrimary, ToWorker } from './worker-messages.js';
import { WorkerRestarts } from './worker-restarts.js';

/** For a worker that does not answer in this time, its last samples count. */
const SAMPLES_MS = SECOND;

export interface WorkerPoolOptions {
  readonly count: number;
  /** Variables that workers have in addition to those of this process. */
  readonly env: Readonly<Record<string, string>>;
  readonly log: Log;
  /** No worker stays alive, and none is started any more. */
  readonly onGivenUp: () => void;
}

/** A worker ended before it listened. It has reported why. */
export class WorkerNotStarted extends Error {
  override readonly name = 'WorkerNotStarted';
  readonly code = 'WORKER_NOT_STARTED';
}

interface Address {
  readonly host: string;
  readonly port: number;
}

export class WorkerPool {
  readonly #options: WorkerPoolOptions;
  readonly #restarts = new WorkerRestarts();
  readonly #metrics = new GatheredMetrics();
  readonly #running = new Set<Worker>();
  /** When each worker began to listen, as `performance.now()`. */
  readonly #listeningSince = new Map<Worker, number>();
  /** Receives the samples of a worker that was asked for them. */
  readonly #onSamples = new Map<Worker, () => void>();
  #stopping = false;
  #allClean = true;
  #onEmpty: () => void = () => {};

  /** The metrics of all workers together. */
  readonly metricsText: () => Promise<string> = shared(() => this.#gather());

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
  }

  /**
   * Starts one worker and, when it listens, the others: what keeps a worker from starting is reported once.
   * @returns where they listen, when all do
   * @throws WorkerNotStarted
   */
  async start(): Promise<Address> {
    const address = await this.#first();
    await Promise.all(Array.from({ length: this.#options.count - 1 }, () => this.#first()));
    return address;
  }

  /** Tells load balancers, by /readyz of all workers, to send requests elsewhere. */
  drain(): void {
    this.#tellToStop(false);
  }

  /** @returns whether all workers, since this was called, have ended without a fault */
  async stop(): Promise<boolean> {
    const empty = new Promise<void>((resolve) => (this.#onEmpty = resolve));
    this.#tellToStop(true);
    if (this.#running.size > 0) await empty;
    return this.#allClean;
  }

  kill(): void {
    for (const worker of this.#running) worker.process.kill('SIGKILL');
  }

  #tellToStop(now: boolean): void {
    this.#stopping = true;
    for (const worker of this.#running) send(worker, { kind: 'stop', now });
  }

  async #first(): Promise<Address> {
    const worker = this.#fork();
    const exited = new AbortController();
    worker.once('exit', () => exited.abort());
    try {
      const [{ address: host, port }] = await once(worker, 'listening', exited);
      worker.once('exit', () => this.#replace(worker));
      return { host, port };
    } catch {
      const { exitCode, signalCode } = worker.process;
      throw new WorkerNotStarted(
        `WORKERS: a worker ended before it listened (${signalCode ?? `exit code ${exitCode}`})`,
      );
    }
  }

  #fork(): Worker {
    const worker = cluster.fork(this.#options.env);
    this.#running.add(worker);
    closeConnectionsNotTaken(worker);
    worker.on('listening', () => this.#listeningSince.set(worker, performance.now()));
    worker.on('message', (message: ToPrimary) => this.#receive(worker, message));
    worker.on('error', (error) =>
      this.#options.log.warn({ err: error, worker: worker.id }, 'the channel to a worker failed'),
    );
    worker.once('exit', (code, signal) => this.#ended(worker, signal ?? code));
    worker.once('disconnect', () => this.#metrics.end(worker.id)); // its last message has come
    return worker;
  }

  #ended(worker: Worker, how: string | number): void {
    this.#running.delete(worker);
    this.#onSamples.get(worker)?.();
    if (!this.#stopping) return;
    if (how !== 0) {
      this.#allClean = false;
      this.#options.log.error({ worker: worker.id, how }, 'a worker was killed, or ended with a fault, while stopping');
    }
    if (this.#running.size === 0) this.#onEmpty();
  }

  #replace(worker: Worker): void {
    const since = this.#listeningSince.get(worker);
    this.#listeningSince.delete(worker);
    if (this.#stopping) return;
    const { log, onGivenUp } = this.#options;
    const nowMs = performance.now();
    const servedMs = since === undefined ? 0 : nowMs - since;
    const pauseMs = this.#restarts.pauseAfter(servedMs, this.#listeningSince.size, nowMs);
    const { pid, exitCode, signalCode } = worker.process;
    const how = { worker: worker.id, workerPid: pid, exitCode, signal: signalCode };
    if (pauseMs === undefined) {
      log.fatal(how, 'workers die right after they start, and none serves: giving up');
      onGivenUp();
      return;
    }
    log.error({ ...how, pauseMs }, 'a worker has ended and is replaced');
    void this.#forkAfter(pauseMs);
  }

  async #forkAfter(pauseMs: number): Promise<void> {
    if (pauseMs > 0) await systemClock.sleep(pauseMs);
    if (this.#stopping) return;
    const worker = this.#fork();
    worker.once('exit', () => this.#replace(worker));
  }

  #receive(worker: Worker, message: ToPrimary): void {
    if (message.kind === 'samples') this.#note(worker, message.samples);
    else void this.#answer(worker);
  }

  #note(worker: Worker, samples: Samples): void {
    this.#metrics.note(worker.id, samples);
    this.#onSamples.get(worker)?.();
  }

  async #answer(worker: Worker): Promise<void> {
    send(worker, { kind: 'gathered', text: await this.metricsText() });
  }

  async #gather(): Promise<string> {
    const asked = [...this.#listeningSince.keys()].filter((worker) => worker.isConnected());
    await Promise.all(asked.map((worker) => this.#samplesOf(worker)));
    return this.#metrics.text();
  }

  /** Resolves when they have been noted, or are late. */
  #samplesOf(worker: Worker): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(late);
        this.#onSamples.delete(worker);
        resolve();
      };
      const late = setTimeout(done, SAMPLES_MS);
      this.#onSamples.set(worker, done);
      send(worker, { kind: 'read-samples' });
    });
  }
}

/**
 * A connection that a worker was handed as it died would stay open without an answer: `node:cluster` hands a worker one
 * at a time for each address, whose `key` is in the message, and closes or hands on only what that worker replies to.
 */
function closeConnectionsNotTaken(worker: Worker): void {
  const child = worker.process;
  /** The last one of each address. */
  const handed = new Map<unknown, { close?(): void }>();
  const sendOn = child.send.bind(child) as (...args: unknown[]) => boolean;
  child.send = (message: unknown, handle?: unknown, ...rest: unknown[]) => {
    if (typeof handle === 'object' && handle !== null) handed.set((message as { key?: unknown }).key, handle);
    return sendOn(message, handle, ...rest);
  };
  worker.once('exit', () => {
    for (const handle of handed.values()) handle.close?.();
  });
}

/** To a worker that may be ending: then nothing is sent. */
function send(worker: Worker, message: ToWorker): void {
  if (worker.isConnected()) worker.send(message, () => {});
}
