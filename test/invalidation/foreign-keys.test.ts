/** The relay before keys that are not those of its database: when it takes them, when it leaves them, and what it grants then. */
import { beforeEach, describe, expect, test } from 'vitest';
import { databaseOf, LEASE_MS, LOG_GROUP, MemoryStore, type Store } from '../../src/engine/cache/index.js';
import { type DatabaseIdentity, KnownDatabase } from '../../src/engine/postgres/database-identity.js';
import type { Outbox } from '../../src/engine/postgres/outbox.js';
import { Relay } from '../../src/engine/postgres/relay.js';
import { createLog } from '../../src/platform/log.js';
import { SECOND } from '../../src/std/time.js';
import { FakeClock, tagOf } from '../cache/world.js';
import { readableLog } from '../support/log.js';
import { memoryCluster } from '../support/memory-cluster.js';

let clock: FakeClock;
let store: MemoryStore;

beforeEach(() => {
  clock = new FakeClock();
  store = new MemoryStore(clock);
});

/** A database whose transactions are `active`; the next id is `nextId`. */
class FakeDatabase {
  nextId = 100n;
  readonly active = new Set<bigint>();

  constructor(public identity: DatabaseIdentity) {}

  begin(): bigint {
    const xid = this.nextId++;
    this.active.add(xid);
    return xid;
  }

  outbox(): Outbox {
    return {
      identity: async () => this.identity,
      read: async () => {
        const horizon = [...this.active].reduce((least, xid) => (xid < least ? xid : least), this.nextId);
        return { identity: this.identity, horizon, rows: [], upTo: horizon, cut: false, trimmedBelow: 0n };
      },
      freshTransactionId: async () => this.nextId++,
      trim: async () => false,
      close: async () => {},
    };
  }
}

function relayOf(database: FakeDatabase, over: Store = store, log = createLog('silent')) {
  const moved: number[] = [];
  const known = new KnownDatabase(clock);
  const relay = new Relay({
    store: over,
    clock,
    log,
    connect: () => database.outbox(),
    events: { moved: () => moved.push(clock.monotonicMs()) },
    database: known,
  });
  /** Ticks as its timer does. */
  const tickFor = async (ms: number) => {
    const results = [];
    for (let passedMs = 0; passedMs < ms; passedMs += 250) {
      let more = true;
      while (more) {
        const tick = await relay.tick();
        results.push(tick.result);
        ({ more } = tick);
      }
      clock.advance(250);
    }
    return results;
  };
  return { relay, known, moved, tickFor };
}

const owner = async () => {
  const { position } = await store.head();
  return position && databaseOf(position.purge);
};
const leased = async () => (await store.head()).leaseLeftMs > 0;
const identityOf = (id: string, previous?: string): DatabaseIdentity => ({ id, previous });

