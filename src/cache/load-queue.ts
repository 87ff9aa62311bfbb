/**
 * How many loads run at once in this process. While Redis is away every read is a load, and Postgres has only so many
 * connections: the rest waits, each viewer's loads in a line of their own. The viewers are served in turn, and one viewer's loads
 * take at most half of the slots. The lines are as long as there are calls under way.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { FairQueue, type Turn } from '../fair-queue.js';

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
  readonly #queue: FairQueue;

  constructor(max: number) {
    this.#queue = new FairQueue({ max, maxEach: Math.max(1, Math.floor(max / 2)) });
  }

  /** Whether the caller runs inside of a load. */
  get inside(): boolean {
    return running > 0 && inside.getStore()?.queue === this;
  }

  get state(): FairQueue['state'] {
    return this.#queue.state;
  }

  /** For `run`, and for those who join the load while it waits. `viewer`: whose share of the loads it takes. */
  turn(viewer: string | undefined): Turn {
    return this.#queue.turn(viewer);
  }

  /**
   * `starting` is called when the load's turn has come, just before it runs. A load in line leaves it when `signal` aborts; one that
   * runs finds it as `loadSignal`, unless it is a `leaf`, which reads nothing through a cache. Inside of a load nothing waits.
   * @throws the signal's reason
   */
  async run<T>(
    load: () => Promise<T>,
    { turn, starting, signal, leaf }: { turn: Turn; starting: () => void; signal: AbortSignal; leaf: boolean },
  ): Promise<T> {
    signal.throwIfAborted();
    const run = () => {
      starting();
      return leaf ? load() : within({ queue: this, signal }, load);
    };
    if (this.inside) return run();
    const waiting = turn.begin(signal);
    if (waiting !== undefined) await waiting;
    try {
      return await run();
    } finally {
      turn.end();
    }
  }
}
