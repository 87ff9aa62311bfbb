/** Finds the live queries whose answers carry a tag. */
import type { Tag } from '../tag.js';

interface Tagged {
  readonly owner: string;
  tags: ReadonlySet<Tag>;
}

/** One owner holds at most a quarter of the tags. */
const SHARES = 4;

export class TagIndex<T extends Tagged> {
  readonly #max: number;
  readonly #byTag = new Map<Tag, Set<T>>();
  /** Number of tags by owner. Owners without tags have no entry. */
  readonly #held = new Map<string, number>();
  #size = 0;

  /** @param max maximum number of tags, of all items together */
  constructor(max: number) {
    this.#max = max;
  }

  /** Number of tags, of all items together. */
  get size(): number {
    return this.#size;
  }

  of(tag: Tag): Iterable<T> {
    return this.#byTag.get(tag) ?? [];
  }

  /**
   * Enters `item` under these tags in place of those it has.
   * @returns false if the index or the owner's share is full: then the item is not in the index
   */
  set(item: T, tags: ReadonlySet<Tag>): boolean {
    const before = item.tags;
    const more = tags.size - before.size;
    const held = this.#held.get(item.owner) ?? 0;
    const fits = more <= 0 || (this.#size + more <= this.#max && held + more <= this.#max / SHARES);
    const after: ReadonlySet<Tag> = fits ? tags : NO_TAGS;
    for (const tag of before) if (!after.has(tag)) this.#remove(tag, item);
    for (const tag of after) if (!before.has(tag)) this.#add(tag, item);
    item.tags = after;
    const holds = held - before.size + after.size;
    if (holds === 0) this.#held.delete(item.owner);
    else this.#held.set(item.owner, holds);
    return fits;
  }

  #add(tag: Tag, item: T): void {
    const items = this.#byTag.get(tag);
    if (items === undefined) this.#byTag.set(tag, new Set([item]));
    else items.add(item);
    this.#size++;
  }

  #remove(tag: Tag, item: T): void {
    const items = this.#byTag.get(tag);
    if (items?.delete(item) !== true) return;
    this.#size--;
    if (items.size === 0) this.#byTag.delete(tag);
  }
}

const NO_TAGS: ReadonlySet<Tag> = new Set();
