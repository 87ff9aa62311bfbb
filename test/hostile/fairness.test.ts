/** One viewer within its limits takes no more than its share of Postgres: another viewer's reads and writes go on as before. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import * as servers from '../support/servers.js';
import { attacked } from './attacked.js';
import { described, harmDone, type Measurement, wellBehaved } from './well-behaved.js';
import { startWorld, type World } from './world.js';

let world: World;
let quiet: Measurement;

beforeAll(async () => {
  world = await startWorld({ databaseUrl: servers.databaseUrl() });
  await wellBehaved(world, 1000); // warm
  quiet = await wellBehaved(world, 3000);
});
afterAll(() => world?.stop());

test.each(['expensive-filters', 'affordable-filters', 'large-writes', 'many-memberships'])(
  'another viewer’s answers stay as fast as before while a viewer attacks by %s',
  async (name) => {
    const { measurement, report } = await attacked(world, name, { ms: 5000, settleMs: 1500 });
    const what = `quiet ${described(quiet)}; attacked ${described(measurement)}; ${JSON.stringify(report.counts)}`;
    expect(harmDone(quiet, measurement), what).toEqual([]);
    expect(report.counts).toHaveProperty('sent');
    expect(world.server.errors).toEqual([]);
  },
  120_000,
);
