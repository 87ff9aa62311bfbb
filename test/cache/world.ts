/** What the tests of the engine share: a clock that stands still, a lease without a relay, short tags. */
import { expect } from 'vitest';
import {
  type Applied,
  type Cache,
  type Key,
  randomToken,
  rowSetTag,
  type Store,
  type Tag,
  type Tick,
} from '../../src/engine/cache/index.js';
import type { Clock } from '../../src/engine/cache/time.js';
import { Gate } from '../support/barrier.js';

/** Stands still until it is told; who sleeps on it moves it. Both hands show the same time. */
export class FakeClock implements Clock {
  #ms = Date.UTC(2026, 0, 1);

  nowMs(): number {
    return this.#ms;
  }

  monotonicMs(): number {
    return this.#ms;
  }

  async sleep(ms: number): Promise<void> {
    this.advance(ms);
    // A whole turn: who would sleep for ever shall run into the test's timeout, not stop the process.
    await new Promise((resolve) => setImmediate(resolve));
  }

  advance(ms: number): void {
    this.#ms += ms;
  }
}

/** TICK as the relay does it, with an outbox that the test writes: it keeps the position, and has its barrier below it. */
export async function tick(store: Store, given: Partial<Tick> = {}): Promise<Applied> {
  const head = given.head ?? (await store.head());
  const next = given.next ?? head.position ?? { xid: 100n, purge: randomToken() };
  const barrier = head.leaseLeftMs === 0 ? next.xid : undefined;
  return (await store.apply({ head, next, rows: [], barrier, grant: 'grant', ...given })).result;
}

export function tagOf(id: number | string): Tag {
  return rowSetTag('tasks', ['id'], [String(id)]);
}

/** A key that no policy made: the store takes it as any other. */
export function keyOfText(text: string): Key {
  return text as Key;
}

/** Until everything that waits only for this process has happened: no step here takes more than a few turns of the event loop. */
export async function quiet(): Promise<void> {
  for (let turn = 0; turn < 8; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** A load that counts its runs. */
export function loading<V>(value: V): (() => Promise<V>) & { runs: number } {
  const load = async () => {
    load.runs++;
    return value;
  };
  load.runs = 0;
  return load;
}

/** A load that waits, once it runs, until it is told what to give. */
export function heldLoad<V>() {
  const gate = new Gate();
  let answer: V | Error;
  const load = async () => {
    load.runs++;
    await gate.pass();
    if (answer instanceof Error) throw answer;
    return answer;
  };
  load.runs = 0;
  load.started = gate.arrived;
  load.give = (value: V | Error) => {
    answer = value;
    gate.open();
  };
  return load;
}

/** A writer's transaction, from fence to release. */
export async function write(cache: Cache, xid: bigint, ...written: Tag[]): Promise<void> {
  expect(await cache.fence(xid, written)).toBe(true);
  cache.release(xid, written);
  await quiet();
}
