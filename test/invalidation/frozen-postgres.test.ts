/** A Postgres that keeps its connections open and answers nothing. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { migrateDatabase } from '../../src/db/migrate.js';
import { startPostgres } from '../../src/development/embedded/postgres.js';
import { MINUTE, SECOND } from '../../src/std/time.js';
import { eventually, testApp } from '../support/app.js';
import { breakableProxy } from './breakable-proxy.js';

test(
  'a Postgres that says nothing stops neither the relay for ever nor the end of the process',
  async () => {
    const directory = await mkdtemp(join(tmpdir(), 'tasks-frozen-'));
    const postgres = await startPostgres({ dataDir: directory, flags: ['fsync=off'] });
    await migrateDatabase(postgres.url);
    const proxy = await breakableProxy(postgres.url);
    const app = await testApp({ databaseUrl: proxy.url });
    try {
      proxy.freeze();
      // Without a lease for want of ticks: one of them is stuck.
      await eventually(async () => expect((await app.cache.store.head()).leaseLeftMs).toBe(0));
      const ready = async () => (await app.server.inject('/readyz')).json().postgres;
      expect(await Promise.all([ready(), ready(), ready()])).toEqual(['down', 'down', 'down']);
      expect(await ready()).toBe('down');
      const startedMs = performance.now();
      await app.relay.stop();
      expect(performance.now() - startedMs).toBeLessThan(20 * SECOND);
      proxy.thaw();
      await eventually(async () => expect(await ready()).toBe('up'));
      await app.relay.start();
      await expect.poll(async () => (await app.relay.tick()).result, { timeout: MINUTE / 2 }).toBe('applied');
    } finally {
      await app.close();
      await proxy.close();
      await postgres.stop();
      await rm(directory, { recursive: true, force: true });
    }
  },
  2 * MINUTE,
);
