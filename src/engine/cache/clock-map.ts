/**
 * A map of bounded number and size that drops what has not been used for a while: the CLOCK algorithm (F. J. Corbató,
 * "A Paging Experiment with the Multics System", 1968). A hand goes round the entries when space is needed; one that was
 * used since it last came by is spared this time. Unlike in a list in the order of use, a hit only sets a mark.
 */
export interface Sized {
  readonly size: number;
}

interface Place<K, V> {
  readonly key: K;
  readonly entry: V;
  used: boolean;
  before: Place<K, V> | undefined;
  after: Place<K, V> | undefined;
}

export class ClockMap<K, V extends Sized> {
  readonly #max: number;
  readonly #maxSize: number;
  readonly #places = new Map<K, Place<K, V>>();
  /**
   * Where the hand is, and the end of its round. The places are linked, since an iterator that stays in use holds what
   * has left the map.
   */
  #first: Place<K, V> | undefined;
  #last: Place<K, V> | undefined;
  #size = 0;

  constructor({ max, maxSize }: { readonly max: number; readonly maxSize: number }) {
    this.#max = max;
    this.#maxSize = maxSize;
  }

  /** The number of entries. */
  get count(): number {
    return this.#places.size;
  }

  /** The sizes of all entries together. */
  get size(): number {
    return this.#size;
  }

  get(key: K): V | undefined {
    const place = this.#places.get(key);
    if (place === undefined) return undefined;
    place.used = true;
    return place.entry;
  }

  /** Without counting as a use. */
  peek(key: K): V | undefined {
    return this.#places.get(key)?.entry;
  }

  /** Without counting as a use. `visit` may not change the map. */
  forEach(visit: (key: K, entry: V) => void): void {
    for (const { key, entry } of this.#places.values()) visit(key, entry);
  }

  /** An entry that is larger than the map may be is not kept. */
  set(key: K, entry: V): void {
    this.delete(key);
    if (entry.size > this.#maxSize) return;
    const place = { key, entry, used: true, before: undefined, after: undefined };
    this.#places.set(key, place);
    this.#append(place);
    this.#size += entry.size;
    while (this.#isOver() && this.#first !== undefined) this.#moveHand(this.#first);
  }

  delete(key: K): void {
    const place = this.#places.get(key);
    if (place === undefined) return;
    this.#places.delete(key);
    this.#unlink(place);
    this.#size -= place.entry.size;
  }

  clear(): void {
    this.#places.clear();
    this.#first = undefined;
    this.#last = undefined;
    this.#size = 0;
  }

  #isOver(): boolean {
    return this.#places.size > this.#max || this.#size > this.#maxSize;
  }

  #moveHand(place: Place<K, V>): void {
    if (!place.used) {
      this.delete(place.key);
      return;
    }
    place.used = false;
    this.#unlink(place);
    this.#append(place);
  }

  #append(place: Place<K, V>): void {
    place.before = this.#last;
    place.after = undefined;
    if (this.#last === undefined) this.#first = place;
    else this.#last.after = place;
    this.#last = place;
  }

  #unlink({ before, after }: Place<K, V>): void {
    if (before === undefined) this.#first = after;
    else before.after = after;
    if (after === undefined) this.#last = before;
    else after.before = before;
  }
}
