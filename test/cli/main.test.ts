/**
 * The commands as a user runs them: real processes, in a directory of their own, with nothing in the environment. They are compiled, but
 * for a server and a command that run as `npm start` and `npm run token` do.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startPostgres } from '../../src/development/embedded/postgres.js';
import { installHint, startRedis } from '../../src/development/embedded/redis.js';
import { findRunning } from '../../src/development/running-services.js';
import { postgresClient } from '../../src/engine/postgres/database.js';
import { MINUTE } from '../../src/std/time.js';
import { eventually } from '../support/app.js';
import { built } from '../support/built.js';
import { createDatabase, createEmptyDatabase, type TestDatabase } from '../support/database.js';
import { redisUrl } from '../support/servers.js';
import { started } from '../support/started.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const { scripts } = createRequire(import.meta.url)('../../package.json') as {
  scripts: { start: string; token: string };
};
const TSX = import.meta.resolve('tsx');
const MAIN = 'main.js';
const COMMANDS = 'cli/tasks.js';

let directory: string;
let dist: string;
beforeAll(async () => {
  dist = join(await built(), 'dist');
  directory = await mkdtemp(join(tmpdir(), 'tasks-cli-'));
  await chmod(directory, 0o755); // as root the database runs as another user, who shall find its data here
}, 3 * MINUTE);
afterAll(() => rm(directory, { recursive: true, force: true }));

/** A file of the build. */
function run(file: string, args: string[] = [], env: Record<string, string> = {}, cwd = directory): ChildProcess {
  return start([join(dist, file), ...args], env, cwd);
}

/** What a script of package.json runs, which is not compiled. */
function runScript(name: 'start' | 'token', env: Record<string, string> = {}): ChildProcess {
  const [node, ...args] = scripts[name].split(' ');
  expect(node).toBe('node');
  const placed = args.map((arg) => (arg === 'tsx' ? TSX : arg.startsWith('src/') ? join(ROOT, arg) : arg));
  return start(placed, { TSX_TSCONFIG_PATH: join(ROOT, 'tsconfig.json'), ...env }, directory);
}

function start(args: readonly string[], env: Record<string, string>, cwd: string): ChildProcess {
  return spawn(process.execPath, args, {
    cwd,
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

async function result(child: ChildProcess): Promise<{ code: number | null; stdout: string; stderr: string }> {
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (chunk) => (stdout += chunk));
  child.stderr?.on('data', (chunk) => (stderr += chunk));
  const [code] = await once(child, 'close');
  return { code, stdout, stderr };
}

/** What a server in production says of its start, in one line, the last one, whatever it has said before. */
function failureIn(stderr: string): string {
  const [last = '', ...before] = stderr.trimEnd().split('\n').toReversed();
  for (const line of before) expect(JSON.parse(line)).toMatchObject({ msg: 'starting' });
  const { level, msg } = JSON.parse(last);
  expect(level).toBe(60);
  return msg;
}

/** Asks a started server, by the address and token that it printed. */
async function askServer(printed: Record<string, string>, query: string) {
  const response = await fetch(printed['API'] as string, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      authorization: `Bearer ${printed['Token']}`,
      'x-cache-trace': '1',
    },
    body: JSON.stringify({ query }),
  });
  return (await response.json()) as {
    data: Record<string, unknown>;
    extensions: { cache: { totals: { sqlStatements: number } } };
  };
}

