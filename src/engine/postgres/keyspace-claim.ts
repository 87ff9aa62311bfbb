/**
 * Decides whether a database may use the keys of a store. They belong to the database that the position of HOME names. Another one takes
 * them only when nothing is served from them, so two databases in use never purge each other in turns.
 */
import { databaseOf, type Head, LEASE_MS } from '../cache/index.js';
import { type Clock, SECOND } from '../cache/time.js';
import type { DatabaseIdentity } from './database-identity.js';

/**
 * How long the owner must have been without a lease before this database takes the keys. Short if this database was made from the owner
 * and so most likely replaces it. Otherwise longer than an owner in use may wait for its lease (MAX_BARRIER_MS in relay.ts).
 */
const MADE_FROM_IT_MS = LEASE_MS / 2;
const UNRELATED_MS = 12 * SECOND;

/**
 * `own`: the keys are this database's. `vacant`: they have no owner. `take`: their owner is gone. `refused`: their owner is in use, or may
 * be. `unknown`: HOME cannot be reached.
 */
export type Claim = 'own' | 'vacant' | 'take' | 'refused' | 'unknown';

export class KeyspaceClaim {
  readonly #clock: Clock;
  #unleased: { readonly purge: string; readonly sinceMs: number } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param home HEAD of HOME; undefined when it was not reached */
  decide(home: Head | undefined, database: DatabaseIdentity): Claim {
    if (home === undefined) return 'unknown';
    const { position, leaseLeftMs } = home;
    const owner = position && databaseOf(position.purge);
    if (position === undefined || owner === database.id || leaseLeftMs > 0) this.#unleased = undefined;
    if (position === undefined) return 'vacant';
    if (owner === database.id) return 'own';
    if (leaseLeftMs > 0) return 'refused';
    const nowMs = this.#clock.monotonicMs();
    if (this.#unleased?.purge !== position.purge) this.#unleased = { purge: position.purge, sinceMs: nowMs };
    // A build that named no owner wrote the position, most likely for this database.
    const madeFromIt = owner === undefined || owner === database.previous;
    return nowMs - this.#unleased.sinceMs >= (madeFromIt ? MADE_FROM_IT_MS : UNRELATED_MS) ? 'take' : 'refused';
  }
}
