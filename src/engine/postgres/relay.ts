/**
 * The relay: four times a second some process brings the outbox into the store and renews the lease. It repairs
 * what a crash, an unreachable Redis or a write from outside of the API left behind, and by the lease it bounds for how
 * long anything could have been wrong. Any number of processes run it; the position in the store decides between them.
 */

import type { Log } from '../cache/index.js';
import {
  type Applied,
  type AppliedElsewhere,
  type ApplyReply,
  databaseOf,
  type GroupHead,
  type Head,
  isDue,
  LEASE_MS,
  LOG_GROUP,
  MAX_RELEASED_KNOWN,
  nextTickMs,
  type Position,
  purgeFor,
  readHeads,
  type Store,
  TICK_INTERVAL_MS,
  type Tick,
  withLogGroup,
} from '../cache/index.js';
import { type Clock, MINUTE, SECOND, systemClock } from '../cache/time.js';
import { type DatabaseIdentity, KnownDatabase } from './database-identity.js';
import { KeyspaceClaim, refusalWords } from './keyspace-claim.js';
import { LeftDatabases } from './left-databases.js';
import type { Outbox, OutboxView } from './outbox.js';
import type { RelayEvents, TickResult } from './relay-events.js';
import { appliedByAll, isOf, lowestPosition } from './relay-heads.js';

const TRIM_EVERY_MS = MINUTE;
const TICK_DEADLINE_MS = 5 * SECOND;
/** A backlog is caught up at once, but never in a loop that leaves nothing for others. */
const MAX_TICKS_IN_A_ROW = 100;

/**
 * A lease that was found with less than this left was renewed late: two more such ticks, and nothing would be served.
 */
const LATE_MS = LEASE_MS / 2;
/**
 * A transaction that writes for longer than this while there is no lease holds the cache back no more: what it may have
 * fenced on a server that is lost can then be served for LEASE_MS after its commit.
 */
const MAX_BARRIER_MS = 10 * SECOND;

/** How often a process asks Postgres for its identity while other processes renew the lease. */
const IDENTIFY_EVERY_MS = 2 * TICK_INTERVAL_MS;

export class Relay {
  readonly #store: Store;
  readonly #connect: () => Outbox;
  /** Made when a tick needs it; dropped when it does not answer, and at the end. */
  #outbox: Outbox | undefined;
  readonly #log: Log;
  readonly #events: RelayEvents;
  readonly #clock: Clock;
  readonly #database: KnownDatabase;
  readonly #claim: KeyspaceClaim;
  readonly #renews: boolean;
  #refused = false;
  #owned = false;
  readonly #left: LeftDatabases;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #stopped = true;
  #failing = false;
  #trimAtMs = 0;
  /** By group: since when this process finds it with a position and without a lease. */
  readonly #unleasedSinceMs = new Map<number, number>();
  #lookedAtMs: number | undefined;

  /**
   * `connect`: to the outbox by a connection of the relay's own, on the primary.
   * `database`: records the identity of each read of Postgres. The store should be bound to it.
   * `renews`: false where other processes apply the outbox and renew the lease: then this one only asks which database
   * it has, without which it would use no lease. Default true.
   */
  constructor(options: {
    store: Store;
    connect: () => Outbox;
    log: Log;
    events?: RelayEvents;
    clock?: Clock;
    database?: KnownDatabase;
    renews?: boolean;
  }) {
    this.#store = options.store;
    this.#connect = options.connect;
    this.#log = options.log;
    this.#events = options.events ?? {};
    this.#clock = options.clock ?? systemClock;
    this.#database = options.database ?? new KnownDatabase(this.#clock);
    this.#claim = new KeyspaceClaim(this.#clock);
    this.#left = new LeftDatabases(this.#store);
    this.#renews = options.renews ?? true;
  }

  /**
   * Whether the store's keys belonged to this process's database when the log group was last reached. False until that
   * is known, and after the database behind the address has changed.
   */
  get owned(): boolean {
    return this.#owned;
  }

  /** Whether nothing is cached because the store's keys belong to another database. */
  get refused(): boolean {
    return this.#refused;
  }