describe('production', () => {
  test('with a database that Redis does not have does not start, and says so in one line', async () => {
    const redis = await startRedis();
    if (redis === undefined) throw new Error(installHint());
    const database = await createDatabase();
    try {
      const env = { NODE_ENV: 'production', JWT_SECRET: 'x'.repeat(32), DATABASE_URL: database.url };
      const { code, stderr } = await result(run(MAIN, [], { ...env, REDIS_URL: `${redis.url}/98` }));
      expect(code).toBe(1);
      expect(failureIn(stderr)).toMatch(/^REDIS_URL: expected a database that this Redis has, but it refuses 98: ERR /);
    } finally {
      await redis.stop();
      await database.drop();
    }
  });

  test('with nothing set does not start and names all that is missing', async () => {
    const { code, stdout, stderr } = await result(run(MAIN, [], { NODE_ENV: 'production' }));
    expect(code).toBe(1);
    expect(stdout).toBe('');
    const message = failureIn(stderr);
    for (const name of ['DATABASE_URL', 'REDIS_URL', 'JWT_SECRET or JWKS_URL']) expect(message).toContain(name);
  });

  test('makes no tokens', async () => {
    const env = {
      NODE_ENV: 'production',
      DATABASE_URL: 'postgres://127.0.0.1:1/none',
      REDIS_URL: 'redis://127.0.0.1:1',
      JWT_SECRET: 'x'.repeat(32),
    };
    const { code, stdout, stderr } = await result(run(COMMANDS, ['token'], env));
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toContain('production');
  });
});

test(
  'a private PostgreSQL with the migrations of another set is left as it is, and a start names its folder in one sentence',
  async () => {
    const cwd = await mkdtemp(join(tmpdir(), 'tasks-squashed-'));
    await chmod(cwd, 0o755);
    const dataDir = join(cwd, '.data', 'postgres');
    try {
      const postgres = await startPostgres({ dataDir });
      const sql = postgresClient(postgres.url, { max: 1 });
      await sql`create schema drizzle`;
      await sql`create table drizzle.__drizzle_migrations (id serial primary key, hash text not null, created_at bigint)`;
      await sql`insert into drizzle.__drizzle_migrations (hash, created_at) values ('tables', 1795381364979)`;
      await sql.end();
      await postgres.stop();
      const stderr =
        `the private PostgreSQL in ${postgres.dataDir} was migrated with another set of migrations, and version 0.x has squashed its earlier ones: ` +
        'to start over, remove that folder, which deletes the data in it, and run npm start\n';
      expect(await result(run(MAIN, [], { PORT: '0' }, cwd))).toEqual({ code: 1, stdout: '', stderr });
      expect(await result(run(COMMANDS, ['token'], {}, cwd))).toEqual({ code: 1, stdout: '', stderr });
      await rm(postgres.dataDir, { recursive: true });
      const server = run(MAIN, [], { PORT: '0' }, cwd);
      expect((await started(server))['Postgres']).toContain(postgres.dataDir);
      server.kill('SIGTERM');
      await once(server, 'close');
    } finally {
      await rm(cwd, { recursive: true, force: true });
    }
  },
  2 * MINUTE,
);

test(
  'HOST=localhost is 127.0.0.1 alone, also where that name has the address ::1, too',
  async () => {
    const cwd = await mkdtemp(join(tmpdir(), 'tasks-localhost-'));
    await chmod(cwd, 0o755);
    const bothFamilies = join(cwd, 'both-families.mjs');
    await writeFile(
      bothFamilies,
      `import dns from 'node:dns';
const { lookup } = dns;
const addresses = [{ address: '127.0.0.1', family: 4 }, { address: '::1', family: 6 }];
dns.lookup = (host, options, callback = options) => {
  if (host !== 'localhost') return lookup(host, options, callback);
  if (options.all) callback(null, addresses);
  else callback(null, '127.0.0.1', 4);
};`,
    );
    const database = await createDatabase();
    const given = { DATABASE_URL: database.url, REDIS_URL: redisUrl(), REDIS_GROUP: database.name };
    const server = run(
      MAIN,
      [],
      { ...given, PORT: '0', HOST: 'localhost', NODE_OPTIONS: `--import=${bothFamilies}` },
      cwd,
    );
    try {
      const { port } = new URL((await started(server))['API'] as string);
      expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200);
      const overIpv6 = await fetch(`http://[::1]:${port}/healthz`).catch((error) => error.cause.code);
      expect(String(overIpv6)).toMatch(/^(ECONNREFUSED|EADDRNOTAVAIL)$/);
    } finally {
      server.kill('SIGTERM');
      await once(server, 'close');
      await database.drop();
      await rm(cwd, { recursive: true, force: true });
    }
  },
  MINUTE,
);

