/**
 * Parts of answers: what an execution made of one row from process memory and of what memory holds besides, such as an
 * item of a list with its assignee and labels. When a write has made an answer old, the next one joins the parts that the
 * write did not touch.
 *
 * A part is kept and served like a whole answer: under the tags of all reads that it was made of, as of the earliest of
 * their log reads. It is found by its row, which is the same object for as long as memory holds that copy of it.
 *
 * An execution interleaves its parts. What is read while it works on a part belongs to that part (`Parts.within`). What
 * is read at any other time may belong to any part that is not finished, so none of them is kept. Neither is a part
 * that got a promise of a value, whose reads are recorded elsewhere.
 */
import { insideLoad } from './load-queue.js';
import type { NearCache } from './near-cache.js';
import type { OpenPart, ReadSet } from './read-set.js';
import type { Clock } from './time.js';

/** What was made of one row. Frozen once it is kept. */
export interface Part {
  readonly value: object;
  /** The size of `value` as JSON, in bytes. */
  readonly bytes: number;
}

/** Parts for one execution. */
export class Parts {
  readonly #near: NearCache;
  readonly #clock: Clock;
  readonly #readSet: ReadSet;

  constructor(options: { near: NearCache; clock: Clock; readSet: ReadSet }) {
    this.#near = options.near;
    this.#clock = options.clock;
    this.#readSet = options.readSet;
  }

  /**
   * Whether this copy of the row has been asked about before. Parts are worth their making for rows that are shown
   * again.
   */
  isKnown(row: object): boolean {
    return this.#near.isKnownRow(row);
  }

  /**
   * The part that was made of `row` under this name, if memory may serve this read set now and the part is still valid.
   */
  find(name: string, row: object): Part | undefined {
    const near = this.#near;
    if (!near.provedAfter(this.#readSet.began)) return undefined;
    const kept = near.getPart(name, row, this.#clock.nowMs());
    if (kept === undefined) return undefined;
    this.#readSet.dependencies?.add(kept.tags, near.currentCursor, kept.untilMs);
    return kept.value as Part;
  }

  /** Begins a part, within the one that the execution works on. End it with `keep`. */
  open(): OpenPart {
    return this.#readSet.openPart();
  }

  /** Runs the execution's work on a part, or on what belongs to none. */
  within<T>(part: OpenPart | 'answer', work: () => T): T {
    return this.#readSet.within(part, work);
  }

  /**
   * Ends a part, and keeps it unless it may depend on more than its reads. `name`: says everything besides the reads and
   * the row that it depends on, such as the viewer. `make`: the part, made only if it is kept; undefined if it is too
   * large.
   */
  keep(open: OpenPart, name: string, row: object, make: () => Part | undefined): void {
    this.#readSet.closePart(open);
    const { tags, since, untilMs, uncacheable } = open.dependencies;
    if (open.spoilt || uncacheable || since === undefined) return;
    const part = make();
    if (part === undefined) return;
    const loadedAtMs = this.#clock.nowMs();
    this.#near.putPart(since, name, row, {
      value: part,
      tags: [...tags],
      stamps: undefined,
      chars: part.bytes,
      loadedAtMs,
      untilMs,
    });
  }
}

/** Undefined: parts are neither served nor kept. A snapshot validates each of its reads; inside a load nothing is kept. */
export function partsOf(near: NearCache | undefined, clock: Clock, readSet: ReadSet): Parts | undefined {
  if (near === undefined || readSet.snapshot || readSet.dependencies === undefined || insideLoad()) return undefined;
  return new Parts({ near, clock, readSet });
}
