/**
 * Counterexamples of the protocol's model on the way from Postgres to the store: each fails when one rule is taken out
 * (test/mutants/mutants.ts names which). Only those that no other test shows.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Cache, LEASE_MS, MemoryStore, type Policy } from '../../src/engine/cache/index.js';
import type { Outbox, OutboxView } from '../../src/engine/postgres/outbox.js';
import { Relay } from '../../src/engine/postgres/relay.js';
import { createLog } from '../../src/platform/log.js';
import { HOUR } from '../../src/std/time.js';
import { FakeClock, quiet, tagOf } from '../cache/world.js';
import { dataOf, type TestApp } from '../support/app.js';
import { Points, pointed } from './points.js';
import { rename, served, taskOf, type World, world } from './world.js';

const POLICY: Policy<number> = { name: 'Task', shape: '1', ttlMs: HOUR, scope: 'public', tags: (id) => [tagOf(id)] };

/** The outbox of a database that is quiet but for what the test does while it is read. */
function fakeOutbox(during: () => void): Outbox {
  const identity = { id: 'fake', previous: undefined };
  return {
    identity: async () => identity,
    async read(): Promise<OutboxView> {
      const view = { identity, horizon: 100n, rows: [], upTo: 100n, cut: false, trimmedBelow: 0n };
      during();
      return view;
    },
    freshTransactionId: async () => 90n,
    trim: async () => false,
    close: async () => {},
  };
}

test('a write that no snapshot has seen is served old no longer than LEASE_MS, however long the snapshot took to come', async () => {
  const clock = new FakeClock();
  const store = new MemoryStore(clock);
  let during = () => {};
  const relay = new Relay({ store, clock, log: createLog('silent'), connect: () => fakeOutbox(() => during()) });
  const cache = new Cache({ store, clock });
  let database = 'old';
  const read = async () => {
    const value = await cache.read(POLICY, 7, async () => database);
    await quiet();
    return value;
  };
  await relay.tick(); // names the position
  await relay.tick(); // grants
  await read();
  expect(await read()).toBe('old');

  // Late enough that the lease is renewed, and so early that it stands until then.
  clock.advance(300);
  let committedMs = 0;
  during = () => {
    database = 'new'; // by psql, just behind the snapshot
    committedMs = clock.nowMs();
    clock.advance(LEASE_MS - 400);
  };
  expect((await relay.tick()).result).toBe('applied');
  clock.advance(committedMs + LEASE_MS - clock.nowMs());
  expect(await read()).toBe('new');
});

describe('of a write that touches several row-sets', () => {
  let w: World;
  let writer: TestApp;
  const points = new Points();
  const LIST = 'query ($id: ID!) { tasks(filter: { assignee: { id: { eq: $id } } }) { totalCount } }';

  beforeAll(async () => {
    w = await world();
    writer = await w.second({ wrap: (store) => pointed(store, points) });
  });
  afterAll(() => w?.close());

  test('none is served old between its commit and its release', async () => {
    const { f } = w;
    const id = (f.opsTasks[0] as (typeof f.opsTasks)[number]).id;
    const count = async () =>
      dataOf(await w.app.ask(LIST, { as: f.ada.id, variables: { id: f.bob.id } })).tasks.totalCount as number;
    const before = await served(w.app, id, f.ada.id);
    const counted = await count();
    await w.app.cache.flush();
    expect(await count()).toBe(counted);
    const unreleased = points.hold('before release');
    const assigning = writer.ask(
      'mutation ($input: AssignTaskInput!) { assignTask(input: $input) { task { id } errors { message } } }',
      { as: f.ada.id, variables: { input: { id, assigneeId: f.bob.id } } },
    );
    dataOf(await assigning);
    await unreleased.arrived;
    expect((await taskOf(w.app, id, f.ada.id)).version).toBe(before.version + 1);
    expect(await count()).toBe(counted + 1);
    unreleased.open();
    await rename(writer, { id, title: 'And on' }, f.ada.id);
  });
});
