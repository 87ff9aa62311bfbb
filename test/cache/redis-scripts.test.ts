/** What the Redis store leaves in a real server: expiries, what a replica gets, what is published; and what an outage does to it. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { type EmbeddedRedis, installHint, startRedis } from '../../src/development/embedded/redis.js';
import { CacheError, LEASE_MS, randomToken, type StoreEvent, type Tag } from '../../src/engine/cache/index.js';
import { TOKEN_TTL_MS } from '../../src/engine/cache/store.js';
import { type Clock, systemClock } from '../../src/engine/cache/time.js';
import { RedisStore } from '../../src/engine/redis/index.js';
import { keyOfText, tagOf, tick } from './world.js';

const A = tagOf('a');
const B = tagOf('b');

let server: EmbeddedRedis;
let group: string;
let store: RedisStore;
let client: Redis;
let run: string;
const cleanups: (() => unknown)[] = [];

beforeAll(async () => {
  server = await start(['--repl-diskless-sync-delay', '0']);
});
afterAll(() => server.stop());

beforeEach(async () => {
  group = `test-${randomBytes(6).toString('hex')}`;
  client = connect(server);
  store = await open(server);
  ({ run } = await store.head());
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** The lease and its barrier belong to one run of one server. */
const named = (name: string) => `${name}:{${group}}${['ok', 'bar'].includes(name) ? `:${run}` : ''}`;
const tagKey = (tag: Tag) => `t:{${group}}:${tag}`;

