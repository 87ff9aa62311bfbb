/**
 * The cache: `read`, `readMany`, `memoize` for readers; `fence`, `release` for writers. All decisions are here; what an
 * entry is worth stands in entry.ts, what memory may keep in near-cache.ts, what Redis does in redis/. A reader never gets an
 * error of the cache, and never a value that was not the committed state of the database at some moment while the read ran.
 */
import { setMaxListeners } from 'node:events';
import { type Entry, entryText, isFence, purgeOf, type State, stampText, stateOf } from './entry.js';
import { CacheError } from './errors.js';
import type { CacheEvents, Outcome, OutcomeReason } from './events.js';
import { GenerationalCache } from './generational-cache.js';
import { type Key, keyOf } from './key.js';
import { insideLoad, LoadQueue, type LoadTurn, loadSignal } from './load-queue.js';
import { type Memoized, type MemoizePolicy, memoized } from './memoize.js';
import { Monitor, stampsNow } from './monitor.js';
import { type LogCursor, leasedAsNamed, NearCache, type NearCacheOptions, type NearEntry } from './near-cache.js';
import { DEFAULT_MAX_CHARS, entryTtlMs, type Policy, type Source } from './policy.js';
import { ReadSet, type ReadSetOptions, type RecordedRead } from './read-set.js';
import { abortable, SharedAbort } from './shared-abort.js';
import { type Fill, LEASE_MS, LOG_GROUP, type Store, type View } from './store.js';
import type { Tag } from './tag.js';
import { TickBatch } from './tick-batch.js';
import { type Clock, systemClock } from './time.js';

/** Entries and tags in one READ. What a single `readMany` asks for is not split: DataLoader bounds that. */
const MAX_KEYS_PER_READ = 10_000;
const MAX_FILLS_PER_TRIP = 2000;
/** How long a writer waits between two attempts to fence. */
const FENCE_RETRY_MS = 50;
/** Who refreshes a stale entry has this long before another may try. */
const REFRESH_CLAIM_MS = 10_000;
const DEFAULT_MAX_LOADS = 10;
/** An entry under more tags is not kept: reading the tokens of so many costs as much as loading it, and so does storing them with it. */
export const MAX_TAGS = 200;
/** Of each policy, how many calls keep their names. */
const MAX_NAMED = 10_000;

export interface CacheOptions {
  readonly store: Store;
  readonly events?: CacheEvents;
  readonly clock?: Clock;
  /** In [0, 1): for the jitter of times to live, and for the monitor's choice. */
  readonly random?: () => number;
  /** Runs every load: tests and development check here what a load reads against its tags. */
  readonly wrapLoad?: <T>(load: { name: string; tags: readonly Tag[] }, run: () => Promise<T>) => Promise<T>;
  /** What a write does when its fence cannot be placed: commit without it after LEASE_MS, or not commit. Default `available`. */
  readonly fencePolicy?: 'available' | 'reject';
  /** Keeps parsed entries in this process. Absent: it does not. */
  readonly near?: NearCacheOptions | undefined;
  /** Loads that run at once; the rest waits in line. Default 10. */
  readonly maxLoads?: number;
  /** Of all hits, the share that the monitor holds against the source. Default 0. */
  readonly monitorShare?: number;
}

export interface ReadOptions {
  /** The caller: part of the key of everything whose scope is `viewer`, and the one whose share of the loads its misses take. */
  readonly viewer?: string | undefined;
  /** Of the request: `Cache.readSet()`. */
  readonly readSet?: ReadSet | undefined;
  /**
   * For how long the caller waits: when it aborts, the read ends with its reason. A load that nobody else waits for is given up,
   * which its source sees by `loadSignal`. Inside of a load that load's own signal counts instead.
   */
  readonly signal?: AbortSignal | undefined;
}

interface Call<A> {
  readonly arg: A;
  readonly key: Key;
  readonly tags: readonly Tag[];
  /** Those whose leases its freshness hangs on. */
  readonly groups: readonly number[];
}

interface IndexedCall<A> extends Call<A> {
  readonly index: number;
}

/** Calls of one policy, and what of it their names hang on. */
interface PolicyCalls extends Pick<Policy<never>, 'tags' | 'shape'> {
  readonly key: Policy<never>['key'] | undefined;
  readonly calls: GenerationalCache<string, Call<string>>;
}

/** What one call of `readMany` asks for in a turn. */
interface Request {
  readonly calls: readonly Call<unknown>[];
  /** What memory holds need not be asked for. */
  readonly memory: boolean;
}

/** One round trip's answer, with its number: outcomes name the trips they shared. */
interface Trip<T> {
  readonly number: number;
  readonly answer: T;
}

