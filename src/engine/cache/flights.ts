/**
 * Loads in progress. One load runs for all callers that may share it, stores what may be stored, and ends when its last
 * caller leaves.
 *
 * The life of a flight, which is one value of a load:
 *
 *     queued ──> running ──> landed ──> ended
 *        └─────────┴───────────┴──────────┘
 *
 * - `queued` waits for a slot. It reads the current state when it runs, so any call for the same key may join.
 * - `running`: only calls that read the same stamps may join. Any other call could get a value older than a write that
 *   was acknowledged before the call began.
 * - `landed`: the value is here and its FILL is in progress. It is joined like a running one, until the store has the
 *   value.
 * - `ended`: stored, not storable, failed, or left by all its callers. No call joins.
 */
import { setMaxListeners } from 'node:events';
import type { Call, IndexedCall } from './call.js';
import { entryText } from './entry.js';
import { CacheError } from './errors.js';
import type { CacheEvents, OutcomeReason } from './events.js';
import type { Key } from './key.js';
import type { LoadQueue, LoadTurn } from './load-queue.js';
import type { LogCursor, NearCache } from './near-cache.js';
import { DEFAULT_MAX_CHARS, entryTtlMs, type Policy, type Source } from './policy.js';
import { SharedAbort } from './shared-abort.js';
import type { EntryStore, Fill } from './store.js';
import type { Tag } from './tag.js';
import { TickBatch } from './tick-batch.js';
import type { Clock } from './time.js';
import type { Unawaited } from './unawaited.js';

const MAX_FILLS_PER_TRIP = 2000;

/** The signal of loads that no caller can give up. */
export const UNENDING: AbortSignal = new AbortController().signal;
setMaxListeners(0, UNENDING); // as many as wait for a slot

/**
 * A call that is not a hit: why, and the stamps under which its value may be stored and joined (undefined: it may not).
 */
export interface Miss<A> extends IndexedCall<A> {
  readonly reason: OutcomeReason;
  readonly stamps: string | undefined;
  /** The log read that came with the stamps. Absent: process memory may not keep the loaded value. */
  readonly cursor?: LogCursor | undefined;
}

/**
 * How storing a value ended: why it was not stored, or until when its entry may be served. Neither: the miss allowed no
 * storing.
 */
interface Filled {
  readonly unstored?: OutcomeReason;
  readonly untilMs?: number;
}

export interface Landed<V> extends Filled {
  readonly value: V;
  readonly joined: boolean;
}

interface Flight {
  readonly key: Key;
  readonly stamps: string | undefined;
  readonly load: Load;
  /** The index of its value in the load's values. */
  readonly index: number;
  state: 'queued' | 'running' | 'landed' | 'ended';
}

/** Shared by the flights of one load. */
interface Load {
  values: Promise<readonly unknown[]>;
  readonly callers: SharedAbort;
  readonly turn: LoadTurn;
}

export interface FlightsOptions {
  readonly store: EntryStore;
  readonly near: NearCache | undefined;
  readonly queue: LoadQueue;
  readonly clock: Clock;
  readonly random: () => number;
  readonly events: CacheEvents;
  readonly unawaited: Unawaited;
  /** See `CacheOptions.wrapLoad`. */
  readonly wrapLoad:
    | (<T>(load: { name: string; tags: readonly Tag[] }, run: () => Promise<T>) => Promise<T>)
    | undefined;
}

const NOT_FILLED: Filled = {};
const UNENCODABLE: Filled = { unstored: 'unencodable' };
const TOO_LARGE: Filled = { unstored: 'too-large' };

export class Flights {
  readonly #options: FlightsOptions;
  readonly #fills: TickBatch<readonly Fill[], void>;
  /**
   * Running and landed flights whose values may be stored: the latest by key. Bounded by the calls in progress, like
   * `#queued`.
   */
  readonly #storable = new Map<Key, Flight>();
  readonly #queued = new Map<Key, Flight>();

