/** Runs of a live query whose parts fail: what its clients are shown. */
import { GraphQLError } from 'graphql';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { digest, type LiveClient, type LiveQueries, type LiveSource } from '../../src/engine/cache/index.js';
import { LiveRuns } from '../../src/server/live/live-runs.js';
import type { AcceptedQuery, QueryAnswers } from '../../src/server/live/query-answers.js';
import { SECOND } from '../../src/std/time.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const QUERY = { operation: { document: {} }, identity: { userId: 'ada', scopes: [] }, live: { throttleMs: 0 } };
const FAILED = '{"data":null}';

test('a failure that lasts is shown twice a minute, also where the viewer cannot be looked up', async () => {
  const joined: { source: LiveSource; client: LiveClient }[] = [];
  const queries = {
    join(source: LiveSource, client: LiveClient) {
      joined.push({ source, client });
      return { again() {}, leave() {} };
    },
  };
  const answers = {
    run: async () => ({ result: { errors: [new GraphQLError('Postgres is away')], data: null }, requestId: 'r' }),
    write: async () => FAILED,
    requireUser: () => Promise.reject(new Error('Postgres is away')),
  };
  const runs = new LiveRuns({
    queries: queries as unknown as LiveQueries,
    answers: answers as unknown as QueryAnswers,
  });
  const sent: string[] = [];
  runs.join(QUERY as unknown as AcceptedQuery & { live: NonNullable<AcceptedQuery['live']> }, {
    wantsPatches: false,
    answered: ({ text }) => sent.push(text),
    viewerGone: () => sent.push('gone'),
  });
  const { source, client } = joined[0] as (typeof joined)[number];
  client.answered({ number: 1, text: 'first', digest: digest('first') });
  const run = { isFirst: false, isUnchanged: () => false } as unknown as Parameters<LiveSource['run']>[0];
  for (let second = 0; second < 120; second++) {
    vi.advanceTimersByTime(SECOND);
    const text = await source.run(run).catch(() => undefined);
    if (text !== undefined) client.answered({ number: second + 2, text, digest: digest(`${text} ${second}`) });
  }
  expect(sent).toEqual(['first', ...Array.from({ length: 3 }, () => FAILED)]);
});
