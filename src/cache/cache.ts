/**
 * The cache: `read`, `readMany`, `memoize` for readers; `fence`, `release` for writers. All decisions are here; what an
 * entry is worth stands in entry.ts, what Redis does in redis/. A reader never gets an error of the cache, and never a
 * value that was not the committed state of the database at some moment while the read ran.
 */
import { type Clock, systemClock } from '../time.js';
import { entryText, isFence, type State, stampText, stateOf } from './entry.js';
import { CacheError } from './errors.js';
import type { CacheEvents, Outcome, OutcomeReason } from './events.js';
import { type Key, keyOf } from './key.js';
import { checkPolicy, DEFAULT_MAX_CHARS, entryTtlMs, type Policy, type Source } from './policy.js';
import { type Fill, LEASE_MS, type Store, type View } from './store.js';
import type { Tag } from './tag.js';
import { TurnBatch } from './turn-batch.js';

/** Entries and tags in one READ. What a single `readMany` asks for is not split: DataLoader bounds that. */
const MAX_KEYS_PER_READ = 10_000;
const MAX_TAGS_PER_MINT = 5000;
const MAX_FILLS_PER_TRIP = 2000;
/** How long a writer waits between two attempts to fence. */
const FENCE_RETRY_MS = 50;

export interface CacheOptions {
  readonly store: Store;
  readonly events?: CacheEvents;
  readonly clock?: Clock;
  /** In [0, 1): for the jitter of times to live. */
  readonly random?: () => number;
  /** Runs every load: tests and development check here what a load reads against its tags. */
  readonly aroundLoad?: <T>(load: { name: string; tags: readonly Tag[] }, run: () => Promise<T>) => Promise<T>;
  /** What a write does when its fence cannot be placed: commit without it after LEASE_MS, or not commit. Default `available`. */
  readonly fencePolicy?: 'available' | 'reject';
}

/** Who asks; part of the key of everything whose scope is `viewer`. */
export interface ReadOptions {
  readonly viewer?: string | undefined;
}

interface Call<A> {
  readonly arg: A;
  readonly key: Key;
  readonly tags: readonly Tag[];
}

/** One round trip's answer, with its number: outcomes name the trips they shared. */
interface Trip<T> {
  readonly number: number;
  readonly answer: T;
}

/** What a call that is not a hit needs: stamps if its value may be stored and joined, a reason if not. */
interface Miss<A> extends Call<A> {
  readonly index: number;
  readonly reason: OutcomeReason;
  readonly stamps: string | undefined;
}

export class Cache {
  readonly store: Store;
  readonly #events: CacheEvents;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #aroundLoad: NonNullable<CacheOptions['aroundLoad']>;
  readonly #fencePolicy: 'available' | 'reject';
  /** Loads under way, by key, purge and stamps. Bounded by the calls under way. */
  readonly #flights = new Map<string, Promise<unknown>>();
  readonly #reads: TurnBatch<readonly Call<unknown>[], Trip<View>>;
  readonly #mints: TurnBatch<readonly Tag[], Trip<ReadonlyMap<Tag, string>>>;
  readonly #fills: TurnBatch<Fill, void>;
  readonly #underWay = new Set<Promise<unknown>>();
  #trips = 0;

