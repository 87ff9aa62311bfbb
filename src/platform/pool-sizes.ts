/** How many connections to Postgres one process opens for requests, and how many loads it runs at once. */
import { z } from 'zod';
import {
  BESIDE_POOLS,
  DEFAULT_POOLS,
  type PoolSizes,
  parseConnectionUrl,
  poolsWithin,
} from '../engine/postgres/index.js';

const MAX_POOL = 500;
const connections = () => {
  const expected = `expected a number of connections, 1 to ${MAX_POOL}`;
  return z.coerce.number(expected).int(expected).min(1, expected).max(MAX_POOL, expected).optional();
};

export const poolVariables = {
  DATABASE_READ_CONNECTIONS: connections(),
  DATABASE_WRITE_CONNECTIONS: connections(),
  MAX_LOADS: z.coerce
    .number('expected a number of loads')
    .int('expected a whole number')
    .min(1, 'expected at least 1')
    .optional(),
};

interface Given {
  readonly DATABASE_URL?: string | undefined;
  readonly DATABASE_READ_CONNECTIONS?: number | undefined;
  readonly DATABASE_WRITE_CONNECTIONS?: number | undefined;
  readonly MAX_LOADS?: number | undefined;
}

/** A load has a connection: one that waited for it in the driver's pool would wait outside of its viewer's line. */
export function poolConfig(v: Given): { readonly pools: PoolSizes; readonly maxLoads: number } {
  const limit = limitOf(v);
  const { reads: usual, writes: share } = limit === undefined ? DEFAULT_POOLS : poolsWithin(limit);
  const writes = v.DATABASE_WRITE_CONNECTIONS ?? share;
  const left = limit === undefined ? Math.max(usual, v.MAX_LOADS ?? 0) : Math.max(1, limit - BESIDE_POOLS - writes);
  const reads = v.DATABASE_READ_CONNECTIONS ?? left;
  const maxLoads = v.MAX_LOADS ?? v.DATABASE_READ_CONNECTIONS ?? Math.min(reads, DEFAULT_POOLS.reads);
  return { pools: { reads, writes }, maxLoads };
}

export function poolFaults(v: Given): string[] {
  const limit = limitOf(v);
  const { pools, maxLoads } = poolConfig(v);
  const faults: string[] = [];
  if (maxLoads > pools.reads) {
    faults.push(
      `MAX_LOADS: expected at most ${pools.reads}, the connections for reads ` +
        '(DATABASE_READ_CONNECTIONS, or what connection_limit of DATABASE_URL leaves for them)',
    );
  }
  const chosen = v.DATABASE_READ_CONNECTIONS !== undefined || v.DATABASE_WRITE_CONNECTIONS !== undefined;
  if (chosen && limit !== undefined && pools.reads + pools.writes + BESIDE_POOLS > limit) {
    faults.push(
      `DATABASE_READ_CONNECTIONS, DATABASE_WRITE_CONNECTIONS: expected at most ${limit - BESIDE_POOLS} together, since ` +
        `connection_limit of DATABASE_URL is ${limit} and ${BESIDE_POOLS} are for invalidation`,
    );
  }
  return faults;
}

function limitOf({ DATABASE_URL: url }: Given): number | undefined {
  return url === undefined ? undefined : parseConnectionUrl(url).maxConnections;
}
