/** The log: one JSON object a line on stderr, so that a command's stdout is its result and nothing else. */
import { destination, type Logger, pino } from 'pino';

export type Log = Logger;

export function createLog(level: string): Log {
  return pino({ level, redact: ['authorization', '*.authorization'] }, destination(2));
}
