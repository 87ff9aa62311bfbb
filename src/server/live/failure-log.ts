/** Logs failed runs of live queries: at most one line a minute, because in an outage all of them fail. */
import type { LiveRunEnded } from '../../engine/cache/index.js';
import { causeOf, isUnauthenticated } from '../../graphql/errors.js';
import type { Log } from '../../platform/log.js';
import { MINUTE } from '../../std/time.js';

const EVERY_MS = MINUTE;

export function failureLog(log: Log): (run: Pick<LiveRunEnded, 'result' | 'error'>) => void {
  let silentUntilMs = 0;
  return ({ result, error }) => {
    if (result !== 'failed' || isUnauthenticated(causeOf(error))) return; // a deleted viewer is no fault
    if (Date.now() < silentUntilMs) return;
    silentUntilMs = Date.now() + EVERY_MS;
    log.error({ err: causeOf(error) }, 'live queries could not be answered; they are tried again');
  };
}
