/** One viewer's subscriptions and WebSockets against another viewer's answers. */
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { WebSocket } from 'ws';
import { MINUTE } from '../../src/std/time.js';
import { attacked } from './attacked.js';
import { startAttack } from './attacker.js';
import { harmDone, type Measurement, wellBehaved } from './well-behaved.js';
import { startWorld, type World } from './world.js';

const WARM_MS = 1000;
const QUIET_MS = 2000;

describe.each([
  ['with the limits that are usual', true, {}],
  // Only turns and the limits of time are between this attack and the others: no viewer runs out of points.
  ['without a rate limit', false, { RATE_LIMIT_POINTS: '0' }],
] as const)('%s', (_, isLimited, env) => {
  let world: World;
  let quiet: Measurement;

  beforeAll(async () => {
    world = await startWorld({ databaseUrl: inject('databaseUrl'), env });
    await wellBehaved(world, WARM_MS);
    quiet = await wellBehaved(world, QUIET_MS);
  }, MINUTE);
  afterAll(() => world?.stop());

  test(
    'a viewer whose change is an event for as many subscriptions as it may have takes no time from another viewer',
    async () => {
      const { measurement, report } = await attacked(world, 'subscription-events', { ms: 4000 });
      expect(harmDone(quiet, measurement)).toEqual([]);
      // Subscribing alone may take all points of the minute.
      expect(report.counts).toHaveProperty(isLimited ? 'RATE_LIMITED' : 'event');
      expect(world.server.died).toBe(false);
    },
    MINUTE,
  );

  test(
    'an address that opens WebSockets without end takes no time from another viewer, who can open one',
    async () => {
      const attack = await startAttack(world, 'silent-websockets');
      const measuring = wellBehaved(world, 3000);
      const startedMs = performance.now();
      const headers = { 'x-forwarded-for': world.viewer.address };
      const socket = new WebSocket(`ws://127.0.0.1:${world.port}/graphql`, 'graphql-transport-ws', { headers });
      await once(socket, 'open');
      socket.send(JSON.stringify({ type: 'connection_init', payload: { token: world.viewer.token } }));
      const [ack] = await once(socket, 'message');
      expect(JSON.parse(String(ack))).toMatchObject({ type: 'connection_ack' });
      expect(performance.now() - startedMs).toBeLessThan(2000);
      const measurement = await measuring;
      const report = await attack.stop();
      socket.terminate();
      expect(harmDone(quiet, measurement)).toEqual([]);
      expect(report.counts).toHaveProperty(['upgrade 429']);
      expect(report.counts['upgrade 101']).toBeLessThanOrEqual(20);
    },
    MINUTE,
  );

  test.runIf(isLimited)(
    'an address that sends messages on its WebSockets without end takes no time from another viewer',
    async () => {
      // By then it has used up the time that it has at once.
      const { measurement, report } = await attacked(world, 'websocket-messages', { ms: 3000, settleMs: 2500 });
      expect(harmDone(quiet, measurement)).toEqual([]);
      expect(report.counts).toHaveProperty(['upgrade 101']);
      expect(world.server.died).toBe(false);
    },
    MINUTE,
  );
});
