/** Stops a process in bounded time: what was started is stopped in reverse order, whatever hangs. */
import { systemClock } from '../engine/cache/index.js';
import type { Log } from './log.js';

export interface ShutdownLimits {
  /** Time in which requests are still accepted while load balancers learn that the server is stopping, ms. */
  readonly delayMs: number;
  /** Time for requests that are under way, and for all that is stopped after them, ms. */
  readonly timeoutMs: number;
}

/** Something that was started. */
export interface Running {
  /** Called `delayMs` before anything is stopped. */
  readonly drain?: () => void;
  readonly stop: () => Promise<void>;
  /** Called when `timeoutMs` has passed. Ends what `stop` waits for. */
  readonly cut?: () => void;
  /** How long `stop` may take in any case, ms, however much of `timeoutMs` is left. Default: 0. */
  readonly ownMs?: number;
}

/** Ends a start during which a signal has arrived. */
export class Interrupted extends Error {}

/** Time to end after `cut`. */
export const CUT_MS = 2000;

export class Shutdown {
  readonly #limits: ShutdownLimits;
  readonly #log: Log;
  readonly #running: Running[] = [];
  #begun = false;
  #stopped: Promise<void> = Promise.resolve();
  #clean = true;

  constructor(limits: ShutdownLimits, log: Log) {
    this.#limits = limits;
    this.#log = log;
  }

  /** Whether a signal has arrived. */
  get begun(): boolean {
    return this.#begun;
  }

  /** Registers what has just been started. @throws Interrupted if the process is already ending */
  add(running: Running): void {
    this.#running.push(running);
    if (this.#begun) throw new Interrupted();
  }

  /** Stops everything. Called again, it skips what is left of the delay. @returns whether nothing hangs */
  async end(): Promise<boolean> {
    if (!this.#begun) await this.#drain();
    this.#stopped = this.#stopped.then(() => this.#stopAll()); // one after the other, however many signals arrive
    await this.#stopped;
    return this.#clean;
  }

  async #drain(): Promise<void> {
    this.#begun = true;
    const draining = this.#running.filter(({ drain }) => drain !== undefined);
    if (draining.length === 0) return;
    for (const one of draining) one.drain?.();
    const { delayMs } = this.#limits;
    this.#log.info({ delayMs }, 'stopping: /readyz says so, and requests are accepted until the delay has passed');
    await systemClock.sleep(delayMs);
  }

  async #stopAll(): Promise<void> {
    const untilMs = performance.now() + this.#limits.timeoutMs;
    for (let one = this.#running.pop(); one !== undefined; one = this.#running.pop()) await this.#stop(one, untilMs);
  }

  async #stop(one: Running, untilMs: number): Promise<void> {
    const { ownMs = 0 } = one;
    const ended = one.stop().catch((error) => this.#log.error({ err: error }, 'stopping failed'));
    if (await within(ended, Math.max(ownMs, untilMs - performance.now()))) return;
    if (one.cut !== undefined) {
      const { timeoutMs } = this.#limits;
      this.#log.warn({ timeoutMs }, 'requests that have not ended in time are cut off');
      one.cut();
    }
    if (await within(ended, CUT_MS)) return;
    this.#log.error('something does not stop: the process exits without it');
    this.#clean = false;
  }
}

/** Whether the work has ended in time. */
async function within(work: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
