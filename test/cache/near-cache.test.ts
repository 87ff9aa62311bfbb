/**
 * Memory of the process: every rule in the head of near-cache.ts, held through the engine's door. The reader's trips to the store
 * can be held before the store sees them and before their answers are known; the writer is another process.
 */
import { describe, expect, test } from 'vitest';
import {
  type CacheOptions,
  LEASE_MS,
  type Policy,
  type ReadOptions,
  type Tag,
  tableTag,
} from '../../src/engine/cache/index.js';
import type { LogMark, LogSlice, View } from '../../src/engine/cache/store.js';
import { taskPolicy, twoCaches } from './two-caches.js';
import { heldLoad, keyOfText, quiet, tagOf, tick } from './world.js';

const TABLE = tableTag('tasks');
const POLICY = taskPolicy(TABLE);

interface WorldOptions extends Partial<CacheOptions> {
  readonly policy?: Policy<number>;
}

/** A process with memory, another that writes, and a database of one text for each id. */
async function world({ policy = POLICY, ...options }: WorldOptions = {}) {
  const { cache, other: writer, memory, clock, trips, outcomes } = await twoCaches(options);
  const database = new Map<number, unknown>();
  let xid = 200n;

  const read = (id: number, how: ReadOptions = {}) =>
    cache.read(policy, id, async () => database.get(id) ?? 'old', how);
  const made = {
    cache,
    memory,
    clock,
    trips,
    database,
    read,
    writer,
    /** How the calls since the last ask ended. */
    ends: () => outcomes.splice(0).map(({ kind, reason }) => (reason === undefined ? kind : `${kind} ${reason}`)),
    entries: () => cache.state.near?.entries,
    /** Loaded, stored, read again and kept: served from memory from now on. */
    async warm(...ids: number[]) {
      for (let round = 0; round < 3; round++) {
        await Promise.all(ids.map((id) => read(id)));
        await quiet();
      }
      expect(made.ends().slice(-ids.length)).toEqual(ids.map(() => 'near-hit'));
    },
    /** In the store, and not in this process's memory; the process knows where the log is. */
    async stored(id: number) {
      const other = id + 1000;
      await made.warm(other);
      await writer.read(policy, id, async () => database.get(id) ?? 'old');
      await quiet();
    },
    fence: (...tags: Tag[]) => writer.fence(++xid, tags),
    async release(...tags: Tag[]) {
      writer.release(xid, tags);
      await quiet();
    },
    /** A whole write by another process; `tags` default: the task's own. */
    async write(id: number, value: unknown, ...tags: Tag[]) {
      const touched = tags.length > 0 ? tags : [tagOf(id)];
      await made.fence(...touched);
      database.set(id, value);
      await made.release(...touched);
    },
    /** Records of more tags than are remembered, each known to this process; `meanwhile` comes now and then. */
    async touchesMore(meanwhile = async () => {}, count = 110_000) {
      const tags = Array.from({ length: count }, (_, i) => tagOf(`more ${i}`));
      while (tags.length > 0) {
        for (let record = 0; record < 100; record++) await memory.invalidate(tags.splice(-200));
        await read(2000);
        await meanwhile();
      }
      made.ends();
    },
    /** Whatever memory holds now, this is what everyone gets from now on. */
    async settles(id: number, value: unknown) {
      const seen = [];
      for (let i = 0; i < 4; i++) {
        seen.push(await read(id));
        await quiet();
      }
      expect(seen).toEqual([value, value, value, value]);
      expect(made.ends().at(-1)).toBe('near-hit');
    },
  };
  return made;
}

