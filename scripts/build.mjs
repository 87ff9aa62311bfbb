/**
 * `npm run build`: src → dist. Compiles, then copies what the compiled files read at run time (Lua, SQL, the journal of
 * migrations) to the same places, and bundles the console. dist begins empty, so that it never holds a file whose source is gone.
 */
import { spawnSync } from 'node:child_process';
import { chmod, cp, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
/** Of the engine as a package of its own. */
const PACKAGE = /[\\/]engine[\\/](dist|.*\.json)$/;
const ASSETS = new Set(['.lua', '.sql', '.json', '.graphql', '.html']);

await rm(join(root, 'dist'), { recursive: true, force: true });

const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc');
// What else is given is for tsc: with --noCheck it takes a third of the time.
const compiled = spawnSync(process.execPath, [tsc, '--project', 'tsconfig.build.json', ...process.argv.slice(2)], {
  cwd: root,
  stdio: 'inherit',
});
if (compiled.status !== 0) process.exit(compiled.status ?? 1);

await cp(join(root, 'src'), join(root, 'dist'), {
  recursive: true,
  filter: async (path) => !PACKAGE.test(path) && ((await stat(path)).isDirectory() || ASSETS.has(extname(path))),
});
await removeEmpty(join(root, 'dist'));
await buildConsole();
/** The `bin` of package.json: a link to it can be run. */
await chmod(join(root, 'dist', 'cli', 'tasks.js'), 0o755);

async function buildConsole() {
  const { bundleConsole, SCRIPT_FILE, STYLE_FILE } = await import('../dist/server/http/console-bundle.js');
  const { script, style } = await bundleConsole(join(root, 'src', 'server', 'console', 'main.tsx'));
  const folder = join(root, 'dist', 'server', 'console');
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, SCRIPT_FILE), script);
  await writeFile(join(folder, STYLE_FILE), style);
}

/** A folder that holds only types compiles to nothing, and cp makes every folder. */
async function removeEmpty(dir) {
  const entries = await readdir(dir, { withFileTypes: true });
  for (const entry of entries) if (entry.isDirectory()) await removeEmpty(join(dir, entry.name));
  if ((await readdir(dir)).length === 0) await rm(dir, { recursive: true });
}
