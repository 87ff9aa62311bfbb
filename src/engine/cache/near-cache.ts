/**
 * The near cache: parsed entries in this process, kept exact by the log of invalidations. One read of the log serves all that
 * was asked for before it was sent; who asked later waits for the next. A copy is served only while each of these holds, and
 * test/cache/near-cache.test.ts has for each a test that fails without it:
 *
 * - the log was read after the request came, and the read found the lease of HOME under the generation and purge that memory
 *   was filled under; anything else empties memory, and so does a hole in the log;
 * - no record since it was known to hold names one of its tags; what was asked of the store before such a record is not kept;
 * - in a Cluster, each group of its tags was leased, when it was read, under the generation that HOME's lease names. A shard's old
 *   primary may still answer under the lease it had, and the record that makes its value old may have been processed already;
 * - what was read under a fence or without a lease is not kept. What was loaded is, under the read that found the tokens before it:
 *   whatever a load does not show is committed later than that, so its record is yet to come, or names a tag since.
 */
import { LRUCache } from 'lru-cache';
import type { Lease } from './entry.js';
import type { Key } from './key.js';
import { LOG_GROUP, type LogMark, type View } from './store.js';
import type { Tag } from './tag.js';

export interface NearCacheOptions {
  /** Of all copies together, estimated. Default 64 MiB. */
  readonly maxBytes?: number;
  /** Default 50 000. */
  readonly maxEntries?: number;
}

const DEFAULT_MAX_BYTES = 64 * 1024 * 1024;
const DEFAULT_MAX_ENTRIES = 50_000;
/**
 * Measured on the heap: rows, lists of ids and of small objects take 1.1 to 2.2 bytes for each character of their JSON, an entry with its
 * key and tags some 450 more.
 */
const BYTES_PER_CHAR = 2;
const BYTES_PER_ENTRY = 512;
/** So many tags' last records are remembered, at most twice as many. A copy that nobody asks for while more are touched is given up. */
const MAX_TOUCHED = 50_000;

export interface NearEntry {
  readonly value: unknown;
  readonly tags: readonly Tag[];
  readonly stamps: string;
  readonly loadedAtMs: number;
  readonly untilMs: number;
  readonly chars: number;
  /** Of an answer: what it takes as it is. Absent: estimated from `chars`. */
  readonly bytes?: number;
}

/** A read of the log that has been sent: what memory was when it was. */
export interface LogCursor {
  readonly log: LogMark | 'end';
  readonly number: number;
  readonly identity: string | undefined;
  /** By group, the lease generation that the identity names. */
  readonly generations: readonly string[];
}

interface Copy {
  readonly entry: NearEntry;
  /** The last record up to which it is known to hold. */
  known: number;
}

/**
 * Records are held against a copy when it is asked for, not when they come: an index of copies by their tags would cost each of
 * them, an answer with its hundred tags above all, more to keep than to make.
 */
export class NearCache {
  readonly #copies: LRUCache<Key, Copy>;
  /** By tag, the sequence of the last record that named it. Two generations; together complete for records after `#floor`. */
  #lastInvalidation = new Map<Tag, number>();
  #lastInvalidationBefore = new Map<Tag, number>();
  #completeSince = 0;
  /** The last record before the newer generation. */
  #generationStart = 0;
  /** The last record processed, and the lease under which memory was filled. */
  #mark: LogMark | undefined;
  #identity: string | undefined;
  #generations: readonly string[] = NONE;
  #currentCursor: LogCursor = { log: 'end', number: 0, identity: undefined, generations: NONE };
  #logReadsSent = 0;
  /** The number of the latest read of the log that was processed. */
  #processed = 0;

