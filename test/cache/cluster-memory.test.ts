/**
 * Rule 9 of process memory: in a Cluster it depends on the leases of all groups of a copy's tags. A shard's old primary may be believed
 * for as long as its lease runs, at most LEASE_MS. What memory kept of it must not be believed for longer.
 */
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { Cache, LEASE_MS, MemoryStore, type Outcome, type Policy } from '../../src/engine/cache/index.js';
import { Relay } from '../../src/engine/postgres/relay.js';
import { HOUR } from '../../src/std/time.js';
import { readableLog } from '../support/log.js';
import { MemoryOutbox, memoryCluster } from '../support/memory-cluster.js';
import { FakeClock, keyOfText, quiet, tagOf } from './world.js';

const TASK = tagOf(7);
const ANSWER = keyOfText('Answer');
const policy = (name: string, id: number): Policy<string> => ({
  name,
  shape: '1',
  ttlMs: HOUR,
  scope: 'public',
  tags: () => [tagOf(id)],
});

/** A reader with memory; a writer, a relay and a reader without memory in other processes, which may see another primary of group 1. */
async function world() {
  const clock = new FakeClock();
  const home = new MemoryStore(clock);
  const old = new MemoryStore(clock);
  const successor = new MemoryStore(clock);
  const seen = { reader: old, writer: old, relay: old };
  const outbox = new MemoryOutbox();
  const relay = new Relay({
    store: memoryCluster(home, () => seen.relay),
    connect: () => outbox,
    log: readableLog().log,
    clock,
  });
  const outcomes: Outcome[] = [];
  const cache = new Cache({
    store: memoryCluster(home, () => seen.reader),
    clock,
    near: {},
    random: () => 0,
    events: { outcome: (outcome) => outcomes.push(outcome) },
  });
  const writer = new Cache({ store: memoryCluster(home, () => seen.writer), clock, random: () => 0 });
  let row = 1;
  const task = { ...policy('Task', 7), reentrant: false, load: async () => [row] };
  const other = { ...policy('Other', 8), reentrant: false, load: async () => [0] };
  const made = {
    cache,
    seen,
    successor,
    /** Of group 1, until its lease ends. */
    believed: async () => (await seen.reader.head()).leaseLeftMs > 0,
    async read(source = task, by = cache) {
      const [value] = await by.readMany(source, ['7'], { readSet: by.readSet() });
      await quiet();
      return value;
    },
    kind: () => outcomes.at(-1)?.kind,
    /** As any request does: its log read takes in what was logged. */
    looks: () => made.read(other),
    /** Another process has stored it; this one has not read it. */
    stored: () => made.read(task, writer),
    async ticks(times: number, everyMs: number) {
      for (let i = 0; i < times; i++) {
        clock.advance(everyMs);
        await relay.tick();
      }
    },
    /** The shard fails over: the writer and the relay see its new primary, the reader still the old one. */
    failsOver() {
      seen.writer = successor;
      seen.relay = successor;
    },
    /** A writer up to its COMMIT, which the test calls. */
    async fences() {
      const xid = outbox.begin();
      expect(await writer.fence(xid, [TASK])).toBe(true);
      return async (value: number) => {
        row = value;
        outbox.commit(xid, [TASK]);
        writer.release(xid, [TASK]);
        await quiet();
      };
    },
    write: async (value: number) => (await made.fences())(value),
    /** A write around the API. */
    writesOutside(value: number) {
      row = value;
      outbox.commit(outbox.begin(), [TASK]);
    },
    /** The log group takes no writes: it is full, say. */
    fillsTheLogGroup: () => void vi.spyOn(home, 'apply').mockRejectedValue(new Error('OOM command not allowed')),
    /** A cached method that reads the task inside its load, in the memory of a process. */
    method: (by = cache) =>
      by.read(policy('Method', 7), '7', async () => {
        const [value] = await by.readMany(task, ['7'], { readSet: by.readSet() });
        return 10 * (value as number);
      }),
    /** The same, of a kept answer. */
    methodOfAnswer: () =>
      cache.read(policy('OfAnswer', 7), '7', async () => {
        const answer = (await cache.findAnswer(cache.readSet(), ANSWER)) as { value: number } | undefined;
        return 10 * (answer?.value ?? row);
      }),
    /** What an answer made of the task says, if it is known. */
    async known() {
      return (await cache.findAnswer(cache.readSet(), ANSWER)) as { value: number } | undefined;
    },
    async answers() {
      const readSet = cache.readSet({ answer: true });
      const [value] = await cache.readMany(task, ['7'], { readSet });
      cache.storeAnswer(readSet, ANSWER, { value }, 10);
      await quiet();
      return value;
    },
  };
  for (let i = 0; i < 3; i++) await relay.tick(); // positions, leases, and the log group's lease that names group 1's
  await made.ticks(1, 250);
  for (let round = 0; round < 2; round++) await made.looks();
  return made;
}

