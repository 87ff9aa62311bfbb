/** Collects the items of one event-loop tick and runs them as one batch. */
import { type Context, callerContext, forCallers } from './spans.js';

let ending: (() => void)[] = [];

/**
 * setImmediate, not nextTick: DataLoader dispatches in nextTick, and every loader of the tick must be included. One for
 * all batches, so that their commands leave in one write.
 */
function atTickEnd(run: () => void): void {
  if (ending.push(run) > 1) return;
  setImmediate(() => {
    const all = ending;
    ending = [];
    for (const one of all) one();
  });
}

export class TickBatch<I, O> {
  #waiting: { item: I; caller: Context; resolve: (output: O) => void; reject: (error: unknown) => void }[] = [];

  /**
   * `run` gets the items of one event-loop tick and resolves all of them together. Callers that waited together
   * continue in one tick, so their next loads form one batch again. No batch is larger than `maxSize`, except for a
   * single larger item. `sizeOf` default: 1.
   */
  constructor(
    private readonly run: (items: readonly I[]) => Promise<O>,
    private readonly maxSize: number,
    private readonly sizeOf: (item: I) => number = () => 1,
  ) {}

  add(item: I): Promise<O> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, caller: callerContext(), resolve, reject });
      if (this.#waiting.length === 1) atTickEnd(() => this.#flush());
    });
  }

  #flush(): void {
    const all = this.#waiting;
    this.#waiting = [];
    for (let from = 0, to = 0; from < all.length; from = to) {
      let size = 0;
      while (to < all.length) {
        size += this.sizeOf((all[to] as (typeof all)[number]).item);
        if (to > from && size > this.maxSize) break;
        to++;
      }
      const part = all.slice(from, to);
      const run = () => this.run(part.map(({ item }) => item));
      forCallers(
        part.map(({ caller }) => caller),
        run,
      ).then(
        (output) => {
          for (const { resolve } of part) resolve(output);
        },
        (error) => {
          for (const { reject } of part) reject(error);
        },
      );
    }
  }
}
