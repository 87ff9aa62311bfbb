/**
 * A bounded queue of events for one subscriber, with one reader. If it fills up, its owner is notified and the queue
 * ends.
 */

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

  /** Waits for the next event; undefined when the queue has ended. One call at a time. */
  take(): Promise<T | undefined> {
    if (this.#closed) return Promise.resolve(undefined);
    if (this.#items.length > 0) return Promise.resolve(this.#items.shift());
    return new Promise((resolve) => {
      this.#take = resolve;
    });
  }

  /** Drops the events that are still queued. */
  close(): void {
    this.#closed = true;
    this.#items.length = 0;
    this.#take?.(undefined);
    this.#take = undefined;
  }
}
