/**
 * The port to where entries and tokens live for all processes. Every method is one round trip and one atomic step there,
 * bounded in time; all reject with CacheError STORE_UNAVAILABLE and with nothing else. Held by one conformance suite.
 */
import type { Lease } from './entry.js';
import type { Key } from './key.js';
import type { Tag } from './tag.js';

/** L: no hit is served longer than this after the last proof that all committed writes were applied. */
export const LEASE_MS = 2000;
/** Tokens outlive the entries stamped with them; one that expires costs a miss. */
export const TOKEN_TTL_MS = 24 * 60 * 60 * 1000;

/** While a long transaction holds the position back, the ids released since are told, so that none is applied again and again. */
export const MAX_RELEASED_KNOWN = 20_000;

export interface View {
  readonly lease: Lease | undefined;
  readonly entries: ReadonlyMap<Key, string>;
  readonly tokens: ReadonlyMap<Tag, string>;
}

export interface Fill {
  readonly key: Key;
  readonly text: string;
  readonly ttlMs: number;
}

/** How far the outbox is applied here: every transaction below `xid` is, and entries carry `purge`. */
export interface Position {
  readonly xid: bigint;
  readonly purge: string;
}

export interface Head {
  /** The store's own clock, ms: what leases are counted from. */
  readonly clockMs: number;
  readonly position: Position | undefined;
  /** How long the lease still runs, ms; 0 when there is none. */
  readonly leaseLeftMs: number;
  /** Names the server's run: APPLY refuses to act on another. */
  readonly run: string;
  /** Transactions from `position` on whose tags were released here already, in rising order; at most MAX_RELEASED_KNOWN. */
  readonly released: readonly string[];
}

export interface Tick {
  readonly head: Head;
  /** The new position: all transactions below it are over and their rows are in `rows` or were applied before. */
  readonly next: Position;
  readonly rows: readonly { readonly xid: bigint; readonly tags: readonly Tag[] }[];
  /** A transaction id of our own, assigned after `head` found no lease. */
  readonly barrier: bigint | undefined;
  /** False while rows are left for the next tick: then nothing proves freshness. */
  readonly grant: boolean;
}

/** `applied`, or why not: another server run, another position than in `head`, or past the lease it would grant. */
export type Applied = 'applied' | 'moved' | 'raced' | 'late';

export interface Store {
  /** `redis` or `memory`: for people. */
  readonly kind: string;
  /** READ: lease, entries and tokens. */
  read(keys: readonly Key[], tags: readonly Tag[]): Promise<View>;
  /** Gives a fresh token to each tag that has none; answers what each tag then holds, which may be another's token or a fence. */
  mint(tags: readonly Tag[]): Promise<ReadonlyMap<Tag, string>>;
  fill(fills: readonly Fill[]): Promise<void>;
  /** FENCE. Idempotent. `fresh`: on a connection opened by this call, after whatever the caller did before. */
  fence(xid: bigint, tags: readonly Tag[], options: { fresh: boolean }): Promise<void>;
  /** RELEASE: the transaction is over, and this process knows it. Idempotent. Publishes the tags. */
  release(xid: bigint, tags: readonly Tag[]): Promise<void>;
  /** RELEASE of transactions found to be over in a fence left behind: the outbox still brings their tags. */
  unfence(xids: readonly string[], tags: readonly Tag[]): Promise<void>;
  head(): Promise<Head>;
  apply(tick: Tick): Promise<Applied>;
  /** How long every attempt of this process to reach the store has failed, ms; 0 after a success. */
  lostForMs(): number;
  close(): Promise<void>;
}
