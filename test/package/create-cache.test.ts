/** `createCache` as an application calls it: its options, a cache without a database, and one over the application's own Drizzle. */

import { EventEmitter, on } from 'node:events';
import { readFile } from 'node:fs/promises';
import { eq } from 'drizzle-orm';
import { integer, pgTable, text } from 'drizzle-orm/pg-core';
import { drizzle } from 'drizzle-orm/postgres-js';
import { GraphQLInt, GraphQLObjectType, GraphQLSchema, graphql, parse } from 'graphql';
import { createSchema, createYoga } from 'graphql-yoga';
import { Redis } from 'ioredis';
import postgres, { type Sql } from 'postgres';
import { Registry } from 'prom-client';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { cachedResolver } from '../../src/engine/graphql/index.js';
import { createCache, type DatabaseOptions } from '../../src/engine/index.js';
import { migrationSql, rowSets, TriggersMissing, UncoveredRead } from '../../src/engine/postgres/applications.js';
import { createEmptyDatabase, type TestDatabase } from '../support/database.js';
import { redisUrl } from '../support/servers.js';

const authors = pgTable('authors', { id: integer().primaryKey(), name: text().notNull() });
const books = pgTable('books', {
  id: integer().primaryKey(),
  authorId: integer('author_id').notNull(),
  title: text().notNull(),
});
const authorRows = rowSets(authors, { byId: [authors.id] });
const bookRows = rowSets(books, { byId: [books.id], byAuthor: [books.authorId] });
const tables = [authorRows, bookRows];

let database: TestDatabase;
let sql: Sql;
const cleanups: (() => unknown)[] = [];