let w: Awaited<ReturnType<typeof world>>;
beforeEach(async () => {
  w = await world();
});

describe('in a Cluster, memory', () => {
  test.each(['method', 'methodOfAnswer'] as const)(
    'is not served inside a load: the log group may learn of a write after the group whose new token was read (%s)',
    async (method) => {
      await w.read();
      await w.answers();
      w.writesOutside(2);
      w.fillsTheLogGroup();
      await expect(w.ticks(1, 250)).rejects.toThrow('OOM'); // group 1 has applied it
      expect(await w[method]()).toBe(20);
      vi.restoreAllMocks();
      await w.ticks(2, 250);
      expect(await w[method]()).toBe(20);
    },
  );

  test('keeps what it read from a group under the lease that the log group names, and gives it after more ticks', async () => {
    await w.read();
    for (let i = 0; i < 5; i++) {
      expect([await w.read(), w.kind()]).toEqual([1, 'near-hit']);
      await w.ticks(1, 250);
    }
    expect(await w.answers()).toBe(1);
    expect(await w.known()).toEqual({ value: 1 });
  });

  test("drops what a shard's old primary said as soon as the log group names the lease of the new one", async () => {
    await w.stored();
    w.failsOver();
    await w.write(2);
    await w.looks();
    expect(await w.read()).toBe(1); // still believed, within LEASE_MS
    expect([await w.read(), w.kind()]).toEqual([1, 'near-hit']);
    expect(await w.answers()).toBe(1);
    w.seen.reader = w.successor;
    await w.ticks(10, LEASE_MS / 2);
    expect(await w.known()).toBeUndefined();
    expect(await w.read()).toBe(2);
  });

  test("does not keep what a shard's old primary says after the log group names the lease of the new one", async () => {
    await w.stored();
    w.failsOver();
    await w.ticks(3, 250); // the new primary has a position, a lease, and is named
    await w.looks();
    await w.looks();
    await w.write(2);
    await w.looks();
    expect(await w.believed()).toBe(true);
    expect(await w.answers()).toBe(1);
    expect([await w.read(), w.kind()]).toEqual([1, 'hit']);
    w.seen.reader = w.successor;
    expect(await w.known()).toBeUndefined();
    expect(await w.read()).toBe(2);
  });

  test("does not keep what is loaded under tokens of a shard's old primary", async () => {
    w.failsOver();
    await w.ticks(3, 250);
    await w.looks();
    const commits = await w.fences();
    await w.looks(); // the record of the fence, which the old primary does not have
    expect([await w.read(), w.kind()]).toEqual([1, 'miss']);
    await commits(2);
    w.seen.reader = w.successor;
    expect(await w.read()).toBe(2);
  });

  test('keeps nothing of a group that had no lease when the log group was granted its own', async () => {
    w.failsOver();
    w.seen.reader = w.successor;
    await w.ticks(1, 250); // names a position, and grants nothing
    await w.looks();
    await w.looks();
    await w.read();
    expect(w.kind()).toBe('bypass');
    await w.ticks(2, 250);
    for (let i = 0; i < 5; i++) await w.read();
    expect(w.kind()).toBe('near-hit');
  });

  test("drops what it read from a shard's old primary when a relay that still sees that primary applies the write there", async () => {
    await w.stored();
    w.seen.writer = w.successor; // only the writer has noticed
    await w.write(2);
    await w.looks();
    expect(await w.read()).toBe(1); // believed: the relay has not ticked since
    await w.ticks(1, 250);
    expect(await w.read()).toBe(2);
    await w.ticks(10, 250);
    expect(await w.read()).toBe(2);
  });
});
