/** The bookshops of examples/ with the packed engine, each in a folder of its own: two processes, a real Postgres and a real Redis. */

import { copyFile, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Sql } from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { postgresClient } from '../../src/engine/postgres/database.js';
import { packedEngine } from '../support/built.js';
import { createEmptyDatabase, type TestDatabase } from '../support/database.js';
import { redisUrl } from '../support/servers.js';
import { ask, folder, type Installed, type Server, started } from './installed.js';

const MINUTES = 60_000;
const AUTHOR = '{ author(id: 1) { name books { title author { name } } } }';
const titles = ({ data }: { data: { author: { books: { title: string }[] } } }) =>
  data.author.books.map(({ title }) => title);

/** With what each does without. */
const BOOKSHOPS = [
  { example: 'bookshop', without: 'pg' },
  { example: 'bookshop-pg', without: 'postgres' },
  { example: 'bookshop-yoga', without: 'type-graphql' },
];
const apps = new Map<string, Installed>();

beforeAll(async () => {
  const tarball = await packedEngine();
  const installing = BOOKSHOPS.map(async ({ example }) => {
    const app = await folder(`examples/${example}`);
    apps.set(example, app);
    await copyFile(tarball, join(app.dir, 'tagfence-0.1.0.tgz'));
    await app.install();
  });
  await Promise.all(installing);
}, 5 * MINUTES);
afterAll(() => Promise.all([...apps.values()].map((app) => app.remove())));

describe.each(BOOKSHOPS)('$example', ({ example, without }) => {
  let app: Installed;
  let database: TestDatabase;
  let sql: Sql;
  let env: NodeJS.ProcessEnv;
  const servers: Server[] = [];

  beforeAll(async () => {
    app = apps.get(example) as Installed;
    database = await createEmptyDatabase();
    sql = postgresClient(database.url, { max: 1 }); // as psql is: a client that knows nothing of a cache
    env = { DATABASE_URL: database.url, REDIS_URL: redisUrl(), REDIS_GROUP: database.name };
  });
  afterAll(async () => {
    await Promise.all(servers.map((server) => server.stop()));
    await sql?.end();
    await database?.drop();
  });

  test(
    `its types hold, and ${without} is not installed`,
    async () => {
      await app.run('npm', ['run', 'types']);
      expect(await readdir(join(app.dir, 'node_modules'))).not.toContain(without);
    },
    MINUTES,
  );

  test(
    'without the migration --check fails and the server does not start, and both say why',
    async () => {
      await expect(app.run('npm', ['run', 'cache:check'])).rejects.toThrow(
        /no migration in drizzle holds the row sets/,
      );
      await expect(started(app.dir, 'server.ts', env)).rejects.toThrow(/run the migrations/);
    },
    MINUTES,
  );

  test(
    'its commands write the migration and apply it',
    async () => {
      await app.run('npm', ['run', 'cache:migration']);
      await app.run('npm', ['run', 'cache:check']);
      expect(await readFile(join(app.dir, 'drizzle/0001_cache.sql'), 'utf8')).toContain(
        'create trigger cache_insert after insert on "books"',
      );
      await app.run('npm', ['run', 'migrate'], env);
    },
    MINUTES,
  );

  test(
    'a second read makes no SQL statement, in another process too',
    async () => {
      servers.push(await started(app.dir, 'server.ts', env), await started(app.dir, 'server.ts', env));
      const [first, second] = servers as [Server, Server];
      const cold = await ask(first.url, AUTHOR);
      expect(titles(cold)).toEqual(['The Dispossessed']);
      expect(cold.sqlStatements).toBe(2); // the author, his books; each book's author was read before
      for (const { url } of [first, second]) {
        await expect.poll(async () => (await ask(url, AUTHOR)).sqlStatements, { timeout: 30_000 }).toBe(0);
        const warm = await ask(url, AUTHOR);
        expect(warm).toMatchObject({ data: cold.data, sqlStatements: 0 });
        expect(new Set(warm.outcomes)).toEqual(new Set(['authors hit', 'Author.books hit']));
      }
    },
    MINUTES,
  );

  test(
    'a second process sees a mutation at once, and nothing under the mutation is cached',
    async () => {
      const [first, second] = servers as [Server, Server];
      const added = await ask(
        first.url,
        'mutation { addBook(authorId: 1, title: "The Lathe of Heaven") { title author { name books { title } } } }',
      );
      expect(added.data.addBook.author.books).toHaveLength(2);
      expect(added.outcomes).toEqual(['authors bypass', 'Author.books bypass']);
      const seen = await ask(second.url, AUTHOR);
      expect(titles(seen)).toEqual(['The Dispossessed', 'The Lathe of Heaven']);
      expect(seen.outcomes).not.toContain('Author.books hit');
    },
    MINUTES,
  );

  test(
    'a row that another program writes is seen soon, without a restart',
    async () => {
      const [, second] = servers as [Server, Server];
      await ask(second.url, AUTHOR);
      await sql`insert into books (author_id, title) values (1, 'Always Coming Home')`;
      await expect
        .poll(async () => titles(await ask(second.url, AUTHOR)), { timeout: 30_000 })
        .toContain('Always Coming Home');
      await expect.poll(async () => (await ask(second.url, AUTHOR)).sqlStatements, { timeout: 30_000 }).toBe(0);
    },
    MINUTES,
  );
});

test(
  'over postgres.js as it is published a bookshop does not start, and says in one sentence what to do',
  async () => {
    const app = apps.get('bookshop') as Installed;
    const cache = await readFile(join(app.dir, 'cache.ts'), 'utf8');
    await writeFile(join(app.dir, 'cache.ts'), cache.replace("'tagfence/postgres-js'", "'postgres'"));
    await expect(started(app.dir, 'server.ts', {})).rejects.toThrow(
      /TypeError: createCache: db: this copy of postgres\.js can send the COMMIT .*: make the client with `import postgres from 'tagfence\/postgres-js'`, .*, or use pg\n/,
    );
  },
  MINUTES,
);
