/** A log whose lines a test reads. */
import { pino } from 'pino';
import type { Log } from '../../src/platform/log.js';

export interface Line {
  readonly msg: string;
  readonly requestId?: string;
  readonly err?: { readonly message: string };
  readonly [field: string]: unknown;
}

export function readableLog(): { log: Log; lines: Line[] } {
  const lines: Line[] = [];
  return { log: pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) }), lines };
}