describe('what memory serves', () => {
  test('is what the store proved once, for one look into the log by all who ask in a turn', async () => {
    const w = await world();
    expect(await w.read(7)).toBe('old');
    await quiet();
    expect(await w.read(7)).toBe('old');
    const trips = w.trips.asked.length;
    expect(await Promise.all([w.read(7), w.read(7), w.read(7)])).toEqual(['old', 'old', 'old']);
    expect(w.ends()).toEqual(['miss absent', 'hit', 'near-hit', 'near-hit', 'near-hit']);
    expect(w.trips.asked.length).toBe(trips + 1);
  });

  test('is never what a write made old: its record makes every copy of its tags worthless, and no other', async () => {
    const w = await world();
    await w.warm(7, 8);
    await w.write(7, 'new');
    expect([await w.read(7), await w.read(8)]).toEqual(['new', 'old']);
    expect(w.ends()).toEqual(['miss invalid', 'near-hit']);
    await w.settles(7, 'new');
  });

  test("is dropped by its table's tag, too", async () => {
    const w = await world();
    await w.warm(7);
    await w.write(7, 'new', TABLE);
    await w.settles(7, 'new');
  });

  test('is dropped by a write of very many rows, whose record names the table', async () => {
    const w = await world();
    await w.warm(7);
    const many = Array.from({ length: 300 }, (_, i) => tagOf(i));
    await w.write(7, 'new', ...many);
    await w.settles(7, 'new');
  });

  test('is dropped by an unfenced write, when that releases', async () => {
    const w = await world();
    await w.warm(7);
    w.database.set(7, 'new');
    w.writer.release(300n, [tagOf(7)], { unfenced: true });
    await quiet();
    await w.settles(7, 'new');
  });

  test('is dropped by what the relay applies, and by `invalidate`', async () => {
    const w = await world();
    await w.warm(7, 8);
    w.database.set(7, 'new').set(8, 'new');
    await tick(w.memory, { rows: [{ xid: 300n, tags: [tagOf(7)] }] });
    await w.memory.invalidate([tagOf(8)]);
    await w.settles(7, 'new');
    await w.settles(8, 'new');
  });

  test('lives no longer than its time to live', async () => {
    const w = await world({ policy: { ...POLICY, ttlMs: 3000 } });
    await w.warm(7);
    w.database.set(7, 'new'); // by nobody's write: of the time itself
    for (let ms = 0; ms < 3000; ms += 1000) {
      expect(await w.read(7)).toBe('old');
      w.clock.advance(1000);
      await tick(w.memory); // the lease goes on
    }
    expect(await w.read(7)).toBe('new');
    expect(w.ends()).toEqual(['near-hit', 'near-hit', 'near-hit', 'miss absent']);
  });

  test('is frozen, deeply: it is shared', async () => {
    const w = await world();
    w.database.set(7, { list: [{ name: 'a' }] });
    await w.warm(7);
    const first = (await w.read(7)) as { list: { name: string }[] };
    expect(await w.read(7)).toBe(first);
    expect(() => first.list.push({ name: 'b' })).toThrow(TypeError);
    expect(() => {
      (first.list[0] as { name: string }).name = 'c';
    }).toThrow(TypeError);
  });
});

