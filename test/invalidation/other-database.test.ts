/** Transaction ids belong to a whole Postgres server, so transactions in other databases count for the relay, too. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { postgresClient } from '../../src/engine/postgres/database.js';
import { readOutbox } from '../../src/engine/postgres/outbox.js';
import { eventually } from '../support/app.js';
import { Gate } from '../support/barrier.js';
import { createEmptyDatabase, type TestDatabase } from '../support/database.js';
import { lastOutcome, rename, served, taskOf, ticked, type World, world } from './world.js';

let w: World;
let other: TestDatabase;
beforeEach(async () => {
  [w, other] = await Promise.all([world(), createEmptyDatabase()]);
});
afterEach(async () => {
  await w?.close();
  await other?.drop();
});

test('a transaction that has written and stays open in another database holds the horizon, and the cache serves meanwhile', async () => {
  const client = postgresClient(other.url, { max: 1 });
  const gate = new Gate();
  let xid = 0n;
  const open = client.begin(async (tx) => {
    const [row] = await tx<{ xid: string }[]>`select pg_current_xact_id()::text as xid`;
    xid = BigInt(row?.xid ?? 0);
    await gate.pass();
  });
  await gate.arrived;
  try {
    const { id } = w.f.opsTasks[0] as (typeof w.f.opsTasks)[number];
    await rename(w.app, { id, title: 'Behind it' }, w.f.ada.id);
    await ticked(w.app);
    expect((await readOutbox(w.sql, undefined, [])).horizon).toBeLessThanOrEqual(xid);
    expect((await w.redis.position())?.xid).toBeLessThanOrEqual(xid);
    expect((await served(w.app, id, w.f.ada.id)).title).toBe('Behind it');
    expect((await taskOf(w.app, id, w.f.ada.id)).title).toBe('Behind it');
    expect(lastOutcome(w.app, 'Task')).toEqual({ kind: 'hit' });
  } finally {
    gate.open();
    await open;
    await client.end();
  }
  await eventually(async () => expect((await readOutbox(w.sql, undefined, [])).horizon).toBeGreaterThan(xid));
});
