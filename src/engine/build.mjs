/** `npm pack`'s build: this folder → dist. Compiles, and copies what the compiled files read at run time to the same places. */
import { spawnSync } from 'node:child_process';
import { chmod, cp, mkdir, readdir, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = fileURLToPath(new URL('.', import.meta.url));
const dist = join(root, 'dist');

const { resolve } = createRequire(import.meta.url);

await rm(dist, { recursive: true, force: true });
const tsc = join(dirname(resolve('typescript/package.json')), 'bin', 'tsc');
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
await copyDriver();
await chmod(join(dist, 'cli', 'cli.js'), 0o755);

/** The door `/postgres-js`: the files of the installed driver, which the repository's `patches` mend, in place of the module that imports it. */
async function copyDriver() {
  const source = join(dirname(resolve('postgres')), '../../src');
  const target = join(dist, 'postgres-js');
  for (const name of await readdir(source)) await cp(join(source, name), join(target, name));
  await cp(join(root, 'postgres-js', 'UNLICENSE'), join(target, 'UNLICENSE'));
  const { driverFault } = await import(pathToFileURL(join(dist, 'postgres', 'driver-check.js')).href);
  const { default: driver } = await import(pathToFileURL(join(target, 'index.js')).href);
  const fault = await driverFault(driver);
  if (fault === undefined) return;
  console.error(`The installed postgres is not mended, it ${fault}: run npx patch-package.`);
  process.exit(1);
}
