/**
 * How many loads run at once in this process. While Redis is away every read is a load, and Postgres has a limited
 * number of connections. Other loads wait, in one line per viewer. Viewers are served in turn, and one viewer's loads
 * take at most half of the slots, less while others load: see fair-queue.ts. The lines are as long as there are calls
 * in progress.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { FairQueue, type Turn } from './fair-queue.js';

interface Inside {
  readonly queue: LoadQueue;
  readonly signal: AbortSignal;
}

/**
 * The load that runs in this async context. Its own reads must not wait in line behind loads that wait for it. One
 * instance for all queues, since each slows every promise.
 */
const inside = new AsyncLocalStorage<Inside>();
let running = 0;

/**
 * Disabled while no such load runs: before Node 24 an enabled AsyncLocalStorage slows every promise of the process, a
 * hit by a tenth.
 */
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

/** Whether the caller runs inside a load, of any queue, that may read through a cache. */
export function insideLoad(): boolean {
  return running > 0 && inside.getStore() !== undefined;
}

/**
 * The signal of the load that calls this: aborts when its last caller has left. Undefined outside loads and inside
 * one that is not reentrant.
 */
export function loadSignal(): AbortSignal | undefined {
  return running > 0 ? inside.getStore()?.signal : undefined;
}

/** The fraction of the slots that heavy loads may hold. */
const HEAVY_SHARE = 0.4;

/** A load's way to its slot. A heavy load first waits for one of the slots for heavy loads. */
export class LoadTurn {
  readonly #stages: readonly Turn[];
  readonly #viewers = new Set<string | undefined>();

  constructor(stages: readonly Turn[]) {
    this.#stages = stages;
  }

  /**
   * @returns undefined when it may run at once
   * @throws the signal's reason, after which there is nothing to end
   */
  begin(signal: AbortSignal): Promise<void> | undefined {
    const [first, ...others] = this.#stages as [Turn, ...Turn[]];
    const waiting = first.begin(signal);
    for (const viewer of this.#viewers) first.share(viewer);
    return others.length === 0 ? waiting : this.#goOn(waiting, others, signal);
  }

  async #goOn(waiting: Promise<void> | undefined, others: readonly Turn[], signal: AbortSignal): Promise<void> {
    try {
      await waiting;
      for (const turn of others) {
        const begun = turn.begin(signal);
        for (const viewer of this.#viewers) turn.share(viewer);
        await begun;
      }
    } catch (error) {
      this.end();
      throw error;
    }
  }

  /** Call before it runs, when another viewer needs the same load: the line that is served first starts it. */
  share(viewer: string | undefined): void {
    this.#viewers.add(viewer);
    for (const turn of this.#stages) turn.share(viewer);
  }

  end(): void {
    for (const turn of this.#stages) turn.end();
  }
}

export class LoadQueue {
  readonly #queue: FairQueue;
  readonly #heavy: FairQueue;

  constructor(max: number) {
    const heavy = Math.max(1, Math.floor(max * HEAVY_SHARE));
    this.#queue = new FairQueue({ max });
    this.#heavy = new FairQueue({ max: heavy });
  }

  /** Whether the caller runs inside a load of this queue. */
  get inside(): boolean {
    return running > 0 && inside.getStore()?.queue === this;
  }

  get state(): FairQueue['state'] {
    const { waiting, ...state } = this.#queue.state;
    return { ...state, waiting: waiting + this.#heavy.state.waiting };
  }

  /** For `run`, and for callers that join the load while it waits. `viewer`: whose share of the slots it takes. */
  turn(viewer: string | undefined, heavy = false): LoadTurn {
    const turn = this.#queue.turn(viewer);
    return new LoadTurn(heavy ? [this.#heavy.turn(viewer), turn] : [turn]);
  }

  /**
   * Calls `starting` when the load has its slot, just before it runs. A waiting load leaves the line when `signal`
   * aborts. A running load finds the signal as `loadSignal` if it is `reentrant`, which one that reads nothing
   * through a cache is not. Inside a load nothing waits.
   * @throws the signal's reason
   */
  async run<T>(
    load: () => Promise<T>,
    {
      turn,
      starting,
      signal,
      reentrant,
    }: { turn: LoadTurn; starting: () => void; signal: AbortSignal; reentrant: boolean },
  ): Promise<T> {
    signal.throwIfAborted();
    const run = () => {
      starting();
      return reentrant ? within({ queue: this, signal }, load) : load();
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
