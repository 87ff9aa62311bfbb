/** Lines about what is slow, so few that a server on which everything is slow is not slowed by its log. */
import { systemClock } from '../engine/cache/index.js';
import type { SlowStatements } from '../engine/postgres/index.js';
import { cutText } from '../std/cut-text.js';
import { SECOND } from '../std/time.js';
import type { Log } from './log.js';

const LINES_PER_SECOND = 10;
const MAX_STATEMENT_CHARS = 4000;

/** @returns logs a line; the next line after some were left out has their number as `omitted` */
export function slowLog(log: Log, message: string, clock = systemClock): (fields: object) => void {
  let secondEndsMs = 0;
  let lines = 0;
  let omitted = 0;
  return (fields) => {
    const nowMs = clock.monotonicMs();
    if (nowMs >= secondEndsMs) {
      secondEndsMs = nowMs + SECOND;
      lines = 0;
    }
    if (lines === LINES_PER_SECOND) {
      omitted++;
      return;
    }
    lines++;
    log.warn({ ...fields, ...(omitted > 0 && { omitted }) }, message);
    omitted = 0;
  };
}

/** Values of a statement are not part of its text. */
export function slowStatements(fromMs: number, log: Log): SlowStatements {
  const logSlow = slowLog(log, 'slow statement');
  return {
    fromMs,
    report: ({ text, ms }) => logSlow({ statement: cutText(text, MAX_STATEMENT_CHARS), ms: Math.round(ms) }),
  };
}
