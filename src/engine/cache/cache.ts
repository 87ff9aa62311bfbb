/**
 * The cache: `read`, `readMany`, `memoize` for readers; `fence`, `release` for writers. A reader never gets an error of the cache, and
 * never a value that was not the committed state of the database at some moment while the read ran.
 *
 * The read path: call.ts (key and tags), store-reads.ts (one READ for a tick), entry.ts (what an entry is worth), near-cache.ts (what
 * process memory may serve), flights.ts (loads and fills). The write path: fencing.ts. What the store does: redis/.
 */
import { AnswerCache } from './answer-cache.js';
import { CallNames } from './call.js';
import type { CacheEvents } from './events.js';
import { type FencePolicy, Fencing } from './fencing.js';
import { Flights, UNENDING } from './flights.js';
import type { Key } from './key.js';
import { LoadQueue } from './load-queue.js';
import { type Memoized, type MemoizePolicy, memoized } from './memoize.js';
import { Monitor, stampsNow } from './monitor.js';
import { NearCache, type NearCacheOptions } from './near-cache.js';
import type { Policy, Source } from './policy.js';
import { ReadSet, type ReadSetOptions, type RecordedRead } from './read-set.js';
import { Reader, type ReadOptions } from './reader.js';
import type { Store } from './store.js';
import { StoreReads } from './store-reads.js';
import type { Tag } from './tag.js';
import { type Clock, systemClock } from './time.js';
import { Unawaited } from './unawaited.js';

const DEFAULT_MAX_LOADS = 10;

export interface CacheOptions {
  readonly store: Store;
  readonly events?: CacheEvents;
  readonly clock?: Clock;
  /** In [0, 1): for the jitter of times to live, and for the monitor's choice. */
  readonly random?: () => number;
  /** Runs every load: tests and development check here what a load reads against its tags. */
  readonly wrapLoad?: <T>(load: { name: string; tags: readonly Tag[] }, run: () => Promise<T>) => Promise<T>;
  /** Default `available`. */
  readonly fencePolicy?: FencePolicy;
  /** Keeps parsed entries in this process. Absent: it does not. */
  readonly near?: NearCacheOptions | undefined;
  /** Loads that run at once; the others wait in line. Default 10. */
  readonly maxLoads?: number;
  /** The share of all hits that the monitor compares with the source, 0 to 1. Default 0. */
  readonly monitorShare?: number;
}

export class Cache {
  readonly store: Store;
  readonly #events: CacheEvents;
  readonly #near: NearCache | undefined;
  readonly #queue: LoadQueue;
  readonly #reader: Reader;
  readonly #answers: AnswerCache;
  readonly #fencing: Fencing;
  readonly #unawaited = new Unawaited();

  constructor(options: CacheOptions) {
    const { store, events = {}, clock = systemClock, random = Math.random, wrapLoad, monitorShare = 0 } = options;
    const near = options.near && new NearCache(options.near);
    const queue = new LoadQueue(options.maxLoads ?? DEFAULT_MAX_LOADS);
    const reads = new StoreReads({ store, near, clock });
    const unawaited = this.#unawaited;
    const flights = new Flights({ store, near, queue, clock, random, events, wrapLoad, unawaited });
    const monitor = new Monitor({ store, clock, events });
    const names = new CallNames(store);
    this.store = store;
    this.#events = events;
    this.#near = near;
    this.#queue = queue;
    this.#reader = new Reader({
      ...{ store, names, near, reads, flights, queue, monitor, monitorShare, events, clock, random, unawaited },
    });
    this.#answers = new AnswerCache({ near, reads, events, clock });
    this.#fencing = new Fencing({ store, clock, events, policy: options.fencePolicy ?? 'available' });
  }

  /** What this process holds and does: entries in memory, loads running and in line. */
  get state() {
    return { near: this.#near?.size, loads: this.#queue.state };
  }

  /** For one request: what it reads after its first round trip may come from memory. Default: neither for `validate` nor for answers. */
  readSet(options: ReadSetOptions = {}): ReadSet {
    return new ReadSet(this.#near?.logReadsSent ?? 0, options);
  }

  /** The read set's request has written: from now on memory serves it only on log reads that are sent after this. */
  renew(readSet: ReadSet): void {
    if (this.#near !== undefined) readSet.began = this.#near.logReadsSent;
  }

  /** See `AnswerCache.store`. */
  storeAnswer(readSet: ReadSet, key: Key, value: object, bytes: number): void {
    this.#answers.store(readSet, key, value, bytes);
  }

  /** See `AnswerCache.has`. */
  hasAnswer(key: Key): boolean {
    return this.#answers.has(key);
  }

  /** See `AnswerCache.find`. */
  findAnswer(readSet: ReadSet, key: Key): Promise<unknown> {
    return this.#answers.find(readSet, key);
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
   * READ for many arguments of one source: one round trip for all that is asked for in this event-loop tick, one
   * load for everything that must be loaded, one fill. All answers come together. Values are frozen when memory keeps them.
   * @throws what `source.load` throws; the reason of `options.signal`; CacheError POLICY or LOAD_SHAPE for a programmer's mistake.
   */
  readMany<A, V>(source: Source<A, V>, args: readonly A[], options: ReadOptions = {}): Promise<V[]> {
    return this.#reader.readMany(source, args, options);
  }

  /**
   * What memory holds of one call, where this read set may be served from it without asking: the same as `readMany` would give, in the
   * same turn, with no promise for it. Undefined: `readMany` has to find out.
   */
  peek<A, V>(source: Source<A, V>, arg: A, options: ReadOptions): { readonly value: V } | undefined {
    return this.#reader.peek(source, arg, options);
  }

  /**
   * A load that neither reads the cache nor fills it, but takes a slot like any other: past the cache Postgres has no more connections.
   * Inside of a load it has that one's slot. @throws what `load` throws; the signal's reason, also while it waits for its slot
   */
  loadPast<T>(
    { viewer, signal = UNENDING, heavy }: Pick<ReadOptions, 'viewer' | 'signal'> & { readonly heavy?: boolean },
    load: () => Promise<T>,
  ): Promise<T> {
    const turn = this.#queue.turn(viewer, heavy);
    return this.#queue.run(load, { turn, starting: () => {}, signal, leaf: true });
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
  fence(xid: bigint, tags: readonly Tag[], database?: string): Promise<boolean> {
    return this.#fencing.fence(xid, tags, database);
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
    this.#unawaited.add(this.#fencing.release(xid, tags, options));
  }

  /** Resolves when the fills and releases that were begun so far have reached the store or failed. */
  flush(): Promise<void> {
    return this.#unawaited.flush();
  }
}