describe('a look into the log', () => {
  test('serves nobody who asked after it was sent', async () => {
    const w = await world();
    await w.warm(7);
    const trip = w.trips.hold();
    const early = w.read(7);
    await trip.execute();
    await w.write(7, 'new');
    const lateTrip = w.trips.hold();
    const late = w.read(7);
    await lateTrip.sent;
    await trip.answer();
    expect(await early).toBe('old'); // as it was while that read ran
    await lateTrip.execute();
    await lateTrip.answer();
    expect(await late).toBe('new');
    await w.settles(7, 'new');
  });

  test('serves a session without another only if it was sent after the session began', async () => {
    const w = await world();
    await w.warm(7, 8);
    const trip = w.trips.hold();
    const other = w.read(8);
    await trip.execute();
    await w.write(7, 'new');
    const readSet = w.cache.readSet();
    await trip.answer();
    await other;
    expect(await w.read(7, { readSet })).toBe('new');
  });

  test('is one for all that a session reads after it', async () => {
    const w = await world();
    await w.warm(7, 8);
    const readSet = w.cache.readSet();
    await w.read(7, { readSet });
    const trips = w.trips.asked.length;
    expect(await w.read(8, { readSet })).toBe('old');
    expect(w.trips.asked.length).toBe(trips);
    expect(w.ends()).toEqual(['near-hit', 'near-hit']);
  });

  test('that was answered after a later one does not move memory back', async () => {
    const w = await world();
    await w.warm(7);
    const trip = w.trips.hold();
    const early = w.read(7);
    await trip.execute();
    const mark = w.trips.asked.at(-1) as LogMark;
    await w.write(7, 'new');
    expect(await w.read(7)).toBe('new');
    await quiet();
    await w.read(8);
    const later = w.trips.asked.at(-1) as LogMark;
    expect(later.sequence).toBe(mark.sequence + 1);
    const asked = w.trips.asked.length;
    await trip.answer();
    // Its copy was dropped meanwhile; what was loaded since is as good.
    expect(await early).toBe('new');
    await w.read(8);
    expect(w.trips.asked.slice(asked)).toEqual([later]);
  });

  test('that was answered late does not blur which record named a tag last', async () => {
    const w = await world();
    await w.stored(7);
    // Sees the first write's record; answered last but one.
    await w.write(7, 'first');
    const first = w.trips.hold();
    const early = w.read(8);
    await first.execute();
    await w.read(9);
    await w.writer.read(POLICY, 7, async () => 'first');
    await quiet();
    // Reads the first value under valid tokens; answered last.
    const second = w.trips.hold();
    const keeping = w.read(7);
    await second.execute();
    await w.write(7, 'second');
    await w.read(9);
    await first.answer();
    await second.answer();
    await early;
    expect(await keeping).toBe('first');
    await w.settles(7, 'second');
  });

  test('that finds another beginning made already changes nothing', async () => {
    const w = await world();
    await w.writer.read(POLICY, 7, async () => 'old');
    await quiet();
    // Both ask where the log ends, since memory knows nothing yet; one of them sees the end after the write.
    const late = w.trips.hold();
    const later = w.read(8);
    await late.sent;
    await w.read(9);
    expect(await w.read(7)).toBe('old');
    expect(w.entries()).toBe(1);
    await w.write(7, 'new');
    await late.execute();
    await late.answer();
    await later;
    await w.settles(7, 'new');
  });

  test('that finds another beginning made already, of another log, changes nothing: copies are not of that log', async () => {
    const w = await world();
    for (let i = 0; i < 5; i++) await w.memory.invalidate([tagOf(99)]);
    const late = w.trips.hold();
    const later = w.read(8); // asks where the log ends
    await late.sent;
    await w.warm(7);
    // The log is lost with its server, and a write with its fence and record.
    w.clock.advance(LEASE_MS);
    await w.trips.loseLog(w.memory);
    w.database.set(7, 'new');
    await w.memory.releaseFinished(['300'], [tagOf(7)]);
    await tick(w.memory);
    await late.execute();
    await late.answer();
    await later;
    await w.settles(7, 'new');
  });

  test('of a server that is gone does not tell where the log of the next one is', async () => {
    const w = await world();
    await w.warm(7);
    const trip = w.trips.hold();
    const early = w.read(8);
    await trip.execute();
    // Five records that were never copied: the next server gives their numbers to others.
    trip.alter = (view) => {
      const { mark } = view.log as LogSlice & { kind: 'records' };
      return {
        ...view,
        log: { kind: 'records', mark: { ...mark, sequence: mark.sequence + 5 }, records: Array(5).fill([]) },
      };
    };
    w.clock.advance(LEASE_MS);
    await tick(w.memory);
    await w.read(7);
    await quiet();
    await w.warm(7);
    await trip.answer();
    await early;
    await w.write(7, 'new');
    await w.settles(7, 'new');
  });

  test('that begins where memory is not yet serves no caller', async () => {
    const w = await world();
    await w.stored(7);
    const noLease = (view: View): View => ({ ...view, leases: [undefined] });
    // Kept, if at all, as of now.
    const keeps = w.trips.hold();
    const keeping = w.read(7);
    await keeps.execute();
    // Memory is emptied by an answer without a lease, as it may come from before the lease was granted.
    const empties = w.trips.hold();
    empties.alter = noLease;
    const emptying = w.read(2);
    await empties.execute();
    const emptiesAgain = w.trips.hold();
    emptiesAgain.alter = noLease;
    const emptyingAgain = w.read(3);
    await emptiesAgain.execute();
    await empties.answer();
    await emptying;
    // It begins anew behind the write; a look from there on is under way when memory is emptied again …
    const begins = w.trips.hold();
    const beginning = w.read(4);
    await begins.execute();
    await w.write(7, 'new');
    await w.read(5);
    const beyond = w.trips.hold();
    const asking = w.read(6);
    await beyond.execute();
    await emptiesAgain.answer();
    await emptyingAgain;
    // … and begins before the write. What was kept as of then must not be proved by a look that skipped the write.
    await begins.answer();
    await beginning;
    await keeps.answer();
    expect(await keeping).toBe('old');
    await beyond.answer();
    await asking;
    await w.settles(7, 'new');
  });
});

