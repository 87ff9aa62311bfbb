/** Collects what is asked for during one turn of the event loop and does it in one go. */

export class TurnBatch<I, O> {
  #waiting: { item: I; resolve: (output: O) => void; reject: (error: unknown) => void }[] = [];

  /**
   * `run` gets the items of one turn, at most `maxItems` at once, and answers all of them together: callers that waited
   * together go on together, in one turn, so that the loads they start next fall into one batch again.
   */
  constructor(
    private readonly run: (items: readonly I[]) => Promise<O>,
    private readonly maxItems: number,
  ) {}

  add(item: I): Promise<O> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      // setImmediate, not nextTick: DataLoader dispatches in nextTick, and every loader of the turn shall be in.
      if (this.#waiting.length === 1) setImmediate(() => this.#flush());
    });
  }

  #flush(): void {
    const all = this.#waiting;
    this.#waiting = [];
    for (let from = 0; from < all.length; from += this.maxItems) {
      const part = all.slice(from, from + this.maxItems);
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
