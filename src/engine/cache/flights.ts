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
import { bringAfter } from './brought-values.js';
import type { CallNames, IndexedCall } from './call.js';
import { entryTextIfAny } from './entry.js';
import type { CacheEvents, OutcomeReason } from './events.js';
import type { Key } from './key.js';
import type { LoadQueue, LoadTurn } from './load-queue.js';
import type { LoadRunner } from './load-runner.js';
import type { LogCursor } from './log-cursor.js';
import type { NearCache } from './near-cache.js';
import { DEFAULT_MAX_CHARS, entryTtlMs, type Policy, type Source } from './policy.js';
import { SharedAbort } from './shared-abort.js';
import { type Context, callerContext, forCallers, linkTo, type Span } from './spans.js';
import type { EntryStore, Fill } from './store.js';
import type { Tag } from './tag.js';
import { TickBatch } from './tick-batch.js';
import type { Clock } from './time.js';
import type { Unawaited } from './unawaited.js';

const MAX_FILLS_PER_TRIP = 2000;
/** Misses of several callers in one load. */
const MAX_TOGETHER = 100;
/** A load that failed later than this, such as one that Postgres did not finish in time, is not tried again. */
const RETRY_WITHIN_MS = 1000;

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
  /** The notes of fences that came with it, if the load may bring values along. */
  readonly fenced?: ReadonlySet<Tag> | undefined;
}

/**
 * How storing a value ended: why it was not stored, or until when its entry may be served. Neither: the miss allowed no
 * storing.
 */
interface Filled {
  readonly unstored?: OutcomeReason | undefined;
  readonly untilMs?: number | undefined;
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
  /** Until when its entry may be served. Absent: it was not stored, or has not landed. */
  untilMs: number | undefined;
}

/** Shared by the flights of one load. */
interface Load {
  values: Promise<readonly unknown[]>;
  readonly callers: SharedAbort;
  readonly turn: LoadTurn;
  /** Whether several callers have begun it together. If it fails, the fault may be one caller's: each loads alone. */
  joint: boolean;
  beganMs: number;
  /** Present when it has begun and is recorded. */
  span: Span | undefined;
}

/** A load that has not begun. */
interface Gathering {
  readonly source: Source<never, unknown>;
  readonly load: Load;
  readonly flights: Flight[];
  readonly misses: Miss<never>[];
  readonly callers: Context[];
}

export interface FlightsOptions {
  readonly store: EntryStore;
  readonly names: CallNames;
  readonly near: NearCache | undefined;
  readonly queue: LoadQueue;
  readonly clock: Clock;
  readonly random: () => number;
  readonly events: CacheEvents;
  readonly unawaited: Unawaited;
  readonly runner: LoadRunner;
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
  /** Loads that begin when this event-loop tick's promises are settled, by the object in `Source.shared`. */
  readonly #gathering = new Map<object, Gathering>();

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
    for (const [i, flight] of joined.entries()) {
      if (flight === undefined) landed.push(loaded[next++] as Landed<V>);
      else landed.push(await this.#landed(source, misses[i] as Miss<A>, flight, viewer, signal));
    }
    return landed;
  }

  /** What a flight that was joined brings. */
  async #landed<A, V>(
    source: Source<A, V>,
    miss: Miss<A>,
    flight: Flight,
    viewer: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Landed<V>> {
    const { load, index } = flight;
    try {
      const value = (await load.values)[index] as V;
      linkTo(load.span);
      // Under the tokens that this caller read, it holds as of this caller's own log read.
      const isOwn = flight.stamps !== undefined && flight.stamps === miss.stamps;
      return { value, joined: true, untilMs: isOwn ? flight.untilMs : undefined };
    } catch (error) {
      if (!this.#mayRetry(load, signal)) throw error;
      return (await this.loadAndFill(alone(source), [miss], viewer, signal))[0] as Landed<V>;
    }
  }

  #joinable({ key, stamps }: Miss<unknown>): Flight | undefined {
    const storable = this.#storable.get(key);
    const flight = storable !== undefined && storable.stamps === stamps ? storable : this.#queued.get(key);
    return flight?.load.callers.signal.aborted === true ? undefined : flight;
  }

