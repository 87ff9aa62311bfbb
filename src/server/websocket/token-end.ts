/** Ends connections with their tokens. */
import type { Identity } from '../../graphql/identity.js';
import { DAY } from '../../std/time.js';

/**
 * Calls `end` when the token has expired: at once if it has already.
 * @returns a function that cancels the wait
 */
export function whenTokenEnds({ expiresAtMs }: Pick<Identity, 'expiresAtMs'>, end: () => void): () => void {
  let timer: NodeJS.Timeout | undefined;
  const wait = () => {
    const leftMs = expiresAtMs - Date.now();
    if (leftMs <= 0) end();
    else timer = setTimeout(wait, Math.min(leftMs, DAY)); // a timer runs for at most 24 days, a token maybe for longer
  };
  wait();
  return () => clearTimeout(timer);
}