test('what a log read proved is asked for when a value is served: other answers of the same turn may have made memory older', async () => {
  const w = await world();
  await w.writer.read(POLICY, 7, async () => 'old');
  await quiet();
  // Asks where the log ends, before the write; another read begins memory meanwhile.
  const begins = w.trips.hold();
  const beginning = w.read(8);
  await begins.execute();
  await w.read(9);
  // Finds the old value under valid tokens, before the write.
  const keeps = w.trips.hold();
  const keeping = w.read(7);
  await keeps.execute();
  expect(await w.read(7)).toBe('old'); // and memory has it
  await w.fence(tagOf(7));
  w.database.set(7, 'new');
  const proves = w.trips.hold();
  const reading = w.read(7);
  await proves.execute();
  const empties = w.trips.hold();
  empties.alter = (view) => ({ ...view, leases: [undefined] });
  const emptying = w.read(10);
  await empties.execute();
  // In one turn: memory takes in the write, is emptied, begins again before the write, and keeps the old value as of then.
  for (const trip of [keeps, proves, empties, begins]) trip.deliver();
  expect(await reading).toBe('new');
  expect(await keeping).toBe('old'); // it was asked for before the write
  await Promise.all([beginning, emptying]);
  await w.release(tagOf(7));
  await w.settles(7, 'new');
});

describe('memory is emptied', () => {
  const altered = (w: Awaited<ReturnType<typeof world>>, alter: (view: View) => View) => {
    const trip = w.trips.hold();
    trip.alter = alter;
    return {
      async through(reading: Promise<unknown>) {
        await trip.execute();
        await trip.answer();
        await reading;
      },
    };
  };

  test('by a look without the lease, whose word on the log is no answer either', async () => {
    const w = await world();
    await w.warm(7);
    await altered(w, (view) => ({ ...view, leases: [undefined] })).through(w.read(8));
    expect(w.entries()).toBe(0);
    await w.read(8);
    expect(w.trips.asked.at(-1)).toBe('tail');
    await w.settles(7, 'old');
  });

  test('when the lease has run out: every read loads until the next', async () => {
    const w = await world();
    await w.warm(7);
    w.database.set(7, 'new');
    w.clock.advance(LEASE_MS);
    expect(await w.read(7)).toBe('new');
    expect(w.ends()).toEqual(['bypass no-lease']);
    expect(w.entries()).toBe(0);
  });

  test('when the lease is of another generation: what is gone with a server left no record', async () => {
    const w = await world();
    await w.warm(7);
    w.clock.advance(LEASE_MS);
    w.database.set(7, 'new');
    await w.memory.releaseFinished(['300'], [tagOf(7)]); // its fence and its record were lost
    await tick(w.memory);
    await w.settles(7, 'new');
  });

  test('when everything was purged', async () => {
    const w = await world();
    await w.warm(7);
    w.database.set(7, 'new');
    await tick(w.memory, { next: { xid: 100n, purge: 'another' } });
    await w.settles(7, 'new');
  });

  test('when it is further behind than one log read returns', async () => {
    const w = await world();
    await w.warm(7);
    await w.write(7, 'new');
    for (let i = 0; i < 600; i++) await w.memory.invalidate([tagOf(5000 + i)]);
    expect(await w.read(7)).toBe('new');
    expect(w.entries()).toBe(0);
    await w.settles(7, 'new');
  });

  test('when the log has been trimmed past the last record it knows', async () => {
    const w = await world();
    await w.warm(7);
    await w.write(7, 'new');
    for (let i = 0; i < 2100; i++) await w.memory.invalidate([tagOf(5000 + i)]);
    expect(await w.read(7)).toBe('new');
    expect(w.entries()).toBe(0);
  });

  test('when the log is another one', async () => {
    const w = await world();
    await w.warm(7);
    await w.write(7, 'new');
    await w.trips.loseLog(w.memory);
    expect(await w.read(7)).toBe('new');
    expect(w.entries()).toBe(0);
    await w.settles(7, 'new');
  });

  test('and filled anew from another log, whose numbers are lower', async () => {
    const w = await world();
    await w.warm(7);
    for (let i = 0; i < 5; i++) await w.write(7, `new ${i}`);
    expect(await w.read(7)).toBe('new 4');
    await w.trips.loseLog(w.memory);
    await w.memory.invalidate([tagOf(99)]);
    await w.settles(7, 'new 4');
  });

  test('and not when the group of the log cannot be reached: then nothing is known, and nothing served', async () => {
    const w = await world();
    await w.warm(7);
    w.database.set(7, 'new');
    const unreached = (view: View): View => ({ ...view, leases: [undefined], log: undefined });
    const trip = w.trips.hold();
    trip.alter = unreached;
    const reading = w.read(7);
    await trip.execute();
    const again = w.trips.hold();
    again.alter = unreached;
    await trip.answer();
    await again.execute();
    await again.answer();
    expect(await reading).toBe('new');
    expect(w.ends()).toEqual(['bypass no-lease']);
    expect(w.entries()).toBe(1);
  });
});

