/**
 * A memo of what was used last. Two maps: what is set or found goes into the newer one; when that is full it becomes the older one, and what
 * the older one held is forgotten. A quarter of what an exact order of use costs, for memos whose values can always be made anew.
 * Source: the two generations of QuickLRU and hashlru (D. Tarr).
 */

export class GenerationalCache<K, V extends {}> {
  readonly #max: number;
  #newer = new Map<K, V>();
  #older = new Map<K, V>();

  /** At least the last `max` used are known, at most twice as many. */
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
