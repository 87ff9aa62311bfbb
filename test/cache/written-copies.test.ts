/**
 * A write's own process keeps in memory what it has written, from its COMMIT on: each condition in `NearCache.keepWritten`, and in
 * PROTOCOL.md, section 12, rule 12.
 */
import { describe, expect, test } from 'vitest';
import { Cache, type ExactFence, LEASE_MS, type Policy, tableTag } from '../../src/engine/cache/index.js';
import { taskPolicy, twoCaches } from './two-caches.js';
import { quiet, tagOf, tick } from './world.js';

const LABELS = tableTag('labels');
const TASK = taskPolicy(LABELS);

/** A process that has read task 7, another process, and a database of one text. */
async function world() {
  const { cache, other, memory, clock, trips, outcomes } = await twoCaches();
  const database = { text: 'old' };
  let xid = 200n;
  const read = async () => {
    const value = await cache.read(TASK, 7, async () => database.text);
    await quiet();
    return `${value} by ${outcomes.splice(0).at(-1)?.kind}`;
  };
  for (let round = 0; round < 3; round++) await read();
  return {
    cache,
    memory,
    clock,
    trips,
    database,
    read,
    /** The statement of a write by this process, which returns the row with this text. */
    begin(value: string, ...tags: ReturnType<typeof tagOf>[]) {
      const touched = tags.length > 0 ? tags : [tagOf(7)];
      const id = ++xid;
      const fills = cache.writtenFills([{ source: TASK as Policy<never>, arg: 7, value }], touched, cache.puts);
      return {
        known: fills !== undefined,
        fence: () => cache.fence(id, touched, undefined, fills?.expected),
        /** COMMIT is acknowledged. */
        committed(fence: boolean | ExactFence) {
          database.text = value;
          if (fills !== undefined) cache.keepWritten(fills, fence as ExactFence);
        },
        async release() {
          cache.release(id, touched, { unfenced: false, fills: fills?.fills });
          await quiet();
        },
      };
    },
    /** A whole write by another process. */
    async writeElsewhere(value: string, tag = tagOf(7)) {
      const id = ++xid;
      await other.fence(id, [tag]);
      database.text = value;
      other.release(id, [tag]);
      await quiet();
    },
  };
}

describe('what this process has written', () => {
  test('is served from memory as soon as COMMIT was acknowledged and a log read has brought the record', async () => {
    const w = await world();
    const write = w.begin('new');
    write.committed(await write.fence());
    expect(await w.read()).toBe('new by near-hit');
    await write.release();
    expect(await w.read()).toBe('new by near-hit');
  });

  test('is kept at once where memory has processed the record before COMMIT was acknowledged', async () => {
    const w = await world();
    const write = w.begin('new');
    const fence = await write.fence();
    expect(await w.read()).toBe('old by bypass');
    write.committed(fence);
    expect(await w.read()).toBe('new by near-hit');
  });

  test('has the tokens of its RELEASE: the next write keeps what it writes, too, and another process finds it', async () => {
    const w = await world();
    for (const text of ['first', 'second', 'third']) {
      const write = w.begin(text);
      write.committed(await write.fence());
      await write.release();
      expect(await w.read()).toBe(`${text} by near-hit`);
      const elsewhere = new Cache({ store: w.memory, clock: w.clock });
      expect(await elsewhere.read(TASK, 7, async () => 'loaded')).toBe(text);
    }
  });

  test('is frozen from COMMIT on, before memory has its record: the writer has the same object', async () => {
    const w = await world();
    const row = { text: 'new' };
    const write = w.begin(row as unknown as string);
    write.committed(await write.fence());
    expect(() => {
      row.text = 'changed by the resolver';
    }).toThrow(TypeError);
  });

  test('is dropped by the next write, of whichever process', async () => {
    const w = await world();
    const write = w.begin('new');
    write.committed(await write.fence());
    expect(await w.read()).toBe('new by near-hit');
    await write.release();
    await w.writeElsewhere('newer');
    expect(await w.read()).toBe('newer by miss');
  });
});

describe('is not kept, because', () => {
  test('another write of the same tag was fenced behind it', async () => {
    const w = await world();
    const write = w.begin('new');
    const fence = await write.fence();
    write.committed(fence);
    await w.writeElsewhere('newer');
    expect(await w.read()).toBe('newer by bypass'); // its fence stands until RELEASE
  });

  test('a row of another tag of the entry was written since memory had it', async () => {
    const w = await world();
    const write = w.begin('without the label');
    await w.writeElsewhere('with the label', LABELS);
    const fence = await write.fence();
    write.committed(fence);
    w.database.text = 'new with the label';
    expect(await w.read()).toBe('new with the label by bypass');
  });

  test('a label was written between its FENCE and its COMMIT', async () => {
    const w = await world();
    const write = w.begin('without the label');
    const fence = await write.fence();
    await w.writeElsewhere('with the label', LABELS);
    write.committed(fence);
    w.database.text = 'new with the label';
    expect(await w.read()).toBe('new with the label by bypass');
  });

  test('FENCE found another token than memory had', async () => {
    const w = await world();
    await w.writeElsewhere('meanwhile');
    expect(await w.begin('new').fence()).toBe(true);
  });

  test('FENCE found no lease', async () => {
    const w = await world();
    const write = w.begin('new');
    w.clock.advance(LEASE_MS);
    const fence = await write.fence();
    expect(fence).toMatchObject({ kind: 'exact', lease: undefined });
    write.committed(fence);
    await tick(w.memory);
    expect(await w.read()).not.toContain('near-hit');
  });

  test('FENCE found another lease than that of memory: the numbers of its log may be those of a log that was lost', async () => {
    const w = await world();
    const write = w.begin('new');
    const fence = (await write.fence()) as ExactFence;
    const lease = { generation: 'next', purge: 'purge' };
    write.committed({ ...fence, lease });
    expect(await w.read()).toBe('new by bypass');
  });

  test('memory was emptied between COMMIT and the log read', async () => {
    const w = await world();
    const write = w.begin('new');
    write.committed(await write.fence());
    w.clock.advance(LEASE_MS);
    await w.read(); // finds no lease
    await tick(w.memory);
    w.database.text = 'newer';
    expect(await w.read()).toBe('newer by bypass');
  });

  test('this process has not read it before', async () => {
    const w = await world();
    await w.writeElsewhere('meanwhile');
    expect(
      w.cache.writtenFills([{ source: TASK as Policy<never>, arg: 8, value: 'x' }], [tagOf(8)], 99),
    ).toBeUndefined();
  });

  test('this process has read it only after the first statement', async () => {
    const w = await world();
    expect(
      w.cache.writtenFills([{ source: TASK as Policy<never>, arg: 7, value: 'x' }], [tagOf(7)], 0),
    ).toBeUndefined();
  });
});
