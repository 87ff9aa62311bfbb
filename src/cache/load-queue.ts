/**
 * How many loads run at once in this process. While Redis is away every read is a load, and Postgres has only so many
 * connections: the rest waits in line, first come, first served. The line is as long as there are calls under way.
 */
import { AsyncLocalStorage } from 'node:async_hooks';

/** Of the load that runs: what it reads in turn must not wait for what waits for it. One for all queues: each costs every promise. */
const inside = new AsyncLocalStorage<LoadQueue>();

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
    return inside.getStore() === this;
  }

  get state(): { readonly running: number; readonly waiting: number; readonly peak: number } {
    return { running: this.#running, waiting: this.#waiting.length, peak: this.#peak };
  }

  /** `starting` is called when the load's turn has come, just before it runs. */
  async run<T>(load: () => Promise<T>, starting: () => void): Promise<T> {
    if (this.inside) {
      starting();
      return load();
    }
    if (this.#running < this.#max) this.#running++;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve)); // the place is handed over
    this.#peak = Math.max(this.#peak, this.#running);
    try {
      starting();
      return await inside.run(this, load);
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}