test(
  'a host that is not this computer is named in one line',
  async () => {
    const { code, stderr } = await result(run(MAIN, [], { PORT: '0', HOST: '192.0.2.1' }));
    expect(code).toBe(1);
    expect(stderr).toBe('HOST: expected a name or address of this machine, got 192.0.2.1 (EADDRNOTAVAIL)\n');
  },
  MINUTE,
);

test('a port in use is named at once, before anything is started', async () => {
  const cwd = await mkdtemp(join(tmpdir(), 'tasks-port-'));
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  try {
    const { code, stdout, stderr } = await result(run(MAIN, [], { PORT: String(port) }, cwd));
    const expected = `PORT: expected a free port, but ${port} is in use on 127.0.0.1\n`;
    expect([code, stdout, stderr]).toEqual([1, '', expected]);
    expect(await readdir(cwd)).toEqual([]);
  } finally {
    other.close();
    await rm(cwd, { recursive: true, force: true });
  }
});

describe('on SIGTERM a server', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createDatabase();
  });
  afterAll(() => database?.drop());

  async function serving(env: Record<string, string>) {
    const cwd = await mkdtemp(join(tmpdir(), 'tasks-stop-'));
    const child = run(MAIN, [], { PORT: '0', DATABASE_URL: database.url, REDIS_URL: redisUrl(), ...env }, cwd);
    const printed = await started(child);
    const ended = once(child, 'close').then(([code]) => code as number | null);
    return { child, printed, ended, url: new URL(printed['API'] as string).origin };
  }

  test('is not ready any more, answers requests until the delay has passed, and exits with 0', async () => {
    const { child, printed, ended, url } = await serving({ SHUTDOWN_DELAY_MS: '60000' });
    child.kill('SIGTERM');
    await eventually(async () => expect((await fetch(`${url}/readyz`)).status).toBe(503));
    expect(await (await fetch(`${url}/readyz`)).json()).toMatchObject({ postgres: 'up', server: 'stopping' });
    expect((await askServer(printed, '{ viewer { handle } }')).data).toEqual({ viewer: { handle: 'ada' } });
    child.kill('SIGTERM'); // skips the delay
    expect(await ended).toBe(0);
  });

  test('cuts off a request that does not end in time: a stuck statement keeps it no longer', async () => {
    const { child, printed, ended } = await serving({ SHUTDOWN_TIMEOUT_MS: '200' });
    const sql = postgresClient(database.url, { max: 2 });
    try {
      await sql.begin(async (tx) => {
        await tx`lock table tasks in access exclusive mode`;
        const stuck = askServer(printed, '{ task(identifier: "OPS-1") { title } }').catch(() => 'cut off');
        await eventually(async () => {
          const [row] =
            await sql`select count(*)::int as n from pg_locks where not granted and relation = 'tasks'::regclass`;
          expect(row?.['n']).toBeGreaterThan(0);
        });
        const startedMs = Date.now();
        child.kill('SIGTERM');
        expect(await stuck).toBe('cut off');
        expect(await ended).toBe(0);
        expect(Date.now() - startedMs).toBeLessThan(15_000);
      });
    } finally {
      await sql.end();
    }
  });

  test('exits as a worker of a cluster, too, and goes on when its output is not read', async () => {
    const cwd = await mkdtemp(join(tmpdir(), 'tasks-worker-'));
    const child = spawn(process.execPath, [join(dist, MAIN)], {
      cwd,
      env: { PATH: process.env['PATH'] ?? '', PORT: '0', DATABASE_URL: database.url, REDIS_URL: redisUrl() },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'], // the channel keeps a process alive
    });
    let stderr = '';
    child.stderr?.on('data', (chunk) => (stderr += chunk));
    child.stdout?.once('data', () => child.stdout?.destroy()); // as `head` does
    await once(child.stdout as NodeJS.ReadableStream, 'close');
    child.kill('SIGTERM');
    const [code] = await once(child, 'exit');
    expect([code, stderr]).toEqual([0, '']);
  });
});

