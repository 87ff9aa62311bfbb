/** Which constraint a write broke: for refusals that only Postgres can decide, since two writes may race for one name. */

const UNIQUE_VIOLATION = '23505';

/** Whether `error` says that a unique constraint of this name was broken. Drizzle puts the driver's error into `cause`. */
export function violatesUnique(error: unknown, constraint: string): boolean {
  if (!(error instanceof Error)) return false;
  const { code, constraint_name: broken } = error as { code?: unknown; constraint_name?: unknown };
  return (code === UNIQUE_VIOLATION && broken === constraint) || violatesUnique(error.cause, constraint);
}
