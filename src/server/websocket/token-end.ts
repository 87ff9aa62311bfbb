/** Connections live no longer than their tokens. */
import type { Identity } from '../../graphql/identity.js';
import { DAY } from '../../std/time.js';

/**
 * Calls back when the token has expired; at once if it has already.
 * @returns a function that cancels it
 */
export function whenTokenEnds({ expiresAtMs }: Pick<Identity, 'expiresAtMs'>, end: () => void): () => void {
  let timer: NodeJS.Timeout | undefined;
  const wait = () => {
    const leftMs = expiresAtMs - Date.now();
    if (leftMs <= 0) end();
    else timer = setTimeout(wait, Math.min(leftMs, DAY)); // a timer can run for 24 days, a token be valid for longer
  };
  wait();
  return () => clearTimeout(timer);
}
