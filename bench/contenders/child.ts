/** What every contender's process has: what it is told, that it is ready, and what it has used since it began. It ends with the bench. */
import type { Server } from 'node:http';

export interface ChildOptions {
  readonly databaseUrl: string;
  readonly redisUrl: string;
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
  /** As Drizzle issued them; BEGIN and COMMIT are not among them, nor are the relay's. */
  readonly statements: number;
}

export type FromChild = { readonly kind: 'ready'; readonly port: number } | ({ readonly kind: 'usage' } & Usage);

export const options = JSON.parse(process.env['BENCH_CHILD'] ?? '{}') as ChildOptions;

let statements = 0;
export const onStatement = () => {
  statements++;
};

const tell = (message: FromChild) => process.send?.(message);

process.on('message', () => {
  const { user, system } = process.cpuUsage();
  tell({ kind: 'usage', cpuMs: (user + system) / 1000, rssBytes: process.memoryUsage.rss(), statements });
});
process.on('disconnect', () => process.exit());

/** Tells the bench that a server listens. */
export function ready(server: Server): void {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new TypeError('expected the address of a TCP socket');
  tell({ kind: 'ready', port: address.port });
}
