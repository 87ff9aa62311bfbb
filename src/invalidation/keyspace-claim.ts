/**
 * Whose the keys of a store are. They belong to one database, which the position of HOME names, and are handed over only when nothing
 * is served from them: two databases in use never purge each other in turns.
 */
import { databaseOf, type Head, LEASE_MS } from '../cache/index.js';
import { type Clock, SECOND } from '../time.js';
import type { DatabaseIdentity } from './database-identity.js';

/**
 * How long the lease of another database must have been gone before this one takes the keys. Short where this one was made from the
 * other, so most likely is what became of it. Else longer than the other, if it is in use, may wait for its lease (MAX_BARRIER_MS).
 */
const MADE_FROM_IT_MS = LEASE_MS / 2;
const UNRELATED_MS = 12 * SECOND;

/**
 * `own`: nothing in the way. `vacant`: nobody's yet. `take`: another database had them and is gone. `refused`: another database has
 * them, or nothing can be said because HOME cannot be reached (`unknown`).
 */
export type Claim = 'own' | 'vacant' | 'take' | 'refused' | 'unknown';

export class KeyspaceClaim {
  readonly #clock: Clock;
  #unleased: { readonly purge: string; readonly sinceMs: number } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param home what HEAD said of HOME; undefined when it was not reached */
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
    // No owner: of a build that did not name any, most likely of this very database.
    const madeFromIt = owner === undefined || owner === database.previous;
    return nowMs - this.#unleased.sinceMs >= (madeFromIt ? MADE_FROM_IT_MS : UNRELATED_MS) ? 'take' : 'refused';
  }
}
