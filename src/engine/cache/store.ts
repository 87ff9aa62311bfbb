/**
 * The interface to the entries and tokens that all processes share. Each method is one round trip and one atomic step
 * in each group, bounded in time. A failure rejects with CacheError STORE_UNAVAILABLE and with nothing else. One
 * conformance suite tests all stores.
 */
import type { Durations } from './durations.js';
import type { Lease } from './entry.js';
import type { Key } from './key.js';
import { type Tag, tableOf, tableTag } from './tag.js';

/** L: no hit is served for longer than this after the last proof that all committed writes were applied. */
export const LEASE_MS = 2000;
/** Tokens outlive the entries stamped with them. One that expires costs a miss. */
export const TOKEN_TTL_MS = 24 * 60 * 60 * 1000;

/**
 * Released ids that HEAD reports. While a long transaction holds the position back, they keep writes from being applied
 * again and again.
 */
export const MAX_RELEASED_KNOWN = 20_000;

/** Notes that one HEAD reports. A process that dies leaves at most as many fences as its write pool has connections. */
export const MAX_ORPHANS_PER_TICK = 5;

/**
 * Records kept in the log. FENCE and APPLY append the tags they touch, so that a process knows which of its copies are
 * old.
 */
export const MAX_LOG_RECORDS = 2000;
/** A record with more tags names their tables instead: every entry carries those too. */
export const MAX_TAGS_PER_RECORD = 200;
/** Notes of standing fences that a READ takes. Of more it learns nothing. */
export const MAX_NOTES_PER_READ = 100;
/** A reader that is further behind begins again at the end. */
export const MAX_RECORDS_PER_READ = 500;

/**
 * The group that holds the log, which covers all groups. Its lease names their leases, so memory depends on all of
 * them.
 */
export const LOG_GROUP = 0;

/** A position in the log. Sequences have no gaps within one epoch, which is the life of one log. */
export interface LogMark {
  readonly epoch: string;
  readonly sequence: number;
}

export type LogSlice =
  /** All records after the given mark, each the tags it names; `mark` is the last record. */
  | { readonly kind: 'records'; readonly mark: LogMark; readonly records: readonly (readonly Tag[])[] }
  /** A record after that mark may be gone: nothing is known. */
  | { readonly kind: 'gap' }
  /** The end of the log, if there is a log. */
  | { readonly kind: 'tail'; readonly mark: LogMark | undefined };

export interface View {
  /** By group: the groups that were read, and the log group if the log was read. */
  readonly leases: readonly (Lease | undefined)[];
  readonly entries: ReadonlyMap<Key, string>;
  readonly tokens: ReadonlyMap<Tag, string>;
  /** Present if it was asked for. */
  readonly log: LogSlice | undefined;
  /** The tags of all fences that stand, perhaps of some that no longer do. Absent: not asked for, or not known. */
  readonly fenced?: ReadonlySet<Tag> | undefined;
}

export interface StoreReadOptions {
  /**
   * A mark: read what was invalidated since then. `tail`: read only where the log ends. Absent: do not read the log.
   */
  readonly log?: LogMark | 'tail' | undefined;
  /**
   * MINT: in the same step, gives a fresh token to each tag that has none. A tag that gets none is left out. Default:
   * no.
   */
  readonly mint?: boolean;
  /** Read the notes of fences, too. Ignored by a store of several groups. Default: no. */
  readonly fenced?: boolean;
}

export interface Fill {
  readonly key: Key;
  readonly text: string;
  readonly ttlMs: number;
}

/** How far the outbox is applied here: every transaction below `xid` is applied, and entries carry `purge`. */
export interface Position {
  readonly xid: bigint;
  readonly purge: string;
}

/** A fence whose transaction is over. */
export interface OrphanFence {
  readonly xid: string;
  /** Those in the group that reported it. */
  readonly tags: readonly Tag[];
}

