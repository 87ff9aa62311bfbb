/**
 * The loaders of one request. Each source has a DataLoader whose batches are one cache read. Each plain batch function
 * has a DataLoader that makes one statement per level. Under a mutation both read Postgres.
 */
import DataLoader from 'dataloader';
import type { GraphQLResolveInfo } from 'graphql';
import {
  type Bring,
  type Cache,
  type Source as CachedSource,
  loadSignal,
  type OutcomeReason,
  type Peeked,
  type Policy,
  type ReadOptions,
  type ReadSet,
  SharedAbort,
} from '../cache/index.js';
import type { MaybePromise } from '../cache/maybe-promise.js';
import { argumentKey, type Tracer } from './cache-trace.js';

/** Arguments in one statement; larger levels are split. */
const MAX_BATCH = 1000;

/** The database that loads read. `until` returns one whose statements are cancelled when `signal` aborts. */
export interface LoadDatabase<Db> {
  until(signal: AbortSignal): Db;
}

/**
 * Loads one value for every argument, in their order, by one statement. `bring`: present where a source that declares
 * `brings` may bring values of other sources along.
 */
export type BatchLoad<A, V, Db> = (args: readonly A[], db: Db, bring?: Bring) => Promise<readonly V[]>;

/** A cached value that many fields read, such as a row by its id: a policy with the batch that loads misses. */
export interface Source<A, V, Db> extends Policy<A> {
  readonly load: BatchLoad<A, V, Db>;
  /**
   * A load may keep Postgres busy for seconds. Each value is then loaded alone, so that none waits for another or fails
   * with it.
   */
  readonly heavy?: boolean;
  /**
   * Its statement may read rows of other sources, too. Given to `bring`, such a row is found in process memory by the
   * request that loads it next, if nothing is being written there. Default: false.
   */
  readonly brings?: boolean;
  /**
   * Whether what several requests miss in one event-loop tick may be one statement; or for which arguments. For those
   * that are quick whatever the tables hold, such as rows by id: a slow one delays the others. Default: false.
   */
  readonly together?: boolean | ((arg: A) => boolean);
  /** Values in such a statement. Default 100. */
  readonly maxTogether?: number;
}

/** By database and source: the source as the cache reads it. */
const cachedSources = new WeakMap<object, WeakMap<object, CachedSource<never, unknown>>>();

function cachedSource<A, V, Db extends LoadDatabase<Db>>(source: Source<A, V, Db>, db: Db): CachedSource<A, V> {
  let sources = cachedSources.get(db);
  if (sources === undefined) {
    sources = new WeakMap();
    cachedSources.set(db, sources);
  }
  const known = sources.get(source) as CachedSource<A, V> | undefined;
  if (known !== undefined) return known;
  const { together = false } = source;
  const cached: CachedSource<A, V> = {
    ...source,
    load: (args, signal, bring) => source.load(args, db.until(signal), bring),
    reentrant: false,
    shared:
      together === false
        ? undefined
        : { by: {}, when: together === true ? () => true : together, max: source.maxTogether },
  };
  sources.set(source, cached as unknown as CachedSource<never, unknown>);
  return cached;
}

type Loaders = Map<object, DataLoader<never, unknown, string>>;

/**
 * A source as one request reads it. It remembers values for the request: a value read once stays the same for the rest
 * of the answer.
 */
class Reads<A, V> {
  readonly cached: CachedSource<A, V>;
  /** Values that the loader is loading or has loaded. */
  readonly pending = new Map<string, Promise<V>>();
  /** What has been loaded of these. */
  readonly landed = new Map<string, V>();
  /** Values that memory returned without a promise. */
  readonly peeked = new Map<string, Peeked<V>>();
  readonly #makeLoader: (pending: Map<string, Promise<V>>) => DataLoader<A, V, string>;
  #loader: DataLoader<A, V, string> | undefined;

  constructor(cached: CachedSource<A, V>, makeLoader: (pending: Map<string, Promise<V>>) => DataLoader<A, V, string>) {
    this.cached = cached;
    this.#makeLoader = makeLoader;
  }

  /** Made when something has to be waited for: most requests find everything in memory. */
  get loader(): DataLoader<A, V, string> {
    this.#loader ??= this.#makeLoader(this.pending);
    return this.#loader;
  }
}

/** An argument of a plain batch function, and how long its caller waits. */
interface Part<A> {
  readonly arg: A;
  readonly signal: AbortSignal | undefined;
}

/** Who waits for what is read. */
export interface Caller {
  readonly signal?: AbortSignal | undefined;
}

