/** What a long run leaves behind: Redis holds nothing without an expiry but what is expected, Postgres no outbox beyond the retention. */
import { eq } from 'drizzle-orm';
import type { Sql } from 'postgres';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { toUuid } from '../../src/db/ids.js';
import { eventTables } from '../../src/domain/registry.js';
import { tasks } from '../../src/domain/tasks/task.table.js';
import { CacheError, type Tag } from '../../src/engine/cache/index.js';
import { postgresClient } from '../../src/engine/postgres/database.js';
import { postgresOutbox, trimEvents, trimOutbox } from '../../src/engine/postgres/outbox.js';
import { Relay } from '../../src/engine/postgres/relay.js';
import { createLog } from '../../src/platform/log.js';
import { eventually } from '../support/app.js';
import { intercepted } from '../support/stores.js';
import { lastOutcome, relayed, released, rename, renameBySql, served, taskOf, type World, world } from './world.js';

const STEPS = 250;

let w: World;
beforeEach(async () => {
  w = await world();
});
afterEach(() => w?.close());

/** A writer that is killed between its fence and the answer to its COMMIT or ROLLBACK. */
async function killedAfterFence(sql: Sql, id: string, end: 'commit' | 'rollback'): Promise<Tag[]> {
  const writer = await sql.reserve();
  try {
    await writer`begin`;
    await writer`update tasks set title = 'Of the dead', version = version + 1 where id = ${toUuid(id as `task_${string}`)}`;
    const [row] = await writer<{ xid: string; tags: Tag[] }[]>`
      select xid::text, array_agg(distinct tag) as tags from cache_outbox, unnest(tags) as tag
      where xid = pg_current_xact_id() group by xid`;
    const { xid, tags } = row as { xid: string; tags: Tag[] };
    await w.app.cache.store.fence(BigInt(xid), tags, { fresh: false });
    await writer.unsafe(end);
    return tags;
  } finally {
    writer.release();
  }
}

/** The names, without their group, of this group's keys that never expire. */
async function lasting(): Promise<string[]> {
  const names: string[] = [];
  for await (const keys of w.redis.client.scanStream({ match: `*{${w.app.group}}*`, count: 500 })) {
    for (const key of keys as string[]) {
      if ((await w.redis.client.pttl(key)) === -1) names.push(key.replace(`:{${w.app.group}}`, ''));
    }
  }
  return names.sort();
}