describe('nothing is kept', () => {
  test('that was read under a fence', async () => {
    const w = await world();
    await w.warm(7);
    await w.fence(tagOf(7));
    for (let i = 0; i < 2; i++) {
      expect(await w.read(7)).toBe('old');
      await quiet();
      expect(w.entries()).toBe(0);
    }
    expect(w.ends()).toEqual(['bypass fenced', 'bypass fenced']);
    w.database.set(7, 'new');
    expect(await w.read(7)).toBe('new');
    await w.release(tagOf(7));
    await w.settles(7, 'new');
  });

  test('that was read without a lease', async () => {
    const w = await world();
    await w.warm(7);
    w.clock.advance(LEASE_MS);
    await w.read(7);
    await w.read(7);
    expect(w.ends()).toEqual(['bypass no-lease', 'bypass no-lease']);
    expect(w.entries()).toBe(0);
  });

  test('that a record has named since it was asked for, which another read has processed', async () => {
    const w = await world();
    await w.stored(7);
    const trip = w.trips.hold();
    const early = w.read(7);
    await trip.execute();
    await w.write(7, 'new');
    await w.read(8);
    await trip.answer();
    expect(await early).toBe('old');
    expect(w.ends()).toContain('hit');
    await w.settles(7, 'new');
  });

  test('that a record names in the very answer: a cluster may be asked for the log last', async () => {
    const w = await world();
    await w.stored(7);
    const trip = w.trips.hold();
    const early = w.read(7);
    await trip.execute();
    const since = w.trips.asked.at(-1) as LogMark;
    await w.write(7, 'new');
    const { log } = await w.memory.read([], [], { log: since });
    trip.alter = (view) => ({ ...view, log });
    await trip.answer();
    expect(await early).toBe('old');
    await w.settles(7, 'new');
  });

  test('that was asked for before more was invalidated than is remembered', async () => {
    const w = await world();
    await w.stored(7);
    const trip = w.trips.hold();
    const early = w.read(7);
    await trip.execute();
    await w.write(7, 'new');
    await w.touchesMore();
    await trip.answer();
    expect(await early).toBe('old');
    await w.settles(7, 'new');
  });

  test('that a record named in the generation before', async () => {
    const w = await world();
    await w.warm(7);
    await w.write(7, 'new');
    await w.touchesMore(undefined, 60_000);
    await w.settles(7, 'new');
  });

  test('that was asked for under another generation', async () => {
    const w = await world();
    await w.stored(7);
    const trip = w.trips.hold();
    const early = w.read(7);
    await trip.execute();
    w.clock.advance(LEASE_MS);
    w.database.set(7, 'new');
    await w.memory.releaseFinished(['300'], [tagOf(7)]); // its fence and its record were lost
    await tick(w.memory);
    for (let i = 0; i < 2; i++) await w.read(8);
    await trip.answer();
    await early;
    await w.settles(7, 'new');
  });

  test('that was asked for before memory was emptied and began anew', async () => {
    const w = await world();
    await w.stored(7);
    const trip = w.trips.hold();
    const early = w.read(7);
    await trip.execute();
    await w.write(7, 'new');
    for (let i = 0; i < 600; i++) await w.memory.invalidate([tagOf(5000 + i)]);
    for (let i = 0; i < 2; i++) await w.read(8);
    await trip.answer();
    expect(await early).toBe('old');
    await w.settles(7, 'new');
  });

  test('that was asked for while another log was kept', async () => {
    const w = await world();
    await w.stored(7);
    const trip = w.trips.hold();
    const early = w.read(7);
    await trip.execute();
    await w.write(7, 'new');
    await w.trips.loseLog(w.memory);
    await w.memory.invalidate([tagOf(99)]);
    for (let i = 0; i < 2; i++) await w.read(8);
    await trip.answer();
    expect(await early).toBe('old');
    await w.settles(7, 'new');
  });

  test('that was asked for before memory knew where the log is', async () => {
    const w = await world();
    await w.writer.read(POLICY, 7, async () => 'old');
    await quiet();
    const trip = w.trips.hold();
    const early = w.read(7);
    await trip.execute();
    await w.write(7, 'new');
    await w.read(8);
    await trip.answer();
    expect(await early).toBe('old');
    await w.settles(7, 'new');
  });
});

