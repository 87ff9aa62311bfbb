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

/** Since when memory has known of a value, and until when it may be served; undefined where memory could not keep it. */
export type Proof = { readonly since: Asked; readonly untilMs: number } | undefined;

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

  add(tags: readonly Tag[], proof: Proof): void {
    if (this.lost) return;
    if (proof === undefined) {
      this.lost = true;
      return;
    }
    const { since, untilMs } = proof;
    this.since ??= since;
    if (since.log === 'end' || this.since.log === 'end' || since.identity !== this.since.identity) this.lost = true;
    else if (since.log.epoch !== this.since.log.epoch) this.lost = true;
    else if (since.log.sequence < this.since.log.sequence) this.since = since;
    if (untilMs < this.untilMs) this.untilMs = untilMs;
    for (const tag of tags) this.tags.add(tag);
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

  /** `began`: reads of the log sent before. */
  constructor(
    readonly began: number,
    { snapshot = false, answer = false }: SessionOptions,
  ) {
    this.snapshot = snapshot;
    this.ground = answer ? new Ground() : undefined;
  }

  readonly uses = new Map<Key, Use>();
  /** Something was read that nothing can validate: under a fence, without a lease. */
  unstamped = false;
  /** Something was served under a lease that proves nothing. */
  unproved = false;

  used(use: Use, proof: Proof): void {
    this.ground?.add(use.tags, proof);
    if (!this.snapshot) return;
    const known = this.uses.get(use.key);
    // Two stamps for one key in one answer: it was read before and after a write.
    if (known !== undefined && known.stamps !== use.stamps) this.unstamped = true;
    this.uses.set(use.key, use);
  }

  /** What nothing can validate. */
  usedUnstamped(): void {
    this.unstamped = true;
    if (this.ground !== undefined) this.ground.lost = true;
  }
}
