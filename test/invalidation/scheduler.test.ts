/**
 * Readers with and without memory, writers that die, relays, resolvers, lapses and losses of the store, all at once, in orders
 * that fast-check chooses: every step of each waits for its turn. Store and database are in memory, engine and relay are real.
 *
 * Fresh: each value was the committed one at some moment while its read ran. Acked: it is no older than what was acknowledged
 * to a writer, or given to a reader, before.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  Cache,
  fenceIds,
  LEASE_MS,
  MemoryStore,
  type Policy,
  type Store,
  type Tag,
} from '../../src/engine/cache/index.js';
import type { Outbox } from '../../src/engine/postgres/outbox.js';
import { Relay } from '../../src/engine/postgres/relay.js';
import { createLog } from '../../src/platform/log.js';
import { HOUR } from '../../src/std/time.js';
import { FakeClock, quiet, tagOf } from '../cache/world.js';

/** Another each time; given as SEED it is the same again. */
const SEED = Number(process.env.SEED || Date.now() % 2 ** 31);
const RUNS = Number(process.env.RUNS || 200);

const ROWS = [0, 1] as const;
type Row = (typeof ROWS)[number];
type Versions = readonly [number, number];

/** A list of rows, with the tag of each. */
const POLICY: Policy<readonly Row[]> = {
  name: 'Rows',
  shape: '1',
  ttlMs: HOUR,
  scope: 'public',
  tags: (rows) => rows.map(tagOf),
};

const IDENTITY = { id: 'fake', previous: undefined };

type Turn = (label: string) => Promise<void>;

/** Transactions, the outbox, and every state that was ever committed. */
class FakeDatabase {
  readonly history: Versions[] = [[0, 0]];
  readonly #turn: Turn;
  readonly #active = new Set<bigint>();
  readonly #outbox: { xid: bigint; tags: readonly Tag[] }[] = [];
  #lastId = 100n;

  constructor(turn: Turn) {
    this.#turn = turn;
  }

  get now(): number {
    return this.history.length - 1;
  }

  begin(): bigint {
    this.#active.add(++this.#lastId);
    return this.#lastId;
  }

  commit(xid: bigint, rows: readonly Row[]): void {
    const next: [number, number] = [...(this.history[this.now] as Versions)];
    for (const row of rows) next[row] = this.now + 1;
    this.history.push(next);
    this.#outbox.push({ xid, tags: rows.map(tagOf) });
    this.#active.delete(xid);
  }

  rollback(xid: bigint): void {
    this.#active.delete(xid);
  }

  over(xids: readonly string[]): string[] {
    return xids.filter((xid) => !this.#active.has(BigInt(xid)));
  }

  async select(rows: readonly Row[]): Promise<number[]> {
    await this.#turn('select');
    const values = rows.map((row) => (this.history[this.now] as Versions)[row]);
    await this.#turn('selected');
    return values;
  }

  outbox(): Outbox {
    return {
      identity: async () => IDENTITY,
      read: async (from, applied) => {
        await this.#turn('snapshot');
        const ids = [...this.#active].sort((a, b) => (a < b ? -1 : 1));
        const horizon = ids[0] ?? this.#lastId + 1n;
        const rows = this.#outbox
          .filter(({ xid }) => from !== undefined && xid >= from && !applied.includes(String(xid)))
          .toSorted((a, b) => (a.xid < b.xid ? -1 : 1));
        await this.#turn('snapshot taken');
        return { identity: IDENTITY, horizon, rows, upTo: horizon, cut: false, trimmedBelow: 0n };
      },
      freshTransactionId: async () => {
        await this.#turn('own id');
        return ++this.#lastId;
      },
      trim: async () => false,
      close: async () => {},
    };
  }
}

/** Every trip takes two turns: until the store sees it, and until the caller knows. `lose` empties the store. */
function scheduledStore(turn: Turn, clock: FakeClock) {
  let memory = new MemoryStore(clock);
  const through =
    <A extends unknown[], R>(name: string, method: (store: MemoryStore) => (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      await turn(name);
      const result = await method(memory).apply(memory, args);
      await turn(`${name} answered`);
      return result;
    };
  const store: Store = {
    kind: memory.kind,
    samples: memory.samples,
    inspection: memory.inspection,
    groups: memory.groups,
    groupOf: () => 0,
    bind: () => {},
    read: through('read', (one) => one.read),
    fill: through('fill', (one) => one.fill),
    tryLockRefresh: through('claim', (one) => one.tryLockRefresh),
    fence: through('fence', (one) => one.fence),
    release: through('release', (one) => one.release),
    releaseFinished: through('unfence', (one) => one.releaseFinished),
    releaseOrphans: through('sweep', (one) => one.releaseOrphans),
    invalidate: through('invalidate', (one) => one.invalidate),
    head: through('head', (one) => one.head),
    apply: through('apply', (one) => one.apply),
    setText: through('remember', (one) => one.setText),
    getText: through('recall', (one) => one.getText),
    addCounters: through('count', (one) => one.addCounters),
    readCounters: through('readCounters', (one) => one.readCounters),
    subscribe: (hear) => memory.subscribe(hear),
    outageMs: () => 0,
    close: async () => {},
  };
  return {
    store,
    lose() {
      memory = new MemoryStore(clock);
    },
  };
}

type Deed =
  | {
      readonly kind: 'read';
      readonly process: number;
      readonly lists: readonly (readonly Row[])[];
      readonly readSet: boolean;
    }
  | { readonly kind: 'write'; readonly rows: readonly Row[]; readonly ends: (typeof ENDS)[number] }
  | { readonly kind: 'tick' }
  | { readonly kind: 'lapse' }
  | { readonly kind: 'lose' };

const ENDS = ['released', 'dead after commit', 'rolled back', 'dead before commit', 'dead before fence'] as const;

/** Mostly the same one: then they meet. */
const someRows = fc.constantFrom<readonly Row[]>([0], [0], [0], [1], [0, 1]);
const deed: fc.Arbitrary<Deed> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('read' as const),
      process: fc.constantFrom(0, 1, 2),
      lists: fc.array(someRows, { minLength: 2, maxLength: 6 }),
      readSet: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('write' as const),
      rows: someRows,
      ends: fc.constantFrom('released', 'released', ...ENDS),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('tick' as const) }) },
  { weight: 1, arbitrary: fc.constantFrom<Deed>({ kind: 'lapse' }, { kind: 'lose' }) },
);

