/** Transactions that Postgres gave up because they crossed with another: nothing of them happened, and a second try may well succeed. */

/** The first try counts. A transaction that meets a conflict this often is up against something else. */
export const MAX_ATTEMPTS = 4;
/** Between two tries, by chance and times the number of tries, so that two which crossed do not cross again. */
const PAUSE_MS = 20;

/** serialization_failure, deadlock_detected. Both mean that the server has rolled back. */
const CONFLICTS = new Set(['40001', '40P01']);

/** Whether `error`, or what caused it, is Postgres's own word that the transaction crossed with another. */
export function isConflict(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error.name === 'PostgresError' && CONFLICTS.has(String((error as { code?: unknown }).code))) return true;
  return isConflict(error.cause);
}

/**
 * Runs a transaction again where it crossed with another. `run` must begin a new one each time and leave nothing behind when it fails.
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
