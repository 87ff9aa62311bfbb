/** Slots shared between owners: who is served next, how much one owner holds, and what waits in vain. */
import { describe, expect, test } from 'vitest';
import { FairQueue, QueueFull } from '../src/engine/cache/fair-queue.js';
import { quiet } from './cache/world.js';

/** Work of an owner that runs until it is told to end. */
function started(queue: FairQueue, owner: string | undefined, signal?: AbortSignal) {
  const work = { began: false, end: () => {}, done: Promise.resolve() };
  const ended = new Promise<void>((resolve) => {
    work.end = resolve;
  });
  work.done = queue.run(owner, signal, async () => {
    work.began = true;
    await ended;
  });
  work.done.catch(() => {});
  return work;
}

const began = (works: readonly { began: boolean }[]) => works.map((work) => work.began);
const times = <T>(n: number, make: () => T): T[] => Array.from({ length: n }, make);

describe('an owner', () => {
  test('holds at most its share, also while no other owner wants a slot', async () => {
    const queue = new FairQueue({ max: 4, maxEach: 2 });
    const works = times(4, () => started(queue, 'ada'));
    await quiet();
    expect(began(works)).toEqual([true, true, false, false]);
    const other = started(queue, 'bob');
    await quiet();
    expect(other.began).toBe(true);
  });

  test('that comes later finds a free slot, however much others want', async () => {
    const queue = new FairQueue({ max: 8 });
    const held = (works: readonly { began: boolean }[]) => works.filter((work) => work.began).length;
    const greedy = ['ada', 'bob', 'cy'].map((owner) => times(10, () => started(queue, owner)));
    await quiet();
    expect(greedy.map(held)).toEqual([4, 2, 1]);
    for (const work of greedy[0] ?? []) {
      work.end(); // and the next of them begins when it may
      await quiet();
      expect(queue.state.running).toBeLessThan(8);
    }
    const late = started(queue, 'dee');
    await quiet();
    expect(late.began).toBe(true);
  });

  test('that comes later is served before the long line of another', async () => {
    const queue = new FairQueue({ max: 1 });
    const long = times(10, () => started(queue, 'ada'));
    const late = started(queue, 'bob');
    long[0]?.end();
    await quiet();
    expect(late.began).toBe(false); // ada waited first
    long[1]?.end();
    await quiet();
    expect(late.began).toBe(true);
    expect(long.filter((work) => work.began)).toHaveLength(2);
  });

  test('that comes last waits for one piece of work of each other owner, however many slots they may hold', async () => {
    const queue = new FairQueue({ max: 4, maxEach: 4 });
    const others = ['ada', 'bob', 'cem'].flatMap((owner) => times(10, () => started(queue, owner)));
    const last = started(queue, 'dee');
    await quiet();
    for (const work of others) {
      if (last.began) break;
      if (!work.began) continue;
      work.end();
      await quiet();
    }
    expect(last.began).toBe(true);
    expect(others.filter((work) => work.began).length).toBeLessThanOrEqual(4 + 3);
    for (const work of others) work.end();
  });

  test('is served in turn with the others, one each', async () => {
    const queue = new FairQueue({ max: 1, maxEach: 1 });
    const order: string[] = [];
    const run = (owner: string) => queue.run(owner, undefined, async () => void order.push(owner));
    await Promise.all(['a', 'a', 'a', 'b', 'b', 'c'].map(run));
    expect(order).toEqual(['a', 'a', 'b', 'c', 'a', 'b']);
  });

  test('keeps no slot after its work has failed', async () => {
    const queue = new FairQueue({ max: 1, maxEach: 1 });
    await expect(queue.run('ada', undefined, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(await queue.run('ada', undefined, async () => 'again')).toBe('again');
    expect(queue.state).toEqual({ running: 0, waiting: 0, peak: 1 });
  });

  test('that is not named has no bound of its own', async () => {
    const queue = new FairQueue({ max: 3, maxEach: 1, maxWaitingEach: 0 });
    const works = times(4, () => started(queue, undefined));
    await quiet();
    expect(began(works)).toEqual([true, true, true, false]);
  });
});

describe('what waits', () => {
  test('leaves when its signal aborts, and never begins', async () => {
    const queue = new FairQueue({ max: 1, maxEach: 1 });
    const first = started(queue, 'ada');
    const leaving = new AbortController();
    const second = started(queue, 'bob', leaving.signal);
    const third = started(queue, 'bob');
    leaving.abort(new Error('gone'));
    await expect(second.done).rejects.toThrow('gone');
    expect(queue.state.waiting).toBe(1);
    first.end();
    await quiet();
    expect([second.began, third.began]).toEqual([false, true]);
  });

  test('is bounded, of one owner and of all', async () => {
    const queue = new FairQueue({ max: 1, maxEach: 1, maxWaitingEach: 2, maxWaiting: 3 });
    const works = times(3, () => started(queue, 'ada'));
    await expect(started(queue, 'ada').done).rejects.toMatchObject({ name: 'QueueFull', of: 'owner' });
    works.push(started(queue, 'bob'));
    await expect(started(queue, 'cem').done).rejects.toThrow(QueueFull);
    for (const work of works) work.end();
    await Promise.all(works.map(({ done }) => done));
    expect(queue.state).toMatchObject({ running: 0, waiting: 0 });
  });

  test('begins with the first turn of all owners who share it', async () => {
    const queue = new FairQueue({ max: 2, maxEach: 1 });
    const running = times(1, () => started(queue, 'ada'));
    const shared = queue.turn('ada');
    let granted = false;
    const waiting = Promise.resolve(shared.begin(undefined)).then(() => {
      granted = true;
    });
    await quiet();
    expect(granted).toBe(false); // ada has her share
    shared.share('bob');
    await waiting;
    expect(queue.state).toMatchObject({ running: 2, waiting: 0 });
    // It is bob's slot: his next work waits.
    const next = started(queue, 'bob');
    await quiet();
    expect(next.began).toBe(false);
    shared.end();
    await quiet();
    expect(next.began).toBe(true);
    for (const work of [...running, next]) work.end();
    await quiet();
    expect(queue.state).toMatchObject({ running: 0, waiting: 0 });
  });

  test('leaves the lines of all who share it', async () => {
    const queue = new FairQueue({ max: 1, maxEach: 1 });
    const first = started(queue, 'ada');
    const leaving = new AbortController();
    const shared = queue.turn('bob');
    const waiting = shared.begin(leaving.signal);
    shared.share('cem');
    leaving.abort(new Error('gone'));
    await expect(waiting).rejects.toThrow('gone');
    const next = started(queue, 'cem');
    first.end();
    await quiet();
    expect(next.began).toBe(true);
    expect(queue.state).toMatchObject({ running: 1, waiting: 0 });
  });
});

test('slots are neither lost nor given twice, whatever begins, ends, leaves and is shared', async () => {
  let seed = 20261128;
  const random = (n: number) => {
    seed = (seed * 1103515245 + 12345) % 2 ** 31;
    return seed % n;
  };
  const owners = ['a', 'b', 'c', undefined];
  const queue = new FairQueue({ max: 4, maxEach: 2 });
  for (let round = 0; round < 200; round++) {
    const works = times(12, () => {
      const owner = owners[random(owners.length)];
      const leaving = new AbortController();
      return { owner, leaving, work: started(queue, owner, leaving.signal) };
    });
    for (let step = 0; step < 30; step++) {
      const { leaving, work } = works[random(works.length)] as (typeof works)[number];
      if (random(4) === 0) leaving.abort(new Error('gone'));
      else if (work.began) work.end();
      await quiet();
      expect(queue.state.running).toBeLessThanOrEqual(4);
    }
    for (const { work } of works) work.end();
    await Promise.allSettled(works.map(({ work }) => work.done));
    expect(queue.state).toMatchObject({ running: 0, waiting: 0 });
  }
});