interface Answer {
  readonly view: View;
  readonly asked: LogCursor | undefined;
  /** The keys that were asked for. */
  readonly keys: ReadonlySet<Key>;
}

/** What a call that is not a hit needs: stamps if its value may be stored and joined, a reason if not. */
interface Miss<A> extends IndexedCall<A> {
  readonly reason: OutcomeReason;
  readonly stamps: string | undefined;
  /** The log read that the stamps were read with. Absent: memory may not keep what is loaded. */
  readonly asked?: LogCursor | undefined;
}

/** A load under way, of one of its values. */
interface Flight {
  readonly values: Promise<readonly unknown[]>;
  readonly index: number;
  /** Those it was begun under: who read the same is given the same. */
  readonly stamps: string | undefined;
  readonly callers: SharedAbort;
  readonly turn: LoadTurn;
}

/** One `readMany` under way. */
interface Reading<A, V> {
  readonly source: Source<A, V>;
  readonly readSet: ReadSet | undefined;
  readonly viewer: string | undefined;
  readonly signal: AbortSignal | undefined;
  readonly values: V[];
  readonly trips: number[];
  readonly ended: (call: Call<A>, how: Pick<Outcome, 'kind'> & Partial<Outcome>) => void;
}

export class Cache {
  readonly store: Store;
  readonly #events: CacheEvents;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #aroundLoad: CacheOptions['wrapLoad'];
  readonly #fencePolicy: 'available' | 'reject';
  readonly #near: NearCache | undefined;
  readonly #loads: LoadQueue;
  readonly #monitor: Monitor;
  readonly #monitorShare: number;
  /** Loads under way whose values may be stored, by key: of each the one that began last. Bounded by the calls under way. */
  readonly #flights = new Map<Key, Flight>();
  /** Loads still in line, by key: a call that needs the value now may join. Bounded by the calls under way. */
  readonly #inLine = new Map<Key, Flight>();
  /** By the name of a policy, calls by their argument: bounded by the policies, and MAX_NAMED for each. */
  readonly #callsByPolicy = new Map<string, PolicyCalls>();
  readonly #reads: TickBatch<Request, Trip<Answer>>;
  readonly #fills: TickBatch<readonly Fill[], void>;
  readonly #unawaitedWork = new Set<Promise<unknown>>();
  /** The database of the latest write, and since when this process writes to it. */
  #writers: { readonly database: string | undefined; readonly sinceMs: number } = { database: undefined, sinceMs: 0 };
  #trips = 0;

