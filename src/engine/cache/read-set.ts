/**
 * A read set: what one request reads through the cache. Memory may serve it once a log read that was sent after it
 * began has been processed. For a snapshot it keeps the stamps of all values, to be validated together at the end; for
 * an answer it keeps their joint dependencies.
 */
import type { Key } from './key.js';
import type { LogCursor } from './log-cursor.js';
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
  readonly #around: Dependencies | undefined;
  readonly #keepsAllTags: boolean;
  #uncacheable = false;

  /**
   * `around`: of the answer or the part that this part belongs to. It depends on the same. `keepsAllTags`: even those
   * of an answer that nothing can prove.
   */
  constructor(around?: Dependencies, keepsAllTags = false) {
    this.#around = around;
    this.#keepsAllTags = keepsAllTags;
  }

  /** Nothing can prove the answer: a part was not proved, or did not come from the cache. */
  get uncacheable(): boolean {
    return this.#uncacheable;
  }

  markUncacheable(): void {
    this.#around?.markUncacheable();
    this.#uncacheable = true;
  }

  /** `since`: the log read as of which memory knows the value; undefined if memory could not keep it. */
  add(tags: readonly Tag[], since: LogCursor | undefined, untilMs: number): void {
    this.#around?.add(tags, since, untilMs);
    if (since === undefined) this.#uncacheable = true;
    if (this.#uncacheable && !this.#keepsAllTags) return;
    for (const tag of tags) this.tags.add(tag);
    if (since === undefined) return;
    this.since ??= since;
    if (since !== this.since) this.#extendBack(since);
    if (untilMs < this.untilMs) this.untilMs = untilMs;
  }

  #extendBack(since: LogCursor): void {
    const earliest = this.since as LogCursor;
    if (since.log === 'tail' || earliest.log === 'tail' || since.identity !== earliest.identity)
      this.#uncacheable = true;
    else if (since.log.epoch !== earliest.log.epoch) this.#uncacheable = true;
    else if (since.log.sequence < earliest.log.sequence) this.since = since;
  }

  /** The answer speaks of the time and is true until then. */
  endsAt(untilMs: number): void {
    this.#around?.endsAt(untilMs);
    this.untilMs = Math.min(this.untilMs, untilMs);
  }
}

/** A part of an answer that is being made: see part-cache.ts. */
export interface OpenPart {
  readonly dependencies: Dependencies;
  readonly around: OpenPart | undefined;
  /** It may depend on more than what was recorded. */
  spoilt: boolean;
}

export interface ReadSetOptions {
  /** Keep stamps for `Cache.validate`, and serve from memory without a log read, since the end validates. */
  readonly snapshot?: boolean;
  /** Record what the answer depends on, for `Cache.storeAnswer`. */
  readonly answer?: boolean;
  /**
   * For a run of a live query: never serve a value past its time to live, within `staleMs`, and record all tags of the
   * answer, even if nothing can prove it.
   */
  readonly live?: boolean;
}

/** Where the values of a read set came from: the most expensive place of all. */
const PLACES = ['memory', 'redis', 'postgres', 'bypassed'] as const;
/**
 * `memory`: all from process memory. `redis`: some from the store. `postgres`: some were loaded. `bypassed`: some were
 * loaded without the cache.
 */
export type ReadFrom = (typeof PLACES)[number];
const RANKS: Readonly<Record<ReadFrom, number>> = { memory: 0, redis: 1, postgres: 2, bypassed: 3 };

export class ReadSet {
  #rank = 0;
  /** Made with the first load. Bounded by the number of policies. */
  #loaded: Set<string> | undefined;
  readonly snapshot: boolean;
  readonly live: boolean;
  readonly #answer: Dependencies | undefined;
  /** Made with the first part: most read sets have none. */
  #open: Set<OpenPart> | undefined;
  /** What the execution works on now. Undefined: other code runs, which may work for any part. */
  #within: OpenPart | 'answer' | undefined;

