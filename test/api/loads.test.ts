/** What a request's loads hand to what they load with. */
import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Cache, MemoryStore } from '../../src/engine/cache/index.js';
import { Tracer } from '../../src/engine/graphql/cache-trace.js';
import type { Database } from '../../src/engine/postgres/executor.js';
import { Loads } from '../../src/graphql/context.js';

test('a batch reads from a database whose statements end with the last request that waits for it', async () => {
  const until: AbortSignal[] = [];
  const bounded = {} as Database;
  const db = {
    until: (signal: AbortSignal) => {
      until.push(signal);
      return bounded;
    },
  } as Database;
  const request = new AbortController();
  const loads = new Loads({
    cache: new Cache({ store: new MemoryStore() }),
    db,
    viewer: '',
    tracer: new Tracer(false),
    caller: request,
  });
  let readFrom: Database | undefined;
  let end: (values: string[]) => void = () => {};
  const load = (args: readonly string[], from: Database) => {
    readFrom = from;
    return new Promise<string[]>((resolve) => {
      end = () => resolve(args.map((arg) => `${arg}!`));
    });
  };
  const loading = Promise.all([loads.loadUncached(load, 'a'), loads.loadUncached(load, 'b')]);
  await setImmediate();
  expect(readFrom).toBe(bounded);
  expect(until.map(({ aborted }) => aborted)).toEqual([false]);
  request.abort();
  expect(until.map(({ aborted }) => aborted)).toEqual([true]);
  end([]);
  await expect(loading).resolves.toEqual(['a!', 'b!']);
});
