/**
 * Every order in which the steps of one reader and one writer can happen, over the memory store, with other readers at
 * every place between them: each value given was the committed one at some moment while its read ran. All of it twice: with
 * and without memory in the processes.
 */
import { describe, expect, test } from 'vitest';
import { Cache, LEASE_MS, MemoryStore, type Policy, type Store } from '../../src/engine/cache/index.js';
import { HOUR } from '../../src/std/time.js';
import { Gate, Gates } from '../support/barrier.js';
import { gated, type StoreStep } from '../support/stores.js';
import { FakeClock, quiet, tagOf, tick } from './world.js';

/** `load` takes the database's value, `give` hands it over: a slow answer is an old one. `fill` stores it. */
const READER = ['read', 'load', 'give', 'fill'] as const;
/** Where nothing has to be loaded: the store has answered, and the reader knows. */
const KEEPER = ['read', 'know'] as const;
const XID = 200n;

/** How a write ends; in the last one its process dies after COMMIT and the relay finds its row. */
const WRITERS = {
  'commits and releases': ['fence', 'commit', 'release'],
  'rolls back and releases': ['fence', 'release'],
  'commits and dies': ['fence', 'commit', 'apply'],
  'commits and dies, a reader resolves its fence': ['fence', 'commit', 'unfence', 'apply'],
} as const satisfies Record<string, readonly string[]>;

type Step = (typeof READER)[number] | (typeof KEEPER)[number] | 'fence' | 'commit' | 'release' | 'apply' | 'unfence';

/** What is in the store before: nothing, the tag's token, or the entry, too; and in the memory of both processes. */
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

interface Game {
  readonly before: (typeof BEFORE)[number] | 'copies';
  /** Whether the processes of the readers have memory. */
  readonly near: boolean;
  readonly probeAt: number;
}

/** Plays `order`; before step number `probeAt` two more readers ask, one in the reader's process, one in another. */
async function play(order: readonly Step[], { before, near, probeAt }: Game): Promise<Played> {
  const clock = new FakeClock();
  const memory = new MemoryStore(clock);
  await tick(memory);
  const gates = new Gates<StoreStep>();
  const plain = gated(memory, gates);
  let knowing: Gate | undefined;
  const store: Store = {
    ...plain,
    async read(...asked) {
      const held = knowing;
      knowing = undefined;
      const view = await plain.read(...asked);
      await held?.pass();
      return view;
    },
  };
  // Small: memory is made anew for every order.
  const options = { clock, near: near ? { maxEntries: 10 } : undefined };
  const here = new Cache({ store, ...options });
  const there = new Cache({ store: memory, ...options });
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

  // Where the log is, both know.
  if (near) await Promise.all([here, there].map((cache) => cache.read({ ...POLICY, name: 'Other' }, 7, async () => 0)));
  if (before === 'token') await memory.read([], [TASK], { mint: true });
  if (before === 'entry' || before === 'copies') await there.read(POLICY, 7, async () => database);
  await quiet();
  if (before === 'copies') {
    await Promise.all([here, there].map((cache) => cache.read(POLICY, 7, async () => 'never loaded')));
    expect([here.state.near?.entries, there.state.near?.entries]).toEqual([1, 1]);
  }

  const [loading, giving, answered] = [new Gate(), new Gate(), new Gate()];
  let filling: Gate | undefined;
  const keeps = order.includes('know');
  const steps: Record<Step, () => unknown> = {
    read: () => {
      if (keeps) knowing = answered;
      begin('the reader', here, async () => {
        if (keeps) return database;
        await loading.pass();
        const seen = database;
        await giving.pass();
        return seen;
      });
    },
    know: () => answered.open(),
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
    unfence: () => memory.releaseFinished([String(XID)], [TASK]),
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

const ENDINGS = Object.keys(WRITERS) as (keyof typeof WRITERS)[];
/** What is found is not loaded: there only the store's answer can be late. */
const READERS = [
  ...BEFORE.map((before) => ({ memory: 'without memory', before, near: false, steps: READER })),
  ...(['nothing', 'token'] as const).map((before) => ({ memory: 'with memory', before, near: true, steps: READER })),
  ...(['entry', 'copies'] as const).map((before) => ({ memory: 'with memory', before, near: true, steps: KEEPER })),
];

describe.each(ENDINGS)('a writer that %s', (ending) => {
  test.each(READERS)('and a reader $memory who finds $before: nothing old is served, in any order', async (reader) => {
    const { before, near, steps } = reader;
    const orders = interleavings<Step>(steps, WRITERS[ending]);
    const faults: string[] = [];
    let checked = 0;
    for (const order of orders) {
      for (let probeAt = 0; probeAt <= order.length; probeAt++) {
        const { reads, committed } = await play(order, { before, near, probeAt });
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
    expect(checked).toBe(orders.length * (steps.length + WRITERS[ending].length) * 7 + orders.length * 5);
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
