/** Responses that are as large as they may be, or larger, read or not: another viewer is served, and memory stays bounded. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import * as servers from '../support/servers.js';
import { attacked } from './attacked.js';
import { harmDone, type Measurement, wellBehaved } from './well-behaved.js';
import { startWorld, type World } from './world.js';

const MIB = 1024 * 1024;

let world: World;
let quiet: Measurement;
let quietRss: number;
beforeAll(async () => {
  world = await startWorld({ databaseUrl: servers.databaseUrl() });
  await wellBehaved(world, 1000); // warm
  quiet = await wellBehaved(world, 2000);
  quietRss = await world.server.rss();
});
afterAll(() => world?.stop());

test('responses larger than the limit are refused while they are built, and do not slow down another viewer', async () => {
  const { measurement, report, peakRss } = await attacked(world, 'large-responses', { ms: 3000 });
  expect(harmDone(quiet, measurement)).toEqual([]);
  expect(report.counts).toHaveProperty(['400 RESPONSE_TOO_LARGE']);
  // Two young generations of 64 MiB, and the texts that five requests have loaded; without the limit it was gigabytes.
  expect(peakRss - quietRss).toBeLessThan(600 * MIB);
});

test('responses that are not read are bounded, and do not slow down another viewer', async () => {
  const { measurement, report, peakRss } = await attacked(world, 'unread-responses', { ms: 4000 });
  expect(harmDone(quiet, measurement)).toEqual([]);
  expect(report.counts).toHaveProperty('503');
  expect(peakRss - quietRss).toBeLessThan(600 * MIB);
});
