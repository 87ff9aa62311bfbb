/**
 * READ, batched: one round trip to the store for all calls of one event-loop tick, together with the log of
 * invalidations.
 */
import type { Call } from './call.js';
import type { CacheEvents } from './events.js';
import type { Key } from './key.js';
import { type LogCursor, leasedAsNamed } from './log-cursor.js';
import type { NearCache } from './near-cache.js';
import type { EntryStore, View } from './store.js';
import type { Tag } from './tag.js';
import { TickBatch } from './tick-batch.js';
import type { Clock } from './time.js';

/** Entries and tags in one READ. The calls of one `readMany` are not split; DataLoader bounds them. */
const MAX_KEYS_PER_READ = 10_000;

/** What one caller asks for in an event-loop tick. */
interface StoreRequest {
  readonly calls: readonly Call<unknown>[];
  /** Leave out entries that process memory holds. */
  readonly memory: boolean;
  /** Read the notes of fences, too. */
  readonly fenced?: boolean;
}

export interface StoreReply {
  /** The number of the round trip, for outcomes. */
  readonly trip: number;
  readonly view: View;
  /** The log read that went with it. Absent: this process keeps no entries in memory. */
  readonly cursor: LogCursor | undefined;
  /** The keys that were read. */
  readonly keys: ReadonlySet<Key>;
}

const LOG_ONLY: StoreRequest = { calls: [], memory: true };

export class StoreReads {
  readonly #store: EntryStore;
  readonly #near: NearCache | undefined;
  readonly #clock: Clock;
  readonly #events: CacheEvents;
  readonly #batch: TickBatch<StoreRequest, StoreReply>;
  #trips = 0;

  constructor({
    store,
    near,
    clock,
    events,
  }: {
    readonly store: EntryStore;
    readonly near: NearCache | undefined;
    readonly clock: Clock;
    readonly events: CacheEvents;
  }) {
    this.#store = store;
    this.#events = events;
    this.#near = near;
    this.#clock = clock;
    this.#batch = new TickBatch(
      (requests) => this.#fetchBatch(requests),
      MAX_KEYS_PER_READ,
      ({ calls }) => calls.reduce((size, { tags }) => size + 1 + tags.length, 0),
    );
  }

  /** READs sent so far, of the log alone too. */
  get sent(): number {
    return this.#trips;
  }

  /** @throws what the store throws */
  read(request: StoreRequest): Promise<StoreReply> {
    return this.#batch.add(request);
  }

  readLog(): Promise<StoreReply> {
    return this.#batch.add(LOG_ONLY);
  }

  /**
   * Whether memory may serve the callers that waited for this log read. Check it when a value is served, not when the
   * reply is processed: between the two, other replies may have emptied memory and filled it as of an earlier log read.
   */
  proves({ cursor }: StoreReply): boolean {
    return cursor !== undefined && this.#near?.provedAfter(cursor.number - 1) === true;
  }

  async #fetchBatch(requests: readonly StoreRequest[]): Promise<StoreReply> {
    const cursor = this.#near?.beginLogRead();
    const nowMs = this.#clock.nowMs();
    const keys = new Set<Key>();
    const tags = new Set<Tag>();
    for (const { calls, memory } of requests) {
      for (const call of calls) {
        if (memory && this.#near?.get(call.key, nowMs) !== undefined) continue;
        keys.add(call.key);
        for (const tag of call.tags) tags.add(tag);
      }
    }
    const trip = ++this.#trips;
    const startedMs = performance.now();
    const fenced = requests.some((request) => request.fenced === true);
    const view = await this.#store.read([...keys], [...tags], { log: cursor?.log, mint: true, fenced });
    const ms = performance.now() - startedMs;
    this.#events.roundTrip?.({ number: trip, startedMs, ms, keys: keys.size, tags: tags.size });
    if (cursor !== undefined) this.#near?.applyLogRead(cursor, view);
    return { trip, view, cursor, keys };
  }
}

/** The log read as of which memory may keep what was found of this call, or what is loaded after it. */
export function cursorOf({ cursor, view }: StoreReply, { groups }: Call<unknown>): LogCursor | undefined {
  return cursor !== undefined && leasedAsNamed(cursor, groups, view.leases) ? cursor : undefined;
}
