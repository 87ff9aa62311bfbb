/**
 * The port to where entries and tokens live for all processes. Every method is one round trip and one atomic step there,
 * bounded in time; all reject with CacheError STORE_UNAVAILABLE and with nothing else. Held by one conformance suite.
 */
import type { Lease } from './entry.js';
import type { Key } from './key.js';
import { type Tag, tableOf, tableTag } from './tag.js';

/** L: no hit is served longer than this after the last proof that all committed writes were applied. */
export const LEASE_MS = 2000;
/** Tokens outlive the entries stamped with them; one that expires costs a miss. */
export const TOKEN_TTL_MS = 24 * 60 * 60 * 1000;

/** While a long transaction holds the position back, the ids released since are told, so that none is applied again and again. */
export const MAX_RELEASED_KNOWN = 20_000;

/** Fences told by one HEAD: a process that dies leaves no more of them than its pool of writers has connections. */
export const MAX_FORGOTTEN_PER_TICK = 5;

/** The log of invalidations: FENCE and APPLY append what they touch, so that a process knows what of its own memory is old. */
export const MAX_LOG_RECORDS = 2000;
/** A record with more tags names their tables instead: every entry carries those too. */
export const MAX_TAGS_PER_RECORD = 200;
/** A reader further behind than this starts anew at the end. */
export const MAX_RECORDS_PER_READ = 500;

/** The group that holds the log, complete for all groups. Its lease names those of the others, so memory depends on all of them. */
export const LOG_GROUP = 0;

/** A place in the log: records are numbered without gaps within one epoch, the life of one log. */
export interface LogMark {
  readonly epoch: string;
  readonly sequence: number;
}

export type LogSlice =
  /** All records after the mark that was asked for, each the tags it names; `mark` is the last. */
  | { readonly kind: 'next'; readonly mark: LogMark; readonly records: readonly (readonly Tag[])[] }
  /** Some record after that mark may be gone: nothing can be said. */
  | { readonly kind: 'hole' }
  /** Where the log ends now, if there is one. */
  | { readonly kind: 'end'; readonly mark: LogMark | undefined };

export interface View {
  /** By group; of the groups that were read, and of HOME when the log was. */
  readonly leases: readonly (Lease | undefined)[];
  readonly entries: ReadonlyMap<Key, string>;
  readonly tokens: ReadonlyMap<Tag, string>;
  /** Present when it was asked for. */
  readonly log: LogSlice | undefined;
}

