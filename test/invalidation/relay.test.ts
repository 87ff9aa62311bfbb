/** The relay: what it applies, when it grants the lease, when it purges, what it deletes. Its timer is stopped, ticks are ours. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { toUuid } from '../../src/db/ids.js';
import { trimOutbox } from '../../src/invalidation/outbox.js';
import { taskRows } from '../../src/tasks/task.table.js';
import { userRows } from '../../src/users/user.table.js';
import {
  lastOutcome,
  relayed,
  renameBySql,
  type SeenTask,
  served,
  taskOf,
  ticked,
  type World,
  world,
} from './world.js';

let w: World;
let id: `task_${string}`;
const read = (): Promise<SeenTask> => taskOf(w.app, id, w.f.ada.id);

beforeEach(async () => {
  w = await world();
  id = (w.f.opsTasks[0] as (typeof w.f.opsTasks)[number]).id;
  await served(w.app, id, w.f.ada.id);
  await relayed(w);
  await w.app.relay.stop();
});
afterEach(() => w?.close());

/** As if two seconds had passed without a tick. */
const lapse = async () => w.redis.client.del(await w.redis.leaseName());

/** Transactions one by one, each of which renames bob. */
async function tinyTransactions(count: number): Promise<void> {
  await w.sql.unsafe(`do $$ begin
    for i in 1..${count} loop
      update users set name = 'Bob ' || i where id = '${toUuid(w.f.bob.id)}';
      commit;
    end loop;
  end $$`);
}

describe('everything is purged', () => {
  test('when the position is missing', async () => {
    const before = await w.redis.position();
    await w.redis.client.del(w.redis.name('pos'));
    await renameBySql(w.sql, id, 'Unseen'); // below the new position: only the purge can drop it
    await lapse();
    await ticked(w.app);
    await ticked(w.app);
    expect((await w.redis.position())?.purge).not.toBe(before?.purge);
    expect((await read()).title).toBe('Unseen');
    expect((await served(w.app, id, w.f.ada.id)).title).toBe('Unseen');
  });

  test('when history went back: the position is above every transaction there is', async () => {
    const before = await w.redis.position();
    const ahead = (before?.xid ?? 0n) + 1_000_000n;
    await w.redis.client.set(w.redis.name('pos'), `${ahead}:${before?.purge}`);
    await renameBySql(w.sql, id, 'After a restore');
    await ticked(w.app);
    const after = await w.redis.position();
    expect(after?.purge).not.toBe(before?.purge);
    expect(after?.xid).toBeLessThan(ahead);
    expect((await read()).title).toBe('After a restore');
    await ticked(w.app);
    expect((await w.redis.position())?.purge).toBe(after?.purge);
  });

  test('when rows after the position have been trimmed', async () => {
    const before = await w.redis.position();
    await renameBySql(w.sql, id, 'Trimmed away');
    await tinyTransactions(3);
    await w.sql`delete from cache_outbox`;
    await w.sql`update cache_outbox_trim set below = ${String((before?.xid ?? 0n) + 1n)}::xid8`;
    await ticked(w.app);
    const after = await w.redis.position();
    expect(after?.purge).not.toBe(before?.purge);
    expect((await read()).title).toBe('Trimmed away');
    await ticked(w.app);
    expect((await w.redis.position())?.purge).toBe(after?.purge);
  });

  test('and not when the rows before the position have been trimmed', async () => {
    const before = await w.redis.position();
    await w.sql`update cache_outbox_trim set below = ${String(before?.xid)}::xid8`;
    await ticked(w.app);
    expect((await w.redis.position())?.purge).toBe(before?.purge);
    await read();
    expect(lastOutcome(w.app, 'Task')).toEqual({ kind: 'hit' });
  });
});

describe('a backlog larger than one tick', () => {
  test('is applied whole, in several ticks, and no lease is granted before', async () => {
    const [bob] = userRows.byId(w.f.bob.id);
    await renameBySql(w.sql, id, 'First of many');
    await tinyTransactions(2100);
    await w.sql`update users set handle = 'bobby' where id = ${toUuid(w.f.bob.id)}`;
    await lapse();
    const seen: { more: boolean; leased: boolean; moved: boolean; token: string | null }[] = [];
    for (let more = true; more; ) {
      const before = await w.redis.position();
      ({ more } = await ticked(w.app));
      const after = await w.redis.position();
      const moved = (after?.xid ?? 0n) > (before?.xid ?? 0n);
      seen.push({ more, leased: (await w.redis.lease()) !== null, moved, token: await w.redis.tag(bob) });
    }
    expect(seen.map(({ token: _, ...rest }) => rest)).toEqual([
      { more: true, leased: false, moved: true },
      { more: true, leased: false, moved: true },
      { more: false, leased: true, moved: true },
    ]);
    // Each tick applied rows of bob's.
    expect(new Set(seen.map(({ token }) => token)).size).toBe(3);
    expect((await read()).title).toBe('First of many');
  });

  test('does not prolong a lease that stands', async () => {
    await tinyTransactions(1001);
    const { more } = await ticked(w.app);
    const left = await w.redis.client.pttl(await w.redis.leaseName());
    expect(more).toBe(true);
    // `ticked` saw it go below 1.8 s before it applied anything.
    expect(left).toBeLessThanOrEqual(1800);
    await ticked(w.app);
    expect(await w.redis.client.pttl(await w.redis.leaseName())).toBeGreaterThan(0);
  });
});

