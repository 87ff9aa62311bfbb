/** What every contender's process has: what it is told, that it is ready, and what it has used since it began. It ends with the bench. */
import { writeFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import { Session } from 'node:inspector/promises';

export interface ChildOptions {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  /** Present: Redis is a Cluster, and these are its shards. */
  readonly clusterNodes?: string | undefined;
  /** A variant, by the contender: `cached`, `uncached`, … */
  readonly mode: string;
  readonly jwtSecret: string;
  /** What the limits answer: whole answers of this API, by the kind of the operation. */
  readonly answers: Readonly<Record<string, string>>;
}

export interface Usage {
  /** User and system, all threads. */
  readonly cpuMs: number;
  readonly rssBytes: number;
  /** The heap, and what lies outside of it; with --expose-gc after a collection of what is no longer used. */
  readonly memoryBytes: number;
  /** As Drizzle issued them; BEGIN and COMMIT are not among them, nor are the relay's. */
  readonly statements: number;
}

export type FromChild =
  | { readonly kind: 'ready'; readonly port: number }
  | ({ readonly kind: 'usage' } & Usage)
  | { readonly kind: 'profiled' };

/** `profile`: from now on, or when it is told again, what has been seen since is written to `file`. */
export type ToChild = { readonly kind: 'usage' } | { readonly kind: 'profile'; readonly file: string };

export const options = JSON.parse(process.env['BENCH_CHILD'] ?? '{}') as ChildOptions;

let statements = 0;
export const onStatement = () => {
  statements++;
};

const tell = (message: FromChild) => process.send?.(message);

process.on('message', (message: ToChild) => {
  if (message.kind === 'profile') return void profile(message.file);
  globalThis.gc?.();
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed, external } = process.memoryUsage();
  const memoryBytes = heapUsed + external;
  tell({ kind: 'usage', cpuMs: (user + system) / 1000, rssBytes: rss, memoryBytes, statements });
});

const SAMPLE_US = 200;
let inspector: Session | undefined;

async function profile(file: string): Promise<void> {
  if (inspector === undefined) {
    inspector = new Session();
    inspector.connect();
    await inspector.post('Profiler.enable');
    await inspector.post('Profiler.setSamplingInterval', { interval: SAMPLE_US });
    await inspector.post('Profiler.start');
  } else {
    const { profile } = await inspector.post('Profiler.stop');
    inspector.disconnect();
    inspector = undefined;
    await writeFile(file, JSON.stringify(profile));
  }
  tell({ kind: 'profiled' });
}

process.on('disconnect', () => process.exit());

/** Tells the bench that a server listens. */
export function ready(server: Server): void {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new TypeError('expected the address of a TCP socket');
  tell({ kind: 'ready', port: address.port });
}
