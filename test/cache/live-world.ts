/**
 * A process with live queries, another that writes, and a database of one number for each id. The time of this process is
 * the test's: it passes only in `pass`. The store has a clock of its own, so a lease ends only where the test says so.
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

/** Until all that waits for no time has happened. A run that reads twice takes some ten turns of the event loop. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 16; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Lets this process's time pass, and what it brings happen. */
export async function pass(ms: number, step = 10): Promise<void> {
  await settled();
  for (let left = ms; left > 0; left -= step) {
    vi.advanceTimersByTime(Math.min(step, left));
    await settled();
  }
}

/** What a client was sent. */
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
  /** No message of another process arrives. */
  readonly deaf?: boolean;
}

export async function liveWorld({ policy = POLICY, live: options, deaf = false, ...more }: LiveWorldOptions = {}) {
  const storeClock = new FakeClock();
  const memory = new MemoryStore(storeClock);
  await tick(memory);
  const trips = new Trips();
  const hearing = new Set<(news: StoreEvent) => void>();
  const store: Store = {
    ...trips.over(memory),
    subscribe: (hear) => {
      hearing.add(hear);
      const unsubscribe = deaf ? () => {} : memory.subscribe(hear);
      return () => {
        hearing.delete(hear);
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
    hearing,
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
    /** As if Redis had lost its data, and the relay had found the database's writes since: `tags`. */
    async loseStore(...tags: Tag[]) {
      storeClock.advance(2000); // the lease with it
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
