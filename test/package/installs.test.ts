/** The packed engine where little is installed beside it: alone, and with pg in place of postgres.js. */

import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Sql } from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { postgresClient } from '../../src/engine/postgres/database.js';
import { packedEngine } from '../support/built.js';
import { createEmptyDatabase, type TestDatabase } from '../support/database.js';
import { redisUrl } from '../support/servers.js';
import { ask, folder, type Installed, type Server, started } from './installed.js';

const MINUTES = 60_000;
let tarball: string;

beforeAll(async () => {
  tarball = await packedEngine();
}, 5 * MINUTES);

test('the tarball holds the build, its texts and the license, and nothing else', async () => {
  const app = await folder();
  const files = (await app.run('tar', ['tzf', tarball])).trim().split('\n');
  await app.remove();
  const outside = files.filter((file) => !file.startsWith('package/dist/')).sort();
  expect(outside).toEqual(
    ['CHANGELOG.md', 'LICENSE', 'README.md', 'package.json'].map((name) => `package/${name}`).sort(),
  );
  const kinds = new Set(
    files.filter((file) => !outside.includes(file)).map((file) => /\.(d\.ts|\w+)$/.exec(file)?.[1]),
  );
  expect(kinds).toEqual(new Set(['js', 'd.ts', 'lua', 'sql', undefined]));
  expect(files).toContain('package/dist/postgres-js/UNLICENSE'); // the one without a kind
});

test(
  'alone it caches in memory, and brings three packages',
  async () => {
    const app = await folder();
    try {
      await app.run('npm', ['init', '-y']);
      await app.install(tarball);
      const installed = (await readdir(join(app.dir, 'node_modules'))).filter((name) => !name.startsWith('.'));
      expect(installed.sort()).toEqual(['@opentelemetry', 'cluster-key-slot', 'lru-cache', 'tagfence']);
      const script = `import { createCache } from 'tagfence';
      const cache = await createCache();
      let runs = 0;
      const twice = cache.memoize('twice', async (n) => { runs++; return 2 * n; }, { ttlMs: 1000 });
      console.log(await twice(2), await twice(2), runs);
      try { cache.bind({}); } catch (error) { console.log(error.message); }
      await cache.close();`;
      const printed = await app.run(process.execPath, ['--input-type=module', '-e', script]);
      expect(printed).toBe('4 4 1\nto bind schemas, install graphql and dataloader beside this package\n');
    } finally {
      await app.remove();
    }
  },
  3 * MINUTES,
);

describe('with pg and Yoga', () => {
  const ID = '01890a5d-ac96-774b-bcce-b302099a8057';
  let app: Installed;
  let database: TestDatabase;
  let sql: Sql;
  let servers: Server[] = [];
  const bodies = async ({ url }: Server) => {
    const answer = await ask(url, '{ notes(owner: "ada") { body } }');
    return { bodies: answer.data.notes.map(({ body }: { body: string }) => body), sql: answer.sqlStatements };
  };

  beforeAll(async () => {
    app = await folder('test/package/pg-app');
    await app.install(tarball);
    database = await createEmptyDatabase();
    sql = postgresClient(database.url, { max: 1 });
    await sql.unsafe(
      'create schema desk; create table desk.notes (id uuid primary key, owner text not null, body text not null)',
    );
    await sql.unsafe(await app.run('npx', ['tagfence', 'migration', '--tables', 'tables.ts']));
    const env = { DATABASE_URL: database.url, REDIS_URL: redisUrl(), REDIS_GROUP: database.name };
    servers = await Promise.all([1, 2].map(() => started(app.dir, 'server.ts', env)));
  }, 5 * MINUTES);
  afterAll(async () => {
    await Promise.all(servers.map((server) => server.stop()));
    await sql?.end();
    await database?.drop();
    await app?.remove();
  });

  test(
    'its types hold, and postgres.js is not installed',
    async () => {
      await app.run('npx', ['tsc']);
      expect(await readdir(join(app.dir, 'node_modules'))).not.toContain('postgres');
    },
    MINUTES,
  );

  test('reads are cached for both processes, writes are seen at once by both', async () => {
    const [first, second] = servers as [Server, Server];
    const write = (body: string) =>
      ask(first.url, `mutation { write(id: "${ID}", owner: "ada", body: "${body}") { body } }`);
    await write('one');
    expect(await bodies(second)).toEqual({ bodies: ['one'], sql: 1 });
    for (const server of [first, second]) {
      await expect.poll(() => bodies(server), { timeout: 30_000 }).toEqual({ bodies: ['one'], sql: 0 });
    }
    // An id in capitals is the same row.
    expect((await ask(first.url, `{ note(id: "${ID.toUpperCase()}") { body } }`)).data.note).toEqual({ body: 'one' });
    await write('two');
    expect(await bodies(second)).toEqual({ bodies: ['two'], sql: 1 });
    expect((await ask(second.url, `{ note(id: "${ID.toUpperCase()}") { body } }`)).data.note).toEqual({ body: 'two' });
  });

  test('what another program writes is seen soon', async () => {
    const [, second] = servers as [Server, Server];
    await bodies(second);
    await sql`update desk.notes set body = 'three'`;
    await expect.poll(async () => (await bodies(second)).bodies, { timeout: 30_000 }).toEqual(['three']);
  });
});
