/** `x-consistency: snapshot`: an answer is the database of one moment, from the cache if that can be proved, else by one transaction. */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { UserId } from '../../src/db/ids.js';
import { CacheError } from '../../src/engine/cache/index.js';
import { Points, pointed } from '../invalidation/points.js';
import { rename } from '../invalidation/world.js';
import { type Answer, dataOf, eventually, type TestApp, testApp } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { intercepted, type StoreStep } from '../support/stores.js';

const LIST = '{ tasks(first: 50) { nodes { id title version assignee { handle } } } }';
const SNAPSHOT = { 'x-consistency': 'snapshot' };

/** Asks while a write of a task has its fence: it does not release it, and no tick of the relay does in its place. */
async function underFence<T>(
  { app, points, as, id }: { app: TestApp; points: Points; as: UserId; id: string },
  ask: () => Promise<T>,
): Promise<T> {
  const [tick, release] = [points.hold('before apply'), points.hold('before release')];
  try {
    await tick.arrived;
    await rename(app, { id, title: 'Still fenced' }, as);
    await release.arrived;
    return await ask();
  } finally {
    tick.open();
    release.open();
  }
}

describe.each([
  { memory: 'without process memory', nearCacheBytes: 0 },
  { memory: 'with process memory', nearCacheBytes: 16 * 1024 * 1024 },
])('$memory', ({ nearCacheBytes }) => {
  const points = new Points();
  const broken = new Set<StoreStep>();
  let app: TestApp;
  let f: Fixture;
  beforeAll(async () => {
    app = await testApp({
      nearCacheBytes,
      wrap: (store) =>
        intercepted(pointed(store, points), (step) => {
          if (broken.has(step)) throw new CacheError('STORE_UNAVAILABLE', 'broken by the test');
        }),
    });
    f = await fixture(app, 10);
  });
  afterAll(() => app?.close());
  beforeEach(async () => {
    broken.clear();
    await eventually(async () =>
      expect((await ask()).consistency).toEqual({ mode: 'snapshot', source: 'cache', runs: 1 }),
    );
  });

  const ask = () => app.ask(LIST, { as: f.ada.id, headers: SNAPSHOT });

  test('what the cache proves to hold at the end is the answer, at no statement', async () => {
    app.reset();
    const { consistency, data } = await ask();
    expect(consistency).toEqual({ mode: 'snapshot', source: 'cache', runs: 1 });
    expect(app.counts.statements).toEqual([]);
    expect(data.tasks.nodes.length).toBeGreaterThanOrEqual(10);
  });

  test('a write while it runs makes it run again, and the answer is of after it', async () => {
    const { id } = f.opsTasks[0] as Fixture['opsTasks'][number];
    const validating = points.hold('before read'); // memory: the first read of all is the one that validates
    const asked = ask();
    await validating.arrived;
    await rename(app, { id, title: 'Renamed meanwhile' }, f.ada.id);
    await app.settled();
    validating.open();
    const { consistency, data } = await asked;
    expect(consistency).toMatchObject({ mode: 'snapshot' });
    expect(data.tasks.nodes.find((task: { id: string }) => task.id === id).title).toBe('Renamed meanwhile');
  });

  test('under a fence one transaction of Postgres answers', async () => {
    const { id } = f.opsTasks[1] as Fixture['opsTasks'][number];
    const { consistency, data } = await underFence({ app, points, as: f.ada.id, id }, ask);
    expect(consistency).toMatchObject({ mode: 'snapshot', source: 'database' });
    expect(data.tasks.nodes.find((task: { id: string }) => task.id === id).title).toBe('Still fenced');
  });

  test('without Redis one transaction of Postgres answers', async () => {
    broken.add('read');
    const { consistency, data } = await ask();
    expect(consistency).toMatchObject({ mode: 'snapshot', source: 'database' });
    expect(data.tasks.nodes.length).toBeGreaterThanOrEqual(10);
  });

  test('a mutation takes no notice of it, an ordinary query says nothing of it', async () => {
    expect((await app.ask(LIST, { as: f.ada.id })).consistency).toBeUndefined();
    const { id } = f.opsTasks[2] as Fixture['opsTasks'][number];
    const document = 'mutation ($id: ID!) { completeTask(input: { id: $id }) { task { status } } }';
    const { consistency, data } = await app.ask(document, { as: f.ada.id, variables: { id }, headers: SNAPSHOT });
    expect(data.completeTask.task.status).toBe('DONE');
    expect(consistency).toBeUndefined();
  });

  test('another value of the header is refused by name', async () => {
    const { errors } = await app.ask(LIST, { as: f.ada.id, headers: { 'x-consistency': 'strong' } });
    expect(errors?.[0]).toMatchObject({
      message: expect.stringContaining('x-consistency: expected snapshot'),
      extensions: { code: 'BAD_USER_INPUT' },
    });
  });
});