describe('keys of another database', () => {
  test('are left alone as long as it renews its lease, however long', async () => {
    const ours = relayOf(new FakeDatabase(identityOf('ours', 'theirs')));
    const theirs = relayOf(new FakeDatabase(identityOf('theirs')));
    await theirs.tickFor(1000);
    const { position } = await store.head();
    for (let i = 0; i < 100; i++) {
      await theirs.tickFor(250);
      expect(new Set(await ours.tickFor(250))).toEqual(new Set(['foreign']));
    }
    expect((await store.head()).position?.purge).toBe(position?.purge);
    expect(ours.relay.refused).toBe(true);
    expect(theirs.relay.refused).toBe(false);
  });

  test('are still known to be of another while the log group of a Cluster cannot be reached', async () => {
    const shard = new MemoryStore(clock);
    const cluster = memoryCluster(store, () => shard);
    let reached = true;
    const head: Store['head'] = async (group) => {
      if (group === LOG_GROUP && !reached) throw new Error('the log group cannot be reached');
      return cluster.head(group);
    };
    const { log, lines } = readableLog();
    const theirs = relayOf(new FakeDatabase(identityOf('theirs')), cluster);
    const ours = relayOf(new FakeDatabase(identityOf('ours')), { ...cluster, head }, log);
    for (reached of [true, false, true]) {
      await theirs.tickFor(1000);
      await ours.tickFor(250);
      expect(ours.relay.refused).toBe(true);
    }
    expect(lines.map(({ msg }) => msg)).toEqual([
      expect.stringContaining('the keys of this Redis group belong to another database'),
    ]);
  });

  test.each([
    ['that this one was made from are taken within a second', identityOf('ours', 'theirs'), 1 * SECOND],
    ['that is unrelated are taken when it would have its lease again by now', identityOf('ours'), 12 * SECOND],
  ])('%s after its lease has ended', async (_, identity, waitMs) => {
    await relayOf(new FakeDatabase(identityOf('theirs'))).tickFor(1000);
    const ours = relayOf(new FakeDatabase(identity));
    await ours.tickFor(LEASE_MS + waitMs - 500);
    expect(await owner()).toBe('theirs');
    await ours.tickFor(1000);
    expect(await owner()).toBe('ours');
    expect(await leased()).toBe(true);
    expect(ours.relay.refused).toBe(false);
  });

  test.each([
    [
      'of the database before',
      identityOf('ours', 'theirs'),
      /this database as it was before it was restored, promoted, restarted or migrated, or to the one that it was copied from.* within 3 s/,
    ],
    [
      'of another database',
      identityOf('ours', 'before theirs'),
      /another database, or to this one in a state that its backup did not know.* for 12 s/,
    ],
  ])(
    '%s: the log says so, what will happen and what to do, and then that it has happened',
    async (_, identity, words) => {
      await relayOf(new FakeDatabase(identityOf('theirs'))).tickFor(1000);
      const { log, lines } = readableLog();
      const ours = relayOf(new FakeDatabase(identity), store, log);
      await ours.tickFor(LEASE_MS + 13 * SECOND);
      expect(lines.map(({ database, owner, msg }) => ({ database, owner, msg }))).toEqual([
        { database: 'ours', owner: 'theirs', msg: expect.stringMatching(words) },
        { database: 'ours', msg: expect.stringContaining('this database’s now') },
        {
          msg: expect.stringContaining('void: the keys belonged to another database, or to another state of this one'),
        },
      ]);
      expect(lines[0]?.msg).toContain('give each installation a REDIS_GROUP of its own');
    },
  );

  test('are owned once the tick has seen that they are, and not while they are another database’s or before any tick', async () => {
    await relayOf(new FakeDatabase(identityOf('theirs'))).tickFor(1000);
    const database = new FakeDatabase(identityOf('ours', 'theirs'));
    const ours = relayOf(database);
    expect(ours.relay.owned).toBe(false);
    await ours.tickFor(500);
    expect([ours.relay.refused, ours.relay.owned]).toEqual([true, false]);
    await ours.tickFor(LEASE_MS + 1500);
    expect([ours.relay.refused, ours.relay.owned]).toEqual([false, true]);
    database.identity = identityOf('other', 'ours');
    await ours.relay.tick();
    expect(ours.relay.owned).toBe(false);
  });

  test('are seen to be another’s also while Postgres is away', async () => {
    const database = new FakeDatabase(identityOf('ours'));
    const outbox = database.outbox();
    let away = false;
    const ask =
      <A extends unknown[], R>(method: (...args: A) => Promise<R>) =>
      async (...args: A): Promise<R> => {
        if (away) throw new Error('Postgres is away');
        return method(...args);
      };
    Object.assign(database, { outbox: () => ({ ...outbox, identity: ask(outbox.identity), read: ask(outbox.read) }) });
    const ours = relayOf(database);
    await ours.tickFor(1000);
    expect(ours.relay.owned).toBe(true);
    away = true;
    clock.advance(LEASE_MS);
    await relayOf(new FakeDatabase(identityOf('theirs', 'ours'))).tickFor(2000);
    expect(await owner()).toBe('theirs');
    clock.advance(LEASE_MS);
    await expect(ours.relay.tick()).rejects.toThrow('Postgres is away');
    expect(ours.relay.owned).toBe(false);
  });

  test('of a build that named none are taken like those of the database before', async () => {
    await store.apply({
      head: await store.head(),
      next: { xid: 50n, purge: 'unnamed' },
      rows: [],
      barrier: undefined,
      grant: 'hold',
    });
    const { log, lines } = readableLog();
    const ours = relayOf(new FakeDatabase(identityOf('ours')), store, log);
    await ours.tickFor(500);
    expect(lines.map(({ msg }) => msg)).toEqual([expect.stringContaining('an older build has written the keys')]);
    expect(await owner()).toBeUndefined();
    await ours.tickFor(1500);
    expect(await owner()).toBe('ours');
  });

  test('get no lease with the tick that takes them, and none until those are over whose fences were refused before', async () => {
    await relayOf(new FakeDatabase(identityOf('theirs'))).tickFor(1000);
    const database = new FakeDatabase(identityOf('ours', 'theirs'));
    const writers: bigint[] = [];
    // A writer comes while the tick that takes the keys is in Postgres: its id is above that tick's own, its fence is refused.
    const outbox = database.outbox();
    const { read } = outbox;
    outbox.read = async (...args) => {
      const view = await read(...args);
      if (writers.length < 100 && (await owner()) === 'theirs') {
        const xid = database.begin();
        writers.push(xid);
        await store.fence(xid, [tagOf(1)], { fresh: false, database: 'ours' });
      }
      return view;
    };
    Object.assign(database, { outbox: () => outbox });
    const ours = relayOf(database);
    await ours.tickFor(LEASE_MS + 2000);
    expect(await owner()).toBe('ours');
    expect((await store.read([], [tagOf(1)])).tokens.size).toBe(0);
    const last = writers.at(-1) as bigint;
    for (const xid of writers) if (xid !== last) database.active.delete(xid);
    await ours.tickFor(1000);
    expect(await leased()).toBe(false);
    database.active.delete(last);
    await ours.tickFor(1000);
    expect(await leased()).toBe(true);
  });
});

