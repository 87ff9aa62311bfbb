/** The build of this run, for tests that start processes: a compiled server or command starts with half the CPU that tsx takes. */
import { execFile } from 'node:child_process';
import { cp, mkdir, readFile, rename, stat, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { inject, vi } from 'vitest';
import { MINUTE } from '../../src/std/time.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const SOURCES = ['package.json', 'tsconfig.json', 'tsconfig.build.json', 'scripts', 'src'];
const NOT_COPIED = /[\\/](dist|node_modules)$/;

/**
 * A folder with `dist`, made by `npm run build` from a copy of the sources: the `dist` of a developer stays as it is. The first worker
 * that asks makes it; the others wait. Setup removes it.
 */
export async function built(): Promise<string> {
  const folder = inject('buildFolder');
  const done = join(folder, 'done');
  const building = join(folder, 'building');
  const isFirst = await mkdir(join(folder, 'taken')).then(
    () => true,
    () => false,
  );
  if (!isFirst) {
    await vi.waitFor(() => stat(done), { timeout: 2 * MINUTE, interval: 50 });
    return done;
  }
  for (const name of SOURCES) {
    await cp(join(ROOT, name), join(building, name), { recursive: true, filter: (path) => !NOT_COPIED.test(path) });
  }
  await symlink(join(ROOT, 'node_modules'), join(building, 'node_modules'));
  const { scripts } = JSON.parse(await readFile(join(building, 'package.json'), 'utf8'));
  const [, script = ''] = (scripts.build as string).split(' ');
  await promisify(execFile)(process.execPath, [join(building, script)], { cwd: building });
  await rename(building, done);
  return done;
}
