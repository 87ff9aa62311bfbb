/**
 * A read set: what one request reads. It may be served from memory once a read of the log that was sent after it began has been
 * processed. For snapshots it keeps the stamps of all it was given, to be validated together at the end; for answers what all of
 * that hangs on, as one.
 */
import type { Key } from './key.js';
import type { LogCursor } from './near-cache.js';
import type { Tag } from './tag.js';

/** A value that was given, and what proves it still holds: that its stamps are those of its tags. */
export interface RecordedRead {
  readonly key: Key;
  readonly tags: readonly Tag[];
  readonly groups: readonly number[];
  readonly stamps: string;
}

/**
 * What a read set's answer hangs on: the tags of all it was given. Memory may keep it if no record since the earliest look into the
 * log names one of them: then nothing that the answer is made of has changed between its first read and now, so it is not torn either.
 */
export class Dependencies {
  readonly tags = new Set<Tag>();
  since: LogCursor | undefined;
  untilMs = Number.POSITIVE_INFINITY;
  /** Nothing can prove the answer: something in it was not proved itself, or came from elsewhere than the cache. */
  uncacheable = false;

  /** `since`: the look that memory has known of it since; undefined where memory could not keep it. */
  add(tags: readonly Tag[], since: LogCursor | undefined, untilMs: number): void {
    if (this.uncacheable) return;
    if (since === undefined) {
      this.uncacheable = true;
      return;
    }
    this.since ??= since;
    if (since !== this.since) this.#extendBack(since);
    if (untilMs < this.untilMs) this.untilMs = untilMs;
    for (const tag of tags) this.tags.add(tag);
  }

  #extendBack(since: LogCursor): void {
    const earliest = this.since as LogCursor;
    if (since.log === 'end' || earliest.log === 'end' || since.identity !== earliest.identity) this.uncacheable = true;
    else if (since.log.epoch !== earliest.log.epoch) this.uncacheable = true;
    else if (since.log.sequence < earliest.log.sequence) this.since = since;
  }

  /** The answer speaks of the time until then. */
  endsAt(untilMs: number): void {
    this.untilMs = Math.min(this.untilMs, untilMs);
  }
}

export interface ReadSetOptions {
  /** Keep stamps for `Cache.validate`, and serve from memory unasked, since the end validates. */
  readonly snapshot?: boolean;
  /** Note what the answer hangs on, for `Cache.keep`. */
  readonly answer?: boolean;
}

export class ReadSet {
  readonly snapshot: boolean;
  readonly dependencies: Dependencies | undefined;

  /** `began`: reads of the log sent before it began, or began again (`Cache.renew`). */
  constructor(
    public began: number,
    { snapshot = false, answer = false }: ReadSetOptions,
  ) {
    this.snapshot = snapshot;
    this.dependencies = answer ? new Dependencies() : undefined;
  }

  readonly reads = new Map<Key, RecordedRead>();
  /** Something was read that nothing can validate: under a fence, without a lease. */
  unverifiable = false;

  /** A value was given. `since`, `untilMs`: see `Ground.add`. */
  record(
    { key, tags, groups }: Omit<RecordedRead, 'stamps'>,
    stamps: string,
    since: LogCursor | undefined,
    untilMs: number,
  ): void {
    this.dependencies?.add(tags, since, untilMs);
    if (!this.snapshot) return;
    const known = this.reads.get(key);
    // Two stamps for one key in one answer: it was read before and after a write.
    if (known !== undefined && known.stamps !== stamps) this.unverifiable = true;
    this.reads.set(key, { key, tags, groups, stamps });
  }

  /** The answer may tell of what the read set did not give: of a read that failed, of something that is not cached. It is not kept. */
  markUncacheable(): void {
    if (this.dependencies !== undefined) this.dependencies.uncacheable = true;
  }

  /** What nothing can validate. */
  recordUnverifiable(): void {
    this.unverifiable = true;
    this.markUncacheable();
  }
}
