/** The API as a user meets it, over HTTP without a port, with counts of what it cost, on a database and a Redis group of its own. */
import { randomBytes } from 'node:crypto';
import { expect, vi } from 'vitest';
import { type App, type AppOptions, createApp } from '../../src/app.js';
import type { UserId } from '../../src/db/ids.js';
import type { CacheEvents, Outcome, Store } from '../../src/engine/cache/index.js';
import type { CacheDebugging } from '../../src/engine/graphql/cache-debugger.js';
import type { CacheTrace } from '../../src/engine/graphql/cache-trace.js';
import { type RedisPlace, RedisStore } from '../../src/engine/redis/index.js';
import { createLog } from '../../src/platform/log.js';
import { signToken, tokenVerifier } from '../../src/server/auth/tokens.js';
import type { Consistency } from '../../src/server/operations/executor.js';
import { createDatabase, type TestDatabase } from './database.js';
import * as servers from './servers.js';
import { counted, type StoreCounts } from './stores.js';

/** What the tests' tokens are signed with. */
export const TOKENS = {
  tokens: { kind: 'secret', secret: 'only-for-tests-only-for-tests-only' },
  issuer: 'tasks-api',
  audience: 'tasks-api',
} as const;

const NEAR_CACHE_BYTES = 16 * 1024 * 1024;
/** A generous limit: it is reached only by what fails. */
const WAIT = { timeout: 30_000, interval: 20 };

export interface Answer {
  readonly status: number;
  // Tests look into answers of any shape; what they expect of them is asserted.
  // biome-ignore lint/suspicious/noExplicitAny: see above
  readonly data: any;
  readonly errors: readonly { message: string; extensions: Record<string, unknown> }[] | undefined;
  readonly cache: CacheTrace | undefined;
  readonly debugging: CacheDebugging | undefined;
  readonly consistency: Consistency | undefined;
}

export interface TestApp extends App {
  readonly databaseUrl: string;
  /** Of the Redis group: a second process shares it by this name. */
  readonly group: string;
  readonly counts: StoreCounts & { statements: string[] };
  readonly outcomes: Outcome[];
  /** Zeroes the counts. */
  reset(): void;
  ask(document: string, options?: AskOptions): Promise<Answer>;
  /** Resolves when the fills and releases of past requests have reached the store. */
  settled(): Promise<void>;
}

export interface AskOptions {
  readonly as?: UserId;
  readonly variables?: Record<string, unknown>;
  readonly trace?: boolean;
  readonly headers?: Record<string, string>;
}

export interface TestAppOptions {
  /** Default: a database of its own, dropped at close. */
  readonly databaseUrl?: string;
  readonly group?: string;
  readonly redisUrl?: string;
  /** In place of `redisUrl`: a Cluster, or what Sentinels name. */
  readonly place?: RedisPlace;
  /** Around the Redis store: gates, faults. */
  readonly wrap?: (store: Store) => Store;
  readonly events?: CacheEvents;
  readonly explorer?: AppOptions['explorer'];
  /** Of the application itself, in place of what is usual here. */
  readonly app?: Partial<AppOptions>;
  readonly waitMs?: number;
  /** Default: none, or 16 MiB where the suite is run with process memory. */
  readonly nearCacheBytes?: number;
  /** False: do not wait until the cache serves, for tests of what happens before. */
  readonly lease?: boolean;
}

