/**
 * Every order in which the steps of one reader and one writer can happen, over the memory store, with other readers at
 * every place between them: each value given was the committed one at some moment while its read ran.
 */
import { describe, expect, test } from 'vitest';
import { Cache, LEASE_MS, MemoryStore, type Policy } from '../../src/cache/index.js';
import { HOUR } from '../../src/time.js';
import { Gate, Gates } from '../support/barrier.js';
import { gated, type StoreStep } from '../support/stores.js';
import { FakeClock, quiet, tagOf, tick } from './world.js';

/** `load` takes the database's value, `give` hands it over: a slow answer is an old one. `fill` stores it. */
const READER = ['read', 'load', 'give', 'fill'] as const;
const XID = 200n;

/** How a write ends; in the last one its process dies after COMMIT and the relay finds its row. */
const WRITERS = {
  'commits and releases': ['fence', 'commit', 'release'],
  'rolls back and releases': ['fence', 'release'],
  'commits and dies': ['fence', 'commit', 'apply'],
  'commits and dies, a reader resolves its fence': ['fence', 'commit', 'unfence', 'apply'],
} as const satisfies Record<string, readonly string[]>;

type Step = (typeof READER)[number] | 'fence' | 'commit' | 'release' | 'apply' | 'unfence';

/** What is in the store before: nothing, the tag's token, or the entry, too. */
const BEFORE = ['nothing', 'token', 'entry'] as const;

const TASK = tagOf(7);
const POLICY: Policy<number> = { name: 'Task', shape: '1', ttlMs: HOUR, scope: 'public', tags: () => [TASK] };

interface Read {
  readonly who: string;
  readonly from: number;
  readonly until: number;
  readonly value: string;
}

interface Played {
  readonly reads: Read[];
  /** The step at which the new value was committed; never: Infinity. */
  readonly committed: number;
}

/** Plays `order`; before step number `probeAt` two more readers ask, one in the reader's process, one in another. */
async function play(order: readonly Step[], before: (typeof BEFORE)[number], probeAt: number): Promise<Played> {
  const clock = new FakeClock();
  const memory = new MemoryStore(clock);
  await tick(memory);
  const gates = new Gates<StoreStep>();
  const here = new Cache({ store: gated(memory, gates), clock });
  const there = new Cache({ store: memory, clock });
  const writer = new Cache({ store: memory, clock });
  let database = 'old';
  let now = 0;
  let committed = Infinity;
  const reads: Read[] = [];
  const pending: Promise<unknown>[] = [];

  const begin = (who: string, cache: Cache, load: () => Promise<string>) => {
    const from = now;
    pending.push(cache.read(POLICY, 7, load).then((value) => reads.push({ who, from, until: now, value })));
  };
  const probe = () => {
    begin('in the same process', here, async () => database);
    begin('in another process', there, async () => database);
  };

  if (before === 'token') await memory.mint([TASK]);
  if (before === 'entry') await there.read(POLICY, 7, async () => database);
  await quiet();

  const [loading, giving] = [new Gate(), new Gate()];
  let filling: Gate | undefined;
  const steps: Record<Step, () => unknown> = {
    read: () =>
      begin('the reader', here, async () => {
        await loading.pass();
        const seen = database;
        await giving.pass();
        return seen;
      }),
    load: () => loading.open(),
    give: () => {
      filling = gates.hold('fill');
      giving.open();
    },
    fill: () => filling?.open(),
    fence: () => writer.fence(XID, [TASK]),
    commit: () => {
      database = 'new';
      committed = now;
    },
    release: () => writer.release(XID, [TASK]),
    unfence: () => memory.unfence([String(XID)], [TASK]),
    apply: () => tick(memory, { rows: [{ xid: XID, tags: [TASK] }] }),
  };
  for (const [i, step] of order.entries()) {
    if (i === probeAt) probe();
    await quiet();
    now++;
    await steps[step]();
    await quiet();
  }
  // Whatever was stored by then is what everyone gets from now on.
  for (let last = 0; last < 2; last++) {
    now++;
    probe();
    await quiet();
  }
  await Promise.all(pending);
  return { reads, committed };
}

/** The value was the committed one at some moment of the read. */
function wasCurrent({ value, from, until }: Read, committed: number): boolean {
  return value === 'new' ? until >= committed : from < committed;
}

function interleavings<T>(a: readonly T[], b: readonly T[]): T[][] {
  const [firstOfA, ...restOfA] = a;
  const [firstOfB, ...restOfB] = b;
  if (firstOfA === undefined) return [[...b]];
  if (firstOfB === undefined) return [[...a]];
  return [
    ...interleavings(restOfA, b).map((rest) => [firstOfA, ...rest]),
    ...interleavings(a, restOfB).map((rest) => [firstOfB, ...rest]),
  ];
}

describe.each(Object.keys(WRITERS) as (keyof typeof WRITERS)[])('a writer that %s', (ending) => {
  const orders = interleavings<Step>(READER, WRITERS[ending]);

  test.each(BEFORE)('and a reader who finds the store with %s: nothing old is served, in any order', async (before) => {
    const faults: string[] = [];
    let checked = 0;
    for (const order of orders) {
      for (let probeAt = 0; probeAt <= order.length; probeAt++) {
        const { reads, committed } = await play(order, before, probeAt);
        for (const read of reads) {
          checked++;
          if (wasCurrent(read, committed)) continue;
          const { who, value, from, until } = read;
          faults.push(`${order.join(' ')}, probed at ${probeAt}: ${who} got ${value} from ${from} until ${until}`);
        }
      }
    }
    expect(faults).toEqual([]);
    // One reader, two probes on the way (none where there is no such step), four at the end.
    expect(checked).toBe(orders.length * (READER.length + WRITERS[ending].length) * 7 + orders.length * 5);
  });
});

test('the reader and the writer of three steps each meet in all 20 orders', () => {
  const orders = interleavings<Step>(['read', 'load', 'fill'], ['fence', 'commit', 'release']);
  expect(new Set(orders.map(String)).size).toBe(20);
});

describe('two writers of one tag', () => {
  const orders = interleavings(['fence 1', 'commit 1', 'release 1'], ['fence 2', 'commit 2', 'release 2']);

  test('are never seen out of order: a read after each step gives what is committed then', async () => {
    for (const order of orders) {
      const clock = new FakeClock();
      const store = new MemoryStore(clock);
      await tick(store);
      const cache = new Cache({ store, clock });
      let database = 'nothing yet';
      const read = async () => {
        const value = await cache.read(POLICY, 7, async () => database);
        await quiet();
        return value;
      };
      for (const step of order) {
        const [what, xid = ''] = step.split(' ');
        if (what === 'fence') await cache.fence(BigInt(xid), [TASK]);
        if (what === 'commit') database = step;
        if (what === 'release') cache.release(BigInt(xid), [TASK]);
        await quiet();
        expect([order, await read()]).toEqual([order, database]);
        expect([order, await read()]).toEqual([order, database]);
      }
    }
  });
});

test('a write that nobody fenced is served old no longer than LEASE_MS', async () => {
  const clock = new FakeClock();
  const store = new MemoryStore(clock);
  await tick(store);
  const cache = new Cache({ store, clock });
  let database = 'old';
  const read = () => cache.read(POLICY, 7, async () => database);
  await read();
  await quiet();
  database = 'new';
  clock.advance(LEASE_MS - 1);
  expect(await read()).toBe('old');
  clock.advance(1);
  expect(await read()).toBe('new');
  // The relay comes back and brings the row before it grants anything.
  await tick(store, { rows: [{ xid: XID, tags: [TASK] }] });
  expect(await read()).toBe('new');
});
