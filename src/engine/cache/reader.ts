/**
 * The read path. For each call: process memory, if a log read proves it; then the store, in one READ for all calls of
 * an event-loop tick; then the load, whose value is stored under the tokens that were read before it.
 */
import { type Call, type CallNames, type IndexedCall, MAX_TAGS } from './call.js';
import { type Entry, isFence, purgeOf, type State, stampText, stateOf } from './entry.js';
import { type CacheEvents, type Outcome, type OutcomeReason, reportOutcome } from './events.js';
import { type Flights, type Landed, type Miss, UNENDING } from './flights.js';
import { insideLoad, type LoadQueue, loadSignal } from './load-queue.js';
import type { Monitor } from './monitor.js';
import type { LogCursor, NearCache, NearEntry } from './near-cache.js';
import type { Source } from './policy.js';
import type { ReadSet } from './read-set.js';
import { abortable } from './shared-abort.js';
import type { EntryStore, View } from './store.js';
import { cursorOf, type StoreReads, type StoreReply } from './store-reads.js';
import type { Tag } from './tag.js';
import type { Clock } from './time.js';
import type { Unawaited } from './unawaited.js';

/** The process that refreshes a stale entry has this long before another may try. */
const REFRESH_LOCK_MS = 10_000;
const NO_TRIPS: readonly number[] = [];

export interface ReadOptions {
  /**
   * The viewer: part of the key if the policy's scope is `viewer`, and the one whose share of the loads the misses
   * take.
   */
  readonly viewer?: string | undefined;
  /** The request's read set, from `Cache.readSet()`. */
  readonly readSet?: ReadSet | undefined;
  /**
   * When it aborts, a read that has to load ends with its reason. A load that no other caller waits for is abandoned; its
   * source sees this by `loadSignal`. Inside a load, that load's own signal counts instead.
   */
  readonly signal?: AbortSignal | undefined;
}

/** A value that memory served without a log read of its own, and what an answer that shows it depends on. */
export interface Peeked<V> {
  readonly value: V;
  readonly tags: readonly Tag[];
  readonly since: LogCursor;
  readonly untilMs: number;
}

/** One `readMany` in progress. */
interface Reading<A, V> {
  readonly source: Source<A, V>;
  readonly readSet: ReadSet | undefined;
  readonly viewer: string | undefined;
  /** Inside a load its signal is the load's. */
  readonly caller: Pick<ReadOptions, 'signal'>;
  readonly values: V[];
  readonly trips: number[];
  readonly ended: (call: Call<A>, how: Pick<Outcome, 'kind'> & Partial<Outcome>) => void;
}

interface ReaderOptions {
  readonly store: EntryStore;
  readonly names: CallNames;
  readonly near: NearCache | undefined;
  readonly reads: StoreReads;
  readonly flights: Flights;
  readonly queue: LoadQueue;
  readonly monitor: Monitor;
  readonly monitorShare: number;
  readonly events: CacheEvents;
  readonly clock: Clock;
  readonly random: () => number;
  readonly unawaited: Unawaited;
}

export class Reader {
  readonly #options: ReaderOptions;
  readonly #names: CallNames;
  readonly #near: NearCache | undefined;
  readonly #reads: StoreReads;
  readonly #flights: Flights;
  readonly #queue: LoadQueue;
  readonly #events: CacheEvents;
  readonly #clock: Clock;

  constructor(options: ReaderOptions) {
    this.#options = options;
    this.#names = options.names;
    this.#near = options.near;
    this.#reads = options.reads;
    this.#flights = options.flights;
    this.#queue = options.queue;
    this.#events = options.events;
    this.#clock = options.clock;
  }

