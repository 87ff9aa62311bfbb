/** The events of the engine: one outcome for every cached call, and failures. */
import type { Key } from './key.js';
import type { Tag } from './tag.js';

/**
 * How one cached call ended. `near-hit`: from this process's memory; `hit`: from the store; `stale`: from the store,
 * older than its time to live but within its policy's `staleMs`; `miss`: loaded and stored; `joined`: shared a load in
 * progress; `bypass`: loaded without the cache: freshness could not be proved, the call has too many tags, or the request
 * bypasses it; `error`: the store failed and the value was loaded, or the load failed or was abandoned.
 */
export type OutcomeKind = 'near-hit' | 'hit' | 'stale' | 'joined' | 'miss' | 'bypass' | 'error';

/** Why a value was not served from the store, or not stored. */
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
  readonly reason?: OutcomeReason | undefined;
  /** Age and remaining life in ms, size in characters, of the entry served. */
  readonly ageMs?: number | undefined;
  readonly ttlLeftMs?: number | undefined;
  readonly chars?: number | undefined;
  /** Ms from the call to its answer. */
  readonly ms: number;
  /** The numbers of the store round trips that this call took part in. Calls that shared one have the same number. */
  readonly roundTrips: readonly number[];
}

/** A step at which the store can fail. */
export type StoreStep = 'read' | 'fill' | 'fence' | 'release' | 'refresh' | 'validate';

/** See `CacheEvents.checked`. */
export type CheckResult = 'same' | 'changed' | 'violation';

/** A READ that was answered. Calls of one event-loop tick share it. */
export interface RoundTrip {
  /** As in `Outcome.roundTrips`. */
  readonly number: number;
  /** By `performance.now()`. */
  readonly startedMs: number;
  readonly ms: number;
  /** Entries and tokens that it asked for. Neither: the log alone. */
  readonly keys: number;
  readonly tags: number;
}

/** FENCE or RELEASE of a write. */
export interface WriteStep {
  readonly step: 'FENCE' | 'RELEASE';
  readonly tags: number;
  /** By `performance.now()`. */
  readonly startedMs: number;
  /** With its repetitions. Undefined while it runs: a release is not awaited. */
  readonly ms: number | undefined;
}

export interface CacheEvents {
  roundTrip?(trip: RoundTrip): void;
  /** A step of a write begins, in the async context of the write. */
  writeStep?(step: WriteStep): void;
  outcome?(outcome: Outcome): void;
  /** A read met a fence. A fence watch uses this to find writers that died. */
  fenceSeen?(tag: Tag, fence: string): void;
  /** The store failed. The relay repairs what fills and releases lose. */
  storeFailed?(what: StoreStep, error: unknown): void;
  /** A transaction commits without a fence: it is visible everywhere after at most LEASE_MS. */
  unfenced?(xid: bigint): void;
  /** A load has ended, well or not. `ms`: from its slot to its end. */
  loaded?(load: { readonly name: string; readonly ms: number }): void;
  /** The result of `Cache.validate`. */
  validated?(held: boolean): void;
  /** The monitor compared a served value with its source. `violation`: the value served was provably old. */
  checked?(result: CheckResult, call: { readonly name: string; readonly key: Key }): void;
}

/**
 * The only function that reports outcomes. Hits report by the thousand: they pass a literal, since spreads are slow.
 */
export function reportOutcome(events: CacheEvents, outcome: Outcome): void {
  events.outcome?.(outcome);
}
