/**
 * Calls back at the same time of each second of the clock, so that processes that count for a second each count for the
 * same one.
 */
import { SECOND } from '../../std/time.js';

/** @param offsetMs after the start of each second. @returns what ends it */
export function everySecond(offsetMs: number, work: () => void): () => void {
  let timer: NodeJS.Timeout;
  const schedule = () => {
    // Not less than half a second: timers may fire a little early.
    const leftMs = SECOND - ((Date.now() - offsetMs) % SECOND);
    timer = setTimeout(run, leftMs < SECOND / 2 ? leftMs + SECOND : leftMs);
  };
  const run = () => {
    schedule();
    work();
  };
  const firstMs = SECOND - ((Date.now() - offsetMs) % SECOND);
  timer = setTimeout(run, firstMs);
  return () => clearTimeout(timer);
}