  /** `began`: the number of log reads sent before it began, or began again (`Cache.renew`). */
  constructor(
    public began: number,
    { snapshot = false, answer = false, live = false }: ReadSetOptions,
  ) {
    this.snapshot = snapshot;
    this.live = live;
    this.#answer = answer ? new Dependencies(undefined, live) : undefined;
  }

  readonly reads = new Map<Key, RecordedRead>();
  /** A value was read that nothing can validate: under a fence, or without a lease. */
  unverifiable = false;

  /**
   * Where the dependencies of what is read now are recorded: those of the part that the execution works on, or of the
   * answer. Absent: nothing of the answer is kept.
   */
  get dependencies(): Dependencies | undefined {
    if (typeof this.#within === 'object') return this.#within.dependencies;
    if (this.#within === undefined) this.#spoilOpen();
    return this.#answer;
  }

  /** The most expensive place that a value came from. */
  get from(): ReadFrom {
    return PLACES[this.#rank] as ReadFrom;
  }

  /** How many policies had something loaded. */
  get policiesLoaded(): number {
    return this.#loaded?.size ?? 0;
  }

  noteFrom(place: ReadFrom): void {
    const rank = RANKS[place];
    if (rank > this.#rank) this.#rank = rank;
  }

  noteLoad(policy: string): void {
    this.#loaded ??= new Set();
    this.#loaded.add(policy);
    this.noteFrom('postgres');
  }

  /** A value was promised. What it depends on is recorded elsewhere, or was recorded before. */
  promised(): void {
    if (this.#within === undefined) this.#spoilOpen();
    else if (this.#within !== 'answer') this.#within.spoilt = true; // and what is around it, when it is closed
  }

  openPart(): OpenPart {
    const around = this.#within === 'answer' ? undefined : this.#within;
    const part: OpenPart = {
      dependencies: new Dependencies(around?.dependencies ?? this.#answer),
      around,
      spoilt: false,
    };
    this.#open ??= new Set();
    this.#open.add(part);
    return part;
  }

  within<T>(part: OpenPart | 'answer', work: () => T): T {
    const before = this.#within;
    this.#within = part;
    try {
      return work();
    } finally {
      this.#within = before;
    }
  }

  /** What it depends on and what spoilt it holds for the part around it, too. */
  closePart(part: OpenPart): void {
    this.#open?.delete(part);
    if (part.spoilt && part.around !== undefined) part.around.spoilt = true;
  }

  #spoilOpen(): void {
    for (const part of this.#open ?? []) part.spoilt = true;
  }

  /** Records a value that was given. `since`, `untilMs`: see `Dependencies.add`. Without stamps nothing can validate it. */
  record(
    { key, tags, groups }: Omit<RecordedRead, 'stamps'>,
    stamps: string | undefined,
    since: LogCursor | undefined,
    untilMs: number,
  ): void {
    this.dependencies?.add(tags, since, untilMs);
    if (!this.snapshot) return;
    if (stamps === undefined) {
      this.unverifiable = true;
      return;
    }
    const known = this.reads.get(key);
    // Two stamps for one key in one answer: it was read before and after a write.
    if (known !== undefined && known.stamps !== stamps) this.unverifiable = true;
    this.reads.set(key, { key, tags, groups, stamps });
  }

  /** The answer may show what the read set did not give: a failed read, or data that is not cached. It is not kept. */
  markUncacheable(): void {
    this.dependencies?.markUncacheable();
  }

  /** Records a value that nothing can validate. */
  recordUnverifiable(tags: readonly Tag[] = []): void {
    this.noteFrom('bypassed');
    this.unverifiable = true;
    this.recordUnproved(tags);
  }

  /** What has these tags may be shown by the answer, and nothing proves it. */
  recordUnproved(tags: readonly Tag[]): void {
    this.dependencies?.add(tags, undefined, 0);
  }
}
