/**
 * What tests start as processes, compiled once in a run: with tsx a start takes twice the CPU. It is in a folder that setup removes: the
 * `dist` of a developer stays as it is. The first worker that asks makes it; the others wait.
 */
import { execFile } from 'node:child_process';
import { cp, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { inject, vi } from 'vitest';
import { MINUTE } from '../../src/std/time.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const NOT_COPIED = /[\\/](dist|node_modules)$/;
const node = (script: string, args: readonly string[], cwd: string) =>
  promisify(execFile)(process.execPath, [script, ...args], { cwd });

/** A folder with `dist`, as `npm run build` makes it. */
export function built(): Promise<string> {
  return once('built', async (folder) => {
    await copied(folder, ['package.json', 'tsconfig.json', 'tsconfig.build.json', 'scripts', 'src']);
    const { scripts } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
    const [, script = ''] = (scripts.build as string).split(' ');
    await node(join(folder, script), ['--noCheck'], folder); // `npm run types` checks
  });
}

const PROGRAMS = [
  'test/chaos/run.ts',
  'test/chaos/api-child.ts',
  'test/invalidation/crash-child.ts',
  'test/api/webhook-child.ts',
  'test/load/run.ts',
  'test/load/api.ts',
  'test/load/live/clients.ts',
];

/** A folder with `test` and `src`, in which the programs that tests start are compiled. */
export function compiledPrograms(): Promise<string> {
  return once('programs', async (folder) => {
    await copied(folder, ['package.json', 'src'], (path) => extname(path) !== '.ts');
    const tsconfig = join(folder, 'tsconfig.json');
    const compilerOptions = { noEmit: false, noCheck: true, types: [], rootDir: ROOT, outDir: folder };
    const files = PROGRAMS.map((file) => join(ROOT, file));
    await writeFile(
      tsconfig,
      JSON.stringify({ extends: join(ROOT, 'tsconfig.json'), compilerOptions, include: [], files }),
    );
    const compiler = dirname(createRequire(import.meta.url).resolve('typescript/package.json'));
    await node(join(compiler, 'bin', 'tsc'), ['--project', tsconfig], folder);
  });
}

/** The engine as `npm pack` packs it: the path of its tarball. */
export async function packedEngine(): Promise<string> {
  const folder = await once('packed', async (folder) => {
    const filter = (path: string) => !NOT_COPIED.test(path);
    await cp(join(ROOT, 'src/engine'), join(folder, 'src/engine'), { recursive: true, filter });
    await copied(folder, ['tsconfig.json']);
    await promisify(execFile)('npm', ['pack', '--pack-destination', folder], { cwd: join(folder, 'src/engine') });
  });
  const tarball = (await readdir(folder)).find((name) => name.endsWith('.tgz'));
  return join(folder, tarball as string);
}

async function once(name: string, make: (folder: string) => Promise<void>): Promise<string> {
  const folder = join(inject('buildFolder'), name);
  const done = `${folder}.done`;
  const isFirst = await mkdir(folder).then(
    () => true,
    () => false,
  );
  if (isFirst) {
    await make(folder);
    await writeFile(done, '');
  } else {
    await vi.waitFor(() => stat(done), { timeout: 2 * MINUTE, interval: 50 });
  }
  return folder;
}

async function copied(folder: string, names: readonly string[], isCopied = (_: string) => true): Promise<void> {
  const filter = (path: string) => !NOT_COPIED.test(path) && isCopied(path);
  for (const name of names) await cp(join(ROOT, name), join(folder, name), { recursive: true, filter });
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
}