describe('what is stored', () => {
  test('keys and values are these, to the byte', async () => {
    await store.fill([{ key: keyOfText('Task:1::7'), text: 'text', ttlMs: 60_000 }]);
    await store.read([], [A], { mint: true });
    await store.fence(107n, [B], { fresh: false });
    await tick(store, { next: { xid: 100n, purge: 'purge' }, grant: 'hold' });
    await store.release(105n, []);
    await tick(store, { next: { xid: 101n, purge: 'purge' } });
    await tick(store, { next: { xid: 101n, purge: 'purge' }, barrier: undefined });
    const keys = (await client.keys('*')).filter((key) => key.includes(group)).sort();
    const entry = `e1:{${group}}:Task:1::7`;
    expect(keys).toEqual(
      [entry, named('fen'), named('log'), named('ok'), named('pos'), named('rel'), tagKey(A), tagKey(B)].sort(),
    );
    expect(await client.get(entry)).toBe('text');
    expect(await client.get(tagKey(A))).toMatch(/^[\w-]{16}$/);
    expect(await client.get(tagKey(B))).toBe('!,107,');
    expect(await client.get(named('pos'))).toBe('101:purge');
    expect(await client.zrange(named('rel'), 0, -1, 'WITHSCORES')).toEqual(['105', '105']);
    expect(await client.get(named('ok'))).toMatch(/^[\w-]{16}:purge$/);
  });

  test('fences, position and released ids never expire; tokens, entries, lease and barrier do', async () => {
    const key = keyOfText('k');
    await store.fill([{ key, text: 'text', ttlMs: 60_000 }]);
    await store.read([], [A], { mint: true });
    await store.fence(107n, [B], { fresh: false });
    await tick(store, { next: { xid: 100n, purge: 'purge' }, grant: 'hold' });
    await store.release(105n, []);
    await tick(store, { next: { xid: 101n, purge: 'purge' }, barrier: 102n });
    const ttl = (name: string) => client.pttl(name);
    for (const name of [tagKey(B), named('pos'), named('rel'), named('fen'), named('log')])
      expect([name, await ttl(name)]).toEqual([name, -1]);
    expect(await ttl(named('bar'))).toBeGreaterThan(0);
    await tick(store, { next: { xid: 102n, purge: 'purge' } });
    expect(await client.exists(named('bar'))).toBe(0);
    for (const [name, most] of [
      [named('ok'), LEASE_MS],
      [`e1:{${group}}:k`, 60_000],
      [tagKey(A), TOKEN_TTL_MS],
    ] as const) {
      expect(await ttl(name)).toBeGreaterThan(0);
      expect(await ttl(name)).toBeLessThanOrEqual(most);
    }
  });

  test('a fence never expires, also after one of its writers has left it; the last one leaves nothing', async () => {
    const removals = {
      release: () => store.release(107n, [A]),
      unfence: () => store.releaseFinished(['107'], [A]),
      apply: () => tick(store, { rows: [{ xid: 107n, tags: [A] }] }),
    };
    for (const remove of Object.values(removals)) {
      await store.fence(107n, [A], { fresh: false });
      expect(await client.pttl(tagKey(A))).toBe(-1);
      await store.fence(108n, [A], { fresh: false });
      await remove();
      expect(await client.get(tagKey(A))).toBe('!108,');
      expect(await client.pttl(tagKey(A))).toBe(-1);
      await store.release(108n, [A]);
      expect(await client.get(tagKey(A))).toBeNull();
      await client.del(named('rel'));
    }
  });

  test('the token of an entry that a RELEASE stores expires, as every token does', async () => {
    const token = (await store.read([], [A], { mint: true })).tokens.get(A) as string;
    await store.fence(107n, [A], { fresh: false, expected: new Map([[A, token]]) });
    const fill = { key: keyOfText('written'), tags: [A], ttlMs: 60_000, text: 'written' };
    await store.release(107n, [A], { unfenced: false, fills: { token: randomToken(), entries: [fill] } });
    expect(await client.get(tagKey(A))).toMatch(/^[\w-]{16}$/);
    expect(await client.pttl(tagKey(A))).toBeGreaterThan(TOKEN_TTL_MS - 60_000);
  });

  test('lease and barrier stay on this server; all the rest reaches a replica', async () => {
    const replica = await start(['--replicaof', '127.0.0.1', String(server.port)]);
    cleanups.push(replica.stop);
    const copy = connect(replica);
    // Only what comes after the first full copy shows what is replicated.
    await expect.poll(() => copy.info('replication'), { timeout: 10_000 }).toContain('master_link_status:up');
    await store.read([], [A], { mint: true });
    await store.fence(107n, [B], { fresh: false });
    await store.fence(110n, [tagOf('applied')], { fresh: false });
    await tick(store, { next: { xid: 100n, purge: 'purge' }, grant: 'hold' });
    await store.read([], [tagOf('released')], { mint: true });
    await store.release(105n, [tagOf('released')]);
    const rows = [{ xid: 110n, tags: [tagOf('applied')] }];
    await tick(store, { next: { xid: 101n, purge: 'purge' }, barrier: 102n, rows });
    const copied = async () => {
      await client.wait(1, 5000);
      const names = [
        named('ok'),
        named('bar'),
        named('pos'),
        ...['a', 'b', 'applied', 'released'].map(tagOf).map(tagKey),
      ];
      return { here: await client.mget(names), there: await copy.mget(names) };
    };
    const waiting = await copied();
    expect(waiting.here.slice(0, 2)).toEqual([null, '102']);
    expect(waiting.there).toEqual([null, null, ...waiting.here.slice(2)]);
    const [pos, a, b, ...gone] = waiting.there.slice(2);
    expect([pos, a, b]).not.toContain(null);
    expect(gone).toEqual([null, null]);

    await tick(store, { next: { xid: 102n, purge: 'purge' } });
    await tick(store, { next: { xid: 102n, purge: 'purge' } }); // extended, too
    const granted = await copied();
    expect(granted.here.slice(0, 2)).toEqual([expect.any(String), null]);
    expect(granted.there).toEqual([null, null, ...granted.here.slice(2)]);
    expect(await copy.zrange(named('rel'), 0, -1)).toEqual(['105', '110']);

    // Promoted, it serves nothing until the relay has applied to it and the barrier of its own is over.
    await copy.replicaof('NO', 'ONE');
    const promoted = await open(replica);
    expect((await promoted.read([], [])).leases[0]).toBeUndefined();
    expect(await tick(promoted, { barrier: 120n, next: { xid: 110n, purge: 'purge' } })).toBe('applied');
    expect((await promoted.read([], [])).leases[0]).toBeUndefined();
    expect(await tick(promoted, { barrier: 130n, next: { xid: 120n, purge: 'purge' } })).toBe('applied');
    expect((await promoted.read([], [])).leases[0]).toBeDefined();
  });

  // REPL_NONE keeps the lease out of the command stream, but an RDB file, the base of an AOF and a full resync copy all keys.
  // A server that is back, or promoted, within LEASE_MS of such a copy must not serve hits: fences acknowledged since are lost.
  test('a server restarted from a snapshot of its data has no lease', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'redis-scripts-test-'));
    cleanups.push(() => rm(dir, { recursive: true, force: true }));
    const first = await start([], dir);
    cleanups.push(first.stop);
    const before = await open(first);
    const head = await before.head();
    // A lease that runs for long, so that it does not matter how slow this machine is.
    await tick(before, { head: { ...head, clockMs: head.clockMs + 60_000 } });
    await connect(first).save();
    await first.stop();
    const second = await start([], dir);
    cleanups.push(second.stop);
    const after = await open(second);
    expect((await after.head()).position).toBeDefined();
    expect((await after.read([], [])).leases[0]).toBeUndefined();
  });

  test('a HEAD of one server is refused by another that holds the same data', async () => {
    const other = await start([]);
    cleanups.push(other.stop);
    const elsewhere = await open(other);
    expect(await tick(elsewhere, { head: await store.head() })).toBe('moved');
  });
});