beforeAll(async () => {
  database = await createEmptyDatabase();
  sql = postgres(database.url, { max: 1, onnotice: () => {} });
  await sql.unsafe(`create table authors (id int primary key, name text not null);
    create table books (id int primary key, author_id int not null, title text not null)`);
});
afterAll(async () => {
  await sql.end();
  await database.drop();
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A process: its own pool, and a cache over it. Columns of the pool are in camel case, which must not matter. */
async function opened(options: Partial<DatabaseOptions<ReturnType<typeof drizzle>>> = {}) {
  const client = postgres(database.url, { max: 4, transform: postgres.camel });
  const db = drizzle(client);
  cleanups.push(() => client.end());
  const cache = await createCache({ redis: redisUrl(), group: database.name, db, tables, ...options });
  cleanups.push(() => cache.close());
  const ends: string[] = [];
  cache.events.on('outcome', ({ name, kind }) => ends.push(`${name} ${kind}`));
  return { cache, db, ends, took: () => ends.splice(0) };
}

describe('options', () => {
  test.each<[string, object, RegExp]>([
    [
      'a URL that is none of Redis',
      { redis: 'http://:secret@host' },
      /redis: expected a redis:\/\/ .* got "http:\/\/…@host"/,
    ],
    ['a group with a brace', { group: 'a}b' }, /group: expected letters/],
    ['a misspelt name', { tabels: [] }, /tabels is no option; expected redis, group/],
    ['a database without tables', { db: { $client: 1, transaction: () => {} } }, /tables: expected the row sets/],
    ['tables without a database', { tables: [] }, /tables: expected only together with db/],
    [
      'tables that are no row sets',
      { db: { $client: 1, transaction: () => {} }, tables: [books] },
      /tables: expected an array/,
    ],
    [
      'a Drizzle over another driver',
      { db: { $client: {}, transaction: () => {} }, tables },
      /db: expected Drizzle over postgres\.js/,
    ],
    ['loads below one', { maxLoads: 0 }, /maxLoads: expected a whole number/],
    ['a client that is none of ioredis', { redis: {} }, /redis: expected a URL, or a Redis or Cluster of ioredis/],
  ])('%s is refused, by name', async (_, options, message) => {
    await expect(createCache(options)).rejects.toThrow(message);
  });

  test('a database without the migration is refused', async () => {
    await expect(opened()).rejects.toThrow(TriggersMissing);
    await sql.unsafe(migrationSql(tables));
  });
});

describe('without a database', () => {
  test('an outage of Redis is logged without a word on writes', async () => {
    const lines: string[] = [];
    const log = { debug: () => {}, info: () => {}, warn: (_details: object, line: string) => lines.push(line) };
    const cache = await createCache({ redis: 'redis://127.0.0.1:1', log });
    cleanups.push(() => cache.close());
    const ofOutage = () => lines.filter((line) => line.startsWith('Redis cannot be reached: '));
    await expect.poll(ofOutage, { timeout: 30_000 }).toEqual([expect.stringMatching(/: nothing is cached$/)]);
  });

  const readmes = ['README.md', 'src/engine/README.md'];
  const places = [
    ['Redis', (code: string) => code.replace("'redis://127.0.0.1:6379'", JSON.stringify(redisUrl()))],
    ['memory', (code: string) => code.replace("{ redis: 'redis://127.0.0.1:6379' }", '')],
  ] as const;
  const cases = readmes.flatMap((file) => places.map(([place, at]) => [file, place, at] as const));

  test.each(cases)('the snippet of %s caches on %s', async (file, _, at) => {
    const snippet = /```ts\n(import \{ createCache \} from 'tagfence';\n[^`]*)```/.exec(
      await readFile(file, 'utf8'),
    )?.[1];
    const code = at((snippet as string).replace(/^import .*$/m, ''));
    const runs: number[] = [];
    let n = 0;
    const AsyncFunction = (async () => {}).constructor as new (
      ...args: string[]
    ) => (...args: unknown[]) => Promise<void>;
    // What the snippet says in a comment of each line, as the number of runs after that line.
    const counting = code.replace(/^(await rate.*;).*$/gm, '$1 after();');
    await new AsyncFunction('createCache', 'fetchRate', 'after', counting)(
      createCache,
      async () => ++n,
      () => runs.push(n),
    );
    expect(runs).toEqual([1, 1, 1]);
  });

  test("an application's own client of ioredis says where Redis is, and stays its own", async () => {
    const client = new Redis(redisUrl(), { keyPrefix: 'theirs:' });
    cleanups.push(() => client.disconnect());
    const [first, second] = [
      await createCache({ redis: client, group: `own-${database.name}` }),
      await createCache({ redis: redisUrl(), group: `own-${database.name}` }),
    ];
    let runs = 0;
    const of = (cache: typeof first) => cache.memoize('n', async () => ++runs, { ttlMs: 60_000 });
    expect([await of(first)(), await of(second)()]).toEqual([1, 1]);
    await of(second).invalidate();
    expect(await of(first)()).toBe(2);
    await Promise.all([first.close(), second.close()]);
    expect(await client.ping()).toBe('PONG');
  });
});

describe('over a Drizzle of its own', () => {
  beforeAll(async () => {
    await sql.unsafe(migrationSql(tables));
    await sql`insert into authors values (1, 'Le Guin') on conflict do nothing`;
  });
  const add = (id: number) => ({ id, authorId: 1, title: `Book ${id}` });

  test('a row is loaded once for all processes, and is another after a write', async () => {
    const [first, second] = [await opened(), await opened()];
    const author = first.cache.byId(authorRows);
    expect(second.cache.byId(authorRows)).toBe(author);
    expect(await first.cache.load(author, 1)).toEqual({ id: 1, name: 'Le Guin' });
    await first.cache.engine.flush();
    expect(await second.cache.load(author, 1)).toEqual({ id: 1, name: 'Le Guin' });
    expect(await first.cache.load(author, 7)).toBeNull();
    await first.cache.write((tx) => tx.update(authors).set({ name: 'Ursula' }).where(eq(authors.id, 1)));
    await first.cache.engine.flush();
    expect(await second.cache.load(author, 1)).toEqual({ id: 1, name: 'Ursula' });
    expect([...first.took(), ...second.took()]).toEqual([
      'authors miss',
      'authors miss',
      'authors hit',
      'authors miss',
    ]);
  });

  test.each([
    ['under the policy available', {}, 'writes commit without a fence and resolve 2 s later'],
    ['under the policy reject', { fencePolicy: 'reject' }, 'writes are refused (fencePolicy: reject)'],
  ] as const)('an outage of Redis %s is logged with what it does to writes', async (_, options, then) => {
    const lines: string[] = [];
    const log = { debug: () => {}, info: () => {}, warn: (_details: object, line: string) => lines.push(line) };
    const { cache } = await opened({ redis: 'redis://127.0.0.1:1', log, ...options });
    const write = cache.write((tx) => tx.update(authors).set({ name: 'in an outage' }).where(eq(authors.id, 2)));
    await write.catch(() => {});
    const ofOutage = () => lines.filter((line) => line.startsWith('Redis cannot be reached: '));
    await expect
      .poll(ofOutage, { timeout: 30_000 })
      .toEqual([expect.stringContaining(`: nothing is cached, and ${then}`)]);
  });

  test('what a deferred trigger writes is fenced with the rest', async () => {
    const { cache, took } = await opened();
    await sql.unsafe(`create function rename() returns trigger language plpgsql as $$
        begin update authors set name = 'by ' || new.title where id = new.author_id; return null; end $$;
      create constraint trigger later after insert on books deferrable initially deferred for each row execute function rename()`);
    const author = cache.byId(authorRows);
    await cache.load(author, 1);
    took();
    await cache.write((tx) => tx.insert(books).values(add(10)));
    await cache.engine.flush(); // until the fence is gone: outcomes are compared
    expect(await cache.load(author, 1)).toEqual({ id: 1, name: 'by Book 10' });
    expect(took()).toEqual(['authors miss']);
    await sql`drop trigger later on books`;
  });

  test('a write that fails is rolled back, and its rows stay cached', async () => {
    const { cache, took } = await opened();
    const author = cache.byId(authorRows);
    await cache.load(author, 1);
    await cache.engine.flush();
    const failing = cache.write(async (tx) => {
      await tx.update(authors).set({ name: 'nobody' }).where(eq(authors.id, 1));
      throw new Error('changed my mind');
    });
    await expect(failing).rejects.toThrow('changed my mind');
    took();
    await cache.load(author, 1);
    expect(took()).toEqual(['authors hit']);
  });

  test('a process without a relay caches while another has one', async () => {
    const [first, second] = [await opened(), await opened({ relay: false })];
    const book = second.cache.byId(bookRows);
    await first.cache.write((tx) => tx.insert(books).values(add(20)));
    await first.cache.engine.flush();
    await second.cache.load(book, 20);
    await second.cache.engine.flush();
    await second.cache.load(book, 20);
    expect(second.took()).toEqual(['books miss', 'books hit']);
  });

  test('a load that reads what its tags do not follow fails', async () => {
    const { cache, db } = await opened();
    const policy = { name: 'wrong', shape: '1', ttlMs: 1000, scope: 'public', tags: () => authorRows.byId(1) } as const;
    await expect(cache.read(policy, undefined, async () => db.select().from(books))).rejects.toThrow(UncoveredRead);
  });

  test('metrics count how calls end', async () => {
    const { cache } = await opened();
    const registry = new Registry();
    await cache.metrics(registry);
    await cache.load(cache.byId(authorRows), 1);
    expect(await registry.metrics()).toMatch(/cache_calls_total\{name="authors",outcome="(hit|miss)"\} 1/);
  });

  test('metrics have a sample for what is declared before its first call, and time loads and trips', async () => {
    const { cache } = await opened();
    const registry = new Registry();
    await cache.metrics(registry);
    cache.memoize('double', (n: number) => 2 * n, { ttlMs: 1000 });
    const author = cache.byId(authorRows);
    const extensions = { cache: { declared: { ttlMs: 1000, scope: 'public', tags: () => [] } } }; // as of `@Cached`
    const fields = { answer: { type: GraphQLInt, resolve: () => 42, extensions } };
    cache.bind(new GraphQLSchema({ query: new GraphQLObjectType({ name: 'Query', fields }) }));
    const sample = async (name: string) => {
      const line = (await registry.metrics()).split('\n').find((one) => one.startsWith(`${name} `));
      return line === undefined ? undefined : Number(line.slice(name.length));
    };
    for (const name of ['double', 'authors', 'Query.answer']) {
      expect([name, await sample(`cache_violations_total{name="${name}"}`)]).toEqual([name, 0]);
      expect([name, await sample(`cache_load_duration_seconds_count{name="${name}"}`)]).toEqual([name, 0]);
      expect([name, await sample(`cache_calls_total{name="${name}",outcome="near-hit"}`)]).toEqual([name, 0]);
    }
    expect(await sample('cache_redis_up')).toBe(1);
    expect(await sample('cache_redis_reconnects_total{reason="wrong-password"}')).toBe(0);
    await cache.load(author, 987); // which no other test reads
    expect(await sample('cache_load_duration_seconds_count{name="authors"}')).toBe(1);
    expect(await sample('cache_redis_trip_duration_seconds_count{kind="read"}')).toBeGreaterThan(0);
  });

  /** A schema of plain resolvers. */
  function schemaOf(db: ReturnType<typeof drizzle>, cache: Awaited<ReturnType<typeof opened>>['cache']) {
    const booksOf = (author: { id: number }) => db.select().from(books).where(eq(books.authorId, author.id));
    return createSchema({
      typeDefs: `type Query { author(id: Int!): Author }
        type Mutation { addBook(id: Int!): Author }
        type Author { id: Int! name: String books: [Book!] } type Book { id: Int! title: String }`,
      resolvers: {
        Query: { author: cachedResolver(cache.byId(authorRows), (_: unknown, { id }: { id: number }) => id) },
        Mutation: {
          addBook: async (_: unknown, { id }: { id: number }) => {
            await cache.write((tx) => tx.insert(books).values(add(id)));
            return { id: 1 };
          },
        },
        Author: {
          books: cachedResolver(
            { ttlMs: 60_000, scope: 'public', tags: (author: { id: number }) => bookRows.byAuthor(author.id) },
            booksOf,
          ),
        },
      },
    });
  }

  test('a plain schema on Yoga is cached by cachedResolver, and traced', async () => {
    const { cache, db } = await opened();
    const yoga = createYoga({ schema: cache.bind(schemaOf(db, cache)), plugins: [cache.yoga()], logging: false });
    const ask = async (query: string) => {
      const headers = { 'content-type': 'application/json', 'x-cache-trace': '1' };
      const answer = await yoga.fetch('http://yoga/graphql', {
        method: 'POST',
        headers,
        body: JSON.stringify({ query }),
      });
      const { data, errors, extensions } = await answer.json();
      expect(errors).toBeUndefined();
      const { calls, totals } = extensions.cache;
      const outcomes = calls.map((call: { name: string; outcome: string }) => `${call.name} ${call.outcome}`);
      return { data, outcomes, sql: totals.sqlStatements };
    };
    const QUERY = '{ author(id: 1) { books { id } } }';
    await ask(QUERY);
    expect(await ask(QUERY)).toMatchObject({ outcomes: ['authors hit', 'Author.books hit'], sql: 0 });
    const added = await ask('mutation { addBook(id: 30) { books { id } } }');
    expect(added.outcomes).toEqual(['Author.books bypass']);
    await cache.engine.flush();
    expect(added.data.addBook.books).toContainEqual({ id: 30 });
    const seen = await ask(QUERY);
    expect(seen.outcomes).toEqual(['authors hit', 'Author.books miss']);
    expect(seen.data.author.books).toContainEqual({ id: 30 });
  });

  test('requests that share one context share nothing that was read', async () => {
    const { cache, db } = await opened();
    const schema = cache.bind(schemaOf(db, cache));
    const contextValue = {};
    const name = async () => {
      const { data } = await graphql({ schema, source: '{ author(id: 1) { name } }', contextValue });
      return (data as { author: { name: string } }).author.name;
    };
    await name();
    await cache.write((tx) => tx.update(authors).set({ name: 'shared' }).where(eq(authors.id, 1)));
    expect(await name()).toBe('shared');
  });

  test('each event of a subscription has reads of its own, also where an executor gives all events one set of variables', async () => {
    const { cache } = await opened();
    const name = cachedResolver(cache.byId(authorRows), () => 1);
    const typeDefs = 'type Author { name: String } type Query { a: Author } type Subscription { author: Author }';
    const events = new EventEmitter();
    const subscribe = () => on(events, 'author');
    const schema = cache.bind(
      createSchema({
        typeDefs,
        resolvers: { Query: { a: name }, Subscription: { author: { subscribe, resolve: name } } },
      }),
    );
    const yoga = createYoga({ schema, logging: false });
    const {
      execute,
      subscribe: subscribed,
      schema: enveloped,
    } = yoga.getEnveloped({ request: new Request('http://yoga') });
    expect(execute).toBeDefined();
    const answers = (await subscribed({
      schema: enveloped,
      document: parse('subscription { author { name } }'),
      contextValue: {},
    })) as AsyncIterableIterator<{ data: { author: { name: string } } }>;
    const next = async () => {
      const answer = answers.next();
      await new Promise((resolve) => setImmediate(resolve)); // it listens now
      events.emit('author', {});
      return (await answer).value.data.author.name;
    };
    await next();
    await cache.write((tx) => tx.update(authors).set({ name: 'of this event' }).where(eq(authors.id, 1)));
    expect(await next()).toBe('of this event');
    await answers.return?.();
  });

  test('a schema that was not bound, or is bound twice, is an error of the programmer', async () => {
    const { cache, db } = await opened();
    const schema = schemaOf(db, cache);
    const { errors } = await graphql({ schema, source: '{ author(id: 1) { name } }', contextValue: {} });
    expect(errors?.[0]?.message).toBe('Query.author is cached, but its schema was not given to cache.bind()');
    cache.bind(schema);
    expect(() => cache.bind(schema)).toThrow(/bound to a cache before/);
  });

  test('one resolver of two fields keeps their values apart, and a policy that is wrong is an error of its field', async () => {
    const { cache } = await opened();
    const both = cachedResolver(
      { ttlMs: 60_000, scope: 'public', tags: () => [] },
      (_root: unknown, _args: unknown, _context, info) => info.fieldName,
    );
    const wrong = cachedResolver({ ttlMs: 0, scope: 'public', tags: () => [] }, () => '');
    const typeDefs = 'type Query { a: String b: String wrong: String }';
    const schema = cache.bind(createSchema({ typeDefs, resolvers: { Query: { a: both, b: both, wrong } } }));
    for (const source of ['{ a b }', '{ b a }']) {
      expect((await graphql({ schema, source, contextValue: {} })).data).toEqual({ a: 'a', b: 'b' });
    }
    const { errors } = await graphql({ schema, source: '{ wrong }', contextValue: {} });
    expect(errors?.[0]?.message).toBe('policy Query.wrong: ttlMs must be a number of at least 1, not 0');
  });
});
