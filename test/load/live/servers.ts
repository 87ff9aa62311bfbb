/** The servers that are measured: this one, in processes on Postgres and Redis, and the in-memory live query library in one process. */
import { mkdtemp, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { DEFAULT_LIMITS } from '../../../src/platform/subscription-limits.js';
import { signToken } from '../../../src/server/auth/tokens.js';
import type { Reaper } from '../../chaos/reaper.js';
import type { Usage } from '../api-options.js';
import { ApiProcess } from '../api-process.js';
import { NEAR_CACHE_BYTES, startBackends, TOKENS } from '../world.js';
import { insertLiveData, type LiveData } from './data.js';
import type { LiveOptions } from './options.js';

export interface LiveServers {
  readonly processes: readonly ApiProcess[];
  /** Of the data's users, in their order. */
  readonly tokens: readonly string[];
  stop(): Promise<void>;
}

interface StartOptions {
  readonly data: LiveData;
  readonly options: LiveOptions;
  readonly databaseUrl: string;
  readonly reaper: Reaper;
}

/** All clients have one address here, and begin at once. */
const LIMITS = {
  ...DEFAULT_LIMITS,
  maxConnections: 100_000,
  maxConnectionsPerAddress: 100_000,
  maxUnauthenticated: 100_000,
  maxUnauthenticatedPerAddress: 100_000,
};

export async function startOurs({ data, options, databaseUrl, reaper }: StartOptions): Promise<LiveServers> {
  const backends = await startBackends({ databaseUrl, reaper, fill: (tx) => insertLiveData(tx, data) });
  const api = { ...backends.api, nearCacheBytes: NEAR_CACHE_BYTES, subscriptionLimits: LIMITS };
  const start = () => ApiProcess.start(api, reaper);
  const processes = await Promise.all(Array.from({ length: options.processes }, start));
  return {
    processes,
    tokens: await Promise.all(data.users.map(({ id }) => signToken(TOKENS, id, '12h'))),
    async stop() {
      await Promise.all(processes.map((one) => one.stop()));
      await backends.stop();
    },
  };
}

/** From the root of the repository, where `npm run` starts programs. */
const LIBRARY = resolve('bench/contenders/live-library.ts');
const LIBRARY_PACKAGE = resolve('bench/node_modules/@n1ru4l/in-memory-live-query-store/package.json');

/** Without it the part about the library is left out. */
export function libraryIsInstalled(): Promise<boolean> {
  return stat(LIBRARY_PACKAGE).then(
    () => true,
    () => false,
  );
}

/** One process, whose data is in its memory: no database, no tokens, no rights. */
export async function startLibrary({ data, reaper }: Pick<StartOptions, 'data' | 'reaper'>): Promise<LiveServers> {
  const dir = await mkdtemp(join(tmpdir(), 'tasks-load-library-'));
  reaper.removes(dir);
  const file = join(dir, 'data.json');
  await writeFile(file, JSON.stringify(data));
  const library = await ApiProcess.startProgram(LIBRARY, { LIVE_DATA: file }, reaper);
  return { processes: [library], tokens: data.users.map(({ handle }) => handle), stop: () => library.stop() };
}

/** Of all processes together. */
export async function usageOf({ processes }: LiveServers): Promise<Usage> {
  const all = await Promise.all(processes.map((one) => one.usage()));
  const sum = (of: (usage: Usage) => number) => all.reduce((total, one) => total + of(one), 0);
  return { cpuMs: sum(({ cpuMs }) => cpuMs), memoryBytes: sum(({ memoryBytes }) => memoryBytes) };
}
