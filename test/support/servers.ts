/** The servers of this worker, on which its files run one after the other. */
import { inject } from 'vitest';
import type { Servers } from './services.js';

/** A database of a server on which more may be created. */
export const databaseUrl = (): string => mine().databaseUrl;
export const redisUrl = (): string => mine().redisUrl;
/** The name of a migrated database on that server, if there is one to copy. */
export const migratedTemplate = (): string | undefined => mine().template;

function mine(): Servers {
  const worker = Number(process.env.VITEST_POOL_ID);
  const servers = inject('servers')[worker - 1];
  if (servers === undefined) throw new Error(`worker ${worker} has no servers: is this file among the unit tests?`);
  return servers;
}
