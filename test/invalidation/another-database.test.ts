/**
 * A store belongs to one database in one state of its history. Here another database replaces the one behind the address, in every way in
 * which that happens, or another installation uses the same keys: no value of the one is ever served for the other.
 */
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { databaseOf } from '../../src/engine/cache/index.js';
import { MINUTE } from '../../src/std/time.js';
import { eventually, type TestApp, type TestAppOptions, testApp } from '../support/app.js';
import { createDatabase } from '../support/database.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { redisUrl } from '../support/servers.js';
import {
  connected,
  type Dump,
  drop,
  dropAndCreate,
  dumpOf,
  exchange,
  restore,
  restoredCopy,
  templateCopy,
} from './databases.js';
import { GroupKeys, lastOutcome, rename, served, taskOf } from './world.js';

const NEAR = { nearCacheBytes: 16 * 1024 * 1024 };
const TIMEOUT_MS = 4 * MINUTE; // several tests run at once, and wait for leases most of the time

interface World {
  readonly url: string;
  readonly app: TestApp;
  readonly f: Fixture;
  readonly id: string;
  readonly keys: GroupKeys;
  /** The database as it was before the last write. */
  readonly copy: string;
  readonly dump: Dump;
  /** What ends the test's own servers and databases, the last one first. */
  readonly ending: (() => Promise<unknown>)[];
  started(databaseUrl: string, options?: TestAppOptions): Promise<TestApp>;
}

/** Runs a test in a world of its own. */
function inWorld(run: (world: World) => Promise<void>): () => Promise<void> {
  return async () => {
    const ending: World['ending'] = [];
    try {
      await run(await makeWorld(ending));
    } finally {
      for (const end of ending.reverse()) await end().catch(() => {});
    }
  };
}

async function makeWorld(ending: World['ending']): Promise<World> {
  const { url } = await createDatabase();
  ending.push(() => drop(url));
  const app = await testApp({ databaseUrl: url, ...NEAR });
  ending.push(() => app.close());
  const f = await fixture(app);
  const { id } = f.opsTasks[0] as Fixture['opsTasks'][number];
  const keys = new GroupKeys(redisUrl(), app.group);
  ending.push(async () => keys.close());
  await served(app, id, f.ada.id);
  const dump = await dumpOf(url);
  const copy = await templateCopy(url);
  ending.push(() => drop(copy));
  await rename(app, { id, title: 'Written after the copy' }, f.ada.id);
  await served(app, id, f.ada.id);
  const started = async (databaseUrl: string, options: TestAppOptions = {}) => {
    const made = await testApp({ databaseUrl, group: app.group, ...NEAR, lease: false, ...options });
    ending.push(() => made.close());
    return made;
  };
  return { url, app, f, id, keys, copy, dump, ending, started };
}

/** Of a dump, transaction ids that this cluster has not assigned yet. */
async function moveAhead(url: string): Promise<void> {
  await connected(url, async (sql) => {
    const ahead = (column: string) => sql`(${sql(column)}::text::numeric + 1000000000)::text::xid8`;
    for (const [table, column] of Object.entries(IDS))
      await sql`update ${sql(table)} set ${sql(column)} = ${ahead(column)}`;
  });
}

const IDS = { cache_outbox: 'xid', cache_outbox_trim: 'below', task_events: 'xid', task_events_trim: 'below' };

const WAYS: Record<string, (world: World) => Promise<unknown>> = {
  'a dump was restored into it': ({ url, dump }) => restore(url, dump),
  'a dump of a cluster that is further on was restored into it': async ({ url, dump }) => {
    await restore(url, dump);
    await moveAhead(url);
  },
  'one of its tables was restored, with triggers disabled': ({ url, dump }) => restore(url, dump, ['tasks']),
  'a database restored from a dump has its name now': async ({ url, dump, ending }) => {
    const restored = await restoredCopy(url, dump);
    const old = await exchange(url, restored);
    ending.push(() => drop(old));
  },
  'it has exchanged its name with a template copy': async ({ url, copy, ending }) => {
    const old = await exchange(url, copy);
    ending.push(() => drop(old));
  },
  'it was dropped and created from a template': ({ url, copy }) => dropAndCreate(url, copy),
};

