/**
 * The cache. Readers call `read`, `readMany` and `memoize`; writers call `fence` and `release`. A cache error never
 * reaches a reader, and each value was the committed state of the database at some moment while the read ran.
 *
 * Read path: call.ts (key and tags), store-reads.ts (one READ per event-loop tick), entry.ts (state of an entry),
 * near-cache.ts (process memory), flights.ts (loads and fills). Write path: fencing.ts. The store's atomic steps:
 * redis/.
 */
import { AnswerCache } from './answer-cache.js';
import { CallNames } from './call.js';
import type { CacheEvents } from './events.js';
import { type FencePolicy, Fencing } from './fencing.js';
import { Flights, UNENDING } from './flights.js';
import type { Key } from './key.js';
import { LiveQueries } from './live/live-queries.js';
import type { LiveOptions } from './live/live-query.js';
import { LoadQueue } from './load-queue.js';
import { LoadRunner, type WrapLoad } from './load-runner.js';
import { type Memoized, type MemoizePolicy, memoized } from './memoize.js';
import { MemoryView } from './memory-view.js';
import { Monitor, stampsNow } from './monitor.js';
import { NearCache, type NearCacheOptions } from './near-cache.js';
import { type Parts, partsOf } from './part-cache.js';
import type { Policy, Source } from './policy.js';
import { ReadSet, type ReadSetOptions, type RecordedRead } from './read-set.js';
import { Reader } from './reader.js';
import type { Peeked, ReadOptions } from './reading.js';
import type { ExactFence, ReleaseOptions, Store } from './store.js';
import { StoreReads } from './store-reads.js';
import type { Tag } from './tag.js';
import { type Clock, systemClock } from './time.js';
import { Unawaited } from './unawaited.js';
import { type WrittenFills, type WrittenValue, WrittenValues } from './written-values.js';

export const DEFAULT_MAX_LOADS = 10;
/** Far more than an application declares. */
const MAX_DECLARED = 1000;

export interface CacheOptions {
  readonly store: Store;
  readonly events?: CacheEvents;
  readonly clock?: Clock;
  /** A number in [0, 1): for the jitter of times to live and for the monitor's sampling. */
  readonly random?: () => number;
  /** Wraps every load. Development and tests check here that a load reads only what its tags cover. */
  readonly wrapLoad?: WrapLoad;
  /** Default `available`. */
  readonly fencePolicy?: FencePolicy;
  /** Keeps parsed entries in this process. Default: none. */
  readonly near?: NearCacheOptions | undefined;
  /** Loads that run at once; others wait in line. Default 10. */
  readonly maxLoads?: number;
  /** The fraction of hits that the monitor compares with the source, 0 to 1. Default 0. */
  readonly monitorShare?: number;
}

export class Cache {
  readonly store: Store;
  /** What this process holds, for operators. */
  readonly memory: MemoryView;
  readonly #reads: StoreReads;
  readonly #events: CacheEvents;
  readonly #near: NearCache | undefined;
  readonly #clock: Clock;
  readonly #queue: LoadQueue;
  readonly #reader: Reader;
  readonly #answers: AnswerCache;
  readonly #fencing: Fencing;
  readonly #written: WrittenValues;
  readonly #unawaited = new Unawaited();
  readonly #declared = new Set<string>();