/** Asks for the caller's signal only when it is needed: most requests find everything in the cache. */
class CallersReads implements ReadOptions {
  readonly viewer: string | undefined;
  readonly readSet: ReadSet | undefined;
  readonly #caller: Caller | undefined;

  constructor(viewer: string | undefined, readSet: ReadSet | undefined, caller: Caller | undefined) {
    this.viewer = viewer;
    this.readSet = readSet;
    this.#caller = caller;
  }

  get signal(): AbortSignal | undefined {
    return this.#caller?.signal;
  }
}

export class RequestLoaders<Db extends LoadDatabase<Db>> {
  readonly #cache: Cache;
  readonly #db: Db;
  readonly #options: ReadOptions;
  readonly #bypass: OutcomeReason | undefined;
  readonly #tracer: Tracer;
  readonly #sources = new Map<object, Reads<never, unknown>>();
  /**
   * For reads inside a cached method, by that load's signal: other callers may wait for the load after this request has
   * gone.
   */
  readonly #nested = new WeakMap<AbortSignal, Map<object, Reads<never, unknown>>>();
  readonly #batches: Loaders = new Map();
  /** Names of the cached methods that were called. Bounded by the number of policies. */
  #methods: Set<string> | undefined;
  /** Plain batches called inside loads. */
  readonly #batchesInLoads: Loaders = new Map();

  /**
   * `caller`: its signal tells how long the request waits, and is asked for when a load begins. `bypass`: why this request neither reads nor fills the cache, and remembers
   * nothing between two reads.
   */
  constructor(options: {
    cache: Cache;
    db: Db;
    /** Undefined for an anonymous request. */
    viewer: string | undefined;
    tracer: Tracer;
    readSet?: ReadSet;
    caller?: Caller | undefined;
    bypass?: 'mutation' | 'snapshot' | 'unapplied';
  }) {
    this.#cache = options.cache;
    this.#db = options.db;
    this.#options = new CallersReads(options.viewer, options.readSet, options.caller);
    this.#bypass = options.bypass;
    this.#tracer = options.tracer;
  }

  /** How many sources and cached methods were read, whatever answered. Without the cache each is a statement or more. */
  get policiesRead(): number {
    return this.#sources.size + (this.#methods?.size ?? 0);
  }

  /**
   * One value of a source, from the cache or by its load. A value is read once per request. Makes no promise if process
   * memory has the value and may serve it now.
   */
  load<A, V>(source: Source<A, V, Db>, arg: A): MaybePromise<V> {
    return this.#load(source, this.#readsOf(source), arg);
  }

  #load<A, V>(source: Source<A, V, Db>, reads: Reads<A, V>, arg: A): MaybePromise<V> {
    this.#tracer.asks(source.name, arg);
    if (this.#bypass !== undefined) return reads.loader.load(arg);
    const { cached, pending, landed, peeked } = reads;
    const key = argumentKey(arg);
    const known = peeked.get(key);
    if (known !== undefined) {
      // Another part of the answer depends on it, too.
      this.#options.readSet?.dependencies?.add(known.tags, known.since, known.untilMs);
      return known.value;
    }
    const wasAsked = pending.has(key);
    let found: Peeked<V> | undefined;
    if (!wasAsked) found = this.#cache.peek(cached, arg, this.#options);
    // What the request has loaded stays the same, also where memory holds another value by now.
    else if (landed.has(key)) found = this.#cache.peekSame(cached, arg, landed.get(key) as V, this.#options);
    if (found !== undefined) {
      peeked.set(key, found);
      return found.value;
    }
    const loading = reads.loader.load(arg);
    if (!wasAsked) void loading.then((value) => landed.set(key, value)).catch(() => {}); // its caller gets the error
    return this.#promised(loading);
  }

  /** What is read from now on, in this async context, is this field's: for the trace. */
  enter(info: GraphQLResolveInfo): void {
    this.#tracer.enter(info);
  }