  constructor(options: NearCacheOptions = {}) {
    this.#copies = new LRUCache<Key, Copy>({
      max: options.maxEntries ?? DEFAULT_MAX_ENTRIES,
      maxSize: options.maxBytes ?? DEFAULT_MAX_BYTES,
      sizeCalculation: ({ entry: { chars, bytes = chars * BYTES_PER_CHAR } }) => BYTES_PER_ENTRY + bytes,
    });
  }

  /** Copies held; those that no longer hold are among them until they are asked for, or make room. */
  get size(): { readonly entries: number; readonly bytes: number } {
    return { entries: this.#copies.size, bytes: this.#copies.calculatedSize };
  }

  /** How many reads of the log have been sent: those with a higher number were sent after now. */
  get logReadsSent(): number {
    return this.#logReadsSent;
  }

  /** Whether a read of the log that was sent after `sent` has been processed. */
  provedAfter(sent: number): boolean {
    return this.#mark !== undefined && this.#processed > sent;
  }

  /** What a read that is sent now has to ask of the log. */
  beginLogRead(): LogCursor {
    return {
      log: this.#mark ?? 'end',
      number: ++this.#logReadsSent,
      identity: this.#identity,
      generations: this.#generations,
    };
  }

  /** As if a read sent now had found nothing new: what memory holds at this moment is known to hold since then. */
  get currentCursor(): LogCursor {
    const log = this.#mark ?? 'end';
    if (this.#currentCursor.log !== log || this.#currentCursor.identity !== this.#identity) {
      this.#currentCursor = {
        log,
        number: this.#logReadsSent,
        identity: this.#identity,
        generations: this.#generations,
      };
    }
    return this.#currentCursor;
  }

  /** Takes a read's answer in. True: what memory holds now may be served to all who asked before that read was sent. */
  applyLogRead(asked: LogCursor, view: View): boolean {
    const lease = view.leases[LOG_GROUP];
    const { log } = view;
    if (log === undefined) return false; // HOME was not reached: nothing is known, also nothing against memory
    const identity = lease === undefined ? undefined : identityOf(lease);
    // What a read without the lease says of the log is no answer, be it ever so plausible.
    if (identity === undefined || log.kind === 'hole') return this.#forget();
    if (log.kind === 'end') return this.#begin(asked, lease as Lease, log.mark);
    if (identity !== asked.identity) return this.#forget();
    // Memory was emptied and begun anew meanwhile: this answer is about what it held before.
    if (this.#identity !== identity || this.#mark?.epoch !== log.mark.epoch) return false;
    // Anew, and further back: what lies between is not in this answer.
    if (asked.log === 'end' || asked.log.sequence > this.#mark.sequence) return false;
    const first = log.mark.sequence - log.records.length + 1;
    log.records.forEach((tags, i) => {
      if (first + i > (this.#mark as LogMark).sequence) this.#invalidate(tags, first + i);
    });
    if (log.mark.sequence > this.#mark.sequence) this.#mark = log.mark;
    this.#processed = Math.max(this.#processed, asked.number);
    return true;
  }

  get(key: Key, nowMs: number): NearEntry | undefined {
    const copy = this.#copies.get(key);
    if (copy === undefined) return undefined;
    const { entry, known } = copy;
    if (entry.untilMs > nowMs && this.#untouched(entry.tags, known)) {
      copy.known = (this.#mark as LogMark).sequence; // or there would be no copies
      return entry;
    }
    this.#copies.delete(key);
    return undefined;
  }

  /** Keeps what the read `asked` proved, or what was loaded after it, unless one of its tags was named in the log since that was sent. */
  put(asked: LogCursor, key: Key, entry: NearEntry): void {
    const mark = this.#mark;
    if (asked.log === 'end' || mark === undefined) return;
    if (asked.identity !== this.#identity || asked.log.epoch !== mark.epoch) return;
    const since = asked.log.sequence;
    if (!this.#untouched(entry.tags, since)) return;
    freeze(entry.value);
    this.#copies.set(key, { entry, known: mark.sequence });
  }

  drop(key: Key): void {
    this.#copies.delete(key);
  }

  #begin(asked: LogCursor, lease: Lease, mark: LogMark | undefined): boolean {
    if (this.#mark !== undefined) return false; // another read has begun already, perhaps further back
    if (mark === undefined) return false; // there is no log yet: the relay's next tick makes one
    this.#identity = identityOf(lease);
    this.#generations = lease.generations?.split(',') ?? NONE;
    this.#mark = mark;
    this.#completeSince = mark.sequence;
    this.#generationStart = mark.sequence;
    this.#processed = asked.number;
    return true;
  }

  #forget(): false {
    this.#copies.clear();
    this.#lastInvalidation.clear();
    this.#lastInvalidationBefore.clear();
    this.#mark = undefined;
    this.#identity = undefined;
    this.#generations = NONE;
    return false;
  }

  #invalidate(tags: readonly Tag[], sequence: number): void {
    if (this.#lastInvalidation.size >= MAX_TOUCHED) {
      this.#lastInvalidationBefore = this.#lastInvalidation;
      this.#completeSince = this.#generationStart;
      this.#lastInvalidation = new Map();
      this.#generationStart = sequence - 1;
    }
    for (const tag of tags) this.#lastInvalidation.set(tag, sequence);
  }

  /** Whether no record after `since` has named one of these. */
  #untouched(tags: readonly Tag[], since: number): boolean {
    if (since === this.#mark?.sequence) return true;
    if (since < this.#completeSince) return false;
    for (const tag of tags) {
      const last = this.#lastInvalidation.get(tag) ?? this.#lastInvalidationBefore.get(tag);
      if (last !== undefined && last > since) return false;
    }
    return true;
  }
}

const NONE: readonly string[] = [];

/** What memory was filled under. Another generation of any group's lease is another identity: all copies are dropped. */
function identityOf({ generation, purge, generations = '' }: Lease): string {
  return `${generation}:${purge}:${generations}`;
}

/**
 * Whether memory may keep what the read `asked` found in these groups: each was leased then under the generation that HOME's lease names.
 * HOME's own lease is part of the identity that `put` compares.
 */
export function leasedAsNamed(
  { generations }: LogCursor,
  groups: readonly number[],
  leases: readonly (Lease | undefined)[],
): boolean {
  for (const group of groups) {
    if (group === LOG_GROUP) continue;
    const generation = leases[group]?.generation;
    if (generation === undefined || generation !== generations[group]) return false;
  }
  return true;
}

/** A copy is shared by all who read it: who would change it is told at once. */
function freeze(value: unknown): void {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return;
  Object.freeze(value);
  for (const member of Object.values(value)) freeze(member);
}