describe('each run of a snapshot is paid for', () => {
  const points = new Points();
  let app: TestApp;
  let f: Fixture;
  beforeAll(async () => {
    app = await testApp({
      wrap: (store) => pointed(store, points),
      app: { rateLimit: { points: 1000, seconds: 3600 } },
    });
    f = await fixture(app, 10);
  });
  afterAll(() => app?.close());

  const ask = (document: string, headers: Record<string, string> = {}) => app.ask(document, { as: f.bob.id, headers });
  const left = async () => dataOf(await ask('{ rateLimit { cost remaining } }')).rateLimit;
  /** @returns the points that bob's question takes, and its answer */
  async function price(work: () => Promise<Answer>): Promise<{ taken: number; answer: Answer }> {
    const { remaining: before } = await left();
    const answer = await work();
    const { remaining: after, cost } = await left();
    return { taken: before - after - cost, answer };
  }
  /** Asks while a write of ada's has its fence. */
  async function askUnderFence(i: number): Promise<Answer> {
    const { id } = f.opsTasks[i] as Fixture['opsTasks'][number];
    const answer = await underFence({ app, points, as: f.ada.id, id }, () => ask(LIST, SNAPSHOT));
    await app.settled();
    return answer;
  }

  test('one run costs what the query costs', async () => {
    const plain = await price(() => ask(LIST));
    await eventually(async () => {
      const { taken, answer } = await price(() => ask(LIST, SNAPSHOT));
      expect(answer.consistency).toMatchObject({ runs: 1 });
      expect(taken).toBe(plain.taken);
    });
  });

  test('a run again, and the transaction, cost as much as the first run', async () => {
    const plain = await price(() => ask(LIST));
    const fenced = await price(() => askUnderFence(0));
    expect(fenced.answer.consistency).toEqual({ mode: 'snapshot', source: 'database', runs: 2 });
    expect(fenced.taken).toBe(2 * plain.taken);
  });

  test('without points for it there is no further run, but RATE_LIMITED', async () => {
    const { taken: cost } = await price(() => ask(LIST));
    while ((await left()).remaining >= 2 * cost) await ask(LIST);
    const { status, errors, data } = await askUnderFence(1);
    expect([status, data ?? null, errors?.[0]?.extensions['code']]).toEqual([429, null, 'RATE_LIMITED']);
  });
});

test('memory answers an ordinary query by one read of the log, and never what another process has changed', async () => {
  const app = await testApp({ nearCacheBytes: 16 * 1024 * 1024 });
  const f = await fixture(app, 10);
  const { databaseUrl, group } = app;
  const other = await testApp({ databaseUrl, group });
  const asks = async () => dataOf(await app.ask(LIST, { as: f.ada.id })).tasks.nodes;
  await eventually(async () => {
    app.reset();
    await asks();
    expect(app.outcomes.every(({ kind }) => kind === 'near-hit')).toBe(true);
  });
  expect(app.counts).toMatchObject({ reads: 1, statements: [] });
  const { id } = f.opsTasks[0] as Fixture['opsTasks'][number];
  for (let i = 0; i < 20; i++) {
    const version = await rename(other, { id, title: `Title ${i}` }, f.ada.id);
    expect((await asks()).find((task: { id: string }) => task.id === id)).toMatchObject({
      title: `Title ${i}`,
      version,
    });
  }
  await other.close();
  await app.close();
});