export interface Head {
  /** The store's own clock, ms. Leases count from it. */
  readonly clockMs: number;
  readonly position: Position | undefined;
  /** How long the lease still runs, ms; 0 without a lease, or with one that proves nothing. */
  readonly leaseLeftMs: number;
  /** Identifies the server's run: APPLY refuses to act on another. */
  readonly run: string;
  /** The connection that HEAD used, for servers on which scripts cannot read the run id: APPLY must use the same. */
  readonly link?: number;
  /**
   * Notes of fences whose transactions are below `position`, and so over. The fence may be gone already; it is not, if
   * its writer died or it was set after its release.
   */
  readonly orphans: readonly OrphanFence[];
  /**
   * Transactions from `position` on whose tags were released here already, in rising order; at most MAX_RELEASED_KNOWN.
   */
  readonly released: readonly string[];
  /** The server's reason for refusing writes: nothing can be applied. Absent while it takes them, or has a lease. */
  readonly refusal?: string;
  /**
   * Names the unbroken time of this server as a primary. While it stays the same, the server has lost nothing that it
   * acknowledged. Absent where that cannot be known.
   */
  readonly history?: string;
  /** Some process wants samples of all: see `Samples`. Reported by the log group. Absent: none does. */
  readonly samplesWanted?: true;
}

export interface Tick {
  readonly head: Head;
  /** The new position: all transactions below it are over, and their rows are in `rows` or were applied before. */
  readonly next: Position;
  /** With all their tags: each group takes its own, the log group writes all to the log. */
  readonly rows: readonly { readonly xid: bigint; readonly tags: readonly Tag[] }[];
  /** A transaction id of our own, assigned after `head` found no lease. */
  readonly barrier: bigint | undefined;
  /**
   * `hold` while rows are left for the next tick: nothing proves freshness then. `force`: grant without waiting for the
   * barrier; what was fenced on a lost server may then be served old for LEASE_MS.
   */
  readonly grant: 'grant' | 'hold' | 'force';
  /**
   * For the log group: what the same tick found in the other groups, whose APPLY came first. Absent: its lease names
   * none of theirs.
   */
  readonly others?: AppliedElsewhere;
}

export interface AppliedElsewhere {
  /** By group, the generation of the lease that its APPLY granted or renewed. The log group's own place is empty. */
  readonly generations: readonly (string | undefined)[];
  /** Transactions that some group had not released. The log group logs them, even where it has released them itself. */
  readonly unreleased: ReadonlySet<string>;
}

/**
 * Who made a release known. `writer`: the process that wrote. `relay`: it found the transaction in the outbox, and no
 * writer had released it. `recovery`: a fence outlived its transaction. `hand`: `invalidate`.
 */
export type ReleasedBy = 'writer' | 'relay' | 'recovery' | 'hand';

/** Events of a store. */
export type StoreEvent =
  /**
   * These transactions are over, and the store knows what they made old. Sent after RELEASE, and by APPLY for what was
   * not released.
   */
  | {
      readonly kind: 'released';
      readonly xids: readonly string[];
      readonly tags: readonly Tag[];
      readonly by: ReleasedBy;
    }
  /** Events may have been missed: the connection is new, or gone. */
  | { readonly kind: 'disconnected' };

/**
 * `applied`, or why not: another server run, another position than in `head`, or past the end of the lease it would
 * grant.
 */
export type Applied = 'applied' | 'moved' | 'raced' | 'late';

/** Each expected token was there when the fence was set. */
export interface ExactFence {
  readonly kind: 'exact';
  /** The record of this fence in the log. */
  readonly mark: LogMark;
  /** The log group's lease at that moment, if there was one. */
  readonly lease: Lease | undefined;
}

export type FenceReply = 'fenced' | 'foreign' | ExactFence;

export interface ReleaseFill {
  readonly key: Key;
  /** Those that the transaction fenced. */
  readonly tags: readonly Tag[];
  readonly ttlMs: number;
  readonly text: string;
}