  constructor(options: CacheOptions) {
    this.store = options.store;
    this.#events = options.events ?? {};
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.#aroundLoad = options.wrapLoad;
    this.#fencePolicy = options.fencePolicy ?? 'available';
    this.#near = options.near && new NearCache(options.near);
    this.#loads = new LoadQueue(options.maxLoads ?? DEFAULT_MAX_LOADS);
    this.#monitor = new Monitor({ store: this.store, clock: this.#clock, events: this.#events });
    this.#monitorShare = options.monitorShare ?? 0;
    this.#reads = new TickBatch(
      (requests) => this.#fetchBatch(requests),
      MAX_KEYS_PER_READ,
      ({ calls }) => calls.reduce((size, { tags }) => size + 1 + tags.length, 0),
    );
    this.#fills = new TickBatch(
      (fills) => this.store.fill(fills.flat()),
      MAX_FILLS_PER_TRIP,
      (fills) => fills.length,
    );
  }

  /** What this process holds and does: copies in memory, loads running and in line. */
  get state() {
    return { near: this.#near?.size, loads: this.#loads.state };
  }

  /** For one request: what it reads after the first round trip may come from memory. Default: neither for `validate` nor for `keep`. */
  readSet(options: ReadSetOptions = {}): ReadSet {
    return new ReadSet(this.#near?.logReadsSent ?? 0, options);
  }

  /** The read set's request has written: from now on memory serves it on reads of the log alone that are sent after this. */
  renew(readSet: ReadSet): void {
    if (this.#near !== undefined) readSet.began = this.#near.logReadsSent;
  }

  /**
   * Keeps in this process what was made of nothing but what the read set was given, as long as all of that holds. Only what `readSet`
   * was opened for (`answer`), and what is not torn, fenced, stale, joined or without a part that failed, is kept. `bytes`: what the value takes.
   */
  storeAnswer(readSet: ReadSet, key: Key, value: object, bytes: number): void {
    const { dependencies } = readSet;
    if (dependencies === undefined || dependencies.uncacheable || dependencies.since === undefined) return;
    const { since, untilMs } = dependencies;
    const tags = [...dependencies.tags];
    const sized = { chars: bytes, bytes: bytes + tags.length * BYTES_PER_TAG };
    this.#near?.put(since, key, { value, tags, stamps: '', loadedAtMs: this.#clock.nowMs(), untilMs, ...sized });
  }

  /** Whether something is kept under this key that may still hold. */
  hasAnswer(key: Key): boolean {
    return this.#near?.get(key, this.#clock.nowMs()) !== undefined;
  }

  /**
   * What was kept under this key, if it still holds: proved by a read of the log, shared with all who ask in this turn, that was sent
   * after the read set began. Asks nothing where nothing is kept. Never throws.
   */
  async findAnswer(readSet: ReadSet, key: Key): Promise<unknown> {
    const startedMs = performance.now();
    const near = this.#near;
    if (near?.get(key, this.#clock.nowMs()) === undefined) return undefined;
    const roundTrips: number[] = [];
    if (insideLoad() || !near.provedAfter(readSet.began)) {
      try {
        const { number, answer } = await this.#reads.add(NOTHING);
        roundTrips.push(number);
        if (!this.#proves(answer)) return undefined;
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
    this.#events.outcome?.({ name: ANSWER, arg: undefined, key, tags, kind: 'near-hit', chars, roundTrips, ...times });
    return value;
  }

  /**
   * Whether all that the read set was given was the state of the database at one moment: now. What was not is dropped from memory,
   * so that another run reads it anew.
   */
  async validate(readSet: ReadSet): Promise<boolean> {
    const uses = [...readSet.reads.values()];
    let failed: RecordedRead[] = [];
    try {
      const view = await this.store.read([], [...new Set(uses.flatMap(({ tags }) => tags))]);
      failed = uses.filter((use) => use.tags.length > 0 && stampsNow(view, use) !== use.stamps);
    } catch (error) {
      this.#events.storeFailed?.('validate', error);
      failed = uses;
    }
    for (const { key } of failed) this.#near?.drop(key);
    const held = failed.length === 0 && !readSet.unverifiable;
    this.#events.validated?.(held);
    return held;
  }

  /** One cached call. `load` runs when freshness of what is stored, if anything, cannot be proved; its errors are the caller's. */
  async read<A, V>(policy: Policy<A>, arg: A, load: () => Promise<V>, options: ReadOptions = {}): Promise<V> {
    const [value] = await this.readMany({ ...policy, load: async () => [await load()] }, [arg], options);
    return value as V;
  }

  /**
   * READ for many arguments of one source: one round trip for all that is asked for in this turn of the event loop, one
   * load for everything that must be loaded, one fill. All answers come together. Values are frozen when memory keeps them.
   * @throws what `source.load` throws; the reason of `options.signal`; CacheError POLICY or LOAD_SHAPE for a programmer's mistake.
   */
  async readMany<A, V>(source: Source<A, V>, args: readonly A[], options: ReadOptions = {}): Promise<V[]> {
    if (args.length === 0) return [];
    const signal = this.#loads.inside ? loadSignal() : options.signal;
    signal?.throwIfAborted();
    const startedMs = performance.now();
    const trips: number[] = [];
    const reading: Reading<A, V> = {
      source,
      readSet: options.readSet,
      viewer: options.viewer,
      signal,
      values: new Array(args.length),
      trips,
      ended: (call, how) =>
        this.#events.outcome?.({
          name: source.name,
          arg: call.arg,
          key: call.key,
          tags: call.tags,
          ms: performance.now() - startedMs,
          roundTrips: trips,
          ...how,
        }),
    };
    const calls = args.map((arg, index) => ({ ...this.#call(source, arg, options), index }));
    const open = this.#mayServeUnasked(options.readSet) ? this.#fromMemory(reading, calls) : calls;
    if (open.length === 0) return reading.values;

    const misses = await this.#missing(reading, open);
    signal?.throwIfAborted();
    if (misses.length > 0) await this.#loadMisses(reading, misses);
    return reading.values;
  }

  /**
   * What memory holds of one call, where this read set may be served from it without asking: the same as `readMany` would give, in the
   * same turn, with no promise for it. Undefined: `readMany` has to find out.
   */
  peek<A, V>(source: Source<A, V>, arg: A, options: ReadOptions): { readonly value: V } | undefined {
    const { readSet } = options;
    const near = this.#near;
    if (near === undefined || !this.#mayServeUnasked(readSet)) return undefined;
    const call = this.#call(source, arg, options);
    const nowMs = this.#clock.nowMs();
    const copy = near.get(call.key, nowMs);
    if (copy === undefined) return undefined;
    this.#serveCopy(source, options, call, copy, nowMs);
    return copy as { readonly value: V }; // of this policy's calls
  }

  /**
   * A load that neither reads the cache nor fills it, but takes a slot like any other: past the cache Postgres has no more connections.
   * Inside of a load it has that one's slot. @throws what `load` throws; the signal's reason, also while it waits for its slot
   */
  loadPast<T>(
    { viewer, signal = UNENDING, heavy }: Pick<ReadOptions, 'viewer' | 'signal'> & { readonly heavy?: boolean },
    load: () => Promise<T>,
  ): Promise<T> {
    const turn = this.#loads.turn(viewer, heavy);
    return this.#loads.run(load, { turn, starting: () => {}, signal, leaf: true });
  }

  /**
   * `fn` with its results kept under a name and the arguments: canonical, so the order of members does not matter, and dates,
   * bigints and `undefined` are told apart. Errors are not kept. Concurrent equal calls share one run if the tokens they read
   * before it were the same. The policy's tags say which row-sets `fn` reads; none: a result is valid until its TTL or
   * `invalidate`. An AbortSignal among the arguments, or as member `signal` of one, is no part of the key: it ends its caller's
   * wait, and the run when nobody waits any more.
   * @throws CacheError POLICY
   */
  memoize<Args extends unknown[], R>(
    name: string,
    fn: (...args: Args) => R,
    policy: MemoizePolicy<Args>,
  ): Memoized<Args, R> {
    return memoized(this, name, fn, policy);
  }

  /**
   * FENCE, before COMMIT: from its acknowledgement on, nothing under these tags is served or stored until `release`.
   * @returns false: commit without a fence, and answer no sooner than LEASE_MS after the commit. So it is when the store could not be
   *   reached, or took no writes, for LEASE_MS and the policy is `available`: all callers share what one has learnt of the store, so in an
   *   outage that has lasted LEASE_MS each makes one attempt. And when the keys belong to another database than `database`, the
   *   transaction's, unless this process knew `database` LEASE_MS ago.
   * @throws CacheError FENCE_REFUSED when the policy is `reject`: roll back.
   */
  async fence(xid: bigint, tags: readonly Tag[], database?: string): Promise<boolean> {
    const startedMs = this.#clock.monotonicMs();
    if (database !== this.#writers.database) this.#writers = { database, sinceMs: startedMs };
    for (let attempt = 0; ; attempt++) {
      // After a failure only a connection opened now, after the caller's writes, proves anything.
      const fresh = attempt > 0 || this.store.outageMs(tags) > 0;
      try {
        const reply = await this.store.fence(xid, tags, { fresh, database });
        // A database that got a new id: for LEASE_MS a reader may know it by the one before, and still be served under its lease.
        if (reply === 'fenced' || startedMs - this.#writers.sinceMs >= LEASE_MS) return true;
        this.#events.unfenced?.(xid);
        return false;
      } catch (error) {
        this.#events.storeFailed?.('fence', error);
        if (this.#fencePolicy === 'reject') {
          throw new CacheError('FENCE_REFUSED', 'the write was refused: Redis cannot be reached, or takes no writes', {
            cause: error,
          });
        }
        const triedMs = this.#clock.monotonicMs() - startedMs;
        if (fresh && (triedMs >= LEASE_MS || this.store.outageMs(tags) >= LEASE_MS)) {
          this.#events.unfenced?.(xid);
          return false;
        }
        await this.#clock.sleep(FENCE_RETRY_MS);
      }
    }
  }

  /**
   * RELEASE, after COMMIT or ROLLBACK was acknowledged, and only then. Not awaited: what is lost here, the relay repairs.
   * `unfenced`: no fence told other processes' memories of this write, so this does.
   */
  release(
    xid: bigint,
    tags: readonly Tag[],
    options: { unfenced: boolean; database?: string | undefined } = { unfenced: false },
  ): void {
    const released = this.store.release(xid, tags, options);
    this.#unawaited(released.catch((error) => this.#events.storeFailed?.('release', error)));
  }

  /** Resolves when the fills and releases asked for so far, which no caller waits for, have reached the store or failed. */
  async flush(): Promise<void> {
    await Promise.all(this.#unawaitedWork);
  }

  #unawaited(work: Promise<unknown>): void {
    this.#unawaitedWork.add(work);
    void work.finally(() => this.#unawaitedWork.delete(work));
  }

  /** Key and tags are functions of policy and argument: what one id has been named once need not be named again. */
  #call<A>(policy: Policy<A>, arg: A, options: ReadOptions): Call<A> {
    if (typeof arg !== 'string' || policy.scope !== 'public') return this.#describeCall(policy, arg, options);
    let named = this.#callsByPolicy.get(policy.name);
    // Of another policy of this name, perhaps an older one.
    if (named === undefined || named.tags !== policy.tags || named.shape !== policy.shape || named.key !== policy.key) {
      const { tags, shape, key } = policy;
      named = { tags, shape, key, calls: new GenerationalCache(MAX_NAMED) };
      this.#callsByPolicy.set(policy.name, named);
    }
    const known = named.calls.get(arg) as Call<A & string> | undefined;
    if (known !== undefined) return known;
    const call = this.#describeCall(policy, arg, options);
    named.calls.set(arg, call);
    return call;
  }

  #describeCall<A>(policy: Policy<A>, arg: A, options: ReadOptions): Call<A> {
    const viewer = policy.scope === 'viewer' ? options.viewer : undefined;
    if (policy.scope === 'viewer' && viewer === undefined) {
      throw new CacheError('POLICY', `policy ${policy.name}: its scope is 'viewer', but the read names no viewer`);
    }
    const args = policy.key === undefined ? arg : policy.key(arg);
    const key = keyOf({ name: policy.name, shape: policy.shape, viewer, args });
    const tags = policy.tags(arg);
    return { arg, key, tags, groups: this.#groupsOf(key, tags) };
  }

  #groupsOf(key: Key, tags: readonly Tag[]): readonly number[] {
    if (this.store.groups === 1) return ONLY_HOME;
    const names = tags.length === 0 ? [key] : tags;
    return [...new Set(names.map((name) => this.store.groupOf(name)))].sort((a, b) => a - b);
  }

  /**
   * A request that has read the log since it began needs no second log read; a snapshot reads it at its end. Inside a load neither holds:
   * the result is stored under tokens that may be younger than the request's log read (a second trip, another shard), and the load may be
   * joined by a younger request while it waits in line. So a load is given what memory holds only on a log read that it sends itself.
   */
  #mayServeUnasked(readSet: ReadSet | undefined): boolean {
    if (this.#near === undefined || readSet === undefined || insideLoad()) return false;
    return readSet.snapshot || this.#near.provedAfter(readSet.began);
  }

  /**
   * Whether what memory holds may be served to those who waited for this log read. Asked when a value is served, not when the answer
   * is processed: between the two, other answers may have emptied memory and filled it as of an earlier log read.
   */
  #proves({ asked }: Answer): boolean {
    return asked !== undefined && this.#near?.provedAfter(asked.number - 1) === true;
  }

  /** Serves what memory holds. @returns the others */
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

  /** `reading`: what was asked before, if anything. */
  #serveCopy<A, V>(
    source: Source<A, V>,
    { readSet, viewer }: Pick<ReadOptions, 'readSet' | 'viewer'>,
    call: Call<A>,
    copy: NearEntry,
    nowMs: number,
    reading?: Reading<A, V>,
  ): void {
    const { stamps, untilMs, loadedAtMs, chars } = copy;
    const near = this.#near as NearCache; // which the copy is of
    readSet?.record(call, stamps, near.currentCursor, untilMs);
    const ageMs = Math.max(0, nowMs - loadedAtMs);
    const ttlLeftMs = untilMs - nowMs;
    if (reading !== undefined) reading.ended(call, { kind: 'near-hit', ageMs, ttlLeftMs, chars });
    else {
      const { arg, key, tags } = call;
      const [name, kind] = [source.name, 'near-hit' as const];
      this.#events.outcome?.({ name, arg, key, tags, kind, ageMs, ttlLeftMs, chars, ms: 0, roundTrips: NO_TRIPS });
    }
    this.#maybeMonitor(source, viewer, call, copy);
  }

  /** Serves what can be served. Never throws. @returns the misses, those among them that are never kept */
  async #missing<A, V>(reading: Reading<A, V>, calls: readonly IndexedCall<A>[]): Promise<Miss<A>[]> {
    const memory = this.#near !== undefined;
    if (calls.every(isKept)) return this.#readThroughStore(reading, calls, memory);
    const kept = calls.filter(isKept);
    const misses = kept.length === 0 ? [] : await this.#readThroughStore(reading, kept, memory);
    const never = calls.filter((call) => !isKept(call));
    return [...misses, ...never.map((call) => ({ ...call, reason: 'too-many-tags' as const, stamps: undefined }))];
  }

  /** Asks the store, with all others of this turn, and serves what it or memory proves. Never throws. @returns the misses */
  async #readThroughStore<A, V>(
    reading: Reading<A, V>,
    calls: readonly IndexedCall<A>[],
    memory: boolean,
  ): Promise<Miss<A>[]> {
    let trip: Trip<Answer>;
    try {
      trip = await this.#reads.add({ calls, memory });
    } catch (error) {
      this.#events.storeFailed?.('read', error);
      return calls.map((call) => ({ ...call, reason: 'store-unavailable', stamps: undefined }));
    }
    reading.trips.push(trip.number);
    const { answer } = trip;
    const asked = calls.filter(({ key }) => answer.keys.has(key));
    const unasked = calls.filter(({ key }) => !answer.keys.has(key));
    // What memory held when the trip began: served now that the log has been read, or, if that dropped it, asked for after all.
    const dropped = this.#proves(answer) ? this.#fromMemory(reading, unasked) : unasked;
    const misses = this.#classify(reading, asked, answer);
    return dropped.length === 0 ? misses : [...misses, ...(await this.#readThroughStore(reading, dropped, false))];
  }

  /** READ: one trip for all requests of a turn. */
  async #fetchBatch(requests: readonly Request[]): Promise<Trip<Answer>> {
    const asked = this.#near?.beginLogRead();
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
    return this.#trip(async () => {
      const view = await this.store.read([...keys], [...tags], { log: asked?.log, mint: true });
      if (asked !== undefined) this.#near?.applyLogRead(asked, view);
      return { view, asked, keys };
    });
  }

  /** Serves what the store proves. @returns the misses */
  #classify<A, V>(reading: Reading<A, V>, calls: readonly IndexedCall<A>[], answer: Answer): Miss<A>[] {
    const misses: Miss<A>[] = [];
    for (const call of calls) {
      const state = this.#state(call, answer.view);
      // Absent: neither memory nor a known answer may keep it.
      const asked = cursorOf(answer, call);
      if (state.kind === 'fresh' || (state.kind === 'stale' && mayServeStale(reading, state.entry))) {
        this.#serve(reading, call, state, asked);
      } else {
        misses.push({ ...call, ...this.#stamps(call, state, answer.view), asked });
      }
    }
    return misses;
  }

  #serve<A, V>(
    reading: Reading<A, V>,
    call: IndexedCall<A>,
    state: State & { kind: 'fresh' | 'stale' },
    asked: LogCursor | undefined,
  ): void {
    const { readSet, source, viewer } = reading;
    const { kind, entry, stamps } = state;
    const { value, ageMs, ttlMs, chars } = entry;
    reading.values[call.index] = value as V;
    const ttlLeftMs = Math.max(0, ttlMs - ageMs);
    reading.ended(call, { kind: kind === 'fresh' ? 'hit' : 'stale', ageMs, ttlLeftMs, chars });
    const nowMs = this.#clock.nowMs();
    readSet?.record(call, stamps, kind === 'fresh' ? asked : undefined, nowMs + ttlLeftMs);
    if (kind === 'stale') {
      this.#unawaited(this.#refresh(source, viewer, call, stamps));
      return;
    }
    const copy = { value, tags: call.tags, stamps, chars };
    if (asked !== undefined) {
      this.#near?.put(asked, call.key, { ...copy, loadedAtMs: nowMs - ageMs, untilMs: nowMs + ttlLeftMs });
    }
    this.#maybeMonitor(source, viewer, call, copy);
  }

  #maybeMonitor<A, V>(
    source: Source<A, V>,
    viewer: string | undefined,
    call: Call<A>,
    copy: { value: unknown; stamps: string },
  ): void {
    if (this.#monitorShare === 0 || source.timeDependent === true || call.tags.length === 0) return;
    if (this.#random() >= this.#monitorShare) return;
    const load = async () => {
      const turn = this.#loads.turn(viewer, source.heavy);
      return (await this.#load(source, [call], { turn, starting: () => {}, signal: UNENDING }))[0];
    };
    this.#unawaited(this.#monitor.check(source.name, { ...call, stamps: copy.stamps }, copy.value, load));
  }

  /** One process at a time loads anew what is served stale meanwhile. */
  async #refresh<A, V>(
    source: Source<A, V>,
    viewer: string | undefined,
    call: IndexedCall<A>,
    stamps: string,
  ): Promise<void> {
    try {
      if (!(await this.store.tryLockRefresh(call.key, REFRESH_CLAIM_MS))) return;
      const miss = { ...call, stamps, reason: 'expired' as const };
      await this.#loadAndFill(source, [miss], viewer);
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
      // All of them: a writer that died left one on each of its tags.
      for (const tag of call.tags) {
        const token = view.tokens.get(tag);
        if (token !== undefined && isFence(token)) this.#events.fenceSeen?.(tag, token);
      }
    }
    return state;
  }

  /** Under which stamps a miss may be stored: tokens read before its load, none of them a fence, and a lease. */
  #stamps(
    call: Call<unknown>,
    state: Exclude<State, { kind: 'fresh' }>,
    view: View,
  ): { stamps: string | undefined; reason: OutcomeReason } {
    if (state.kind === 'unleased') return { stamps: undefined, reason: 'no-lease' };
    if (state.kind === 'fenced') return { stamps: undefined, reason: 'fenced' };
    if (state.kind === 'stale') return { stamps: state.stamps, reason: 'expired' };
    if (state.tokens.includes(undefined)) return { stamps: undefined, reason: 'store-unavailable' };
    const purge = purgeOf(view.leases, call.groups) as string; // or it would be unleased
    return { stamps: stampText(purge, state.tokens as string[]), reason: state.cause };
  }

  /** Loads what is missing, stores what may be stored, and tells how each call ended. */
  async #loadMisses<A, V>(
    { source, readSet, viewer, signal, values, ended }: Reading<A, V>,
    misses: readonly Miss<A>[],
  ): Promise<void> {
    const settled = await onRejected(abortable(this.#loadAndFill(source, misses, viewer, signal), signal), () => {
      readSet?.markUncacheable();
      for (const miss of misses) ended(miss, { kind: 'error', reason: 'load-failed' });
    });
    misses.forEach((miss, i) => {
      const { value, joined, unstored, untilMs } = settled[i] as Settled<V>;
      values[miss.index] = value;
      const { stamps, asked } = miss;
      if (stamps === undefined) readSet?.recordUnverifiable();
      else readSet?.record(miss, stamps, untilMs === undefined ? undefined : asked, untilMs ?? 0);
      const lost = miss.stamps === undefined && miss.reason === 'store-unavailable';
      const kind = lost ? 'error' : joined ? 'joined' : miss.stamps === undefined ? 'bypass' : 'miss';
      ended(miss, { kind, reason: unstored ?? miss.reason });
    });
  }

  /**
   * One load for all misses that no load is under way for that they may take part in. A call joins a running load only under
   * the very stamps it read itself: any other might hand it a value older than a write that was acknowledged before it
   * began. A load that is still in line reads what is current when it runs, so any call may join it; it then waits in the line
   * of that call's viewer as well. A load goes on after its caller has left, as long as another caller waits.
   */
  async #loadAndFill<A, V>(
    source: Source<A, V>,
    misses: readonly Miss<A>[],
    viewer: string | undefined,
    signal?: AbortSignal,
  ): Promise<Settled<V>[]> {
    const joinable = ({ key, stamps }: Miss<A>) => {
      const flight = this.#flights.get(key);
      return flight !== undefined && flight.stamps === stamps ? flight : this.#inLine.get(key);
    };
    // Inside of a load nothing is joined: what waits in line may wait for the place that this very load holds.
    const flying = misses.map((miss) => (this.#loads.inside ? undefined : joinable(miss)));
    for (const joined of new Set(flying.map((flight) => flight?.callers))) joined?.add(signal);
    for (const flight of flying) flight?.turn.share(viewer);
    const own = misses.filter((_, i) => flying[i] === undefined);
    const callers = new SharedAbort();
    callers.add(signal);
    const turn = this.#loads.turn(viewer, source.heavy);
    let started = own.length === 0;
    const starting = () => {
      started = true;
      for (const { key } of own) this.#inLine.delete(key);
    };
    const loading =
      own.length === 0 ? Promise.resolve([]) : this.#load(source, own, { turn, starting, signal: callers.signal });
    callers.signal.addEventListener('abort', () => {
      for (const miss of own) {
        this.#removeFlight(miss, loading);
        if (this.#inLine.get(miss.key)?.callers === callers) this.#inLine.delete(miss.key);
      }
    });
    own.forEach((miss, index) => {
      const flight = { values: loading, index, stamps: miss.stamps, callers, turn };
      if (miss.stamps !== undefined) this.#flights.set(miss.key, flight);
      if (!started) this.#inLine.set(miss.key, flight);
    });
    const values = await onRejected(loading, () => {
      for (const miss of own) this.#removeFlight(miss, loading);
    }).finally(() => callers.end());
    const filled = this.#fill(source, own, values, loading);
    const settled: Settled<V>[] = [];
    let next = 0;
    for (const flight of flying) {
      if (flight !== undefined) settled.push({ value: (await flight.values)[flight.index] as V, joined: true });
      else settled.push({ value: values[next] as V, joined: false, ...filled[next++] });
    }
    return settled;
  }

  /** From now on no call joins this load. */
  #removeFlight({ key }: Miss<unknown>, loading: Flight['values']): void {
    if (this.#flights.get(key)?.values === loading) this.#flights.delete(key);
  }

  /** LOAD, when its turn has come: then `starting` is called. `signal` aborts when nobody waits for it any more. */
  #load<A, V>(
    source: Source<A, V>,
    calls: readonly Call<A>[],
    { turn, starting, signal }: { turn: LoadTurn; starting: () => void; signal: AbortSignal },
  ): Promise<V[]> {
    const run = () =>
      source.load(
        calls.map(({ arg }) => arg),
        signal,
      );
    const around = this.#aroundLoad;
    return this.#loads.run(
      async () => {
        const values = await (around === undefined ? run() : around(loadOf(source, calls), run));
        if (values.length !== calls.length) {
          throw new CacheError(
            'LOAD_SHAPE',
            `${source.name}: ${calls.length} values expected, ${values.length} loaded`,
          );
        }
        return [...values];
      },
      { turn, starting, signal, leaf: source.leaf === true },
    );
  }

  /** FILL. Not awaited: a late one is harmless, since it carries the stamps from before its load. */
  #fill<A>(
    policy: Policy<A>,
    misses: readonly Miss<A>[],
    values: readonly unknown[],
    loading: Flight['values'],
  ): Filled[] {
    const loadedAtMs = this.#clock.nowMs();
    const fills: Fill[] = [];
    const stored: Miss<A>[] = [];
    const filled = misses.map((miss, i) => {
      const { key, tags, stamps, asked } = miss;
      if (stamps === undefined) return NOT_FILLED;
      const value = values[i];
      const ttlMs = entryTtlMs(policy, value, this.#random());
      const text = textOf({ stamps, value, loadedAtMs, ttlMs });
      if (text === undefined || text.length > (policy.maxChars ?? DEFAULT_MAX_CHARS)) {
        this.#removeFlight(miss, loading);
        return text === undefined ? UNENCODABLE : TOO_LARGE;
      }
      const untilMs = loadedAtMs + ttlMs;
      if (asked !== undefined)
        this.#near?.put(asked, key, { value, tags, stamps, chars: text.length, loadedAtMs, untilMs });
      fills.push({ key, text, ttlMs: ttlMs + (policy.staleMs ?? 0) });
      stored.push(miss);
      return { untilMs };
    });
    if (fills.length === 0) return filled;
    // A load may be joined until its values can be read.
    const landed = () => {
      for (const miss of stored) this.#removeFlight(miss, loading);
    };
    this.#unawaited(
      this.#fills.add(fills).then(landed, (error) => {
        landed();
        this.#events.storeFailed?.('fill', error);
      }),
    );
    return filled;
  }

  async #trip<T>(go: () => Promise<T>): Promise<Trip<T>> {
    const number = ++this.#trips;
    return { number, answer: await go() };
  }
}

