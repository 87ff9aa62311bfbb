/** What is written around the API, by psql say, is seen within L: two seconds. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { projects } from '../../src/domain/projects/project.table.js';
import { taskRows } from '../../src/domain/tasks/task.table.js';
import { LEASE_MS } from '../../src/engine/cache/index.js';
import { dataOf, eventually } from '../support/app.js';
import { lastOutcome, relayed, renameBySql, served, taskOf, ticked, type World, world } from './world.js';

let w: World;
beforeAll(async () => {
  w = await world();
});
afterAll(() => w?.close());

/** How much longer than promised a poll may take on a machine that is busy with other tests. */
const MACHINE_MS = 3000;
const task = (i: number) => (w.f.opsTasks[i] as (typeof w.f.opsTasks)[number]).id;

test('a write by plain SQL from another connection is seen within two seconds', async () => {
  const id = task(0);
  const before = await served(w.app, id, w.f.ada.id);
  const [tag] = taskRows.byId(id);
  const token = await w.redis.tag(tag);

  await renameBySql(w.sql, id, 'By psql');
  const writtenMs = performance.now();
  await eventually(async () => expect((await taskOf(w.app, id, w.f.ada.id)).title).toBe('By psql'));
  expect(performance.now() - writtenMs).toBeLessThan(LEASE_MS + MACHINE_MS);

  // By the relay, not because trust was lost: the lease stands, and the tag has another token.
  await relayed(w);
  expect(await w.redis.tag(tag)).not.toBe(token);
  expect(await served(w.app, id, w.f.ada.id)).toEqual({ title: 'By psql', version: before.version + 1 });
});

test('one tick is enough', async () => {
  const id = task(1);
  await served(w.app, id, w.f.ada.id);
  await w.app.relay.stop();
  await renameBySql(w.sql, id, 'By one tick');
  await ticked(w.app);
  expect(await w.redis.lease()).not.toBeNull();
  expect((await taskOf(w.app, id, w.f.ada.id)).title).toBe('By one tick');
  await w.app.relay.start();
});

test('when no relay runs any more, nothing is served from the cache after two seconds', async () => {
  const id = task(2);
  await served(w.app, id, w.f.ada.id);
  await w.app.relay.stop();
  await renameBySql(w.sql, id, 'Nobody relays');
  const writtenMs = performance.now();
  await eventually(async () => expect((await taskOf(w.app, id, w.f.ada.id)).title).toBe('Nobody relays'));
  expect(performance.now() - writtenMs).toBeLessThan(LEASE_MS + MACHINE_MS);
  expect(lastOutcome(w.app, 'Task')).toEqual({ kind: 'bypass', reason: 'no-lease' });
  await w.app.relay.start();
  expect((await served(w.app, id, w.f.ada.id)).title).toBe('Nobody relays');
});

test('a TRUNCATE by psql empties every list', async () => {
  const document = '{ projects { totalCount } tasks { totalCount } }';
  const ask = async () => dataOf(await w.app.ask(document, { as: w.f.ada.id }));
  expect(await ask()).toMatchObject({ projects: { totalCount: 2 } });
  await w.sql.unsafe('truncate projects cascade');
  await eventually(async () => expect(await ask()).toEqual({ projects: { totalCount: 0 }, tasks: { totalCount: 0 } }));
  expect(await w.app.db.read.select().from(projects)).toEqual([]);
});
