/** An address that leads to another database while the one before goes on: connections that are open stay there. */
import { afterEach, beforeEach, expect, inject, test } from 'vitest';
import { postgresClient } from '../../src/db/database.js';
import { newId } from '../../src/db/ids.js';
import { readIdentity } from '../../src/invalidation/database-identity.js';
import { taskRows } from '../../src/tasks/task.table.js';
import { eventually, type TestApp, testApp } from '../support/app.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { type BreakableProxy, breakableProxy } from './breakable-proxy.js';
import { GroupKeys } from './world.js';

let [before, after]: TestDatabase[] = [];
let proxy: BreakableProxy;
let app: TestApp;
let keys: GroupKeys;

beforeEach(async () => {
  [before, after] = [await createDatabase(), await createDatabase()];
  proxy = await breakableProxy(before.url);
  app = await testApp({ databaseUrl: proxy.url });
  keys = new GroupKeys(inject('redisUrl'), app.group);
});
afterEach(async () => {
  await app?.close();
  await Promise.all([keys?.close(), proxy?.close()]);
  await Promise.all([before?.drop(), after?.drop()]);
});

test('once the relay has noticed, all connections lead to the other database, also that which asks about fences', async () => {
  const [old, now] = [before, after].map((database) => postgresClient(database?.url as string, { max: 1 }));
  if (old === undefined || now === undefined) throw new Error('expected two databases');
  try {
    expect(await app.readiness()).toMatchObject({ postgres: true });
    proxy.leadTo(after?.name as string);
    const others = () => old`
      select pid, query from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`;
    expect((await others()).length).toBeGreaterThan(1);
    await old`
      select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid() and query <> 'select 1'`;
    await eventually(() => expect(app.relay.refused).toBe(true));
    await eventually(async () => expect(await others()).toEqual([]));

    await keys.client.del(keys.name('pos')); // the other database takes the keys as soon as their lease has ended
    await eventually(() => expect(app.relay.owned).toBe(true));
    await app.relay.stop(); // it removes such fences, too
    const { id } = await readIdentity(now);
    const [writer] = await now<{ xid: string }[]>`select pg_current_xact_id()::text as xid`;
    const xid = writer?.xid as string;
    const [tag] = taskRows.byId(newId('task'));
    await app.cache.store.fence(BigInt(xid), [tag], { fresh: false, database: id });
    expect(await keys.fenced()).toEqual([tag]);
    await app.fences.resolve([xid], [tag]);
    expect(await keys.fenced()).toEqual([]);
  } finally {
    await Promise.all([old.end({ timeout: 5 }), now.end({ timeout: 5 })]);
  }
});
