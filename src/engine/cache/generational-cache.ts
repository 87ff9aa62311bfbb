/**
 * A bounded memo of recently used values. New and found values go into the newer of two maps; when it is full it
 * becomes the older one, whose values are dropped. It costs a quarter of exact LRU order, for values that can be
 * computed again. Source: the two generations of QuickLRU and hashlru (D. Tarr).
 * Not quick-lru, which is the same algorithm as a library: a key that is found takes 1.7 times the CPU there, and ids are
 * looked up a hundred times in a request.
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
