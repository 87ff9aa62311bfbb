/** `extensions.cache`: what a timeline of one operation needs. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Tag } from '../../src/engine/cache/index.js';
import { type CacheTrace, type TracedWriteStep, Tracer } from '../../src/engine/graphql/cache-trace.js';
import { dataOf, type TestApp, testApp } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';

let app: TestApp;
let f: Fixture;

beforeAll(async () => {
  app = await testApp({ nearCacheBytes: 16 * 1024 * 1024 });
  f = await fixture(app);
});
afterAll(() => app?.close());

const QUERY = '{ task(identifier: "OPS-1") { title assignee { name } } }';

async function traced(document: string, variables: Record<string, unknown> = {}): Promise<CacheTrace> {
  const answer = await app.ask(document, { as: f.ada.id, trace: true, variables });
  dataOf(answer);
  await app.settled();
  return answer.cache as CacheTrace;
}

test('a trace places calls, reads of Redis and SQL statements on one timeline, with texts and without values', async () => {
  const { calls, redis, sql, totals } = await traced(QUERY);
  expect(sql).toHaveLength(totals.sqlStatements);
  expect(redis).toHaveLength(totals.redisRoundTrips);
  expect(redis.map(({ trip }) => trip)).toEqual(redis.map((_, i) => i + 1));
  for (const { text, startMs, ms } of sql) {
    expect(text).toMatch(/^select .*\$1/s);
    expect(text).not.toContain('OPS');
    expect(startMs + ms).toBeLessThanOrEqual(totals.ms + 0.02); // each is rounded
  }
  for (const { startMs, ms, keys, tags } of redis) {
    expect(startMs + ms).toBeLessThanOrEqual(totals.ms + 0.02);
    expect([keys > 0, tags > 0]).toEqual([true, true]);
  }
  const trips = new Set(calls.flatMap(({ roundTrips }) => roundTrips));
  expect([...trips].sort()).toEqual(redis.map(({ trip }) => trip));
  for (const { startMs, ms, key, name } of calls) {
    expect(startMs + ms).toBeLessThanOrEqual(totals.ms + 0.02);
    expect(key).toContain(`${name}:`);
  }
});

test('run again, the trace shows one read of the log and no statement', async () => {
  await traced(QUERY);
  const { redis, sql } = await traced(QUERY);
  expect(redis).toMatchObject([{ trip: 1, keys: 0, tags: 0 }]);
  expect(sql).toEqual([]);
});

test('the trace of a mutation shows the statements of its transaction', async () => {
  const document = 'mutation ($input: UpdateTaskInput!) { updateTask(input: $input) { errors { message } } }';
  const { sql, totals } = await traced(document, { input: { id: f.opsTasks[0]?.id, title: 'Traced' } });
  expect(sql).toHaveLength(totals.sqlStatements);
  expect(sql.some(({ text }) => text.includes('cache_touched'))).toBe(true);
  expect(JSON.stringify(sql)).not.toContain('Traced');
});

test('the trace of a mutation shows FENCE and, after it, RELEASE, which is not awaited', async () => {
  const document = 'mutation ($input: UpdateTaskInput!) { updateTask(input: $input) { errors { message } } }';
  const { writes = [], totals } = await traced(document, { input: { id: f.opsTasks[0]?.id, title: 'Fenced' } });
  const tags = expect.any(Number);
  expect(writes).toEqual([
    { step: 'FENCE', startMs: expect.any(Number), ms: expect.any(Number), tags },
    { step: 'RELEASE', startMs: expect.any(Number), ms: writes[1]?.ms === null ? null : expect.any(Number), tags },
  ]);
  const [fence, release] = writes as [TracedWriteStep, TracedWriteStep];
  expect(fence.tags).toBeGreaterThan(0);
  expect(release.tags).toBe(fence.tags);
  expect(release.startMs).toBeGreaterThanOrEqual(fence.startMs + (fence.ms as number) - 0.02); // each is rounded
  expect(release.startMs).toBeLessThanOrEqual(totals.ms + 0.02);
});

test('a release that has not ended when the answer is made has no duration, and one that has ended has', () => {
  const tracer = new Tracer(true);
  tracer.enter();
  const step = { step: 'RELEASE' as const, tags: 3, startedMs: performance.now(), ms: undefined as number | undefined };
  Tracer.writeStep(step);
  expect(tracer.report().writes).toMatchObject([{ step: 'RELEASE', ms: null, tags: 3 }]);
  step.ms = 1.5;
  expect(tracer.report().writes).toMatchObject([{ step: 'RELEASE', ms: 1.5, tags: 3 }]);
});

test('a tracer that is not enabled keeps nothing of a write: one serves all requests that are not traced', () => {
  const tracer = new Tracer(false);
  tracer.invalidated(['tasks' as Tag]);
  expect(tracer.report().invalidated).toBeUndefined();
});

test('a query and a mutation that changes nothing have no steps of a write', async () => {
  expect((await traced(QUERY)).writes).toBeUndefined();
  const document = 'mutation ($input: UpdateTaskInput!) { updateTask(input: $input) { errors { message } } }';
  const same = { input: { id: f.opsTasks[0]?.id, title: 'Fenced' } };
  expect((await traced(document, same)).writes).toBeUndefined();
});

test('a trace lists no more than 200 statements, and cuts long ones', () => {
  const tracer = new Tracer(true);
  tracer.enter();
  for (let i = 0; i < 300; i++) Tracer.statementEnded('x'.repeat(5000), performance.now());
  const { sql } = tracer.report();
  expect(sql).toHaveLength(200);
  expect(sql[0]?.text).toHaveLength(4000);
});
