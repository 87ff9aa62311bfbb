/**
 * Calls back at the same time of each second of the clock, so that processes that count for a second each count for the
 * same one.
 */
import { SECOND } from '../../std/time.js';

/** @param offsetMs after the start of each second. @returns what ends it */
export function everySecond(offsetMs: number, work: () => void): () => void {
  let timer: NodeJS.Timeout;
  const untilNextMs = () => SECOND - ((Date.now() - offsetMs) % SECOND);
  const schedule = () => {
    const leftMs = untilNextMs();
    // Not less than half a second: timers may fire a little early.
    timer = setTimeout(run, leftMs < SECOND / 2 ? leftMs + SECOND : leftMs);
  };
  const run = () => {
    schedule();
    work();
  };
  timer = setTimeout(run, untilNextMs());
  return () => clearTimeout(timer);
}
