/** Log lines about connections that are refused: at most one a minute, since an attack would fill the log. */
import type { Log } from '../../platform/log.js';
import { MINUTE } from '../../std/time.js';

const EVERY_MS = MINUTE;

/** What is full: the part of one address, or the process. */
export type Full = 'address' | 'process';

/** @param what the kind of connections, in the plural */
export function refusalLog(log: Log, what: string): (full: Full, address: string) => void {
  let silentUntilMs = 0;
  return (full, address) => {
    if (Date.now() < silentUntilMs) return;
    silentUntilMs = Date.now() + EVERY_MS;
    const hint = `an address has as many ${what} as it may have: if it is that of a proxy, name it in TRUST_PROXY`;
    log.warn({ address }, full === 'address' ? hint : `this process has as many ${what} as it may have`);
  };
}
