/** A checkout that was installed by `npm ci --ignore-scripts`: nothing of it starts on the driver as it is published. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { patchPackage, putUnpatchedDriver, ROOT } from '../support/unpatched.js';

let checkout: string;
beforeAll(async () => {
  checkout = await mkdtemp(join(tmpdir(), 'tasks-unpatched-'));
  await putUnpatchedDriver(checkout);
  for (const name of ['src', 'tsconfig.json']) await cp(join(ROOT, name), join(checkout, name), { recursive: true });
  for (const name of await readdir(join(ROOT, 'node_modules'))) {
    if (name === 'postgres' || name === '.bin') continue;
    await symlink(join(ROOT, 'node_modules', name), join(checkout, 'node_modules', name));
  }
  await writeFile(join(checkout, 'issues.json'), '[]');
});
afterAll(() => rm(checkout, { recursive: true, force: true }));

async function run(file: string, args: readonly string[] = []) {
  const { PATH, HOME } = process.env;
  const child = spawn(process.execPath, ['--import', 'tsx', file, ...args], { cwd: checkout, env: { PATH, HOME } });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (data) => (stdout += data));
  child.stderr.on('data', (data) => (stderr += data));
  const [code] = await once(child, 'close');
  return { code, stdout, stderr };
}

test.each([
  ['the server', 'src/main.ts', []],
  ['tasks migrate', 'src/cli/tasks.ts', ['migrate']],
  ['tasks import', 'src/cli/tasks.ts', ['import', 'issues.json']],
  ['tasks token', 'src/cli/tasks.ts', ['token']],
  ['tasks cache', 'src/cli/tasks.ts', ['cache', 'stats']],
])('%s refuses to start, and says what to do in one line', async (_, file, args) => {
  expect(await run(file, args)).toEqual({
    code: 1,
    stdout: '',
    stderr:
      'The installed driver "postgres" lacks the patch of this repository and can send the COMMIT of a transaction that lost its ' +
      'connection on the next connection: run npx patch-package\n',
  });
});

test('with the patch applied afterwards a command goes on', async () => {
  await patchPackage(checkout);
  const { stderr } = await run('src/cli/tasks.ts', ['migrate']);
  expect(stderr).toBe('DATABASE_URL: expected the database to migrate\n');
});
