/** An address that leads to another database while the one before goes on: connections that are open stay there. */
import { afterEach, beforeEach, expect, inject, test } from 'vitest';
import { newId } from '../../src/db/ids.js';
import { taskRows } from '../../src/domain/tasks/task.table.js';
import { postgresClient } from '../../src/engine/postgres/database.js';
import { readIdentity } from '../../src/engine/postgres/database-identity.js';
import { eventually, type TestApp, testApp } from '../support/app.js';
import { createDatabase, createEmptyDatabase, type TestDatabase } from '../support/database.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { type BreakableProxy, breakableProxy } from './breakable-proxy.js';
import { GroupKeys, renameBySql, served, taskOf } from './world.js';

let [before, after]: TestDatabase[] = [];
let f: Fixture;
let proxy: BreakableProxy;
/** Its address changes. */
let app: TestApp;
let keys: GroupKeys;

beforeEach(async () => {
  before = await createDatabase();
  const first = await testApp({ databaseUrl: before.url });
  f = await fixture(first);
  await first.close();
  after = await createEmptyDatabase({ clause: `template ${before.name}` });
  proxy = await breakableProxy(before.url);
  app = await testApp({ databaseUrl: proxy.url });
  keys = new GroupKeys(inject('redisUrl'), app.group);
});
afterEach(async () => {
  await app?.close();
  await Promise.all([keys?.close(), proxy?.close()]);
  await Promise.all([before?.drop(), after?.drop()]);
});

test('what a process stores of the other database before it notices is void for those that go on with the one before', async () => {
  const other = await testApp({
    databaseUrl: before?.url as string,
    group: app.group,
    nearCacheBytes: 16 * 1024 * 1024,
  });
  const [old, now] = [before, after].map((database) => postgresClient(database?.url as string, { max: 1 }));
  if (old === undefined || now === undefined) throw new Error('expected two databases');
  try {
    const id = (f.opsTasks[0] as Fixture['opsTasks'][number]).id;
    await renameBySql(now, id, 'Of the other database');
    const open = await old<{ pid: number }[]>`
      select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`;
    proxy.leadTo(after?.name as string);
    // It has read nothing yet: the connection of its reads is opened now, that of its relay stays.
    await eventually(async () => {
      await other.cache.store.invalidate(taskRows.byId(id)); // should it have been first, for want of a lease
      expect((await taskOf(app, id, f.ada.id)).title).toBe('Of the other database');
      await app.settled();
      expect((await taskOf(other, id, f.ada.id)).title).toBe('Of the other database');
    });
    await old`select pg_terminate_backend(pid) from unnest(${open.map(({ pid }) => pid)}::int[]) as ids(pid)`;
    await eventually(() => expect(app.relay.refused).toBe(true));
    await eventually(async () => expect((await taskOf(other, id, f.ada.id)).title).toBe('Task 1'));
    expect((await served(other, id, f.ada.id)).title).toBe('Task 1');
  } finally {
    await Promise.all([old.end({ timeout: 5 }), now.end({ timeout: 5 }), other.close()]);
  }
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
