/** `npm pack`'s build: this folder → dist. Compiles, and copies what the compiled files read at run time to the same places. */
import { spawnSync } from 'node:child_process';
import { chmod, cp, mkdir, readdir, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('.', import.meta.url));
const dist = join(root, 'dist');

await rm(dist, { recursive: true, force: true });
const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc');
const compiled = spawnSync(process.execPath, [tsc, '--project', 'tsconfig.json'], {
  cwd: root,
  stdio: ['ignore', 2, 2],
});
if (compiled.status !== 0) process.exit(compiled.status ?? 1);

for (const folder of ['redis', 'postgres']) {
  await mkdir(join(dist, folder), { recursive: true });
  const assets = (await readdir(join(root, folder))).filter((name) => /\.(lua|sql)$/.test(name));
  for (const name of assets) await cp(join(root, folder, name), join(dist, folder, name));
}
await chmod(join(dist, 'cli', 'cli.js'), 0o755);
