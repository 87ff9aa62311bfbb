/**
 * Records the servers that run on a checkout, in one file per process. A second server therefore does not overwrite or
 * remove the file through which commands find the first one.
 */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RedisPlace } from '../engine/redis/index.js';

export interface Running {
  readonly pid: number;
  readonly startedAtMs: number;
  readonly databaseUrl: string;
  /** Whether it runs the PostgreSQL of the checkout's data directory, which a command would otherwise start. */
  readonly ownsPostgres: boolean;
  /** Absent: the cache is in the server's process. */
  readonly redis?: RedisPlace;
  /** Prefix of its keys in Redis. */
  readonly redisGroup: string;
}

/** @returns a function that removes the file */
export async function noteRunning(directory: string, running: Running): Promise<() => Promise<void>> {
  const file = join(directory, `${running.pid}.json`);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await writeFile(file, JSON.stringify(running), { mode: 0o600 });
  return () => rm(file, { force: true });
}

/**
 * The server that a command joins: the one that runs the checkout's PostgreSQL, else the most recent.
 * @param databaseUrl only servers on this database; undefined: on any
 */
export async function findRunning(directory: string, databaseUrl?: string): Promise<Running | undefined> {
  const names = await readdir(directory).catch(() => []);
  const found = await Promise.all(names.map((name) => read(join(directory, name))));
  const alive = found
    .filter((running) => running !== undefined)
    .filter((running) => databaseUrl === undefined || running.databaseUrl === databaseUrl);
  const [first] = alive.sort(
    (a, b) => Number(b.ownsPostgres) - Number(a.ownsPostgres) || b.startedAtMs - a.startedAtMs,
  );
  return first;
}

async function read(file: string): Promise<Running | undefined> {
  try {
    const running = JSON.parse(await readFile(file, 'utf8')) as Running;
    process.kill(running.pid, 0); // throws if the process has ended: a crash left the file
    return running;
  } catch {
    await rm(file, { force: true }).catch(() => {});
    return undefined;
  }
}
