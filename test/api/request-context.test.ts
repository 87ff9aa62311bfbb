/** What a resolver is given besides the read set of its request excludes the answer from the cache. */
import { type IncomingMessage, ServerResponse } from 'node:http';
import { describe, expect, test } from 'vitest';
import { newId } from '../../src/db/ids.js';
import { ReadSet } from '../../src/engine/cache/read-set.js';
import { Tracer } from '../../src/engine/graphql/index.js';
import type { Context } from '../../src/graphql/context.js';
import { ApiRequest } from '../../src/server/api-request.js';
import { RequestLifetime, untilClosed } from '../../src/server/http/request-lifetime.js';
import { emptyOutcome, RequestContext } from '../../src/server/request-context.js';

const rateLimit = { limit: 10, cost: 1, remaining: 9, resetAt: '', resetMs: 0 };
const sender = {
  caller: 'viewer:a',
  identity: { userId: newId('user'), scopes: ['cache:admin'], expiresAtMs: 0 },
};

function contextOf(readSet: ReadSet): Context {
  return new RequestContext({
    sender,
    readSet,
    outcome: { ...emptyOutcome(), rateLimit },
    tracer: new Tracer(false),
    snapshot: false,
    lifetime: new RequestLifetime(untilClosed(new ServerResponse({} as IncomingMessage))),
    rateLimits: undefined,
    request: new ApiRequest({ headers: {} }),
  });
}

test("a resolver gets the token's scopes and the rate limit only by making the answer uncacheable", () => {
  const readSet = new ReadSet(0, { answer: true });
  const context = contextOf(readSet);
  const hidden: unknown[] = [
    // @ts-expect-error: not a member of the context
    context.scopes,
    // @ts-expect-error: not a member of the context
    context.rateLimit,
    // @ts-expect-error: not a member of the context
    context.db,
  ];
  expect(hidden).toEqual([undefined, undefined, undefined]);
  expect(readSet.dependencies?.uncacheable).toBe(false);
  expect(context.markUncacheable()).toEqual({ scopes: ['cache:admin'], rateLimit });
  expect(readSet.dependencies?.uncacheable).toBe(true);
});

describe('a request', () => {
  test('is admitted once, whoever asks', async () => {
    const request = new ApiRequest({ headers: {} });
    let times = 0;
    const begin = async () => ({ ...sender, caller: `viewer:${++times}` });
    expect(request.sender).toBeUndefined();
    const [first, second] = await Promise.all([request.admit(begin), request.admit(begin)]);
    expect(first).toBe(second);
    expect(request.sender).toBe(first);
    expect(times).toBe(1);
  });

  test('that is refused stays refused', async () => {
    const request = new ApiRequest({ headers: {} });
    await expect(request.admit(() => Promise.reject(new Error('refused')))).rejects.toThrow('refused');
    await expect(request.admit(async () => sender)).rejects.toThrow('refused');
    expect(request.sender).toBeUndefined();
  });
});