  constructor(options: FlightsOptions) {
    this.#options = options;
    this.#fills = new TickBatch(
      (fills) => options.store.fill(fills.flat()),
      MAX_FILLS_PER_TRIP,
      (fills) => fills.length,
    );
  }

  /**
   * Joins what may be joined and runs one load for the other misses. The caller waits until `signal` aborts. A load
   * goes on after one caller has left, as long as another waits.
   * @throws what the load throws
   */
  async loadAndFill<A, V>(
    source: Source<A, V>,
    misses: readonly Miss<A>[],
    viewer: string | undefined,
    signal?: AbortSignal,
  ): Promise<Landed<V>[]> {
    // Inside a load nothing is joined: a load in line may be waiting for the slot that this one holds.
    const joined = misses.map((miss) => (this.#options.queue.inside ? undefined : this.#joinable(miss)));
    for (const load of new Set(joined.map((flight) => flight?.load))) load?.callers.add(signal);
    for (const flight of joined) flight?.load.turn.share(viewer); // which waits in the line of this viewer as well
    const own = misses.filter((_, i) => joined[i] === undefined);
    const loaded = await this.#loadOwn(source, own, viewer, signal);
    const landed: Landed<V>[] = [];
    let next = 0;
    for (const flight of joined) {
      if (flight === undefined) landed.push(loaded[next++] as Landed<V>);
      else landed.push({ value: (await flight.load.values)[flight.index] as V, joined: true });
    }
    return landed;
  }

  #joinable({ key, stamps }: Miss<unknown>): Flight | undefined {
    const flight = this.#storable.get(key);
    return flight !== undefined && flight.stamps === stamps ? flight : this.#queued.get(key);
  }

  async #loadOwn<A, V>(
    source: Source<A, V>,
    misses: readonly Miss<A>[],
    viewer: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Landed<V>[]> {
    if (misses.length === 0) return [];
    const { flights, load } = this.#depart(source, misses, viewer, signal);
    try {
      const values = (await load.values) as readonly V[];
      const filled = this.#fill(source, misses, values, flights);
      return values.map((value, i) => ({ value, joined: false, ...filled[i] }));
    } catch (error) {
      for (const flight of flights) this.#enter(flight, 'ended');
      throw error;
    } finally {
      load.callers.end();
    }
  }

  /** Begins a load: now, or when it gets a slot. */
  #depart<A, V>(
    source: Source<A, V>,
    misses: readonly Miss<A>[],
    viewer: string | undefined,
    signal: AbortSignal | undefined,
  ): { flights: readonly Flight[]; load: Load } {
    const callers = new SharedAbort();
    callers.add(signal);
    const turn = this.#options.queue.turn(viewer, source.heavy);
    const load: Load = { values: NO_VALUES, callers, turn };
    const flights = misses.map(({ key, stamps }, index): Flight => ({ key, stamps, load, index, state: 'queued' }));
    const starting = () => {
      for (const flight of flights) this.#enter(flight, 'running');
    };
    load.values = this.run(source, misses, { turn, starting, signal: callers.signal });
    callers.signal.addEventListener('abort', () => {
      for (const flight of flights) this.#enter(flight, 'ended');
    });
    for (const flight of flights) {
      if (flight.stamps !== undefined) this.#storable.set(flight.key, flight);
      if (flight.state === 'queued') this.#queued.set(flight.key, flight);
    }
    return { flights, load };
  }

  /** The only place where a flight's state changes, and with it which calls may join. */
  #enter(flight: Flight, state: Flight['state']): void {
    if (flight.state === 'ended') return;
    flight.state = state;
    if (state !== 'queued' && this.#queued.get(flight.key) === flight) this.#queued.delete(flight.key);
    if (state === 'ended' && this.#storable.get(flight.key) === flight) this.#storable.delete(flight.key);
  }

  /** LOAD: waits for a slot, then calls `starting`. `signal` aborts when the last caller has left. */
  run<A, V>(
    source: Source<A, V>,
    calls: readonly Call<A>[],
    { turn, starting, signal }: { turn: LoadTurn; starting: () => void; signal: AbortSignal },
  ): Promise<V[]> {
    const { wrapLoad, queue } = this.#options;
    const load = () =>
      source.load(
        calls.map(({ arg }) => arg),
        signal,
      );
    return queue.run(
      async () => {
        const values = await (wrapLoad === undefined ? load() : wrapLoad(describe(source, calls), load));
        if (values.length !== calls.length) {
          throw new CacheError(
            'LOAD_SHAPE',
            `${source.name}: ${calls.length} values expected, ${values.length} loaded`,
          );
        }
        return [...values];
      },
      { turn, starting, signal, reentrant: source.reentrant !== false },
    );
  }

  /** FILL. Not awaited: a late one is harmless, since it carries the stamps from before its load. */
  #fill<A>(
    policy: Policy<A>,
    misses: readonly Miss<A>[],
    values: readonly unknown[],
    flights: readonly Flight[],
  ): Filled[] {
    const loadedAtMs = this.#options.clock.nowMs();
    const fills: Fill[] = [];
    const stored: Flight[] = [];
    const filled = misses.map((miss, i) => {
      const flight = flights[i] as Flight;
      const entry = this.#entryOf(policy, miss, { value: values[i], loadedAtMs });
      if (!('fill' in entry)) {
        this.#enter(flight, 'ended');
        return entry;
      }
      this.#enter(flight, 'landed');
      fills.push(entry.fill);
      stored.push(flight);
      return { untilMs: entry.untilMs };
    });
    if (fills.length > 0) this.#send(fills, stored);
    return filled;
  }

  /**
   * Puts a loaded value into process memory.
   * @returns what to store, or why nothing is stored
   */
  #entryOf<A>(
    policy: Policy<A>,
    { key, tags, stamps, cursor }: Miss<A>,
    { value, loadedAtMs }: { readonly value: unknown; readonly loadedAtMs: number },
  ): Filled | { readonly fill: Fill; readonly untilMs: number } {
    if (stamps === undefined) return NOT_FILLED;
    const ttlMs = entryTtlMs(policy, value, this.#options.random());
    const text = textOf({ stamps, value, loadedAtMs, ttlMs });
    if (text === undefined) return UNENCODABLE;
    if (text.length > (policy.maxChars ?? DEFAULT_MAX_CHARS)) return TOO_LARGE;
    const untilMs = loadedAtMs + ttlMs;
    if (cursor !== undefined) {
      this.#options.near?.put(cursor, key, { value, tags, stamps, chars: text.length, loadedAtMs, untilMs });
    }
    return { fill: { key, text, ttlMs: ttlMs + (policy.staleMs ?? 0) }, untilMs };
  }

  #send(fills: readonly Fill[], flights: readonly Flight[]): void {
    const { unawaited, events } = this.#options;
    const ended = () => {
      for (const flight of flights) this.#enter(flight, 'ended');
    };
    unawaited.add(
      this.#fills.add(fills).then(ended, (error) => {
        ended();
        events.storeFailed?.('fill', error);
      }),
    );
  }
}

const NO_VALUES: Promise<readonly unknown[]> = Promise.resolve([]);

/** Undefined for values that JSON cannot represent. */
function textOf(entry: Parameters<typeof entryText>[0]): string | undefined {
  try {
    return entryText(entry);
  } catch {
    return undefined;
  }
}

function describe({ name }: Policy<never>, calls: readonly Call<unknown>[]): { name: string; tags: Tag[] } {
  return { name, tags: [...new Set(calls.flatMap(({ tags }) => tags))] };
}
