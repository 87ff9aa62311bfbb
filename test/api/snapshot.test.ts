/** `x-consistency: snapshot`: an answer is the database of one moment, from the cache if that can be proved, else by one transaction. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { CacheError } from '../../src/engine/cache/index.js';
import { Points, pointed } from '../invalidation/points.js';
import { rename } from '../invalidation/world.js';
import { dataOf, eventually, type TestApp, testApp } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { intercepted, type StoreStep } from '../support/stores.js';

const LIST = '{ tasks(first: 50) { nodes { id title version assignee { handle } } } }';
const SNAPSHOT = { 'x-consistency': 'snapshot' };

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
    const release = points.hold('before release');
    await rename(app, { id, title: 'Still fenced' }, f.ada.id);
    await release.arrived;
    app.reset();
    const { consistency, data } = await ask();
    release.open();
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
