/** What is read before it runs, bodies and documents: another viewer is served while they come. */
import { Redis } from 'ioredis';
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

const MS = 2500;
/** By then a viewer has used up the time that it has at once. */
const BURST_MS = 1500;

test('documents without a token that are long to validate do not slow down another viewer', async () => {
  const { measurement, report } = await attacked(world, 'unread-documents', { ms: MS });
  expect(harmDone(quiet, measurement)).toEqual([]);
  expect(report.counts).toHaveProperty(['401 UNAUTHENTICATED']);
});

test('invalid documents of one viewer, sent without end, do not slow down another', async () => {
  const { measurement, report } = await attacked(world, 'invalid-documents', { ms: MS });
  expect(harmDone(quiet, measurement)).toEqual([]);
  expect(report.counts).toHaveProperty(['429 RATE_LIMITED']);
});

test('large bodies that are no JSON do not slow down another viewer', async () => {
  const { measurement, report } = await attacked(world, 'malformed-bodies', { ms: MS });
  expect(harmDone(quiet, measurement)).toEqual([]);
  expect(report.counts).toHaveProperty(['400 BAD_REQUEST']);
});

test('bodies of many small objects are refused before they are parsed, and do not slow down another viewer', async () => {
  const { measurement, report } = await attacked(world, 'dense-bodies', { ms: MS, settleMs: BURST_MS });
  expect(harmDone(quiet, measurement)).toEqual([]);
  expect(report.counts).toHaveProperty(['400 BAD_REQUEST']);
});

test('costs that take long to compute do not slow down another viewer', async () => {
  const { measurement, report } = await attacked(world, 'slow-costs', { ms: MS, settleMs: BURST_MS });
  expect(harmDone(quiet, measurement)).toEqual([]);
  expect(report.counts).toHaveProperty(['400 QUERY_TOO_EXPENSIVE']);
});

test('persisted documents registered without end take a bounded part of Redis, and do not slow down another viewer', async () => {
  const redis = new Redis(world.redisUrl);
  try {
    const { measurement, report } = await attacked(world, 'persisted-documents', { ms: MS });
    expect(harmDone(quiet, measurement)).toEqual([]);
    expect(report.counts).toHaveProperty('200');
    const keys = await redis.keys('q:*');
    // 1 MiB of the viewer; nothing of who has no token.
    expect(keys.length).toBeGreaterThan(0);
    expect(keys.length).toBeLessThanOrEqual(105);
  } finally {
    redis.disconnect();
  }
});
