/**
 * The read path. For each call: process memory, if a log read proves it; then the store, in one READ for all calls of
 * an event-loop tick; then the load, whose value is stored under the tokens that were read before it.
 */
import { type Call, type CallNames, type IndexedCall, MAX_TAGS } from './call.js';
import { isFence, purgeOf, type State, stampsOf, stateOf } from './entry.js';
import { type CacheEvents, type OutcomeKind, type OutcomeReason, reportOutcome } from './events.js';
import { type Flights, type Landed, type Miss, UNENDING } from './flights.js';
import { insideLoad, type LoadQueue, loadSignal } from './load-queue.js';
import type { LoadRunner } from './load-runner.js';
import type { LogCursor } from './log-cursor.js';
import type { Monitor } from './monitor.js';
import type { NearCache, NearEntry } from './near-cache.js';
import type { Source } from './policy.js';
import type { ReadSet } from './read-set.js';
import {
  bringsAlong,
  mayServeCopy,
  mayServeStale,
  outcomeAttributes,
  type Peeked,
  type Reading,
  type ReadOptions,
  readSpan,
  type Served,
} from './reading.js';
import { abortable } from './shared-abort.js';
import { inSpan, sampledSpan } from './spans.js';
import type { EntryStore, View } from './store.js';
import { cursorOf, type StoreReads, type StoreReply } from './store-reads.js';
import type { Clock } from './time.js';
import type { Unawaited } from './unawaited.js';

/** The process that refreshes a stale entry has this long before another may try. */
const REFRESH_LOCK_MS = 10_000;
const NO_TRIPS: readonly number[] = [];
const NOTHING_SERVED: Served = {};

interface ReaderOptions {
  readonly store: EntryStore;
  readonly names: CallNames;
  readonly near: NearCache | undefined;
  readonly reads: StoreReads;
  readonly flights: Flights;
  readonly runner: LoadRunner;
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
    const reading: Reading<A, V> = {
      source,
      readSet: options.readSet,
      viewer: options.viewer,
      caller: this.#queue.inside ? { signal: loadSignal() } : options,
      values: new Array(args.length),
      trips: [],
      startedMs: performance.now(),
      counts: sampledSpan() && new Map(),
    };
    const calls = args.map((arg, index) => {
      const { key, tags, groups } = this.#names.call(source, arg, options.viewer);
      return { arg, key, tags, groups, index };
    });
    const open = this.#mayServeUnasked(options.readSet) ? this.#fromMemory(reading, calls) : calls;
    if (open.length === 0) return reading.values;

