/** The relay: what it applies, when it grants the lease, when it purges, what it deletes. Its timer is stopped, ticks are ours. */

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { toUuid } from '../../src/db/ids.js';
import { taskRows } from '../../src/domain/tasks/task.table.js';
import { userRows } from '../../src/domain/users/user.table.js';
import type { Tag } from '../../src/engine/cache/index.js';
import { trimOutbox } from '../../src/engine/postgres/outbox.js';
import { eventually } from '../support/app.js';
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

  test('together with what was released in the history that is gone, whose ids are given again', async () => {
    const before = (await w.redis.position())?.xid ?? 0n;
    const ahead = Array.from({ length: 60 }, (_, i) => String(before + 30n + BigInt(i)));
    await w.redis.client.zadd(w.redis.name('rel'), ...ahead.flatMap((xid) => [xid, xid]));
    await w.redis.client.set(w.redis.name('pos'), `${ahead[0]}:of another history`);
    await ticked(w.app);
    await ticked(w.app);
    while (
      BigInt((await w.sql<{ xid: string }[]>`select pg_current_xact_id()::text as xid`)[0]?.xid ?? 0) <
      before + 35n
    ) {
      // until ids are given that had been released
    }
    await served(w.app, id, w.f.ada.id);
    await renameBySql(w.sql, id, 'In the new history');
    await ticked(w.app);
    expect((await read()).title).toBe('In the new history');
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

/** Gives the tag a token, which a tick that applies a row with the tag takes away. */
async function mint(tag: Tag | undefined): Promise<void> {
  await w.app.cache.store.read([], [tag as Tag], { mint: true });
  expect(await w.redis.tag(tag as Tag)).not.toBeNull();
}

describe('a backlog larger than one tick', () => {
  test('is applied whole, in several ticks, and no lease is granted before', async () => {
    const [bob] = userRows.byId(w.f.bob.id);
    await renameBySql(w.sql, id, 'First of many');
    await tinyTransactions(2100);
    await w.sql`update users set handle = 'bobby' where id = ${toUuid(w.f.bob.id)}`;
    await lapse();
    const seen: { more: boolean; leased: boolean; moved: boolean; applied: boolean }[] = [];
    for (let more = true; more; ) {
      const before = await w.redis.position();
      await mint(bob);
      ({ more } = await ticked(w.app));
      const after = await w.redis.position();
      const moved = (after?.xid ?? 0n) > (before?.xid ?? 0n);
      const applied = (await w.redis.tag(bob)) === null; // rows of bob's
      seen.push({ more, leased: (await w.redis.lease()) !== null, moved, applied });
    }
    expect(seen).toEqual([
      { more: true, leased: false, moved: true, applied: true },
      { more: true, leased: false, moved: true, applied: true },
      { more: false, leased: true, moved: true, applied: true },
    ]);
    expect((await read()).title).toBe('First of many');
  });

  test('does not extend a lease that is still valid', async () => {
    const lease = await w.redis.leaseName();
    const endsAtMs = () => w.redis.client.pexpiretime(lease);
    const before = await endsAtMs();
    await tinyTransactions(1001);
    const { more } = await ticked(w.app);
    expect(more).toBe(true);
    const GONE = -2;
    expect([before, GONE]).toContain(await endsAtMs()); // on a slow machine it has ended by now
    await eventually(async () => {
      await w.app.relay.tick();
      expect(await endsAtMs()).toBeGreaterThan(before);
    });
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

  const now = async () =>
    BigInt((await w.sql<{ xid: string }[]>`select pg_current_xact_id()::text as xid`)[0]?.xid ?? -1);

  test('deletes what is old, moves the line behind it, and stops at the first young row', async () => {
    for (const row of [
      { xid: 10n, old: true },
      { xid: 11n, old: true },
      { xid: 12n, old: true },
      { xid: 13n, old: false },
      { xid: 20n, old: true },
    ])
      await put(row);
    expect(await trimOutbox(w.sql)).toBe(false);
    // No row at or above the line is ever missing, so a store that stands there can catch up.
    expect(await line()).toBe(13n);
    expect(await left()).toEqual([13n, 20n]);
    expect(await trimOutbox(w.sql)).toBe(false);
    expect(await left()).toEqual([13n, 20n]);
  });

  test('deletes as many rows as it may, also of one transaction, and says that there are more', async () => {
    await put({ xid: 10n, old: true });
    for (let i = 0; i < 4; i++) await put({ xid: 11n, old: true });
    expect(await trimOutbox(w.sql, { maxRows: 3 })).toBe(true);
    expect(await left()).toEqual([11n, 11n]);
    expect(await line()).toBe(12n);
    expect(await trimOutbox(w.sql, { maxRows: 3 })).toBe(false);
    expect(await left()).toEqual([]);
  });

  test('deletes nothing of transactions from the oldest running one on, which would purge a store that waits for it', async () => {
    const holder = await w.sql.reserve();
    await holder`begin`;
    const [running] = await holder<{ xid: string }[]>`select pg_current_xact_id()::text as xid`;
    const after = await now();
    await put({ xid: BigInt(running?.xid ?? 0) - 1n, old: true });
    await put({ xid: after, old: true });
    await trimOutbox(w.sql);
    expect(await left()).toEqual([after]);
    expect(await line()).toBe(BigInt(running?.xid ?? 0));
    await holder`commit`;
    holder.release();
    await trimOutbox(w.sql);
    expect(await left()).toEqual([]);
  });

  test('never moves the line back', async () => {
    await w.sql`update cache_outbox_trim set below = '15'`;
    await put({ xid: 10n, old: true });
    await trimOutbox(w.sql);
    expect(await line()).toBe(15n);
    expect(await left()).toEqual([]);
  });
});

describe('a transaction whose release was lost', () => {
  test('and that touched far too many rows to be read tag by tag is applied as its tables, within one tick', async () => {
    await renameBySql(w.sql, id, 'One of very many');
    // 300 000 tags in 3000 rows, as a loop over single rows leaves them.
    await w.sql`insert into cache_outbox (tags)
      select array(select 'users:id=' || i || '-' || n from generate_series(1, 100) as n) from generate_series(1, 3000) as i`;
    const [, users] = userRows.byId(w.f.bob.id);
    await mint(users);
    const startedMs = performance.now();
    expect((await ticked(w.app)).more).toBe(false);
    expect(performance.now() - startedMs).toBeLessThan(2000); // or the lease would lapse
    expect(await w.redis.tag(users as Tag)).toBeNull();
    expect((await read()).title).toBe('One of very many');
  });
});

test('twenty thousand applied transactions behind one that is open cost a tick little', async () => {
  // With a plan that does not know the values, as Postgres may keep one of a statement that it has run five times.
  await w.sql.unsafe(`do $$ begin
    execute format('alter database %I set plan_cache_mode = force_generic_plan', current_database());
  end $$`);
  const holder = await w.sql.reserve();
  try {
    await holder`begin`;
    const [{ xid } = { xid: '0' }] = await holder<{ xid: string }[]>`select pg_current_xact_id()::text as xid`;
    const ids = Array.from({ length: 19_000 }, (_, i) => String(BigInt(xid) + BigInt(i + 1)));
    await w.sql`insert into cache_outbox (xid, tags)
      select id::xid8, array['users:id=' || id] from unnest(${ids}::text[]) as ids(id)`;
    await w.redis.client.zadd(w.redis.name('rel'), ...ids.flatMap((id) => [id, id]));
    await ticked(w.app);
    await w.redis.client.del(await w.redis.leaseName()); // or the next tick has nothing to do
    const startedMs = performance.now();
    expect((await w.app.relay.tick()).result).toBe('applied');
    expect(performance.now() - startedMs).toBeLessThan(1000);
  } finally {
    await holder`rollback`;
    holder.release();
  }
});
