/**
 * A session: what one request reads. It may be served from memory once a read of the log that was sent after it began has been
 * processed. For snapshots it keeps the stamps of all it was given, to be validated together at the end.
 */
import type { Key } from './key.js';
import type { Tag } from './tag.js';

/** A value that was given, and what proves it still holds: that its stamps are those of its tags. */
export interface Use {
  readonly key: Key;
  readonly tags: readonly Tag[];
  readonly groups: readonly number[];
  readonly stamps: string;
}

export class Session {
  /** `began`: reads of the log sent before. `snapshot`: keep stamps, and serve from memory unasked, since the end validates. */
  constructor(
    readonly began: number,
    readonly snapshot: boolean,
  ) {}

  readonly uses = new Map<Key, Use>();
  /** Something was read that nothing can validate: under a fence, without a lease. */
  unstamped = false;
  /** Something was served under a lease that proves nothing. */
  unproved = false;

  used(use: Use): void {
    if (!this.snapshot) return;
    const known = this.uses.get(use.key);
    // Two stamps for one key in one answer: it was read before and after a write.
    if (known !== undefined && known.stamps !== use.stamps) this.unstamped = true;
    this.uses.set(use.key, use);
  }
}
