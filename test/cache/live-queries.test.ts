/** Live queries: every rule of PROTOCOL.md, "Live queries", tested through the public calls of the engine. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  CacheError,
  type Key,
  type LiveRun,
  type LiveSource,
  RunLater,
  TooManyLiveQueries,
} from '../../src/engine/cache/index.js';
import type { StoreEvent } from '../../src/engine/cache/store.js';
import { HOUR } from '../../src/std/time.js';
import { Gate } from '../support/barrier.js';
import {
  type LiveWorld,
  liveWorld,
  POLICY,
  pass,
  type Read,
  Received,
  settled,
  TABLE,
  useFakeTime,
} from './live-world.js';
import { keyOfText, tagOf, tick } from './world.js';

beforeEach(useFakeTime);
afterEach(() => {
  vi.useRealTimers();
});

/** How long a run waits for a write that has fenced its tags and has not ended. */
const FENCE_WAIT_MS = 250;
const READ_LOG_EVERY_MS = 500;
/** A live query that gets no message has the answer after a write within this time. */
const WITHIN_MS = READ_LOG_EVERY_MS + FENCE_WAIT_MS + 50;

/** Loads that a test holds: `next` is the next one, which waits after it has read, before it returns. */
function heldLoads(w: LiveWorld) {
  let held: Gate | undefined;
  return {
    load: async (id: number) => {
      const gate = held;
      const value = await w.load(id);
      held = undefined;
      await gate?.pass();
      return value;
    },
    hold(): Gate {
      held = new Gate();
      return held;
    },
  };
}

/** Lets the next load of a live query read what is there, and holds it while `meanwhile` happens. */
async function during(w: LiveWorld, loads: ReturnType<typeof heldLoads>, meanwhile: () => Promise<unknown>) {
  const gate = loads.hold();
  await w.memory.invalidate([tagOf(1)]);
  await pass(WITHIN_MS);
  await gate.arrived;
  await meanwhile();
  gate.open();
  await settled();
}

