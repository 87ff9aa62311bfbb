/** Turn batches: what is asked for in one turn is done at once, and answered together. */
import { expect, test } from 'vitest';
import { TickBatch } from '../../src/engine/cache/tick-batch.js';
import { quiet } from './world.js';

function recording(maxItems = 100) {
  const runs: number[][] = [];
  const batch = new TickBatch<number, string>(async (items) => {
    runs.push([...items]);
    if (items.includes(-1)) throw new Error('refused');
    return `run ${runs.length}`;
  }, maxItems);
  return { batch, runs };
}

test('what is added in one turn is one run, also from microtasks and nextTick', async () => {
  const { batch, runs } = recording();
  const added = [batch.add(1), Promise.resolve().then(() => batch.add(2))];
  added.push(new Promise((resolve) => process.nextTick(() => resolve(batch.add(3)))));
  expect(await Promise.all(added)).toEqual(['run 1', 'run 1', 'run 1']);
  expect(runs.map((items) => items.toSorted())).toEqual([[1, 2, 3]]);
});

test('what is added in the next turn is another run, though the first one has not ended', async () => {
  const { batch, runs } = recording();
  const first = batch.add(1);
  await quiet();
  const second = batch.add(2);
  expect(await Promise.all([first, second])).toEqual(['run 1', 'run 2']);
  expect(runs).toEqual([[1], [2]]);
});

test('a turn with too many is split, in order', async () => {
  const { batch, runs } = recording(2);
  expect(await Promise.all([1, 2, 3, 4, 5].map((item) => batch.add(item)))).toEqual([
    'run 1',
    'run 1',
    'run 2',
    'run 2',
    'run 3',
  ]);
  expect(runs).toEqual([[1, 2], [3, 4], [5]]);
});

test('a run that fails fails those who were in it, and nobody else', async () => {
  const { batch } = recording(2);
  const ends = await Promise.allSettled([1, -1, 3].map((item) => batch.add(item)));
  expect(ends.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'fulfilled']);
  expect(await batch.add(4)).toBe('run 3');
});