export interface StoreReadOptions {
  /** What was invalidated since then, or where the log ends. Absent: not asked. */
  readonly log?: LogMark | 'end' | undefined;
  /** MINT: gives a fresh token to each tag that has none, in the same step; one that gets none all the same is not answered. Default: no. */
  readonly mint?: boolean;
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

/** A fence whose transaction is over. */
export interface OrphanFence {
  readonly xid: string;
  /** Of the group that told it. */
  readonly tags: readonly Tag[];
}

export interface Head {
  /** The store's own clock, ms: what leases are counted from. */
  readonly clockMs: number;
  readonly position: Position | undefined;
  /** How long the lease still runs, ms; 0 when there is none, or one that proves nothing. */
  readonly leaseLeftMs: number;
  /** Names the server's run: APPLY refuses to act on another. */
  readonly run: string;
  /** The connection that HEAD came by, where scripts cannot tell one server from another: APPLY must go by the same. */
  readonly link?: number;
  /** Fences of transactions below `position` that nobody released: their writers died, or the fence came after its release. */
  readonly orphans: readonly OrphanFence[];
  /** Transactions from `position` on whose tags were released here already, in rising order; at most MAX_RELEASED_KNOWN. */
  readonly released: readonly string[];
  /** Why this server takes no writes, in its own words: then nothing can be applied. Absent while it takes them, or has a lease. */
  readonly refusal?: string;
  /**
   * Names the unbroken time of this server as a primary. While it stays the same, the server has lost nothing that it acknowledged. Absent
   * where that cannot be known.
   */
  readonly history?: string;
}

export interface Tick {
  readonly head: Head;
  /** The new position: all transactions below it are over and their rows are in `rows` or were applied before. */
  readonly next: Position;
  /** With all their tags: each group takes its own, HOME writes all to the log. */
  readonly rows: readonly { readonly xid: bigint; readonly tags: readonly Tag[] }[];
  /** A transaction id of our own, assigned after `head` found no lease. */
  readonly barrier: bigint | undefined;
  /**
   * `hold` while rows are left for the next tick: then nothing proves freshness. `force`: grant without waiting for the barrier;
   * what fenced on a server that is lost may then be served old for LEASE_MS.
   */
  readonly grant: 'grant' | 'hold' | 'force';
  /** For HOME: what the same tick found in the other groups, whose APPLY it follows. Absent: it names no lease of theirs. */
  readonly others?: AppliedElsewhere;
}

export interface AppliedElsewhere {
  /** By group, the generation of the lease that its APPLY granted or renewed; HOME's own place is empty. */
  readonly generations: readonly (string | undefined)[];
  /** Transactions that some group had not released: HOME logs them, also where it has released them itself. */
  readonly unreleased: ReadonlySet<string>;
}

/** What a store tells those who listen. */
export type StoreEvent =
  /** These transactions are over, and what they made old is known as old here: told after RELEASE, and by APPLY of what nobody released. */
  | { readonly kind: 'released'; readonly xids: readonly string[]; readonly tags: readonly Tag[] }
  /** Something may have been told and not heard: the connection is new, or gone. */
  | { readonly kind: 'gap' };

/** `applied`, or why not: another server run, another position than in `head`, or past the lease it would grant. */
export type Applied = 'applied' | 'moved' | 'raced' | 'late';

export type FenceReply = 'fenced' | 'foreign';

/** Texts kept by `remember`, over all groups. */
export const MAX_TEXTS = 1000;

export interface ApplyReply {
  readonly result: Applied;
  /** Of the lease that was granted or renewed, if one was. */
  readonly generation?: string | undefined;
  /** Of the rows with tags of this group, those whose transactions had not been released here. */
  readonly unreleased: readonly string[];
}

/**
 * Tags and entries are spread over `groups`, each of which has its position and its lease. A store of one server has one group;
 * a cluster has a fixed number, so that all keys of a group are on one shard.
 */
export interface Store {
  /** `redis` or `memory`: for people. */
  readonly kind: string;
  readonly groups: number;
  groupOf(name: Key | Tag): number;
  /**
   * From now on `read` returns only leases of the database that `database` names, and none while it names none; `fill` leaves out entries
   * whose purge token names another. While `owned` says that the keys are not known to be that database's, this process leaves them to their
   * owner: `read` mints nothing, `fill` and `claim` do nothing, `invalidate`, `remember` and `count` reject. An unbound store does all of it.
   */
  bind(database: () => string | undefined, owned?: () => boolean): void;
  /** READ: leases, entries and tokens. */
  read(keys: readonly Key[], tags: readonly Tag[], options?: StoreReadOptions): Promise<View>;
  fill(fills: readonly Fill[]): Promise<void>;
  /** True for the first who claims this key within `ttlMs`: whoever refreshes a stale entry. */
  tryLockRefresh(key: Key, ttlMs: number): Promise<boolean>;
  /**
   * FENCE: first the tags, then the log, so that who saw the record cannot have read the tags before. Idempotent.
   * `fresh`: on a connection opened by this call, after whatever the caller did before. Here and below, `database` is the one of the
   * transaction: while the keys of a group belong to another, the call does nothing in that group and succeeds, since the id means another
   * transaction there. Absent: not compared.
   * @returns `foreign` when the keys of some group belong to another database
   */
  fence(
    xid: bigint,
    tags: readonly Tag[],
    options: { fresh: boolean; database?: string | undefined },
  ): Promise<FenceReply>;
  /**
   * RELEASE: the transaction is over, and this process knows it. Idempotent. Publishes the tags. Also logs them where no fence did
   * (`unfenced`), and where its own fence is gone from one of the tags or its note from a group: then a reader may have kept, since the
   * fence's record, what the transaction made old.
   */
  release(
    xid: bigint,
    tags: readonly Tag[],
    options?: { unfenced: boolean; database?: string | undefined },
  ): Promise<void>;
  /** RELEASE of transactions found to be over in a fence left behind: the outbox still brings their tags. */
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
  /** Fresh tokens for these tags, at once and told in the log: for what no transaction writes. */
  invalidate(tags: readonly Tag[]): Promise<void>;
  /**
   * Hears what is released, by whatever process, until it is told to stop. Best effort: what is lost with a connection is not told again,
   * but that something may be lost is (`gap`).
   */
  subscribe(hear: (news: StoreEvent) => void): () => void;
  head(group?: number): Promise<Head>;
  apply(tick: Tick, group?: number): Promise<ApplyReply>;
  /**
   * Keeps a text under a name for all processes, for `ttlMs` or less: who asks for it must do without, if need be. Of more than MAX_TEXTS the
   * oldest are dropped.
   */
  setText(name: string, text: string, ttlMs: number): Promise<void>;
  getText(name: string): Promise<string | undefined>;
  /** Adds to counters of one day that all processes share. */
  addCounters(day: string, readCounters: ReadonlyMap<string, number>): Promise<void>;
  counts(day: string): Promise<ReadonlyMap<string, number>>;
  /**
   * For how long the store has taken no writes, as far as this process knows, ms: it could not be reached, or it refused them. 0 while it takes them.
   * A read that succeeds says nothing of writes that were refused. Of several groups the one counts that was lost last, among those of `tags`; without
   * `tags` the one that was lost first, of all.
   */
  outageMs(tags?: readonly Tag[]): number;
  close(): Promise<void>;
}

/** What a record of the log says of a write. */
export function recordOf(tags: readonly Tag[]): readonly Tag[] {
  return tags.length <= MAX_TAGS_PER_RECORD ? tags : [...new Set(tags.map((tag) => tableTag(tableOf(tag))))];
}