describe('a live query', () => {
  test('sends its answer, and a new one when a write has changed it, at once when the writer says so', async () => {
    const w = await liveWorld();
    const client = await w.joined(w.values('q', [1, 2]));
    expect(client.texts).toEqual(['0 0']);
    expect(w.ends()).toEqual(['sent, unproved', 'unchanged']); // the first began before memory did
    await w.write(2, 5);
    await pass(1, 1);
    expect(client.texts).toEqual(['0 0', '0 5']);
    expect(w.ends()).toEqual(['sent']);
    expect(w.live.state).toEqual({ queries: 1, clients: 1, running: 0, due: 0, tags: 3, unindexed: 0 });
  });

  test('does not run for a write that touches none of its tags', async () => {
    const w = await liveWorld();
    await w.joined(w.values('q', [1, 2]));
    w.ends();
    await w.write(3, 5);
    await pass(3 * READ_LOG_EVERY_MS);
    expect(w.ends()).toEqual([]);
  });

  test('sends no answer that is equal to the one before, and goes on under the tags of the new one', async () => {
    const w = await liveWorld();
    const source = w.source('q', async (read) => String((await read(await read(1))) > 0));
    w.database.set(1, 2);
    const client = await w.joined(source);
    w.ends();
    await w.write(1, 3);
    await pass(WITHIN_MS);
    expect(w.ends()).toEqual(['unchanged']);
    await w.write(3, 1);
    await pass(WITHIN_MS);
    expect(client.texts).toEqual(['false', 'true']);
  });

  test('is found by what it reads now, not by what it read once', async () => {
    const w = await liveWorld();
    w.database.set(1, 2);
    const client = await w.joined(w.source('q', async (read) => String(await read(await read(1)))));
    await w.write(1, 3);
    await pass(WITHIN_MS);
    await w.write(3, 7);
    await pass(WITHIN_MS);
    w.ends();
    await w.write(2, 9);
    await pass(WITHIN_MS);
    expect(client.texts).toEqual(['0', '7']);
    expect(w.ends()).toEqual([]);
  });

  test('shares its runs between its clients, whose numbers rise', async () => {
    const w = await liveWorld();
    const [first, second] = [new Received(), new Received()];
    for (const client of [first, second]) w.live.join(w.values('q', [1]), client);
    await pass(200);
    await w.write(1, 5);
    await pass(WITHIN_MS);
    expect(second.answers).toEqual(first.answers);
    expect(first.texts).toEqual(['0', '5']);
    const [before, after] = first.answers.map(({ number }) => number) as [number, number];
    expect(after).toBeGreaterThan(before);
  });

  test('that has no client left ends: nothing of it stays, and nothing is sent', async () => {
    const w = await liveWorld();
    const loads = heldLoads(w);
    const client = new Received();
    let signal: AbortSignal | undefined;
    const source = w.source(
      'q',
      async (read, run) => {
        ({ signal } = run);
        await read(1).catch(() => 0); // the run ends although its client has left
        return String(w.database.get(1));
      },
      { load: loads.load },
    );
    const { leave } = w.live.join(source, client);
    await pass(200);
    const gate = loads.hold();
    await w.write(1, 5);
    await pass(10);
    await gate.arrived;
    leave();
    leave();
    expect(signal?.aborted).toBe(true);
    gate.open();
    await pass(WITHIN_MS);
    expect(client.texts).toEqual(['undefined']);
    expect(w.live.state).toEqual({ queries: 0, clients: 0, running: 0, due: 0, tags: 0, unindexed: 0 });
    expect(w.listeners.size).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('ends also when its last client leaves with its answer', async () => {
    const w = await liveWorld();
    const client = { answered: () => membership.leave() };
    const membership = w.live.join(w.values('q', [1]), client);
    await pass(WITHIN_MS);
    expect(w.live.state).toEqual({ queries: 0, clients: 0, running: 0, due: 0, tags: 0, unindexed: 0 });
    expect(vi.getTimerCount()).toBe(0);
  });

  test('of a client that comes back under the same key is another one, whatever the run before it does', async () => {
    const w = await liveWorld();
    const loads = heldLoads(w);
    const gate = loads.hold();
    const source = w.values('q', [1], { load: loads.load });
    const [first, second] = [new Received(), new Received()];
    const { leave } = w.live.join(source, first);
    await pass(10);
    await gate.arrived;
    leave();
    await w.write(1, 5);
    w.live.join(source, second);
    await pass(WITHIN_MS);
    gate.open();
    leave();
    await pass(WITHIN_MS);
    expect([first.texts, second.texts]).toEqual([[], ['5']]);
    expect(w.live.state).toMatchObject({ queries: 1, clients: 1, due: 0 });
  });

  test('that reads nothing is settled', async () => {
    const w = await liveWorld();
    const client = await w.joined(w.source('q', async () => 'always'));
    expect([client.texts, w.live.state.due]).toEqual([['always'], 0]);
  });
});

describe('a write while a run is under way', () => {
  test('that memory knows of at its end is held against the answer from its first read on', async () => {
    const w = await liveWorld({ withoutMessages: true });
    const loads = heldLoads(w);
    const client = await w.joined(w.values('q', [1], { load: loads.load }));
    await during(w, loads, async () => {
      await w.write(1, 5);
      await w.request();
    });
    expect(client.texts).toEqual(['0']);
    await pass(WITHIN_MS);
    expect(client.texts).toEqual(['0', '5']);
    expect(w.live.state.due).toBe(0);
  });

  test('is held against each part from the read of that part on, although later parts were read after it', async () => {
    const w = await liveWorld({ withoutMessages: true });
    const between = heldLoads(w);
    const source = w.source('q', async (read) => `${await read(1)} ${await read(2)}`, { load: between.load });
    const client = await w.joined(source);
    await w.memory.invalidate([tagOf(2)]); // read from the store, when its turn comes
    await w.request();
    await during(w, between, async () => {
      await w.write(1, 5);
      await w.request();
    });
    await pass(WITHIN_MS);
    expect(client.texts.at(-1)).toBe('5 0');
    expect(w.live.state.due).toBe(0);
  });

  test('is held against the tags of the new answer, which the one before did not have', async () => {
    const w = await liveWorld({ withoutMessages: true });
    const loads = heldLoads(w);
    const client = await w.joined(w.source('q', async (read) => String(await read((await read(1)) + 2)), loads));
    await w.fence(1);
    w.database.set(1, 1);
    await w.release(1);
    await w.request(); // the record of that write is known
    let gate: Gate | undefined;
    const read3 = loads.load;
    loads.load = async (id) => {
      if (id === 3) gate ??= loads.hold();
      return read3(id);
    };
    await pass(WITHIN_MS);
    await gate?.arrived;
    await w.write(3, 5);
    await w.request();
    gate?.open();
    await pass(WITHIN_MS);
    expect(client.texts.at(-1)).toBe('5');
  });

  test('does not begin another run before the first has ended, so no older answer can follow', async () => {
    const w = await liveWorld();
    const loads = heldLoads(w);
    let running = 0;
    let most = 0;
    const source = w.source(
      'q',
      async (read) => {
        most = Math.max(most, ++running);
        return String(await read(1).finally(() => running--));
      },
      loads,
    );
    const client = await w.joined(source);
    await during(w, loads, async () => {
      await w.write(1, 5);
      await pass(WITHIN_MS);
      expect(client.texts).toEqual(['0']);
    });
    await pass(WITHIN_MS);
    expect([client.texts, most]).toEqual([['0', '5'], 1]);
  });

  test('whose fence the run has met is repeated by time until it is proved: no record and no message comes', async () => {
    const w = await liveWorld({ withoutMessages: true });
    await w.request();
    await w.fence(1);
    const client = new Received();
    w.live.join(w.values('q', [1]), client);
    await pass(20);
    expect(client.texts).toEqual(['0']);
    w.database.set(1, 5);
    await w.release(1);
    await pass(100);
    expect(client.texts).toEqual(['0', '5']);
    expect(w.live.state.due).toBe(0);
  });

  test('is waited for when its fence is named: until its release, and for 250 ms at most', async () => {
    const w = await liveWorld();
    const client = await w.joined(w.values('q', [1]));
    w.ends();
    await w.fence(1);
    await w.request();
    await pass(FENCE_WAIT_MS - 10);
    expect(w.ends()).toEqual([]);
    w.database.set(1, 5);
    await w.release(1);
    await pass(1, 1);
    expect([client.texts, w.ends()]).toEqual([['0', '5'], ['sent']]);
    await w.fence(1);
    await w.request();
    await pass(FENCE_WAIT_MS + 10);
    expect(w.ends()).toEqual(['unchanged, unproved']);
  });

  test('ends by its release the long wait of a run that met its fence', async () => {
    const w = await liveWorld();
    await w.request();
    await w.fence(1);
    const client = await w.joined(w.values('q', [1]));
    await pass(5000, 50);
    w.ends();
    w.database.set(1, 5);
    await w.release(1);
    await pass(1, 1);
    expect(client.texts).toEqual(['0', '5']);
  });
});

describe('the log', () => {
  test('is read by a timer: a write is found although no message of it arrives', async () => {
    const w = await liveWorld({ withoutMessages: true });
    const client = await w.joined(w.values('q', [1]));
    await w.write(1, 5);
    await pass(WITHIN_MS);
    expect(client.texts).toEqual(['0', '5']);
  });

  test('makes the query due by whichever log read brings the record, that of a request included', async () => {
    const w = await liveWorld({ withoutMessages: true });
    const client = await w.joined(w.values('q', [1]));
    await w.write(1, 5);
    await w.request();
    await pass(WITHIN_MS);
    expect(client.texts).toEqual(['0', '5']);
  });

  test("names tables where a write touches very many rows: the query has its tables' tags", async () => {
    const w = await liveWorld({ withoutMessages: true });
    const client = await w.joined(w.values('q', [1]));
    const tags = Array.from({ length: 300 }, (_, i) => tagOf(i));
    await w.writer.fence(900n, tags);
    w.database.set(1, 5);
    w.writer.release(900n, tags);
    await pass(WITHIN_MS);
    expect(client.texts).toEqual(['0', '5']);
  });

  test('with a gap proves nothing: every query runs', async () => {
    const w = await liveWorld({ withoutMessages: true });
    const clients = [await w.joined(w.values('q', [1])), await w.joined(w.values('r', [2]))];
    await w.write(1, 5);
    for (let record = 0; record < 501; record++) await w.memory.invalidate([tagOf(99)]);
    await w.request();
    await pass(2000);
    expect(clients.map(({ texts }) => texts)).toEqual([['0', '5'], ['0']]);
    expect(w.live.state.due).toBe(0);
  });

  test('of another lease or another life proves nothing about this one: every query runs', async () => {
    const w = await liveWorld({ withoutMessages: true });
    const client = await w.joined(w.values('q', [1]));
    await w.fence(1);
    w.database.set(1, 5);
    await w.loseStore(tagOf(1)); // the fence and its record are gone, and the writer dies
    await w.request();
    await pass(2000);
    expect(client.texts).toEqual(['0', '5']);
    expect(w.live.state.due).toBe(0);
  });

  test('that another request finds lost makes every query due, however short the loss', async () => {
    const w = await liveWorld({ withoutMessages: true });
    const client = await w.joined(w.values('q', [1]));
    w.storeClock.advance(2000); // no lease
    await w.write(1, 5);
    await tick(w.memory); // another one
    await w.request(); // finds that
    await pass(2000);
    expect(client.texts).toEqual(['0', '5']);
    expect(w.live.state.due).toBe(0);
  });

  test('that cannot be read makes every query due: what is written now may have no record', async () => {
    const w = await liveWorld({ withoutMessages: true });
    const client = await w.joined(w.values('q', [1]));
    w.ends();
    w.trips.fail = new CacheError('STORE_UNAVAILABLE', 'away');
    w.database.set(1, 5);
    await pass(READ_LOG_EVERY_MS + 1000);
    expect(client.texts).toEqual(['0', '5']);
    expect(w.ends()[0]).toBe('sent, unproved');
  });

  test('that can be read again ends long waits, for what could not be proved without it', async () => {
    const w = await liveWorld({ withoutMessages: true });
    await w.joined(w.values('q', [1]));
    w.trips.fail = new CacheError('STORE_UNAVAILABLE', 'away');
    await pass(10_000, 50); // the wait between two runs has reached its maximum
    const before = performance.now();
    for (w.ends(); w.ends().length === 0; ) await pass(10);
    expect(performance.now() - before).toBeLessThan(2100);
    w.trips.fail = undefined; // just after a run
    await pass(READ_LOG_EVERY_MS + 10);
    expect([w.ends(), w.live.state.due]).toEqual([['unchanged'], 0]);
  });

  test('is read when the channel may have lost something', async () => {
    const w = await liveWorld({ withoutMessages: true });
    await w.joined(w.values('q', [1]));
    await pass(READ_LOG_EVERY_MS);
    await pass(10);
    const { storeReads } = w.cache.state;
    for (const listener of w.listeners) listener({ kind: 'disconnected' } satisfies StoreEvent);
    await settled();
    expect(w.cache.state.storeReads).toBe(storeReads + 1);
  });

  test('is read before a run that a message asks for, so that its answer is proved', async () => {
    const w = await liveWorld();
    await w.joined(w.values('q', [1]));
    await w.joined(w.values('r', [1]));
    w.ends();
    await w.write(1, 5);
    await pass(20);
    expect(w.ends()).toEqual(['sent', 'sent']);
  });
});

describe('a client', () => {
  test('that joins during a run gets the answer of one that begins afterwards', async () => {
    const w = await liveWorld();
    const loads = heldLoads(w);
    const source = w.values('q', [1], loads);
    await w.joined(source);
    const client = new Received();
    await during(w, loads, async () => {
      await w.write(1, 5); // acknowledged before the client comes
      w.live.join(source, client);
    });
    expect(client.texts).toEqual([]);
    await pass(WITHIN_MS);
    expect(client.texts).toEqual(['5']);
  });

  test('that joins later gets the answer of a new run, not the last one', async () => {
    const w = await liveWorld({ withoutMessages: true });
    const source = w.values('q', [1]);
    const before = await w.joined(source);
    await w.write(1, 5); // no log read has found its record
    const client = await w.joined(source);
    expect([before.texts, client.texts]).toEqual([['0', '5'], ['5']]);
  });

  test('gets its first answer although it is equal to the last one, and the others do not get it again', async () => {
    const w = await liveWorld();
    const source = w.values('q', [1]);
    const before = await w.joined(source);
    const client = await w.joined(source);
    expect([before.texts, client.texts]).toEqual([['0'], ['0']]);
    expect(client.answers[0]?.number).toBeGreaterThan(before.answers[0]?.number as number);
  });

  test('that left and joined again during a run is one that came during the run', async () => {
    const w = await liveWorld();
    const loads = heldLoads(w);
    const source = w.values('q', [1], loads);
    await w.joined(source);
    const client = new Received();
    const { leave } = w.live.join(source, client);
    await pass(200);
    await during(w, loads, async () => {
      await w.write(1, 5);
      leave();
      w.live.join(source, client);
      leave();
    });
    await pass(WITHIN_MS);
    expect(client.texts).toEqual(['0', '5']);
    expect(w.live.state.clients).toBe(2);
  });

  test('whose first run fails gets the answer of a later one', async () => {
    const w = await liveWorld();
    let failures = 2;
    const source = w.source('q', async (read) => {
      if (failures-- > 0) throw new Error('the database is away');
      return String(await read(1));
    });
    const client = await w.joined(source);
    expect(client.texts).toEqual(['0']);
  });

  test('that wants the answer again gets that of a run which begins afterwards, and the others do not get it', async () => {
    const w = await liveWorld();
    const source = w.values('q', [1]);
    const other = await w.joined(source);
    const client = new Received();
    const membership = w.live.join(source, client);
    await pass(200);
    membership.again();
    await pass(200);
    expect([client.texts, other.texts]).toEqual([['0', '0'], ['0']]);
    membership.leave();
    membership.again();
    await pass(200);
    expect(client.texts).toEqual(['0', '0']);
  });

  test('that waits for its first answer makes the run a first one; one that wants the answer again does not', async () => {
    const w = await liveWorld();
    const firsts: boolean[] = [];
    const source = w.source('q', async (read, { isFirst }) => {
      firsts.push(isFirst);
      return String(await read(1));
    });
    const client = new Received();
    const membership = w.live.join(source, client);
    await pass(200);
    expect(firsts.at(0)).toBe(true);
    firsts.length = 0;
    membership.again();
    await w.write(1, 5);
    await pass(200);
    expect([client.texts.at(-1), firsts.includes(true)]).toEqual(['5', false]);
    w.live.join(source, new Received());
    await pass(200);
    expect(firsts.at(-1)).toBe(true);
  });

  test('that joins during a run which is postponed, or fails, does not wait for the next attempt', async () => {
    for (const error of [new RunLater(60_000), new Error('the database is away')]) {
      const w = await liveWorld();
      let fails = false;
      const source = w.source('q', async (read) => {
        const value = await read(1);
        if (!fails) return String(value);
        fails = false;
        w.live.join(source, late);
        throw error;
      });
      const late = new Received();
      await w.joined(source);
      fails = true;
      await w.write(1, 5);
      await pass(20);
      expect(late.texts).toEqual(['5']);
      w.live.close();
    }
  });

  test('that wants the answer again waits for `throttleMs`', async () => {
    const w = await liveWorld();
    let runs = 0;
    const source = w.source('q', async (read) => String(++runs && (await read(1))), { throttleMs: 1000 });
    const membership = w.live.join(source, new Received());
    await pass(2000);
    const before = runs;
    for (let i = 0; i < 10; i++) {
      membership.again();
      await pass(200);
    }
    expect(runs - before).toBeLessThanOrEqual(3);
  });

  test('is refused where the process has its maximum of live queries, unless the query is there', async () => {
    const w = await liveWorld({ live: { maxQueries: 1 } });
    await w.joined(w.values('q', [1]));
    expect(() => w.live.join(w.values('r', [1]), new Received())).toThrow(TooManyLiveQueries);
    expect((await w.joined(w.values('q', [1]))).texts).toEqual(['0']);
  });

  test('gets nothing after the end of all live queries', async () => {
    const w = await liveWorld();
    const source = w.values('q', [1]);
    const client = await w.joined(source);
    w.live.close();
    expect(w.live.state).toEqual({ queries: 0, clients: 0, running: 0, due: 0, tags: 0, unindexed: 0 });
    await w.write(1, 5);
    expect((await w.joined(source)).texts).toEqual([]);
    expect(client.texts).toEqual(['0']);
    expect([w.listeners.size, vi.getTimerCount()]).toEqual([0, 0]);
  });
});

describe('a run', () => {
  test('that fails is made again', async () => {
    const w = await liveWorld();
    let failures = 0;
    const client = await w.joined(
      w.source('q', async (read) => {
        const value = await read(1);
        if (failures-- > 0) throw new Error('the database is away');
        return String(value);
      }),
    );
    failures = 1;
    await w.write(1, 5);
    await pass(100);
    expect(client.texts).toEqual(['0', '5']);
    expect(w.live.state.due).toBe(0);
  });

  test('that fails again and again is made less often, however often a tag of it is named', async () => {
    const w = await liveWorld();
    let isDown = false;
    let runs = 0;
    const source = w.source('q', async (read) => {
      runs++;
      if (isDown) throw new Error('the database is away');
      return String(await read(1));
    });
    const client = await w.joined(source);
    isDown = true;
    for (let value = 1; value <= 100; value++) {
      await w.write(1, value);
      await pass(100, 50);
    }
    expect(runs).toBeLessThan(15);
    isDown = false;
    await pass(2000, 50);
    expect(client.texts).toEqual(['0', '100']);
    const before = runs;
    await w.write(1, 101);
    await pass(10);
    expect([client.texts, runs]).toEqual([['0', '100', '101'], before + 1]);
  });

  test('that may not be made now is made when it may, however often it is named; a client that joins does not wait', async () => {
    const w = await liveWorld();
    let laterMs = 0;
    let runs = 0;
    const source = w.source('q', async (read) => {
      runs++;
      if (laterMs > 0) throw new RunLater(laterMs);
      return String(await read(1));
    });
    const client = await w.joined(source);
    laterMs = 1000;
    await w.write(1, 5);
    await pass(10);
    laterMs = 0;
    const before = runs;
    await w.write(1, 6);
    await pass(900);
    expect([client.texts, runs]).toEqual([['0'], before]);
    await pass(100);
    expect([client.texts, runs]).toEqual([['0', '6'], before + 1]);
    laterMs = 1000;
    await w.write(1, 7);
    await pass(10);
    laterMs = 0;
    expect((await w.joined(source)).texts).toEqual(['7']);
  });

  test('follows the one before in no less than `throttleMs`, except for a client that joins', async () => {
    const w = await liveWorld();
    const source = w.values('q', [1], { throttleMs: 1000 });
    const client = await w.joined(source);
    await pass(2000);
    for (let value = 1; value <= 9; value++) {
      await w.write(1, value);
      await pass(100);
    }
    expect(client.texts).toEqual(['0', '1']);
    const other = await w.joined(source);
    expect(other.texts).toEqual(['9']);
    expect(client.texts).toEqual(['0', '1', '9']);
  });

  test('is made again when the time of its answer is over', async () => {
    const w = await liveWorld({ policy: { ...POLICY, ttlMs: 3000 } });
    const client = await w.joined(w.values('q', [1]));
    w.database.set(1, 5); // by no write: of the time itself
    await pass(2500);
    expect(client.texts).toEqual(['0']);
    await pass(500);
    expect(client.texts).toEqual(['0', '5']);
  });

  test('is never served a value past its time to live', async () => {
    const w = await liveWorld({ policy: { ...POLICY, ttlMs: 3000, staleMs: HOUR } });
    const client = await w.joined(w.values('q', [1]));
    w.database.set(1, 5);
    w.ends();
    await pass(3000);
    expect([client.texts, w.ends()]).toEqual([['0', '5'], ['sent']]);
  });

  test('whose tags do not fit into the index is repeated by time', async () => {
    const w = await liveWorld({ withoutMessages: true, live: { maxTags: 3 } });
    const client = await w.joined(w.values('q', [1, 2, 3]));
    expect(w.live.state).toMatchObject({ tags: 0, due: 1, unindexed: 1 });
    await w.write(1, 5);
    await pass(2100);
    expect(client.texts).toEqual(['0 0 0', '5 0 0']);
  });

  test('takes no more than a quarter of the index for one viewer', async () => {
    const w = await liveWorld({ live: { maxTags: 20 } });
    for (const id of [1, 2, 3]) await w.joined(w.values(`ada ${id}`, [id])); // each has its row's tag and the table's
    expect(w.live.state).toMatchObject({ queries: 3, tags: 4, unindexed: 1 });
    await w.joined(w.values('bob', [3], { viewer: 'bob' }));
    expect(w.live.state).toMatchObject({ queries: 4, tags: 6, unindexed: 1 });
    w.live.close();
    expect(w.live.state).toMatchObject({ queries: 0, tags: 0, unindexed: 0 });
  });

  test('whose answer nothing can prove is repeated by time, and soon when one of its tags is named', async () => {
    const w = await liveWorld();
    const source = w.source('q', async (read, { readSet }) => {
      readSet.markUncacheable(); // it shows more than what it reads here
      return String(await read(1));
    });
    const client = await w.joined(source);
    await pass(10_000, 50);
    await w.write(1, 5);
    await pass(10);
    expect(client.texts).toEqual(['0', '5']);
    expect(w.live.state).toMatchObject({ due: 1, tags: 2 });
  });

  test('whose answer nothing can prove is repeated no more often because its tags are named', async () => {
    const w = await liveWorld();
    let runs = 0;
    const source = w.source('q', async (read, { readSet }) => {
      runs++;
      readSet.markUncacheable();
      return String(await read(1));
    });
    await w.joined(source);
    await pass(10_000, 50);
    const before = runs;
    for (let value = 1; value <= 10; value++) {
      await w.write(1, value);
      await pass(100, 50);
    }
    expect(runs - before).toBeLessThanOrEqual(11); // one for each write, and at most one by time
  });

  test('that is given a kept answer depends on what that answer depends on', async () => {
    const w = await liveWorld();
    const key: Key = keyOfText('answer ada q');
    const keeping = w.cache.readSet({ answer: true });
    await w.request();
    await w.cache.read(POLICY, 1, () => w.load(1), { readSet: keeping });
    w.cache.storeAnswer(keeping, key, { text: 'kept' }, 10);
    const source: LiveSource = {
      ...w.values('q', [1]),
      run: async ({ readSet }: LiveRun) => {
        const kept = (await w.cache.findAnswer(readSet, key)) as { text: string } | undefined;
        return kept?.text ?? String(await w.cache.read(POLICY, 1, () => w.load(1), { readSet }));
      },
    };
    const client = await w.joined(source);
    await w.write(1, 5);
    await pass(WITHIN_MS);
    expect(client.texts).toEqual(['kept', '5']);
  });

  test('that joins the load of another under the same tokens is proved as well', async () => {
    const w = await liveWorld();
    const sources = ['q', 'r', 's'].map((key) => w.values(key, [1]));
    for (const source of sources) await w.joined(source);
    w.ends();
    await w.write(1, 5);
    await pass(10);
    expect(w.ends()).toEqual(['sent', 'sent', 'sent']);
  });

  test('joins no load that began before the tokens it has read itself', async () => {
    const w = await liveWorld({ withoutMessages: true });
    const loads = heldLoads(w);
    const other = await w.joined(w.values('q', [1], loads));
    const gate = loads.hold();
    await w.memory.invalidate([tagOf(1)]);
    await pass(WITHIN_MS);
    await gate.arrived; // it has read the value from before the write
    await w.write(1, 5);
    await w.request();
    const client = new Received();
    w.live.join(w.values('r', [1]), client);
    await pass(WITHIN_MS);
    gate.open();
    await pass(WITHIN_MS);
    expect([client.texts.at(-1), other.texts.at(-1)]).toEqual(['5', '5']);
    expect(client.texts).not.toContain('0');
  });

  test('waits for its turn: at most sixteen at once, and one viewer leaves places to the others', async () => {
    const w = await liveWorld();
    const gate = new Gate();
    const answer = async (_: Read) => {
      await gate.opened;
      return '';
    };
    for (let i = 0; i < 40; i++) w.live.join(w.source(`a ${i}`, answer), new Received());
    await pass(10);
    expect(w.live.state.running).toBe(8);
    for (let i = 0; i < 40; i++) w.live.join(w.source(`b ${i}`, answer, { viewer: `b ${i}` }), new Received());
    await pass(10);
    expect(w.live.state.running).toBe(16);
    gate.open();
    await pass(10);
    expect(w.live.state).toMatchObject({ running: 0, due: 0, clients: 80 });
  });
});

test('a record of the table makes all queries of it due', async () => {
  const w = await liveWorld({ withoutMessages: true });
  await w.joined(w.values('q', [1]));
  await w.joined(w.values('r', [2]));
  w.ends();
  await w.memory.invalidate([TABLE]);
  await pass(WITHIN_MS);
  expect(w.ends()).toEqual(['unchanged', 'unchanged']);
});
