/**
 * Answers: values made of nothing but what one read set was given, kept in this process as long as all of that holds. Each is one more
 * entry of process memory, under the tags of everything it was made of.
 */
import { type CacheEvents, reportOutcome } from './events.js';
import type { Key } from './key.js';
import { insideLoad } from './load-queue.js';
import type { NearCache } from './near-cache.js';
import type { ReadSet } from './read-set.js';
import type { StoreReads } from './store-reads.js';
import type { Clock } from './time.js';

/** The name of answers in outcomes. */
const ANSWER = 'Answer';
/** Most are the texts of entries that memory holds as well. */
const BYTES_PER_TAG = 20;

export class AnswerCache {
  readonly #near: NearCache | undefined;
  readonly #reads: StoreReads;
  readonly #events: CacheEvents;
  readonly #clock: Clock;

  constructor(options: { near: NearCache | undefined; reads: StoreReads; events: CacheEvents; clock: Clock }) {
    this.#near = options.near;
    this.#reads = options.reads;
    this.#events = options.events;
    this.#clock = options.clock;
  }

  /**
   * Keeps `value` where `readSet` was opened for answers and nothing in it was torn, fenced, stale, joined or failed.
   * @param bytes what the value takes in memory
   */
  store(readSet: ReadSet, key: Key, value: object, bytes: number): void {
    const { dependencies } = readSet;
    if (dependencies === undefined || dependencies.uncacheable || dependencies.since === undefined) return;
    const { since, untilMs } = dependencies;
    const tags = [...dependencies.tags];
    const size = { chars: bytes, bytes: bytes + tags.length * BYTES_PER_TAG };
    this.#near?.put(since, key, { value, tags, stamps: '', loadedAtMs: this.#clock.nowMs(), untilMs, ...size });
  }

  /** Whether an answer is kept under this key that may still hold. */
  has(key: Key): boolean {
    return this.#near?.get(key, this.#clock.nowMs()) !== undefined;
  }

  /**
   * The answer under this key, if it still holds: proved by a log read, shared with all who ask in this tick, that was sent after the
   * read set began. Asks nothing where nothing is kept. Never throws.
   */
  async find(readSet: ReadSet, key: Key): Promise<unknown> {
    const startedMs = performance.now();
    const near = this.#near;
    if (near?.get(key, this.#clock.nowMs()) === undefined) return undefined;
    const roundTrips: number[] = [];
    if (insideLoad() || !near.provedAfter(readSet.began)) {
      try {
        const reply = await this.#reads.readLog();
        roundTrips.push(reply.trip);
        if (!this.#reads.proves(reply)) return undefined;
      } catch (error) {
        this.#events.storeFailed?.('read', error);
        return undefined;
      }
    }
    const nowMs = this.#clock.nowMs();
    const copy = near.get(key, nowMs);
    if (copy === undefined) return undefined;
    const { value, tags, chars, loadedAtMs, untilMs } = copy;
    const times = { ageMs: nowMs - loadedAtMs, ttlLeftMs: untilMs - nowMs, ms: performance.now() - startedMs };
    reportOutcome(
      this.#events,
      ANSWER,
      { arg: undefined, key, tags },
      { kind: 'near-hit', chars, roundTrips, ...times },
    );
    return value;
  }
}
