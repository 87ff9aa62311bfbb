/** Which errors of a statement are of its connection, not of what it says: a read that failed with one may be sent again. */

/** Of the driver, of the system, and SQLSTATEs: the connection ended while a statement was on it. */
const LOST = new Set([
  ...['CONNECTION_CLOSED', 'CONNECTION_DESTROYED', 'ECONNRESET', 'EPIPE', 'ECONNABORTED'],
  ...['57P01', '57P02', '08003', '08006'],
]);

/** No connection can be had now, or Postgres does not take it: it is away, starts, ends, or is full. */
const UNREACHABLE = new Set([
  ...[
    'ECONNREFUSED',
    'ENOTFOUND',
    'EAI_AGAIN',
    'ETIMEDOUT',
    'EHOSTUNREACH',
    'ENETUNREACH',
    'ENOENT',
    'CONNECT_TIMEOUT',
  ],
  ...['57P03', '53300', '08000', '08001', '08004', 'POSTGRES_NO_ANSWER'],
]);

/** The causes of an error in a chain, bounded for a chain that has no end. */
const MAX_CAUSES = 10;

export function isConnectionLost(error: unknown): boolean {
  return codesOf(error).some((code) => LOST.has(code));
}

/** Postgres could not be asked: the same statement may succeed later. */
export function isUnavailable(error: unknown): boolean {
  return codesOf(error).some((code) => LOST.has(code) || UNREACHABLE.has(code));
}

/** The error's code and those of what caused it: Drizzle and graphql-js each put an error of their own around the driver's. */
function codesOf(error: unknown): string[] {
  const codes: string[] = [];
  let cause = error;
  for (let n = 0; n < MAX_CAUSES && typeof cause === 'object' && cause !== null; n++) {
    const { code, originalError, cause: inner } = cause as { code?: unknown; originalError?: unknown; cause?: unknown };
    if (typeof code === 'string') codes.push(code);
    cause = originalError ?? inner;
  }
  return codes;
}
