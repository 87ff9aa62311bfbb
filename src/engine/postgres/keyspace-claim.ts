/**
 * Decides whether a database may use the keys of a store. They belong to the database that the position of the log
 * group names. Another one takes them only when nothing is served from them, so two databases in use never purge each
 * other in turns.
 */
import { databaseOf, type Head, LEASE_MS } from '../cache/index.js';
import { type Clock, SECOND } from '../cache/time.js';
import type { DatabaseIdentity } from './database-identity.js';

/**
 * How long the owner must have been without a lease before this database takes the keys. Short if this database was
 * made from the owner and so most likely replaces it. Otherwise longer than an owner in use may wait for its lease
 * (MAX_BARRIER_MS in relay.ts).
 */
const MADE_FROM_IT_MS = LEASE_MS / 2;
const UNRELATED_MS = 12 * SECOND;

/**
 * `own`: the keys are this database's. `vacant`: they have no owner. `take`: their owner is gone. `refused`: their
 * owner is in use, or may be. `unknown`: the log group cannot be reached.
 */
export type Claim = 'own' | 'vacant' | 'take' | 'refused' | 'unknown';

const EACH_ITS_OWN = 'give each installation a REDIS_GROUP of its own';

/**
 * Why nothing is cached while a claim is refused, and what an operator can expect or do. `owner`: the database that the
 * keys belong to.
 */
export function refusalWords(owner: string | undefined, database: DatabaseIdentity): string {
  const soonS = (LEASE_MS + MADE_FROM_IT_MS) / SECOND;
  if (owner === undefined) {
    return (
      'nothing is cached yet: an older build has written the keys of this Redis group, without the name of its database. This one ' +
      `takes them within ${soonS} s, unless servers of that build still run`
    );
  }
  if (owner === database.previous) {
    return (
      'nothing is cached yet: the keys of this Redis group belong to this database as it was before it was restored, promoted, ' +
      `restarted or migrated, or to the one that it was copied from. This one takes them within ${soonS} s. If servers still use ` +
      `them for the other one they are not taken: then ${EACH_ITS_OWN}`
    );
  }
  return (
    'nothing is cached: the keys of this Redis group belong to another database, or to this one in a state that its backup did not ' +
    `know. This one takes them once they have been out of use for ${UNRELATED_MS / SECOND} s. If servers use them for another ` +
    `database they are not taken: then ${EACH_ITS_OWN}`
  );
}

export class KeyspaceClaim {
  readonly #clock: Clock;
  #unleased: { readonly purge: string; readonly sinceMs: number } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param home HEAD of the log group; undefined when it was not reached */
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
