/** One suite for every store: what the port promises, the memory store and the Redis store both keep. */
import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  isFence,
  LEASE_MS,
  MemoryStore,
  type Position,
  randomToken,
  type Store,
  type StoreEvent,
  type Tag,
} from '../../src/engine/cache/index.js';
import {
  type LogSlice,
  MAX_NOTES_PER_READ,
  MAX_SAMPLES,
  MAX_TEXTS,
  type ReleasedBy,
} from '../../src/engine/cache/store.js';
import { RedisStore } from '../../src/engine/redis/index.js';
import { redisUrl } from '../support/servers.js';
import { FakeClock, keyOfText, tagOf, tick } from './world.js';

interface Opened {
  readonly store: Store;
  /** Waits until `check` holds, for something that happens after `ms` of the store's clock. */
  eventually(ms: number, check: () => Promise<void>): Promise<void>;
  /** As if the position had been evicted, where that can happen. */
  losePosition?(): Promise<unknown>;
  /** How many released ids are remembered, where that can be counted. */
  rememberedIds?(): Promise<number>;
  close(): Promise<void>;
}

async function openMemory(): Promise<Opened> {
  const clock = new FakeClock();
  return {
    store: new MemoryStore(clock),
    async eventually(ms, check) {
      clock.advance(ms);
      await check();
    },
    close: async () => {},
  };
}

async function openRedis(): Promise<Opened> {
  const url = redisUrl();
  const group = `test-${randomBytes(6).toString('hex')}`;
  const store = new RedisStore({ url, group, waitMs: 5000 });
  await store.ready();
  const client = new Redis(url);
  return {
    store,
    async eventually(_, check) {
      const checked = async () => {
        await check(); // an assertion returns itself
      };
      await expect.poll(checked, { timeout: 10_000, interval: 5 }).toBeUndefined();
    },
    losePosition: () => client.del(`pos:{${group}}`),
    rememberedIds: () => client.zcard(`rel:{${group}}`),
    async close() {
      await store.close();
      client.disconnect();
    },
  };
}

const A = tagOf('a');
const B = tagOf('b');
const position = (xid: bigint, purge = 'purge'): Position => ({ xid, purge });

