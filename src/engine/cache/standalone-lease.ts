/**
 * The lease of a store that no database writes to: `memoize`, and `read` with a TTL, in an application without the
 * Postgres side. Any number of processes run it; the position in the store decides between them.
 *
 * What it proves. The relay's lease says that all committed writes are applied. Here the only writers are
 * `invalidate`s. Each is one step in the store, acknowledged after it is done: there is nothing to apply later, and
 * nothing to fence. So an entry is current if the tokens it carries are those in the store, unless the store has lost
 * an `invalidate` that it had acknowledged. It can do so in two ways:
 *
 * - A server starts again from a file, or a replica is promoted, without the last writes. Such a server has another
 *   history (`Head.history`: its run, and its replication id, which changes with every promotion). The position names
 *   the history in its purge token. A tick that finds another history gives another purge token, which voids every
 *   entry and every load under way. Until that tick there is no lease, since a lease belongs to one run of one server.
 * - Keys are deleted or evicted. A missing token is never equal to anything, and without the position a tick purges.
 *
 * So the lease says: this server has lost no `invalidate` since the position was written. A lease that has merely
 * ended, because no process ran for a while, comes back without a purge. Where the history cannot be read (a Redis that
 * refuses INFO to scripts), only a lease that has not ended proves it, and each interruption purges.
 *
 * What it does not prove: that there is only one primary. An old primary that a partition has cut off together with
 * some processes serves these until the partition ends, for there is no database to tell them otherwise.
 * `min-replicas-to-write 1` bounds that to LEASE_MS, since such a primary refuses to renew the lease.
 */
import { digest } from './key.js';
import { isDue, nextTickMs, readHeads, withLogGroup } from './lease-ticks.js';
import type { Log } from './log.js';
import { databaseOf } from './purge.js';
import { type AppliedElsewhere, type Head, LOG_GROUP, type Store, type Tick } from './store.js';
import { randomToken } from './token.js';

/** In place of the name of a database, in purge tokens. Differs from every database's id. */
const OWNER = 'standalone';
/** There are no transactions: every position has this id. */
const XID = 1n;

const FOREIGN =
  'nothing is cached: the keys of this Redis group belong to a cache with a database. Give each application a group of its own';

export class StandaloneLease {
  readonly #store: Store;
  readonly #log: Log;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();
  #stopped = true;
  /** Whether the keys were this kind's when LOG_GROUP was last reached. */
  #owned = false;
  /** What went wrong at the last tick, for the log: each kind of failure is logged once. */
  #trouble: 'failing' | 'foreign' | undefined;

  /** Binds the store: only leases of this kind are served from. */
  constructor(options: { store: Store; log: Log }) {
    this.#store = options.store;
    this.#log = options.log;
    this.#store.bind(
      () => OWNER,
      () => this.#owned,
    );
  }

  /** Ticks until `stop`. The first tick is awaited, so that a started process caches at once. Never throws. */
  async start(): Promise<void> {
    this.#stopped = false;
    await this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#running;
  }

  async #run(): Promise<void> {
    this.#running = this.tick().then(
      (result) => this.#note(result === 'foreign' ? 'foreign' : undefined, FOREIGN),
      (error) =>
        this.#note('failing', 'the lease cannot be renewed: after 2 s nothing is served from the cache', error),
    );
    await this.#running;
    if (this.#stopped) return;
    this.#timer = setTimeout(() => void this.#run(), nextTickMs()).unref();
  }

  #note(trouble: 'failing' | 'foreign' | undefined, message: string, error?: unknown): void {
    if (trouble !== undefined && trouble !== this.#trouble) this.#log.warn(error ? { err: error } : {}, message);
    if (trouble === undefined && this.#trouble !== undefined) this.#log.info({}, 'the cache serves again');
    this.#trouble = trouble;
  }

  /**
   * Renews, once, the leases that need it. LOG_GROUP comes last, and only with all others: its lease names theirs (see
   * `Tick.others`).
   * @throws CacheError STORE_UNAVAILABLE when no server can be reached; Error when it takes no writes
   */
  async tick(): Promise<'renewed' | 'recent' | 'foreign' | 'raced'> {
    const reached = await readHeads(this.#store);
    const home = reached.find(({ group }) => group === LOG_GROUP)?.head;
    if (home !== undefined) this.#owned = !this.#isForeign(home);
    if (home !== undefined && !this.#owned) return 'foreign';
    const needed = reached.filter((one) => isDue(one) || !keeps(one.head));
    if (needed.length === 0) return 'recent';
    const due = withLogGroup(needed, reached, this.#store.groups);
    const others = due.filter(({ group }) => group !== LOG_GROUP);
    const replies = await Promise.all(others.map(({ group, head }) => this.#store.apply(planned(head), group)));
    if (replies.some(({ result }) => result !== 'applied')) return 'raced';
    if (home === undefined || others.length === due.length) return 'renewed';
    const generations: (string | undefined)[] = new Array(this.#store.groups).fill(undefined);
    for (const [i, { group }] of others.entries()) generations[group] = replies[i]?.generation;
    const { result } = await this.#store.apply(planned(home, { generations, unreleased: new Set() }), LOG_GROUP);
    return result === 'applied' ? 'renewed' : 'raced';
  }

  /**
   * While the keys belong to a cache with a database, they are left to it: also when its lease has ended, for it may
   * come back.
   */
  #isForeign({ position }: Head): boolean {
    return position !== undefined && databaseOf(position.purge) !== OWNER;
  }
}

/** Whether the entries under the position still hold: see above. */
function keeps({ position, history, leaseLeftMs }: Head): boolean {
  if (position === undefined || databaseOf(position.purge) !== OWNER) return false;
  return history === undefined ? leaseLeftMs > 0 : position.purge.startsWith(`${OWNER}.${nameOf(history)}.`);
}

/**
 * The tick that renews or grants a lease under this head. It may always grant: with a new purge token nothing of before
 * holds.
 */
function planned(head: Head, others?: AppliedElsewhere): Tick {
  const purge = keeps(head) ? head.position?.purge : undefined;
  return {
    head,
    next: { xid: XID, purge: purge ?? `${OWNER}.${nameOf(head.history ?? 'unknown')}.${randomToken()}` },
    rows: [],
    barrier: XID,
    grant: 'grant',
    ...(others && { others }),
  };
}

function nameOf(history: string): string {
  return digest(history).slice(0, 12);
}