  /** Ticks until `stop`. The first tick is awaited, so that a started process may already serve from its cache. */
  async start(): Promise<void> {
    this.#stopped = false;
    await this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#running;
    await this.#drop(1);
  }

  async #drop(timeoutS: number): Promise<void> {
    const outbox = this.#outbox;
    this.#outbox = undefined;
    await outbox?.close({ timeoutS });
  }

  async #run(): Promise<void> {
    this.#running = this.#tickUntilCaughtUp().then(() => this.#trimInTime());
    await this.#running;
    if (this.#stopped) return;
    this.#timer = setTimeout(() => void this.#run(), nextTickMs());
  }

  async #tickUntilCaughtUp(): Promise<void> {
    try {
      let more = true;
      for (let ticks = 0; more && ticks < MAX_TICKS_IN_A_ROW && !this.#stopped; ticks++) {
        ({ more } = await this.#withinDeadline(this.tick()));
      }
      if (this.#failing) this.#log.info({}, 'the relay works again');
      this.#failing = false;
    } catch (error) {
      if (!this.#failing)
        this.#log.warn({ err: error }, 'the relay cannot tick: after 2 s nothing is served from the cache');
      this.#failing = true;
    }
  }

  async #trimInTime(): Promise<void> {
    try {
      await this.#withinDeadline(this.#trim());
    } catch (error) {
      this.#log.debug({ err: error }, 'the outbox could not be trimmed now');
    }
  }

  /** Without a deadline, a Postgres that holds connections open and does not answer would stop the relay for ever. */
  async #withinDeadline<T>(tick: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        void this.#drop(0);
        reject(new Error('Postgres did not answer'));
      }, TICK_DEADLINE_MS);
    });
    try {
      return await Promise.race([tick, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * TICK, once, for all groups that need it. `more`: rows are left, tick again at once.
   * @throws when Postgres or all of Redis cannot be reached, or takes no writes; groups that cannot be get no lease,
   * which is all that they must not get.
   */
  async tick(): Promise<{ result: TickResult; more: boolean }> {
    this.#outbox ??= this.#connect();
    const outbox = this.#outbox;
    const reached = await readHeads(this.#store);
    const home = reached.find(({ group }) => group === LOG_GROUP)?.head;
    this.#noteOwner(home); // also while Postgres is away
    await this.#left.voidEntries(reached, this.#database.latest?.id);
    // What was stored for a database that came back is void, so the process that notices it purges.
    const due = this.#renews || this.#database.toBePurged ? this.#due(reached) : [];
    if (this.#database.latest === undefined || (due.length === 0 && this.#database.sinceMs >= IDENTIFY_EVERY_MS)) {
      const askedAtMs = this.#clock.monotonicMs();
      if (this.#moved(await outbox.identity(), askedAtMs)) return { result: 'other', more: true };
    }
    const before = this.#database.latest as DatabaseIdentity;
    if (due.length === 0) {
      const refused = this.#isRefused(home, before);
      return this.#ticked(reached, { result: refused ? 'foreign' : 'recent', more: false });
    }
    const own = due.filter(({ head }) => isOf(head, before));
    const askedAtMs = this.#clock.monotonicMs();
    const barrier = due.some(({ head }) => head.leaseLeftMs === 0) ? await outbox.freshTransactionId() : undefined;
    const view = await outbox.read(lowestPosition(own), appliedByAll(own));
    // The rows were chosen by the position of the database before.
    if (this.#moved(view.identity, askedAtMs)) return { result: 'other', more: true };
    if (this.#isRefused(home, view.identity)) return this.#ticked(reached, { result: 'foreign', more: false });

    const ticks = this.#claimed(due, home, view).map(({ group, head }) => ({
      group,
      ...this.#plan({ group, head }, view, barrier),
    }));
    const results = await this.#apply(ticks);
    if (results.length === this.#store.groups && results.every((one) => one === 'applied')) this.#database.purged();
    for (const { group, head } of own) {
      if (head.orphans.length > 0) await this.#store.releaseOrphans(head.orphans, group, { database: before.id });
    }
    const more = ticks.some(({ more }, i) => more && results[i] === 'applied');
    const result = results.find((one) => one !== 'applied') ?? 'applied';
    return this.#ticked(reached, { result, more }, view.horizon - view.upTo);
  }

  /** Records the identity. True when it has changed: what this tick has read so far is then of no use. */
  #moved(identity: DatabaseIdentity, askedAtMs: number): boolean {
    const before = this.#database.latest;
    const change = this.#database.record(identity, askedAtMs);
    if (change === 'first' || change === 'same') return false;
    this.#owned = false;
    this.#left.leave((before as DatabaseIdentity).id);
    this.#log.warn(
      { database: identity.id, before: before?.id },
      'DATABASE_URL leads to another database than before, or this one was restored, promoted, restarted or migrated: nothing that was ' +
        'cached before is served',
    );
    this.#events.moved?.();
    return true;
  }

  #noteOwner(home: Head | undefined): void {
    const database = this.#database.latest;
    if (home !== undefined) this.#owned = database !== undefined && isOf(home, database);
  }

  /**
   * Whether the keys must be left alone. Logs each change. While the log group cannot be reached, nothing is known of a
   * change.
   */
  #isRefused(home: Head | undefined, database: DatabaseIdentity): boolean {
    this.#noteOwner(home);
    const claim = this.#claim.decide(home, database);
    if (claim === 'unknown') return false;
    const refused = claim === 'refused';
    if (refused !== this.#refused) {
      const owner = home?.position && databaseOf(home.position.purge);
      if (refused) this.#log.warn({ database: database.id, owner }, refusalWords(owner, database));
      else
        this.#log.info({ database: database.id }, 'the keys of this Redis group are this database’s now: it is cached');
    }
    this.#refused = refused;
    return refused;
  }

  /**
   * The due groups that this database may write to now. The log group decides who owns all groups: it is taken first
   * and alone, so one of two databases gets all of them. While the log group cannot be reached, only groups that are
   * already this database's are written to.
   */
  #claimed(due: readonly GroupHead[], home: Head | undefined, { identity }: OutboxView): readonly GroupHead[] {
    switch (this.#claim.decide(home, identity)) {
      case 'own':
        return due;
      case 'unknown':
        return due.filter(({ head }) => isOf(head, identity));
      default: {
        const first = due.filter(({ group }) => group === LOG_GROUP);
        return first.length > 0 ? first : due.filter(({ head }) => isOf(head, identity));
      }
    }
  }

  /** With the log group all groups, or not the log group: see `#apply`. */
  #due(reached: readonly GroupHead[]): readonly GroupHead[] {
    const due = this.#database.toBePurged ? reached : reached.filter(isDue);
    return withLogGroup(due, reached, this.#store.groups);
  }

  /**
   * The log group last, and only when all others have applied the same rows: it tells the process memories what to
   * drop, and a process that then read the old value from a group that had not applied it would keep it, with no record
   * left to come. The log group's lease names the leases of the others, and the log group logs what any of them had not
   * released: a reader may have read it there since the record of its fence.
   */
  async #apply(ticks: readonly { group: number; tick: Tick }[]): Promise<Applied[]> {
    const others = ticks.filter(({ group }) => group !== LOG_GROUP);
    const replies = await Promise.all(others.map(({ group, tick }) => this.#store.apply(tick, group)));
    const byGroup = new Map(others.map(({ group }, i) => [group, replies[i] as ApplyReply]));
    const home = ticks.find(({ group }) => group === LOG_GROUP);
    if (home !== undefined) {
      const refused = replies.find(({ result }) => result !== 'applied');
      const tick = { ...home.tick, others: this.#elsewhere(byGroup) };
      byGroup.set(LOG_GROUP, refused ?? (await this.#store.apply(tick, LOG_GROUP)));
    }
    return ticks.map(({ group }) => (byGroup.get(group) as ApplyReply).result);
  }

  #elsewhere(replies: ReadonlyMap<number, ApplyReply>): AppliedElsewhere {
    return {
      generations: Array.from({ length: this.#store.groups }, (_, group) => replies.get(group)?.generation),
      unreleased: new Set([...replies.values()].flatMap(({ unreleased }) => unreleased)),
    };
  }

  /** What to apply to one group. */
  #plan({ group, head }: GroupHead, view: OutboxView, barrier: bigint | undefined): { tick: Tick; more: boolean } {
    const known = head.position;
    const taken = known !== undefined && !isOf(head, view.identity);
    const why = known && this.#whyVoid(known, view);
    if (known === undefined || why !== undefined) {
      if (known !== undefined) {
        this.#log.warn({ group, position: known, horizon: view.horizon }, `all that was cached is void: ${why}`);
        this.#events.purged?.(group);
        this.#trimAtMs = 0; // the trim line may be of another history
      }
      const next = { xid: view.horizon, purge: purgeFor(view.identity.id) };
      // Only a position tells one data set from another: without one it may have been emptied again since `head`, and
      // with it fences of transactions younger than our barrier. So this tick names it, and the next may grant. The
      // same holds for the position of another database, under which our writers' fences were refused.
      const first = known === undefined || taken;
      return {
        tick: { head, next, rows: [], barrier, grant: first ? 'hold' : this.#grant({ group, head }) },
        more: first,
      };
    }
    const xid = view.upTo > known.xid ? view.upTo : known.xid; // a group that is ahead of where the rows were cut
    const rows = view.rows.filter((row) => row.xid >= known.xid);
    const grant = view.cut ? 'hold' : this.#grant({ group, head });
    // With more released than `head` can name, the next tick would read the same rows again.
    const more = view.cut && head.released.length < MAX_RELEASED_KNOWN;
    return { tick: { head, next: { xid, purge: known.purge }, rows, barrier, grant }, more };
  }

  /** Why no entry under this position may be served any more, in words; undefined when they may. */
  #whyVoid(position: Position, { identity, horizon, trimmedBelow }: OutboxView): string | undefined {
    if (databaseOf(position.purge) !== identity.id) {
      return 'the keys belonged to another database, or to another state of this one';
    }
    if (this.#database.toBePurged) return 'this database is back after another one was in its place';
    if (horizon < position.xid) return 'the transaction ids of Postgres have gone back';
    if (position.xid < trimmedBelow) return 'Redis has missed writes that the outbox no longer holds';
    return undefined;
  }

  #grant({ group, head }: GroupHead): 'grant' | 'force' {
    const sinceMs = this.#unleasedSinceMs.get(group);
    if (head.leaseLeftMs > 0 || sinceMs === undefined) return 'grant';
    if (this.#clock.monotonicMs() - sinceMs < MAX_BARRIER_MS) return 'grant';
    this.#log.warn({ group }, 'a transaction has been writing for 10 s: the cache serves without waiting for it');
    this.#events.forced?.(group);
    return 'force';
  }

  /** Records since when each group has had no lease, and reports the tick. */
  #ticked<R extends { result: TickResult }>(reached: readonly GroupHead[], ended: R, behind?: bigint): R {
    const nowMs = this.#clock.monotonicMs();
    const database = this.#database.latest;
    const own = reached.filter(({ head }) => database !== undefined && isOf(head, database));
    for (const { group } of reached) {
      const head = own.find((one) => one.group === group)?.head;
      if (head === undefined || head.leaseLeftMs > 0) this.#unleasedSinceMs.delete(group);
      else if (!this.#unleasedSinceMs.has(group)) this.#unleasedSinceMs.set(group, nowMs);
    }
    const leaseLeftMs = own.find(({ group }) => group === LOG_GROUP)?.head.leaseLeftMs ?? 0;
    const sinceMs = this.#lookedAtMs === undefined ? 0 : nowMs - this.#lookedAtMs;
    this.#lookedAtMs = nowMs;
    this.#events.ticked?.({
      result: ended.result,
      late: leaseLeftMs < LATE_MS,
      unleasedMs: leaseLeftMs === 0 ? sinceMs : 0,
      heads: reached,
      behind,
    });
    return ended;
  }

  /** Apart from the tick: also while the store is away, or else the outbox would grow until it is back. */
  async #trim(): Promise<void> {
    const nowMs = this.#clock.monotonicMs();
    if (!this.#renews || nowMs < this.#trimAtMs) return;
    this.#trimAtMs = nowMs + TRIM_EVERY_MS; // also after a failure
    this.#outbox ??= this.#connect();
    if (await this.#outbox.trim()) this.#trimAtMs = nowMs;
  }
}