test('RELEASE and APPLY publish their tags, and APPLY nothing that was released', async () => {
  const subscriber = connect(server);
  const messages: unknown[] = [];
  subscriber.on('message', (_, text: string) => messages.push(JSON.parse(text)));
  await subscriber.subscribe(store.channel);
  await tick(store);
  await store.fence(107n, [A, B], { fresh: false });
  await store.release(107n, [A, B]);
  await store.releaseFinished(['108', '109'], [B]);
  const rows = [107n, 110n].map((xid) => ({ xid, tags: [B, A] }));
  await tick(store, { rows });
  await expect
    .poll(() => messages)
    .toEqual([
      { xid: '107', tags: [A, B], by: 'writer' },
      { xid: '108,109', tags: [B], by: 'recovery' },
      { xid: '110', tags: [B, A], by: 'relay' },
    ]);
});

test('who listens is told when something may have been missed: with a connection that is lost, and with the next', async () => {
  const heard: StoreEvent[] = [];
  cleanups.push(async () => stop());
  const stop = store.subscribe((news) => heard.push(news));
  const gap = { kind: 'disconnected' };
  await expect.poll(() => heard).toEqual([gap]);
  const subscribers = async () => {
    const [, count] = (await client.pubsub('NUMSUB', store.channel)) as [string, number];
    return count;
  };
  expect(await subscribers()).toBe(1);
  await client.client('KILL', 'TYPE', 'pubsub');
  await expect.poll(() => heard).toEqual([gap, gap, gap]);
  await client.publish(store.channel, 'of somebody else');
  await client.publish(store.channel, '{"xid":7}');
  await client.publish(store.channel, '{"xid":"106","tags":[]}'); // by a build that does not say who
  await store.release(107n, [A]);
  await expect
    .poll(() => heard.slice(3))
    .toEqual([
      { kind: 'released', xids: ['106'], tags: [], by: 'writer' },
      { kind: 'released', xids: ['107'], tags: [A], by: 'writer' },
    ]);
  stop();
  await expect.poll(subscribers).toBe(0);
});

test('scripts survive SCRIPT FLUSH, also when many are called at once', async () => {
  const flush = () => client.script('FLUSH');
  await flush();
  await store.fence(107n, [A], { fresh: false });
  await flush();
  await store.release(107n, [A]);
  await flush();
  await store.releaseFinished(['107'], [A]);
  await flush();
  expect(await tick(store)).toBe('applied');
  await flush();
  await Promise.all(Array.from({ length: 20 }, (_, i) => store.fence(BigInt(200 + i), [A], { fresh: i % 2 === 0 })));
  expect((await client.get(tagKey(A)))?.split(',')).toHaveLength(22);
});

