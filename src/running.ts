/**
 * Which servers run on a checkout: one file each, named by its process, so that a second one neither overwrites nor removes what
 * commands find the first one by.
 */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface Running {
  readonly pid: number;
  readonly startedAtMs: number;
  readonly databaseUrl: string;
  /** Its PostgreSQL is the one in the checkout's data, which a command would otherwise start. */
  readonly ownsPostgres: boolean;
  /** Its private Redis, if it has one. */
  readonly redisUrl?: string;
}

/** @returns removes the note */
export async function noteRunning(directory: string, running: Running): Promise<() => Promise<void>> {
  const file = join(directory, `${running.pid}.json`);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await writeFile(file, JSON.stringify(running), { mode: 0o600 });
  return () => rm(file, { force: true });
}

/** The server that a command joins: the one with the checkout's own PostgreSQL, else the latest. */
export async function findRunning(directory: string): Promise<Running | undefined> {
  const names = await readdir(directory).catch(() => []);
  const found = await Promise.all(names.map((name) => read(join(directory, name))));
  const alive = found.filter((running) => running !== undefined);
  const [first] = alive.sort(
    (a, b) => Number(b.ownsPostgres) - Number(a.ownsPostgres) || b.startedAtMs - a.startedAtMs,
  );
  return first;
}

async function read(file: string): Promise<Running | undefined> {
  try {
    const running = JSON.parse(await readFile(file, 'utf8')) as Running;
    process.kill(running.pid, 0); // throws when that process is gone: the file was left by a crash
    return running;
  } catch {
    await rm(file, { force: true }).catch(() => {});
    return undefined;
  }
}
