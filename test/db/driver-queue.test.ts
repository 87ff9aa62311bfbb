/** The driver keeps connections and statements in queues, which its patch holds to the size of what is in them: see docs/decisions.md#sql. */
import { expect, test } from 'vitest';
import { randomOf } from '../chaos/random.js';
import { heapBytes } from '../support/heap.js';

interface Queue {
  readonly length: number;
  push(x: number): void;
  shift(): number | undefined;
  remove(x: number): number | null;
}
const file = new URL('queue.js', import.meta.resolve('postgres')).href;
const { default: makeQueue } = (await import(file)) as { default: () => Queue };

test('a queue that is never empty does not grow', () => {
  const queue = makeQueue();
  queue.push(-1);
  const before = heapBytes();
  for (let n = 0; n < 2_000_000; n++) {
    queue.push(n);
    queue.shift();
  }
  expect(heapBytes() - before).toBeLessThan(4 * 1024 ** 2); // 16 MiB, and as many places for `remove` to look at, if each shift left one
  expect(queue.length).toBe(1);
});

test('what was pushed is shifted in order, except what was removed', () => {
  const queue = makeQueue();
  const model: number[] = [];
  const random = randomOf(1);
  for (let n = 0; n < 20_000; n++) {
    const growing = n % 2000 < 1000;
    if (random.chance(growing ? 0.5 : 0.25)) {
      queue.push(n);
      model.push(n);
    } else if (random.chance(0.5)) {
      const one = model[random.integer(model.length + 1)] ?? -1;
      expect(queue.remove(one)).toBe(model.includes(one) ? one : null);
      if (model.includes(one)) model.splice(model.indexOf(one), 1);
    } else {
      expect(queue.shift()).toBe(model.shift());
    }
    expect(queue.length).toBe(model.length);
  }
});
