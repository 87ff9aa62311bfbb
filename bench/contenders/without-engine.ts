/**
 * What this API reads and writes through without its engine: one DataLoader per source and request, which asks Postgres, and plain transactions.
 * No keys, tags, stamps, outcomes, load queue or read sets, no Redis, no relay. Resolvers, rights and limits stay. A write still reads the tags
 * that it touched, since the resolvers' writes ask for them themselves; its table has no triggers that name any.
 */
import DataLoader from 'dataloader';
import { type Core, type CoreOptions, createCore } from '../../src/core.js';
import { Cache, type Policy, type ReadSet, systemClock } from '../../src/engine/cache/index.js';
import type { BatchLoad, Source } from '../../src/engine/graphql/index.js';
import {
  type Database,
  retryingConflicts,
  type Transaction,
  Transactor,
  type WriteResult,
  type Writer,
} from '../../src/engine/postgres/index.js';
import type { Loads, MakeLoads } from '../../src/graphql/context.js';

/** Arguments in one statement, as in the engine. */
const MAX_BATCH = 1000;

export function coreWithoutEngine(options: CoreOptions): Core & { readonly makeLoads: MakeLoads } {
  const core = createCore(options);
  return {
    ...core,
    cache: new NoCache(options),
    transactor: new PlainTransactor(core),
    relay: Object.assign(core.relay, { start: async () => {} }),
    requireTriggers: async () => {},
    // The class has private members, which no resolver can use.
    makeLoads: ({ db, bypass }) => new PlainLoads(db, bypass === undefined) as unknown as Loads,
  };
}

type Loaders = Map<object, DataLoader<never, unknown, unknown>>;

/** `memoizes`: a mutation reads the state after its write, so it reads each value again. */
class PlainLoads implements Omit<Loads, 'bypassing'> {
  readonly #db: Database;
  readonly #memoizes: boolean;
  readonly #loaders: Loaders = new Map();
  readonly policiesRead = 0;

  constructor(db: Database, memoizes: boolean) {
    this.#db = db;
    this.#memoizes = memoizes;
  }

  load<A, V>(source: Source<A, V, Database>, arg: A): Promise<V> {
    return this.#loaderOf(source, source.load, source.heavy === true ? 1 : MAX_BATCH).load(arg);
  }

  loadMany<A, V>(source: Source<A, V, Database>, args: readonly A[]): Promise<V[]> {
    return Promise.all(args.map((arg) => this.load(source, arg)));
  }

  loadUncached<A, V>(load: BatchLoad<A, V, Database>, arg: A): Promise<V> {
    return this.#loaderOf(load, load, MAX_BATCH).load(arg);
  }

  read<A, V>(_policy: Policy<A>, _arg: A, next: () => Promise<V>): Promise<V> {
    return next();
  }

  bypassing(): PlainLoads {
    return new PlainLoads(this.#db, false);
  }

  enter(): void {}

  #loaderOf<A, V>(by: object, load: BatchLoad<A, V, Database>, maxBatchSize: number): DataLoader<A, V, unknown> {
    // The source or function used as key fixes the types of its loader.
    const known = this.#loaders.get(by) as DataLoader<A, V, unknown> | undefined;
    if (known !== undefined) return known;
    const made = new DataLoader<A, V, unknown>((args) => load(args, this.#db), {
      cache: this.#memoizes,
      maxBatchSize,
      cacheKeyFn: (arg) => (typeof arg === 'string' ? arg : JSON.stringify(arg)),
    });
    this.#loaders.set(by, made as unknown as DataLoader<never, unknown, unknown>);
    return made;
  }
}

/** Keeps and finds nothing. All requests share one read set, in which nothing is recorded. */
class NoCache extends Cache {
  readonly #unused: ReadSet = super.readSet();

  override readSet(): ReadSet {
    return this.#unused;
  }
  override renew(): void {}
  override parts(): undefined {
    return undefined;
  }
  override findAnswer(): undefined {
    return undefined;
  }
  override storeAnswer(): void {}
  override loadPast<T>(_options: object, load: () => Promise<T>): Promise<T> {
    return load();
  }
}

class PlainTransactor extends Transactor {
  readonly #db: Core['db'];

  constructor(core: Core) {
    super(core);
    this.#db = core.db;
  }

  override async transact<T>(fn: (tx: Transaction) => Promise<T>, by?: Writer): Promise<WriteResult<T>> {
    const write = () =>
      this.#db.write.transaction((tx) => {
        by?.signal?.throwIfAborted();
        if (by?.writes !== undefined) by.writes.begun = true;
        return fn(tx);
      });
    return { value: await retryingConflicts(write, systemClock.sleep), tags: [] };
  }
}
