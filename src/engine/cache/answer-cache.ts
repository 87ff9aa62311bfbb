/**
 * Whole answers: values made only of what one read set was given. Each is one more entry of process memory, under the
 * tags of all its parts, and is valid as long as they are.
 */
import { type CacheEvents, reportOutcome } from './events.js';
import type { Key } from './key.js';
import { insideLoad } from './load-queue.js';
import type { NearCache, NearEntry } from './near-cache.js';
import type { ReadSet } from './read-set.js';
import type { StoreReads } from './store-reads.js';
import type { Clock } from './time.js';

/** The name of answers in outcomes. */
export const ANSWER = 'Answer';
/** Keys of answers begin with it, then comes the viewer. A policy's name contains no space, so no entry has such a key. */
export const ANSWER_KEY = 'answer ';
/** What is charged for each tag of an answer. Most tag texts belong to entries that memory holds as well. */
const BYTES_PER_TAG = 20;

export class AnswerCache {
  readonly #near: NearCache | undefined;
  readonly #reads: StoreReads;
  readonly #events: CacheEvents;
  readonly #clock: Clock;
  readonly #groups: number;

  /** `groups`: of the store. */
  constructor(options: {
    near: NearCache | undefined;
    reads: StoreReads;
    events: CacheEvents;
    clock: Clock;
    groups: number;
  }) {
    this.#groups = options.groups;
    this.#near = options.near;
    this.#reads = options.reads;
    this.#events = options.events;
    this.#clock = options.clock;
  }

  /**
   * Keeps `value` if `readSet` was opened for answers and can prove everything it was given. See "Why a value is not
   * kept" in ARCHITECTURE.md.
   * @param bytes the size of `value` in memory
   */
  store(readSet: ReadSet, key: Key, value: object, bytes: number): void {
    const { dependencies } = readSet;
    if (dependencies === undefined || dependencies.uncacheable || dependencies.since === undefined) return;
    const { since, untilMs } = dependencies;
    const tags = [...dependencies.tags];
    const size = { chars: bytes, bytes: bytes + tags.length * BYTES_PER_TAG };
    this.#near?.put(since, key, { value, tags, stamps: undefined, loadedAtMs: this.#clock.nowMs(), untilMs, ...size });
  }

  /**
   * The answer under this key if a log read proves it. Requests of the same event-loop tick share the log read, which
   * is sent after the read set began. Sends nothing, and makes no promise, when memory holds no such answer. Never throws.
   */
  find(readSet: ReadSet, key: Key): Promise<unknown> | undefined {
    const near = this.#near;
    const held = near?.get(key, this.#clock.nowMs());
    return near === undefined || held === undefined ? undefined : this.#prove(near, readSet, key, held);
  }

  /** `held`: what memory holds before the log read, if one is needed. */
  async #prove(near: NearCache, readSet: ReadSet, key: Key, held: NearEntry): Promise<unknown> {
    const startedMs = performance.now();
    if (insideLoad() && this.#groups > 1) return undefined; // as Reader does with entries
    const roundTrips: number[] = [];
    let copy: NearEntry | undefined = held;
    if (insideLoad() || !near.provedAfter(readSet.began)) {
      try {
        const reply = await this.#reads.readLog();
        roundTrips.push(reply.trip);
        if (!this.#reads.proves(reply)) return undefined;
      } catch (error) {
        this.#events.storeFailed?.('read', error);
        return undefined;
      }
      copy = near.get(key, this.#clock.nowMs()); // the log may have named one of its tags
    }
    if (copy === undefined) return undefined;
    const nowMs = this.#clock.nowMs();
    const { value, tags, chars, loadedAtMs, untilMs } = copy;
    if (readSet.live) readSet.dependencies?.add(tags, near.currentCursor, untilMs); // others need none: it is all they read
    reportOutcome(this.#events, {
      name: ANSWER,
      arg: undefined,
      key,
      tags,
      kind: 'near-hit',
      ageMs: nowMs - loadedAtMs,
      ttlLeftMs: untilMs - nowMs,
      chars,
      ms: performance.now() - startedMs,
      roundTrips,
    });
    return value;
  }
}
