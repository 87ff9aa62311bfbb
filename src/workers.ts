/** The primary process of several (WORKERS): it has the services of development, and serves nothing itself. */
import type { Services } from './development/services.js';
import type { Config } from './platform/config.js';
import { ConfigError } from './platform/config-error.js';
import { addressOf } from './platform/config-words.js';
import type { Log } from './platform/log.js';
import { CUT_MS, type Shutdown, type ShutdownLimits } from './platform/shutdown.js';
import { FLUSH_MS } from './platform/telemetry.js';
import { WorkerPool } from './platform/worker-pool.js';
import { SECOND } from './std/time.js';

/** A worker ends by the same limits; then it cuts connections, sends its last spans, and its last metrics. */
const KILL_AFTER_MS = CUT_MS + FLUSH_MS + 2 * SECOND;

/** The limits of the primary process: workers that have not ended by theirs are killed. */
export function primaryLimits({ delayMs, timeoutMs }: ShutdownLimits): ShutdownLimits {
  return { delayMs, timeoutMs: timeoutMs + KILL_AFTER_MS };
}

export interface StartWorkersOptions {
  readonly config: Config;
  readonly services: Services;
  readonly log: Log;
  readonly shutdown: Shutdown;
  /** Ends this process with exit code 1. */
  readonly onGivenUp: () => void;
}

/**
 * @returns the URL at which the workers listen, and their metrics together
 * @throws ConfigError, WorkerNotStarted
 */
export async function startWorkers({ config, services, log, shutdown, onGivenUp }: StartWorkersOptions) {
  if (services.redis === undefined) {
    throw new ConfigError(
      'WORKERS: expected 1 without Redis, since processes share their cache there: set REDIS_URL, or install redis-server',
    );
  }
  const pool = new WorkerPool({ count: config.workers, env: startedServices(config, services), log, onGivenUp });
  shutdown.add({
    async stop() {
      if (!(await pool.stop())) process.exitCode = 1;
    },
    cut: () => pool.kill(),
  });
  const address = await pool.start();
  shutdown.add({ drain: () => pool.drain(), stop: async () => {} }); // before, there is nothing to drain
  return { url: `http://${addressOf(address)}`, metricsText: pool.metricsText };
}

/** The variables of what this process has started or made, and workers must share. */
function startedServices(config: Config, { databaseUrl, redis, tokens }: Services): Record<string, string> {
  return {
    ...(config.databaseUrl === undefined && { DATABASE_URL: databaseUrl }),
    ...(config.redis === undefined && redis !== undefined && 'url' in redis && redis.url && { REDIS_URL: redis.url }),
    ...(config.tokens === undefined && tokens.kind === 'secret' && { JWT_SECRET: tokens.secret }),
  };
}