describe('what was loaded is kept', () => {
  /** Reads task 7 by a load that is under way and has seen the value of before. */
  async function loadUnderWay() {
    const w = await world();
    await w.warm(1007);
    const load = heldLoad<unknown>();
    const reading = w.cache.read(POLICY, 7, load);
    await load.started;
    return { w, load, reading };
  }

  test('under the look that found its tokens: the next read is served from memory', async () => {
    const { w, load, reading } = await loadUnderWay();
    load.give('old');
    expect(await reading).toBe('old');
    expect(await w.read(7)).toBe('old');
    expect(w.ends()).toEqual(['miss absent', 'near-hit']);
  });

  test('and frozen, deeply', async () => {
    const { w, load, reading } = await loadUnderWay();
    load.give({ labels: ['a'] });
    const value = (await reading) as { labels: string[] };
    expect(Object.isFrozen(value) && Object.isFrozen(value.labels)).toBe(true);
    expect(await w.read(7)).toBe(value);
  });

  test('until a write that was made meanwhile is told in the log, before anything is served', async () => {
    const { w, load, reading } = await loadUnderWay();
    await w.write(7, 'new');
    load.give('old');
    expect(await reading).toBe('old');
    await w.settles(7, 'new');
  });

  test('unless a record has named it since, which another read has processed', async () => {
    const { w, load, reading } = await loadUnderWay();
    await w.write(7, 'new');
    await w.read(1007);
    load.give('old');
    expect(await reading).toBe('old');
    await w.settles(7, 'new');
  });

  test('unless more was invalidated meanwhile than is remembered', async () => {
    const { w, load, reading } = await loadUnderWay();
    await w.write(7, 'new');
    for (let record = 0; record < 110; record++) {
      await w.memory.invalidate(Array.from({ length: 200 }, (_, i) => tagOf(`${record}.${i}`)));
    }
    await w.read(8);
    load.give('old');
    await reading;
    await w.settles(7, 'new');
  });

  test('unless memory was emptied meanwhile', async () => {
    const { w, load, reading } = await loadUnderWay();
    w.clock.advance(LEASE_MS);
    w.database.set(7, 'new');
    await w.memory.releaseFinished(['300'], [tagOf(7)]); // its fence and its record were lost
    await tick(w.memory);
    for (let i = 0; i < 2; i++) await w.read(8);
    load.give('old');
    await reading;
    await w.settles(7, 'new');
  });
});