/** Entries that RELEASE stores, each unless another write of its tags came in between. */
export interface ReleaseFills {
  /** Never used before. Becomes the token of the entries' tags; their texts carry it. */
  readonly token: string;
  readonly entries: readonly ReleaseFill[];
}

/** The most texts that `setText` keeps, over all groups. */
export const MAX_TEXTS = 1000;

export interface ApplyReply {
  readonly result: Applied;
  /** The generation of the lease that was granted or renewed, if any. */
  readonly generation?: string | undefined;
  /** The rows with tags of this group whose transactions had not been released here. */
  readonly unreleased: readonly string[];
}

/**
 * Entries and tokens. Tags and entries are spread over `groups`, each of which has its own position and lease. A single
 * server has one group. A Cluster has a fixed number, so that all keys of a group are on one shard.
 */
export interface EntryStore {
  readonly groups: number;
  groupOf(name: Key | Tag): number;
  /** READ: leases, entries and tokens. */
  read(keys: readonly Key[], tags: readonly Tag[], options?: StoreReadOptions): Promise<View>;
  fill(fills: readonly Fill[]): Promise<void>;
  /** Takes the refresh lock of a stale entry for `ttlMs`. True for the first caller. */
  tryLockRefresh(key: Key, ttlMs: number): Promise<boolean>;
  /** Takes the tokens of these tags away and logs it: for what no transaction writes. */
  invalidate(tags: readonly Tag[]): Promise<void>;
}

export interface FenceOptions {
  /** On a connection opened by this call, after whatever the caller did before. */
  readonly fresh: boolean;
  readonly database?: string | undefined;
  /** Tokens of some of the tags. A store of several groups compares none. */
  readonly expected?: ReadonlyMap<Tag, string> | undefined;
}

export interface ReleaseOptions {
  /** No fence logged this write, so RELEASE does. */
  readonly unfenced: boolean;
  readonly database?: string | undefined;
  /** Only of a fence that was sent once and whose reply was exact. */
  readonly fills?: ReleaseFills | undefined;
}

/** What writers and the relay do around a commit. */
export interface WriteProtocol {
  /**
   * FENCE: first the tags, then the log, so that a reader of the record cannot have read the tags before. Idempotent.
   * `database`, here and below, is the transaction's: while the keys of a group belong to another database, the call
   * does nothing in that group and succeeds, since the id means another transaction there. Absent: not compared.
   * @returns `foreign` when the keys of some group belong to another database
   */
  fence(xid: bigint, tags: readonly Tag[], options: FenceOptions): Promise<FenceReply>;
  /**
   * RELEASE: the transaction is over, and this process knows it. Idempotent. Publishes the tags. Logs them if no fence
   * did (`unfenced`), or if its own fence is gone from a tag or its note from a group: then a reader may have kept,
   * since the fence's record, what the transaction made old. Each of `fills` is stored in the same step if its tags
   * hold the fence of this transaction alone and no other was released while it stood.
   */
  release(xid: bigint, tags: readonly Tag[], options?: ReleaseOptions): Promise<void>;
  /** RELEASE of transactions that Postgres says are over: the outbox still brings their tags. */
  releaseFinished(
    xids: readonly string[],
    tags: readonly Tag[],
    options?: { database?: string | undefined },
  ): Promise<void>;
  /** RELEASE of the orphans that `head` reported, in that group alone. */
  releaseOrphans(
    orphans: readonly OrphanFence[],
    group?: number,
    options?: { database?: string | undefined },
  ): Promise<void>;
  /** What a tick has to know before it queries Postgres. */
  head(group?: number): Promise<Head>;
  apply(tick: Tick, group?: number): Promise<ApplyReply>;
  /**
   * How long the store has taken no writes, as far as this process knows, ms: it was not reached, or it refused them. 0
   * while it takes them. A read that succeeds shows nothing about refused writes. With `tags`: the group among theirs
   * that was lost last counts; without: the one that was lost first, of all.
   */
  outageMs(tags?: readonly Tag[]): number;
}

