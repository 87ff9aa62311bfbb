/** The command `tasks` as it is installed: compiled, behind a link on the PATH, without tsx. */
import { type ExecFileException, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MINUTE } from '../../src/std/time.js';
import { testApp } from '../support/app.js';
import { built } from '../support/built.js';
import { createDatabase, createEmptyDatabase, type TestDatabase } from '../support/database.js';
import { redisUrl } from '../support/servers.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** `node` and `tasks` as links, as a PATH has them. */
let bin: string;
let elsewhere: string;

beforeAll(async () => {
  const build = await built();
  const manifest = JSON.parse(await readFile(join(build, 'package.json'), 'utf8')) as { bin: { tasks: string } };
  bin = await mkdtemp(join(tmpdir(), 'tasks-bin-'));
  elsewhere = await mkdtemp(join(tmpdir(), 'tasks-elsewhere-'));
  await symlink(process.execPath, join(bin, 'node'));
  await symlink(join(build, manifest.bin.tasks), join(bin, 'tasks'));
}, 2 * MINUTE);
afterAll(async () => {
  for (const path of [bin, elsewhere]) await rm(path, { recursive: true, force: true });
});

interface Result {
  code: number;
  stdout: string;
  stderr: string;
}

async function tasks(line: string, env: Record<string, string> = {}): Promise<Result> {
  const PATH = [bin, '/usr/bin', '/bin'].join(delimiter);
  try {
    const args = line.split(' ').filter((word) => word !== '');
    return { code: 0, ...(await promisify(execFile)('tasks', args, { cwd: elsewhere, env: { PATH, ...env } })) };
  } catch (error) {
    const { code, stdout, stderr } = error as ExecFileException & Result;
    return { code, stdout, stderr };
  }
}

