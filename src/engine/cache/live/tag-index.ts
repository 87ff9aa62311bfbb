/** Leads from a tag to the live queries whose answers carry it. */
import type { Tag } from '../tag.js';

interface Tagged {
  readonly owner: string;
  tags: ReadonlySet<Tag>;
}

/** One owner holds at most one in so many tags. */
const SHARES = 4;

export class TagIndex<T extends Tagged> {
  readonly #max: number;
  readonly #byTag = new Map<Tag, Set<T>>();
  /** How many tags each owner holds; only owners that hold some. */
  readonly #held = new Map<string, number>();
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
   * @returns false: the index or its owner's share is full, and the member is not in it
   */
  set(member: T, tags: ReadonlySet<Tag>): boolean {
    const before = member.tags;
    const more = tags.size - before.size;
    const held = this.#held.get(member.owner) ?? 0;
    const fits = more <= 0 || (this.#size + more <= this.#max && held + more <= this.#max / SHARES);
    const after: ReadonlySet<Tag> = fits ? tags : NO_TAGS;
    for (const tag of before) if (!after.has(tag)) this.#remove(tag, member);
    for (const tag of after) if (!before.has(tag)) this.#add(tag, member);
    member.tags = after;
    const holds = held - before.size + after.size;
    if (holds === 0) this.#held.delete(member.owner);
    else this.#held.set(member.owner, holds);
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
