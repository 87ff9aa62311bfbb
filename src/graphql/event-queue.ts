/** What waits to be sent to one subscriber: bounded, read by one. Who lets it fill is told so, and the queue ends. */

export class EventQueue<T> {
  readonly #items: T[] = [];
  readonly #maxItems: number;
  readonly #onFull: () => void;
  #take: ((item: T | undefined) => void) | undefined;
  #closed = false;

  constructor({ maxItems, onFull }: { maxItems: number; onFull: () => void }) {
    this.#maxItems = maxItems;
    this.#onFull = onFull;
  }

  get closed(): boolean {
    return this.#closed;
  }

  put(item: T): void {
    if (this.#closed) return;
    if (this.#take !== undefined) {
      const take = this.#take;
      this.#take = undefined;
      take(item);
    } else if (this.#items.length < this.#maxItems) {
      this.#items.push(item);
    } else {
      this.close();
      this.#onFull();
    }
  }

  /** The next, when there is one; undefined when the queue has ended. One call at a time. */
  take(): Promise<T | undefined> {
    if (this.#closed) return Promise.resolve(undefined);
    if (this.#items.length > 0) return Promise.resolve(this.#items.shift());
    return new Promise((resolve) => {
      this.#take = resolve;
    });
  }

  /** What still waits is dropped. */
  close(): void {
    this.#closed = true;
    this.#items.length = 0;
    this.#take?.(undefined);
    this.#take = undefined;
  }
}