describe('the lease', () => {
  test('waits, once lost, for every transaction that could have fenced on the lost server', async () => {
    const holder = await w.sql.reserve();
    await holder`begin`;
    await holder`select pg_current_xact_id()`;
    await lapse();
    await ticked(w.app);
    expect(await w.redis.lease()).toBeNull();
    await read();
    expect(lastOutcome(w.app, 'Task')).toEqual({ kind: 'bypass', reason: 'no-lease' });
    await holder`commit`;
    holder.release();
    await ticked(w.app);
    expect(await w.redis.lease()).not.toBeNull();
  });

  test('is only prolonged, without waiting, while it stands', async () => {
    const holder = await w.sql.reserve();
    await holder`begin`;
    await holder`select pg_current_xact_id()`;
    await ticked(w.app);
    expect(await w.redis.client.pttl(await w.redis.leaseName())).toBeGreaterThan(1000);
    await holder`rollback`;
    holder.release();
  });
});

test('a row that was applied while an older transaction ran is not applied again', async () => {
  const [tag] = taskRows.byId(id);
  const holder = await w.sql.reserve();
  await holder`begin`;
  await holder`select pg_current_xact_id()`;
  await renameBySql(w.sql, id, 'Applied once');
  await ticked(w.app);
  const token = await w.redis.tag(tag);
  await ticked(w.app);
  expect(await w.redis.tag(tag)).toBe(token);
  await holder`commit`;
  holder.release();
  await ticked(w.app);
  expect(await w.redis.tag(tag)).toBe(token);
  expect((await read()).title).toBe('Applied once');
});

test('what an older transaction wrote is applied when it commits, however late', async () => {
  const holder = await w.sql.reserve();
  await holder`begin`;
  await holder`update tasks set title = 'Late', version = version + 1 where id = ${toUuid(id)}`;
  await tinyTransactions(5);
  await ticked(w.app);
  expect((await read()).title).not.toBe('Late');
  await holder`commit`;
  holder.release();
  await ticked(w.app);
  expect((await read()).title).toBe('Late');
});

test('a writing transaction left open does not keep the relay from what is committed after it', async () => {
  // The horizon stands at the open transaction, so what was applied after it must not be read again and again.
  const holder = await w.sql.reserve();
  try {
    await holder`begin`;
    await holder`select pg_current_xact_id()`;
    await tinyTransactions(1100);
    await renameBySql(w.sql, id, 'After many');
    let { more } = await ticked(w.app);
    for (let i = 0; i < 5 && more; i++) ({ more } = await ticked(w.app));
    expect(more).toBe(false);
  } finally {
    await holder`rollback`;
    holder.release();
  }
});

describe('trimming', () => {
  interface Row {
    readonly xid: bigint;
    readonly old: boolean;
  }
  const put = async ({ xid, old }: Row) =>
    await w.sql`insert into cache_outbox (xid, tags, written_at)
      values (${String(xid)}::xid8, array['users'], now() - ${old ? '2 hours' : '1 minute'}::interval)`;
  const left = async () =>
    (await w.sql<{ xid: string }[]>`select xid::text from cache_outbox order by xid`).map(({ xid }) => BigInt(xid));
  const line = async () =>
    BigInt((await w.sql<{ below: string }[]>`select below::text from cache_outbox_trim`)[0]?.below ?? -1);

  beforeEach(async () => {
    await w.sql`delete from cache_outbox`;
  });

  test('deletes what is applied and old, moves the line with it, and keeps everything else', async () => {
    for (const row of [
      { xid: 10n, old: true },
      { xid: 11n, old: true },
      { xid: 12n, old: true },
      { xid: 13n, old: false },
      { xid: 20n, old: true },
    ])
      await put(row);
    await trimOutbox(w.sql, 15n);
    expect(await line()).toBe(12n);
    expect(await left()).toEqual([12n, 13n, 20n]);
    // No row at or above the line is ever missing, so a store that stands there can catch up.
    await trimOutbox(w.sql, 21n);
    expect(await line()).toBe(20n);
    expect(await left()).toEqual([20n]);
  });

  test('deletes nothing that is not applied, however old, and nothing that is young', async () => {
    await put({ xid: 10n, old: false });
    await put({ xid: 20n, old: true });
    await trimOutbox(w.sql, 20n);
    expect(await left()).toEqual([10n, 20n]);
    expect(await line()).toBe(0n);
  });

  test('never moves the line back', async () => {
    await w.sql`update cache_outbox_trim set below = '15'`;
    await put({ xid: 10n, old: true });
    await trimOutbox(w.sql, 20n);
    expect(await line()).toBe(15n);
  });
});