test('a fresh fence goes over a connection opened for it, any other over the one at hand', async () => {
  const opened = async () => Number(/total_connections_received:(\d+)/.exec(await client.info('stats'))?.[1]);
  const before = await opened();
  await store.fence(107n, [A], { fresh: false });
  expect(await opened()).toBe(before);
  await store.fence(108n, [A], { fresh: true });
  expect(await opened()).toBe(before + 1);
  expect(await client.get(tagKey(A))).toBe('!,107,108,');
  const connections = async () => Number(/connected_clients:(\d+)/.exec(await client.info('clients'))?.[1]);
  const kept = await connections();
  await store.fence(109n, [A], { fresh: true });
  await expect.poll(connections).toBe(kept);
});

describe('the log, appended to by a writer that knows its epoch', () => {
  const log = () => named('log');
  const ids = async () => (await client.xrange(log(), '-', '+')).map(([id]) => id);
  const fence = (xid: bigint) => store.fence(xid, [A], { fresh: false });
  /** The writer has read the log's end. */
  const known = async () => {
    await fence(1n);
    const { log: found } = await store.read([], [], { log: 'tail' });
    const [epoch] = (await ids())[0]?.split('-') ?? [];
    expect(found).toEqual({ kind: 'tail', mark: { epoch, sequence: 1 } });
    return Number(epoch);
  };

  test('goes on without gaps, and without a look at its end', async () => {
    const epoch = await known();
    await client.config('RESETSTAT');
    for (const xid of [2n, 3n]) await fence(xid);
    expect(await ids()).toEqual([1, 2, 3].map((sequence) => `${epoch}-${sequence}`));
    expect(await client.info('commandstats')).not.toContain('xrevrange');
  });

  test('goes on under a higher epoch', async () => {
    const other = (await known()) + 1;
    await client.del(log());
    await client.xadd(log(), `${other}-1`, 'm', '[]');
    await fence(2n);
    expect(await ids()).toEqual([`${other}-1`, `${other}-2`]);
  });

  test('begins again where it has a lower epoch: a reader of that finds a gap, and so does one of the known epoch', async () => {
    const epoch = await known();
    const other = epoch - 1;
    await client.del(log());
    for (const sequence of [1, 2]) await client.xadd(log(), `${other}-${sequence}`, 'm', '[]');
    await fence(2n);
    const [first, ...more] = await ids();
    expect(more).toEqual([]);
    expect(first).toMatch(/^\d+-1$/);
    expect([epoch, other]).not.toContain(Number(first?.split('-')[0]));
    expect(Number(first?.split('-')[0])).toBeGreaterThan(epoch);
    await fence(3n); // still knows the epoch of before
    expect(await ids()).toEqual([first, first?.replace(/-1$/, '-2')]);
    for (const mark of [
      { epoch: String(other), sequence: 2 },
      { epoch: String(epoch), sequence: 1 },
    ]) {
      expect((await store.read([], [], { log: mark })).log).toEqual({ kind: 'gap' });
    }
  });

  test('begins with another epoch where there is none', async () => {
    const epoch = await known();
    await client.del(log());
    await fence(2n);
    const [first, ...more] = await ids();
    expect(more).toEqual([]);
    expect(first).toMatch(/^\d+-1$/);
    expect(first).not.toBe(`${epoch}-1`);
  });
});