  loadMany<A, V>(source: Source<A, V, Db>, args: readonly A[]): MaybePromise<V[]> {
    const reads = this.#readsOf(source);
    const values = args.map((arg) => this.#load(source, reads, arg));
    return values.some((value) => value instanceof Promise) ? Promise.all(values) : (values as V[]);
  }

  /** The result of a resolver method under its policy. `next` runs the method. */
  read<A, V>(policy: Policy<A>, arg: A, next: () => Promise<V>): Promise<V> {
    if (this.#bypass === undefined) {
      this.#methods ??= new Set();
      this.#methods.add(policy.name);
      return this.#promised(this.#cache.read(policy, arg, next, this.#options));
    }
    this.#tracer.bypassed(policy.name, this.#bypass);
    return next();
  }

  /**
   * Loaders that bypass the cache, for values that must be no older than what this request has already read from
   * Postgres.
   */
  bypassing(): RequestLoaders<Db> {
    if (this.#bypass !== undefined) return this;
    const { viewer } = this.#options;
    return new RequestLoaders({
      cache: this.#cache,
      db: this.#db,
      viewer,
      caller: this.#options,
      tracer: this.#tracer,
      bypass: 'unapplied',
    });
  }

  /**
   * Not cached: collects the arguments of one event-loop tick into one call of `load`. For the bodies of cached
   * methods. Elsewhere the answer that uses it is not kept, and a snapshot that uses it is not validated from the
   * cache.
   */
  loadUncached<A, V>(load: BatchLoad<A, V, Db>, arg: A): Promise<V> {
    const signal = loadSignal();
    if (signal === undefined) this.#options.readSet?.recordUnverifiable(); // outside every cached method
    // Apart from the others: what runs in a load's slot must not wait for loads that wait for a slot.
    const loader = memoized(signal === undefined ? this.#batches : this.#batchesInLoads, load, () =>
      dataLoader<Part<A>, V>((parts) => this.#together(parts, load), null),
    );
    return this.#promised(loader.load({ arg, signal: signal ?? this.#options.signal }));
  }

  #promised<V>(value: Promise<V>): Promise<V> {
    this.#options.readSet?.promised();
    return value;
  }

  /** One call for several arguments, cancelled when all their callers have left. */
  #together<A, V>(parts: readonly Part<A>[], load: BatchLoad<A, V, Db>) {
    const callers = new SharedAbort();
    for (const { signal } of parts) callers.add(signal);
    return this.#until(load, callers.signal)(parts.map(({ arg }) => arg)).finally(() => callers.end());
  }

  #until<A, V>(load: BatchLoad<A, V, Db>, signal: AbortSignal | undefined, heavy = false) {
    return async (args: readonly A[]) => {
      signal?.throwIfAborted();
      const run = () => load(args, signal === undefined ? this.#db : this.#db.until(signal));
      // All reads of a snapshot's transaction share its one slot.
      return this.#bypass === 'snapshot' ? run() : this.#cache.loadPast({ ...this.#options, signal, heavy }, run);
    };
  }

  #readsOf<A, V>(source: Source<A, V, Db>): Reads<A, V> {
    const within = loadSignal();
    const sources = within === undefined ? this.#sources : (this.#nested.get(within) ?? new Map());
    if (within !== undefined) this.#nested.set(within, sources);
    const known = sources.get(source) as Reads<A, V> | undefined;
    if (known !== undefined) return known;
    const cached = cachedSource(source, this.#db);
    const made = new Reads(cached, (pending) => this.#loader(source, cached, pending));
    sources.set(source, made as unknown as Reads<never, unknown>);
    return made;
  }

  #loader<A, V>(
    source: Source<A, V, Db>,
    cached: CachedSource<A, V>,
    pending: Map<string, Promise<V>>,
  ): DataLoader<A, V, string> {
    const bypass = this.#bypass;
    const maxBatch = source.heavy === true ? 1 : MAX_BATCH;
    if (bypass === undefined) {
      return dataLoader((args) => this.#cache.readMany(cached, args, this.#options), pending, maxBatch);
    }
    const load = (args: readonly A[]) => {
      this.#tracer.bypassed(cached.name, bypass);
      return this.#until(source.load, this.#options.signal, source.heavy)(args);
    };
    return dataLoader(load, null, maxBatch);
  }
}

/** `memo`: null for none. */
function dataLoader<A, V>(
  load: (args: readonly A[]) => Promise<readonly V[]>,
  memo: Map<string, Promise<V>> | null,
  maxBatchSize = MAX_BATCH,
): DataLoader<A, V, string> {
  return new DataLoader<A, V, string>(async (args) => [...(await load(args))], {
    cache: memo !== null,
    cacheMap: memo,
    maxBatchSize,
    cacheKeyFn: argumentKey,
  });
}

/** The maps hold loaders of many types. The source or function used as key fixes the types of its loader. */
function memoized<A, V>(map: Loaders, by: object, make: () => DataLoader<A, V, string>): DataLoader<A, V, string> {
  const known = map.get(by) as DataLoader<A, V, string> | undefined;
  if (known !== undefined) return known;
  const made = make();
  map.set(by, made as unknown as DataLoader<never, unknown, string>);
  return made;
}