describe.concurrent.each(Object.entries(WAYS))('the database is in an older state: %s', (_, replace) => {
  test(
    'what is cached of the newer one is not served after a start',
    inWorld(async (world) => {
      const { url, app, f, id, keys, started } = world;
      await app.close();
      await replace(world);
      const restarted = await started(url);
      expect((await taskOf(restarted, id, f.ada.id)).title).toBe('Task 1');
      expect(lastOutcome(restarted, 'Task')).not.toMatchObject({ kind: 'hit' });
      expect((await served(restarted, id, f.ada.id)).title).toBe('Task 1');
      const version = await rename(restarted, { id, title: 'Written after the restore' }, f.ada.id);
      expect(await served(restarted, id, f.ada.id)).toEqual({ title: 'Written after the restore', version });
      const { purge } = (await keys.position()) ?? {};
      for (let tick = 0; tick < 3; tick++) await restarted.relay.tick();
      expect((await keys.position())?.purge, 'it is purged once, not by each tick').toBe(purge);
    }),
    TIMEOUT_MS,
  );

  test(
    'what is cached of the newer one is not served by a server that runs on',
    inWorld(async (world) => {
      const { app, f, id, keys } = world;
      const before = await keys.position();
      await replace(world);
      // Queries fail while connections are cut, and old values are served until the lease ends. Unnoticed, they would be served for hours.
      await eventually(async () => expect((await taskOf(app, id, f.ada.id)).title).toBe('Task 1'));
      expect((await served(app, id, f.ada.id)).title).toBe('Task 1');
      expect((await keys.position())?.purge).not.toBe(before?.purge);
      const version = await rename(app, { id, title: 'Written after the restore' }, f.ada.id);
      expect(await served(app, id, f.ada.id)).toEqual({ title: 'Written after the restore', version });
    }),
    TIMEOUT_MS,
  );
});

