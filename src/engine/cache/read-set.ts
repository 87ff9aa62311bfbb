/**
 * A session: what one request reads. It may be served from memory once a read of the log that was sent after it began has been
 * processed. For snapshots it keeps the stamps of all it was given, to be validated together at the end; for answers what all of
 * that hangs on, as one.
 */
import type { Key } from './key.js';
import type { Asked } from './near-cache.js';
import type { Tag } from './tag.js';

/** A value that was given, and what proves it still holds: that its stamps are those of its tags. */
export interface Use {
  readonly key: Key;
  readonly tags: readonly Tag[];
  readonly groups: readonly number[];
  readonly stamps: string;
}

/**
 * What a session's answer hangs on: the tags of all it was given. Memory may keep it if no record since the earliest look into the
 * log names one of them: then nothing that the answer is made of has changed between its first read and now, so it is not torn either.
 */
export class Ground {
  readonly tags = new Set<Tag>();
  since: Asked | undefined;
  untilMs = Number.POSITIVE_INFINITY;
  /** Nothing can prove the answer: something in it was not proved itself, or came from elsewhere than the cache. */
  lost = false;

  /** `since`: the look that memory has known of it since; undefined where memory could not keep it. */
  add(tags: readonly Tag[], since: Asked | undefined, untilMs: number): void {
    if (this.lost) return;
    if (since === undefined) {
      this.lost = true;
      return;
    }
    this.since ??= since;
    if (since !== this.since) this.#reachBack(since);
    if (untilMs < this.untilMs) this.untilMs = untilMs;
    for (const tag of tags) this.tags.add(tag);
  }

  #reachBack(since: Asked): void {
    const earliest = this.since as Asked;
    if (since.log === 'end' || earliest.log === 'end' || since.identity !== earliest.identity) this.lost = true;
    else if (since.log.epoch !== earliest.log.epoch) this.lost = true;
    else if (since.log.sequence < earliest.log.sequence) this.since = since;
  }

  /** The answer speaks of the time until then. */
  endsAt(untilMs: number): void {
    this.untilMs = Math.min(this.untilMs, untilMs);
  }
}

export interface SessionOptions {
  /** Keep stamps for `Cache.validate`, and serve from memory unasked, since the end validates. */
  readonly snapshot?: boolean;
  /** Note what the answer hangs on, for `Cache.keep`. */
  readonly answer?: boolean;
}

export class Session {
  readonly snapshot: boolean;
  readonly ground: Ground | undefined;

  /** `began`: reads of the log sent before it began, or began again (`Cache.renew`). */
  constructor(
    public began: number,
    { snapshot = false, answer = false }: SessionOptions,
  ) {
    this.snapshot = snapshot;
    this.ground = answer ? new Ground() : undefined;
  }

  readonly uses = new Map<Key, Use>();
  /** Something was read that nothing can validate: under a fence, without a lease. */
  unstamped = false;

  /** A value was given. `since`, `untilMs`: see `Ground.add`. */
  used({ key, tags, groups }: Omit<Use, 'stamps'>, stamps: string, since: Asked | undefined, untilMs: number): void {
    this.ground?.add(tags, since, untilMs);
    if (!this.snapshot) return;
    const known = this.uses.get(key);
    // Two stamps for one key in one answer: it was read before and after a write.
    if (known !== undefined && known.stamps !== stamps) this.unstamped = true;
    this.uses.set(key, { key, tags, groups, stamps });
  }

  /** The answer may tell of what the session did not give: of a read that failed, of something that is not cached. It is not kept. */
  loseGround(): void {
    if (this.ground !== undefined) this.ground.lost = true;
  }

  /** What nothing can validate. */
  usedUnstamped(): void {
    this.unstamped = true;
    this.loseGround();
  }
}