  constructor(options: CacheOptions) {
    const { store, events = {}, clock = systemClock, random = Math.random, wrapLoad, monitorShare = 0 } = options;
    const near = options.near && new NearCache(options.near);
    const queue = new LoadQueue(options.maxLoads ?? DEFAULT_MAX_LOADS);
    const reads = new StoreReads({ store, near, clock, events });
    const unawaited = this.#unawaited;
    const names = new CallNames(store);
    const runner = new LoadRunner({ queue, wrapLoad, events, clock });
    const flights = new Flights({ store, names, near, queue, clock, random, events, unawaited, runner });
    const monitor = new Monitor({ store, clock, events });
    this.store = store;
    this.memory = new MemoryView({ near, clock });
    this.#reads = reads;
    this.#events = events;
    this.#near = near;
    this.#clock = clock;
    this.#queue = queue;
    this.#reader = new Reader({
      ...{ store, names, near, reads, flights, runner, queue, monitor, monitorShare, events, clock, random, unawaited },
    });
    this.#answers = new AnswerCache({ near, reads, events, clock, groups: store.groups });
    this.#written = new WrittenValues({ names, near, clock, random });
    this.#fencing = new Fencing({ store, clock, events, policy: options.fencePolicy ?? 'available' });
  }

  /** Entries in process memory; loads running and waiting; how often the store was read so far. */
  get state() {
    return { near: this.#near?.size, loads: this.#queue.state, storeReads: this.#reads.sent };
  }

  /** Names of policies that are known before their first call: metrics have their samples from the start. */
  get declared(): ReadonlySet<string> {
    return this.#declared;
  }

  /** Adds to `declared`, up to 1000 names. */
  declare(names: Iterable<string>): void {
    for (const name of names) if (this.#declared.size < MAX_DECLARED) this.#declared.add(name);
  }

  /**
   * A read set for one request. Reads after its first round trip may come from memory. By default it serves neither
   * `validate` nor `storeAnswer`.
   */
  readSet(options: ReadSetOptions = {}): ReadSet {
    return new ReadSet(this.#near?.logReadsSent ?? 0, options);
  }

  /**
   * Call this when the read set's request has written: from now on memory serves it only on log reads that are sent
   * later.
   */
  renew(readSet: ReadSet): void {
    if (this.#near !== undefined) readSet.began = this.#near.logReadsSent;
  }

  /** See `AnswerCache.store`. */
  storeAnswer(readSet: ReadSet, key: Key, value: object, bytes: number): void {
    this.#answers.store(readSet, key, value, bytes);
  }

  /** See `AnswerCache.find`. */
  findAnswer(readSet: ReadSet, key: Key): Promise<unknown> | undefined {
    return this.#answers.find(readSet, key);
  }

  /** Live queries of this process. Make one for all. */
  liveQueries(options?: LiveOptions): LiveQueries {
    const parts = { near: this.#near, reads: this.#reads, store: this.store, clock: this.#clock, events: this.#events };
    return new LiveQueries(parts, options);
  }

  /** Parts of the answer of this read set: see part-cache.ts. Undefined: none are kept for it. */
  parts(readSet: ReadSet): Parts | undefined {
    return partsOf(this.#near, this.#clock, readSet);
  }

  /**
   * Whether everything that the read set was given is the state of the database now, at one moment. Drops from memory
   * what is not, so that another run reads it from the store.
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

  /**
   * Reads one cached call. `load` runs when the freshness of a stored value cannot be proved; its errors reach the
   * caller.
   */
  async read<A, V>(policy: Policy<A>, arg: A, load: () => Promise<V>, options: ReadOptions = {}): Promise<V> {
    const [value] = await this.readMany({ ...policy, load: async () => [await load()] }, [arg], options);
    return value as V;
  }

  /**
   * READ for many arguments of one source: one round trip for all calls of this event-loop tick, one load for all
   * misses, one fill. All values arrive together. Values that memory keeps are frozen.
   * @throws what `source.load` throws; the reason of `options.signal`; CacheError POLICY or LOAD_SHAPE for a
   * programming error
   */
  readMany<A, V>(source: Source<A, V>, args: readonly A[], options: ReadOptions = {}): Promise<V[]> {
    return this.#reader.readMany(source, args, options);
  }

  /**
   * The value that `readMany` would return, if memory holds it and may serve this read set now. Makes no promise.
   * Undefined: call `readMany`.
   */
  peek<A, V>(source: Source<A, V>, arg: A, options: ReadOptions): Peeked<V> | undefined {
    return this.#reader.peek(source, arg, options);
  }

  /** As `peek`, for a value that the read set was given before: only if memory holds that value. Reports nothing. */
  peekSame<A, V>(source: Source<A, V>, arg: A, value: V, options: ReadOptions): Peeked<V> | undefined {
    return this.#reader.peekSame(source, arg, value, options);
  }

  /**
   * Runs a load that neither reads nor fills the cache. It takes a slot like any other load, since both share the
   * connections to Postgres; inside a load it uses that load's slot.
   * @throws what `load` throws; the signal's reason, even while it waits for its slot
   */
  loadPast<T>(
    { viewer, signal = UNENDING, heavy }: Pick<ReadOptions, 'viewer' | 'signal'> & { readonly heavy?: boolean },
    load: () => Promise<T>,
  ): Promise<T> {
    const turn = this.#queue.turn(viewer, heavy);
    return this.#queue.run(load, { turn, starting: () => {}, signal, reentrant: false });
  }

  /**
   * `fn` with its results cached under a name and its arguments. Arguments are compared in canonical form: the order of
   * members does not matter; dates, bigints and `undefined` are distinct. Errors are not cached. Concurrent equal calls
   * share one run if they read the same tokens before it. The policy's tags name the row sets that `fn` reads; without
   * tags a result is valid until its TTL or `invalidate`. An AbortSignal as an argument, or as member `signal` of one,
   * is not part of the key: it ends its caller's wait, and the run when every caller has left.
   * @throws CacheError POLICY
   */
  memoize<Args extends unknown[], R>(
    name: string,
    fn: (...args: Args) => R,
    policy: MemoizePolicy<Args>,
  ): Memoized<Args, R> {
    const cached = memoized(this, name, fn, policy);
    this.declare([name]);
    return cached;
  }

  /**
   * FENCE, before COMMIT: once it is acknowledged, nothing under these tags is served or stored until `release`.
   * @returns false: commit without a fence, and answer no sooner than LEASE_MS after the commit. Three cases. Under the
   * policy `available`, the store has taken no writes for LEASE_MS (callers share what one of them observed, so in such
   * an outage each makes one attempt), or this fence alone has failed for three times as long. Or the keys belong to another database than `database`, and this process has
   * known `database` for less than LEASE_MS.
   * @returns ExactFence: all of `expected`, tokens of some of the tags, were there, and `release` may store what was made
   * under them
   * @throws CacheError FENCE_REFUSED under the policy `reject`: roll back
   */
  fence(
    xid: bigint,
    tags: readonly Tag[],
    database?: string,
    expected?: ReadonlyMap<Tag, string>,
  ): Promise<boolean | ExactFence> {
    return this.#fencing.fence(xid, tags, database, expected);
  }

  /** See `NearCache.puts`: a writer notes it before its first statement, for `writtenFills`. */
  get puts(): number {
    return this.#near?.puts ?? 0;
  }

  /** See `WrittenValues.fillsOf`. */
  writtenFills(values: readonly WrittenValue[], touched: readonly Tag[], before: number): WrittenFills | undefined {
    // In a Cluster the tags of an entry are in several groups, which no one step releases.
    return this.store.groups === 1 ? this.#written.fillsOf(values, touched, before) : undefined;
  }

  /** Keeps in memory what a transaction has written: once its COMMIT was acknowledged, with the reply of its FENCE. */
  keepWritten({ copies }: WrittenFills, fence: ExactFence): void {
    for (const copy of copies) this.#near?.keepWritten(copy, fence);
  }

  /**
   * RELEASE, only after COMMIT or ROLLBACK was acknowledged. Not awaited: the relay repairs what is lost here.
   */
  release(xid: bigint, tags: readonly Tag[], options: ReleaseOptions = { unfenced: false }): void {
    this.#unawaited.add(this.#fencing.release(xid, tags, options));
  }

  /** Resolves when the fills and releases that were begun so far have reached the store or failed. */
  flush(): Promise<void> {
    return this.#unawaited.flush();
  }
}
