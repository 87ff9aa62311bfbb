/**
 * What the resolvers of one request read through. For each source a DataLoader whose batches are one cache read; for each plain
 * batch function a DataLoader that makes one statement of what a level asks for. Under a mutation both go straight to Postgres.
 */
import DataLoader from 'dataloader';
import {
  type Cache,
  Callers,
  loadSignal,
  type OutcomeReason,
  type Policy,
  type ReadOptions,
  type Session,
  underSignal,
} from '../cache/index.js';
import type { Database } from '../db/database.js';
import { argumentKey, type Tracer } from './cache-trace.js';

/** Arguments in one statement; a larger level is split. */
const MAX_BATCH = 1000;

/** One value for every argument, in their order, by one statement. */
export type BatchLoad<A, V> = (args: readonly A[], db: Database) => Promise<readonly V[]>;

/** Something cached that many fields read, a row by its id: a policy with the batch that loads what is missing. */
export interface Source<A, V> extends Policy<A> {
  readonly load: BatchLoad<A, V>;
}

type Loaders = Map<object, DataLoader<never, unknown, string>>;

/** What is asked of a plain batch function, and until when its answer is waited for. */
interface Part<A> {
  readonly arg: A;
  readonly signal: AbortSignal | undefined;
}

export class Loads {
  readonly #cache: Cache;
  readonly #db: Database;
  readonly #options: ReadOptions;
  readonly #bypass: OutcomeReason | undefined;
  readonly #tracer: Tracer;
  readonly #sources: Loaders = new Map();
  /** Of what a cached method reads: its load may be waited for by others when this request has gone. */
  readonly #nested = new WeakMap<AbortSignal, Loaders>();
  readonly #batches: Loaders = new Map();

  /**
   * `signal`: for how long the request waits. `bypass`: why neither to read the cache nor to fill it, and to remember nothing
   * between two reads.
   */
  constructor(options: {
    cache: Cache;
    db: Database;
    viewer: string;
    tracer: Tracer;
    session?: Session;
    signal?: AbortSignal | undefined;
    bypass?: 'mutation' | 'snapshot' | 'unapplied';
  }) {
    this.#cache = options.cache;
    this.#db = options.db;
    this.#options = { viewer: options.viewer, session: options.session, signal: options.signal };
    this.#bypass = options.bypass;
    this.#tracer = options.tracer;
  }

  /** One value of a source: from the cache, or by its load. Asked for twice in a request, it is read once. */
  load<A, V>(source: Source<A, V>, arg: A): Promise<V> {
    this.#tracer.asks(source.name, arg);
    return this.#loader(source).load(arg);
  }

  loadMany<A, V>(source: Source<A, V>, args: readonly A[]): Promise<V[]> {
    return Promise.all(args.map((arg) => this.load(source, arg)));
  }

  /** The result of a resolver method under its policy; `next` is the method. */
  read<A, V>(policy: Policy<A>, arg: A, next: () => Promise<V>): Promise<V> {
    if (this.#bypass === undefined) return this.#cache.read(policy, arg, next, this.#options);
    this.#tracer.bypassed(policy.name, this.#bypass);
    return next();
  }

  /** Not cached: collects what one turn asks of `load` into one call. For the bodies of cached methods. */
  batch<A, V>(load: BatchLoad<A, V>, arg: A): Promise<V> {
    const { session } = this.#options;
    if (session?.ground !== undefined && loadSignal() === undefined) session.ground.lost = true; // of no cached method
    const loader = memoized(this.#batches, load, () =>
      dataLoader<Part<A>, V>((parts) => this.#together(parts, (args) => load(args, this.#db)), false),
    );
    return loader.load({ arg, signal: loadSignal() ?? this.#options.signal });
  }

  /** One call for several loads, given up when nobody waits for any of them. */
  #together<A, V>(parts: readonly Part<A>[], load: (args: readonly A[]) => Promise<readonly V[]>) {
    const callers = new Callers();
    for (const { signal } of parts) callers.add(signal);
    return this.#until(callers.gone, () => load(parts.map(({ arg }) => arg))).finally(() => callers.end());
  }

  async #until<T>(signal: AbortSignal | undefined, load: () => Promise<T>): Promise<T> {
    signal?.throwIfAborted();
    return signal === undefined ? load() : underSignal(signal, load);
  }

  #loader<A, V>(source: Source<A, V>): DataLoader<A, V, string> {
    const within = loadSignal();
    const sources = within === undefined ? this.#sources : (this.#nested.get(within) ?? new Map());
    if (within !== undefined) this.#nested.set(within, sources);
    return memoized(sources, source, () => {
      const load = (args: readonly A[]) => source.load(args, this.#db);
      const cached = { ...source, load };
      const bypass = this.#bypass;
      if (bypass === undefined) {
        return dataLoader<A, V>((args) => this.#cache.readMany(cached, args, this.#options), true);
      }
      return dataLoader<A, V>((args) => {
        this.#tracer.bypassed(source.name, bypass);
        return this.#until(this.#options.signal, () => load(args));
      }, false);
    });
  }
}

function dataLoader<A, V>(
  load: (args: readonly A[]) => Promise<readonly V[]>,
  cache: boolean,
): DataLoader<A, V, string> {
  // The memo lives as long as one request: a value read once stays the same for the rest of the answer.
  return new DataLoader<A, V, string>(async (args) => [...(await load(args))], {
    cache,
    maxBatchSize: MAX_BATCH,
    cacheKeyFn: argumentKey,
  });
}

/** The maps hold loaders of many types, each under the source or function that fixes its types. */
function memoized<A, V>(map: Loaders, by: object, make: () => DataLoader<A, V, string>): DataLoader<A, V, string> {
  const known = map.get(by) as DataLoader<A, V, string> | undefined;
  if (known !== undefined) return known;
  const made = make();
  map.set(by, made as unknown as DataLoader<never, unknown, string>);
  return made;
}
