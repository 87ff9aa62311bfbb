/** The servers that a command uses: those of its environment, of a server that runs in this directory, or its own. */
import { checkDatabase } from '../database-check.js';
import { prepareDemo } from '../development/demo/prepare.js';
import { joinServices, type Services } from '../development/services.js';
import type { Config } from '../platform/config.js';
import { createLog, type Log } from '../platform/log.js';

/** Outside production the database is migrated first. */
export async function withServices<T>(config: Config, run: (services: Services, log: Log) => Promise<T>): Promise<T> {
  const log = createLog(config.logLevel);
  const migrates = config.environment !== 'production';
  if (config.databaseUrl !== undefined) await checkDatabase(config.databaseUrl, log, { migrates });
  const services = await joinServices(config);
  try {
    if (migrates) await prepareDemo(services);
    return await run(services, log);
  } finally {
    await services.stop();
  }
}