/** A trip that was answered leads to the next within two turns of the event loop. */
async function nothingElse(): Promise<void> {
  for (let turns = 0; turns < 3; turns++) await new Promise((resolve) => setImmediate(resolve));
}

async function play(scheduler: fc.Scheduler, deeds: readonly Deed[]): Promise<void> {
  let scheduled = false;
  const turn: Turn = async (label) => {
    if (scheduled) await scheduler.schedule(Promise.resolve(), label);
  };
  const clock = new FakeClock();
  const database = new FakeDatabase(turn);
  const { store, lose } = scheduledStore(turn, clock);
  const resolving: Promise<unknown>[] = [];
  const events = {
    async fenceSeen(tag: Tag, fence: string) {
      resolving.push(
        (async () => {
          await turn('resolve');
          const over = database.over(fenceIds(fence));
          if (over.length > 0) await store.releaseFinished(over, [tag]);
        })(),
      );
    },
  };
  const near = { maxEntries: 10 };
  // Two with memory, one without; writers are a fourth.
  const processes = [{ near }, { near }, {}].map((options) => new Cache({ store, clock, events, ...options }));
  const writer = new Cache({ store, clock });
  const relay = new Relay({ store, clock, log: createLog('silent'), connect: () => database.outbox() });

  /** By row, the newest version that somebody was told. */
  const told: [number, number] = [0, 0];
  /** Each of `lists` in turn. In a session all may be as of its beginning: that is when its request came. */
  const read = async (process: number, lists: readonly (readonly Row[])[], inSession = false) => {
    const cache = processes[process] as Cache;
    const readSet = inSession ? cache.readSet() : undefined;
    let [since, floors] = [database.now, [...told]];
    for (const rows of lists) {
      if (!inSession) [since, floors] = [database.now, [...told]];
      const versions = await cache.read(POLICY, rows, () => database.select(rows), { readSet });
      const states = database.history.slice(since).map((state) => rows.map((row) => state[row]).join());
      const seen = `process ${process} read versions ${versions} of rows ${rows}`;
      expect(states, seen).toContain(versions.join());
      rows.forEach((row, i) => {
        expect(versions[i], seen).toBeGreaterThanOrEqual(floors[row] as number);
        told[row] = Math.max(told[row], versions[i] as number);
      });
    }
  };
  const perform = async (deed: Deed): Promise<void> => {
    await turn(deed.kind);
    switch (deed.kind) {
      case 'read': {
        await read(deed.process, deed.lists, deed.readSet);
        return;
      }
      case 'write': {
        const { rows, ends } = deed;
        const xid = database.begin();
        await turn('written');
        if (ends !== 'dead before fence') await writer.fence(xid, rows.map(tagOf));
        if (ends === 'dead before fence' || ends === 'dead before commit') return database.rollback(xid);
        if (ends === 'rolled back') database.rollback(xid);
        else {
          database.commit(xid, rows);
          const version = database.now;
          await turn('committed');
          if (ends === 'released') for (const row of rows) told[row] = Math.max(told[row], version);
        }
        if (ends !== 'dead after commit') writer.release(xid, rows.map(tagOf));
        return;
      }
      case 'tick':
        clock.advance(LEASE_MS / 4);
        await relay.tick();
        return;
      case 'lapse':
        clock.advance(LEASE_MS);
        return;
      case 'lose':
        lose();
        return;
    }
  };

  // Leased, and everything in every memory.
  for (let i = 0; i < 2; i++) await relay.tick();
  for (let i = 0; i < 3; i++) {
    for (const process of [0, 1, 2]) await read(process, [[0], [1], [0, 1]]);
    await quiet();
  }
  expect(processes.map(({ state }) => state.near?.entries)).toEqual([3, 3, undefined]);

  scheduled = true;
  let over = false;
  const all = Promise.all(deeds.map(perform)).finally(() => {
    over = true;
  });
  all.catch(() => {}); // told below
  while (!over || scheduler.count() > 0) {
    await nothingElse(); // all that may come next shall be there to be chosen
    if (scheduler.count() > 0) await scheduler.waitNext(1);
  }
  await all;
  scheduled = false;
  await quiet();
  await Promise.all(resolving);
  // And so it stays, when it is served from the cache again.
  for (let i = 0; i < 4; i++) {
    clock.advance(LEASE_MS / 4);
    await relay.tick();
    for (const process of [0, 1, 2]) await read(process, [[0], [1], [0, 1]]);
    await quiet();
  }
  expect(processes.map(({ state }) => state.near?.entries)).toEqual([3, 3, undefined]);
}

test(`every read is fresh and no older than what was told before, in any order of all steps (SEED=${SEED})`, async () => {
  await fc.assert(fc.asyncProperty(fc.scheduler(), fc.array(deed, { minLength: 4, maxLength: 8 }), play), {
    seed: SEED,
    numRuns: RUNS,
    endOnFailure: false,
  });
});