test(
  'a server on a computer without Redis keeps its cache in the process, and says so',
  async () => {
    // Only node itself is on this PATH.
    const bin = await mkdtemp(join(tmpdir(), 'tasks-bin-'));
    await symlink(process.execPath, join(bin, 'node'));
    const server = run(MAIN, [], { PORT: '0', PATH: bin });
    try {
      const printed = await started(server);
      expect(printed['Redis']).toMatch(/none, cache in this process/);
      const query = '{ projects { nodes { key stats { total } } } }';
      await askServer(printed, query);
      expect((await askServer(printed, query)).extensions.cache.totals).toMatchObject({ sqlStatements: 0 });
    } finally {
      server.kill('SIGTERM');
      await once(server, 'close');
      await rm(bin, { recursive: true });
      await rm(join(directory, '.data'), { recursive: true });
    }
  },
  2 * MINUTE,
);

test(
  'two demos on one Redis, whose ids are equal, each answer what is theirs; the second says that it needs a group of its own',
  async () => {
    const redis = await startRedis();
    if (redis === undefined) throw new Error(installHint());
    const directories = await Promise.all(['one', 'two'].map((name) => mkdtemp(join(tmpdir(), `tasks-demo-${name}-`))));
    for (const path of directories) await chmod(path, 0o755);
    const servers: ChildProcess[] = [];
    const start = (cwd: string) => {
      const server = run(MAIN, [], { PORT: '0', REDIS_URL: redis.url }, cwd);
      servers.push(server);
      return started(server);
    };
    try {
      const [one, two] = [await start(directories[0] as string), await start(directories[1] as string)];
      const QUERY = '{ project(key: "OPS") { id name } }';
      const { data } = (await askServer(one, QUERY)) as unknown as { data: { project: { id: string; name: string } } };
      const { id, name } = data.project;
      expect((await askServer(two, QUERY)).data).toEqual({ project: { id, name } });
      await askServer(
        one,
        `mutation { updateProject(input: { id: "${id}", name: "Of the first" }) { errors { code } } }`,
      );
      for (let i = 0; i < 5; i++) {
        expect((await askServer(one, QUERY)).data).toEqual({ project: { id, name: 'Of the first' } });
        expect((await askServer(two, QUERY)).data).toEqual({ project: { id, name } });
      }
      const ready = await fetch(new URL('/readyz', two['API']));
      expect(await ready.json()).toEqual({ postgres: 'up', redis: expect.stringContaining('REDIS_GROUP') });
    } finally {
      for (const server of servers) {
        server.kill('SIGTERM');
        if (server.exitCode === null) await once(server, 'close');
      }
      await redis.stop();
      await Promise.all(directories.map((path) => rm(path, { recursive: true, force: true })));
    }
  },
  2 * MINUTE,
);

describe('with a database that cannot be used', () => {
  const nowhere = 'postgres://ada:secret-word@127.0.0.1:1/tasks';
  const production = { NODE_ENV: 'production', REDIS_URL: 'redis://127.0.0.1:1', JWT_SECRET: 'x'.repeat(32) };

  const closed = 'DATABASE_URL: Postgres at 127.0.0.1:1: no server listens there\n';

  test('a server in production ends in one line that names DATABASE_URL, and no password', async () => {
    const { code, stdout, stderr } = await result(run(MAIN, [], { ...production, DATABASE_URL: nowhere }));
    expect([code, stdout, `${failureIn(stderr)}\n`]).toEqual([1, '', closed]);
    expect(stderr).not.toContain('secret-word');
  });

  test.each([
    ['the command migrate', COMMANDS, ['migrate'], { DATABASE_URL: nowhere }, closed],
    ['the command import', COMMANDS, ['import', 'tasks.csv'], { DATABASE_URL: nowhere }, closed],
    [
      'the command token, whose URL has a parameter that is not known',
      COMMANDS,
      ['token'],
      { DATABASE_URL: `${nowhere}?search_path=app` },
      'The environment is invalid:\n  DATABASE_URL: search_path is not a parameter that is known here: remove it\n',
    ],
  ])(
    '%s ends in one line that names DATABASE_URL',
    async (_, file, args, env, message) => {
      await writeFile(join(directory, 'tasks.csv'), 'id,title\n1,One\n');
      expect(await result(run(file, args, env))).toEqual({ code: 1, stdout: '', stderr: message });
    },
    2 * MINUTE,
  );
});

