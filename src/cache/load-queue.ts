/**
 * How many loads run at once in this process. While Redis is away every read is a load, and Postgres has only so many
 * connections: the rest waits in line, first come, first served. The line is as long as there are calls under way.
 */
import { AsyncLocalStorage } from 'node:async_hooks';

interface Inside {
  readonly queue: LoadQueue;
  readonly signal: AbortSignal;
}

/** Of the load that runs: what it reads in turn must not wait for what waits for it. One for all queues: each costs every promise. */
const inside = new AsyncLocalStorage<Inside>();
let running = 0;

/** While no such load runs nothing is followed: until Node 24 that makes every promise of the process dearer, a hit by a tenth. */
function within<T>(what: Inside, run: () => T): T {
  const over = () => {
    if (--running === 0) inside.disable();
  };
  running++;
  let result: T;
  try {
    result = inside.run(what, run);
  } catch (error) {
    over();
    throw error;
  }
  if (result instanceof Promise) result.then(over, over);
  else over();
  return result;
}

/** Whether the caller runs inside a load, of whatever queue, that may read through a cache. */
export function insideLoad(): boolean {
  return running > 0 && inside.getStore() !== undefined;
}

/** Aborts when nobody waits any more for the load that this is called in; undefined outside of any, and in a leaf's. */
export function loadSignal(): AbortSignal | undefined {
  return inside.getStore()?.signal;
}

export class LoadQueue {
  readonly #max: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  #peak = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** Whether the caller runs inside of a load. */
  get inside(): boolean {
    return running > 0 && inside.getStore()?.queue === this;
  }

  get state(): { readonly running: number; readonly waiting: number; readonly peak: number } {
    return { running: this.#running, waiting: this.#waiting.length, peak: this.#peak };
  }

  /**
   * `starting` is called when the load's turn has come, just before it runs. Who waits in line leaves it when `signal` aborts; what
   * runs finds it as `loadSignal`, unless it is a `leaf`, which reads nothing through a cache.
   * @throws the signal's reason
   */
  async run<T>(
    load: () => Promise<T>,
    { starting, signal, leaf }: { starting: () => void; signal: AbortSignal; leaf: boolean },
  ): Promise<T> {
    signal.throwIfAborted();
    const run = () => {
      starting();
      return leaf ? load() : within({ queue: this, signal }, load);
    };
    if (this.inside) return run();
    if (this.#running < this.#max) this.#running++;
    else await this.#turn(signal); // the place is handed over
    this.#peak = Math.max(this.#peak, this.#running);
    try {
      return await run();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }

  #turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const go = () => {
        signal.removeEventListener('abort', leave);
        resolve();
      };
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(go), 1);
        reject(signal.reason);
      };
      signal.addEventListener('abort', leave, { once: true });
      this.#waiting.push(go);
    });
  }
}
