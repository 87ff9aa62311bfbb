/** Errors that Postgres itself reported, whatever driver brought them. Drizzle puts the driver's error into `cause`. */

/**
 * The SQLSTATE of a report of the server in `error` or in what caused it; undefined for any other failure, of the
 * connection for example.
 */
export function sqlStateOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code, severity } = error as { code?: unknown; severity?: unknown };
  // postgres.js and pg alike; errors of sockets have a code and no severity.
  if (typeof code === 'string' && typeof severity === 'string') return code;
  return sqlStateOf(error.cause);
}
