/**
 * A read set: what one request reads through the cache. Memory may serve it once a log read that was sent after it
 * began has been processed. For a snapshot it keeps the stamps of all values, to be validated together at the end; for
 * an answer it keeps their joint dependencies.
 */
import type { Key } from './key.js';
import type { LogCursor } from './near-cache.js';
import type { Tag } from './tag.js';

/** A value that was given, with the stamps that prove it while its tags hold the same tokens. */
export interface RecordedRead {
  readonly key: Key;
  readonly tags: readonly Tag[];
  readonly groups: readonly number[];
  readonly stamps: string;
}

/**
 * What a read set's answer depends on. Memory may keep the answer if no record since the earliest log read of its parts
 * names one of the tags: then no part has changed between its first read and now, and the answer is not torn.
 */
export class Dependencies {
  readonly tags = new Set<Tag>();
  since: LogCursor | undefined;
  untilMs = Number.POSITIVE_INFINITY;
  /** Nothing can prove the answer: a part was not proved, or did not come from the cache. */
  uncacheable = false;

  /** `since`: the log read as of which memory knows the value; undefined if memory could not keep it. */
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
    if (since.log === 'tail' || earliest.log === 'tail' || since.identity !== earliest.identity)
      this.uncacheable = true;
    else if (since.log.epoch !== earliest.log.epoch) this.uncacheable = true;
    else if (since.log.sequence < earliest.log.sequence) this.since = since;
  }

  /** The answer speaks of the time and is true until then. */
  endsAt(untilMs: number): void {
    this.untilMs = Math.min(this.untilMs, untilMs);
  }
}

export interface ReadSetOptions {
  /** Keep stamps for `Cache.validate`, and serve from memory without a log read, since the end validates. */
  readonly snapshot?: boolean;
  /** Record what the answer depends on, for `Cache.storeAnswer`. */
  readonly answer?: boolean;
}

export class ReadSet {
  readonly snapshot: boolean;
  readonly dependencies: Dependencies | undefined;

  /** `began`: the number of log reads sent before it began, or began again (`Cache.renew`). */
  constructor(
    public began: number,
    { snapshot = false, answer = false }: ReadSetOptions,
  ) {
    this.snapshot = snapshot;
    this.dependencies = answer ? new Dependencies() : undefined;
  }

  readonly reads = new Map<Key, RecordedRead>();
  /** A value was read that nothing can validate: under a fence, or without a lease. */
  unverifiable = false;

  /** Records a value that was given. `since`, `untilMs`: see `Dependencies.add`. */
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

  /** The answer may show what the read set did not give: a failed read, or data that is not cached. It is not kept. */
  markUncacheable(): void {
    if (this.dependencies !== undefined) this.dependencies.uncacheable = true;
  }

  /** Records a value that nothing can validate. */
  recordUnverifiable(): void {
    this.unverifiable = true;
    this.markUncacheable();
  }
}
