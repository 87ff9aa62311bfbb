/** Leads from a tag to the live queries whose answers carry it. */
import type { Tag } from '../tag.js';

interface Tagged {
  tags: ReadonlySet<Tag>;
}

export class TagIndex<T extends Tagged> {
  readonly #max: number;
  readonly #byTag = new Map<Tag, Set<T>>();
  #size = 0;

  /** `max`: tags of all members together. */
  constructor(max: number) {
    this.#max = max;
  }

  /** Tags of all members together. */
  get size(): number {
    return this.#size;
  }

  of(tag: Tag): Iterable<T> {
    return this.#byTag.get(tag) ?? [];
  }

  /**
   * Enters `member` under these tags in place of those it has.
   * @returns false: the index is full, and the member is not in it
   */
  set(member: T, tags: ReadonlySet<Tag>): boolean {
    const before = member.tags;
    const fits = this.#size - before.size + tags.size <= this.#max;
    const after: ReadonlySet<Tag> = fits ? tags : NO_TAGS;
    for (const tag of before) if (!after.has(tag)) this.#remove(tag, member);
    for (const tag of after) if (!before.has(tag)) this.#add(tag, member);
    member.tags = after;
    return fits;
  }

  #add(tag: Tag, member: T): void {
    const members = this.#byTag.get(tag);
    if (members === undefined) this.#byTag.set(tag, new Set([member]));
    else members.add(member);
    this.#size++;
  }

  #remove(tag: Tag, member: T): void {
    const members = this.#byTag.get(tag);
    if (members?.delete(member) !== true) return;
    this.#size--;
    if (members.size === 0) this.#byTag.delete(tag);
  }
}

const NO_TAGS: ReadonlySet<Tag> = new Set();
