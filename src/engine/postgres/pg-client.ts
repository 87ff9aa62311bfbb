/**
 * pg: what the relay uses of postgres.js, over it (tagged templates with parameters, fragments and identifiers), and
 * what an application's pool lacks.
 */
import type { Sql } from 'postgres';
import { SECOND, systemClock } from '../cache/time.js';

const DEFAULT_END_S = 5;

/** What is used of a pool of pg. */
export interface PgPool {
  readonly options: { readonly max?: number; readonly password?: unknown; readonly ssl?: unknown };
  query(text: string, values: readonly unknown[]): Promise<{ readonly rows: unknown[] }>;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'acquire', listener: (client: PgPoolClient) => void): unknown;
  on(event: 'release', listener: (error: unknown, client: PgPoolClient) => void): unknown;
  end(): Promise<void>;
}

interface PgPoolClient {
  release(broken: boolean): void;
  on(event: 'error' | 'end', listener: () => void): unknown;
}

/** Of each pool that has been guarded: its clients that have been met. */
const guarded = new WeakMap<PgPool, WeakSet<PgPoolClient>>();

/**
 * Keeps the death of a connection from doing more than failing its statements. A client of pg that is in use emits
 * `error`, to which neither the pool nor Drizzle listens, and Node ends the process. And a transaction of Drizzle whose
 * BEGIN fails never gives its client back, so the pool has one less until all callers wait for ever.
 */
export function guardPool(pool: PgPool): void {
  if (guarded.has(pool)) return;
  const met = new WeakSet<PgPoolClient>();
  guarded.set(pool, met);
  const inUse = new WeakSet<PgPoolClient>();
  pool.on('error', () => {}); // of a connection that no one uses: the pool replaces it
  pool.on('release', (_, client) => inUse.delete(client));
  pool.on('acquire', (client) => {
    inUse.add(client);
    if (met.has(client)) return;
    met.add(client);
    client.on('error', () => {}); // its statements fail with it
    client.on('end', () => {
      if (!inUse.has(client)) return;
      client.release(true);
      client.release = () => {}; // Drizzle's own call, where it comes, is the second one
    });
  });
}

/** SQL that becomes part of a statement as it is. */
class Fragment {
  constructor(readonly text: string) {}
}

/**
 * A client with one connection to the database of `pool`, opened when it is used. It covers the statements of
 * outbox.ts, triggers.ts and database-identity.ts, no more.
 */
export function pgClient(pool: PgPool): Sql {
  const { options } = pool;
  const Pool = pool.constructor as new (options: object) => PgPool;
  // pg hides the password from spreads.
  const own = new Pool({ ...options, password: options.password, ssl: options.ssl, max: 1, allowExitOnIdle: true });
  own.on('error', () => {}); // of an idle connection; each statement reports its own
  const client = (first: TemplateStringsArray | string, ...values: unknown[]) => {
    if (typeof first === 'string') return new Fragment(identifier(first));
    const parameters: unknown[] = [];
    const text = first.reduce((before, part, i) => `${before}${placed(values[i - 1], parameters)}${part}`);
    return own.query(text, parameters).then(({ rows }) => rows);
  };
  const unsafe = (text: string) => new Fragment(text);
  // Unlike pg's `end`, this waits a bounded time for statements under way: their server may not answer.
  const end = ({ timeout = DEFAULT_END_S }: { timeout?: number } = {}) =>
    Promise.race([own.end().catch(() => {}), systemClock.sleep(timeout * SECOND)]);
  return Object.assign(client, { unsafe, end }) as unknown as Sql;
}

function placed(value: unknown, parameters: unknown[]): string {
  if (value instanceof Fragment) return value.text;
  return `$${parameters.push(value)}`;
}

function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