/** Messages between processes. */
export interface Messages {
  /**
   * Subscribes to releases of all processes. Best effort: events lost with a connection are not repeated, but
   * `disconnected` says that some may be lost.
   * @returns the function that unsubscribes
   */
  subscribe(hear: (news: StoreEvent) => void): () => void;
}

/** Texts and counters that all processes share. */
export interface SharedValues {
  /**
   * Keeps a text under a name for all processes, for at most `ttlMs`: callers must work without it. Of more than
   * MAX_TEXTS the oldest are dropped.
   */
  setText(name: string, text: string, ttlMs: number): Promise<void>;
  getText(name: string): Promise<string | undefined>;
  /** Adds to counters of one day that all processes share. */
  addCounters(day: string, counts: ReadonlyMap<string, number>): Promise<void>;
  readCounters(day: string): Promise<ReadonlyMap<string, number>>;
}

/** Samples that are kept for those that read them. */
export const MAX_SAMPLES = 1000;
export const SAMPLES_TTL_MS = 10_000;

/**
 * Short texts that processes give each other while one of them wants to know how all are doing. Best effort: callers
 * must work without any. Nothing is written unless some process calls `want`.
 */
export interface Samples {
  /** For `ttlMs` HEAD tells all processes that samples are wanted. */
  want(ttlMs: number): Promise<void>;
  /** Keeps a sample for SAMPLES_TTL_MS at least, until the next one comes; of more than MAX_SAMPLES the oldest go. */
  add(text: string): Promise<void>;
  /** The samples after a mark, oldest first, and the mark of the last. Without a mark none: only where they end. */
  since(mark: string | undefined): Promise<{ readonly mark: string; readonly texts: readonly string[] }>;
}

/** What the store holds for a tag. */
export interface HeldTag {
  /** A token, or a fence. */
  readonly text: string;
  /** Remaining life in ms. Absent: it has no end. */
  readonly ttlMs: number | undefined;
}

/** What an operator is shown of a store. */
export interface Inspection {
  /** Circuit breakers that are open now. */
  readonly openBreakers: number;
  /** Why the store takes no writes, in words. Undefined while it takes them. */
  readonly outageReason: string | undefined;
  /** The name of a group: what its keys share. */
  groupName(group: number): string;
  /** Tokens and fences of these tags. Tags without either are absent. */
  heldTags(tags: readonly Tag[]): Promise<ReadonlyMap<Tag, HeldTag>>;
}

/** The connections to a store outside this process, for metrics. */
export interface StoreConnections {
  /** Whether every group can be reached now. */
  readonly up: boolean;
  /** How often a connection was opened again, by reason: every reason, from the start. */
  readonly reconnects: ReadonlyMap<string, number>;
  /** How long trips took, by kind: every kind, from the start. */
  readonly trips: ReadonlyMap<string, Durations>;
}

export interface Store extends EntryStore, WriteProtocol, Messages, SharedValues {
  /** `redis` or `memory`, for display. */
  readonly kind: string;
  readonly samples: Samples;
  readonly inspection: Inspection;
  /**
   * From now on `read` returns only leases of the database that `database` returns, and none while it returns none;
   * `fill` leaves out entries whose purge token names another. While `owned` is false, this process does not know that
   * the keys belong to its database and leaves them to their owner: `read` mints nothing, `fill` and `tryLockRefresh`
   * do nothing, `invalidate`, `setText`, `addCounters` and all of `samples` reject. An unbound store does all of it.
   */
  bind(database: () => string | undefined, owned?: () => boolean): void;
  /** Absent: the store is in this process. */
  readonly connections?: StoreConnections;
  close(): Promise<void>;
}

/** The tags of a log record, or their tables if there are too many. */
export function recordOf(tags: readonly Tag[]): readonly Tag[] {
  return tags.length <= MAX_TAGS_PER_RECORD ? tags : [...new Set(tags.map((tag) => tableTag(tableOf(tag))))];
}
