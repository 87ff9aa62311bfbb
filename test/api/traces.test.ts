/** Traces as a collector receives them: which spans a request has, what they tell, and that without an SDK there are none. */
import { createHash, randomBytes } from 'node:crypto';
import { context, ProxyTracer, propagation, SpanKind, trace } from '@opentelemetry/api';
import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { OutcomeKind, Source } from '../../src/engine/cache/index.js';
import { createLog } from '../../src/platform/log.js';
import { startTelemetry } from '../../src/platform/telemetry.js';
import { RequestSpans } from '../../src/server/request-span.js';
import { codesIn, proseOf, readPage } from '../docs/markdown.js';
import { eventually, headersFor } from '../support/app.js';
import { Gate } from '../support/barrier.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { type LiveApp, liveApp } from '../support/live.js';
import { open as openLive } from '../support/live-client.js';
import { type Collector, outline, type ReceivedSpan, type SpanTree, startCollector, treesOf } from '../support/otlp.js';
import { connect } from '../support/subscriber.js';

const NEAR_CACHE_BYTES = 16 * 1024 * 1024;
const BOARD = 'query Board { projects { nodes { key tasks(first: 3) { nodes { title } } } } }';
/** A text of a user, which no trace may show. */
const SECRET = 'tango7731';
/** In OTLP kinds are counted from one. */
const SERVER = SpanKind.SERVER + 1;
const CLIENT = SpanKind.CLIENT + 1;
const INTERNAL = SpanKind.INTERNAL + 1;

let app: LiveApp;
let f: Fixture;

async function start(): Promise<void> {
  app = await liveApp({ nearCacheBytes: NEAR_CACHE_BYTES });
  f = await fixture(app, 3);
}

interface Sent {
  readonly traceId: string;
  readonly status: number;
}

/** Sends an operation as part of a trace of its own. */
async function send(query: string, { sampled = true, body = {}, userAgent = 'test' } = {}): Promise<Sent> {
  const traceId = randomBytes(16).toString('hex');
  const traceparent = `00-${traceId}-${'ab'.repeat(8)}-0${sampled ? 1 : 0}`;
  const more = { 'content-type': 'application/json', 'user-agent': userAgent, traceparent };
  const headers = { ...(await headersFor({ as: f.ada.id })), ...more };
  const response = await fetch(app.url, { method: 'POST', headers, body: JSON.stringify({ query, ...body }) });
  await response.text();
  return { traceId, status: response.status };
}

const complete = (task = f.opsTasks[0]) =>
  `mutation Done { completeTask(input: { id: "${task?.id}" }) { task { status } } }`;

describe('without an SDK', () => {
  beforeAll(start);
  afterAll(() => app?.close());

  test('misses, hits, kept answers and writes make no span', async () => {
    const made = vi.spyOn(ProxyTracer.prototype, 'startSpan');
    const begun = vi.spyOn(RequestSpans.prototype, 'start');
    for (let time = 0; time < 4; time++) expect(await send(BOARD)).toMatchObject({ status: 200 });
    expect(await send(complete())).toMatchObject({ status: 200 });
    await app.settled();
    expect(made.mock.calls.length + begun.mock.calls.length).toBe(0);
    made.mockRestore();
    begun.mockRestore();
  });
});

