/** What a command writes with. */
import { createCore, openStore } from '../core.js';
import type { Services } from '../development/services.js';
import type { Config } from '../platform/config.js';
import { withServices } from './with-services.js';

/**
 * A running server shows a command's writes at once. Without Redis the store is not shared: a server with its cache in
 * its own process learns of them from its relay.
 */
export function withCore<T>(
  config: Config,
  run: (core: ReturnType<typeof createCore>, services: Services) => Promise<T>,
): Promise<T> {
  return withServices(config, async (services, log) => {
    const store = await openStore(services.redis, log, { group: services.redisGroup });
    const core = createCore({ databaseUrl: services.databaseUrl, store, log, checkCoverage: false });
    try {
      return await run(core, services);
    } finally {
      await core.close();
    }
  });
}