describe('an outage', () => {
  const WAIT_MS = 200;
  /** These machines are slow: enough to tell a bounded wait from none, and no more. */
  const SLACK_MS = 1500;

  /** Every way to ask. */
  const calls = (asked: RedisStore): Record<string, () => Promise<unknown>> => ({
    read: () => asked.read([keyOfText('k')], [A]),
    'read that mints': () => asked.read([keyOfText('k')], [A, B], { mint: true }),
    fill: () => asked.fill([{ key: keyOfText('k'), text: 'text', ttlMs: 60_000 }]),
    fence: () => asked.fence(107n, [A], { fresh: false }),
    'fresh fence': () => asked.fence(107n, [A], { fresh: true }),
    release: () => asked.release(107n, [A]),
    unfence: () => asked.releaseFinished(['107'], [A]),
    head: () => asked.head(),
    apply: () =>
      asked.apply({
        head: { clockMs: Date.now(), position: undefined, leaseLeftMs: 0, run: 'none', released: [], orphans: [] },
        next: { xid: 1n, purge: 'purge' },
        rows: [],
        barrier: undefined,
        grant: 'hold',
      }),
  });

  /** What one call ends with, and after how long. */
  async function ended(call: () => Promise<unknown>): Promise<{ code: string; ms: number }> {
    const startedMs = performance.now();
    const code = await call().then(
      () => 'answered',
      (error) => (error instanceof CacheError ? error.code : String(error)),
    );
    return { code, ms: performance.now() - startedMs };
  }

  async function lone(waitMs: number, clock?: Clock) {
    const own = await start([]);
    cleanups.push(own.stop, () => signal(own, 'SIGCONT'));
    return { own, asked: await open(own, waitMs, clock) };
  }

  test('every call to a server that hangs ends within the bounded wait; when it goes on, so does the store', async () => {
    const { own, asked } = await lone(WAIT_MS);
    signal(own, 'SIGSTOP');
    // All at once, then again: by then the connections that did not answer were given up.
    for (let round = 0; round < 2; round++) {
      const ends = Object.entries(calls(asked)).map(async ([name, call]) => ({ name, ...(await ended(call)) }));
      for (const { name, code, ms } of await Promise.all(ends)) {
        expect([name, code]).toEqual([name, 'STORE_UNAVAILABLE']);
        expect(ms).toBeLessThan(WAIT_MS + SLACK_MS);
      }
    }
    signal(own, 'SIGCONT');
    for (const [name, call] of Object.entries(calls(asked))) {
      await expect.poll(async () => [name, (await ended(call)).code], { timeout: 10_000 }).toEqual([name, 'answered']);
    }
    expect(asked.outageMs([])).toBe(0);
  });

  test('after three failures one read tries the server, and those beside it fail at once', async () => {
    let nowMs = 0;
    const { own, asked } = await lone(WAIT_MS, { ...systemClock, monotonicMs: () => nowMs });
    // It answers INFO, so connections are made, and no script.
    await connect(own).call('CLIENT', 'PAUSE', '60000', 'WRITE');
    const waiting = async (reads: number) => {
      const ends = await Promise.all(
        Array.from({ length: reads }, () => ended(() => asked.read([], [B], { mint: true }))),
      );
      return ends.filter(({ ms }) => ms > WAIT_MS / 2).length;
    };
    expect(await waiting(3)).toBe(3);
    expect(await waiting(5)).toBe(0);
    let tried = 0;
    await vi.waitUntil(async () => {
      nowMs += 1000;
      tried = await waiting(5);
      return tried > 0; // else there was no connection yet
    }, 10_000);
    expect(tried).toBe(1);
  });

  test('every call to a server that is gone fails at once, however long the wait', async () => {
    const { own, asked } = await lone(15_000);
    await own.stop();
    for (const [name, call] of Object.entries(calls(asked))) {
      const { code, ms } = await ended(call);
      expect([name, code]).toEqual([name, 'STORE_UNAVAILABLE']);
      expect(ms).toBeLessThan(SLACK_MS);
    }
    // Nor do they wait for the next attempt to reconnect, half a second apart: nothing is queued.
    const { ms } = await ended(async () => {
      for (let i = 0; i < 10; i++) await asked.read([], []).catch(() => {});
    });
    expect(ms).toBeLessThan(SLACK_MS);
  });

  test('a store whose server never was is ready after its wait, and fails at once', async () => {
    const gone = await start([]);
    await gone.stop();
    const asked = await open(gone, WAIT_MS);
    const { code, ms } = await ended(() => asked.read([], []));
    expect(code).toBe('STORE_UNAVAILABLE');
    expect(ms).toBeLessThan(SLACK_MS);
  });

  test('a command whose connection breaks is not sent again on the next one', async () => {
    const { own, asked } = await lone(15_000);
    const admin = connect(own);
    await admin.call('CLIENT', 'PAUSE', '60000', 'WRITE');
    const fencing = ended(() => asked.fence(107n, [A], { fresh: false }));
    await expect.poll(async () => String(await admin.call('INFO', 'clients'))).toContain('blocked_clients:1');
    await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    expect((await fencing).code).toBe('STORE_UNAVAILABLE');
    await admin.call('CLIENT', 'UNPAUSE');
    await expect.poll(async () => (await ended(() => asked.read([], []))).code, { timeout: 10_000 }).toBe('answered');
    expect(await admin.exists(tagKey(A))).toBe(0);
  });

  test('lostForMs grows while every attempt fails, and is 0 after one that succeeds', async () => {
    let nowMs = 0;
    const { own, asked } = await lone(WAIT_MS, { ...systemClock, monotonicMs: () => nowMs });
    const fail = async () => expect(await ended(() => asked.read([], []))).toMatchObject({ code: 'STORE_UNAVAILABLE' });
    await asked.read([], []);
    expect(asked.outageMs([])).toBe(0);
    signal(own, 'SIGSTOP');
    nowMs = 1000;
    await fail();
    expect(asked.outageMs([])).toBe(0);
    for (const atMs of [1700, 2400, 3100]) {
      nowMs = atMs;
      expect(asked.outageMs([])).toBe(atMs - 1000);
      await fail();
      expect(asked.outageMs([])).toBe(atMs - 1000);
    }
    // Nobody asked for a while: whether it was lost all the time, nobody knows.
    nowMs = 5000;
    await fail();
    expect(asked.outageMs([])).toBe(0);
    nowMs = 5500;
    expect(asked.outageMs([])).toBe(500);
    signal(own, 'SIGCONT');
    await expect.poll(async () => (await ended(() => asked.head())).code, { timeout: 10_000 }).toBe('answered');
    expect(asked.outageMs([])).toBe(0);
  });

  test('a server that is full fails what it refuses, and is read all the same', async () => {
    const { own, asked } = await lone(WAIT_MS);
    await connect(own).config('SET', 'maxmemory', '1mb', 'maxmemory-policy', 'noeviction');
    await connect(own).config('SET', 'maxmemory', '1');
    for (const name of ['fill', 'fence', 'fresh fence', 'release', 'apply'] as const) {
      const { code } = await ended(calls(asked)[name] as () => Promise<unknown>);
      expect([name, code]).toEqual([name, name === 'apply' || name === 'release' ? 'answered' : 'STORE_UNAVAILABLE']);
    }
    for (let refused = 0; refused < 5; refused++)
      expect(await ended(calls(asked).fill as () => Promise<unknown>)).toMatchObject({ code: 'STORE_UNAVAILABLE' });
    // What it holds can still be read; a tag that has no token gets none.
    expect((await asked.read([keyOfText('k')], [A, B], { mint: true })).tokens.has(B)).toBe(false);
  });

  test('a server that may evict fences is reported, and one that evicts only what expires is not', async () => {
    const reported = async (policy: string) => {
      const own = await start(['--maxmemory-policy', policy]);
      cleanups.push(own.stop);
      const limits: string[] = [];
      const made = new RedisStore({ url: own.url, group, waitMs: 5000, onLimit: (text) => limits.push(text) });
      cleanups.push(() => made.close());
      await made.ready();
      return limits;
    };
    expect(await reported('volatile-lru')).toEqual([]);
    expect(await reported('noeviction')).toEqual([]);
    expect(await reported('allkeys-lru')).toEqual([
      'maxmemory-policy allkeys-lru may evict fences and positions; expected volatile-lfu or another volatile-*',
    ]);
  });

  test('closed, it fails every call and holds no connection', async () => {
    const { own, asked } = await lone(WAIT_MS);
    await asked.close();
    expect((await ended(() => asked.read([], []))).code).toBe('STORE_UNAVAILABLE');
    const admin = connect(own);
    await expect.poll(async () => String(await admin.call('INFO', 'clients'))).toContain('connected_clients:1\r');
  });
});

function signal({ pid }: EmbeddedRedis, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // it is gone already
  }
}

async function start(args: string[], dir = tmpdir()): Promise<EmbeddedRedis> {
  const started = await startRedis({ args, dir });
  if (started === undefined) throw new Error(installHint());
  return started;
}

function connect({ url }: EmbeddedRedis): Redis {
  const made = new Redis(url);
  made.on('error', () => {});
  cleanups.push(() => made.disconnect());
  return made;
}

async function open({ url }: EmbeddedRedis, waitMs = 5000, clock: Clock = systemClock): Promise<RedisStore> {
  const made = new RedisStore({ url, group, waitMs, clock });
  cleanups.push(() => made.close());
  await made.ready();
  return made;
}
