/** Clients that do not behave as clients do: another viewer is served, and nothing of them is logged as an error. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import * as servers from '../support/servers.js';
import { attacked } from './attacked.js';
import { harmDone, type Measurement, wellBehaved } from './well-behaved.js';
import { startWorld, type World } from './world.js';

let world: World;
let quiet: Measurement;
beforeAll(async () => {
  world = await startWorld({ databaseUrl: servers.databaseUrl() });
  await wellBehaved(world, 1000); // warm
  quiet = await wellBehaved(world, 2000);
});
afterAll(() => world?.stop());

test('clients that leave at any moment do not slow down another viewer, and are no errors in the log', async () => {
  const { measurement } = await attacked(world, 'leaving-clients', { ms: 4000 });
  expect(world.server.errors.map(({ msg, err }) => ({ msg, err }))).toEqual([]);
  expect(harmDone(quiet, measurement)).toEqual([]);
});
