/** What the engine tells about itself: one outcome for every cached call, and what broke on the way. */
import type { Key } from './key.js';
import type { Tag } from './tag.js';

/**
 * How one cached call ended. `near-hit`: from this process's memory; `stale`: from the store, older than its time to live but
 * within its policy's `staleMs`; `bypass`: loaded, because freshness could not be proved; `error`: the store failed and the
 * value was loaded, or the load itself failed.
 */
export type OutcomeKind = 'near-hit' | 'hit' | 'stale' | 'joined' | 'miss' | 'bypass' | 'error';

/** Why nothing was served from the store, or nothing stored. */
export type OutcomeReason =
  | 'absent'
  | 'invalid'
  | 'damaged'
  | 'expired'
  | 'fenced'
  | 'no-lease'
  | 'store-unavailable'
  | 'load-failed'
  | 'too-large'
  | 'too-many-tags'
  | 'unencodable'
  | 'mutation'
  | 'snapshot'
  | 'unapplied';

export interface Outcome {
  readonly name: string;
  readonly arg: unknown;
  readonly key: Key;
  readonly tags: readonly Tag[];
  readonly kind: OutcomeKind;
  readonly reason?: OutcomeReason;
  /** Of the entry served, ms and characters. */
  readonly ageMs?: number;
  readonly ttlLeftMs?: number;
  readonly chars?: number;
  /** From the call to its answer. */
  readonly ms: number;
  /** The round trips to the store that this call took part in, by number: calls that shared one name the same. */
  readonly roundTrips: readonly number[];
}

export interface CacheEvents {
  outcome?(outcome: Outcome): void;
  /** A reader met a fence: whoever watches fences may have to ask Postgres whether its writers still live. */
  fenceSeen?(tag: Tag, fence: string): void;
  /** The store failed at something nobody waits for (a fill, a release); the relay repairs what matters. */
  storeFailed?(what: 'read' | 'fill' | 'fence' | 'release' | 'refresh' | 'validate', error: unknown): void;
  /** A transaction commits without a fence: it is visible everywhere after LEASE_MS at the latest. */
  unfenced?(xid: bigint): void;
  /** Whether all that a snapshot's read set was given still held at its end. */
  validated?(held: boolean): void;
  /** The monitor compared a served value with its source. `violation`: the cache has lied, with proof. */
  checked?(result: 'same' | 'changed' | 'violation', call: { readonly name: string; readonly key: Key }): void;
}

/** Every outcome leaves by this function. */
export function reportOutcome(
  events: CacheEvents,
  name: string,
  { arg, key, tags }: Pick<Outcome, 'arg' | 'key' | 'tags'>,
  how: Omit<Outcome, 'name' | 'arg' | 'key' | 'tags'>,
): void {
  events.outcome?.({ name, arg, key, tags, ...how });
}
