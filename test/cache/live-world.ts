/**
 * A process with live queries, another that writes, and a database of one number for each id. The time of this process
 * passes only in `pass`. The store has a clock of its own, so a lease ends only where the test says so.
 */
import { vi } from 'vitest';
import {
  Cache,
  type CacheOptions,
  type LiveAnswer,
  type LiveOptions,
  type LiveRun,
  type LiveRunEnded,
  type LiveSource,
  MemoryStore,
  type Policy,
  type Store,
  type Tag,
  tableTag,
} from '../../src/engine/cache/index.js';
import type { StoreEvent } from '../../src/engine/cache/store.js';
import { systemClock } from '../../src/engine/cache/time.js';
import { HOUR } from '../../src/std/time.js';
import { Trips } from './trips.js';
import { FakeClock, tagOf, tick } from './world.js';

export const TABLE = tableTag('tasks');
export const POLICY: Policy<number> = {
  name: 'Task',
  shape: '1',
  ttlMs: HOUR,
  scope: 'public',
  tags: (id) => [tagOf(id), TABLE],
};

export function useFakeTime(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'performance'] });
}

/** Lets everything happen that waits for no timer. A run that reads twice takes some ten event-loop ticks. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 16; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Lets time of this process pass, and everything happen that it brings. */
export async function pass(ms: number, step = 10): Promise<void> {
  await settled();
  for (let left = ms; left > 0; left -= step) {
    vi.advanceTimersByTime(Math.min(step, left));
    await settled();
  }
}

/** A client that records what it is sent. */
export class Received {
  readonly answers: LiveAnswer[] = [];
  readonly answered = (answer: LiveAnswer): void => {
    this.answers.push(answer);
  };

  get texts(): string[] {
    return this.answers.map(({ text }) => text);
  }
}

export type Read = (id: number) => Promise<number>;

interface LiveWorldOptions extends Partial<CacheOptions> {
  readonly policy?: Policy<number>;
  readonly live?: LiveOptions;
  /** No message of another process arrives. Default false. */
  readonly withoutMessages?: boolean;
}

export async function liveWorld({
  policy = POLICY,
  live: options,
  withoutMessages = false,
  ...more
}: LiveWorldOptions = {}) {
  const storeClock = new FakeClock();
  const memory = new MemoryStore(storeClock);
  await tick(memory);
  const trips = new Trips();
  const listeners = new Set<(event: StoreEvent) => void>();
  const store: Store = {
    ...trips.over(memory),
    subscribe: (listener) => {
      listeners.add(listener);
      const unsubscribe = withoutMessages ? () => {} : memory.subscribe(listener);
      return () => {
        listeners.delete(listener);
        unsubscribe();
      };
    },
  };
  const cache = new Cache({ store, clock: systemClock, random: () => 0, near: {}, ...more });
  const writer = new Cache({ store: memory, clock: systemClock });
  const database = new Map<number, number>();
  const runs: LiveRunEnded[] = [];
  const live = cache.liveQueries({ random: () => 0, ended: (run) => runs.push(run), ...options });
  let xid = 200n;
  const load = async (id: number) => database.get(id) ?? 0;

  const w = {
    cache,
    memory,
    storeClock,
    trips,
    listeners,
    writer,
    database,
    live,
    load,
    /** How the runs since the last call ended. */
    ends: () => runs.splice(0).map(({ result, proved }) => (proved ? result : `${result}, unproved`)),
    /** An ordinary request to the process, which reads the log. */
    request: (id = 1000) => cache.read(policy, id, () => load(id)),
    source(
      key: string,
      answer: (read: Read, run: LiveRun) => Promise<string>,
      how: Partial<LiveSource> & { readonly load?: Read } = {},
    ): LiveSource {
      const read = (run: LiveRun) => (id: number) =>
        cache.read(policy, id, () => (how.load ?? load)(id), { readSet: run.readSet, signal: run.signal });
      return { key, viewer: 'ada', throttleMs: 0, run: (run) => answer(read(run), run), ...how };
    },
    /** The values of these ids, joined by spaces. */
    values: (key: string, ids: readonly number[], how: Partial<LiveSource> & { readonly load?: Read } = {}) =>
      w.source(key, async (read) => (await Promise.all(ids.map(read))).join(' '), how),
    /** Joins, and waits until the live query is settled. */
    async joined(source: LiveSource): Promise<Received> {
      const received = new Received();
      live.join(source, received);
      await pass(200);
      return received;
    },
    fence: (...ids: number[]) => writer.fence(++xid, ids.map(tagOf)),
    async release(...ids: number[]) {
      writer.release(xid, ids.map(tagOf));
      await settled();
    },
    /** A whole write by another process. */
    async write(id: number, value: number) {
      await w.fence(id);
      database.set(id, value);
      await w.release(id);
    },
    /** Redis has lost its data, and the relay has found writes of `tags` since. */
    async loseStore(...tags: Tag[]) {
      storeClock.advance(2000); // the lease is lost with it
      await trips.loseLog(memory);
      await memory.releaseFinished(
        [...Array(10).keys()].map((i) => String(xid - BigInt(i))),
        tags,
      );
      await tick(memory);
    },
  };
  return w;
}

export type LiveWorld = Awaited<ReturnType<typeof liveWorld>>;