export async function testApp(options: TestAppOptions = {}): Promise<TestApp> {
  const own: TestDatabase | undefined = options.databaseUrl === undefined ? await createDatabase() : undefined;
  const databaseUrl = options.databaseUrl ?? (own as TestDatabase).url;
  const group = options.group ?? `test-${randomBytes(6).toString('hex')}`;
  const counts = { reads: 0, fills: 0, fences: 0, releases: 0, statements: [] as string[] };
  const outcomes: Outcome[] = [];
  // A generous wait: these machines are slow at times, and only tests of outages want to see it run out.
  const place = options.place ?? { url: options.redisUrl ?? servers.redisUrl() };
  const redis = new RedisStore({ ...place, group, waitMs: options.waitMs ?? 5000 });
  await redis.ready();
  const wrap = options.wrap ?? ((store: Store) => store);
  const store = counted(wrap(redis), counts);
  const app = await createApp({
    databaseUrl,
    store,
    log: createLog('silent'),
    checkCoverage: true,
    production: false,
    corsOrigins: ['https://studio.apollographql.com'],
    nearCacheBytes: options.nearCacheBytes ?? (process.env.TEST_NEAR_CACHE === 'on' ? NEAR_CACHE_BYTES : 0),
    ...(options.explorer && { explorer: options.explorer }),
    verifyToken: tokenVerifier(TOKENS),
    exportSecret: TOKENS.tokens.secret,
    events: { ...options.events, outcome: (outcome) => outcomes.push(outcome) },
    onStatement: (text) => counts.statements.push(text),
    ...options.app,
  });
  // A first lease waits for every transaction that runs on the server, also those of other tests in databases of their own.
  if (options.lease !== false)
    await vi.waitFor(async () => expect((await redis.head()).leaseLeftMs).toBeGreaterThan(0), WAIT);
  return {
    ...app,
    databaseUrl,
    group,
    counts,
    outcomes,
    reset() {
      Object.assign(counts, { reads: 0, fills: 0, fences: 0, releases: 0, statements: [] });
      outcomes.length = 0;
    },
    async ask(document, options = {}) {
      const response = await app.server.inject({
        method: 'POST',
        url: '/graphql',
        headers: await headersFor(options),
        payload: { query: document, variables: options.variables },
      });
      return answerOf(response.statusCode, response.json());
    },
    settled: () => app.cache.flush(),
    async close() {
      await app.close();
      await own?.drop();
    },
  };
}

/** Another process on the same database that never has a lease: every read goes to Postgres. */
export function uncachedApp(databaseUrl: string): Promise<TestApp> {
  return testApp({
    databaseUrl,
    lease: false,
    wrap: (store) =>
      new Proxy(store, {
        get: (target, name) =>
          name === 'apply'
            ? async () => 'raced'
            : (Reflect.get(target, name).bind?.(target) ?? Reflect.get(target, name)),
      }),
  });
}

export async function headersFor({ as, trace, headers }: AskOptions): Promise<Record<string, string>> {
  return {
    accept: 'application/graphql-response+json, application/json;q=0.9',
    ...(as !== undefined && { authorization: `Bearer ${await tokenOf(as)}` }),
    ...(trace === true && { 'x-cache-trace': '1' }),
    ...headers,
  };
}

/** One for each user and hour, as a client has. */
function tokenOf(user: UserId): Promise<string> {
  const known = tokens.get(user) ?? signToken(TOKENS, user, '1h');
  tokens.set(user, known);
  return known;
}

const tokens = new Map<UserId, Promise<string>>();

export function answerOf(
  status: number,
  body: { data?: unknown; errors?: Answer['errors']; extensions?: object },
): Answer {
  const { data, errors, extensions } = body;
  const { cache, apolloCacheDebugging, consistency } = (extensions ?? {}) as Pick<Answer, 'cache' | 'consistency'> & {
    apolloCacheDebugging?: CacheDebugging;
  };
  return { status, data, errors, cache, debugging: apolloCacheDebugging, consistency };
}

/** The data of an answer that must have no errors. */
export function dataOf({ data, errors }: Answer): Answer['data'] {
  expect(errors).toBeUndefined();
  return data;
}

/** Waits for what happens by itself soon after: a fill or a release that nobody awaits. Fails after 30 s, or `timeoutMs`. */
export async function eventually(check: () => unknown, timeoutMs = WAIT.timeout): Promise<void> {
  await vi.waitFor(check, { ...WAIT, timeout: timeoutMs });
}