  /** See `Cache.readMany`. */
  async readMany<A, V>(source: Source<A, V>, args: readonly A[], options: ReadOptions = {}): Promise<V[]> {
    if (args.length === 0) return [];
    const startedMs = performance.now();
    const trips: number[] = [];
    const reading: Reading<A, V> = {
      source,
      readSet: options.readSet,
      viewer: options.viewer,
      caller: this.#queue.inside ? { signal: loadSignal() } : options,
      values: new Array(args.length),
      trips,
      ended: ({ arg, key, tags }, how) => {
        const ms = performance.now() - startedMs;
        reportOutcome(this.#events, { name: source.name, arg, key, tags, ms, roundTrips: trips, ...how });
      },
    };
    const calls = args.map((arg, index) => ({ ...this.#names.call(source, arg, options.viewer), index }));
    const open = this.#mayServeUnasked(options.readSet) ? this.#fromMemory(reading, calls) : calls;
    if (open.length === 0) return reading.values;

    const misses = await this.#missing(reading, open);
    if (misses.length > 0) await this.#loadMisses(reading, misses);
    return reading.values;
  }

  /** See `Cache.peek`. */
  peek<A, V>(source: Source<A, V>, arg: A, options: ReadOptions): Peeked<V> | undefined {
    const near = this.#near;
    if (near === undefined || !this.#mayServeUnasked(options.readSet)) return undefined;
    const call = this.#names.call(source, arg, options.viewer);
    const nowMs = this.#clock.nowMs();
    const copy = near.get(call.key, nowMs);
    if (copy === undefined) return undefined;
    this.#serveCopy(source, options, call, copy, nowMs);
    return this.#peeked(near, copy) as Peeked<V>; // a copy of this policy's calls
  }

  /** See `Cache.peekSame`. */
  peekSame<A, V>(source: Source<A, V>, arg: A, value: V, options: ReadOptions): Peeked<V> | undefined {
    const near = this.#near;
    if (near === undefined || !this.#mayServeUnasked(options.readSet)) return undefined;
    const call = this.#names.call(source, arg, options.viewer);
    const copy = near.get(call.key, this.#clock.nowMs());
    if (copy === undefined || copy.value !== value) return undefined;
    options.readSet?.record(call, copy.stamps, near.currentCursor, copy.untilMs);
    return this.#peeked(near, copy) as Peeked<V>;
  }

  #peeked(near: NearCache, { value, tags, untilMs }: NearEntry): Peeked<unknown> {
    return { value, tags, since: near.currentCursor, untilMs };
  }

  /**
   * A request that has read the log since it began needs no second log read; a snapshot reads it at its end. Inside a
   * load neither is true: the result is stored under tokens that may be younger than the request's log read (a second
   * trip, another shard), and a younger request may join the load while it waits in line.
   */
  #mayServeUnasked(readSet: ReadSet | undefined): boolean {
    if (this.#near === undefined || readSet === undefined || insideLoad()) return false;
    return readSet.snapshot || this.#near.provedAfter(readSet.began);
  }

  /**
   * Whether memory may serve on a log read that goes with the READ. Inside a load only where one group has both the log
   * and the tokens. In a Cluster an unfenced write changes tokens first and is logged later, or not until the log group
   * takes writes again. A load between the two would store what memory still holds under the new tokens.
   */
  get #mayServeOnLogRead(): boolean {
    return this.#near !== undefined && (this.#options.store.groups === 1 || !insideLoad());
  }

  /**
   * Serves what memory holds.
   * @returns the other calls
   */
  #fromMemory<A, V>(reading: Reading<A, V>, calls: readonly IndexedCall<A>[]): IndexedCall<A>[] {
    const nowMs = this.#clock.nowMs();
    return calls.filter((call) => {
      const copy = this.#near?.get(call.key, nowMs);
      if (copy === undefined) return true;
      reading.values[call.index] = copy.value as V;
      this.#serveCopy(reading.source, reading, call, copy, nowMs, reading);
      return false;
    });
  }

  /** `reading`: absent for `peek`. */
  #serveCopy<A, V>(
    source: Source<A, V>,
    { readSet, viewer }: Pick<ReadOptions, 'readSet' | 'viewer'>,
    call: Call<A>,
    copy: NearEntry,
    nowMs: number,
    reading?: Reading<A, V>,
  ): void {
    const { stamps, untilMs, loadedAtMs, chars } = copy;
    const near = this.#near as NearCache; // the copy is from it
    readSet?.record(call, stamps, near.currentCursor, untilMs);
    const ageMs = Math.max(0, nowMs - loadedAtMs);
    const ttlLeftMs = untilMs - nowMs;
    const kind = 'near-hit';
    if (reading !== undefined) reading.ended(call, { kind, ageMs, ttlLeftMs, chars });
    else {
      const { arg, key, tags } = call;
      const { name } = source;
      reportOutcome(this.#events, { name, arg, key, tags, kind, ageMs, ttlLeftMs, chars, ms: 0, roundTrips: NO_TRIPS });
    }
    this.#maybeMonitor(source, viewer, call, copy);
  }

  /**
   * Serves what can be served. Never throws.
   * @returns the misses, including calls that are never stored
   */
  async #missing<A, V>(reading: Reading<A, V>, calls: readonly IndexedCall<A>[]): Promise<Miss<A>[]> {
    const memory = this.#mayServeOnLogRead;
    if (calls.every(isKept)) return this.#readThroughStore(reading, calls, memory);
    const kept = calls.filter(isKept);
    const misses = kept.length === 0 ? [] : await this.#readThroughStore(reading, kept, memory);
    const never = calls.filter((call) => !isKept(call));
    return [...misses, ...never.map((call) => ({ ...call, reason: 'too-many-tags' as const, stamps: undefined }))];
  }

  /**
   * Sends one READ together with all calls of this event-loop tick, and serves what the store or memory proves. Never
   * throws.
   * @returns the misses
   */
  async #readThroughStore<A, V>(
    reading: Reading<A, V>,
    calls: readonly IndexedCall<A>[],
    memory: boolean,
  ): Promise<Miss<A>[]> {
    let reply: StoreReply;
    try {
      reply = await this.#reads.read({ calls, memory });
    } catch (error) {
      this.#events.storeFailed?.('read', error);
      return calls.map((call) => ({ ...call, reason: 'store-unavailable', stamps: undefined }));
    }
    reading.trips.push(reply.trip);
    const asked = calls.filter(({ key }) => reply.keys.has(key));
    const unasked = calls.filter(({ key }) => !reply.keys.has(key));
    // Memory held these when the READ was sent, so they were left out. They are served now that the log has been read;
    // those that the log dropped are read from the store.
    const dropped = this.#reads.proves(reply) ? this.#fromMemory(reading, unasked) : unasked;
    const misses = this.#classify(reading, asked, reply);
    return dropped.length === 0 ? misses : [...misses, ...(await this.#readThroughStore(reading, dropped, false))];
  }

  /**
   * Serves what the store proves.
   * @returns the misses
   */
  #classify<A, V>(reading: Reading<A, V>, calls: readonly IndexedCall<A>[], reply: StoreReply): Miss<A>[] {
    const misses: Miss<A>[] = [];
    for (const call of calls) {
      const state = this.#state(call, reply.view);
      // Absent: neither memory nor an answer may keep the value.
      const cursor = cursorOf(reply, call);
      if (state.kind === 'fresh' || (state.kind === 'stale' && mayServeStale(reading, state.entry))) {
        this.#serve(reading, call, state, cursor);
      } else {
        misses.push({ ...call, ...this.#stamps(call, state, reply.view), cursor });
      }
    }
    return misses;
  }

  #serve<A, V>(
    reading: Reading<A, V>,
    call: IndexedCall<A>,
    state: State & { kind: 'fresh' | 'stale' },
    cursor: LogCursor | undefined,
  ): void {
    const { readSet, source, viewer } = reading;
    const { kind, entry, stamps } = state;
    const { value, ageMs, ttlMs, chars } = entry;
    reading.values[call.index] = value as V;
    const ttlLeftMs = Math.max(0, ttlMs - ageMs);
    reading.ended(call, { kind: kind === 'fresh' ? 'hit' : 'stale', ageMs, ttlLeftMs, chars });
    const nowMs = this.#clock.nowMs();
    readSet?.record(call, stamps, kind === 'fresh' ? cursor : undefined, nowMs + ttlLeftMs);
    if (kind === 'stale') {
      this.#options.unawaited.add(this.#refresh(source, viewer, call, stamps));
      return;
    }
    const copy = { value, tags: call.tags, stamps, chars };
    if (cursor !== undefined) {
      this.#near?.put(cursor, call.key, { ...copy, loadedAtMs: nowMs - ageMs, untilMs: nowMs + ttlLeftMs });
    }
    this.#maybeMonitor(source, viewer, call, copy);
  }

  #maybeMonitor<A, V>(
    source: Source<A, V>,
    viewer: string | undefined,
    call: Call<A>,
    copy: { value: unknown; stamps: string },
  ): void {
    if (this.#options.monitorShare === 0 || source.timeDependent === true || call.tags.length === 0) return;
    if (this.#options.random() >= this.#options.monitorShare) return;
    const load = async () => {
      const turn = this.#queue.turn(viewer, source.heavy);
      return (await this.#flights.run(source, [call], { turn, starting: () => {}, signal: UNENDING }))[0];
    };
    this.#options.unawaited.add(
      this.#options.monitor.check(source.name, { ...call, stamps: copy.stamps }, copy.value, load),
    );
  }

  /** Loads a stale entry again while it is served, in one process at a time. */
  async #refresh<A, V>(
    source: Source<A, V>,
    viewer: string | undefined,
    call: IndexedCall<A>,
    stamps: string,
  ): Promise<void> {
    try {
      if (!(await this.#options.store.tryLockRefresh(call.key, REFRESH_LOCK_MS))) return;
      const miss = { ...call, stamps, reason: 'expired' as const };
      await this.#flights.loadAndFill(source, [miss], viewer);
    } catch (error) {
      this.#events.storeFailed?.('refresh', error);
    }
  }

  #state(call: Call<unknown>, view: View): State {
    const state = stateOf({
      purge: purgeOf(view.leases, call.groups),
      text: view.entries.get(call.key),
      tags: call.tags,
      tokens: call.tags.map((tag) => view.tokens.get(tag)),
      nowMs: this.#clock.nowMs(),
    });
    if (state.kind === 'fenced') {
      // All of them: a writer that died left a fence on each of its tags.
      for (const tag of call.tags) {
        const token = view.tokens.get(tag);
        if (token !== undefined && isFence(token)) this.#events.fenceSeen?.(tag, token);
      }
    }
    return state;
  }

  /** The stamps under which a miss may be stored: tokens read before its load, none of them a fence, and a lease. */
  #stamps(
    call: Call<unknown>,
    state: Exclude<State, { kind: 'fresh' }>,
    view: View,
  ): { stamps: string | undefined; reason: OutcomeReason } {
    if (state.kind === 'unleased') return { stamps: undefined, reason: 'no-lease' };
    if (state.kind === 'fenced') return { stamps: undefined, reason: 'fenced' };
    if (state.kind === 'stale') return { stamps: state.stamps, reason: 'expired' };
    if (state.tokens.includes(undefined)) return { stamps: undefined, reason: 'store-unavailable' };
    const purge = purgeOf(view.leases, call.groups) as string; // otherwise the state is unleased
    return { stamps: stampText(purge, state.tokens as string[]), reason: state.cause };
  }

  /** Loads the misses, stores what may be stored, and reports how each call ended. */
  async #loadMisses<A, V>(
    { source, readSet, viewer, caller, values, ended }: Reading<A, V>,
    misses: readonly Miss<A>[],
  ): Promise<void> {
    const { signal } = caller;
    signal?.throwIfAborted();
    const settled = await onRejected(
      abortable(this.#flights.loadAndFill(source, misses, viewer, signal), signal),
      () => {
        readSet?.markUncacheable();
        for (const miss of misses) ended(miss, { kind: 'error', reason: 'load-failed' });
      },
    );
    misses.forEach((miss, i) => {
      const { value, joined, unstored, untilMs } = settled[i] as Landed<V>;
      values[miss.index] = value;
      const { stamps, cursor } = miss;
      if (stamps === undefined) readSet?.recordUnverifiable();
      else readSet?.record(miss, stamps, untilMs === undefined ? undefined : cursor, untilMs ?? 0);
      const lost = miss.stamps === undefined && miss.reason === 'store-unavailable';
      const kind = lost ? 'error' : joined ? 'joined' : miss.stamps === undefined ? 'bypass' : 'miss';
      ended(miss, { kind, reason: unstored ?? miss.reason });
    });
  }
}

function isKept({ tags }: Call<unknown>): boolean {
  return tags.length <= MAX_TAGS;
}

/** A snapshot shows one moment, so it never takes a stale value. */
function mayServeStale<A, V>({ source, readSet }: Reading<A, V>, { ageMs, ttlMs }: Entry): boolean {
  return readSet?.snapshot !== true && ageMs < ttlMs + (source.staleMs ?? 0);
}

/** `work`; calls `onFailure` before it rejects. */
async function onRejected<T>(work: Promise<T>, onFailure: () => void): Promise<T> {
  try {
    return await work;
  } catch (error) {
    onFailure();
    throw error;
  }
}
