/** Says why a process did not start. */
import { ConfigError } from './config-error.js';
import { createLog } from './log.js';
import { WorkerNotStarted } from './worker-pool.js';

/** In production one line of JSON, whatever LOG_LEVEL is; else what a person at a terminal can read. */
export function reportFailedStart(error: unknown, { production }: { production: boolean }): void {
  const known = error instanceof ConfigError || error instanceof WorkerNotStarted;
  if (!production) console.error(known ? error.message : error);
  else if (known) createLog('fatal').fatal({ code: error.code }, error.message);
  else createLog('fatal').fatal({ err: error }, 'the start failed');
}