describe('with a database of its own', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createEmptyDatabase();
  });
  afterAll(() => database?.drop());
  const production = { NODE_ENV: 'production', REDIS_URL: 'redis://127.0.0.1:1', JWT_SECRET: 'x'.repeat(32) };

  test(
    'a server in production says in one line that the database must be migrated',
    async () => {
      const { code, stderr } = await result(run(MAIN, [], { ...production, DATABASE_URL: database.url }));
      expect(code).toBe(1);
      expect(failureIn(stderr)).toMatch(
        /^DATABASE_URL: this database lacks .*: run tasks migrate \(npm run migrate in a checkout\)$/,
      );
    },
    2 * MINUTE,
  );

  test(
    'a server says in one line why it needs more connections than connection_limit allows',
    async () => {
      const env = { ...production, DATABASE_URL: `${database.url}?connection_limit=3` };
      const { code, stdout, stderr } = await result(run(MAIN, [], env));
      expect([code, stdout, failureIn(stderr)]).toEqual([
        1,
        '',
        'DATABASE_URL: connection_limit is 3, at least 4 are needed: a server keeps two for invalidation, and needs one to read and one to write',
      ]);
    },
    2 * MINUTE,
  );

  test(
    'migrate works by MIGRATION_DATABASE_URL where that is given, and --status says by its exit code what is pending',
    async () => {
      const empty = await createEmptyDatabase();
      try {
        const { username, password } = new URL(empty.url);
        const migration = new URL(empty.url);
        Object.assign(migration, { password: '' });
        const env = {
          DATABASE_URL: `postgres://${username}:${password}@127.0.0.1:1/nowhere`,
          MIGRATION_DATABASE_URL: migration.href,
          MIGRATION_DATABASE_PASSWORD: password,
        };
        const before = await result(run(COMMANDS, ['migrate', '--status'], env));
        expect([before.code, before.stderr]).toEqual([2, '']);
        expect(before.stdout).toMatch(/^pending {2}0000_tables\npending {2}0001_cache\n/);
        expect(await result(run(COMMANDS, ['migrate'], env))).toMatchObject({ code: 0, stdout: '' });
        const after = await result(run(COMMANDS, ['migrate', '--status'], env));
        expect([after.code, after.stderr]).toEqual([0, '']);
        expect(after.stdout).toBe(before.stdout.replaceAll('pending', 'applied'));
        const failed = await result(run(COMMANDS, ['migrate', '--status'], { ...env, MIGRATION_DATABASE_URL: '' }));
        expect(failed).toMatchObject({ code: 1, stdout: '' });
        expect(failed.stderr).toMatch(/^MIGRATION_DATABASE_PASSWORD: expected MIGRATION_DATABASE_URL beside it\n$/);
      } finally {
        await empty.drop();
      }
    },
    2 * MINUTE,
  );

  test(
    'the commands migrate and token do with one connection, for a role that has no more',
    async () => {
      const admin = postgresClient(database.url, { max: 1 });
      const role = database.name;
      await admin.unsafe(`create role ${role} login password 'app' connection limit 1`);
      try {
        await admin.unsafe(`alter database ${database.name} owner to ${role}`);
        await admin.unsafe(`alter schema public owner to ${role}`);
        const url = new URL(database.url);
        Object.assign(url, { username: role, password: 'app', search: 'connection_limit=1' });
        const env = { DATABASE_URL: url.href };
        expect(await result(run(COMMANDS, ['migrate'], env))).toMatchObject({ code: 0, stdout: '' });
        const { code, stdout, stderr } = await result(run(COMMANDS, ['token'], env));
        expect([code, stderr]).toEqual([0, '']);
        expect(decodeJwt(stdout).sub).toMatch(/^user_/);
      } finally {
        await admin.end();
      }
    },
    2 * MINUTE,
  );
});