describe("an answer made of a session's reads", () => {
  const KEY = keyOfText('answer');
  /** Reads the tasks in one session and keeps what they were. */
  async function answered(w: Awaited<ReturnType<typeof world>>, ...ids: number[]) {
    const readSet = w.cache.readSet({ answer: true });
    const texts = [];
    for (const id of ids) texts.push(await w.read(id, { readSet }));
    w.cache.storeAnswer(readSet, KEY, { text: texts.join() }, 10);
  }
  /** What a request gets that comes now; undefined when it must be answered anew. */
  async function served(w: Awaited<ReturnType<typeof world>>) {
    const found = (await w.cache.findAnswer(w.cache.readSet(), KEY)) as { text: string } | undefined;
    return found?.text;
  }

  test('is served for one look into the log, whether its parts were kept, stored or loaded', async () => {
    const w = await world();
    await w.warm(1);
    await w.stored(2);
    await answered(w, 1, 2, 3);
    expect(w.ends().slice(-3)).toEqual(['near-hit', 'hit', 'miss absent']);
    const trips = w.trips.asked.length;
    expect(await Promise.all([served(w), served(w)])).toEqual(['old,old,old', 'old,old,old']);
    expect(w.trips.asked.length).toBe(trips + 1);
    expect(w.ends()).toEqual(['near-hit', 'near-hit']);
  });

  test('is served to a request that has seen the log by itself, and to none that began after a look was sent', async () => {
    const w = await world();
    await w.warm(1);
    await answered(w, 1);
    const trip = w.trips.hold();
    const early = served(w);
    await trip.execute();
    await w.write(1, 'new');
    const late = served(w); // the look under way was sent before it came
    await trip.answer();
    expect(await early).toBe('old');
    expect(await late).toBeUndefined();
  });

  test('is gone with the record of any of its parts, and with no other', async () => {
    for (const [id, expected] of [
      [1, undefined],
      [3, undefined],
      [4, 'old,old,old'],
    ] as const) {
      const w = await world();
      await w.warm(1, 2, 4);
      await answered(w, 1, 2, 3);
      await w.write(id, 'new');
      expect(await served(w)).toBe(expected);
    }
  });

  test('is not kept when a part was written since it was read: it is torn', async () => {
    const w = await world();
    await w.warm(1, 2);
    const readSet = w.cache.readSet({ answer: true });
    const first = await w.read(1, { readSet });
    await w.write(1, 'new');
    await w.read(9); // another request, whose look tells memory
    const second = await w.read(2, { readSet });
    w.cache.storeAnswer(readSet, KEY, { text: `${first},${second}` }, 10);
    expect(await served(w)).toBeUndefined();
  });

  test('and is gone at the next look when that write was not yet told', async () => {
    const w = await world();
    await w.warm(1, 2);
    const readSet = w.cache.readSet({ answer: true });
    const first = await w.read(1, { readSet });
    await w.write(1, 'new');
    w.cache.storeAnswer(readSet, KEY, { text: first }, 10);
    expect(await served(w)).toBeUndefined();
  });

  test('is not kept when a part was read under a fence, or without a lease', async () => {
    const w = await world();
    await w.warm(1, 2);
    await w.fence(tagOf(1));
    await answered(w, 2, 1);
    expect(await served(w)).toBeUndefined();
    await w.release(tagOf(1));

    w.clock.advance(LEASE_MS);
    await answered(w, 2, 1);
    await tick(w.memory);
    expect(await served(w)).toBeUndefined();
  });

  test('is kept when a part was loaded by others under the tokens that it read itself', async () => {
    const w = await world();
    await w.warm(1, 2);
    const load = heldLoad<unknown>();
    const others = w.cache.read(POLICY, 5, load);
    await load.started;
    const readSet = w.cache.readSet({ answer: true });
    await w.read(2, { readSet });
    const joining = w.cache.read(POLICY, 5, load, { readSet });
    await quiet();
    load.give('old');
    await Promise.all([others, joining]);
    expect(w.ends().slice(-2).sort()).toEqual(['joined absent', 'miss absent']);
    w.cache.storeAnswer(readSet, KEY, { text: 'old' }, 10);
    expect(await served(w)).toBe('old');
    await w.write(5, 'new');
    expect(await served(w)).toBeUndefined();
  });

  test('is not kept when a part was loaded by others under tokens from before', async () => {
    const w = await world({ maxLoads: 1 });
    await w.warm(1, 2);
    const blocking = heldLoad<unknown>();
    const busy = w.cache.read(POLICY, 9, blocking);
    await blocking.started;
    const others = w.read(5);
    await quiet();
    await w.write(5, 'new');
    const readSet = w.cache.readSet({ answer: true });
    await w.read(2, { readSet });
    const joining = w.read(5, { readSet });
    await quiet();
    blocking.give('old');
    expect(await Promise.all([busy, others, joining])).toEqual(['old', 'new', 'new']);
    expect(w.ends().filter((end) => end.startsWith('joined'))).toHaveLength(1);
    w.cache.storeAnswer(readSet, KEY, { text: 'new' }, 10);
    expect(await served(w)).toBeUndefined();
  });

  test('is not kept when a part could not be read, whatever was made of that', async () => {
    const w = await world();
    await w.warm(1);
    const readSet = w.cache.readSet({ answer: true });
    const first = await w.read(1, { readSet });
    const failing = () => Promise.reject(new Error('away'));
    const second = await w.cache.read(POLICY, 2, failing, { readSet }).catch(() => 'none');
    w.cache.storeAnswer(readSet, KEY, { text: `${first},${second}` }, 10);
    expect(await served(w)).toBeUndefined();
  });

  test('lives no longer than the shortest of its parts, and than what it says itself', async () => {
    const w = await world();
    await w.warm(1);
    const readSet = w.cache.readSet({ answer: true });
    await w.read(1, { readSet });
    readSet.dependencies?.endsAt(w.clock.nowMs() + 1000);
    w.cache.storeAnswer(readSet, KEY, { text: 'old' }, 10);
    w.clock.advance(999);
    expect(await served(w)).toBe('old');
    w.clock.advance(1);
    expect(await served(w)).toBeUndefined();

    const brief = { ...POLICY, name: 'Brief', ttlMs: 500 };
    const another = w.cache.readSet({ answer: true });
    await w.read(1, { readSet: another });
    await w.cache.read(brief, 3, async () => 'brief', { readSet: another });
    w.cache.storeAnswer(another, KEY, { text: 'old,brief' }, 10);
    w.clock.advance(449); // a tenth of it is jitter
    expect(await served(w)).toBe('old,brief');
    w.clock.advance(51);
    expect(await served(w)).toBeUndefined();
  });

  test('is not kept of a session that was not opened for it', async () => {
    const w = await world();
    await w.warm(1);
    const readSet = w.cache.readSet();
    await w.read(1, { readSet });
    w.cache.storeAnswer(readSet, KEY, { text: 'old' }, 10);
    expect(await served(w)).toBeUndefined();
  });

  test('counts as what it takes, not as what a parsed one would', async () => {
    const w = await world({ near: { maxBytes: 10_000 } });
    await w.warm(1);
    const before = w.cache.state.near?.bytes ?? 0;
    const readSet = w.cache.readSet({ answer: true });
    await w.read(1, { readSet });
    w.cache.storeAnswer(readSet, KEY, { text: 'x' }, 3000);
    expect((w.cache.state.near?.bytes ?? 0) - before).toBeGreaterThanOrEqual(3000);
    expect((w.cache.state.near?.bytes ?? 0) - before).toBeLessThan(5000);
  });
});