describe('with an SDK', () => {
  let collector: Collector;
  let telemetry: Awaited<ReturnType<typeof startTelemetry>>;
  beforeAll(async () => {
    vi.stubEnv('OTEL_BSP_SCHEDULE_DELAY', '10');
    collector = await startCollector();
    const url = `${collector.endpoint}/v1/traces`;
    const resource = { 'service.name': 'tasks-api' };
    const config = { tracesUrl: url, metrics: undefined, protocol: 'http/json', headers: {}, resource } as const;
    telemetry = await startTelemetry(config, createLog('silent'));
    await start();
  });
  afterAll(async () => {
    await app?.close();
    await telemetry?.stop();
    await collector?.close();
    vi.unstubAllEnvs();
    for (const api of [trace, context, propagation]) api.disable();
  });

  /** Its trees, when they have these spans. */
  async function traceOf({ traceId }: Pick<Sent, 'traceId'>, names: readonly string[]): Promise<SpanTree> {
    await eventually(() => expect(outline(treesOf(collector.spans, traceId))).toEqual(names));
    return treesOf(collector.spans, traceId)[0] as SpanTree;
  }
  const spansOf = ({ traceId }: Sent) => collector.spans.filter((span) => span.traceId === traceId);
  const spanOf = (traceId: string, name: string): ReceivedSpan | undefined =>
    collector.spans.find((span) => span.traceId === traceId && span.name === name);
  async function eventuallyGiven<T>(find: () => readonly T[]): Promise<readonly T[]> {
    await eventually(() => expect(find()).not.toEqual([]));
    return find();
  }
  const named = ({ traceId }: Sent, name: string) => spanOf(traceId, name) as ReceivedSpan;

  test('a query with misses has its reads, with their trips to Redis, loads and statements', async () => {
    await send('query Viewer { viewer { id } }'); // its row is checked with each query
    const sent = await send(BOARD);
    const root = await traceOf(sent, [
      'query Board',
      ...['  cache read Memberships', '    redis READ', '    load Memberships', '      SELECT project_members'],
      '    redis FILL',
      ...['  cache read Project', '    redis READ', '    load Project', '      SELECT projects', '    redis FILL'],
      ...['  cache read TaskPage', '    redis READ', '    load TaskPage', '      SELECT listed', '    redis FILL'],
    ]);
    expect(root).toMatchObject({
      kind: SERVER,
      parentSpanId: 'ab'.repeat(8),
      failed: false,
      resource: { 'service.name': 'tasks-api', 'service.version': expect.any(String) },
      attributes: {
        'http.request.method': 'POST',
        'http.route': '/graphql',
        'url.path': '/graphql',
        'url.scheme': 'http',
        'server.address': '127.0.0.1',
        'server.port': expect.any(Number),
        'http.response.status_code': 200,
        'graphql.operation.type': 'query',
        'graphql.operation.name': 'Board',
        'graphql.document.hash': createHash('sha256').update(BOARD).digest('hex'),
        'graphql.document': expect.stringContaining('tasks(first: _)'),
        'tasks.answered': 'apollo',
        'tasks.request.id': expect.any(String),
      },
    });
    expect(named(sent, 'cache read Project').attributes).toEqual({
      ...{ 'cache.policy': 'Project', 'cache.calls': 2, 'cache.outcome.miss': 2 },
    });
    expect(named(sent, 'load Project').attributes).toEqual({
      ...{ 'cache.policy': 'Project', 'cache.load.values': 2, 'cache.load.waited_ms': expect.any(Number) },
    });
    expect(named(sent, 'redis READ')).toMatchObject({
      kind: CLIENT,
      attributes: { 'db.system.name': 'redis', 'db.operation.name': 'READ', 'server.port': expect.any(Number) },
    });
    expect(named(sent, 'SELECT projects')).toMatchObject({
      kind: CLIENT,
      attributes: {
        'db.system.name': 'postgresql',
        'db.namespace': expect.stringContaining('test_'),
        'db.query.summary': 'SELECT projects',
        'db.query.text': expect.stringContaining('= any($1::uuid[])'),
      },
    });
  });

  test('a query whose values are in memory has one trip to Redis, which proves them', async () => {
    await send(BOARD, { body: { extra: 0 } });
    const sent = await send(BOARD, { body: { extra: 1 } });
    const root = await traceOf(sent, ['query Board', '  cache read Memberships', '    redis READ']);
    expect(root.attributes).toMatchObject({ 'tasks.answered': 'known', 'graphql.operation.name': 'Board' });
    expect(named(sent, 'cache read Memberships').attributes).toMatchObject({ 'cache.outcome.near_hit': 1 });
  });

  test('a kept answer has its span, with the trip that proves it', async () => {
    const body = { extra: 2 };
    await send(BOARD, { body });
    const sent = await send(BOARD, { body });
    const root = await traceOf(sent, ['query Board', '  redis READ']);
    expect(root).toMatchObject({
      kind: SERVER,
      attributes: {
        'graphql.operation.type': 'query',
        'graphql.operation.name': 'Board',
        'graphql.document.hash': createHash('sha256').update(BOARD).digest('hex'),
        'http.response.status_code': 200,
        'tasks.answered': 'kept',
      },
    });
  });

  test('a mutation has its write, with statements, fence, commit and release', async () => {
    const sent = await send(complete());
    const root = await traceOf(sent, [
      'mutation Done',
      ...['  write', '    SELECT update_task', '    SELECT', '    fence', '      redis FENCE', '    COMMIT'],
      ...['    release', '      redis RELEASE'],
    ]);
    expect(root.attributes).toMatchObject({ 'graphql.operation.type': 'mutation', 'tasks.answered': 'apollo' });
    const [write] = root.below;
    expect(write?.attributes).toEqual({ 'cache.tags': expect.any(Number) });
    const [, , fence, commit] = write?.below ?? [];
    expect(fence?.attributes).toEqual({ 'cache.tags': write?.attributes['cache.tags'], 'cache.fenced': true });
    expect(commit?.attributes).toEqual({ 'db.system.name': 'postgresql', 'db.operation.name': 'COMMIT' });
  });

  test('a trace shows no value of a user', async () => {
    const create = `mutation { createTask(input: { projectId: "${f.ops.id}", title: "${SECRET}" }) { task { id } } }`;
    const find = `{ tasks(first: 5, filter: { title: { contains: "${SECRET}" } }) { nodes { title } } }`;
    for (const document of [create, find]) {
      const sent = await send(document);
      expect(sent.status).toBe(200);
      await eventually(() => expect(spansOf(sent).some(({ kind }) => kind === SERVER)).toBe(true));
      expect(spansOf(sent).length).toBeGreaterThan(3);
      expect(JSON.stringify(spansOf(sent))).not.toContain(SECRET);
    }
  });

  test('what a client chooses is cut in a span: the name of its operation to 64 characters, other values to 4096', async () => {
    const document = `query ${'N'.repeat(65)} { viewer { handle } }`;
    for (let time = 0; time < 2; time++) {
      const sent = await send(document, { userAgent: 'u'.repeat(5000) });
      await eventually(() => expect(spansOf(sent).some(({ kind }) => kind === SERVER)).toBe(true));
      expect(spansOf(sent).find(({ kind }) => kind === SERVER)).toMatchObject({
        name: 'query (other)',
        attributes: { 'graphql.operation.name': `${'N'.repeat(63)}…`, 'user_agent.original': 'u'.repeat(4096) },
      });
    }
  });

  test('a request that its client does not sample has no spans', async () => {
    const sent = await send(BOARD, { sampled: false, body: { extra: 3 } });
    const after = await send(BOARD, { body: { extra: 4 } });
    await eventually(() => expect(spansOf(after).some(({ kind }) => kind === SERVER)).toBe(true));
    expect(spansOf(sent)).toEqual([]);
  });

  test('a refused request has its span and the code of its error, and has not failed', async () => {
    const sent = await send('query Wrong { nothing }');
    const root = await traceOf(sent, ['POST /graphql']);
    expect(root).toMatchObject({
      failed: false,
      attributes: { 'error.type': 'GRAPHQL_VALIDATION_FAILED', 'http.response.status_code': 400 },
    });
  });

  describe('of a subscription', () => {
    /** Subscribes in a trace of its own, on a connection that names it. */
    async function subscribed(query: string, { sampled = true } = {}) {
      const traceId = randomBytes(16).toString('hex');
      const authorization = `Bearer ${await app.tokenOf(f.ada.id)}`;
      const traceparent = `00-${traceId}-${'cd'.repeat(8)}-0${sampled ? 1 : 0}`;
      const connection = connect(app, f.ada.id, { authorization, traceparent });
      const before = app.taskEvents.subscribers;
      const subscription = connection.send(query);
      await eventually(() => expect(app.taskEvents.subscribers > before || subscription.ended).toBe(true));
      return { traceId, status: 200, connection, subscription };
    }
    const watch = (name: string) => `subscription ${name} { taskChanged { type taskId version task { title } } }`;
    const change = (version: number) =>
      send(
        `mutation { updateTask(input: { id: "${f.opsTasks[2]?.id}", title: "v${version}" }) { errors { message } } }`,
      );

    test('its acceptance has a span below that of the client, and each event a trace of its own with a link to it', async () => {
      const sent = await subscribed(watch('Watch'));
      const [accepted] = await eventuallyGiven(() => spansOf(sent).filter(({ name }) => name === 'subscription Watch'));
      const attributes = {
        'graphql.operation.type': 'subscription',
        'graphql.operation.name': 'Watch',
        'graphql.document.hash': createHash('sha256').update(watch('Watch')).digest('hex'),
        'graphql.document': expect.stringContaining('taskChanged'),
      };
      expect(accepted).toMatchObject({
        ...{ name: 'subscription Watch', kind: SERVER, parentSpanId: 'cd'.repeat(8), failed: false, attributes },
      });
      for (const version of [1, 2]) await change(version);
      const link = { traceId: sent.traceId, spanId: accepted?.spanId };
      const ofEvents = () => collector.spans.filter(({ links }) => links.some(({ spanId }) => spanId === link.spanId));
      await eventually(() => expect(ofEvents()).toHaveLength(2));
      const numbers = ofEvents().map((span) => span.attributes['tasks.subscription.event']);
      expect(numbers).toEqual([1, 2]);
      for (const event of ofEvents()) {
        expect(event).toMatchObject({
          ...{ name: 'subscription Watch', kind: INTERNAL, parentSpanId: undefined, links: [link], attributes },
        });
        expect(event.traceId).not.toBe(sent.traceId);
        expect(outline(treesOf(collector.spans, event.traceId))).toContain('  cache read Task');
      }
      // What all subscriptions share has begun with this one, and is not part of its trace.
      const own = ['subscription Watch', '  cache read User', '    redis READ'];
      expect(outline(treesOf(collector.spans, sent.traceId))).toEqual(own);
      await sent.connection.close();
    });

    test('a refused one has the code of its error', async () => {
      const sent = await subscribed('subscription Wrong { nothing }');
      const [refused] = await eventuallyGiven(() => spansOf(sent));
      expect(refused).toMatchObject({ name: 'subscription', failed: false });
      expect(refused?.attributes).toEqual({ 'error.type': 'GRAPHQL_VALIDATION_FAILED' });
      await sent.connection.close();
    });

    test('one that its client does not sample has no spans, nor have its events', async () => {
      const unsampled = await subscribed(watch('Unsampled'), { sampled: false });
      const sampled = await subscribed(watch('Sampled'));
      await change(3);
      const told = () => unsampled.subscription.changes.length;
      await eventually(() => expect(told()).toBe(1));
      await eventually(() =>
        expect(collector.spans.filter(({ name }) => name === 'subscription Sampled')).toHaveLength(2),
      );
      expect(collector.spans.filter(({ name }) => name === 'subscription Unsampled')).toEqual([]);
      for (const { connection } of [unsampled, sampled]) await connection.close();
    });
  });

  test('each run of a live query has a trace of its own, which says whether its answer was sent', async () => {
    const query = 'query Board @live { projects { nodes { tasks(first: 5) { nodes { title } } } } }';
    const client = await openLive('WebSocket', app, { as: f.ada.id, operation: { query } });
    try {
      await eventually(() => expect(client.answers).toHaveLength(1));
      await send(`mutation { updateTask(input: { id: "${f.opsTasks[1]?.id}", title: "pushed" }) { errors { code } } }`);
      await eventually(() => expect(client.answers).toHaveLength(2));
    } finally {
      client.leave();
    }
    const runs = () => collector.spans.filter(({ attributes }) => attributes['tasks.live.result'] === 'sent');
    await eventually(() => expect(runs()).toHaveLength(2));
    for (const run of runs()) {
      expect(run).toMatchObject({ name: 'query Board', kind: INTERNAL, parentSpanId: undefined, failed: false });
    }
    const pushed = runs()[1] as ReceivedSpan;
    await eventually(() => expect(outline(treesOf(collector.spans, pushed.traceId))).toContain('  cache read Task'));
  });

  describe('below the span of another program', () => {
    /** Runs work in a trace of its own, whose root is `test`. */
    function inTrace<T>(work: () => Promise<T>): { readonly traceId: string; readonly done: Promise<T> } {
      const span = trace.getTracer('test').startSpan('test');
      const done = context.with(trace.setSpan(context.active(), span), work).finally(() => span.end());
      return { traceId: span.spanContext().traceId, done };
    }

    test('a statement that fails has the code of its error, and so has its write', async () => {
      const write = () => app.transactor.transact(async (tx) => tx.execute(sql`select 1 / 0`));
      const { traceId, done } = inTrace(write);
      await expect(done).rejects.toThrow();
      const root = await traceOf({ traceId }, ['test', '  write', '    SELECT']);
      const [failed] = root.below;
      for (const span of [failed, failed?.below[0]]) {
        expect(span).toMatchObject({ failed: true, attributes: { 'error.type': '22012' } });
      }
    });

    test('what callers share is below the first one, with links to the others; who joins later has a link to it', async () => {
      const gate = new Gate();
      const source: Source<number, number> = {
        ...{ name: 'Shared', shape: '1', ttlMs: 60_000, scope: 'public', reentrant: false },
        shared: { by: {}, when: () => true },
        tags: () => [],
        load: async (args) => {
          await gate.pass();
          return args;
        },
      };
      const read = (arg: number) => inTrace(() => app.cache.readMany(source, [arg]));
      const [first, second] = [read(1), read(2)];
      await gate.arrived;
      const third = read(1);
      const trip = ['test', '  cache read Shared', '    redis READ'];
      await eventually(() => expect(spanOf(third.traceId, 'redis READ')).toBeDefined()); // it has joined by then
      gate.open();
      expect(await Promise.all([first.done, second.done, third.done])).toEqual([[1], [2], [1]]);

      await traceOf(first, [...trip, '    load Shared', '    redis FILL']);
      await traceOf(second, ['test', '  cache read Shared']);
      await traceOf(third, trip);
      const toSecond = { traceId: second.traceId, spanId: spanOf(second.traceId, 'cache read Shared')?.spanId };
      const load = spanOf(first.traceId, 'load Shared');
      expect(spanOf(first.traceId, 'redis READ')?.links).toMatchObject([toSecond]);
      expect(load?.links).toMatchObject([toSecond]);
      expect(load?.attributes).toMatchObject({ 'cache.load.values': 2 });
      const joined = spanOf(third.traceId, 'cache read Shared');
      expect(joined?.links).toMatchObject([{ traceId: first.traceId, spanId: load?.spanId }]);
      expect(joined?.attributes).toMatchObject({ 'cache.outcome.joined': 1 });
    });
  });

  test('docs/operations.md names every attribute of these traces, and no other', () => {
    const [, section = ''] = /\n## Traces\n([\s\S]*?)\n## /.exec(proseOf(readPage('docs/operations.md'))) ?? [];
    const isAttribute = (code: string) =>
      /^(http|url|network|server|user_agent|graphql|tasks|cache|db|error)[._]/.test(code);
    const documented = new Set(codesIn(section).filter((code) => isAttribute(code) && !code.startsWith('tasks_')));
    const seen = new Set(collector.spans.flatMap(({ attributes }) => Object.keys(attributes)));
    expect([...seen].filter((name) => !documented.has(name) && name !== 'test')).toEqual([]);
    const kinds = [...documented].filter((name) => name.startsWith('cache.outcome.'));
    expect([...documented].filter((name) => !seen.has(name) && !kinds.includes(name))).toEqual([]);
    const all: Record<OutcomeKind, true> = {
      ...{ 'near-hit': true, hit: true, stale: true, joined: true, miss: true, bypass: true, error: true },
    };
    expect(kinds.map((name) => name.slice('cache.outcome.'.length).replace('_', '-')).toSorted()).toEqual(
      Object.keys(all).toSorted(),
    );
  });
});
