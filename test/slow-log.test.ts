/** A server on which everything is slow logs some of it, and how much it left out. */
import { expect, test } from 'vitest';
import type { Clock } from '../src/engine/cache/index.js';
import { withRequestLog } from '../src/platform/access-log.js';
import type { AnsweredRequest, RequestMetrics } from '../src/platform/request-metrics.js';
import { slowLog, slowStatements } from '../src/platform/slow-log.js';
import { readableLog } from './support/log.js';

const NONE: RequestMetrics = { answered: () => {}, error: () => {}, rateLimited: () => {} };
const REQUEST: AnsweredRequest = {
  id: 'r-1',
  operation: 'Board',
  caller: 'viewer:user_1',
  as: 'known',
  status: 200,
  ms: 99.994,
  from: 'memory',
  policiesSaved: 0,
};

test('at most 10 slow lines are logged in a second, and the next one says how many were left out', () => {
  let nowMs = 5000;
  const { log, lines } = readableLog();
  const slow = slowLog(log, 'slow', { monotonicMs: () => nowMs } as Clock);
  for (let n = 0; n < 25; n++) slow({ n });
  expect(lines.map(({ n }) => n)).toEqual(Array.from({ length: 10 }, (_, n) => n));
  nowMs += 1000;
  slow({ n: 25 });
  slow({ n: 26 });
  expect(lines.slice(10)).toEqual([
    expect.objectContaining({ n: 25, omitted: 15 }),
    expect.not.objectContaining({ omitted: expect.anything() }),
  ]);
});

test('a request is slow from the limit on, and then logged once, whatever share of requests is logged', () => {
  for (const share of [0, 1]) {
    const { log, lines } = readableLog();
    const { answered } = withRequestLog(NONE, log, { share, slowMs: 100 });
    answered(REQUEST);
    answered({ ...REQUEST, ms: 100 });
    answered({ ...REQUEST, ms: 101, caller: 'anonymous:192.0.2.1' });
    const slow = { requestId: 'r-1', operation: 'Board', answered: 'known', status: 200 };
    const logged = lines.map(({ msg, viewer, ms }) => [msg, viewer, ms]);
    expect(logged).toEqual([
      ...(share === 1 ? [['request', undefined, 99.99]] : []),
      ['slow operation', 'user_1', 100],
      ['slow operation', undefined, 101],
    ]);
    expect(lines.at(-1)).toMatchObject(slow);
  }
});

test('without a share and without a limit requests pass the log by', () => {
  expect(withRequestLog(NONE, readableLog().log, { share: 0, slowMs: 0 })).toBe(NONE);
});

test('the name of an operation is cut to 64 characters in a line, since clients choose it', () => {
  const { log, lines } = readableLog();
  const { answered } = withRequestLog(NONE, log, { share: 1, slowMs: 100 });
  const names = ['a'.repeat(64), 'a'.repeat(65)];
  for (const operation of names) for (const ms of [1, 100]) answered({ ...REQUEST, operation, ms });
  const [whole, cut] = ['a'.repeat(64), `${'a'.repeat(63)}…`];
  expect(lines.map(({ operation }) => operation)).toEqual([whole, whole, cut, cut]);
});

test('a slow statement is logged with at most 4000 characters of its text', () => {
  const { log, lines } = readableLog();
  const { report } = slowStatements(100, log);
  report({ text: 'x'.repeat(4000), ms: 100.4 });
  report({ text: 'x'.repeat(4001), ms: 200 });
  expect(lines).toMatchObject([
    { statement: 'x'.repeat(4000), ms: 100 },
    { statement: `${'x'.repeat(3999)}…`, ms: 200 },
  ]);
});
