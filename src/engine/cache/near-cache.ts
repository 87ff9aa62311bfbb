/**
 * The near cache: parsed entries in this process, kept exact by the log of invalidations. One log read serves all calls
 * that came before it was sent; later calls wait for the next one. A copy is served only while each of these holds, and
 * test/cache/near-cache.test.ts has for each a test that fails without it:
 *
 * - The log was read after the request came, and that read found the log group's lease under the generation and purge
 *   token that memory was filled under. Anything else, and a gap in the log, empties memory.
 * - No record since the copy was known to hold names one of its tags. A value whose READ was sent before such a record
 *   is not kept.
 * - In a Cluster, each group of its tags was leased, when it was read, under the generation that the log group's lease
 *   names. A shard's old primary may still answer under its former lease, and the record that makes its value old may
 *   have been processed already.
 * - It was not read under a fence or without a lease. A loaded value is kept under the log read that found the tokens
 *   before the load: whatever a load does not show commits later, so its record is yet to come, or has named a tag
 *   since.
 */
import { ClockMap, type Sized } from './clock-map.js';
import type { Lease } from './entry.js';
import type { Key } from './key.js';
import { identityOf, type LogCursor } from './log-cursor.js';
import { type ExactFence, LOG_GROUP, type LogMark, type View } from './store.js';
import type { Tag } from './tag.js';

export interface NearCacheOptions {
  /** All copies together, estimated. Default 64 MiB. */
  readonly maxBytes?: number;
  /** Default 50 000. */
  readonly maxEntries?: number;
}

const DEFAULT_MAX_BYTES = 64 * 1024 * 1024;
const DEFAULT_MAX_ENTRIES = 50_000;
/**
 * Measured on the heap: rows, lists of ids and small objects take 1.1 to 2.2 bytes for each character of their JSON; an
 * entry with key and tags takes some 450 more.
 */
const BYTES_PER_CHAR = 2;
const BYTES_PER_ENTRY = 512;
/** The share of `maxBytes` that parts of answers may take. */
const PARTS_SHARE = 1 / 8;
/**
 * Tags whose last invalidation is remembered, at most twice as many. A copy that is not read while more tags are
 * invalidated is discarded.
 */
const MAX_TOUCHED = 50_000;
/** What was written and waits for a log read that brings its own record. */
const MAX_WRITTEN = 1000;

export interface NearEntry {
  readonly value: unknown;
  readonly tags: readonly Tag[];
  /** Absent: no tokens were read for it. Answers, parts and values that a load brought along have none. */
  readonly stamps: string | undefined;
  readonly loadedAtMs: number;
  readonly untilMs: number;
  readonly chars: number;
  /** The size of an answer in memory. Absent: estimated from `chars`. */
  readonly bytes?: number;
}

/** What a transaction has written, for the memory of its process. */
export interface WrittenCopy {
  readonly key: Key;
  readonly entry: NearEntry;
  /** The entry's tags that the transaction fenced. */
  readonly own: readonly Tag[];
  readonly others: readonly Tag[];
  /** Up to where the copy is known to hold that memory had before the transaction. */
  readonly since: LogCursor;
}

/** Hears what memory learns from the log, whichever log read brings it. It must neither throw nor wait. */
export interface MemoryWatcher {
  /** A record names these tags. Memory has applied it. */
  invalidated(tags: readonly Tag[]): void;
  /** Memory was emptied: records may have been missed. */
  emptied(): void;
}

interface Copy extends Sized {
  readonly entry: NearEntry;
  /** The last record up to which the copy is known to hold. */
  known: number;
  /** How many copies had been put before it. */
  readonly put: number;
}

/**
 * Records are compared with a copy when it is read, not when they arrive. An index from tags to copies would make each
 * copy, and an answer with its hundred tags most of all, dearer to keep than to compute.
 */
export class NearCache {
  readonly #copies: ClockMap<Key, Copy>;
  /** Parts of answers, by the number of their row and their name. They have a space of their own, so that no row goes for them. */
  readonly #parts: ClockMap<string, Copy>;
  readonly #rowNumbers = new WeakMap<object, number>();
  #rows = 0;
  /**
   * By tag, the sequence of the last record that named it. Two maps, together complete for records after
   * `#completeSince`.
   */
  #lastInvalidation = new Map<Tag, number>();
  #lastInvalidationBefore = new Map<Tag, number>();
  #completeSince = 0;
  /** The last record before the newer map. */
  #newerMapStart = 0;
  /** The last record processed, and the lease under which memory was filled. */
  #mark: LogMark | undefined;
  #identity: string | undefined;
  #generations: readonly string[] = NONE;
  #currentCursor: LogCursor = { log: 'tail', number: 0, identity: undefined, generations: NONE };
  #logReadsSent = 0;
  #puts = 0;
  /** The number of the latest log read that was processed. */
  #processed = 0;
  readonly maxBytes: number;
  /** In the order of their commits. */
  #written: { readonly copy: WrittenCopy; readonly fenced: LogCursor & { log: LogMark } }[] = [];
  readonly #watchers = new Set<MemoryWatcher>();
  /** Called with the tags of each record before it is applied. For operators. */
  beforeInvalidation: ((tags: readonly Tag[]) => void) | undefined;