describe.concurrent('two installations with the same ids on one Redis and one group', () => {
  test(
    'never serve each other’s values, the first keeps its cache, and the second says what to do',
    inWorld(async ({ app, f, id, keys, copy, started }) => {
      const first = await keys.position();
      const staging = await started(copy);
      for (let i = 0; i < 5; i++) {
        expect((await taskOf(staging, id, f.ada.id)).title).toBe(i === 0 ? 'Task 1' : `Staging ${i - 1}`);
        const version = await rename(staging, { id, title: `Staging ${i}` }, f.ada.id);
        expect(await taskOf(staging, id, f.ada.id)).toEqual({ title: `Staging ${i}`, version });
        expect(lastOutcome(staging, 'Task')).toEqual({ kind: 'bypass', reason: 'no-lease' });
        expect((await taskOf(app, id, f.ada.id)).title).toBe('Written after the copy');
      }
      await eventually(async () => {
        await taskOf(app, id, f.ada.id);
        expect(lastOutcome(app, 'Task')).toEqual({ kind: 'hit' });
      });
      expect((await keys.position())?.purge).toBe(first?.purge);
      expect(await keys.fenced()).toEqual([]);
      const ready = await staging.server.inject('/readyz');
      expect(ready.statusCode).toBe(200);
      expect(ready.json()).toEqual({ postgres: 'up', redis: expect.stringMatching(/another database.*REDIS_GROUP/) });
      expect((await app.server.inject('/readyz')).json()).toEqual({ postgres: 'up', redis: 'up' });
    }),
    TIMEOUT_MS,
  );

  test(
    'write nothing into the keys of the first: no counters, documents, hints, tokens or points of limits',
    inWorld(async ({ app, f, keys, copy, started }) => {
      const redis = { url: redisUrl() };
      const rateLimit = { points: 1000, seconds: 60, redis, group: app.group, waitMs: 5000 };
      const verifyToken = async (subject: string) => {
        return { subject, scopes: ['cache:admin'], expiresAtMs: Date.now() + MINUTE, profile: {} };
      };
      const staging = await started(copy, { app: { rateLimit, verifyToken } });
      await app.settled();
      const before = await keys.all();
      const headers = { authorization: `Bearer ${f.ada.id}` };
      const document = `{ project(key: "OPS") { stats { total } members { nodes { name } } } }`;
      const sha256Hash = createHash('sha256').update(document).digest('hex');
      const registered = await staging.server.inject({
        method: 'POST',
        url: '/graphql',
        headers,
        payload: { query: document, extensions: { persistedQuery: { version: 1, sha256Hash } } },
      });
      expect(registered.json().data.project.stats).toEqual({ total: 6 });
      const created = await staging.ask(
        `mutation { createTask(input: { projectId: "${f.ops.id}", title: "Once", idempotencyKey: "once" }) { errors { code } } }`,
        { headers },
      );
      expect(created.data).toEqual({ createTask: { errors: [] } });
      const invalidated = await staging.ask(
        'mutation { invalidateCache(input: { tags: ["tasks"] }) { invalidated } }',
        { headers },
      );
      expect(invalidated.errors).toMatchObject([{ extensions: { code: 'CACHE_UNAVAILABLE' } }]);
      expect(staging.outcomes.some(({ name }) => name === 'Project.stats')).toBe(true);
      await staging.close(); // which hands over the statistics
      const changed = await keys.all();
      expect([...changed.keys()].filter((name) => changed.get(name) !== before.get(name))).toEqual([]);
    }),
    TIMEOUT_MS,
  );

  test(
    'change places only when the first is gone, and then all that it left is void',
    inWorld(async ({ url, app, f, id, keys, copy, started }) => {
      const staging = await started(copy);
      expect((await taskOf(staging, id, f.ada.id)).title).toBe('Task 1');
      await app.close();
      expect((await served(staging, id, f.ada.id)).title).toBe('Task 1');
      const taken = await keys.position();
      // The first one comes back and finds the keys in use.
      const back = await started(url);
      expect((await taskOf(back, id, f.ada.id)).title).toBe('Written after the copy');
      expect((await back.relay.tick()).result).toBe('foreign');
      expect((await taskOf(back, id, f.ada.id)).title).toBe('Written after the copy');
      expect((await served(staging, id, f.ada.id)).title).toBe('Task 1');
      expect((await keys.position())?.purge).toBe(taken?.purge);
    }),
    TIMEOUT_MS,
  );

  test(
    'serve both from the cache under groups of their own',
    inWorld(async ({ app, f, id, copy, ending }) => {
      const staging = await testApp({ databaseUrl: copy, group: `${app.group}-b`, ...NEAR });
      ending.push(() => staging.close());
      expect((await served(staging, id, f.ada.id)).title).toBe('Task 1');
      expect((await served(app, id, f.ada.id)).title).toBe('Written after the copy');
    }),
    TIMEOUT_MS,
  );
});

test.concurrent(
  'an unrelated database takes and purges keys that have been unused for some seconds',
  inWorld(async ({ app, keys, ending, started }) => {
    await app.close();
    const before = await keys.position();
    const other = await createDatabase();
    ending.push(other.drop);
    const unrelated = await started(other.url);
    expect((await unrelated.relay.tick()).result).toBe('foreign');
    await eventually(
      async () => expect(databaseOf((await keys.position())?.purge ?? '')).not.toBe(databaseOf(before?.purge ?? '')),
      30_000,
    );
    await eventually(async () => expect(await keys.lease()).not.toBeNull());
  }),
  TIMEOUT_MS,
);
