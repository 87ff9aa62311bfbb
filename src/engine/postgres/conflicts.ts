/**
 * Transactions that Postgres rolled back because they conflicted with another. They changed nothing, and another try
 * may succeed.
 */

import { sqlStateOf } from './server-error.js';

/** The first try included. A transaction that conflicts this often has another problem. */
export const MAX_ATTEMPTS = 4;
/**
 * The longest pause before the second try. It grows with each try and is random, so that two transactions do not
 * conflict again.
 */
const PAUSE_MS = 20;

/** serialization_failure, deadlock_detected. Both mean that the server has rolled back. */
const CONFLICTS = new Set(['40001', '40P01']);

/** Whether `error`, or an error that caused it, is Postgres's report of a conflict. */
export function isConflict(error: unknown): boolean {
  return CONFLICTS.has(sqlStateOf(error) ?? '');
}

/**
 * Runs a transaction again when it conflicted. `run` must begin a new one each time and leave nothing behind when it
 * fails.
 * @throws what the last try throws
 */
export async function retryingConflicts<T>(run: () => Promise<T>, sleep: (ms: number) => Promise<unknown>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await run();
    } catch (error) {
      if (attempt === MAX_ATTEMPTS || !isConflict(error)) throw error;
    }
    await sleep(Math.random() * PAUSE_MS * attempt);
  }
}
