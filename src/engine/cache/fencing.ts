/** FENCE and RELEASE: the writer's steps in the store around its commit. */
import { CacheError } from './errors.js';
import type { CacheEvents, WriteStep } from './events.js';
import { inSpan } from './spans.js';
import { type ExactFence, LEASE_MS, type ReleaseOptions, type WriteProtocol } from './store.js';
import type { Tag } from './tag.js';
import type { Clock } from './time.js';

/** The pause between two attempts to fence. */
const FENCE_RETRY_MS = 50;
/** A write that cannot be fenced although the store answers others is held no longer: its rows are locked meanwhile. */
const MAX_TRY_MS = 3 * LEASE_MS;

/** When a fence cannot be placed: `available` commits without it once the store has been lost for LEASE_MS, `reject` rolls back. */
export type FencePolicy = 'available' | 'reject';

export class Fencing {
  readonly #store: WriteProtocol;
  readonly #clock: Clock;
  readonly #events: CacheEvents;
  readonly #policy: FencePolicy;
  /** The database of the latest write, and since when this process has been writing to it. */
  #writers: { readonly database: string | undefined; readonly sinceMs: number } = { database: undefined, sinceMs: 0 };

  constructor(options: { store: WriteProtocol; clock: Clock; events: CacheEvents; policy: FencePolicy }) {
    this.#store = options.store;
    this.#clock = options.clock;
    this.#events = options.events;
    this.#policy = options.policy;
  }

  /** See `Cache.fence`. */
  fence(
    xid: bigint,
    tags: readonly Tag[],
    database?: string,
    expected?: ReadonlyMap<Tag, string>,
  ): Promise<boolean | ExactFence> {
    return inSpan(
      () => ({ name: 'fence', attributes: { 'cache.tags': tags.length } }),
      async (span) => {
        const placed = await this.#timed('FENCE', tags, () => this.#fence(xid, tags, database, expected));
        span?.setAttribute('cache.fenced', placed !== false);
        return placed;
      },
    );
  }

  async #fence(
    xid: bigint,
    tags: readonly Tag[],
    database: string | undefined,
    expected: ReadonlyMap<Tag, string> | undefined,
  ): Promise<boolean | ExactFence> {
    const startedMs = this.#clock.monotonicMs();
    if (database !== this.#writers.database) this.#writers = { database, sinceMs: startedMs };
    // Attempts take turns. Only one on a connection opened for it shows that the store is lost, but where connections
    // keep breaking, one that was opened again meanwhile is more likely to last long enough.
    let fresh = this.#store.outageMs(tags) > 0;
    for (let attempt = 0; ; attempt++, fresh = !fresh) {
      try {
        const reply = await this.#store.fence(xid, tags, { fresh, database, expected });
        // After an attempt whose reply was lost, a copy of it may still set the fence again.
        if (typeof reply === 'object' && attempt === 0) return reply;
        // A database with a new id: for LEASE_MS a reader may know it by its previous id and be served under that
        // lease.
        if (reply !== 'foreign' || startedMs - this.#writers.sinceMs >= LEASE_MS) return true;
        this.#events.unfenced?.(xid);
        return false;
      } catch (error) {
        this.#events.storeFailed?.('fence', error);
        if (this.#policy === 'reject') {
          throw new CacheError('FENCE_REFUSED', 'the write was refused: Redis cannot be reached, or takes no writes', {
            cause: error,
          });
        }
        const triedMs = this.#clock.monotonicMs() - startedMs;
        // One writer's bad luck is no outage: while others reach the store, readers hold leases that prove old values.
        if (fresh && (this.#store.outageMs(tags) >= LEASE_MS || triedMs >= MAX_TRY_MS)) {
          this.#events.unfenced?.(xid);
          return false;
        }
        await this.#clock.sleep(FENCE_RETRY_MS);
      }
    }
  }

  /** See `Cache.release`. Never rejects. */
  release(xid: bigint, tags: readonly Tag[], options: ReleaseOptions): Promise<void> {
    const released = () => this.#timed('RELEASE', tags, () => this.#store.release(xid, tags, options));
    return inSpan(() => ({ name: 'release', attributes: { 'cache.tags': tags.length } }), released).catch((error) =>
      this.#events.storeFailed?.('release', error),
    );
  }

  async #timed<T>(step: WriteStep['step'], tags: readonly Tag[], run: () => Promise<T>): Promise<T> {
    const startedMs = performance.now();
    const timed = { step, tags: tags.length, startedMs, ms: undefined as number | undefined };
    this.#events.writeStep?.(timed);
    try {
      return await run();
    } finally {
      timed.ms = performance.now() - startedMs;
    }
  }
}