  constructor(options: CacheOptions) {
    this.store = options.store;
    this.#events = options.events ?? {};
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.#aroundLoad = options.aroundLoad ?? ((_, run) => run());
    this.#fencePolicy = options.fencePolicy ?? 'available';
    this.#reads = new TurnBatch(
      (groups) => {
        const calls = groups.flat();
        return this.#trip(() => this.store.read(distinct(calls, keysOf), distinct(calls, tagsOf)));
      },
      MAX_KEYS_PER_READ,
      (calls) => calls.reduce((size, { tags }) => size + 1 + tags.length, 0),
    );
    this.#mints = new TurnBatch(
      (tags) => this.#trip(() => this.store.mint([...new Set(tags.flat())])),
      MAX_TAGS_PER_MINT,
      (tags) => tags.length,
    );
    this.#fills = new TurnBatch((fills) => this.store.fill(fills), MAX_FILLS_PER_TRIP);
  }

  /** One cached call. `load` runs when freshness of what is stored, if anything, cannot be proved; its errors are the caller's. */
  async read<A, V>(policy: Policy<A>, arg: A, load: () => Promise<V>, options: ReadOptions = {}): Promise<V> {
    const [value] = await this.readMany({ ...policy, load: async () => [await load()] }, [arg], options);
    return value as V;
  }

  /**
   * READ for many arguments of one source: one round trip for all that is asked for in this turn of the event loop, one
   * load for everything that must be loaded, one fill. All answers come together.
   * @throws what `source.load` throws; CacheError POLICY or LOAD_SHAPE for a programmer's mistake.
   */
  async readMany<A, V>(source: Source<A, V>, args: readonly A[], options: ReadOptions = {}): Promise<V[]> {
    if (args.length === 0) return [];
    const startedMs = performance.now();
    const calls = args.map((arg) => this.#call(source, arg, options));
    const outcome = (call: Call<A>, how: Pick<Outcome, 'kind'> & Partial<Outcome>, trips: readonly number[]) =>
      this.#events.outcome?.({
        name: source.name,
        arg: call.arg,
        key: call.key,
        tags: call.tags,
        ms: performance.now() - startedMs,
        roundTrips: trips,
        ...how,
      });

    let trip: Trip<View>;
    try {
      trip = await this.#reads.add(calls);
    } catch (error) {
      this.#events.storeFailed?.('read', error);
      const values = await failing(this.#load(source, calls), () => {
        for (const call of calls) outcome(call, { kind: 'error', reason: 'load-failed' }, []);
      });
      for (const call of calls) outcome(call, { kind: 'error', reason: 'store-unavailable' }, []);
      return values;
    }

    const values: V[] = new Array(calls.length);
    const states = calls.map((call) => this.#state(call, trip.answer));
    const minted = await this.#mintMissing(calls, states);
    const trips = minted === undefined ? [trip.number] : [trip.number, minted.number];
    const misses: Miss<A>[] = [];
    calls.forEach((call, index) => {
      const state = states[index] as State;
      if (state.kind === 'fresh') {
        const { value, ageMs, ttlLeftMs, chars } = state.entry;
        values[index] = value as V;
        outcome(call, { kind: 'hit', ageMs, ttlLeftMs, chars }, trips);
      } else {
        misses.push({ ...call, index, ...this.#stamps(call, state, trip.answer, minted?.answer) });
      }
    });
    if (misses.length === 0) return values;

    const settled = await failing(this.#loadAndFill(source, misses), () => {
      for (const miss of misses) outcome(miss, { kind: 'error', reason: 'load-failed' }, trips);
    });
    misses.forEach((miss, i) => {
      const { value, joined, unstored } = settled[i] as Settled<V>;
      values[miss.index] = value;
      const kind = joined ? 'joined' : miss.stamps === undefined ? 'bypass' : 'miss';
      outcome(miss, { kind, reason: unstored ?? miss.reason }, trips);
    });
    return values;
  }

  /**
   * `fn` with its results kept under the policy's name and the arguments (canonical: order of members does not matter).
   * Errors are not kept. Concurrent equal calls share one run if the tokens they read before it were the same. The policy's
   * tags say which row-sets `fn` reads; none: a result is valid until its TTL.
   */
  memoize<Args extends unknown[], R>(
    fn: (...args: Args) => Promise<R> | R,
    policy: Omit<Policy<Args>, 'tags' | 'scope' | 'shape'> & {
      readonly tags?: (...args: Args) => readonly Tag[];
      readonly shape?: string;
    },
  ): (...args: Args) => Promise<R> {
    const { tags, ...rest } = policy;
    const full: Policy<Args> = {
      shape: '1',
      ...rest,
      scope: 'public',
      tags: (args) => tags?.(...args) ?? [],
    };
    checkPolicy(full);
    return (...args) => this.read(full, args, async () => fn(...args));
  }

  /**
   * FENCE, before COMMIT: from its acknowledgement on, nothing under these tags is served or stored until `release`.
   * @returns false when the store could not be reached for LEASE_MS and the policy is `available`: commit without a
   *   fence, and answer no sooner than LEASE_MS after the commit.
   * @throws CacheError FENCE_REFUSED when the policy is `reject`: roll back.
   */
  async fence(xid: bigint, tags: readonly Tag[]): Promise<boolean> {
    const startedMs = this.#clock.monotonicMs();
    for (let attempt = 0; ; attempt++) {
      // After a failure only a connection opened now, after the caller's writes, proves anything.
      const fresh = attempt > 0 || this.store.lostForMs() > 0;
      try {
        await this.store.fence(xid, tags, { fresh });
        return true;
      } catch (error) {
        this.#events.storeFailed?.('fence', error);
        if (this.#fencePolicy === 'reject') {
          throw new CacheError('FENCE_REFUSED', 'the write was refused: Redis cannot be reached', { cause: error });
        }
        const triedMs = this.#clock.monotonicMs() - startedMs;
        if (fresh && (triedMs >= LEASE_MS || this.store.lostForMs() >= LEASE_MS)) {
          this.#events.unfenced?.(xid);
          return false;
        }
        await this.#clock.sleep(FENCE_RETRY_MS);
      }
    }
  }

  /** RELEASE, after COMMIT or ROLLBACK was acknowledged, and only then. Not awaited: what is lost here, the relay repairs. */
  release(xid: bigint, tags: readonly Tag[]): void {
    this.#unawaited(this.store.release(xid, tags).catch((error) => this.#events.storeFailed?.('release', error)));
  }

  /** Resolves when the fills and releases asked for so far, which no caller waits for, have reached the store or failed. */
  async settled(): Promise<void> {
    await Promise.all(this.#underWay);
  }

  #unawaited(work: Promise<unknown>): void {
    this.#underWay.add(work);
    void work.finally(() => this.#underWay.delete(work));
  }

  #call<A>(policy: Policy<A>, arg: A, options: ReadOptions): Call<A> {
    const viewer = policy.scope === 'viewer' ? options.viewer : undefined;
    if (policy.scope === 'viewer' && viewer === undefined) {
      throw new CacheError('POLICY', `policy ${policy.name}: its scope is 'viewer', but the read names no viewer`);
    }
    const args = policy.key === undefined ? arg : policy.key(arg);
    return { arg, key: keyOf({ name: policy.name, shape: policy.shape, viewer, args }), tags: policy.tags(arg) };
  }

  #state(call: Call<unknown>, view: View): State {
    const state = stateOf({
      lease: view.lease,
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

  /** Tokens for the tags that have none: only on a cold cache. One round trip for all that miss one in this turn. */
  async #mintMissing(calls: readonly Call<unknown>[], states: readonly State[]) {
    const missing = calls.flatMap((call, i) => {
      const state = states[i] as State;
      return state.kind === 'missing' ? call.tags.filter((_, t) => state.tokens[t] === undefined) : [];
    });
    if (missing.length === 0) return undefined;
    try {
      return await this.#mints.add(missing);
    } catch (error) {
      this.#events.storeFailed?.('mint', error);
      return { number: 0, answer: new Map<Tag, string>() };
    }
  }

  /** Under which stamps a miss may be stored: tokens read before its load, none of them a fence, and a lease. */
  #stamps(
    call: Call<unknown>,
    state: Exclude<State, { kind: 'fresh' }>,
    view: View,
    minted: ReadonlyMap<Tag, string> | undefined,
  ): { stamps: string | undefined; reason: OutcomeReason } {
    if (state.kind === 'unleased') return { stamps: undefined, reason: 'no-lease' };
    if (state.kind === 'fenced') return { stamps: undefined, reason: 'fenced' };
    const tokens = call.tags.map((tag, i) => state.tokens[i] ?? minted?.get(tag));
    if (tokens.includes(undefined)) return { stamps: undefined, reason: 'store-unavailable' };
    if (tokens.some((token) => isFence(token as string))) return { stamps: undefined, reason: 'fenced' };
    const stamps = stampText((view.lease as NonNullable<View['lease']>).purge, tokens as string[]);
    return { stamps, reason: state.invalid ? 'invalid' : 'absent' };
  }

  /**
   * One load for all misses that no equal load is under way for. A call joins a load only under the very stamps it read
   * itself: joining any load of its key would hand it a value older than a write that was acknowledged before it began.
   */
  async #loadAndFill<A, V>(source: Source<A, V>, misses: readonly Miss<A>[]): Promise<Settled<V>[]> {
    const flying = misses.map((miss) =>
      miss.stamps === undefined ? undefined : (this.#flights.get(flightName(miss)) as Promise<V> | undefined),
    );
    const own = misses.filter((_, i) => flying[i] === undefined);
    const loading = own.length === 0 ? Promise.resolve([]) : this.#load(source, own);
    own.forEach((miss, i) => {
      if (miss.stamps === undefined) return;
      const value = loading.then((values) => values[i] as V);
      value.catch(() => {}); // whoever loads sees the error below; a flight that nobody joined must not count as unhandled
      this.#flights.set(flightName(miss), value);
    });
    const values = await failing(loading, () => {
      for (const miss of own) this.#land(miss);
    });
    const loaded = new Map(own.map((miss, i) => [miss, values[i] as V]));
    return Promise.all(
      misses.map(async (miss, i) => {
        const flight = flying[i];
        if (flight !== undefined) return { value: await flight, joined: true, unstored: undefined };
        const value = loaded.get(miss) as V;
        return { value, joined: false, unstored: this.#fill(source, miss, value) };
      }),
    );
  }

  /** From now on nobody joins this load. */
  #land(miss: Miss<unknown>): void {
    this.#flights.delete(flightName(miss));
  }

  async #load<A, V>(source: Source<A, V>, calls: readonly Call<A>[]): Promise<V[]> {
    const values = await this.#aroundLoad({ name: source.name, tags: distinct(calls, tagsOf) }, () =>
      source.load(calls.map(({ arg }) => arg)),
    );
    if (values.length !== calls.length) {
      throw new CacheError('LOAD_SHAPE', `${source.name}: ${calls.length} values expected, ${values.length} loaded`);
    }
    return [...values];
  }

  /** FILL. Not awaited: a late one is harmless, since it carries the stamps from before its load. @returns why not */
  #fill<A>(policy: Policy<A>, miss: Miss<A>, value: unknown): OutcomeReason | undefined {
    if (miss.stamps === undefined) return undefined;
    const ttlMs = entryTtlMs(policy, value, this.#random());
    let text: string;
    try {
      text = entryText({ stamps: miss.stamps, value, loadedAtMs: this.#clock.nowMs(), ttlMs });
    } catch {
      this.#land(miss);
      return 'unencodable';
    }
    if (text.length > (policy.maxChars ?? DEFAULT_MAX_CHARS)) {
      this.#land(miss);
      return 'too-large';
    }
    // The load may be joined until its value can be read.
    const filled = this.#fills
      .add({ key: miss.key, text, ttlMs })
      .catch((error) => this.#events.storeFailed?.('fill', error))
      .finally(() => this.#land(miss));
    this.#unawaited(filled);
    return undefined;
  }

  async #trip<T>(go: () => Promise<T>): Promise<Trip<T>> {
    const number = ++this.#trips;
    return { number, answer: await go() };
  }
}

interface Settled<V> {
  readonly value: V;
  readonly joined: boolean;
  readonly unstored: OutcomeReason | undefined;
}

/** Names a load with the stamps it was begun under: equal names, equal values. */
function flightName(miss: Miss<unknown>): string {
  return `${miss.stamps}${miss.key}`;
}

/** `work`, with a last word if it fails. */
async function failing<T>(work: Promise<T>, onFailure: () => void): Promise<T> {
  try {
    return await work;
  } catch (error) {
    onFailure();
    throw error;
  }
}

const keysOf = (call: Call<unknown>): readonly Key[] => [call.key];
const tagsOf = (call: Call<unknown>): readonly Tag[] => call.tags;

function distinct<T>(calls: readonly Call<unknown>[], pick: (call: Call<unknown>) => readonly T[]): T[] {
  return [...new Set(calls.flatMap(pick))];
}