/** With a seed that is printed when it fails: xorshift32. */
function random(seed: number) {
  let state = seed;
  return (below: number) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

test('after a long random run no key without expiry is left but the few that are expected', async () => {
  const seed = (Date.now() & 0x7fff_ffff) | 1;
  const pick = random(seed);
  const anyTask = () => (w.f.opsTasks[pick(w.f.opsTasks.length)] as (typeof w.f.opsTasks)[number]).id;
  for (let i = 0; i < STEPS; i++) {
    const id = anyTask();
    const step = pick(10);
    if (step < 4) await taskOf(w.app, id, w.f.ada.id);
    else if (step < 6) await rename(w.app, { id, title: `Step ${i}` }, w.f.ada.id);
    else if (step === 6) await renameBySql(w.sql, id, `Raw ${i}`);
    else if (step === 7) {
      const failing = w.app.transactor.transact(async (tx) => {
        await tx.update(tasks).set({ title: 'Thrown away' }).where(eq(tasks.id, id));
        throw new Error('no');
      });
      await expect(failing, `seed ${seed}`).rejects.toThrow('no');
    } else if (step === 8) await killedAfterFence(w.sql, id, 'commit');
    else await killedAfterFence(w.sql, id, 'rollback');
  }
  await w.app.settled();
  await relayed(w);
  await eventually(async () => {
    const left = await lasting();
    const unexpected = left.filter((name) => !['fen', 'log', 'pos', 'rel'].includes(name));
    expect(unexpected, `seed ${seed}`).toEqual([]);
  });
});

test('a fence of a writer that died and was rolled back goes, also when nobody reads its tags', async () => {
  const { id } = w.f.opsTasks[0] as (typeof w.f.opsTasks)[number];
  await killedAfterFence(w.sql, id, 'rollback');
  await released(w);
});

test('the outbox is trimmed to its retention, and what is cached stays', async () => {
  const { id } = w.f.opsTasks[0] as (typeof w.f.opsTasks)[number];
  for (let i = 0; i < 20; i++) await renameBySql(w.sql, id, `Raw ${i}`);
  await relayed(w);
  await served(w.app, id, w.f.ada.id);
  const rows = async () => (await w.sql<{ n: number }[]>`select count(*)::int as n from cache_outbox`)[0]?.n ?? -1;
  const before = await rows();
  expect(await trimOutbox(w.sql)).toBe(false);
  expect(await rows()).toBe(before);

  await w.sql`update cache_outbox set written_at = now() - interval '1 minute' where seq <= (select min(seq) + 9 from cache_outbox)`;
  expect(await trimOutbox(w.sql, { retentionMs: 30_000 })).toBe(false);
  expect(await rows()).toBe(before - 10);
  while (await trimOutbox(w.sql, { retentionMs: 0, maxRows: 7 })) {
    // on to the next seven
  }
  expect(await rows()).toBe(0);

  const position = await w.redis.position();
  await relayed(w);
  expect((await w.redis.position())?.purge).toBe(position?.purge);
  expect((await taskOf(w.app, id, w.f.ada.id)).title).toBe('Raw 19');
  expect(lastOutcome(w.app, 'Task')).toEqual({ kind: 'hit' });
});

test('what a dump brought of another cluster, whose transaction ids are higher, is trimmed at once', async () => {
  const { id } = w.f.opsTasks[0] as (typeof w.f.opsTasks)[number];
  for (let i = 0; i < 5; i++) await renameBySql(w.sql, id, `Of the dump ${i}`);
  await relayed(w);
  await w.app.relay.stop();
  await w.sql`update cache_outbox set xid = (xid::text::numeric + 1000000000)::text::xid8`;
  await w.sql`update cache_outbox_trim set below = (select xid from cache_outbox order by xid desc limit 1)`;
  await renameBySql(w.sql, id, 'Of this cluster');
  while (await trimOutbox(w.sql, { maxRows: 2 })) {
    // on to the next two
  }
  const [left] = await w.sql`
    select bool_and(xid < pg_snapshot_xmax(pg_current_snapshot())) as assigned,
      (select below from cache_outbox_trim) <= pg_snapshot_xmax(pg_current_snapshot()) as reached from cache_outbox`;
  expect(left).toEqual({ assigned: true, reached: true });
});

test('events of tasks are trimmed with it', async () => {
  const { id } = w.f.opsTasks[0] as (typeof w.f.opsTasks)[number];
  for (let i = 0; i < 20; i++) await renameBySql(w.sql, id, `Raw ${i}`);
  const rows = async () => (await w.sql<{ n: number }[]>`select count(*)::int as n from task_events`)[0]?.n ?? -1;
  const before = await rows();
  expect(before).toBeGreaterThan(20);
  await w.sql`update task_events set at = now() - interval '2 hours' where seq <= (select min(seq) + 9 from task_events)`;
  const outbox = postgresOutbox(postgresClient(w.app.databaseUrl, { max: 1 }), eventTables);
  expect(await outbox.trim()).toBe(false);
  await outbox.close({ timeoutS: 1 });
  expect(await rows()).toBe(before - 10);
  while (await trimEvents(w.sql, 'task_events', { retentionMs: 0, maxRows: 7 })) {
    // on to the next seven
  }
  expect(await rows()).toBe(0);
});

test('a store that was away for longer than the retention is purged, not caught up', async () => {
  const { id } = w.f.opsTasks[0] as (typeof w.f.opsTasks)[number];
  await served(w.app, id, w.f.ada.id);
  await relayed(w);
  await w.app.relay.stop();
  const before = await w.redis.position();
  await renameBySql(w.sql, id, 'While it was away');
  await w.sql`select pg_current_xact_id()`;
  while (await trimOutbox(w.sql, { retentionMs: 0 })) {
    // until nothing is left
  }
  await w.app.relay.start();
  await relayed(w);
  expect((await w.redis.position())?.purge).not.toBe(before?.purge);
  expect((await taskOf(w.app, id, w.f.ada.id)).title).toBe('While it was away');
});

test('the outbox is trimmed also while the store is away', async () => {
  await w.app.relay.stop();
  await w.sql`update cache_outbox set written_at = now() - interval '2 hours'`;
  const away = intercepted(w.app.cache.store, (step) => {
    if (step === 'head') throw new CacheError('STORE_UNAVAILABLE', 'away');
  });
  const relay = new Relay({
    store: away,
    connect: () => postgresOutbox(postgresClient(w.app.databaseUrl, { max: 1 })),
    log: createLog('silent'),
  });
  await relay.start();
  await relay.stop();
  expect(await w.sql`select from cache_outbox`).toHaveLength(0);
});
