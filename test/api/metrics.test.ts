/** /metrics: what an operator watches, open in development and closed without a scope in production. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createLog } from '../../src/platform/log.js';
import { dataOf, headersFor, testApp } from '../support/app.js';
import { type Fixture, fixture } from '../support/fixture.js';
import { type LiveApp, liveApp } from '../support/live.js';

test('metrics count cached calls, and name everything that should never happen', async () => {
  const app = await testApp();
  const f = await fixture(app, 3);
  await app.ask('{ viewer { handle } }', { as: f.ada.id });
  const { statusCode, headers, body } = await app.server.inject({ url: '/metrics' });
  expect(statusCode).toBe(200);
  expect(headers['content-type']).toContain('text/plain');
  expect(body).toMatch(/cache_calls_total\{name="\w+",outcome="\w[\w-]*"\} \d+/);
  for (const name of [
    'cache_violations_total',
    'cache_late_ticks_total',
    'cache_unleased_seconds_total',
    'cache_old_fences_total',
    'cache_unfenced_commits_total',
    'cache_snapshot_validations_total',
    'cache_forced_leases_total',
    'cache_near_bytes',
    'cache_loads_waiting',
  ]) {
    expect(body).toContain(`# TYPE ${name}`);
  }
  await app.close();
});

describe('requests are counted', () => {
  let app: LiveApp;
  let f: Fixture;
  beforeAll(async () => {
    app = await liveApp({ nearCacheBytes: 16 * 1024 * 1024 });
    f = await fixture(app, 3);
  });
  afterAll(() => app?.close());

  async function samples(): Promise<Map<string, number>> {
    const { body } = await app.server.inject({ url: '/metrics' });
    const lines = body.split('\n').filter((line) => line.startsWith('tasks_'));
    return new Map(
      lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
    );
  }
  const countOf = (labels: string) => `tasks_request_duration_seconds_count{${labels}}`;
  const post = async (body: object) => {
    const headers = { ...(await headersFor({ as: f.ada.id })), 'content-type': 'application/json' };
    const response = await fetch(app.url, { method: 'POST', headers, body: JSON.stringify(body) });
    await response.text();
    return response.status;
  };

  test('the outbox has its size, which the writes of the fixture have made', async () => {
    const { body } = await app.server.inject({ url: '/metrics' });
    const [, rows] = /^cache_outbox_rows (\S+)$/m.exec(body) ?? [];
    const [, bytes] = /^cache_outbox_bytes (\S+)$/m.exec(body) ?? [];
    expect(Number(rows)).toBeGreaterThanOrEqual(0); // statistics come a second later
    expect(Number(bytes)).toBeGreaterThan(8192);
  });

  test('by operation, how they were answered, and status', async () => {
    const ask = (n: number) => post({ query: 'query Board { projects { nodes { key } } }', extra: n });
    for (let n = 0; n < 4; n++) expect(await ask(0)).toBe(200);
    for (let n = 1; n < 4; n++) expect(await ask(n)).toBe(200);
    await post({ query: '{ nothing }' });
    const found = await samples();
    const of = (answered: string) => found.get(countOf(`operation="Board",answered="${answered}",status="200"`)) ?? 0;
    expect(of('apollo') + of('known') + of('kept')).toBe(7);
    expect(Math.min(of('apollo'), of('known'), of('kept'))).toBeGreaterThan(0);
    expect(found.get(countOf('operation="",answered="apollo",status="400"'))).toBe(1);
  });

  test('and errors by code, each from 0 on', async () => {
    const before = await samples();
    expect(before.get('tasks_errors_total{code="INTERNAL_SERVER_ERROR"}')).toBe(0);
    await app.ask('{ viewer { handle } }');
    await app.ask('{ task(id: "x") { id } }', { as: f.ada.id });
    const after = await samples();
    for (const code of ['UNAUTHENTICATED', 'BAD_USER_INPUT']) {
      const name = `tasks_errors_total{code="${code}"}`;
      expect([code, (after.get(name) ?? 0) - (before.get(name) ?? 0)]).toEqual([code, 1]);
    }
  });

  test('with at most 100 names, which clients choose: 40 of one caller, and no long ones', async () => {
    const named = async (name: string, as = f.ada.id) =>
      dataOf(await app.ask(`query ${name} { viewer { handle } }`, { as }));
    for (let n = 0; n < 60; n++) await named(`Named${n}`);
    await named('L'.repeat(10_000), f.bob.id);
    await named('OfBob', f.bob.id);
    const names = new Set([...(await samples()).keys()].map((line) => /operation="([^"]*)"/.exec(line)?.[1]));
    expect([names.has('(other)'), names.has('OfBob')]).toEqual([true, true]);
    expect(names.size).toBeLessThan(50);
  });

  test('and the build is named', async () => {
    expect([...(await samples()).keys()]).toContainEqual(
      expect.stringMatching(/^tasks_build_info\{version="\d+\.\d+\.\d+",node="v\d/),
    );
  });

  test('and logged, where that is asked for', async () => {
    const lines: string[] = [];
    const log = createLog('info', { write: (line: string) => void lines.push(line) });
    const logging = await liveApp({ databaseUrl: app.databaseUrl, app: { log, loggedRequests: 1 } });
    try {
      const headers = {
        ...(await headersFor({ as: f.ada.id })),
        'content-type': 'application/json',
        'x-request-id': 'r-1',
      };
      const body = JSON.stringify({ query: 'query Me { viewer { handle } }' });
      for (let n = 0; n < 3; n++) await (await fetch(logging.url, { method: 'POST', headers, body })).text();
      const logged = lines.map((line) => JSON.parse(line)).filter(({ msg }) => msg === 'request');
      expect(logged).toHaveLength(3);
      for (const one of logged) {
        expect(one).toMatchObject({
          requestId: 'r-1',
          operation: 'Me',
          answered: expect.stringMatching(/^(apollo|known|kept)$/),
          status: 200,
          ms: expect.any(Number),
        });
      }
    } finally {
      await logging.close();
    }
  });
});
