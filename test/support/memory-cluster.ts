/** A Cluster made of memory stores, and an outbox in memory: for tests in which processes see different primaries of one shard. */
import { LOG_GROUP, type Store, type Tag } from '../../src/engine/cache/index.js';
import type { DatabaseIdentity } from '../../src/engine/postgres/database-identity.js';
import type { Outbox, OutboxView, Written } from '../../src/engine/postgres/outbox.js';

/** The log group keeps the log and nothing else. Group 1 has all entries and tags, on the primary that this process sees now. */
export function memoryCluster(home: Store, primary: () => Store): Store {
  const of = (group: number | undefined) => (group === 1 ? primary() : home);
  return {
    kind: 'memory',
    samples: home.samples,
    inspection: home.inspection,
    groups: 2,
    groupOf: () => 1,
    bind: () => {},
    async read(keys, tags, { log, mint = false } = {}) {
      const [group, logged] = await Promise.all([primary().read(keys, tags, { mint }), home.read([], [], { log })]);
      return { ...group, leases: [logged.leases[0], group.leases[0]], log: logged.log };
    },
    fill: (fills) => primary().fill(fills),
    tryLockRefresh: (key, ttlMs) => primary().tryLockRefresh(key, ttlMs),
    async fence(xid, tags, options) {
      await primary().fence(xid, tags, options);
      return home.fence(xid, tags, options);
    },
    async release(xid, tags, options) {
      await primary().release(xid, tags);
      await home.release(xid, tags, options);
    },
    releaseFinished: (xids, tags) => primary().releaseFinished(xids, tags),
    releaseOrphans: (orphans, group) => of(group).releaseOrphans(orphans),
    async invalidate(tags) {
      await primary().invalidate(tags);
      await home.invalidate(tags);
    },
    subscribe: (hear) => home.subscribe(hear),
    head: (group) => of(group).head(),
    apply: (tick, group = LOG_GROUP) => of(group).apply(tick),
    setText: (name, text, ttlMs) => home.setText(name, text, ttlMs),
    getText: (name) => home.getText(name),
    addCounters: (day, counts) => home.addCounters(day, counts),
    readCounters: (day) => home.readCounters(day),
    outageMs: () => 0,
    close: async () => {},
  };
}

const IDENTITY: DatabaseIdentity = { id: 'memory', previous: undefined };

/** Transactions that begin and end when the test says so. */
export class MemoryOutbox implements Outbox {
  readonly #open = new Set<bigint>();
  readonly #rows: Written[] = [];
  #next = 1000n;

  begin(): bigint {
    this.#open.add(this.#next);
    return this.#next++;
  }

  commit(xid: bigint, tags: readonly Tag[]): void {
    this.#open.delete(xid);
    this.#rows.push({ xid, tags });
  }

  async identity(): Promise<DatabaseIdentity> {
    return IDENTITY;
  }

  async read(from: bigint | undefined, applied: readonly string[]): Promise<OutboxView> {
    const horizon = [...this.#open].reduce((lowest, xid) => (xid < lowest ? xid : lowest), this.#next);
    const rows = this.#rows.filter(({ xid }) => from !== undefined && xid >= from && !applied.includes(String(xid)));
    return { identity: IDENTITY, horizon, rows, upTo: horizon, cut: false, trimmedBelow: 0n };
  }

  async freshTransactionId(): Promise<bigint> {
    return this.#next++;
  }

  async trim(): Promise<boolean> {
    return false;
  }

  async close(): Promise<void> {}
}