describe('memory is bounded', () => {
  test('by entries: those read least recently go', async () => {
    const w = await world({ near: { maxEntries: 2 } });
    for (const id of [1, 2, 3]) {
      for (let i = 0; i < 3; i++) {
        await w.read(id);
        await quiet();
      }
    }
    expect(w.entries()).toBe(2);
  });

  test('by bytes; what is larger than all of memory is not kept', async () => {
    const w = await world({ near: { maxBytes: 10_000 } });
    w.database.set(1, 'x'.repeat(1500));
    w.database.set(2, 'x'.repeat(3500));
    w.database.set(3, 'x'.repeat(7000));
    for (const [id, entries] of [
      [1, 1],
      [2, 1],
      [3, 1],
    ] as const) {
      for (let i = 0; i < 3; i++) {
        await w.read(id);
        await quiet();
      }
      expect(w.entries()).toBe(entries);
      expect(w.cache.state.near?.bytes).toBeLessThanOrEqual(10_000);
    }
  });
});

test('a copy that nobody has asked for while more was touched than is remembered is given up; one in use stays', async () => {
  const w = await world();
  await w.warm(7, 8);
  await w.touchesMore(async () => void (await w.read(8)));
  expect([await w.read(7), await w.read(8)]).toEqual(['old', 'old']);
  const [unasked, used] = w.ends();
  expect(unasked).not.toBe('near-hit');
  expect(used).toBe('near-hit');
});

test('a process without memory asks nothing of the log', async () => {
  const w = await world({ near: undefined });
  for (let i = 0; i < 3; i++) {
    await w.read(7);
    await quiet();
  }
  expect(w.trips.asked).toEqual([undefined, undefined, undefined]);
  expect(w.cache.state.near).toBeUndefined();
});