    if (reading.counts === undefined) await this.#readOpen(reading, open);
    else await this.#recorded(reading, open);
    return reading.values;
  }

  async #readOpen<A, V>(reading: Reading<A, V>, open: readonly IndexedCall<A>[]): Promise<void> {
    const misses = await this.#missing(reading, open);
    if (misses.length > 0) await this.#loadMisses(reading, misses);
  }

  #recorded<A, V>(reading: Reading<A, V>, open: readonly IndexedCall<A>[]): Promise<void> {
    return inSpan(
      () => readSpan(reading),
      (span) => this.#readOpen(reading, open).finally(() => span?.setAttributes(outcomeAttributes(reading))),
    );
  }

  /** See `Cache.peek`. */
  peek<A, V>(source: Source<A, V>, arg: A, options: ReadOptions): Peeked<V> | undefined {
    const nowMs = this.#clock.nowMs();
    const held = this.#heldFor(source, arg, options, nowMs);
    if (held === undefined) return undefined;
    this.#serveCopy(source, options, held.call, held.copy, nowMs);
    return this.#peeked(held.near, held.copy) as Peeked<V>; // a copy of this policy's calls
  }

  /** See `Cache.peekSame`. */
  peekSame<A, V>(source: Source<A, V>, arg: A, value: V, options: ReadOptions): Peeked<V> | undefined {
    const held = this.#heldFor(source, arg, options, this.#clock.nowMs());
    if (held === undefined || held.copy.value !== value) return undefined;
    const { near, call, copy } = held;
    options.readSet?.record(call, copy.stamps, near.currentCursor, copy.untilMs);
    return this.#peeked(near, copy) as Peeked<V>;
  }

  /** The copy that memory may serve this read set without a log read of its own. */
  #heldFor<A, V>(source: Source<A, V>, arg: A, { readSet, viewer }: ReadOptions, nowMs: number) {
    const near = this.#near;
    if (near === undefined || !this.#mayServeUnasked(readSet)) return undefined;
    const call = this.#names.call(source, arg, viewer);
    const copy = near.get(call.key, nowMs);
    return copy === undefined || !mayServeCopy(copy, readSet) ? undefined : { near, call, copy };
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
   * takes writes again. A load between the two would store what memory still holds under tokens made since.
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
      if (copy === undefined || !mayServeCopy(copy, reading.readSet)) return true;
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
    if (reading !== undefined) this.#ended(reading, call, kind, undefined, { ageMs, ttlLeftMs, chars });
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
      reply = await this.#reads.read({ calls, memory, fenced: bringsAlong(reading) });
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
    const fenced = bringsAlong(reading) ? reply.view.fenced : undefined;
    for (const call of calls) {
      const purge = purgeOf(reply.view.leases, call.groups);
      const state = this.#state(call, purge, reply.view);
      // Absent: neither memory nor an answer may keep the value.
      const cursor = cursorOf(reply, call);
      if (state.kind === 'fresh' || (state.kind === 'stale' && mayServeStale(reading, state.entry))) {
        this.#serve(reading, call, state, cursor);
      } else {
        const { arg, key, tags, groups, index } = call;
        const { stamps, reason } = stampsOf(state, purge);
        misses.push({ arg, key, tags, groups, index, stamps, reason, cursor, fenced });
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
    readSet?.noteFrom('redis');
    const ttlLeftMs = Math.max(0, ttlMs - ageMs);
    this.#ended(reading, call, kind === 'fresh' ? 'hit' : 'stale', undefined, { ageMs, ttlLeftMs, chars });
    const nowMs = this.#clock.nowMs();
    readSet?.record(call, stamps, kind === 'fresh' ? cursor : undefined, nowMs + ttlLeftMs);
    if (kind === 'stale') {
      this.#options.unawaited.add(this.#refresh(source, viewer, call, stamps));
      return;
    }
    const { tags } = call;
    const copy = { value, tags, stamps, chars, loadedAtMs: nowMs - ageMs, untilMs: nowMs + ttlLeftMs };
    if (cursor !== undefined) this.#near?.put(cursor, call.key, copy);
    this.#maybeMonitor(source, viewer, call, copy);
  }

  #maybeMonitor<A, V>(
    source: Source<A, V>,
    viewer: string | undefined,
    call: Call<A>,
    { value, stamps }: { value: unknown; stamps: string | undefined },
  ): void {
    if (this.#options.monitorShare === 0 || source.timeDependent === true || call.tags.length === 0) return;
    if (stamps === undefined) return; // nothing to prove a violation by
    if (this.#options.random() >= this.#options.monitorShare) return;
    const load = async () => {
      const turn = this.#queue.turn(viewer, source.heavy);
      return (await this.#options.runner.run(source, [call], { turn, starting: () => {}, signal: UNENDING }))[0];
    };
    this.#options.unawaited.add(this.#options.monitor.check(source.name, { ...call, stamps }, value, load));
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

  #ended<A, V>(
    { source: { name }, startedMs, trips: roundTrips, counts }: Reading<A, V>,
    { arg, key, tags }: Call<A>,
    kind: OutcomeKind,
    reason: OutcomeReason | undefined,
    { ageMs, ttlLeftMs, chars }: Served = NOTHING_SERVED,
  ): void {
    const ms = performance.now() - startedMs;
    counts?.set(kind, (counts.get(kind) ?? 0) + 1);
    reportOutcome(this.#events, { name, arg, key, tags, kind, reason, ageMs, ttlLeftMs, chars, ms, roundTrips });
  }

  #state(call: Call<unknown>, purge: string | undefined, view: View): State {
    const state = stateOf({
      purge,
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

  /** Loads the misses, stores what may be stored, and reports how each call ended. */
  async #loadMisses<A, V>(reading: Reading<A, V>, misses: readonly Miss<A>[]): Promise<void> {
    const { source, readSet, viewer, caller, values } = reading;
    const { signal } = caller;
    signal?.throwIfAborted();
    readSet?.noteLoad(source.name);
    let settled: Landed<V>[];
    try {
      settled = await abortable(this.#flights.loadAndFill(source, misses, viewer, signal), signal);
    } catch (error) {
      for (const miss of misses) {
        readSet?.recordUnproved(miss.tags);
        this.#ended(reading, miss, 'error', 'load-failed');
      }
      throw error;
    }
    misses.forEach((miss, i) => {
      const { value, joined, unstored, untilMs } = settled[i] as Landed<V>;
      values[miss.index] = value;
      const { stamps, cursor } = miss;
      if (stamps === undefined) readSet?.recordUnverifiable(miss.tags);
      else readSet?.record(miss, stamps, untilMs === undefined ? undefined : cursor, untilMs ?? 0);
      const lost = miss.stamps === undefined && miss.reason === 'store-unavailable';
      const kind = lost ? 'error' : joined ? 'joined' : miss.stamps === undefined ? 'bypass' : 'miss';
      this.#ended(reading, miss, kind, unstored ?? miss.reason);
    });
  }
}

function isKept({ tags }: Call<unknown>): boolean {
  return tags.length <= MAX_TAGS;
}