  /** Whether a caller of a load that failed may load alone: another caller's argument may be at fault. That shows at once. */
  #mayRetry({ joint, beganMs, callers }: Load, signal: AbortSignal | undefined): boolean {
    if (!joint || callers.signal.aborted || signal?.aborted === true) return false;
    return this.#options.clock.monotonicMs() - beganMs < RETRY_WITHIN_MS;
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
      const loaded = await load.values;
      const values = flights.map(({ index }) => loaded[index] as V);
      const filled = this.#fill(source, misses, values, flights);
      return values.map((value, i) => {
        const { unstored, untilMs } = filled[i] as Filled;
        return { value, joined: false, unstored, untilMs };
      });
    } catch (error) {
      for (const flight of flights) this.#enter(flight, 'ended');
      if (!this.#mayRetry(load, signal)) throw error;
      return await this.#loadOwn(alone(source), misses, viewer, signal);
    } finally {
      load.callers.end();
    }
  }

  /** Begins a load: now, with those of others in this event-loop tick, or when it gets a slot. */
  #depart<A, V>(
    source: Source<A, V>,
    misses: readonly Miss<A>[],
    viewer: string | undefined,
    signal: AbortSignal | undefined,
  ): { flights: readonly Flight[]; load: Load } {
    const by = this.#options.queue.inside ? undefined : sharedBy(source, misses);
    const open = by && this.#gathering.get(by);
    const room = open !== undefined && open.flights.length + misses.length <= (source.shared?.max ?? MAX_TOGETHER);
    const joins = room && !open.load.callers.signal.aborted;
    const gathering = joins ? open : this.#gather(source as unknown as Source<never, unknown>, viewer);
    const { load } = gathering;
    const from = gathering.flights.length;
    const flights = misses.map(
      ({ key, stamps }, i): Flight => ({ key, stamps, load, index: from + i, state: 'queued', untilMs: undefined }),
    );
    gathering.flights.push(...flights);
    gathering.misses.push(...(misses as readonly Miss<never>[]));
    gathering.callers.push(callerContext());
    if (joins) {
      load.joint = true;
      load.turn.share(viewer);
    }
    for (const flight of flights) {
      if (flight.stamps !== undefined) this.#storable.set(flight.key, flight);
      this.#queued.set(flight.key, flight);
    }
    load.callers.add(signal);
    if (by === undefined) load.values = this.#begin(gathering);
    else if (!joins) {
      this.#gathering.set(by, gathering);
      // Not setImmediate: all callers that waited for the same READ go on before this, and nothing else is worth waiting for.
      load.values = new Promise((resolve) => {
        process.nextTick(() => {
          if (this.#gathering.get(by) === gathering) this.#gathering.delete(by);
          resolve(this.#begin(gathering));
        });
      });
    }
    return { flights, load };
  }

  #gather(source: Source<never, unknown>, viewer: string | undefined): Gathering {
    const callers = new SharedAbort();
    const turn = this.#options.queue.turn(viewer, source.heavy);
    const flights: Flight[] = [];
    callers.signal.addEventListener('abort', () => {
      for (const flight of flights) this.#enter(flight, 'ended');
    });
    const load: Load = { values: NO_VALUES, callers, turn, joint: false, beganMs: 0, span: undefined };
    return { source, load, flights, misses: [], callers: [] };
  }

  #begin({ source, load, flights, misses, callers }: Gathering): Promise<readonly unknown[]> {
    const { turn } = load;
    const { signal } = load.callers;
    load.beganMs = this.#options.clock.monotonicMs();
    const starting = () => {
      for (const flight of flights) this.#enter(flight, 'running');
    };
    const [first] = misses;
    const bring = first && bringAfter(first, this.#options);
    const recorded = (span: Span) => {
      load.span = span;
    };
    return forCallers(callers, () =>
      this.#options.runner.run(source, misses, { turn, starting, signal, bring, recorded }),
    );
  }

  /** The only place where a flight's state changes, and with it which calls may join. */
  #enter(flight: Flight, state: Flight['state']): void {
    if (flight.state === 'ended') return;
    flight.state = state;
    if (state !== 'queued' && this.#queued.get(flight.key) === flight) this.#queued.delete(flight.key);
    if (state === 'ended' && this.#storable.get(flight.key) === flight) this.#storable.delete(flight.key);
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
      flight.untilMs = entry.untilMs;
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
    const text = entryTextIfAny({ stamps, value, loadedAtMs, ttlMs });
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

function sharedBy<A, V>({ shared }: Source<A, V>, misses: readonly Miss<A>[]): object | undefined {
  return shared !== undefined && misses.every(({ arg }) => shared.when(arg)) ? shared.by : undefined;
}

/** The same, each caller for itself. */
function alone<A, V>(source: Source<A, V>): Source<A, V> {
  return { ...source, shared: undefined };
}

const NO_VALUES: Promise<readonly unknown[]> = Promise.resolve([]);
