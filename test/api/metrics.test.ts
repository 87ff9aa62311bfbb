/** /metrics: what an operator watches, open in development and closed without a scope in production. */
import { expect, test } from 'vitest';
import { testApp } from '../support/app.js';
import { fixture } from '../support/fixture.js';

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