describe('a server started with nothing set', () => {
  const issue = (number: number, change: Record<string, unknown> = {}) => ({
    number,
    title: `Issue ${number}`,
    body: 'Body',
    state: 'OPEN',
    labels: [{ name: 'design', color: '1d76db', description: '' }],
    assignees: [{ login: 'octocat' }],
    author: { login: 'hubot' },
    comments: [{ author: { login: 'octocat' }, body: 'A comment', createdAt: '2026-01-02T00:00:00Z' }],
    createdAt: `2026-01-01T00:00:0${number}Z`,
    updatedAt: '2026-01-02T00:00:00Z',
    closedAt: null,
    url: `https://github.com/someone/thing/issues/${number}`,
    ...change,
  });
  const QUERY = `{ project(key: "THING") { stats { total } tasks(orderBy: [{ field: CREATED_AT, direction: ASC }]) {
    totalCount nodes { identifier title status assignee { handle } labels { nodes { name color } } commentCount } } } }`;

  let server: ChildProcess;
  let printed: Record<string, string>;

  beforeAll(async () => {
    server = runScript('start', { PORT: '0' });
    server.stderr?.pipe(process.stderr);
    printed = await started(server);
  });
  afterAll(() => {
    server.kill('SIGKILL');
  });

  const ask = (query: string) => askServer(printed, query);
  const importFile = async (issues: unknown[], ...args: string[]) => {
    const file = join(directory, 'issues.json');
    await writeFile(file, JSON.stringify(issues));
    return result(run(COMMANDS, ['import', file, ...args]));
  };

  test('says where it is and what it uses, and has demo data to show', async () => {
    expect(printed['Postgres']).toContain('private');
    const { data } = await ask('{ viewer { handle } projects { nodes { key stats { total } } } }');
    expect(data).toMatchObject({
      viewer: { handle: 'ada' },
      projects: { nodes: expect.arrayContaining([{ key: 'OPS', stats: { total: 120 } }]) },
    });
    expect((await fetch(printed['Explorer'] as string)).status).toBe(200);
    const page = await (await fetch(printed['Console'] as string)).text();
    expect(page).toContain(printed['Token']);
    const [script] = /\/console\/[^"]*\.js/.exec(page) ?? [];
    expect((await fetch(new URL(script as string, printed['API']))).status).toBe(200);
    expect(decodeJwt(printed['Token'] as string)).toMatchObject({ scope: 'cache:admin cache:trace' });
  });

  test("answers README's first query from the cache, with the totals that README shows", async () => {
    const readme = await readFile(join(ROOT, 'README.md'), 'utf8');
    const [, query = ''] = /-d '\{"query":"(.*)"\}'/.exec(readme) ?? [];
    const [, shown = ''] = /"totals": (\{.*\})/.exec(readme) ?? [];
    const { ms: _, ...totals } = JSON.parse(shown);
    await eventually(async () => {
      const { extensions } = await askServer(printed, query.replaceAll('\\"', '"'));
      expect(extensions.cache.totals).toMatchObject(totals);
    });
  });

  test(
    'keeps a second server from its private PostgreSQL, which says so in one line',
    async () => {
      const { code, stdout, stderr } = await result(run(MAIN, [], { PORT: '0' }));
      expect([code, stdout]).toEqual([1, '']);
      expect(stderr).toMatch(
        /^DATABASE_URL is not set, and a private PostgreSQL cannot be started: process \d+ uses .*\n$/,
      );
    },
    2 * MINUTE,
  );

  test(
    'has statistics of days that exist, and refuses others',
    async () => {
      const stats = (day: string) => result(run(COMMANDS, ['cache', 'stats', day]));
      expect(await stats('2026-02-28')).toMatchObject({ code: 0, stderr: '' });
      expect(await stats('2026-02-30')).toMatchObject({ code: 1, stderr: expect.stringMatching(/^expected: stats/) });
    },
    2 * MINUTE,
  );

  test('has tokens made for it: nothing else is printed', async () => {
    const { code, stdout } = await result(runScript('token'));
    expect(code).toBe(0);
    expect(stdout).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    expect(decodeJwt(stdout).sub).toBe(decodeJwt(printed['Token'] as string).sub);
    const unknown = await result(run(COMMANDS, ['token', 'nobody']));
    expect(unknown).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('nobody') });
  });

  test('shows what is imported with the next query, and the second answer costs no SQL', async () => {
    await ask(QUERY); // what is not there yet is cached
    const { code, stdout } = await importFile([
      issue(1),
      issue(2, { state: 'CLOSED', closedAt: '2026-01-03T00:00:00Z' }),
    ]);
    expect([code, stdout]).toEqual([0, expect.stringContaining('2 created, 0 updated, 0 unchanged')]);
    const { data } = await ask(QUERY);
    expect(data).toMatchObject({
      project: {
        stats: { total: 2 },
        tasks: {
          totalCount: 2,
          nodes: [
            {
              identifier: 'THING-1',
              status: 'TODO',
              assignee: { handle: 'octocat' },
              labels: { nodes: [{ name: 'design', color: '#1d76db' }] },
              commentCount: 1,
            },
            { identifier: 'THING-2', status: 'DONE' },
          ],
        },
      },
    });
    const again = await ask(QUERY);
    expect(again.data).toEqual(data);
    expect(again.extensions.cache.totals.sqlStatements).toBe(0);
  });

  test(
    'is still found by commands when a second server, on another database, has come and gone',
    async () => {
      const database = await createEmptyDatabase();
      try {
        const second = run(MAIN, [], { PORT: '0', DATABASE_URL: database.url });
        const other = await started(second);
        expect(other['Postgres']).toBe('DATABASE_URL');
        const tokens = async () => decodeJwt((await result(run(COMMANDS, ['token']))).stdout).sub;
        const ada = decodeJwt(printed['Token'] as string).sub;
        expect(await tokens()).toBe(ada);
        second.kill('SIGINT');
        await once(second, 'close');
        expect(await tokens()).toBe(ada);
        expect((await importFile([issue(9)], '--project', 'LATER')).code).toBe(0);
        const { data } = await ask('{ project(key: "LATER") { stats { total } } }');
        expect(data).toEqual({ project: { stats: { total: 1 } } });
      } finally {
        await database.drop();
      }
    },
    2 * MINUTE,
  );

  test('imports nothing of a file with a bad record, and says which', async () => {
    const before = await ask(QUERY);
    const { code, stderr } = await importFile([issue(3), issue(4, { createdAt: 'yesterday' })]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/issue #4.*createdAt.*expected.*yesterday/s);
    expect((await ask(QUERY)).data).toEqual(before.data);
  });

  test('refuses to import a file that is not UTF-8', async () => {
    const file = join(directory, 'issues-utf16.json');
    await writeFile(file, Buffer.from(`\ufeff${JSON.stringify([issue(5)])}`, 'utf16le'));
    const { code, stderr } = await result(run(COMMANDS, ['import', file]));
    expect([code, stderr]).toEqual([1, expect.stringContaining('expected UTF-8, got another encoding')]);
  });

  test('tells how import is used when it is not', async () => {
    expect((await result(run(COMMANDS, ['import']))).stderr).toContain('Usage');
    expect((await importFile([issue(1)], '--owner', 'nobody')).stderr).toContain('--owner');
    expect((await result(run(COMMANDS, ['import', 'missing.json']))).stderr).toContain('missing.json');
  });

  test('stops all it started when it is interrupted', async () => {
    const postmaster = await readFile(join(directory, '.data', 'postgres', 'cluster', 'postmaster.pid'), 'utf8');
    const pid = Number(postmaster.split('\n')[0]);
    expect(process.kill(pid, 0)).toBe(true);
    const { redis: place } = (await findRunning(join(directory, '.data', 'running'))) ?? {};
    server.kill('SIGINT');
    expect(await once(server, 'close')).toEqual([0, null]);
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
    const redis = new Redis(place && 'url' in place ? (place.url ?? '') : '', {
      lazyConnect: true,
      retryStrategy: () => null,
    });
    redis.on('error', () => {}); // connect reports it
    await expect(redis.connect()).rejects.toThrow();
  });
});
