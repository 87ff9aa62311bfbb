/**
 * A bounded memo of recently used values. New and found values go into the newer of two maps; when it is full it
 * becomes the older one, whose values are dropped. It costs a quarter of exact LRU order, for values that can be
 * computed again. Source: the two generations of QuickLRU and hashlru (D. Tarr).
 */

export class GenerationalCache<K, V extends {}> {
  readonly #max: number;
  #newer = new Map<K, V>();
  #older = new Map<K, V>();

  /** Keeps at least the last `max` values used and at most twice as many. */
  constructor(max: number) {
    this.#max = max;
  }

  get(key: K): V | undefined {
    const newer = this.#newer.get(key);
    if (newer !== undefined) return newer;
    const older = this.#older.get(key);
    if (older !== undefined) this.set(key, older);
    return older;
  }

  set(key: K, value: V): void {
    this.#newer.set(key, value);
    if (this.#newer.size < this.#max) return;
    this.#older = this.#newer;
    this.#newer = new Map();
  }
}
