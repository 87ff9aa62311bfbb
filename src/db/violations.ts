/** Detects which constraint a write violated, for rules that only Postgres can decide because writes may race. */

const UNIQUE_VIOLATION = '23505';

/**
 * Whether `error` reports a violation of the unique constraint with this name. Drizzle puts the driver's error into
 * `cause`.
 */
export function violatesUnique(error: unknown, constraint: string): boolean {
  if (!(error instanceof Error)) return false;
  const { code, constraint_name: broken } = error as { code?: unknown; constraint_name?: unknown };
  return (code === UNIQUE_VIOLATION && broken === constraint) || violatesUnique(error.cause, constraint);
}
