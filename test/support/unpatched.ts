/** The driver as it is published: a copy of the installed one with `patches/` taken back. */
import { execFile } from 'node:child_process';
import { cp, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** Makes `dir/node_modules/postgres`, and beside it what patch-package needs to run there. */
export async function putUnpatchedDriver(dir: string): Promise<void> {
  await mkdir(join(dir, 'node_modules'), { recursive: true });
  for (const name of ['package.json', 'package-lock.json', 'patches', 'node_modules/postgres']) {
    await cp(join(ROOT, name), join(dir, name), { recursive: true });
  }
  await patchPackage(dir, '--reverse');
}

export async function patchPackage(dir: string, ...args: string[]): Promise<void> {
  const command = join(ROOT, 'node_modules/patch-package/index.js');
  await promisify(execFile)(process.execPath, [command, '--error-on-fail', ...args], { cwd: dir });
}
