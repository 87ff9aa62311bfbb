/** Says why a process did not start. */
import { ConfigError } from './config-error.js';
import { createLog } from './log.js';

/** In production one line of JSON, whatever LOG_LEVEL is; else what a person at a terminal can read. */
export function reportFailedStart(error: unknown, { production }: { production: boolean }): void {
  if (!production) console.error(error instanceof ConfigError ? error.message : error);
  else if (error instanceof ConfigError) createLog('fatal').fatal({ code: error.code }, error.message);
  else createLog('fatal').fatal({ err: error }, 'the start failed');
}