/** Why a value was not stored, or until when the entry may be served; neither where its miss allowed no storing. */
interface Filled {
  readonly unstored?: OutcomeReason;
  readonly untilMs?: number;
}

const NOT_FILLED: Filled = {};
const UNENCODABLE: Filled = { unstored: 'unencodable' };
const TOO_LARGE: Filled = { unstored: 'too-large' };

interface Settled<V> extends Filled {
  readonly value: V;
  readonly joined: boolean;
}

/** What outcomes call that which a read set's reads have made. */
const ANSWER = 'Answer';
/** Most are the texts of entries that memory holds as well. */
const BYTES_PER_TAG = 20;

/** Asks for the log alone. */
const NOTHING: Request = { calls: [], memory: true };

const ONLY_HOME: readonly number[] = [LOG_GROUP];
const NO_TRIPS: readonly number[] = [];

/** Of what nobody waits for, and nobody gives up. */
const UNENDING = new AbortController().signal;
setMaxListeners(0, UNENDING); // as many as wait for a slot

/** The log read under which memory may keep what it found of this call, or what is loaded after it. */
function cursorOf({ asked, view }: Answer, { groups }: Call<unknown>): LogCursor | undefined {
  return asked !== undefined && leasedAsNamed(asked, groups, view.leases) ? asked : undefined;
}

function isKept({ tags }: Call<unknown>): boolean {
  return tags.length <= MAX_TAGS;
}

/** A snapshot is of one moment: what is older than it should be has no place in one. */
function mayServeStale<A, V>({ source, readSet }: Reading<A, V>, { ageMs, ttlMs }: Entry): boolean {
  return readSet?.snapshot !== true && ageMs < ttlMs + (source.staleMs ?? 0);
}

/** Undefined for what JSON cannot hold. */
function textOf(entry: Parameters<typeof entryText>[0]): string | undefined {
  try {
    return entryText(entry);
  } catch {
    return undefined;
  }
}

/** `work`, with a last word if it fails. */
async function onRejected<T>(work: Promise<T>, onFailure: () => void): Promise<T> {
  try {
    return await work;
  } catch (error) {
    onFailure();
    throw error;
  }
}

function loadOf({ name }: Policy<never>, calls: readonly Call<unknown>[]): { name: string; tags: Tag[] } {
  return { name, tags: [...new Set(calls.flatMap(({ tags }) => tags))] };
}