  constructor(options: NearCacheOptions = {}) {
    const max = options.maxEntries ?? DEFAULT_MAX_ENTRIES;
    const maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
    this.maxBytes = maxBytes;
    const partsBytes = Math.ceil(maxBytes * PARTS_SHARE);
    this.#copies = new ClockMap({ max, maxSize: maxBytes - partsBytes });
    this.#parts = new ClockMap({ max, maxSize: partsBytes });
  }

  /** Copies held, including some that no longer hold: they go when they are read or when space is needed. */
  get size(): { readonly entries: number; readonly bytes: number } {
    const [copies, parts] = [this.#copies, this.#parts];
    return { entries: copies.count + parts.count, bytes: copies.size + parts.size };
  }

  /** The number of log reads sent. A log read with a higher number was sent later than now. */
  get logReadsSent(): number {
    return this.#logReadsSent;
  }

  /** Whether a log read that was sent after `sent` has been processed. */
  provedAfter(sent: number): boolean {
    return this.#mark !== undefined && this.#processed > sent;
  }

  /** The cursor for a log read that is sent now. */
  beginLogRead(): LogCursor {
    return {
      log: this.#mark ?? 'tail',
      number: ++this.#logReadsSent,
      identity: this.#identity,
      generations: this.#generations,
    };
  }

  /**
   * The cursor of a log read that would be sent now and find nothing new: what memory holds now is known to hold since
   * then.
   */
  get currentCursor(): LogCursor {
    const log = this.#mark ?? 'tail';
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

  /** Applies a log read. True: memory may now serve all calls that came before it was sent. */
  applyLogRead(asked: LogCursor, view: View): boolean {
    const lease = view.leases[LOG_GROUP];
    const { log } = view;
    if (log === undefined) return false; // the log group was not reached: nothing is known
    const identity = lease === undefined ? undefined : identityOf(lease);
    // Without the lease the log proves nothing, however plausible it looks.
    if (identity === undefined || log.kind === 'gap') return this.#forget();
    if (log.kind === 'tail') return this.#begin(asked, lease as Lease, log.mark);
    if (identity !== asked.identity) return this.#forget();
    // Memory was emptied and began again: this reply is about its former content.
    if (this.#identity !== identity || this.#mark?.epoch !== log.mark.epoch) return false;
    // Memory began again, further back: this reply does not cover the records between.
    if (asked.log === 'tail' || asked.log.sequence > this.#mark.sequence) return false;
    const first = log.mark.sequence - log.records.length + 1;
    log.records.forEach((tags, i) => {
      if (first + i <= (this.#mark as LogMark).sequence) return;
      this.beforeInvalidation?.(tags);
      this.#invalidate(tags, first + i);
      for (const watcher of this.#watchers) watcher.invalidated(tags);
    });
    if (log.mark.sequence > this.#mark.sequence) this.#mark = log.mark;
    this.#processed = Math.max(this.#processed, asked.number);
    if (this.#written.length > 0) this.#keepWritten();
    return true;
  }

  /** @returns the function that ends it */
  watch(watcher: MemoryWatcher): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  /**
   * Whether no record after `since` names one of the tags, as far as memory knows. False where memory knows too little
   * to tell.
   */
  holdsSince(since: LogCursor, tags: Iterable<Tag>): boolean {
    const mark = this.#mark;
    if (since.log === 'tail' || mark === undefined) return false;
    if (since.identity !== this.#identity || since.log.epoch !== mark.epoch) return false;
    return this.#untouched(tags, since.log.sequence);
  }

  get(key: Key, nowMs: number): NearEntry | undefined {
    return this.#held(this.#copies, key, nowMs);
  }

  /**
   * The copies that still hold, as far as memory knows, with their estimated sizes. Parts are left out.
   * @param under copies that carry none of these tags are left out
   */
  forEachHeld(
    nowMs: number,
    visit: (key: Key, entry: NearEntry, bytes: number) => void,
    under?: ReadonlySet<Tag>,
  ): void {
    this.#copies.forEach((key, { entry, known, size }) => {
      if (under !== undefined && !entry.tags.some((tag) => under.has(tag))) return;
      if (entry.untilMs > nowMs && this.#untouched(entry.tags, known)) visit(key, entry, size);
    });
  }

  /** How many copies have been put so far. */
  get puts(): number {
    return this.#puts;
  }

  /**
   * The stamps under which a copy came, and up to where it is known to hold, if it is among the first `before` that were put.
   * It may hold no longer: for a writer, who compares the tokens.
   */
  heldBefore(key: Key, before: number): { readonly stamps: string; readonly since: LogCursor } | undefined {
    const copy = this.#copies.peek(key);
    const stamps = copy?.entry.stamps;
    if (copy === undefined || copy.put >= before || stamps === undefined || this.#mark === undefined) return undefined;
    const log = { epoch: this.#mark.epoch, sequence: copy.known };
    return { stamps, since: { ...this.#currentCursor, log, identity: this.#identity } };
  }

  /**
   * Keeps what a transaction has written. Call this when its COMMIT was acknowledged, with the reply of its FENCE, which was sent once.
   *
   * FENCE found the tokens under which memory had its copy before the first statement, so until then no other write of the
   * transaction's own tags had ended. One that ends later appends a record behind that of this fence: FENCE and APPLY
   * do so first, and a RELEASE that lost its fence. So the copy is kept if memory has processed the fence's record, no
   * later one names one of these tags, and none since the copy of before names one of the others. All of it is of one lease: FENCE found
   * the one under which memory is filled. PROTOCOL.md, section 12, rule 12.
   */
  keepWritten(copy: WrittenCopy, { mark, lease }: ExactFence): void {
    if (lease === undefined || identityOf(lease) !== this.#identity) return;
    freeze(copy.entry.value); // at once: the writer has the same object
    if (this.#written.length >= MAX_WRITTEN) this.#written.shift();
    this.#written.push({ copy, fenced: { ...copy.since, log: mark, identity: this.#identity } });
    this.#keepWritten();
  }

  #keepWritten(): void {
    const waiting = this.#written;
    this.#written = [];
    for (const written of waiting) {
      const { copy, fenced } = written;
      if (this.#mark !== undefined && fenced.log.sequence > this.#mark.sequence) this.#written.push(written);
      else if (this.holdsSince(fenced, copy.own)) this.put(copy.since, copy.key, copy.entry, copy.others);
    }
  }

  /** False the first time for each copy of a row. */
  isKnownRow(row: object): boolean {
    if (this.#rowNumbers.has(row)) return true;
    this.#rowNumbers.set(row, ++this.#rows);
    return false;
  }

  /** A part that was made of `row` and put under this name. */
  getPart(name: string, row: object, nowMs: number): NearEntry | undefined {
    const number = this.#rowNumbers.get(row);
    return number === undefined ? undefined : this.#held(this.#parts, `${number} ${name}`, nowMs);
  }

  #held<K extends string>(copies: ClockMap<K, Copy>, key: K, nowMs: number): NearEntry | undefined {
    const copy = copies.get(key);
    if (copy === undefined) return undefined;
    const { entry, known } = copy;
    if (entry.untilMs > nowMs && this.#untouched(entry.tags, known)) {
      copy.known = (this.#mark as LogMark).sequence; // a copy exists only while there is a mark
      return entry;
    }
    copies.delete(key);
    return undefined;
  }

  /**
   * Keeps what the READ with the cursor `asked` found, or what was loaded after it, unless the log has named one of its
   * tags since.
   * @param tags those of the entry to look for. Default: all
   */
  put(asked: LogCursor, key: Key, entry: NearEntry, tags = entry.tags): void {
    this.#keep(this.#copies, asked, key, entry, tags);
  }

  /** Keeps a part of an answer, by the same rule. It is found for as long as its row is this object. */
  putPart(asked: LogCursor, name: string, row: object, entry: NearEntry): void {
    const number = this.#rowNumbers.get(row) ?? ++this.#rows;
    this.#rowNumbers.set(row, number);
    this.#keep(this.#parts, asked, `${number} ${name}`, entry, entry.tags);
  }

  #keep<K extends string>(
    copies: ClockMap<K, Copy>,
    asked: LogCursor,
    key: K,
    entry: NearEntry,
    tags: readonly Tag[],
  ): void {
    if (!this.holdsSince(asked, tags)) return;
    const mark = this.#mark as LogMark;
    freeze(entry.value);
    const { chars, bytes = chars * BYTES_PER_CHAR } = entry;
    copies.set(key, { entry, known: mark.sequence, put: this.#puts++, size: BYTES_PER_ENTRY + bytes });
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
    this.#newerMapStart = mark.sequence;
    this.#processed = asked.number;
    return true;
  }

  #forget(): false {
    const wasFilled = this.#mark !== undefined;
    this.#copies.clear();
    this.#parts.clear();
    this.#written = [];
    this.#lastInvalidation.clear();
    this.#lastInvalidationBefore.clear();
    this.#mark = undefined;
    this.#identity = undefined;
    this.#generations = NONE;
    if (wasFilled) for (const watcher of this.#watchers) watcher.emptied();
    return false;
  }

  #invalidate(tags: readonly Tag[], sequence: number): void {
    if (this.#lastInvalidation.size >= MAX_TOUCHED) {
      this.#lastInvalidationBefore = this.#lastInvalidation;
      this.#completeSince = this.#newerMapStart;
      this.#lastInvalidation = new Map();
      this.#newerMapStart = sequence - 1;
    }
    for (const tag of tags) this.#lastInvalidation.set(tag, sequence);
  }

  /** Whether no record after `since` names one of the tags. */
  #untouched(tags: Iterable<Tag>, since: number): boolean {
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

/** All readers share a copy, so changing it must throw. */
function freeze(value: unknown): void {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return;
  Object.freeze(value);
  for (const member of Object.values(value)) freeze(member);
}