describe('a database that changes behind its address', () => {
  test('is noticed by a process that leaves the ticks to others, well before its knowledge runs out', async () => {
    const database = new FakeDatabase(identityOf('a'));
    const others = relayOf(new FakeDatabase(identityOf('a')));
    const ours = relayOf(database);
    await others.tickFor(1000);
    await ours.relay.tick();
    const step = async () => {
      clock.advance(250);
      await others.relay.tick();
      return (await ours.relay.tick()).result;
    };
    for (let i = 0; i < 20; i++) {
      expect(await step()).toBe('recent');
      expect(ours.known.current).toBe('a');
    }
    database.identity = identityOf('b', 'a');
    for (let i = 0; i < 3; i++) await step();
    expect(ours.known.current).toBe('b');
    expect(ours.moved).toHaveLength(1);
    expect(ours.relay.refused).toBe(true);
    expect(await owner()).toBe('a');
  });

  test('voids what this process has stored for the one before, once, also where others go on with that one', async () => {
    const database = new FakeDatabase(identityOf('a'));
    const ours = relayOf(database);
    const same = new FakeDatabase(identityOf('a'));
    same.nextId = 1000n; // ids that go back void everything, too
    const others = relayOf(same);
    await ours.tickFor(1000);
    const before = (await store.head()).position?.purge;
    database.identity = identityOf('b');
    const purges: (string | undefined)[] = [];
    for (let i = 0; i < 8; i++) {
      await ours.tickFor(250);
      await others.tickFor(250);
      purges.push((await store.head()).position?.purge);
    }
    const [after] = purges.slice(-1);
    expect(databaseOf(after ?? '')).toBe('a');
    expect(new Set(purges).size).toBeLessThanOrEqual(2); // the one before, until it was noticed
    expect(after).not.toBe(before);
    expect((await store.read([], [])).leases[LOG_GROUP]).toMatchObject({ purge: after });
  });

  test('and back voids what was stored for it meanwhile, which may be of the other', async () => {
    const database = new FakeDatabase(identityOf('a'));
    const ours = relayOf(database);
    await ours.tickFor(1000);
    const before = (await store.head()).position?.purge;
    database.identity = identityOf('b');
    await ours.tickFor(250);
    database.identity = identityOf('a');
    await ours.tickFor(500);
    const after = (await store.head()).position?.purge;
    expect(databaseOf(after ?? '')).toBe('a');
    expect(after).not.toBe(before);
    await ours.tickFor(500);
    expect((await store.head()).position?.purge).toBe(after);
    expect(await leased()).toBe(true);
  });

  test('and back is not served what was stored for it before the purge, although another process has kept its lease', async () => {
    const database = new FakeDatabase(identityOf('a'));
    const ours = relayOf(database);
    const others = relayOf(new FakeDatabase(identityOf('a')));
    await ours.tickFor(1000);
    for (const id of ['b', 'a']) {
      database.identity = identityOf(id);
      await others.tickFor(500);
      expect(await ours.relay.tick()).toMatchObject({ result: 'other' });
    }
    const before = (await store.head()).position?.purge;
    expect([await leased(), ours.known.current]).toEqual([true, undefined]);
    await ours.tickFor(250);
    expect((await store.head()).position?.purge).not.toBe(before);
    expect([await leased(), ours.known.current]).toEqual([true, 'a']);
  });

  test('between the decision which rows to read and their reading is not mistaken for the one before', async () => {
    const database = new FakeDatabase(identityOf('a'));
    const ours = relayOf(database);
    await ours.tickFor(1000);
    const { position } = await store.head();
    database.identity = identityOf('b');
    database.nextId += 100n;
    expect(await ours.relay.tick()).toEqual({ result: 'other', more: true });
    expect((await store.head()).position).toEqual(position);
  });
});