/** Runs a command whose stdout is closed before it writes, as `head` may close it. */
async function unread(line: string): Promise<{ code: number | null; stderr: string }> {
  const args = line.split(' ').filter((word) => word !== '');
  const PATH = [bin, '/usr/bin', '/bin'].join(delimiter);
  const child = spawn('tasks', args, { cwd: elsewhere, env: { PATH }, stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.destroy();
  let stderr = '';
  child.stderr.on('data', (chunk) => (stderr += chunk));
  const [code] = await once(child, 'close');
  return { code, stderr };
}

/** The packages of node_modules whose code a command has loaded. */
async function packagesOf(line: string, env: Record<string, string> = {}): Promise<string[]> {
  const coverage = await mkdtemp(join(elsewhere, 'coverage-'));
  await tasks(line, { ...env, NODE_V8_COVERAGE: coverage });
  const files = await Promise.all((await readdir(coverage)).map((name) => readFile(join(coverage, name), 'utf8')));
  const urls = files.flatMap((text) =>
    (JSON.parse(text) as { result: { url: string }[] }).result.map(({ url }) => url),
  );
  const names = urls.map((url) => /\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1]);
  return [...new Set(names.filter((name) => name !== undefined))].sort();
}

describe('help', () => {
  test.each([
    ['', 'tasks [options] [command]', ['import', 'export', 'user', 'token', 'migrate', 'cache']],
    [
      'import',
      'tasks import [options] <file>',
      ['--project <key>', '--owner <handle>', '(default: "ada")', '--dry-run', '--format <format>', 'DATABASE_URL'],
    ],
    [
      'user',
      'tasks user [options] [command]',
      ['create [options] <handle>', 'email [options] <handle> [address]', 'deactivate <handle>'],
    ],
    [
      'user create',
      'tasks user create [options] <handle>',
      ['--owner-of <key>', '--name <name>', '--subject <subject>', '--email <address>', 'JWT_SECRET'],
    ],
    ['user email', 'tasks user email [options] <handle> [address]', ['--none', 'DATABASE_URL', 'REDIS_URL']],
    ['token', 'tasks token [options] [handle]', ['(default: "ada")', 'DATABASE_URL', 'JWT_SECRET']],
    ['migrate', 'tasks migrate [options]', ['DATABASE_URL']],
    ['cache', 'tasks cache [options] [command]', ['stats [day]']],
    ['cache stats', 'tasks cache stats [options] [day]', ['YYYY-MM-DD', 'REDIS_URL', 'REDIS_GROUP']],
  ])(
    'of tasks %s shows usage, arguments, defaults and variables on stdout, 80 columns wide',
    async (name, usage, words) => {
      const { code, stdout, stderr } = await tasks(`${name} --help`);
      expect([code, stderr]).toEqual([0, '']);
      expect(stdout).toContain(`Usage: ${usage}\n`);
      for (const word of words) expect(stdout).toContain(word);
      expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([]);
    },
  );
});

test.each([
  ['import issues.json --projekt OPS', "error: unknown option '--projekt'", 'Usage: tasks import'],
  ['import', "error: missing required argument 'file'", 'Usage: tasks import'],
  [
    'import a.json b.json',
    "error: too many arguments for 'import'. Expected 1 argument but got 2.",
    'Usage: tasks import',
  ],
  ['import /none.json', 'the file: expected one that can be read, got "/none.json" (ENOENT)', ''],
  ['token ada bob', "error: too many arguments for 'token'. Expected 1 argument but got 2.", 'Usage: tasks token'],
  ['user create', "error: missing required argument 'handle'", 'Usage: tasks user create'],
  ['user create a\tb', 'the handle: expected 1 to 64 characters without white space', ''],
  [
    'user create ada --owner-of ops --subject é',
    '--subject: expected 1 to 255 printable ASCII characters',
    '--owner-of: expected 2 to 10 capital letters or digits, a letter first',
  ],
  ['user create ada --email ada', '--email: expected an e-mail address like ada@example.com', ''],
  ['user email ada ada', 'the address: expected an e-mail address like ada@example.com', ''],
  ['user email ada', 'error: expected either an address or --none', 'Usage: tasks user email'],
  ['user email ada a@example.com --none', 'error: expected either an address or --none', 'Usage: tasks user email'],
  ['migrate --force', "error: unknown option '--force'", 'Usage: tasks migrate'],
  ['cache clear', "error: unknown command 'clear'", 'Usage: tasks cache'],
  ['cache stats 2026-02-30', 'expected: stats [YYYY-MM-DD], got "2026-02-30"', ''],
  ['start', "error: unknown command 'start'", 'Usage: tasks [options] [command]'],
])('tasks %s is refused by name, and stderr says what was expected', async (line, fault, expected) => {
  const { code, stdout, stderr } = await tasks(line);
  expect([code, stdout]).toEqual([1, '']);
  expect(stderr.split('\n')[0]).toBe(fault);
  expect(stderr).toContain(expected);
});

test.each(['', 'import', 'user create', 'token', 'migrate', 'cache', 'cache stats'])(
  'tasks %s --help ends quietly if its output is not read to the end',
  async (name) => {
    expect(await unread(`${name} --help`)).toEqual({ code: 0, stderr: '' });
  },
);

test.each(['import', 'token', 'migrate', 'cache'])(
  'npm run %s is short for the subcommand of tasks with this name',
  async (name) => {
    const { scripts } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'));
    expect(scripts[name]).toBe(`${scripts.tasks} ${name}`);
  },
);

test('npm run, which is not compiled, hands its arguments to tasks', async () => {
  const run = promisify(execFile)('npm', ['run', '--silent', 'import', '--', '--help'], { cwd: ROOT });
  expect((await run).stdout).toBe((await tasks('import --help')).stdout);
});

test('the compiled command migrates a database', async () => {
  const database = await createEmptyDatabase();
  try {
    const migrated = { code: 0, stdout: '', stderr: 'The schema is up to date.\n' };
    expect(await tasks('migrate', { DATABASE_URL: database.url })).toEqual(migrated);
    expect(await tasks('migrate', { DATABASE_URL: database.url })).toEqual(migrated);
    expect(await tasks('migrate')).toMatchObject({
      code: 1,
      stderr: 'DATABASE_URL: expected the database to migrate\n',
    });
  } finally {
    await database.drop();
  }
});

describe('tasks user create, in production', () => {
  let database: TestDatabase;
  let env: Record<string, string>;
  beforeAll(async () => {
    database = await createDatabase();
    env = {
      NODE_ENV: 'production',
      DATABASE_URL: database.url,
      REDIS_URL: redisUrl(),
      REDIS_GROUP: `users-${process.pid}`,
      JWT_SECRET: 'only-for-tests-only-for-tests-only',
    };
  });
  afterAll(() => database?.drop());

  test('makes a user who owns a new project, and whose token the server takes', async () => {
    const { code, stdout, stderr } = await tasks('user create ada --owner-of OPS --name Ada', env);
    expect([code, stderr]).toEqual([
      0,
      expect.stringMatching(/^Created the user ada \(user_\w{26}\), OWNER of the new project OPS\.\n$/),
    ]);
    expect(stdout).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    const app = await testApp({ databaseUrl: database.url, group: env['REDIS_GROUP'] as string });
    try {
      const headers = { authorization: `Bearer ${stdout.trim()}` };
      const found = await app.ask('{ viewer { handle name } projects { nodes { id key viewerRole } } }', { headers });
      expect(found.data).toMatchObject({
        viewer: { handle: 'ada', name: 'Ada' },
        projects: { nodes: [{ key: 'OPS', viewerRole: 'OWNER' }] },
      });
      const projectId = found.data.projects.nodes[0].id;
      const made = await app.ask(
        'mutation($projectId: ID!) { createTask(input: { projectId: $projectId, title: "First" }) { task { identifier } } }',
        { headers, variables: { projectId } },
      );
      expect(made.data.createTask.task.identifier).toBe('OPS-1');

      // While the server runs: the next request of the new owner sees the project.
      const bob = await tasks('user create bob --owner-of OPS', env);
      expect([bob.code, bob.stderr]).toEqual([0, expect.stringContaining('OWNER of the project OPS.')]);
      const seen = await app.ask('{ project(key: "OPS") { members(first: 5) { edges { node { handle } role } } } }', {
        headers: { authorization: `Bearer ${bob.stdout.trim()}` },
      });
      expect(seen.data.project.members.edges).toEqual(
        ['ada', 'bob'].map((handle) => ({ node: { handle }, role: 'OWNER' })),
      );
    } finally {
      await app.close();
    }
  });

  test('deactivates a user while the server runs', async () => {
    const { stdout: token } = await tasks('user create leaver', env);
    const app = await testApp({ databaseUrl: database.url, group: env['REDIS_GROUP'] as string });
    try {
      const statusOf = async () =>
        (await app.ask('{ viewer { handle } }', { headers: { authorization: `Bearer ${token.trim()}` } })).status;
      expect(await statusOf()).toBe(200);
      expect(await tasks('user deactivate leaver', env)).toMatchObject({
        ...{ code: 0, stdout: '', stderr: expect.stringMatching(/^The user leaver \(user_\w+\) is deactivated\.\n$/) },
      });
      expect(await statusOf()).toBe(401);
    } finally {
      await app.close();
    }
  });

  test('sets and removes the verified address of a user', async () => {
    const created = await tasks('user create mia --owner-of MAIL --email Mia@example.com', env);
    await tasks('user create ned', env);
    const app = await testApp({ databaseUrl: database.url, group: env['REDIS_GROUP'] as string });
    const headers = { authorization: `Bearer ${created.stdout.trim()}` };
    const found = async (email: string) => {
      const { data } = await app.ask(`{ user(email: "${email}") { handle } }`, { headers });
      return data.user?.handle ?? null;
    };
    try {
      const { data } = await app.ask('{ viewer { email emailVerified } }', { headers });
      expect(data.viewer).toEqual({ email: 'mia@example.com', emailVerified: true });
      expect(await tasks('user email ned Ned@example.com', env)).toMatchObject({
        ...{ code: 0, stdout: '' },
        stderr: expect.stringMatching(
          /^The user ned \(user_\w+\) has the verified e-mail address ned@example\.com\.\n$/,
        ),
      });
      expect(await found('ned@example.com')).toBe('ned');
      expect(await tasks('user email ned --none', env)).toMatchObject({
        ...{ code: 0, stderr: expect.stringMatching(/^The user ned \(user_\w+\) has no e-mail address\.\n$/) },
      });
      expect(await found('ned@example.com')).toBeNull();
      expect(await tasks('user email ned mia@example.com', env)).toMatchObject({
        ...{ code: 1, stderr: 'the address: "mia@example.com" is the verified address of another user\n' },
      });
      expect(await tasks('user email nemo nemo@example.com', env)).toMatchObject({
        ...{ code: 1, stderr: 'the handle: there is no user "nemo"\n' },
      });
    } finally {
      await app.close();
    }
  });

  test('refuses what belongs to another user, and then makes nothing', async () => {
    await tasks('user create grace --subject idp|1', env);
    expect(await tasks('user create grace --owner-of NEW', env)).toMatchObject({
      code: 1,
      stdout: '',
      stderr: 'the handle: "grace" is taken by another user\n',
    });
    expect(await tasks('user create hopper --subject idp|1 --owner-of NEW', env)).toMatchObject({
      code: 1,
      stderr: '--subject: "idp|1" is taken by another user\n',
    });
    expect(await tasks('user create lin --owner-of NEW', env)).toMatchObject({
      stderr: expect.stringContaining('OWNER of the new project NEW.'),
    });
  });

  test('prints no token where they are issued elsewhere, but says what their subject is', async () => {
    const { JWT_SECRET: _, ...rest } = env;
    const issued = { ...rest, JWKS_URL: 'https://issuer.example/keys' };
    expect(await tasks('user create sam --subject idp|2', issued)).toMatchObject({
      code: 0,
      stdout: '',
      stderr: expect.stringMatching(/The subject of its tokens: idp\|2\n$/),
    });
  });
});

test('a command loads only what it needs', async () => {
  expect(await packagesOf('import --help')).toEqual(['commander']);
  const nowhere = { DATABASE_URL: 'postgres://127.0.0.1:1/none' };
  const loaded = await packagesOf('migrate', nowhere);
  expect(loaded).toContain('postgres');
  for (const name of ['ioredis', 'graphql', 'fastify', 'type-graphql']) expect(loaded).not.toContain(name);
});
