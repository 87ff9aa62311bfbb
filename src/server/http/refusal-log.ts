/** Logs refused connections: at most one line a minute, because an attack would fill the log. */
import type { Log } from '../../platform/log.js';
import { MINUTE } from '../../std/time.js';

const EVERY_MS = MINUTE;

/** Which limit was reached: that of the address or of the process. */
export type Full = 'address' | 'process';

/** @param what the kind of connections, in the plural */
export function refusalLog(log: Log, what: string): (full: Full, address: string) => void {
  let silentUntilMs = 0;
  return (full, address) => {
    if (Date.now() < silentUntilMs) return;
    silentUntilMs = Date.now() + EVERY_MS;
    const hint = `an address has reached its limit of ${what}: if it is a proxy, add it to TRUST_PROXY`;
    log.warn({ address }, full === 'address' ? hint : `this process has reached its limit of ${what}`);
  };
}
