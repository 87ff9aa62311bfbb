/** What documents cost before they run: another viewer is served while they come. */
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { attacked } from './attacked.js';
import { harmDone, type Measurement, wellBehaved } from './well-behaved.js';
import { startWorld, type World } from './world.js';

let world: World;
let quiet: Measurement;
beforeAll(async () => {
  world = await startWorld({ databaseUrl: inject('databaseUrl') });
  await wellBehaved(world, 1000); // warm
  quiet = await wellBehaved(world, 2000);
});
afterAll(() => world?.stop());

test('documents without a token that are long to validate do not slow down another viewer', async () => {
  const { measurement, report } = await attacked(world, 'unread-documents', { ms: 3000 });
  expect(harmDone(quiet, measurement)).toEqual([]);
  expect(report.counts).toHaveProperty(['401 UNAUTHENTICATED']);
});
