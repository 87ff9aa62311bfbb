/** FENCE and RELEASE: the writer's steps in the store around its commit. */
import { CacheError } from './errors.js';
import type { CacheEvents } from './events.js';
import { LEASE_MS, type WriteProtocol } from './store.js';
import type { Tag } from './tag.js';
import type { Clock } from './time.js';

/** The pause between two attempts to fence. */
const FENCE_RETRY_MS = 50;

/** When a fence cannot be placed: `available` commits without it after LEASE_MS, `reject` rolls back. */
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
  async fence(xid: bigint, tags: readonly Tag[], database?: string): Promise<boolean> {
    const startedMs = this.#clock.monotonicMs();
    if (database !== this.#writers.database) this.#writers = { database, sinceMs: startedMs };
    for (let attempt = 0; ; attempt++) {
      // After a failure only a connection opened now, after the caller's writes, proves anything.
      const fresh = attempt > 0 || this.#store.outageMs(tags) > 0;
      try {
        const reply = await this.#store.fence(xid, tags, { fresh, database });
        // A database with a new id: for LEASE_MS a reader may know it by its previous id and be served under that
        // lease.
        if (reply === 'fenced' || startedMs - this.#writers.sinceMs >= LEASE_MS) return true;
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
        if (fresh && (triedMs >= LEASE_MS || this.#store.outageMs(tags) >= LEASE_MS)) {
          this.#events.unfenced?.(xid);
          return false;
        }
        await this.#clock.sleep(FENCE_RETRY_MS);
      }
    }
  }

  /** See `Cache.release`. Never rejects. */
  release(
    xid: bigint,
    tags: readonly Tag[],
    options: { unfenced: boolean; database?: string | undefined },
  ): Promise<void> {
    return this.#store.release(xid, tags, options).catch((error) => this.#events.storeFailed?.('release', error));
  }
}