describe.each([
  { kind: 'memory', open: openMemory },
  { kind: 'redis', open: openRedis },
])('the $kind store', ({ kind, open }) => {
  let opened: Opened;
  let store: Store;

  beforeEach(async () => {
    opened = await open();
    store = opened.store;
  });
  afterEach(() => opened.close());

  const held = async (tag: Tag) => (await store.read([], [tag])).tokens.get(tag);
  const lease = async () => {
    const seen = (await store.read([], [])).leases[0];
    return seen && { generation: seen.generation, purge: seen.purge };
  };
  const mint = async (tags: readonly Tag[]) => (await store.read([], tags, { mint: true })).tokens;
  const mintOne = async (tag: Tag) => (await mint([tag])).get(tag) as string;
  const fence = (xid: bigint, ...tags: Tag[]) => store.fence(xid, tags, { fresh: false });
  /** Applies one outbox row; whether the tag has lost its token or its fence. */
  const bumps = async (xid: bigint, tag: Tag) => {
    const before = await mintOne(tag);
    expect(await tick(store, { rows: [{ xid, tags: [tag] }], grant: 'hold' })).toBe('applied');
    return (await held(tag)) !== before;
  };

  test('it names itself, and what was never written is absent', async () => {
    expect(store.kind).toBe(kind);
    const view = await store.read([keyOfText('k')], [A]);
    expect(view).toEqual({ leases: [undefined], log: undefined, entries: new Map(), tokens: new Map() });
    expect(store.outageMs([])).toBe(0);
    expect(await store.head()).toMatchObject({ position: undefined, leaseLeftMs: 0 });
  });

  test('of more texts than are kept the oldest are dropped; one that is kept again is a new one', async () => {
    const names = Array.from({ length: MAX_TEXTS + 20 }, (_, i) => `text ${i}`);
    const remember = async (some: readonly string[]) => {
      for (const name of some) await store.setText(name, 'x', 60_000);
    };
    await remember(names.slice(0, MAX_TEXTS / 2));
    await remember(['text 0']);
    await remember(names.slice(MAX_TEXTS / 2));
    const kept = await Promise.all(names.map((name) => store.getText(name)));
    expect(kept.filter((text) => text !== undefined)).toHaveLength(MAX_TEXTS);
    expect([kept[0], kept[1], kept.at(-1)]).toEqual(['x', undefined, 'x']);
  });

  test('a text is recalled by its name until its time to live is over', async () => {
    await store.setText('short', 'a', 50);
    await store.setText('long', 'b', 60_000);
    expect([await store.getText('long'), await store.getText('none')]).toEqual(['b', undefined]);
    await opened.eventually(60, async () => expect(await store.getText('short')).toBeUndefined());
    expect(await store.getText('long')).toBe('b');
  });

  test('who listens hears of every transaction that is over, once it is, until told to stop', async () => {
    const heard: StoreEvent[] = [];
    const stop = store.subscribe((news) => heard.push(news));
    const hearsNow = async () => {
      await store.release(1n, []);
      expect(heard).toContainEqual({ kind: 'released', xids: ['1'], tags: [], by: 'writer' });
    };
    await opened.eventually(0, hearsNow);
    await tick(store);
    const told = () => heard.filter((news) => news.kind === 'released' && news.xids[0] !== '1');
    const released = (by: ReleasedBy, xids: string[], ...tags: Tag[]) => ({ kind: 'released', xids, tags, by });
    await fence(107n, A, B);
    await store.release(107n, [A, B]);
    await store.releaseFinished(['108', '109'], [B]);
    await store.invalidate([A]);
    const rows = [107n, 110n].map((xid) => ({ xid, tags: [B, A] }));
    expect(await tick(store, { rows })).toBe('applied');
    const expected = [
      released('writer', ['107'], A, B),
      released('recovery', ['108', '109'], B),
      released('hand', [], A),
      released('relay', ['110'], B, A),
    ];
    await opened.eventually(0, async () => expect(told()).toEqual(expected));
    stop();
    await store.release(111n, [A]);
    await store.read([], []);
    expect(told()).toEqual(expected);
  });

  describe('samples', () => {
    test('HEAD says that samples are wanted, for as long as somebody asked', async () => {
      expect(await store.head()).not.toHaveProperty('samplesWanted');
      await store.samples.want(300);
      expect(await store.head()).toMatchObject({ samplesWanted: true });
      await opened.eventually(301, async () => expect(await store.head()).not.toHaveProperty('samplesWanted'));
    });

    test('a reader gets each sample once and in order, from where it began', async () => {
      const { samples } = store;
      const none = await samples.since(undefined);
      expect(none.texts).toEqual([]);
      await samples.add('before');
      const begun = await samples.since(undefined);
      expect(begun.texts).toEqual([]);
      await samples.add('one');
      await samples.add('two');
      const both = await samples.since(begun.mark);
      expect(both.texts).toEqual(['one', 'two']);
      await samples.add('three');
      expect((await samples.since(both.mark)).texts).toEqual(['three']);
      expect((await samples.since(none.mark)).texts).toEqual(['before', 'one', 'two', 'three']);
    });

    test('of more samples than are kept the oldest are dropped', async () => {
      const { mark } = await store.samples.since(undefined);
      await Promise.all(Array.from({ length: MAX_SAMPLES + 300 }, (_, i) => store.samples.add(String(i))));
      const { texts } = await store.samples.since(mark);
      expect(texts.length).toBeLessThan(MAX_SAMPLES + 200); // Redis drops some hundred at a time
      expect(texts.at(-1)).toBe(String(MAX_SAMPLES + 299));
    });

    test('a process that does not know whose the keys are neither asks for samples, nor adds or reads any', async () => {
      store.bind(
        () => undefined,
        () => false,
      );
      const { samples } = store;
      for (const asking of [samples.want(1000), samples.add('x'), samples.since(undefined)])
        await expect(asking).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    });
  });

  test('an operator sees what is held for tags: a token and its time to live, a fence, nothing', async () => {
    const token = await mintOne(A);
    await fence(107n, B);
    const held = await store.inspection.heldTags([A, B, tagOf('c')]);
    expect([...held.keys()].sort()).toEqual([A, B].sort());
    expect(held.get(A)).toEqual({ text: token, ttlMs: expect.any(Number) });
    expect(held.get(A)?.ttlMs).toBeGreaterThan(0);
    expect(held.get(B)?.ttlMs).toBeUndefined();
    expect(isFence(held.get(B)?.text ?? '')).toBe(true);
    expect([store.inspection.openBreakers, store.inspection.outageReason]).toEqual([0, undefined]);
  });

  describe('entries and tokens', () => {
    test('a filled entry is read until its time to live is over', async () => {
      const [short, long] = [keyOfText('short'), keyOfText('long')];
      await store.fill([
        { key: short, text: 'one|"%\n\u{1F600}', ttlMs: 1000 },
        { key: long, text: 'two', ttlMs: 60_000 },
      ]);
      expect((await store.read([short, long, keyOfText('none')], [])).entries).toEqual(
        new Map([
          [short, 'one|"%\n\u{1F600}'],
          [long, 'two'],
        ]),
      );
      await opened.eventually(1000, async () => {
        expect((await store.read([short, long], [])).entries).toEqual(new Map([[long, 'two']]));
      });
    });

    test('a later fill replaces the earlier one', async () => {
      const key = keyOfText('k');
      await store.fill([{ key, text: 'one', ttlMs: 60_000 }]);
      await store.fill([{ key, text: 'two', ttlMs: 60_000 }]);
      expect((await store.read([key], [])).entries.get(key)).toBe('two');
    });

    test('a minted token is what every later read sees, and none that was there before', async () => {
      const minted = await mint([A, B]);
      expect(minted.get(A)).toMatch(/^[\w-]{16}$/);
      expect(minted.get(B)).toMatch(/^[\w-]{16}$/);
      expect((await store.read([], [A, B])).tokens).toEqual(minted);
    });

    test("minting never overwrites: it reports another's token, or a fence", async () => {
      const token = await mintOne(A);
      await fence(7n, B);
      expect(await mint([A, B])).toEqual(
        new Map([
          [A, token],
          [B, '!,7,'],
        ]),
      );
      expect(await held(B)).toBe('!,7,');
    });

    test('of many that mint one tag at once, all get the same token', async () => {
      const minted = await Promise.all(Array.from({ length: 20 }, () => mintOne(A)));
      expect(new Set(minted).size).toBe(1);
    });
  });

  describe('FENCE and RELEASE', () => {
    test('a fence takes the place of the token, and of nothing', async () => {
      const token = await mintOne(A);
      await fence(7n, A, B);
      expect(await held(A)).toBe('!,7,');
      expect(await held(B)).toBe('!,7,');
      expect(isFence(token)).toBe(false);
    });

    test('fencing twice is fencing once', async () => {
      await fence(7n, A);
      await fence(7n, A);
      expect(await held(A)).toBe('!,7,');
      await store.release(7n, [A]);
      expect(await held(A)).toBeUndefined();
    });

    test('a fence holds the ids of all its writers, also where one is the beginning of another', async () => {
      await fence(12n, A);
      await fence(1n, A);
      await fence(2n, A);
      expect(await held(A)).toBe('!,12,1,2,');
    });

    test('release takes out its own id alone; the last one leaves nothing, and the next token is one that never was', async () => {
      const before = await mintOne(A);
      await fence(12n, A);
      await fence(1n, A);
      await fence(2n, A);
      await store.release(1n, [A]);
      expect(await held(A)).toBe('!12,2,');
      await store.release(12n, [A]);
      expect(await held(A)).toBe('!2,');
      await store.release(2n, [A]);
      expect(await held(A)).toBeUndefined();
      const after = await mintOne(A);
      expect(after).toMatch(/^[\w-]{16}$/);
      expect(after).not.toBe(before);
    });

    test("release of an id that is not in the fence leaves the others' fence standing", async () => {
      await fence(7n, A);
      await store.release(8n, [A]);
      expect(await held(A)).toBe('!7,');
    });

    test('a fence without expiry outlives every token', async () => {
      if (kind === 'redis') return; // held by redis-scripts.test.ts: nobody waits a day
      await mintOne(B);
      await fence(7n, A);
      await opened.eventually(7 * 24 * 3600 * 1000, async () => {
        expect((await store.read([], [A, B])).tokens).toEqual(new Map([[A, '!,7,']]));
      });
    });

    const releasing = {
      release: (tags: Tag[]) => store.release(7n, tags),
      unfence: (tags: Tag[]) => store.releaseFinished(['7', '9'], tags),
    };
    test.each(['release', 'unfence'] as const)(
      '%s of a lost fence still takes away the token that followed it',
      async (how) => {
        const token = await mintOne(A);
        await releasing[how]([A, B]);
        expect((await store.read([], [A, B])).tokens).toEqual(new Map());
        expect(await mintOne(A)).not.toBe(token);
      },
    );

    test('unfence takes out several ids, and leaves those that it does not name', async () => {
      await fence(7n, A);
      await fence(8n, A);
      await fence(9n, A);
      await store.releaseFinished(['9', '7'], [A]);
      expect(await held(A)).toBe('!8,');
      await store.releaseFinished(['8'], [A]);
      expect(await held(A)).toBeUndefined();
    });
  });

  describe('a write that stores what it wrote', () => {
    const key = keyOfText('written');
    const expecting = (xid: bigint, token: string, ...tags: Tag[]) =>
      store.fence(xid, tags, { fresh: false, expected: new Map([[A, token]]) });
    const release = (xid: bigint, ...tags: Tag[]) => {
      const token = randomToken();
      const entries = [{ key, tags: [A], ttlMs: 60_000, text: `by ${token}` }];
      return store.release(xid, tags, { unfenced: false, fills: { token, entries } });
    };
    const stored = async () => (await store.read([key], [])).entries.get(key);

    test('has stored it under the token of its release, where FENCE found the token it expected', async () => {
      expect(await expecting(7n, await mintOne(A), A, B)).toMatchObject({ kind: 'exact' });
      expect(await stored()).toBeUndefined();
      await release(7n, A, B);
      expect(await held(A)).toMatch(/^[\w-]{16}$/);
      expect(await stored()).toBe(`by ${await held(A)}`);
      expect(await held(B)).toBeUndefined();
    });

    test('learns from FENCE which record is its own, and the lease of that moment', async () => {
      await tick(store);
      await fence(6n, B);
      const reply = await expecting(7n, await mintOne(A), A);
      const { leases, log } = await store.read([], [], { log: 'tail' });
      expect(leases[0]).toBeDefined();
      expect(reply).toEqual({ kind: 'exact', mark: (log as LogSlice & { kind: 'tail' }).mark, lease: leases[0] });
    });

    test('finds no lease in the reply of a FENCE that found none', async () => {
      expect(await expecting(7n, await mintOne(A), A)).toMatchObject({ kind: 'exact', lease: undefined });
    });

    test.each([
      ['another token', async () => void (await mintOne(A))],
      ['no token', async () => {}],
      ["another's fence", async () => void (await fence(8n, A))],
    ])('learns from FENCE that there is %s', async (_, before) => {
      await before();
      expect(await expecting(7n, 'expected', A)).toBe('fenced');
    });

    test('learns from a second FENCE of its own that the token is gone', async () => {
      const token = await mintOne(A);
      await expecting(7n, token, A);
      expect(await expecting(7n, token, A)).toBe('fenced');
    });

    test.each<[string, () => Promise<unknown>]>([
      ['another writer fences, and stays', () => fence(8n, A)],
      [
        'another writer fences, and is released',
        async () => {
          await fence(8n, A);
          await store.release(8n, [A]);
        },
      ],
      ['a write is released that nobody fenced', () => store.release(8n, [A], { unfenced: true })],
      ['a write from outside is applied', () => bumps(108n, A)],
      ['another fence is resolved', () => store.releaseFinished(['8'], [A])],
      ['the tag is invalidated by hand', () => store.invalidate([A])],
      ['its own fence is resolved', () => store.releaseFinished(['7'], [A])],
    ])('stores nothing when, under its fence, %s', async (_, meanwhile) => {
      expect(await expecting(7n, await mintOne(A), A, B)).toMatchObject({ kind: 'exact' });
      await meanwhile();
      const token = randomToken();
      const entries = [{ key, tags: [A], ttlMs: 60_000, text: `by ${token}` }];
      await store.release(7n, [A, B], { unfenced: false, fills: { token, entries } });
      expect(await stored()).toBeUndefined();
      // Its writer's memory may name that token, and would count as proved by it.
      expect(await held(A)).not.toBe(token);
    });

    test('stores nothing by a RELEASE that comes a second time', async () => {
      await expecting(7n, await mintOne(A), A);
      await release(7n, A);
      const first = await stored();
      await release(7n, A);
      expect(await stored()).toBe(first);
      expect(first).not.toBe(`by ${await held(A)}`);
    });
  });

  describe('what was released, APPLY does not bump again', () => {
    test('a released id is remembered: APPLY of its row changes no token', async () => {
      await tick(store);
      await fence(107n, A);
      await store.release(107n, [A]);
      expect(await bumps(107n, A)).toBe(false);
    });

    test('an id nobody released is applied, once: its fence goes', async () => {
      await fence(107n, A);
      expect(await bumps(107n, A)).toBe(true);
      expect(await held(A)).toBeUndefined();
      expect(await bumps(107n, A)).toBe(false);
    });

    test('an unfenced id is not remembered: APPLY still brings its tags', async () => {
      await fence(107n, A);
      await store.releaseFinished(['107'], [A]);
      expect(await bumps(107n, A)).toBe(true);
    });

    test("APPLY of one writer leaves another's fence", async () => {
      await fence(107n, A);
      await fence(108n, A);
      await bumps(107n, A);
      expect(await held(A)).toBe('!108,');
    });

    test('one APPLY takes many rows, also with tags in common', async () => {
      await fence(107n, A);
      await fence(108n, A, B);
      await tick(store, {
        rows: [
          { xid: 107n, tags: [A] },
          { xid: 108n, tags: [A, B] },
        ],
      });
      expect((await store.read([], [A, B])).tokens).toEqual(new Map());
    });

    test('another purge forgets all released ids: in another history they may be given again', async () => {
      await tick(store);
      await store.release(107n, [A]);
      await tick(store, { next: { xid: 101n, purge: randomToken() } });
      expect(await bumps(107n, A)).toBe(true);
    });

    test('ids below the position are forgotten, the others are not', async () => {
      await tick(store, { next: position(100n) });
      for (const xid of [107n, 108n, 109n]) await store.release(xid, [A]);
      await tick(store, { next: position(108n) });
      if (opened.rememberedIds !== undefined) expect(await opened.rememberedIds()).toBe(2);
      expect(await bumps(108n, A)).toBe(false);
      expect(await bumps(109n, A)).toBe(false);
      expect(await bumps(107n, A)).toBe(true);
    });
  });

  describe('APPLY', () => {
    test('the position is what the next HEAD gives, and rows move with it', async () => {
      const token = await mintOne(A);
      expect(await tick(store, { next: position(110n), rows: [{ xid: 107n, tags: [A] }] })).toBe('applied');
      expect((await store.head()).position).toEqual(position(110n));
      expect(await held(A)).not.toBe(token);
    });

    const refusals = {
      moved: async () => {
        const head = await store.head();
        return { head: { ...head, run: `${head.run}0` } };
      },
      raced: async () => {
        const head = await store.head();
        await tick(store, { next: position(105n), grant: 'hold' });
        return { head };
      },
      late: async () => {
        const head = await store.head();
        return { head: { ...head, clockMs: head.clockMs - LEASE_MS } };
      },
    };
    test.each(['moved', 'raced', 'late'] as const)('refused as %s, it changes nothing', async (reason) => {
      const token = await mintOne(A);
      const given = await refusals[reason]();
      const before = await store.head();
      const refused = { ...given, next: position(110n), rows: [{ xid: 107n, tags: [A] }] };
      expect(await tick(store, refused)).toBe(reason);
      expect(await held(A)).toBe(token);
      expect((await store.head()).position).toEqual(before.position);
      expect(await lease()).toBeUndefined();
      expect(await bumps(107n, A)).toBe(true);
    });

    test('it is raced by another purge at the same id, too', async () => {
      await tick(store, { next: position(105n, 'one') });
      const head = await store.head();
      await tick(store, { head, next: position(105n, 'two') });
      expect(await tick(store, { head, next: position(106n, 'one') })).toBe('raced');
    });
  });

  describe('the lease', () => {
    test('there is none until APPLY grants it', async () => {
      await tick(store, { grant: 'hold' });
      expect(await lease()).toBeUndefined();
      expect((await store.head()).leaseLeftMs).toBe(0);
      await tick(store);
      expect(await lease()).toEqual({ generation: expect.stringMatching(/^[\w-]{16}$/), purge: expect.any(String) });
    });

    test('it runs LEASE_MS from the clock of HEAD, not from APPLY', async () => {
      const head = await store.head();
      await tick(store, { head: { ...head, clockMs: head.clockMs - 500 } });
      const { leaseLeftMs } = await store.head();
      expect(leaseLeftMs).toBeGreaterThan(0);
      expect(leaseLeftMs).toBeLessThanOrEqual(LEASE_MS - 500);
    });

    test('extended, it keeps its generation and runs from the newer HEAD', async () => {
      const head = await store.head();
      await tick(store, { head: { ...head, clockMs: head.clockMs - 1000 }, next: position(105n) });
      const first = await lease();
      await tick(store, { next: position(106n), barrier: undefined });
      expect(await lease()).toEqual(first);
      expect((await store.head()).leaseLeftMs).toBeGreaterThan(1000);
    });

    test('it ends by itself, and the one after it is of another generation', async () => {
      const head = await store.head();
      await tick(store, { head: { ...head, clockMs: head.clockMs - LEASE_MS + 1000 }, next: position(105n) });
      const first = await lease();
      expect(first).toBeDefined();
      await opened.eventually(1000, async () => expect(await lease()).toBeUndefined());
      expect((await store.head()).leaseLeftMs).toBe(0);
      await tick(store);
      expect((await lease())?.generation).not.toBe(first?.generation);
    });

    test('it carries the purge of the position, and another purge at once when APPLY brings one', async () => {
      await tick(store, { next: position(105n, 'one') });
      expect((await lease())?.purge).toBe('one');
      const generation = (await lease())?.generation;
      await tick(store, { next: position(105n, 'two') });
      expect(await lease()).toEqual({ generation, purge: 'two' });
    });

    test('a purge without a grant leaves the lease with the old purge only until the next tick', async () => {
      await tick(store, { next: position(105n, 'one') });
      await tick(store, { next: position(105n, 'two'), grant: 'hold' });
      await tick(store);
      expect((await lease())?.purge).toBe('two');
    });
  });

  describe('the barrier', () => {
    test('an absent lease is granted only when everything below the barrier is over', async () => {
      expect(await tick(store, { next: position(105n), barrier: 107n })).toBe('applied');
      expect(await lease()).toBeUndefined();
      // A later tick has a barrier of its own, but the first one stands.
      await tick(store, { next: position(106n), barrier: 120n });
      expect(await lease()).toBeUndefined();
      await tick(store, { next: position(107n), barrier: 121n });
      expect(await lease()).toBeDefined();
    });

    test('without a barrier an absent lease is not granted, however far the position is', async () => {
      await tick(store, { next: position(1000n), barrier: undefined });
      expect(await lease()).toBeUndefined();
    });

    test('a tick that grants nothing sets no barrier', async () => {
      await tick(store, { next: position(105n), barrier: 200n, grant: 'hold' });
      await tick(store, { next: position(105n), barrier: 105n });
      expect(await lease()).toBeDefined();
    });

    test('a lease that is there needs no barrier to go on', async () => {
      await tick(store, { next: position(105n) });
      await tick(store, { next: position(105n), barrier: 1000n });
      expect(await lease()).toBeDefined();
    });

    test('it is compared as a number, not as text', async () => {
      await tick(store, { next: position(1000n), barrier: 999n });
      expect(await lease()).toBeDefined();
    });
  });

  describe('keys that belong to a database', () => {
    const of = (database: string, xid = 100n): Position => position(xid, `${database}.purge`);
    const tokenOf = async (tag: Tag) => (await store.read([], [tag])).tokens.get(tag);
    const leaseOfHome = async () => (await store.read([], [])).leases[0];

    beforeEach(async () => {
      await tick(store, { next: of('ours'), barrier: 100n });
      await tick(store, { next: of('ours'), barrier: 100n });
    });

    test('take no fence of another database, and those of their own and of writers that name none', async () => {
      expect(await store.fence(107n, [A], { fresh: false, database: 'theirs' })).toBe('foreign');
      expect(await tokenOf(A)).toBeUndefined();
      expect(await store.fence(107n, [A], { fresh: false, database: 'ours' })).toBe('fenced');
      expect(await store.fence(108n, [A], { fresh: false })).toBe('fenced');
      expect(await tokenOf(A)).toBe('!,107,108,');
    });

    test('take no entry that was loaded under their lease once the process has another database, or none that it knows', async () => {
      const [key, other] = [keyOfText('loaded'), keyOfText('unbound')];
      const text = 'ours.purge|token|1|60000|j|"value"';
      let database: string | undefined = 'theirs';
      store.bind(() => database);
      await store.fill([
        { key, text, ttlMs: 60_000 },
        { key: other, text: 'names no database', ttlMs: 60_000 },
      ]);
      expect([...(await store.read([key, other], [])).entries.keys()]).toEqual([other]);
      database = undefined;
      await store.fill([{ key, text, ttlMs: 60_000 }]);
      expect((await store.read([key], [])).entries.has(key)).toBe(false);
      database = 'ours';
      await store.fill([{ key, text, ttlMs: 60_000 }]);
      expect((await store.read([key], [])).entries.get(key)).toBe(text);
    });

    test('keep their fences from the release of another database, in which the same id is another transaction', async () => {
      await store.fence(107n, [A], { fresh: false, database: 'ours' });
      await store.release(107n, [A], { unfenced: false, database: 'theirs' });
      await store.releaseFinished(['107'], [A], { database: 'theirs' });
      await store.releaseOrphans([{ xid: '107', tags: [A] }], 0, { database: 'theirs' });
      expect(await tokenOf(A)).toBe('!,107,');
      await store.releaseFinished(['107'], [A], { database: 'ours' });
      expect(await tokenOf(A)).toBeUndefined();
    });

    test('apply a transaction although one of another database with its id was released', async () => {
      await store.read([], [A], { mint: true });
      const before = await tokenOf(A);
      await store.release(107n, [A], { unfenced: false, database: 'theirs' });
      expect(await tokenOf(A)).toBe(before);
      await tick(store, { next: of('ours', 110n), rows: [{ xid: 107n, tags: [A] }] });
      expect(await tokenOf(A)).not.toBe(before);
    });

    test('are not taken by another database while their lease is valid', async () => {
      expect(await tick(store, { next: of('theirs'), grant: 'hold' })).toBe('raced');
      expect((await store.head()).position).toEqual(of('ours'));
      expect(await leaseOfHome()).toMatchObject({ purge: 'ours.purge' });
    });

    test.runIf(kind === 'redis')('are not taken either when only their position is lost', async () => {
      const head = await store.head();
      await opened.losePosition?.();
      const without = { ...head, position: undefined };
      expect(await tick(store, { head: without, next: of('theirs'), grant: 'hold' })).toBe('raced');
      expect(await tick(store, { head: without, next: of('ours'), grant: 'hold' })).toBe('applied');
    });

    test('are taken once it has ended, and then forget ids, barrier and what was released', async () => {
      await store.release(105n, [A], { unfenced: false, database: 'ours' });
      await opened.eventually(LEASE_MS, async () => expect(await leaseOfHome()).toBeUndefined());
      // Ours waits for an old transaction: its barrier stands.
      await tick(store, { next: of('ours'), barrier: 104n });
      expect(await tick(store, { next: of('theirs'), grant: 'hold' })).toBe('applied');
      const head = await store.head();
      expect(head).toMatchObject({ position: of('theirs'), leaseLeftMs: 0, released: [] });
      await tick(store, { next: of('theirs', 104n), barrier: 110n });
      expect(await leaseOfHome()).toBeUndefined();
      await tick(store, { next: of('theirs', 110n), barrier: 120n });
      expect(await leaseOfHome()).toMatchObject({ purge: 'theirs.purge' });
    });

    test('are left as they are by a process that does not know them to be those of its database', async () => {
      let owned = false;
      store.bind(
        () => 'theirs',
        () => owned,
      );
      const [key, day] = [keyOfText('not ours'), '2026-11-24'];
      const text = 'names no database';
      const unavailable = { code: 'STORE_UNAVAILABLE' };
      const counts = new Map([['Task hit', 1]]);
      expect((await store.read([], [A], { mint: true })).tokens.has(A)).toBe(false);
      await store.fill([{ key, text, ttlMs: 60_000 }]);
      expect(await store.tryLockRefresh(key, 60_000)).toBe(false);
      await expect(store.setText('apq:1', text, 60_000)).rejects.toMatchObject(unavailable);
      await expect(store.addCounters(day, counts)).rejects.toMatchObject(unavailable);
      await expect(store.invalidate([A])).rejects.toMatchObject(unavailable);
      owned = true;
      expect((await store.read([key], [A])).entries.size).toBe(0);
      expect(await tokenOf(A)).toBeUndefined();
      expect(await store.getText('apq:1')).toBeUndefined();
      expect(await store.readCounters(day)).toEqual(new Map());
      expect(await store.tryLockRefresh(key, 60_000)).toBe(true);
    });

    test('show their lease only to readers of that database', async () => {
      let database: string | undefined = 'ours';
      store.bind(() => database);
      expect(await leaseOfHome()).toMatchObject({ purge: 'ours.purge' });
      database = 'theirs';
      expect(await leaseOfHome()).toBeUndefined();
      database = undefined;
      expect(await leaseOfHome()).toBeUndefined();
    });
  });

  describe('the notes of fences', () => {
    const fenced = async () => (await store.read([], [], { fenced: true })).fenced;

    test('name the tags of all fences that stand, and are read if asked for', async () => {
      expect(await fenced()).toEqual(new Set());
      await fence(1n, A);
      await fence(2n, A, B);
      expect(await fenced()).toEqual(new Set([A, B]));
      expect((await store.read([], [])).fenced).toBeUndefined();
      await store.release(2n, [A, B]);
      expect(await fenced()).toEqual(new Set([A]));
      await store.release(1n, [A]);
      expect(await fenced()).toEqual(new Set());
    });

    test('stay when Postgres says that the transaction is over: the sweep takes them away', async () => {
      await fence(1n, A);
      await store.releaseFinished(['1'], [A]);
      expect(await fenced()).toEqual(new Set([A]));
      await store.releaseOrphans([{ xid: '1', tags: [A] }]);
      expect(await fenced()).toEqual(new Set());
    });

    test('are not told where there are too many', async () => {
      for (let xid = 1; xid <= MAX_NOTES_PER_READ; xid++) await fence(BigInt(xid), A);
      expect(await fenced()).toEqual(new Set([A]));
      await fence(1000n, A);
      expect(await fenced()).toBeUndefined();
    });
  });

  test('one call takes thousands of keys and tags', async () => {
    const ids = Array.from({ length: 9000 }, (_, i) => i);
    const tags = ids.map(tagOf);
    await store.fill(ids.map((id) => ({ key: keyOfText(`k${id}`), text: String(id), ttlMs: 60_000 })));
    await fence(107n, ...tags);
    await tick(store, { rows: [{ xid: 107n, tags }], next: { xid: 105n, purge: randomToken() } });
    const view = await store.read(
      ids.map((id) => keyOfText(`k${id}`)),
      tags,
    );
    expect(view.entries.size).toBe(9000);
    expect([...view.tokens.values()].some(isFence)).toBe(false);
  });
});
