/** Collects what is asked for during one turn of the event loop and does it in one go. */

let ending: (() => void)[] = [];

/**
 * setImmediate, not nextTick: DataLoader dispatches in nextTick, and every loader of the turn shall be in. One for all batches: what
 * they send then leaves in one write.
 */
function atTurnsEnd(run: () => void): void {
  if (ending.push(run) > 1) return;
  setImmediate(() => {
    const all = ending;
    ending = [];
    for (const one of all) one();
  });
}

export class TickBatch<I, O> {
  #waiting: { item: I; resolve: (output: O) => void; reject: (error: unknown) => void }[] = [];

  /**
   * `run` gets the items of one turn and answers all of them together: callers that waited together go on together, in one
   * turn, so that the loads they start next fall into one batch again. No batch is larger than `maxSize`, but for a single
   * item that is. `sizeOf` default: 1.
   */
  constructor(
    private readonly run: (items: readonly I[]) => Promise<O>,
    private readonly maxSize: number,
    private readonly sizeOf: (item: I) => number = () => 1,
  ) {}

  add(item: I): Promise<O> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      if (this.#waiting.length === 1) atTurnsEnd(() => this.#flush());
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
      this.run(part.map(({ item }) => item)).then(
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
